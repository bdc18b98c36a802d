"""Engines that move rows: they read, exchange and join, and know nothing of features."""
