"""Apply a card to a feature table: score, grade and their components."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.decision.rating.card import PointCondition, Scorecard, SubItem
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.features import FeatureTable
from kyc_ml.metrics import Floats, Ints, Mask, Names

_SHOWN: Final = ("name", "english", "chinese", "family", "feature")
"""What `rating_points` says of a sub-item."""

_DECIMALS: Final = 9
"""Decimals of a score: without rounding, a sum of binary fractions misses a cut-off that the
same sum in decimals reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """The rating of n rows, by k sub-items in the card's order."""

    card: Scorecard
    score: Floats
    """float64 array of shape (n,); weighted score in [100 / m, 100], without direct criteria."""
    grade: Ints
    """int64 array of shape (n,); place in ``card.grades``; the highest where a direct criterion
    holds."""
    sub_scores: Floats
    """float64 array of shape (n, k); score of each sub-item, 1 to m; NaN where the row's segment
    does not use it, or it was dropped."""
    segment: Ints
    """int64 array of shape (n,); place in ``card.segment_names``."""
    weights: Floats
    """float64 array of shape (number of segments, k); weights that were used, 0 for unused; those
    of a segment sum to 100."""
    direct: Names
    """object array of shape (n,); code of the first direct criterion that holds, '' without one."""
    dropped: Mapping[str, str]
    """Mapping of place in the card to reason; what could not be read, such as 'sub_items.age' or
    'direct_highest.list_hit'."""

    def __len__(self) -> int:
        return int(self.score.size)

    @property
    def margin(self) -> Floats:
        """Score to rank by, shape (n,): rows with a direct criterion come above all others.

        Up to 100 without a criterion, above 100 with one. Not a probability or log-odds.
        """
        return np.where(self.direct == "", self.score, self.score + 100.0)


def rate(features: FeatureTable, card: Scorecard) -> Rating:
    """Rate each row by a card: sum of score times weight over the number of grades.

    A missing value has the score that the card declares for it. A score equal to a cut-off
    belongs to the grade above it. A row's rating depends on no other row.

    Raises
    ------
    ConfigError
        If the table was built without a feature that the card reads, or has it as another
        kind; if the source lacks one and the card has `absent: refuse`; if a segment keeps no
        sub-item. All faults are listed.
    """
    dropped = _check_table(features, card)
    weights = _weights_left(card, dropped)
    segment = _segments(features, card, dropped)
    n, m = len(features), card.m
    total = np.zeros(n)
    sub_scores = np.full((n, len(card.sub_items)), np.nan, order="F")
    for column, item in enumerate(card.sub_items):
        if f"sub_items.{item.name}" not in dropped:
            weight = weights[segment, column]
            scored = _score_item(features, item)
            sub_scores[:, column] = np.where(weight > 0.0, scored, np.nan)
            total += scored * weight
    score = np.clip(np.round(total / m, _DECIMALS), 100.0 / m, 100.0)
    direct = np.full(n, "", dtype=object)
    for rule in card.direct_highest:
        if f"direct_highest.{rule.code}" not in dropped:
            # of several criteria the first in the card is named
            direct[(direct == "") & holds(features, rule)] = rule.code
    # "right": a score at a cut-off belongs to the grade that begins there
    grade = np.searchsorted(np.array(card.cut_offs), score, side="right").astype(np.int64)
    grade[direct != ""] = m - 1
    return Rating(
        card=card,
        score=score,
        grade=grade,
        sub_scores=sub_scores,
        segment=segment,
        weights=weights,
        direct=direct,
        dropped=dropped,
    )


def points_above(rating: Rating, rows: Ints | slice = slice(None)) -> Floats:
    """Compute the points of 100 that each sub-item adds above its lowest score.

    Returns float64 array of shape (n, k); 0 where the row's segment does not use the sub-item, or
    it was dropped. With 100 / m they add up to `Rating.score`.
    """
    # an item without a score counts as the lowest score, which adds no points
    above = np.nan_to_num(rating.sub_scores[rows], nan=1.0) - 1.0
    return np.asarray(rating.weights[rating.segment[rows]] * above / rating.card.m)


def rating_points(facts: FeatureTable, card: Scorecard) -> pd.DataFrame:
    """List the sub-items of the one row of a table, those of most points above the lowest first.

    name, english, chinese, family, feature, value (number or text, None where missing), score (1 to
    m), weight (of 100), points (score times weight over m; they add up to the rating's score) and
    above (points above the lowest score). Sub-items that the row's segment does not use, or that
    were dropped, are left out.
    """
    rating = rate(facts, card)
    above = points_above(rating)[0]
    rows = []
    for column, item in enumerate(card.sub_items):
        score, weight = rating.sub_scores[0, column], rating.weights[rating.segment[0], column]
        if np.isnan(score):
            continue
        number = _numbers(facts, item.feature)[0] if item.kind == "number" else np.nan
        value = facts.category(item.feature)[0] if item.kind == "category" else number
        rows.append(
            {
                **{name: getattr(item, name) for name in _SHOWN},
                "value": None if value is None or value != value else value,  # noqa: PLR0124  NaN
                "score": int(score),
                "weight": weight,
                "points": score * weight / card.m,
                "above": above[column],
            }
        )
    listed = pd.DataFrame(rows, columns=[*_SHOWN, "value", "score", "weight", "points", "above"])
    return listed.sort_values("above", ascending=False, kind="stable", ignore_index=True)


def _check_table(features: FeatureTable, card: Scorecard) -> dict[str, str]:
    """Find what the card reads and the source lacks, by place in the card."""
    kinds = {spec.name: spec.kind for spec in features.specs}
    faults = Faults(f"rating card {card.name!r}", ConfigError)
    dropped: dict[str, str] = {}
    for where, (name, kind) in card.reads.items():
        if name in kinds:
            if kinds[name] != kind:
                faults.add(f"{where}: {name!r} is a {kinds[name]}, not a {kind}")
        elif name not in features.unavailable:
            faults.add(
                f"{where}: the feature table has no {name!r}: build it with card_features(card)"
            )
        elif card.absent == "refuse":
            faults.add(
                f"{where}: {name!r} is left out ({features.unavailable[name]}), and the card has "
                "absent: refuse"
            )
        else:
            dropped[where] = f"{name} is left out: {features.unavailable[name]}"
    faults.raise_if_any()
    return dropped


def _weights_left(card: Scorecard, dropped: Collection[str]) -> Floats:
    """Return the weights of the remaining sub-items, scaled to 100 in each segment."""
    kept = [f"sub_items.{item.name}" not in dropped for item in card.sub_items]
    raw = np.array(
        [
            [
                item.weights.get(segment, 0.0) * here
                for item, here in zip(card.sub_items, kept, strict=True)
            ]
            for segment in card.segment_names
        ]
    )
    sums = raw.sum(axis=1, keepdims=True)
    faults = Faults(f"rating card {card.name!r}", ConfigError)
    faults.extend(
        f"segment {segment!r}: the source has none of the features of its sub-items"
        for segment, total in zip(card.segment_names, sums[:, 0], strict=True)
        if total == 0.0
    )
    faults.raise_if_any()
    return raw if all(kept) else raw * (100.0 / sums)


def _segments(features: FeatureTable, card: Scorecard, dropped: Collection[str]) -> Ints:
    """Find the place of each row's segment."""
    n, names = len(features), list(card.segment_names)
    rule = card.segments
    if rule is None:
        return np.zeros(n, dtype=np.int64)
    otherwise = names.index(rule.otherwise)
    if "segments" in dropped:
        return np.full(n, otherwise, dtype=np.int64)
    places = [names.index(segment) for segment in rule.by_value.values()]
    known = _places(features.categories[rule.feature], list(rule.by_value))
    return np.array([*places, otherwise], dtype=np.int64)[known]


def _score_item(features: FeatureTable, item: SubItem) -> Floats:
    """Look up what each row's value scores, shape (n,)."""
    if item.kind == "number":
        values = _numbers(features, item.feature)
        scores = np.array([item.below, *(step.score for step in item.steps)], dtype=np.float64)
        # NaN is found behind the last step: `missing` replaces it below
        place = np.searchsorted([step.from_ for step in item.steps], values, side="right")
        return np.where(np.isnan(values), float(item.missing), scores[place])
    texts = features.categories[item.feature]
    scores = np.array([*item.scores.values(), item.other], dtype=np.float64)
    unknown = pc.is_null(texts).to_numpy(zero_copy_only=False)
    return np.where(unknown, float(item.missing), scores[_places(texts, list(item.scores))])


def holds(features: FeatureTable, condition: PointCondition) -> Mask:
    """Mark the rows in which a condition holds; never where the value is missing.

    Returns bool array of shape (len(features),).
    """
    if condition.at_least is None:
        known = _places(features.categories[condition.feature], condition.any_of)
        return known < len(condition.any_of)
    return np.asarray(_numbers(features, condition.feature) >= condition.at_least)


def _numbers(features: FeatureTable, name: str) -> Floats:
    return np.asarray(features.numbers[:, features.names.index(name)])


def _places(values: pa.Array, known: Collection[str]) -> Ints:
    """Find each value among the known ones; an unknown value gets the place after the last."""
    found = pc.index_in(values, value_set=pa.array(list(known), pa.string()))
    # index_in returns null for an unknown value, and for a null because no known value is null
    return np.asarray(pc.fill_null(found, len(known)).to_numpy(zero_copy_only=False), np.int64)
