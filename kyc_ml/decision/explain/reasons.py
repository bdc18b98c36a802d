"""Reasons as columns of a score table: codes, figures and sentences, each written once."""

from collections.abc import Mapping
from math import isnan
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
from kyc_ml.features import FeatureSpec, FeatureTable, to_columns
from kyc_ml.metrics import AnyArray, Floats, Ints, Names
from kyc_ml.storage import remember

NOTHING_STANDS_OUT: Final = "nothing_stands_out"
"""Code of the first reason of a row that has none."""


def rank_reasons(contributions: Floats, *, k: int) -> Ints:
    """Rank each row's features by the size of their contribution, largest first.

    Equal sizes keep the order of the features: the same input gives the same ranking.

    Returns int64 array of shape (n_rows, min(k, n_features)).
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

    `currency`: base currency of the amounts.
    `base`: float64 array of shape (n,); base value of each row, log-odds.
    `effects`: mapping of sign to (English, Chinese); effect of a contribution by its sign, where it
    is not the usual one.
    Returns mapping of column name to array of length n; reference_margin (base value and the sum of
    what comparable rows get, log-odds; null without `base` or contrast), reason_peers (the
    comparable rows, or 'all' and the reason), and for i from 1 to k: reason_i_code,
    reason_i_feature (the one that represents the group), reason_i_family, reason_i_text,
    reason_i_text_zh, reason_i_value (null where missing or a category), reason_i_peer_median (null
    where unknown or a category), reason_i_percentile (0 to 1, the value's place among the peers,
    ties counting half; null where either is unknown), reason_i_contribution (log-odds; by contrast,
    the group's difference from comparable rows) and reason_i_share (size divided by the sum of all
    sizes, 0 to 1). All are null where a row has fewer reasons; where it has none, the first code is
    `NOTHING_STANDS_OUT`, with its sentence.
    """
    n = len(features)
    margin, cells = pa.nulls(n, pa.float64()), reference.group_of(features)
    if reference.contrasts:
        found = find_reasons(features, contributions, reference=reference, k=k, cells=cells)
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
    sentences, numbers = _write_all(
        *(features, cells, chosen, pushed), reference=reference, currency=currency, effects=effects
    )
    names, families = _labels(features.specs)
    named = np.array([*codes, None], dtype=object)[groups]
    named[:, :1][groups[:, :1] < 0] = NOTHING_STANDS_OUT
    texts: dict[str, Names] = {
        "code": named,
        "feature": names[chosen],
        "family": families[chosen],
        **sentences,
    }
    numbers |= {"contribution": pushed, "share": share}
    places = range(1, chosen.shape[1] + 1)
    order = [f"reason_{place}_{what}" for place in places for what in (*texts, *numbers)]
    columns = dict.fromkeys(["reference_margin", "reason_peers", *order], margin)
    columns |= to_columns({"reason_peers": reference.name_groups(features, cells)}, pa.string())
    columns |= to_columns(_by_place(texts), pa.string())
    return columns | to_columns(_by_place(numbers), pa.float64())


def _by_place(values: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """Return the columns of each reason, from values of shape (n, k)."""
    return {
        f"reason_{place + 1}_{what}": each[:, place]
        for what, each in values.items()
        for place in range(each.shape[1])
    }


@remember
def _labels(specs: tuple[FeatureSpec, ...]) -> tuple[Names, Names]:
    """Return names and families of features; the last one, None, is what place -1 takes."""
    names = np.array([*(spec.name for spec in specs), None], dtype=object)
    return names, np.array([*(spec.family for spec in specs), None], dtype=object)


def _write_all(
    features: FeatureTable,
    cells: Ints,
    chosen: Ints,
    pushed: Floats,
    *,
    reference: PeerReference,
    currency: str,
    effects: Effects,
) -> tuple[dict[str, Names], dict[str, Floats]]:
    """Write every reason; equal ones only once, because most rows of a bank share them.

    Returns columns of texts and of numbers, each of shape (n, k).
    """
    english, chinese = (np.empty(chosen.shape, object) for _ in range(2))
    value, median, percentile = (np.full(chosen.shape, np.nan) for _ in range(3))
    alone = chosen[:, :1] < 0
    if alone.any():
        english[:, :1][alone], chinese[:, :1][alone] = write_both("reason", "nothing")
    at = np.nonzero(chosen >= 0)
    columns = chosen[at].tolist()
    words = {
        column: features.categories[spec.name].to_pylist()
        for column in set(columns)
        if (spec := features.specs[column]).kind == "category"
    }
    value[at] = features.numbers[at[0], columns]
    if words:
        value[np.isin(chosen, list(words))] = np.nan
    own: list[Value] = [
        words[column][row] if column in words else None if isnan(number) else number
        for row, column, number in zip(at[0].tolist(), columns, value[at].tolist(), strict=True)
    ]
    signs = np.sign(pushed[at]).tolist()
    keys = list(zip(columns, cells[at[0]].tolist(), own, signs, strict=True))
    said = {
        key: _write(*key, features.specs, reference=reference, currency=currency, effects=effects)
        for key in set(keys)
    }
    rows = zip(*map(said.__getitem__, keys), strict=True)
    # without any reason there are no columns either
    for into, values in zip((english, chinese, median, percentile), rows, strict=False):
        into[at] = np.array(values, into.dtype)
    numbers = {"value": value, "peer_median": median, "percentile": percentile}
    return {"text": english, "text_zh": chinese}, numbers


def _write(
    column: int,
    cell: int,
    own: Value,
    sign: float,
    specs: tuple[FeatureSpec, ...],
    *,
    reference: PeerReference,
    currency: str,
    effects: Effects,
) -> tuple[str, str, float, float]:
    """Write one reason in both languages; also return the median and the place among the peers."""
    spec, usual, place, middle = specs[column], reference.usuals[cell], np.nan, np.nan
    if spec.kind != "category":
        place = usual.percentile(spec.name, np.nan if own is None else float(own))
        middle = usual.medians.get(spec.name, np.nan)
    more = figures_beside(spec, own, usual, currency=currency)
    texts = _usual_texts(reference, specs, currency)
    if (column, cell, more) not in texts:
        group = reference.name_cell(cell, "en"), reference.name_cell(cell, "zh")
        texts[column, cell, more] = say_usual(
            spec, usual, group=group if cell else None, currency=currency, more=more
        )
    return (
        *say_reason(
            spec,
            own,
            usual=texts[column, cell, more],
            percentile=place,
            currency=currency,
            effect=effects[sign],
            more=more,
        ),
        middle,
        place,
    )


@remember
def _usual_texts(
    reference: PeerReference, specs: tuple[FeatureSpec, ...], currency: str
) -> dict[tuple[int, int, int], Pair]:
    """Return where sentences of what is usual are kept: by feature, cell and figures."""
    return {}
