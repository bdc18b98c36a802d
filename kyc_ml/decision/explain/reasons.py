"""Ranked reasons: contributions summed by reason code, each sentence written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kyc_ml.decision.explain.reference import PeerReference
from kyc_ml.decision.explain.sentences import EFFECTS, Effects, Value, say_reason, say_usual
from kyc_ml.features import FeatureSpec, FeatureTable
from kyc_ml.metrics import Floats, Ints, Names


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
    effects: Effects = EFFECTS,
) -> dict[str, pa.Array]:
    """Return each row's k strongest reasons as columns.

    A reason is all features of one reason code: their contributions are summed, and the
    feature with the strongest contribution in the direction of the sum gives the value and the
    sentence. Equal sizes keep the order of the features.

    Parameters
    ----------
    currency : str
        Base currency of the amounts.
    effects : mapping of sign to (English, Chinese), optional
        Effect of a contribution by its sign, where it is not the usual one.

    Returns
    -------
    mapping of column name to array of length n
        reason_peers (the peer group, or 'all' and the reason), and for i from 1 to k:
        reason_i_code, reason_i_family, reason_i_text, reason_i_text_zh, reason_i_value (null
        where missing or a category), reason_i_peer_median (null where unknown or a category),
        reason_i_percentile (0 to 1, the value's place among the peers, ties counting half;
        null where either is unknown), reason_i_contribution (log-odds) and reason_i_share
        (size divided by the sum of all sizes, 0 to 1).
    """
    codes, by_code = sum_by_code(features.specs, contributions)
    ranked = rank_reasons(by_code, k=k)
    chosen = _representatives(codes, contributions, by_code, ranked)
    pushed = np.take_along_axis(by_code, ranked, axis=1)
    size = np.abs(by_code).sum(axis=1, keepdims=True)
    share = np.divide(np.abs(pushed), size, out=np.zeros(pushed.shape), where=size > 0.0)
    written = _write_all(
        features, chosen, pushed, reference=reference, currency=currency, effects=effects
    )
    names = np.array([spec.reason_code for spec in features.specs], dtype=object)
    families = np.array([spec.family for spec in features.specs], dtype=object)
    columns = {"reason_peers": pa.array(reference.name_groups(features), pa.string())}
    for place in range(ranked.shape[1]):
        stem = f"reason_{place + 1}"
        columns[f"{stem}_code"] = pa.array(names[chosen[:, place]], pa.string())
        columns[f"{stem}_family"] = pa.array(families[chosen[:, place]], pa.string())
        columns[f"{stem}_text"] = pa.array(written.english[:, place], pa.string())
        columns[f"{stem}_text_zh"] = pa.array(written.chinese[:, place], pa.string())
        for what, values in (
            ("value", written.value),
            ("peer_median", written.median),
            ("percentile", written.percentile),
        ):
            columns[f"{stem}_{what}"] = pa.array(values[:, place], pa.float64(), from_pandas=True)
        columns[f"{stem}_contribution"] = pa.array(pushed[:, place])
        columns[f"{stem}_share"] = pa.array(share[:, place])
    return columns


def sum_by_code(specs: Sequence[FeatureSpec], contributions: Floats) -> tuple[Ints, Floats]:
    """Sum contributions of shape (n, p) by reason code; codes keep the order of the features.

    Returns
    -------
    codes : int64 array of shape (p,)
        Place of each feature's code.
    by_code : float64 array of shape (n, number of codes)
    """
    names = list(dict.fromkeys(spec.reason_code for spec in specs))
    place = {name: column for column, name in enumerate(names)}
    codes = np.array([place[spec.reason_code] for spec in specs], np.int64)
    if len(names) == len(specs):
        # the same array, not a copy: `_representatives` recognises it
        return codes, contributions
    by_code = np.zeros((contributions.shape[0], len(names)))
    for column, code in enumerate(codes):
        by_code[:, code] += contributions[:, column]
    return codes, by_code


def _representatives(codes: Ints, contributions: Floats, by_code: Floats, ranked: Ints) -> Ints:
    """Find the feature whose value and sentence represent each ranked code, shape of `ranked`."""
    if by_code is contributions:
        return ranked
    out = np.empty_like(ranked)
    for code in np.unique(ranked):
        members = np.flatnonzero(codes == code)
        row, place = np.nonzero(ranked == code)
        way = np.sign(by_code[row, code])[:, None]
        # where the sum is 0 it has no direction: the strongest feature represents it
        along = np.where(way == 0.0, np.abs(contributions[row][:, members]), 0.0)
        along += contributions[row][:, members] * way
        out[row, place] = members[np.argmax(along, axis=1)]
    return out


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
    group = reference.group_of(features)
    names = (None, *reference.groups)
    empty = np.full(chosen.shape, np.nan)
    written = _Sentences(
        english=np.empty(chosen.shape, object),
        chinese=np.empty(chosen.shape, object),
        value=empty.copy(),
        median=empty.copy(),
        percentile=empty.copy(),
    )
    for column in np.unique(chosen):
        spec = features.specs[column]
        row, place = np.nonzero(chosen == column)
        texts, which = _values(features, column, row)
        sign = np.sign(pushed[row, place]).astype(np.int64)
        # one sentence for each value, group and sign
        key = (which * len(names) + group[row]) * 3 + sign + 1
        _, first, same = np.unique(key, return_index=True, return_inverse=True)
        medians = np.array([usual.medians.get(spec.name, np.nan) for usual in reference.usuals])
        percentile = np.full(first.size, np.nan)
        if spec.kind != "category":
            own = features.numbers[row, column]
            written.value[row, place] = own
            written.median[row, place] = medians[group[row]]
            for number, usual in enumerate(reference.usuals):
                here = group[row[first]] == number
                percentile[here] = usual.percentile(spec.name, own[first[here]])
            written.percentile[row, place] = percentile[same]
        normal = {
            number: say_usual(spec, usual, group=names[number], currency=currency)
            for number, usual in enumerate(reference.usuals)
        }
        sentences = [
            say_reason(
                spec,
                texts[which[each]],
                usual=normal[group[row[each]]],
                percentile=float(percentile[number]),
                currency=currency,
                effect=effects[float(sign[each])],
            )
            for number, each in enumerate(first)
        ]
        for into, language in ((written.english, 0), (written.chinese, 1)):
            into[row, place] = np.array([sentence[language] for sentence in sentences], object)[
                same
            ]
    return written


def _values(features: FeatureTable, column: np.int64, row: Ints) -> tuple[list[Value], Ints]:
    """List the different values that a feature takes in rows, and which each row has."""
    spec = features.specs[column]
    if spec.kind == "category":
        coded = features.categories[spec.name].take(pa.array(row)).dictionary_encode()
        which = coded.indices.fill_null(len(coded.dictionary))
        return [*coded.dictionary.to_pylist(), None], which.to_numpy().astype(np.int64)
    values, which = np.unique(features.numbers[row, column], return_inverse=True)
    return values.tolist(), np.asarray(which, np.int64)
