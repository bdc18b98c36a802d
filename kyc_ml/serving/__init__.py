"""One observation scored in milliseconds: in Python, by HTTP, and compared with the batch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
