"""A challenger against a champion on the same later rows. Pure: it writes nothing."""

from kyc_ml.comparison.bundles import require_comparable, require_different, trained_until
from kyc_ml.comparison.comparing import CHALLENGER, CHAMPION, Comparison, compare_models
from kyc_ml.comparison.rows import LaterRows
from kyc_ml.comparison.settings import ComparisonSettings

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "Comparison",
    "ComparisonSettings",
    "LaterRows",
    "compare_models",
    "require_comparable",
    "require_different",
    "trained_until",
]
