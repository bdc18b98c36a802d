"""The columns of a score file: their meaning, and the version of the schema."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = 3
"""Increased if a column is renamed, removed or changes its meaning; not for a new column."""

MODEL: Final = "model"
RATING: Final = "rating"

_KEYS: Final = {
    "observation_id": "transaction id, review id, or CUSTOMER@DATE",
    "customer_id": "customer; null for a transaction without one",
    "decision_time": "instant of the decision, UTC; nothing known later was used",
}
_SCORE: Final = {
    "margin": "log-odds of the model before calibration; null where rated",
    "probability": "calibrated probability, 0 to 1; null where rated",
}
_GRADES: Final = {
    "tier": "risk tier that holds, overrides included",
    "tier_zh": "the same in Chinese",
    "tier_before_overrides": "tier before overrides, held up by the customer's history",
    "tier_of_score": "tier of model and expert rating together",
    "tier_of_model": "tier of the probability alone, by the cut-offs of its segment",
    "expert_grade": "grade of the expert rating card; null where none was given",
    "segment": "segment whose cut-offs were used; 'all' for those of the whole",
    "override_code": "codes of the overrides in force, joined by ';'; null for none",
    "due_diligence": "level of due diligence that the tier asks for",
    "monitoring": "intensity of monitoring that the tier asks for",
    "next_review": "date of the next review, a working day",
    "policy": "tier policy, with its version",
    "policy_in_force": "false where the decision is older than the policy; null where unknown",
    "policy_unchecked": "parts of the policy that lacked a fact, joined by '; '; null for none",
    "disclosure": "who may see the row: internal only",
    "tier_set_by": "the last step that changed the tier: 'model', 'rating', 'history' or "
    "'override'; where none did, 'model', or 'rating' where the fallback scored",
    "tier_set_by_text": "sentence in English: probability and cut-off, points of the rating, "
    "earlier tier, or the rule with its source, end and approver",
    "tier_set_by_text_zh": "the same in Chinese",
    "pattern_code": "pattern of payments that the customer's rows of 90 days show, the one that "
    "explains most of the amount; null for none, and in the lowest tier",
    "pattern_text": "its numbers and dates in English: what is seen, not why",
    "pattern_text_zh": "the same in Chinese",
}
_REASON: Final = {
    "code": "stable code of the reason, a group of features; 'nothing_stands_out' for none",
    "feature": "the feature that represents the group: its value is given",
    "family": "its feature family",
    "text": "sentence in English",
    "text_zh": "sentence in Chinese",
    "value": "the customer's own value; null where missing or a category",
    "peer_median": "median of comparable rows; null where unknown or a category",
    "percentile": "place of the value among comparable rows, 0 to 1; null where unknown",
    "contribution": "log-odds that the group adds to the margin beyond what it adds for comparable "
    "rows; in a rating, points of 100",
    "share": "share of the sizes of the differences of all groups, 0 to 1",
}
_RUN: Final = {
    "model_name": "name of the model; where rated, the model that the rating stands in for",
    "model_digest": "SHA-256 of its bundle's manifest; null where rated",
    "model_version": "name and version in the registry, such as 'fraud v3'; of a bundle's folder "
    "its name and the start of its digest; where rated, name and version of the card",
    "scored_by": "'model', or 'rating' where the fallback scored",
    "run_id": "the run that wrote the row: the same for the same inputs, model, policy and code",
}


def describe_columns(*, reasons: int) -> dict[str, str]:
    """Return the meaning of each column of a score file, in order; `reasons` is per row."""
    of_reasons = {
        f"reason_{place}_{name}": f"{meaning} (reason {place}; null where a row has fewer)"
        for place in range(1, reasons + 1)
        for name, meaning in _REASON.items()
    }
    return {
        **_KEYS,
        **_SCORE,
        **_GRADES,
        "base_value": "margin of an average row: with all contributions it makes the margin",
        "reference_margin": "margin that comparable rows get: with the differences of all groups "
        "of features it makes the margin; null where rated, and of models before format 4",
        "reason_peers": "the comparable rows: the values that they share, or 'all' and why",
        **of_reasons,
        **_RUN,
    }


def with_meanings(scores: pa.Table, metadata: Mapping[str, str]) -> pa.Table:
    """Put the meaning of each column, and `metadata` about all rows, into the schema of a table.

    Raises KeyError if a column has no meaning here: no column is published without documentation.
    """
    names = scores.column_names
    reasons = sum(name.startswith("reason_") and name.endswith("_code") for name in names)
    meanings = describe_columns(reasons=reasons)
    fields = [field.with_metadata({"meaning": meanings[field.name]}) for field in scores.schema]
    return scores.cast(pa.schema(fields, metadata=dict(metadata)))
