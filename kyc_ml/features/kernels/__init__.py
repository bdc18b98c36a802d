"""Compiled one-pass kernels: the time rule, and what is read off a timeline."""
