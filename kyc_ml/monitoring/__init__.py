"""Nights watched together: level, performance, drift, customer data, alerts and incidents."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
