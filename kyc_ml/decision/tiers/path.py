"""How a row's tier came about, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kyc_ml.decision.tiers.policy import WHOLE


def say_path(score: Mapping[str, Any]) -> str:
    """Say what but the probability decided a tier; nothing where it decided alone.

    Two rows of one probability may have two tiers: a reader is owed the reason.

    Parameters
    ----------
    score : mapping
        A row that the model scored, with the columns of `Grades.columns`.

    Examples
    --------
    >>> say_path(
    ...     {
    ...         "tier_of_model": "medium",
    ...         "segment": "all",
    ...         "tier_of_score": "high",
    ...         "expert_grade": "top",
    ...         "tier_before_overrides": "high",
    ...         "tier": "high",
    ...         "override_code": None,
    ...     }
    ... )
    'medium by the probability; high with the expert rating (top)'
    """
    model, rated = score["tier_of_model"], score["tier_of_score"]
    before, tier = score["tier_before_overrides"], score["tier"]
    own = score["segment"] != WHOLE
    moved = [
        f"{rated} with the expert rating ({score['expert_grade']})" if rated != model else "",
        f"held at {before} by the customer's history" if before != rated else "",
        f"{tier} by override {score['override_code']}" if tier != before else "",
    ]
    if not own and not any(moved):
        return ""
    cut_offs = f", cut-offs of segment {score['segment']}" if own else ""
    first = f"{model} by the probability{cut_offs}"
    return "; ".join([first, *filter(None, moved)])
