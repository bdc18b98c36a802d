"""Usual values of the training rows, overall and by peer group, summarised in quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.decision.wording import Language, write_text
from kyc_ml.errors import ConfigError, hint
from kyc_ml.features import FeatureTable
from kyc_ml.metrics import Floats, Ints, Mask

WHOLE_BANK: Final = "all"
"""Name of the peers of a row whose group is too small, unknown or not configured."""

FEWEST_PEERS: Final = 200
"""Fewest training rows of a peer group; a smaller one uses the whole bank (convention)."""

LEVELS: Final = (
    *(0.0, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
    *(0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99, 1.0),
)
"""Levels of the quantiles that are kept: 21, denser at the ends, where reasons come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """Usual values in one group of rows.

    Attributes
    ----------
    medians : mapping of number feature to median of the finite values; NaN without any
    modes : mapping of category feature to its commonest value; None without any
    quantiles : mapping of number feature to float64 array of shape (21,)
        The values at `LEVELS`, each of which occurs. A feature without a finite value is
        absent, and so are all features in bundles of early formats.
    rows : int
        Rows of the group; 0 in bundles of early formats.
    """

    medians: Mapping[str, float]
    modes: Mapping[str, str | None]
    quantiles: Mapping[str, Floats] = field(default_factory=dict)
    rows: int = 0

    def percentile(self, name: str, values: Floats) -> Floats:
        """Return the places of values of shape (n,) among the group's; NaN without quantiles."""
        grid = self.quantiles.get(name)
        return np.full(values.shape, np.nan) if grid is None else place_in(grid, values)

    def quartiles(self, name: str) -> tuple[float, float] | None:
        """Return the lower and upper quartile; None without quantiles."""
        grid = self.quantiles.get(name)
        if grid is None:
            return None
        return float(grid[LEVELS.index(0.25)]), float(grid[LEVELS.index(0.75)])

    def to_dict(self) -> dict[str, Any]:
        """Return plain content that JSON keeps to the bit; null is an undefined number."""
        return {
            "medians": {n: None if np.isnan(v) else v for n, v in self.medians.items()},
            "modes": dict(self.modes),
            "quantiles": {n: [float(v) for v in grid] for n, grid in self.quantiles.items()},
            "rows": self.rows,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_dict` of this or an earlier version returned.

        Raises
        ------
        ValueError
            If the quantiles are not those of `LEVELS`, ascending.
        """
        found = cls(
            medians={n: np.nan if v is None else v for n, v in content["medians"].items()},
            modes=content["modes"],
            quantiles={n: np.array(v, float) for n, v in content.get("quantiles", {}).items()},
            rows=content.get("rows", 0),
        )
        for name, grid in found.quantiles.items():
            if grid.shape != (len(LEVELS),) or not (np.diff(grid) >= 0.0).all():
                msg = f"the quantiles of {name} are not {len(LEVELS)} ascending numbers"
                raise ValueError(msg)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReference(Usual):
    """Usual values among all training rows, and among those of each peer group.

    Attributes
    ----------
    peers : str or None
        Category feature whose values divide the rows into peers; None is the whole bank.
    groups : mapping of value to Usual
        Only groups of at least `FEWEST_PEERS` rows; others use the whole bank.
    """

    peers: str | None = None
    groups: Mapping[str, Usual] = field(default_factory=dict)

    @classmethod
    def of(cls, whole: Usual, *, peers: str | None, groups: Mapping[str, Usual]) -> Self:
        """Add peer groups to the usual values of the whole bank."""
        known = {each.name: getattr(whole, each.name) for each in fields(Usual)}
        return cls(**known, peers=peers, groups=groups)

    @property
    def usuals(self) -> tuple[Usual, ...]:
        """The whole bank, then the groups in their order."""
        return (self, *self.groups.values())

    def group_of(self, features: FeatureTable) -> Ints:
        """Find each row's group: its place in `usuals`.

        It is 0, the whole bank, for a missing or unknown value and for a small group.
        """
        values = None if self.peers is None else features.categories.get(self.peers)
        if values is None:
            return np.zeros(len(features), np.int64)
        place = pc.index_in(values, value_set=pa.array(list(self.groups), pa.string()))
        # place 0 is the whole bank, for unknown and small groups
        return np.asarray(pc.fill_null(place, -1).to_numpy(zero_copy_only=False) + 1, np.int64)

    def name_peers(self, features: FeatureTable, language: Language) -> str:
        """Name the peers of the first row for people: the group, or the whole bank and why."""
        if self.peers is None:
            return write_text("peers", "whole", language)
        values = features.categories.get(self.peers)
        if values is None:
            return write_text("peers", "absent", language, feature=self.peers)
        own = values[0].as_py()
        if own is None:
            return write_text("peers", "unknown", language, feature=self.peers)
        if own in self.groups:
            return str(own)
        return write_text("peers", "small", language, group=own, rows=FEWEST_PEERS)

    def name_groups(self, features: FeatureTable) -> list[str]:
        """Name each row's peers as score files do: the group, or 'all' and the reason."""
        if self.peers is None:
            return [WHOLE_BANK] * len(features)
        if self.peers not in features.categories:
            return [f"{WHOLE_BANK} ({self.peers} not given)"] * len(features)
        own = features.categories[self.peers].to_pylist()
        return [each if each in self.groups else _say_borrowed(each, self.peers) for each in own]

    def filled_by(self, other: PeerReference) -> PeerReference:
        """Add another reference's values of features that this one lacks.

        The peer groups are not changed. Nothing is added to a group that the other lacks,
        because usual values of the whole bank are not those of the group.
        """
        same = other.groups if other.peers == self.peers else {}
        groups = {
            name: _fill(usual, same[name]) if name in same else usual
            for name, usual in self.groups.items()
        }
        return PeerReference.of(_fill(self, other), peers=self.peers, groups=groups)

    def to_dict(self) -> dict[str, Any]:
        """Return plain content that JSON keeps to the bit."""
        groups = {name: usual.to_dict() for name, usual in self.groups.items()}
        more = {"levels": list(LEVELS), "peers": self.peers, "groups": groups}
        return {**Usual.to_dict(self), **more}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_dict` of this or an earlier version returned."""
        groups = content.get("groups", {})
        return cls.of(
            Usual.from_dict(content),
            peers=content.get("peers"),
            groups={name: Usual.from_dict(each) for name, each in groups.items()},
        )


def learn_reference(
    features: FeatureTable, rows: Mask, *, peers: str | None = None
) -> PeerReference:
    """Compute medians, quantiles and commonest categories of the given rows.

    Parameters
    ----------
    peers : str, optional
        Category feature whose values divide the rows into peer groups.

    Raises
    ------
    ConfigError
        If `peers` is not a category of the table.
    """
    groups: dict[str, Usual] = {}
    if peers is not None:
        require_peers(features, peers)
        values = features.category(peers)
        for value in sorted({value for value in values[rows] if value is not None}):
            own = rows & (values == value)
            if own.sum() >= FEWEST_PEERS:
                groups[value] = _learn(features, own)
    return PeerReference.of(_learn(features, rows), peers=peers, groups=groups)


def require_peers(features: FeatureTable, peers: str | None) -> None:
    """Check that the model has the category that defines peers.

    Raises
    ------
    ConfigError
        If `peers` is not a category among the columns.
    """
    known = [spec.name for spec in features.specs if spec.kind == "category"]
    if peers is None or peers in known:
        return
    why = features.unavailable.get(peers)
    reason = (
        f"it was left out: {why}" if why else f"the model has no such category{hint(peers, known)}"
    )
    msg = (
        f"explain.peers: {peers!r} cannot divide the customers into peers: {reason}; name one of "
        f"{', '.join(known) or 'none'}, keep it in selection.keep, or leave explain.peers out"
    )
    raise ConfigError(msg)


def place_in(grid: Floats, values: Floats) -> Floats:
    """Find the places of values among others of which only quantiles at `LEVELS` are known.

    Returns
    -------
    float64 array of the shape of `values`
        Share of the others below, ties counting half, from 0 to 1; the error is at most about
        the step between two levels. It never falls as the value rises. NaN for NaN.
    """
    levels = np.array(LEVELS)
    left = np.searchsorted(grid, values, side="left")
    right = np.searchsorted(grid, values, side="right")
    low, high = np.clip(left, 0, grid.size - 1), np.clip(right - 1, 0, grid.size - 1)
    tied = (levels[low] + levels[high]) / 2.0
    before = np.clip(left - 1, 0, grid.size - 1)
    step = grid[low] - grid[before]
    part = np.divide(values - grid[before], step, out=np.zeros(values.shape), where=step > 0.0)
    between = levels[before] + (levels[low] - levels[before]) * np.clip(part, 0.0, 1.0)
    placed = np.where(right > left, tied, between)
    placed = np.where(left == grid.size, 1.0, np.where(right == 0, 0.0, placed))
    return np.where(np.isnan(values), np.nan, placed)


def _learn(features: FeatureTable, rows: Mask) -> Usual:
    medians: dict[str, float] = {}
    modes: dict[str, str | None] = {}
    quantiles: dict[str, Floats] = {}
    for column, spec in enumerate(features.specs):
        if spec.kind == "category":
            modes[spec.name] = _commonest(features.categories[spec.name].filter(pa.array(rows)))
            continue
        values = features.numbers[rows, column]
        known = np.sort(values[np.isfinite(values)])
        if not known.size:
            medians[spec.name] = np.nan
            continue
        medians[spec.name] = float(known[[(known.size - 1) // 2, known.size // 2]].mean())
        # adding 0 turns -0 into 0, so that equal values are written alike
        quantiles[spec.name] = known[_places(known.size)] + 0.0
    return Usual(medians=medians, modes=modes, quantiles=quantiles, rows=int(rows.sum()))


def _fill(usual: Usual, other: Usual) -> Usual:
    """Add another's features; those in both stay as they are."""
    known = {*usual.medians, *usual.modes}
    quantiles = {name: grid for name, grid in other.quantiles.items() if name not in known}
    return Usual(
        medians={**other.medians, **usual.medians},
        modes={**other.modes, **usual.modes},
        quantiles={**quantiles, **usual.quantiles},
        rows=usual.rows,
    )


def _places(n: int) -> Ints:
    """Find the quantiles of n sorted values: the first whose share reaches the level."""
    # a level times n may lie a rounding above a whole number
    return np.maximum(np.ceil(np.array(LEVELS) * n - 1e-9).astype(np.int64) - 1, 0)


def _commonest(values: pa.Array) -> str | None:
    found: dict[str, int] = {
        item["values"]: item["counts"]
        for item in values.value_counts().to_pylist()
        if item["values"] is not None
    }
    # of equally common categories the first by name, whatever the order of rows
    return min(found, key=lambda name: (-found[name], name), default=None)


def _say_borrowed(value: str | None, peers: str) -> str:
    if value is None:
        return f"{WHOLE_BANK} ({peers} not known)"
    return f"{WHOLE_BANK} ({value}: fewer than {FEWEST_PEERS} training rows)"
