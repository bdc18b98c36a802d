"""What is watched of a model in use: whether its rows are still like those that judged it."""

from kyc_ml.monitoring.drift import DRIFT_COLUMNS, DriftFound, compare_profiles, summarise_drift
from kyc_ml.monitoring.profile import PROBABILITY, Profile, learn_profile

__all__ = [
    "DRIFT_COLUMNS",
    "PROBABILITY",
    "DriftFound",
    "Profile",
    "compare_profiles",
    "learn_profile",
    "summarise_drift",
]
