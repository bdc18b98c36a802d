"""Where files are kept: DuckDB sessions, run directories, checkpoints, compiled code."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
