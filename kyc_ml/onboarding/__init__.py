"""First steps: a proposed mapping of your files, a synthetic bank, the demo."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
