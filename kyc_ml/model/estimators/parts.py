"""Which rows train, which stop the fitting, and which calibrate."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from scipy.stats import poisson

from kyc_ml.errors import ConfigError, DatasetError, Faults, RowOrderWarning, TooFewRowsWarning
from kyc_ml.metrics import Floats, Ints

_BY_CHANCE: Final = 0.01
_SORTED: Final = (
    "rows are sorted by class and not by time: the last rows of each class were held back for "
    "early stopping and calibration; sort rows by time, or set early_stopping_share and "
    "calibration_share to 0"
)
_NOT_DONE: Final = {
    "early_stopping": "for early stopping: all trees are fitted",
    "calibration": "for calibration: probabilities are the model's own",
}

Labelled: TypeAlias = tuple[Any, Floats]
"""Rows, and 1 for each adverse outcome among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitParts:
    """Row numbers of each part, in the order the rows were given."""

    train: Ints
    """int64 array."""
    held: Mapping[str, Ints]
    """Mapping of 'early_stopping', 'calibration' to int64 array; only parts that rows are held back
    for."""
    not_held: tuple[str, ...] = ()
    """Parts that too few rows of a class were given for."""
    by_class: bool = False
    """True if rows came sorted by class, and the parts were taken of each class."""


def hold_back(
    target: Floats,
    *,
    early_stopping_share: float,
    calibration_share: float,
    calibration_folds: int,
    given: Mapping[str, Floats],
) -> FitParts:
    """Cut the rows into parts; hold none back for a part that has too few rows of a class.

    `given`: mapping of part to float64 array; outcomes of the parts for which the user gave rows.
    Raises DatasetError if a part lacks a class although there are enough rows, or the user gave its
    rows.
    """
    shares = {"early_stopping": early_stopping_share, "calibration": calibration_share}
    fewest = {"calibration": calibration_folds}
    not_held: tuple[str, ...] = ()
    order = order_of(target) if set(shares) - set(given) and any(shares.values()) else None
    if order is not None:
        warnings.warn(_SORTED, RowOrderWarning, stacklevel=3)
    while True:
        parts = lay_out(
            target.size,
            early_stopping_share=shares["early_stopping"],
            calibration_share=shares["calibration"],
            given=frozenset(given),
            order=order,
        )
        held = {name: target[rows] for name, rows in parts.held.items()}
        poor = _poor_parts({"train": target[parts.train], **held}, fewest)
        few = [
            name
            for name in ("calibration", "early_stopping")
            if name in poor and is_chance(target, share=shares[name], least=fewest.get(name, 1))
        ]
        if not few:
            break
        # one part at a time: its rows train now, and may be enough for the other part
        shares[few[0]] = 0.0
        not_held = (few[0], *not_held)
    _require_parts(poor | _poor_parts(given, fewest))
    if not_held:
        warnings.warn(_explain_not_held(not_held), TooFewRowsWarning, stacklevel=3)
    return replace(parts, not_held=not_held, by_class=order is not None)


def _poor_parts(outcomes: Mapping[str, Floats], fewest: Mapping[str, int]) -> dict[str, str]:
    """Return a message for each part with too few rows of a class."""
    poor = {}
    for part, outcome in outcomes.items():
        positives, least = int(outcome.sum()), fewest.get(part, 1)
        if min(positives, outcome.size - positives) < least:
            poor[part] = (
                f"part {part!r} needs {least} rows of each class, got {positives} positives "
                f"of {outcome.size}"
            )
    return poor


def _require_parts(poor: Mapping[str, str]) -> None:
    faults = Faults(
        "rows for RiskClassifier: sort them by time, leave out those too new for an outcome, "
        "pass rows for the part to fit, or hold none back for it (early_stopping_share or "
        "calibration_share of 0)",
        DatasetError,
    )
    faults.extend(poor.values())
    faults.raise_if_any()


def _explain_not_held(parts: Sequence[str]) -> str:
    return (
        "too few rows of a class to hold some back "
        + ", and ".join(_NOT_DONE[part] for part in parts)
        + "; add rows, or set early_stopping_share and calibration_share to 0"
    )


def lay_out(
    n: int,
    *,
    early_stopping_share: float,
    calibration_share: float,
    given: frozenset[str],
    order: Ints | None = None,
) -> FitParts:
    """Cut n rows, in order of time, into train, early stopping and calibration.

    `given`: parts that the user gave rows for.
    `order`: int64 array of shape (n,); the order to take rows in; None is the given order.
    Raises ConfigError if a share is not in [0, 1), or both leave nothing to train on.

    Examples
    --------
    >>> parts = lay_out(
    ...     10, early_stopping_share=0.2, calibration_share=0.3, given=frozenset()
    ... )
    >>> parts.train.tolist(), {name: rows.tolist() for name, rows in parts.held.items()}
    ([0, 1, 2, 3, 4], {'early_stopping': [5, 6], 'calibration': [7, 8, 9]})
    """
    shares = {"early_stopping": early_stopping_share, "calibration": calibration_share}
    faults = Faults("parameters of RiskClassifier", ConfigError)
    for name, share in shares.items():
        if not 0.0 <= share < 1.0:
            faults.add(f"{name}_share must be at least 0 and below 1, got {share!r}")
    counts = {name: 0 if name in given else round(n * share) for name, share in shares.items()}
    if sum(counts.values()) >= n:
        faults.add(
            f"the shares leave none of {n} rows to train on: lower early_stopping_share or "
            "calibration_share"
        )
    faults.raise_if_any()
    first = n - sum(counts.values())
    taken = np.arange(n) if order is None else order
    held, start = {}, first
    for name, count in counts.items():
        if count:
            # sorted: rows of a part stay in order of time
            held[name] = np.sort(taken[start : start + count])
        start += count
    return FitParts(train=np.sort(taken[:first]), held=held)


def order_of(target: Floats) -> Ints | None:
    """Return an order that mixes the classes of rows sorted by class; None for other rows.

    The last of such rows are of one class, and a part of them could neither stop a fit nor
    calibrate it. Each class keeps its order.

    Examples
    --------
    >>> order_of(np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])).tolist()
    [0, 4, 1, 2, 5, 3]
    >>> order_of(np.array([0.0, 1.0, 0.0])) is None
    True
    """
    if np.count_nonzero(np.diff(target)) != 1:
        return None
    first = int(np.argmax(target != target[0]))
    place = np.concatenate([(np.arange(n) + 1.0) / (n + 1.0) for n in (first, target.size - first)])
    return np.argsort(place, kind="stable")


def is_chance(target: Floats, *, share: float, least: int) -> bool:
    """Return whether a part may lack `least` rows of a class by chance alone.

    It may where a part drawn at random has fewer in more than one of a hundred draws (Poisson,
    from the expected number; convention). Otherwise the outcome depends on time, as it does
    where rows are too new to have one: the user must know that.

    Examples
    --------
    >>> few, many = np.repeat([0.0, 1.0], 10), np.repeat([0.0, 1.0], 1000)
    >>> is_chance(few, share=0.15, least=5), is_chance(many, share=0.15, least=5)
    (True, False)
    """
    rarer = min(float(target.sum()), target.size - float(target.sum()))
    return bool(poisson.cdf(least - 1, rarer * share) > _BY_CHANCE)
