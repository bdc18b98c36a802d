"""The reasons of rows by contrast with comparable rows.

What a group of features contributes to a row is compared with what it usually contributes to
comparable rows. The differences of all groups add up to the row's margin less its reference
margin. A group can be a reason only if the value of one of its features is unusual there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kyc_ml.decision.explain.reference import RARE, PeerReference, Usual
from kyc_ml.features import FeatureSpec, FeatureTable, grows_with_data
from kyc_ml.metrics import Floats, Ints, Mask

SMALLEST: Final = 0.05
"""Share of a row's largest difference below which a group is not among its reasons. Convention:
such a reason adds little, and refits of the model do not agree on it."""

LEAST: Final = 0.01
"""Log-odds below which a group is left out in every row: the odds change by less than 1 %, and
the number would be written as 0.00 (convention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundReasons:
    """Up to k reasons of each of n rows, the first ones first."""

    codes: tuple[str, ...]
    """Reason codes of the model's features."""
    groups: Ints
    """int64 array of shape (n, k); place of each reason's code in `codes`; -1 where a row has fewer
    reasons."""
    members: Ints
    """int64 array of shape (n, k); the feature whose value and sentence represent each reason; -1
    for none."""
    differences: Floats
    """float64 array of shape (n, len(codes)); contribution of each group less that of comparable
    rows, log-odds."""
    references: Floats
    """float64 array of shape (n,); sum over all groups of what comparable rows get, log-odds."""


def find_reasons(
    features: FeatureTable, contributions: Floats, *, reference: PeerReference, k: int
) -> FoundReasons:
    """Find the reasons of each row.

    A group of features is a reason if its difference is at least `SMALLEST` of the row's largest
    one and at least `LEAST`, and one of its features has an unusual value (see `find_unusual`) and
    differs from comparable rows in the direction of the whole group. The one that differs most
    represents the group. Reasons that move a row the way its margin differs from
    the reference come first, then the others; each kind by the size of the difference, equal
    sizes in the order of the features.

    `contributions`: float64 array of shape (n, p); exact contributions of the table's features,
    log-odds.
    `reference`: one that `contrasts`.
    """
    specs = features.specs
    cells = reference.group_of(features)
    codes, sums = sum_by_reason(specs, contributions)
    usual = np.array([[each.by_reason[code] for code in codes] for each in reference.usuals])
    own = np.array([[each.contributions[spec.name] for spec in specs] for each in reference.usuals])
    differences = sums - usual[cells]
    place = {code: column for column, code in enumerate(codes)}
    group = np.array([place[spec.reason_code] for spec in specs], np.int64)
    along = (contributions - own[cells]) * np.sign(differences)[:, group]
    along[~find_unusual(features, reference, cells)] = 0.0
    most, members = np.zeros(sums.shape), np.full(sums.shape, -1, np.int64)
    for column, code in enumerate(group):
        better = along[:, column] > most[:, code]
        most[better, code] = along[better, column]
        members[better, code] = column
    return FoundReasons(
        codes=codes,
        **_rank(differences, members, k=k),
        differences=differences,
        references=usual.sum(axis=1)[cells],
    )


def _rank(differences: Floats, found: Ints, *, k: int) -> dict[str, Ints]:
    """Rank the groups that have a representative and count; the others are never reasons."""
    way = np.sign(differences.sum(axis=1, keepdims=True))
    least = np.maximum(SMALLEST * np.abs(differences).max(axis=1, keepdims=True), LEAST)
    found = np.where(np.abs(differences) >= least, found, -1)
    size = np.where(found >= 0, np.abs(differences), -1.0)
    # the last key sorts first; a stable sort keeps the order of the features
    order = np.lexsort((-size, np.sign(differences) != way, found < 0), axis=1)[:, :k]
    members = np.take_along_axis(found, order, axis=1)
    groups = np.where(members >= 0, order, -1)
    short = ((0, 0), (0, k - groups.shape[1]))
    return {
        "groups": np.pad(groups, short, constant_values=-1),
        "members": np.pad(members, short, constant_values=-1),
    }


def find_unusual(
    features: FeatureTable, reference: PeerReference, cells: Ints, *, rare: float = RARE
) -> Mask:
    """Find the values that less than `RARE` of the comparable rows have, or exceed.

    A number is unusual beyond the 5th or the 95th percentile of the values of comparable rows, a
    category if less than 5% of them have it, a missing value if less than 5% lack it, and a known
    value also if less than 5% have one. A value on a percentile that many rows share is usual.
    An age that grows with the data (see `grows_with_data`) is unusual only below the 5th.

    `cells`: int64 array of shape (n,); place of each row's cell in `reference.usuals`.
    `rare`: share for the range of numbers, one of `LEVELS`.
    Returns bool array of shape (n, p).
    """
    found = np.zeros(features.numbers.shape, np.bool_)
    usuals = reference.usuals
    for column, spec in enumerate(features.specs):
        missing = np.array([usual.missing[spec.name] for usual in usuals])
        if spec.kind == "category":
            found[:, column] = _rare_categories(features, spec.name, usuals, cells)
            continue
        ends = [usual.range_of(spec.name, rare=rare) or (np.nan, np.nan) for usual in usuals]
        low, high = np.array(ends).T
        if grows_with_data(spec):
            high = np.full(high.shape, np.inf)
        value = features.numbers[:, column]
        outside = (value < low[cells]) | (value > high[cells]) | (missing[cells] > 1.0 - RARE)
        found[:, column] = np.where(np.isnan(value), missing[cells] < RARE, outside)
    return found


def _rare_categories(
    features: FeatureTable, name: str, usuals: Sequence[Usual], cells: Ints
) -> Mask:
    coded = features.categories[name].dictionary_encode()
    words = [*coded.dictionary.to_pylist(), None]
    which = coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    rare = np.array([[_is_rare(usual, name, word) for word in words] for usual in usuals])
    return np.asarray(rare[cells, which], np.bool_)


def _is_rare(usual: Usual, name: str, word: str | None) -> bool:
    if word is None:
        return usual.missing[name] < RARE
    return word not in usual.common[name]


def sum_by_reason(
    specs: Sequence[FeatureSpec], contributions: Floats
) -> tuple[tuple[str, ...], Floats]:
    """Sum contributions of shape (n, p) by reason code; codes keep the order of the features.

    Returns `sums`: float64 array of shape (n, len(codes)).
    """
    codes = tuple(dict.fromkeys(spec.reason_code for spec in specs))
    place = {code: column for column, code in enumerate(codes)}
    sums = np.zeros((contributions.shape[0], len(codes)))
    for column, spec in enumerate(specs):
        sums[:, place[spec.reason_code]] += contributions[:, column]
    return codes, sums
