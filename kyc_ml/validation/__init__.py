"""Validation of a model by a person other than its developer: checks, comparison, report."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
