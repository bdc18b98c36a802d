"""The expert rating: weighted sub-items after 银发〔2013〕2号, without any learning.

A card (`RatingCard`, a YAML file) says which features are read, what each value scores
and what each score weighs; `rate` applies it to a feature table.
"""

from kyc_ml.rating.card import (
    EVERYONE,
    Condition,
    DirectRule,
    Grade,
    RatingCard,
    SegmentRule,
    Step,
    SubItem,
)
from kyc_ml.rating.needs import add_needed, card_features, check_card, check_reads, specs_of
from kyc_ml.rating.rate import Rating, holds, rate

__all__ = [
    "EVERYONE",
    "Condition",
    "DirectRule",
    "Grade",
    "Rating",
    "RatingCard",
    "SegmentRule",
    "Step",
    "SubItem",
    "add_needed",
    "card_features",
    "check_card",
    "check_reads",
    "holds",
    "rate",
    "specs_of",
]
