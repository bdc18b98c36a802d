"""From files and databases to checked tables; rows that break a rule go to quarantine."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
