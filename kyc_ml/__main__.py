"""Runs `kyc-ml` as `python -m kyc_ml`."""

from kyc_ml.cli import app

app()
