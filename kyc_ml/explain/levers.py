"""What would lower a tier: the nearest change of one or two of a customer's own habits.

A counterfactual on the model's input: all other features stay as they are, though in life
they would move along. For the analyst, never for the customer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from kyc_ml.contract.tables import ACCOUNT_ID, CUSTOMER_ID
from kyc_ml.contributions.trees import Forest, parse_forest
from kyc_ml.explain.wording import say_value
from kyc_ml.features.spec import FeatureSpec, Formula, Window
from kyc_ml.model import Model

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

ACTIONABLE_FAMILIES: Final = frozenset(
    {
        "amounts",
        "counterparties",
        "flow_through",
        "geography",
        "instruments",
        "structuring",
        "timing",
        "velocity",
    }
)
"""Families of what customers do themselves; never who they are, what others say of them,
outcomes, or their peers. A family that is new stays out until somebody lists it."""

_CONTINUOUS: Final = frozenset(
    {
        *("share", "ratio", "times", "log ratio", "nats", "standard deviations"),
        *("base currency", "base currency a year", "hours", "days", "years", "item's own unit"),
    }
)
"""Units whose values need not be whole; all others count."""

_MOST_TRIED: Final = 100_000
"""Pairs of changes tried: about two seconds of work."""
_PIECE: Final = 4_096
_TINY: Final = 1e-30
"""LightGBM splits next to 0 at 1e-35: 0 itself lies on the same side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One feature moved past a split of the model.

    Attributes
    ----------
    now, then : float
        The customer's own value, and the nearest that lies beyond the split.
    distance : float
        Share of the model's splits of this feature that lie between, above 0 to 1.
    """

    spec: FeatureSpec
    now: float
    then: float
    distance: float

    def say(self, *, currency: str, chinese: bool) -> str:
        """Say the step in one language."""
        now, then = (
            say_value(self.spec, value, currency=currency, chinese=chinese)
            for value in (self.now, self.then)
        )
        if chinese:
            return f"{self.spec.description_zh}：{now}→{then}"
        return f"{self.spec.description}: {then} instead of {now}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The nearest change that was looked for.

    Attributes
    ----------
    steps : tuple of Step
        One or two; empty where none of those tried is enough.
    margin : float
        Log-odds after it, exactly; NaN where there is none.
    complete : bool
        False if there were more pairs than were tried.
    """

    steps: tuple[Step, ...]
    margin: float
    complete: bool


def is_actionable(spec: FeatureSpec, specs: Mapping[str, FeatureSpec]) -> bool:
    """Tell whether a customer's conduct from now on can move a feature.

    It can if its family is listed, risk may only move one way with it (`monotone`), and it
    is read from the customer's own rows of a limited time, as is all that it is made of.
    What is read of all history, of a profile, or of the payment itself is past.
    """
    return (
        spec.family in ACTIONABLE_FAMILIES
        and spec.monotone != 0
        and spec.kind == "number"
        and _is_conduct(spec, specs)
    )


def find_change(
    model: Model,
    row: Floats,
    *,
    specs: Mapping[str, FeatureSpec],
    lowers: Callable[[Floats], Mask],
) -> Change:
    """Find the nearest change of one actionable feature that is enough; else of two.

    Each feature is moved against its risk (`monotone`), past one split of the model after
    the other: between two splits nothing changes. Nearest is the least sum of `distance`;
    ties keep the order of the features.

    Parameters
    ----------
    row : float64 array of shape (n_features,)
        The model's input. A missing value is not moved.
    specs : mapping of name to FeatureSpec
        The model's columns, with all that they are made of.
    lowers : callable
        Tells of margins of shape (m,) whether the tier would be lower.
    """
    forest = parse_forest(model.text)
    ways = {
        column: steps
        for column, name in enumerate(model.feature_names)
        if is_actionable(specs[name], specs)
        and (steps := _steps(forest, column, specs[name], float(row[column])))
    }
    singles: list[_Tried] = [((column, step),) for column, each in ways.items() for step in each]
    found = _nearest(model, row, singles, lowers)
    pairs: list[_Tried] = []
    left_out = False
    if found is None:
        pairs, left_out = _pairs(ways)
        found = _nearest(model, row, pairs, lowers)
    if found is None:
        return Change(steps=(), margin=np.nan, complete=not left_out)
    return Change(steps=found[0], margin=found[1], complete=not left_out)


_Tried = tuple[tuple[int, Step], ...]
"""Columns and how each is moved."""


def _is_conduct(spec: FeatureSpec, specs: Mapping[str, FeatureSpec]) -> bool:
    match spec.how:
        case Window(key=key, period=period, at=at):
            own = at is None and any(each in {CUSTOMER_ID, ACCOUNT_ID} for each in key)
            return own and period.us is not None
        case Formula(inputs=inputs):
            return all(name in specs and _is_conduct(specs[name], specs) for name in inputs)
        case _:
            return False


def _steps(forest: Forest, column: int, spec: FeatureSpec, now: float) -> list[Step]:
    """List the values beyond each split that lies ahead, the nearest first."""
    if not np.isfinite(now):
        return []
    own = forest.threshold[forest.feature == column]
    splits = np.unique(own[~np.isnan(own)])
    whole = spec.unit not in _CONTINUOUS
    if spec.monotone > 0:  # at most the split goes left
        ahead = splits[splits < now][::-1]
        beyond = np.floor(ahead) if whole else np.where(np.abs(ahead) < _TINY, 0.0, ahead)
    else:
        ahead = splits[splits >= now]
        beyond = np.floor(ahead) + 1.0 if whole else np.nextafter(ahead, np.inf)
    possible = (beyond >= 0.0) | (now < 0.0)  # nothing that counts or measures turns negative
    if spec.unit == "share":
        possible &= beyond <= 1.0
    crossed = (1.0 + np.arange(ahead.size)) / max(splits.size, 1)
    return [
        Step(spec=spec, now=now, then=float(value), distance=float(far))
        for value, far in zip(beyond[possible], crossed[possible], strict=True)
    ]


def _pairs(ways: Mapping[int, list[Step]]) -> tuple[list[_Tried], bool]:
    """List pairs of steps of two features, and whether some were too many to be tried."""
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


def _nearest(
    model: Model, row: Floats, tried: list[_Tried], lowers: Callable[[Floats], Mask]
) -> tuple[tuple[Step, ...], float] | None:
    """Try the nearest changes first, and give the first that is enough."""
    tried = sorted(tried, key=lambda each: sum(step.distance for _, step in each))
    for start in range(0, len(tried), _PIECE):
        piece = tried[start : start + _PIECE]
        matrix = np.tile(row, (len(piece), 1))
        for place, steps in enumerate(piece):
            for column, step in steps:
                matrix[place, column] = step.then
        margin = model.margin(matrix)
        enough = np.flatnonzero(lowers(margin))
        if enough.size:
            first = int(enough[0])
            return tuple(step for _, step in piece[first]), float(margin[first])
    return None
