"""Exact contributions of a LightGBM model's features, compiled for speed.

`compile_model` turns LightGBM's text form into tables; `TreeContributions.explain` looks
rows up in them and gives what LightGBM's own ``pred_contrib`` gives.
"""

from kyc_ml.contributions.compiled import MOST_TABLE_BYTES, TreeContributions, compile_model

__all__ = ["MOST_TABLE_BYTES", "TreeContributions", "compile_model"]
