"""Learn from training rows which values and contributions are usual in each cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

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
from kyc_ml.features import FeatureSpec, FeatureTable
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

    Parameters
    ----------
    peers : str or sequence of str, optional
        Category features whose values make rows comparable, the most important first. Of
        several, those that the model does not have are passed over.
    contributions : callable, optional
        Returns the exact contributions of rows by number, of shape (m, p). It is called once,
        for at most `MOST_EXPLAINED` of the rows. Without it reasons compare nothing.
    seed : int
        Seed of the rows that are drawn.

    Raises
    ------
    ConfigError
        See `require_peers`.
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
    learned = {cell: _learn(features, here) for cell, here in cells.items()}
    if contributions is not None:
        drawn = np.sort(sample_rows(features.numbers, whole, count=MOST_EXPLAINED, seed=seed))
        _contribute(learned, cells, features.specs, drawn, contributions(drawn))
    return PeerReference.of(learned.pop(()), peers=usable, groups=learned)


def require_peers(features: FeatureTable, peers: Sequence[str] | str | None) -> None:
    """Check that the model has the categories that make rows comparable.

    Raises
    ------
    ConfigError
        If one is a number, or the only one is not among the columns. Of several, those that the
        model does not have are passed over.
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
        msg = (
            f"explain.peers: {name!r} cannot divide the customers into peers: {reason}; name one "
            f"of {', '.join(known) or 'none'}, or leave explain.peers out"
        )
        raise ConfigError(msg)


def _contribute(
    learned: dict[Cell, Usual],
    cells: Mapping[Cell, Ints],
    specs: Sequence[FeatureSpec],
    drawn: Ints,
    contributions: Floats,
) -> None:
    """Add to each cell the median contributions of its rows, shrunk towards the cell around it."""
    codes, sums = sum_by_reason(specs, contributions)
    every = np.column_stack([contributions, sums])
    found: dict[Cell, Floats] = {}
    for cell, here in cells.items():  # a cell comes after the cell around it
        own = every[np.isin(drawn, here, assume_unique=True)]
        if not cell:
            found[cell] = np.median(own, axis=0)
        else:
            around, weight = found[cell[:-1]], len(own) / (len(own) + SHRINKAGE)
            middle = np.median(own, axis=0) if len(own) else around
            found[cell] = weight * middle + (1.0 - weight) * around
        named = dict(zip([spec.name for spec in specs], found[cell].tolist(), strict=False))
        by_reason = dict(zip(codes, found[cell][len(specs) :].tolist(), strict=True))
        learned[cell] = replace(learned[cell], contributions=named, by_reason=by_reason)


def _learn(features: FeatureTable, rows: Ints) -> Usual:
    medians: dict[str, float] = {}
    modes: dict[str, str | None] = {}
    quantiles: dict[str, Floats] = {}
    missing: dict[str, float] = {}
    common: dict[str, tuple[str, ...]] = {}
    n, places = rows.size, pa.array(rows)
    for column, spec in enumerate(features.specs):
        if spec.kind == "category":
            counts = _count(features.categories[spec.name].take(places))
            # of equally common categories the first by name, whatever the order of rows
            modes[spec.name] = min(counts, key=lambda name: (-counts[name], name), default=None)
            common[spec.name] = tuple(sorted(v for v, rows in counts.items() if rows >= RARE * n))
            missing[spec.name] = 1.0 - sum(counts.values()) / max(n, 1)
            continue
        values = features.numbers[rows, column]
        known = np.sort(values[np.isfinite(values)])
        missing[spec.name] = float(np.isnan(values).mean()) if n else 1.0
        if not known.size:
            medians[spec.name] = np.nan
            continue
        medians[spec.name] = float(known[[(known.size - 1) // 2, known.size // 2]].mean())
        # adding 0 turns -0 into 0, so that equal values are written alike
        quantiles[spec.name] = known[_places(known.size)] + 0.0
    return Usual(
        medians=medians,
        modes=modes,
        quantiles=quantiles,
        rows=n,
        missing=missing,
        common=common,
    )


def _places(n: int) -> Ints:
    """Find the quantiles of n sorted values: the first whose share reaches the level."""
    # a level times n may lie a rounding above a whole number
    return np.maximum(np.ceil(np.array(LEVELS) * n - 1e-9).astype(np.int64) - 1, 0)


def _count(values: pa.Array) -> dict[str, int]:
    """Count the rows of each value that is not missing."""
    counted = values.drop_null().value_counts().to_pylist()
    return {item["values"]: item["counts"] for item in counted}
