"""Margin to probability: monotone maps fitted on rows of their own, kept as numbers."""
