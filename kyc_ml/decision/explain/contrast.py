"""The reasons of rows by contrast with comparable rows.

What a group of features contributes to a row is compared with what it usually contributes to
comparable rows. The differences of all groups add up to the row's margin less its reference
margin. A group can be a reason only if the value of one of its features is unusual there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kyc_ml.decision.explain.reference import RARE, PeerReference, Usual
from kyc_ml.features import FeatureSpec, FeatureTable, category_places, grows_with_data
from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.storage import kernel, remember

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
    features: FeatureTable,
    contributions: Floats,
    *,
    reference: PeerReference,
    k: int,
    cells: Ints | None = None,
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
    `cells`: what its `group_of` finds, where it is known already.
    """
    cells = reference.group_of(features) if cells is None else cells
    codes, group, usual, own = _tabulate(reference, features.specs)
    unusual = find_unusual(features, reference, cells)
    differences, members = _contrast(contributions, cells, unusual.T, group, usual, own)
    return FoundReasons(
        codes=codes,
        **_rank(differences, members, k=k),
        differences=differences,
        references=usual.sum(axis=1)[cells],
    )


@remember
def _tabulate(
    reference: PeerReference, specs: tuple[FeatureSpec, ...]
) -> tuple[tuple[str, ...], Ints, Floats, Floats]:
    """Return the codes, the place of each feature's code, and what is usual by cell."""
    codes = tuple(dict.fromkeys(spec.reason_code for spec in specs))
    group = np.array([codes.index(spec.reason_code) for spec in specs], np.int64)
    usual = np.array([[each.by_reason[code] for code in codes] for each in reference.usuals])
    own = np.array([[each.contributions[spec.name] for spec in specs] for each in reference.usuals])
    return codes, group, usual, own


@kernel()
def _contrast(  # noqa: PLR0917  numba calls are positional
    contributions: Floats, cells: Ints, unusual: Mask, group: Ints, usual: Floats, own: Floats
) -> tuple[Floats, Ints]:
    """Return each row's differences by code, and the unusual feature that differs most along."""
    differences = np.zeros((cells.size, usual.shape[1]))
    members = np.full(differences.shape, -1, np.int64)
    for row in range(cells.size):
        cell, most = cells[row], np.zeros(usual.shape[1])
        for column in range(group.size):
            differences[row, group[column]] += contributions[row, column]
        differences[row] -= usual[cell]
        for column in range(group.size):
            code = group[column]
            along = contributions[row, column] - own[cell, column]
            along *= np.sign(differences[row, code])
            if unusual[column, row] and along > most[code]:
                most[code], members[row, code] = along, column
    return differences, members


def _rank(differences: Floats, found: Ints, *, k: int) -> dict[str, Ints]:
    """Rank the groups that have a representative and count; the others are never reasons."""
    way = np.sign(differences.sum(axis=1, keepdims=True))
    least = np.maximum(SMALLEST * np.abs(differences).max(axis=1, keepdims=True), LEAST)
    found = np.where(np.abs(differences) >= least, found, -1)
    size = np.where(found >= 0, np.abs(differences), -1.0)
    # the last key sorts first; a stable sort keeps the order of the features
    order = np.lexsort((-size, np.sign(differences) != way, found < 0), axis=1)[:, :k]
    members, groups = (np.full((len(found), k), -1, np.int64) for _ in range(2))
    members[:, : order.shape[1]] = np.take_along_axis(found, order, axis=1)
    groups[:, : order.shape[1]] = np.where(members[:, : order.shape[1]] >= 0, order, -1)
    return {"groups": groups, "members": members}


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
    found = np.empty(features.numbers.shape[::-1], np.bool_)
    _mark_unusual(
        features.numbers.T, cells, *_tabulate_ends(reference, features.specs, rare), found
    )
    for column, spec in category_places(features.specs):
        words = features.categories[spec.name].to_pylist()
        values, usuals = list(zip(cells.tolist(), words, strict=True)), reference.usuals
        rares = {each: _is_rare(usuals[each[0]], spec.name, each[1]) for each in set(values)}
        found[column] = [rares[each] for each in values]
    return found.T


@remember
def _tabulate_ends(
    reference: PeerReference, specs: tuple[FeatureSpec, ...], rare: float
) -> tuple[Floats, Floats, Mask, Mask]:
    """Return the ends of each feature in each cell, and where lacking or having one is unusual."""
    ends, missing = np.full((2, len(reference.usuals), len(specs)), np.nan), []
    for cell, usual in enumerate(reference.usuals):
        missing.append([usual.missing[spec.name] for spec in specs])
        for column, spec in enumerate(specs):
            ends[:, cell, column] = usual.range_of(spec.name, rare=rare) or np.nan
    ends[1][:, [grows_with_data(spec) for spec in specs]] = np.inf
    return ends[0], ends[1], np.array(missing) < RARE, np.array(missing) > 1.0 - RARE


@kernel()
def _mark_unusual(  # noqa: PLR0917  numba calls are positional
    numbers: Floats, cells: Ints, low: Floats, high: Floats, lacked: Mask, had: Mask, found: Mask
) -> None:
    """Mark unusual numbers; the first and the last array have shape (p, n)."""
    for column in range(numbers.shape[0]):
        for row in range(cells.size):
            value, cell = numbers[column, row], cells[row]
            outside = value < low[cell, column] or value > high[cell, column] or had[cell, column]
            found[column, row] = lacked[cell, column] if np.isnan(value) else outside


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
    sums = np.zeros((contributions.shape[0], len(codes)))
    for column, spec in enumerate(specs):
        sums[:, codes.index(spec.reason_code)] += contributions[:, column]
    return codes, sums
