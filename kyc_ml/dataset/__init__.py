"""Observations, mature labels, and splits: which rows train and which evaluate."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
