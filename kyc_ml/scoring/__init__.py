"""Scoring of a batch of customers or transactions, and the explanation of one case."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
