from .signals import Severity as Severity
from .signals import Signal as Signal
