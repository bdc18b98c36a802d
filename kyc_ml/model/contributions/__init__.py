"""Exact contributions of a LightGBM model's features, compiled for speed.

`compile_model` turns LightGBM's text form into tables; `TreeContributions.explain` looks
rows up in them and gives what LightGBM's own ``pred_contrib`` gives.
"""
