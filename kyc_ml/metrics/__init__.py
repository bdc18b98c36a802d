"""Figures of predictions: discrimination, calibration, stability, ranking, capacity, bootstrap.

Pure NumPy and SciPy: nothing here reads a file or knows what a customer is.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
