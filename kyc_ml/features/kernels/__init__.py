"""Compiled one-pass kernels: the time rule, and the statistics of a timeline."""
