from .spark.features import BuiltOnSpark as BuiltOnSpark
from .spark.features import build_features_on_spark as build_features_on_spark
from .spark.features import read_features as read_features
from .spark.landing import LandedSource as LandedSource
from .spark.landing import land as land
from .spark.landing import require_utc as require_utc
from .spark.tasks import Report as Report
from .spark.tasks import run_each as run_each
