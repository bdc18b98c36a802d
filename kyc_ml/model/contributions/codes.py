"""Code each value once: which of the splits on its feature it passes."""

from typing import Final, NamedTuple

import numpy as np

from kyc_ml.errors import BundleError
from kyc_ml.metrics import Codes, Floats, Ints, Mask
from kyc_ml.model.contributions.trees import Forest
from kyc_ml.storage import kernel

NEAR_ZERO: Final = float(np.float32(1e-35))
"""LightGBM treats a value within this distance of 0 as 0."""

_MOST_CODES: Final = 2**16


class Coding(NamedTuple):
    """Codes of the features that a model splits on, its slots.

    A number's code is how many thresholds lie below it; zero and NaN have codes of their
    own, the last two. A category's code is its place among the categories of any split,
    counted from 1; all others, negative and missing ones have 0.
    """

    features: Ints
    """int64 array of shape (n_slots,); the column of each slot, ascending."""
    cut_start: Ints
    """int64 array of shape (n_slots + 1,)."""
    cuts: Floats
    """float64 array; thresholds or categories of each slot, ascending."""
    is_category: Mask
    """bool array of shape (n_slots,)."""
    n_codes: Ints
    """int64 array of shape (n_slots,)."""
    slot: Ints
    """int64 array of shape (n_splits,); the slot of each split."""
    left_start: Ints
    """int64 array of shape (n_splits + 1,)."""
    goes_left: Mask
    """bool array; for each split, whether a code of its slot goes left."""


def build_coding(forest: Forest) -> Coding:
    """Collect the thresholds and categories of each feature, and where each code goes.

    Raises BundleError if a feature is split both as a number and as a category, or at more values
    than a code can tell apart.
    """
    features, slot = np.unique(forest.feature, return_inverse=True)
    by_set = np.array([each is not None for each in forest.categories], np.bool_)
    is_category = np.zeros(features.size, np.bool_)
    is_category[slot[by_set]] = True
    cuts = [np.empty(0)] * features.size
    goes_left: list[Mask] = [np.empty(0, np.bool_)] * slot.size
    for each in range(features.size):
        splits = np.flatnonzero(slot == each)
        if by_set[splits].all():
            cuts[each] = _code_categories(forest, splits, goes_left)
        elif not by_set[splits].any():
            cuts[each] = _code_numbers(forest, splits, goes_left)
        else:
            msg = f"feature {features[each]} is split as a number and as a category: train again"
            raise BundleError(msg)
    sizes = np.array([cut.size for cut in cuts], np.int64)
    n_codes = np.where(is_category, sizes + 1, sizes + 3)
    if n_codes.size and n_codes.max() > _MOST_CODES:
        raise BundleError(
            f"a feature is split at {sizes.max()} values, at most {_MOST_CODES - 3} are "
            "supported: train with a smaller max_bin"
        )
    return Coding(
        features=features,
        cut_start=_starts(sizes),
        cuts=np.concatenate([*cuts, np.empty(0)]),
        is_category=is_category,
        n_codes=n_codes,
        slot=slot,
        left_start=_starts(n_codes[slot]),
        goes_left=np.concatenate([*goes_left, np.empty(0, np.bool_)]),
    )


def _starts(sizes: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _code_numbers(forest: Forest, splits: Ints, goes_left: list[Mask]) -> Floats:
    cuts = np.unique(forest.threshold[splits])
    ranks = np.searchsorted(cuts, forest.threshold[splits])
    for split, rank in zip(splits, ranks, strict=True):
        left = np.arange(cuts.size + 3) <= rank
        # the last two codes are zero and NaN, whose side the split defines itself
        left[-2], left[-1] = forest.zero_left[split], forest.nan_left[split]
        goes_left[split] = left
    return cuts


def _code_categories(forest: Forest, splits: Ints, goes_left: list[Mask]) -> Floats:
    sets = {split: forest.categories[split] for split in splits}
    cuts = np.unique(np.concatenate([each for each in sets.values() if each is not None]))
    for split, chosen in sets.items():
        # code 0, a category that no split knows, goes right
        goes_left[split] = np.concatenate([[False], np.isin(cuts, chosen)])
    return cuts.astype(np.float64)


_TILE: Final = 64
"""Rows coded at a time, column after column: they stay in the cache meanwhile."""


@kernel()
def encode_rows(matrix: Floats, coding: Coding, codes: Codes) -> None:
    """Write the codes of rows, shape (n_slots, n_rows)."""
    values, places = np.empty(_TILE), np.empty(_TILE, np.int64)
    for first in range(0, matrix.shape[0], _TILE):
        size = min(_TILE, matrix.shape[0] - first)
        for slot in range(coding.features.size):
            column = coding.features[slot]
            start, stop = coding.cut_start[slot], coding.cut_start[slot + 1]
            for row in range(size):
                values[row] = matrix[first + row, column]
            if coding.is_category[slot]:
                for row in range(size):
                    # LightGBM keeps a category in a C int: what does not fit is unknown
                    fits = values[row] > -1.0 and values[row] < 2147483648.0
                    values[row] = np.trunc(values[row]) if fits else np.inf
            _count_below(coding.cuts, start, stop, values, places, size)
            for row in range(size):
                value, place = values[row], places[row]
                if coding.is_category[slot]:
                    found = place < stop and coding.cuts[min(place, stop - 1)] == value
                    code = place - start + 1 if found else 0
                else:
                    code = place - start
                    code = stop - start + 1 if abs(value) <= NEAR_ZERO else code
                    code = stop - start + 2 if np.isnan(value) else code
                codes[slot, first + row] = code


@kernel(inline="always")
def _count_below(
    cuts: Floats, start: int, stop: int, values: Floats, places: Ints, size: int
) -> None:
    """Find the first of ``cuts[start:stop]`` not below each value, all rows step by step."""
    length = stop - start
    places[:size] = start
    while length > 1:
        half = length >> 1
        for row in range(size):
            place = places[row]
            places[row] = place + half if cuts[place + half - 1] < values[row] else place
        length -= half
    for row in range(size):
        places[row] += cuts[places[row]] < values[row]
