"""Learn from training rows which values and contributions are usual in each cell."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.decision.explain.contrast import sum_by_reason
from kyc_ml.decision.explain.reference import (
    FEWEST_PEERS,
    JOINT,
    LEVELS,
    RARE,
    Cell,
    PeerReference,
    Usual,
    list_peers,
    nested,
)
from kyc_ml.errors import ConfigError, hint
from kyc_ml.features import FeatureTable
from kyc_ml.metrics import Floats, Ints, Mask, sample_rows

MOST_EXPLAINED: Final = 30_000
"""Training rows, drawn by content, whose contributions give the reference (convention)."""

SHRINKAGE: Final = 50
"""Rows that the cell around a cell weighs as much as: contributions of n rows have the weight
n / (n + 50), the rest is the outer cell's. Convention."""


def learn_reference(
    features: FeatureTable,
    rows: Mask,
    *,
    peers: Sequence[str] | str | None = None,
    contributions: Callable[[Ints], Floats] | None = None,
    seed: int = 0,
) -> PeerReference:
    """Compute usual values, and usual contributions, of the given rows and of each cell.

    `peers`: str or sequence of str; category features whose values make rows comparable, the most
    important first. Of several, those that the model does not have are passed over.
    `contributions`: returns the exact contributions of rows by number, of shape (m, p). It is
    called once, for at most `MOST_EXPLAINED` of the rows. Without it reasons compare nothing.
    `seed`: seed of the rows that are drawn.
    Raises ConfigError: see `require_peers`.
    """
    require_peers(features, peers)
    usable = tuple(name for name in list_peers(peers) if name in features.categories)
    whole = np.flatnonzero(rows)
    cells: dict[Cell, Ints] = {(): whole}
    for joined in nested(features, usable):
        own = joined.take(pa.array(whole))
        counted = own.drop_null().value_counts().to_pylist()
        large = [each["values"] for each in counted if each["counts"] >= FEWEST_PEERS]
        for value in sorted(large):
            same = pc.fill_null(pc.equal(own, value), fill_value=False)
            cells[tuple(value.split(JOINT))] = whole[same.to_numpy(zero_copy_only=False)]
    learned = _learn(features, cells)
    reference = PeerReference.of(learned.pop(()), peers=usable, groups=learned)
    if contributions is None:
        return reference
    drawn = np.sort(sample_rows(features.numbers, whole, count=MOST_EXPLAINED, seed=seed))
    return with_contributions(reference, features.take(drawn), contributions(drawn))


def with_contributions(
    reference: PeerReference, features: FeatureTable, contributions: Floats
) -> PeerReference:
    """Add to each cell the median contributions of its rows, shrunk towards the cell around it.

    `features`: FeatureTable of m rows; rows that stand for those the reference was learned from.
    `contributions`: float64 array of shape (m, p); their exact contributions, log-odds.
    """
    codes, sums = sum_by_reason(features.specs, contributions)
    every = np.column_stack([contributions, sums])
    joined = [each.to_numpy(zero_copy_only=False) for each in nested(features, reference.peers)]
    whole: Cell = ()
    found, learned = {whole: np.median(every, axis=0)}, {whole: reference.usuals[0]}
    for cell, usual in reference.groups.items():  # a cell comes after the cell around it
        own = every[joined[len(cell) - 1] == JOINT.join(cell)]
        around, weight = found[cell[:-1]], len(own) / (len(own) + SHRINKAGE)
        middle = np.median(own, axis=0) if len(own) else around
        found[cell], learned[cell] = weight * middle + (1.0 - weight) * around, usual
    names = [spec.name for spec in features.specs]
    learned = {
        cell: replace(
            usual,
            contributions=dict(zip(names, found[cell].tolist(), strict=False)),
            by_reason=dict(zip(codes, found[cell][len(names) :].tolist(), strict=True)),
        )
        for cell, usual in learned.items()
    }
    return PeerReference.of(learned.pop(whole), peers=reference.peers, groups=learned)


def require_peers(features: FeatureTable, peers: Sequence[str] | str | None) -> None:
    """Check that the model has the categories that make rows comparable.

    Raises ConfigError if one is a number, or the only one is not among the columns. Of several,
    those that the model does not have are passed over.
    """
    known = [spec.name for spec in features.specs if spec.kind == "category"]
    several = not isinstance(peers, str)
    for name in list_peers(peers):
        if name in known or (several and name not in features.names):
            continue
        why = features.unavailable.get(name)
        reason = (
            f"it was left out: {why}"
            if why
            else f"the model has no such category{hint(name, known)}"
        )
        raise ConfigError(
            f"explain.peers: {name!r} cannot divide the customers into peers: {reason}; name one "
            f"of {', '.join(known) or 'none'}, or leave explain.peers out"
        )


def _learn(features: FeatureTable, cells: Mapping[Cell, Ints]) -> dict[Cell, Usual]:
    """Learn the usual values of each cell; a table in files is read column after column."""
    found: dict[Cell, dict[str, dict[str, Any]]] = {cell: defaultdict(dict) for cell in cells}
    places = {cell: pa.array(rows) for cell, rows in cells.items()}
    for column, spec in enumerate(features.specs):
        if spec.kind == "category":
            texts = features.categories[spec.name]
            own = {cell: _of_category(texts.take(place)) for cell, place in places.items()}
        else:
            numbers = features.numbers[:, column]
            own = {cell: _of_number(numbers[rows]) for cell, rows in cells.items()}
        for cell, usual in own.items():
            for name, value in usual.items():
                found[cell][name][spec.name] = value
    empty: dict[str, dict[str, Any]] = {"medians": {}, "modes": {}}
    return {cell: Usual(rows=cells[cell].size, **{**empty, **of}) for cell, of in found.items()}


def _of_category(values: pa.Array) -> dict[str, Any]:
    counts, n = _count(values), len(values)
    return {
        # of equally common categories the first by name, whatever the order of rows
        "modes": min(counts, key=lambda name: (-counts[name], name), default=None),
        "common": tuple(sorted(v for v, rows in counts.items() if rows >= RARE * n)),
        "missing": 1.0 - sum(counts.values()) / max(n, 1),
    }


def _of_number(values: Floats) -> dict[str, Any]:
    known = np.sort(values[np.isfinite(values)])
    missing = float(np.isnan(values).mean()) if values.size else 1.0
    if not known.size:
        return {"missing": missing, "medians": np.nan}
    return {
        "missing": missing,
        "medians": float(known[[(known.size - 1) // 2, known.size // 2]].mean()),
        # adding 0 turns -0 into 0, so that equal values are written alike
        "quantiles": known[_places(known.size)] + 0.0,
    }


def _places(n: int) -> Ints:
    """Find the quantiles of n sorted values: the first whose share reaches the level."""
    # a level times n may lie a rounding above a whole number
    return np.maximum(np.ceil(np.array(LEVELS) * n - 1e-9).astype(np.int64) - 1, 0)


def _count(values: pa.Array) -> dict[str, int]:
    """Count the rows of each value that is not missing."""
    counted = values.drop_null().value_counts().to_pylist()
    return {item["values"]: item["counts"] for item in counted}
