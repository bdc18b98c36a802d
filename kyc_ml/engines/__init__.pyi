from .spark.landing import LandedSource as LandedSource
from .spark.landing import land as land
from .spark.landing import require_utc as require_utc
