"""Counterfactuals: the nearest change of one or two features of conduct that lowers a tier.

All other features stay as they are, although in reality they would change too. For analysts,
never for customers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from kyc_ml.decision.explain.directions import direction_of
from kyc_ml.decision.explain.sentences import say_both
from kyc_ml.decision.wording import Pair, write_both
from kyc_ml.features import Direction, FeatureSpec
from kyc_ml.metrics import Floats, Mask
from kyc_ml.model import Model, parse_forest

_CONTINUOUS: Final = frozenset(
    {
        *("share", "ratio", "times", "log ratio", "nats", "standard deviations", "number"),
        *("base currency", "base currency a year", "hours", "days", "years", "item's own unit"),
    }
)
"""Units whose values need not be whole numbers; all others are counts."""

_MOST_TRIED: Final = 100_000
"""Most pairs of changes that are tried: a few seconds of work."""
_PIECE: Final = 4_096
_TINY: Final = 1e-30
"""LightGBM splits next to 0 at 1e-35: 0 itself lies on the same side."""
_UNDER: Final = 0.99
"""Share of a limit that is tried below it: near, but visibly below when it is rounded."""
_ANY: Final = 1e-3
"""A limit up to this means "more than nothing": only 0 lies below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedValue:
    """One feature moved across a threshold of the model or the policy."""

    spec: FeatureSpec
    now: float
    then: float
    """`now` and `then`: the customer's value, and the first one beyond the threshold."""
    distance: float
    """Share of the feature's thresholds that are crossed, above 0 to 1."""

    def say(self, *, currency: str) -> Pair:
        """Write the change in both languages."""
        return write_both(
            "counterfactual",
            "change",
            what=(self.spec.description, self.spec.description_zh),
            now=say_both(self.spec, self.now, currency=currency),
            then=say_both(self.spec, self.then, currency=currency),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureChange:
    """The nearest change that is enough."""

    steps: tuple[TriedValue, ...]
    """One or two; empty if no change that was tried is enough."""
    values: Floats
    """float64 array of shape (p,); the row after the change; unchanged without one."""
    complete: bool
    """False if there were more pairs than were tried."""


def splits_of(model: Model) -> dict[str, Floats]:
    """List the values at which a model's trees split each number feature, ascending.

    A value up to a split lies on its lower side.
    """
    forest = parse_forest(model.text)
    found = {}
    for column, name in enumerate(model.feature_names):
        own = forest.threshold[forest.feature == column]
        found[name] = np.unique(own[~np.isnan(own)])
    return found


def find_change(
    row: Floats,
    columns: Sequence[FeatureSpec],
    *,
    specs: Mapping[str, FeatureSpec],
    splits: Mapping[str, Floats],
    limits: Mapping[str, Sequence[float]],
    lowers: Callable[[Floats], Mask],
) -> FeatureChange:
    """Find the nearest change of one feature of conduct that is enough; else of two.

    Each feature is moved to lower risk (`direction_of`), across one threshold after another.
    The nearest change has the smallest sum of `distance`; ties keep the order of the columns.

    `row`: float64 array of shape (p,); values of the row. A missing value is not changed.
    `columns`: sequence of FeatureSpec, length p.
    `specs`: mapping of name to FeatureSpec; the columns, and the features that they are made of.
    `splits`, `limits`: mapping of name to thresholds; a value up to a split, or below a limit, lies
    on its lower side.
    `lowers`: returns for rows of shape (m, p) whether the tier would be lower.
    """
    ways: dict[int, list[TriedValue]] = {}
    for column, spec in enumerate(columns):
        rising = direction_of(spec, specs)
        if rising == 0 or not np.isfinite(row[column]):
            continue
        sides = _sides(spec, splits.get(spec.name, ()), limits.get(spec.name, ()))
        steps = _steps(spec, float(row[column]), sides[0 if rising > 0 else 1], rising=rising)
        if steps:
            ways[column] = steps
    singles: list[_Tried] = [((column, step),) for column, each in ways.items() for step in each]
    found = _nearest(row, singles, lowers)
    left_out = False
    if found is None:
        pairs, left_out = _pairs(ways)
        found = _nearest(row, pairs, lowers)
    return FeatureChange(
        steps=() if found is None else tuple(step for _, step in found),
        values=row if found is None else _moved(row, [found])[0],
        complete=not left_out,
    )


_Tried = tuple[tuple[int, TriedValue], ...]
"""Columns, and the value that each would get."""


def _sides(
    spec: FeatureSpec, splits: Sequence[float] | Floats, limits: Sequence[float]
) -> tuple[Floats, Floats]:
    """List the values just below and just above each threshold."""
    at, under = np.asarray(splits, np.float64), np.asarray(limits, np.float64)
    if spec.unit in _CONTINUOUS:
        low = np.where(np.abs(at) < _TINY, 0.0, at), np.where(under <= _ANY, 0.0, under * _UNDER)
        # a split sends its own value to the left: just above it is the next number
        high = np.nextafter(at, np.inf), under
    else:
        low = np.floor(at), np.ceil(under) - 1.0
        high = np.floor(at) + 1.0, np.ceil(under)
    return np.unique(np.concatenate(low)), np.unique(np.concatenate(high))


def _steps(spec: FeatureSpec, now: float, points: Floats, *, rising: Direction) -> list[TriedValue]:
    """List the values in the direction of less risk, the nearest first."""
    ahead = points[points < now][::-1] if rising > 0 else points[points > now]
    possible = (ahead >= 0.0) | (now < 0.0)  # counts and amounts do not become negative
    if spec.unit == "share":
        possible &= ahead <= 1.0
    passed = (1.0 + np.arange(ahead.size)) / max(points.size, 1)
    return [
        TriedValue(spec=spec, now=now, then=float(value), distance=float(far))
        for value, far in zip(ahead[possible], passed[possible], strict=True)
    ]


def _pairs(ways: Mapping[int, list[TriedValue]]) -> tuple[list[_Tried], bool]:
    """List pairs of steps of two features, and whether some were left out."""
    # pairs of features with few combinations come first, so that most features are tried
    sizes = {pair: len(ways[pair[0]]) * len(ways[pair[1]]) for pair in combinations(ways, 2)}
    fitting, left = [], _MOST_TRIED
    for pair in sorted(sizes, key=lambda each: (sizes[each], each)):
        left -= sizes[pair]
        if left >= 0:
            fitting.append(pair)
    tried: list[_Tried] = [
        ((one, a), (other, b))
        for one, other in sorted(fitting)
        for a in ways[one]
        for b in ways[other]
    ]
    return tried, left < 0


def _nearest(row: Floats, tried: list[_Tried], lowers: Callable[[Floats], Mask]) -> _Tried | None:
    """Try the nearest changes first, and return the first that is enough."""
    # a stable sort: of equally near changes the first in order is tried first
    tried = sorted(tried, key=lambda each: sum(step.distance for _, step in each))
    for start in range(0, len(tried), _PIECE):
        piece = tried[start : start + _PIECE]
        enough = np.flatnonzero(lowers(_moved(row, piece)))
        if enough.size:
            return piece[int(enough[0])]
    return None


def _moved(row: Floats, tried: Sequence[_Tried]) -> Floats:
    """Return the row after each change, shape (len(tried), p)."""
    rows = np.tile(row, (len(tried), 1))
    for place, steps in enumerate(tried):
        for column, step in steps:
            rows[place, column] = step.then
    return rows
