"""Calibration: monotone maps from margin to probability, fitted on separate rows."""
