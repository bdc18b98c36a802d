"""`python -m kyc_ml` is `kyc-ml`."""

from kyc_ml.cli import app

app()
