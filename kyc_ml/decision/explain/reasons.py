"""Reasons as columns of a score table: codes, figures and sentences, each written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from kyc_ml.decision.explain.contrast import find_reasons
from kyc_ml.decision.explain.reference import PeerReference
from kyc_ml.decision.explain.sentences import (
    EFFECTS,
    Effects,
    Value,
    figures_beside,
    say_reason,
    say_usual,
)
from kyc_ml.decision.wording import Pair, write_both
from kyc_ml.features import FeatureSpec, FeatureTable
from kyc_ml.metrics import Floats, Ints, Names

NOTHING_STANDS_OUT: Final = "nothing_stands_out"
"""Code of the first reason of a row that has none."""


def rank_reasons(contributions: Floats, *, k: int) -> Ints:
    """Rank each row's features by the size of their contribution, largest first.

    Equal sizes keep the order of the features: the same input gives the same ranking.

    Returns
    -------
    int64 array of shape (n_rows, min(k, n_features))
    """
    size = np.abs(contributions)
    # stable: of equal contributions the earlier feature comes first
    return np.argsort(-size, axis=1, kind="stable")[:, :k]


def make_reasons(
    features: FeatureTable,
    contributions: Floats,
    *,
    reference: PeerReference,
    currency: str,
    k: int,
    base: Floats | None = None,
    effects: Effects = EFFECTS,
) -> dict[str, pa.Array]:
    """Return each row's reasons as columns.

    With a reference that `contrasts`, a reason is a group of features that contributes otherwise
    than to comparable rows; see `find_reasons`. Without one, the k features of the largest
    contributions are the reasons; equal sizes keep the order of the features.

    Parameters
    ----------
    currency : str
        Base currency of the amounts.
    base : float64 array of shape (n,), optional
        Base value of each row, log-odds.
    effects : mapping of sign to (English, Chinese), optional
        Effect of a contribution by its sign, where it is not the usual one.

    Returns
    -------
    mapping of column name to array of length n
        reference_margin (base value and the sum of what comparable rows get, log-odds; null
        without `base` or contrast), reason_peers (the comparable rows, or 'all' and the reason),
        and for i from 1 to k: reason_i_code, reason_i_feature (the one that represents the group),
        reason_i_family, reason_i_text, reason_i_text_zh, reason_i_value (null where missing or
        a category), reason_i_peer_median (null where unknown or a category),
        reason_i_percentile (0 to 1, the value's place among the peers, ties counting half; null
        where either is unknown), reason_i_contribution (log-odds; by contrast, the group's
        difference from comparable rows) and reason_i_share (size divided by the sum of all
        sizes, 0 to 1). All are null where a row has fewer reasons; where it has none, the first
        code is `NOTHING_STANDS_OUT`, with its sentence.
    """
    n = len(features)
    margin = pa.nulls(n, pa.float64())
    if reference.contrasts:
        found = find_reasons(features, contributions, reference=reference, k=k)
        groups, chosen, sizes, codes = (
            found.groups,
            found.members,
            found.differences,
            found.codes,
        )
        if base is not None:
            margin = pa.array(base + found.references)
    else:
        groups = chosen = rank_reasons(contributions, k=k)
        sizes, codes = contributions, tuple(spec.code for spec in features.specs)
    pushed = np.where(groups >= 0, np.take_along_axis(sizes, groups, axis=1), np.nan)
    total = np.abs(sizes).sum(axis=1, keepdims=True)
    share = np.divide(np.abs(pushed), total, out=pushed * 0.0, where=total > 0.0)
    written = _write_all(
        features, chosen, pushed, reference=reference, currency=currency, effects=effects
    )
    # the last one, None, is what place -1 takes
    names = np.array([*features.names, None], dtype=object)
    families = np.array([*(spec.family for spec in features.specs), None], dtype=object)
    columns = {
        "reference_margin": margin,
        "reason_peers": pa.array(reference.name_groups(features), pa.string()),
    }
    for place in range(chosen.shape[1]):
        stem, own = f"reason_{place + 1}", chosen[:, place]
        known = np.array([*codes, NOTHING_STANDS_OUT if place == 0 else None], dtype=object)
        for what, texts in (
            ("code", known[groups[:, place]]),
            ("feature", names[own]),
            ("family", families[own]),
            ("text", written.english[:, place]),
            ("text_zh", written.chinese[:, place]),
        ):
            columns[f"{stem}_{what}"] = pa.array(texts, pa.string())
        for what, values in (
            ("value", written.value),
            ("peer_median", written.median),
            ("percentile", written.percentile),
            ("contribution", pushed),
            ("share", share),
        ):
            columns[f"{stem}_{what}"] = pa.array(values[:, place], pa.float64(), from_pandas=True)
    return columns


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sentences:
    """Sentences and values of n rows' k reasons; every array has shape (n, k)."""

    english: Names
    chinese: Names
    value: Floats
    median: Floats
    percentile: Floats


def _write_all(
    features: FeatureTable,
    chosen: Ints,
    pushed: Floats,
    *,
    reference: PeerReference,
    currency: str,
    effects: Effects,
) -> _Sentences:
    """Write every reason; equal ones only once, because most rows of a bank share them."""
    group, count = reference.group_of(features), len(reference.usuals)
    english, chinese = (np.empty(chosen.shape, object) for _ in range(2))
    value, median, percentile = (np.full(chosen.shape, np.nan) for _ in range(3))
    if chosen.shape[1]:
        alone = chosen[:, 0] < 0
        english[alone, 0], chinese[alone, 0] = write_both("reason", "nothing")
    for column in np.unique(chosen[chosen >= 0]):
        spec = features.specs[column]
        row, place = np.nonzero(chosen == column)
        texts, which = _values(features, column, row)
        sign = np.sign(pushed[row, place]).astype(np.int64)
        # one sentence for each value, group and sign
        key = (which * count + group[row]) * 3 + sign + 1
        _, first, same = np.unique(key, return_index=True, return_inverse=True)
        groups, places = group[row[first]], np.full(first.size, np.nan)
        if spec.kind != "category":
            own = features.numbers[row, column]
            medians = np.array([usual.medians.get(spec.name, np.nan) for usual in reference.usuals])
            for number, usual in enumerate(reference.usuals):
                here = groups == number
                places[here] = usual.percentile(spec.name, own[first[here]])
            value[row, place], median[row, place] = own, medians[group[row]]
            percentile[row, place] = places[same]
        sentences = _say_each(
            spec,
            [texts[each] for each in which[first]],
            groups=groups.tolist(),
            percentiles=places.tolist(),
            effects=[effects[float(each)] for each in sign[first]],
            reference=reference,
            currency=currency,
        )
        for into, said in zip((english, chinese), zip(*sentences, strict=True), strict=True):
            into[row, place] = np.array(said, object)[same]
    return _Sentences(
        english=english, chinese=chinese, value=value, median=median, percentile=percentile
    )


def _say_each(
    spec: FeatureSpec,
    values: Sequence[Value],
    *,
    groups: Sequence[int],
    percentiles: Sequence[float],
    effects: Sequence[Pair],
    reference: PeerReference,
    currency: str,
) -> list[Pair]:
    """Write one feature's sentences, each with what is usual in the group of its row."""
    figures = [
        figures_beside(spec, value, reference.usuals[group], currency=currency)
        for value, group in zip(values, groups, strict=True)
    ]
    normal = {
        (group, more): say_usual(
            spec,
            reference.usuals[group],
            group=(reference.name_cell(group, "en"), reference.name_cell(group, "zh"))
            if group
            else None,
            currency=currency,
            more=more,
        )
        for group, more in set(zip(groups, figures, strict=True))
    }
    return [
        say_reason(
            spec,
            value,
            usual=normal[group, more],
            percentile=percentile,
            currency=currency,
            effect=effect,
            more=more,
        )
        for value, group, percentile, effect, more in zip(
            values, groups, percentiles, effects, figures, strict=True
        )
    ]


def _values(features: FeatureTable, column: np.int64, row: Ints) -> tuple[list[Value], Ints]:
    """List the different values that a feature takes in rows, and which each row has."""
    spec = features.specs[column]
    if spec.kind == "category":
        coded = features.categories[spec.name].take(pa.array(row)).dictionary_encode()
        which = coded.indices.fill_null(len(coded.dictionary))
        return [*coded.dictionary.to_pylist(), None], which.to_numpy().astype(np.int64)
    values, which = np.unique(features.numbers[row, column], return_inverse=True)
    return values.tolist(), np.asarray(which, np.int64)
