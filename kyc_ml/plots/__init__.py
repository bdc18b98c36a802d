"""Figures of tidy tables in one house style; nothing is computed but places on paper.

Every function draws on a `Figure` of its own, never on pyplot's global state. Colours are
those of `THEME`, so that a page can exchange them for its light or dark ones.
"""

from kyc_ml.plots.beeswarm import plot_beeswarm
from kyc_ml.plots.comparison import plot_tier_moves
from kyc_ml.plots.cut_offs import plot_cut_offs
from kyc_ml.plots.declared import draw
from kyc_ml.plots.differences import plot_differences, plot_trials
from kyc_ml.plots.probability import plot_reliabilities, plot_reliability, plot_score_distribution
from kyc_ml.plots.ranking import plot_precision_recall, plot_roc
from kyc_ml.plots.reasons import plot_contributions, plot_importance
from kyc_ml.plots.style import THEME, format_rate
from kyc_ml.plots.tiers import plot_tiers
from kyc_ml.plots.timeline import plot_parts, plot_periods

__all__ = [
    "THEME",
    "draw",
    "format_rate",
    "plot_beeswarm",
    "plot_contributions",
    "plot_cut_offs",
    "plot_differences",
    "plot_importance",
    "plot_parts",
    "plot_periods",
    "plot_precision_recall",
    "plot_reliabilities",
    "plot_reliability",
    "plot_roc",
    "plot_score_distribution",
    "plot_tier_moves",
    "plot_tiers",
    "plot_trials",
]
