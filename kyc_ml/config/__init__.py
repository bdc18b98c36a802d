"""Configuration: frozen sections, the only reader of YAML, and dates, parsed here once."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
