from .spark.features import BuiltOnSpark as BuiltOnSpark
from .spark.features import build_features_on_spark as build_features_on_spark
from .spark.landing import LandedSource as LandedSource
from .spark.landing import land as land
from .spark.landing import require_utc as require_utc
