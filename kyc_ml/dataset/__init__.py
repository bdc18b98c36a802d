"""Observations and their matured labels."""

from kyc_ml.dataset.chosen import (
    Chosen,
    choose_observations,
    count_not_scored,
    store_observations,
)
from kyc_ml.dataset.labels import (
    ALREADY_ADVERSE,
    IMMATURE,
    NEGATIVE,
    OPEN_CASE,
    POSITIVE,
    Labels,
    mature_labels,
    to_target,
)
from kyc_ml.dataset.observations import (
    make_observations,
    make_reviews_at,
    seen_in,
    when_first_seen,
)

__all__ = [
    "ALREADY_ADVERSE",
    "IMMATURE",
    "NEGATIVE",
    "OPEN_CASE",
    "POSITIVE",
    "Chosen",
    "Labels",
    "choose_observations",
    "count_not_scored",
    "make_observations",
    "make_reviews_at",
    "mature_labels",
    "seen_in",
    "store_observations",
    "to_target",
    "when_first_seen",
]
