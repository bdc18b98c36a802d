"""Who carries out the plan of passes: the local disk, or Apache Spark."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
