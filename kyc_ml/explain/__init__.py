"""Contributions to ranked reasons in words, in English and Chinese.

`learn_reference` keeps what is usual among the training rows, whole and by peer group;
`make_reasons` says each row's strongest contributions beside it; `find_change` finds what
would lower a tier.
"""

from kyc_ml.explain.directions import RISING, direction_of
from kyc_ml.explain.levers import Change, Step, find_change, splits_of
from kyc_ml.explain.reasons import family_contributions, make_reasons, rank_reasons
from kyc_ml.explain.reference import (
    LEVELS,
    WHOLE_BANK,
    Reference,
    Usual,
    learn_reference,
    place_in,
    require_peers,
)
from kyc_ml.explain.wording import has_range, say_value

__all__ = [
    "LEVELS",
    "RISING",
    "WHOLE_BANK",
    "Change",
    "Reference",
    "Step",
    "Usual",
    "direction_of",
    "family_contributions",
    "find_change",
    "has_range",
    "learn_reference",
    "make_reasons",
    "place_in",
    "rank_reasons",
    "require_peers",
    "say_value",
    "splits_of",
]
