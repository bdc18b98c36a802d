from .spark.contracting import check_table as check_table
from .spark.features import BuiltOnSpark as BuiltOnSpark
from .spark.features import build_features_on_spark as build_features_on_spark
