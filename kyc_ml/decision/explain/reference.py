"""Usual values and contributions of the training rows, overall and among comparable rows.

Comparable rows share the values of the fields that the configuration lists: rows of one
direction, then of one instrument, then of one channel. Such cells are nested, and a row is
compared with the smallest one that has enough training rows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import reduce
from itertools import takewhile
from math import isnan
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.decision.wording import Language, Pair, name_both, write_both, write_text
from kyc_ml.features import FeatureTable
from kyc_ml.metrics import Floats, Ints
from kyc_ml.storage import remember

WHOLE_BANK: Final = "all"
"""Name of the peers of a row whose group is too small, unknown or not configured."""

FEWEST_PEERS: Final = 200
"""Fewest training rows of a cell; rows of a smaller one use the cell around it (convention)."""

RARE: Final = 0.05
"""Share of comparable rows below which a value is unusual (convention): beyond the 5th or the
95th percentile, a category or a missing value of fewer rows."""

LEVELS: Final = (
    *(0.0, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
    *(0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99, 1.0),
)
"""Levels of the quantiles that are kept: 21, denser at the ends, where reasons come from."""
_PLACES: Final = {level: place for place, level in enumerate(LEVELS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """Usual values in one group of rows."""

    medians: Mapping[str, float]
    """Mapping of number feature to median of the finite values; NaN without any."""
    modes: Mapping[str, str | None]
    """Mapping of category feature to its commonest value; None without any."""
    quantiles: Mapping[str, Floats] = field(default_factory=dict)
    """Mapping of number feature to float64 array of shape (21,); the values at `LEVELS`, each of
    which occurs. A feature without a finite value is absent, and so are all features in bundles of
    early formats."""
    rows: int = 0
    """Rows of the group; 0 in bundles of early formats."""
    missing: Mapping[str, float] = field(default_factory=dict)
    """Mapping of feature to share of rows without a value, 0 to 1."""
    common: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Mapping of category feature to the values that at least `RARE` of the rows have."""
    contributions: Mapping[str, float] = field(default_factory=dict)
    """Mapping of feature to median contribution, log-odds."""
    by_reason: Mapping[str, float] = field(default_factory=dict)
    """Mapping of reason code to median of the summed contributions, log-odds; like the three above,
    empty in bundles of formats 1 to 3."""

    def percentile(self, name: str, value: float) -> float:
        """Return the place of a value among the group's; see `place_in`.

        NaN without quantiles, or where most of the group have no value to compare with.
        """
        grid = self.quantiles.get(name)
        if grid is None or self.is_rarely_known(name):
            return np.nan
        return place_in(grid, value)

    def is_rarely_known(self, name: str) -> bool:
        """Return whether less than `RARE` of the group have a value."""
        return self.missing.get(name, 0.0) > 1.0 - RARE

    def quartiles(self, name: str) -> tuple[float, float] | None:
        """Return the lower and upper quartile; None without quantiles."""
        grid = self.quantiles.get(name)
        if grid is None:
            return None
        return float(grid[LEVELS.index(0.25)]), float(grid[LEVELS.index(0.75)])

    def range_of(self, name: str, *, rare: float = RARE) -> tuple[float, float] | None:
        """Return the ends beyond which a value is unusual; None without quantiles.

        At most `rare`, one of `LEVELS`, of the rows are below the lower end, and as many above
        the upper one: a value that more rows share is an end itself, and so it is usual.
        """
        grid = self.quantiles.get(name)
        if grid is None:
            return None
        return float(grid[_PLACES[rare]]), float(grid[_PLACES[1.0 - rare]])

    def to_dict(self, *, former: bool = False) -> dict[str, Any]:
        """Return plain content that JSON keeps to the bit; null is an undefined number.

        `former` leaves out what bundles of formats 1 to 3 did not have.
        """
        more = {
            "missing": dict(self.missing),
            "common": {name: list(values) for name, values in self.common.items()},
            "contributions": dict(self.contributions),
            "by_reason": dict(self.by_reason),
        }
        return {
            **({} if former else more),
            "medians": {n: None if np.isnan(v) else v for n, v in self.medians.items()},
            "modes": dict(self.modes),
            "quantiles": {n: [float(v) for v in grid] for n, grid in self.quantiles.items()},
            "rows": self.rows,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_dict` of this or an earlier version returned.

        Raises ValueError if the quantiles are not those of `LEVELS`, ascending.
        """
        found = cls(
            medians={n: np.nan if v is None else v for n, v in content["medians"].items()},
            modes=content["modes"],
            quantiles={n: np.array(v, float) for n, v in content.get("quantiles", {}).items()},
            rows=content.get("rows", 0),
            missing=content.get("missing", {}),
            common={n: tuple(v) for n, v in content.get("common", {}).items()},
            contributions=content.get("contributions", {}),
            by_reason=content.get("by_reason", {}),
        )
        for name, grid in found.quantiles.items():
            if grid.shape != (len(LEVELS),) or not (np.diff(grid) >= 0.0).all():
                raise ValueError(f"the quantiles of {name} are not {len(LEVELS)} ascending numbers")
        return found


Cell = tuple[str, ...]
"""Values of the first of the fields that define comparable rows: one, two or all of them."""
JOINT: Final = "\x1f"
"""Between the values of a cell: no text of a source has a control character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReference(Usual):
    """Usual values among all training rows, and among those of each cell."""

    peers: tuple[str, ...] = ()
    """Category features whose values make rows comparable, the most important first; empty compares
    with the whole bank."""
    groups: Mapping[Cell, Usual] = field(default_factory=dict)
    """Mapping of cell to Usual; only cells of at least `FEWEST_PEERS` rows."""

    @classmethod
    def of(cls, whole: Usual, *, peers: tuple[str, ...], groups: Mapping[Cell, Usual]) -> Self:
        """Add cells to the usual values of the whole bank."""
        known = {each.name: getattr(whole, each.name) for each in fields(Usual)}
        return cls(**known, peers=peers, groups=groups)

    @property
    def usuals(self) -> tuple[Usual, ...]:
        """The whole bank, then the cells in their order."""
        return (self, *self.groups.values())

    @property
    def contrasts(self) -> bool:
        """Whether reasons compare contributions with those of comparable rows."""
        return bool(self.by_reason)

    def group_of(self, features: FeatureTable) -> Ints:
        """Find each row's cell: its place in `usuals`.

        It is the smallest cell that is known; 0, the whole bank, where none is.
        """
        found = np.zeros(len(features), np.int64)
        places = {cell: place for place, cell in enumerate(self.groups, start=1)}
        fields = [each.to_pylist() for each in _present(features, self.peers)]
        for row, values in enumerate(zip(*fields, strict=True)):
            known = (places.get(values[:n]) for n in range(len(fields), 0, -1))
            found[row] = next(filter(None, known), 0)
        return found

    def name_cell(self, place: int, language: Language) -> str:
        """Name a cell of `usuals`: its values in words."""
        return _name_cells(self)[place][language == "zh"]

    def name_peers(self, features: FeatureTable, language: Language) -> str:
        """Name the peers of the first row for people: the cell, or the whole bank and why."""
        if place := int(self.group_of(features)[0]):
            return self.name_cell(place, language)
        if not self.peers:
            return write_text("peers", "whole", language)
        first = self.peers[0]
        if first not in features.categories:
            return write_text("peers", "absent", language, feature=first)
        own = features.categories[first][0].as_py()
        if own is None:
            return write_text("peers", "unknown", language, feature=first)
        return write_text("peers", "small", language, group=own, rows=FEWEST_PEERS)

    def name_groups(self, features: FeatureTable, cells: Ints) -> list[str]:
        """Name each row's peers, as `group_of` finds them: the cell, or 'all' and the reason."""
        if not self.peers:
            return [WHOLE_BANK] * len(features)
        first = self.peers[0]
        if first not in features.categories:
            return [f"{WHOLE_BANK} ({first} not given)"] * len(features)
        own = features.categories[first].to_pylist()
        return [
            _name_cells(self)[cell][0] if cell else _say_borrowed(value, first)
            for cell, value in zip(cells, own, strict=True)
        ]

    def filled_by(self, other: PeerReference) -> PeerReference:
        """Add another reference's values of features that this one lacks.

        The cells are not changed. Nothing is added to a cell that the other lacks, because
        usual values of the whole bank are not those of the cell. Contributions are left out:
        those of two models do not compare.
        """
        same = other.groups if other.peers == self.peers else {}
        groups = {name: _fill(usual, same.get(name, usual)) for name, usual in self.groups.items()}
        return PeerReference.of(_fill(self, other), peers=self.peers, groups=groups)

    def without_contrast(self) -> PeerReference:
        """Return the usual values alone: reasons are then the largest contributions."""
        return self.filled_by(self)

    def to_dict(self, *, former: bool = False) -> dict[str, Any]:
        """Return plain content that JSON keeps to the bit; see `Usual.to_dict`."""
        groups: Any = [
            {"cell": list(cell), **usual.to_dict()} for cell, usual in self.groups.items()
        ]
        if former:  # one field at most, and its values
            groups = {cell[0]: usual.to_dict(former=True) for cell, usual in self.groups.items()}
        peers: Any = (self.peers[0] if self.peers else None) if former else list(self.peers)
        more = {"levels": list(LEVELS), "peers": peers, "groups": groups}
        return {**Usual.to_dict(self, former=former), **more}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_dict` of this or an earlier version returned."""
        groups = content.get("groups", {})
        if isinstance(groups, Mapping):
            groups = [{"cell": [value], **each} for value, each in groups.items()]
        return cls.of(
            Usual.from_dict(content),
            peers=list_peers(content.get("peers")),
            groups={tuple(each["cell"]): Usual.from_dict(each) for each in groups},
        )


@remember
def _name_cells(reference: PeerReference) -> tuple[Pair, ...]:
    """Name each of the usuals."""
    names: list[Pair] = [(WHOLE_BANK, WHOLE_BANK)]
    for cell in reference.groups:
        words = [(each, each) for each in cell]
        if reference.contrasts:
            plain = (each.replace("_", " ") for each in cell)
            words = [name_both("values", *each) for each in zip(cell, plain, strict=True)]
        names.append(reduce(lambda a, b: write_both("peers", "cell", around=a, own=b), words))
    return tuple(names)


def list_peers(peers: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the fields of comparable rows; one field may be given by its name alone."""
    return (peers,) if isinstance(peers, str) else tuple(peers or ())


def place_in(grid: Floats, value: float) -> float:
    """Find the place of a value among others of which only quantiles at `LEVELS` are known.

    Returns the share of the others below, ties counting half, from 0 to 1; the error is at most
    about the step between two levels. It never falls as the value rises. NaN for NaN.
    """
    if isnan(value):
        return np.nan
    known = grid.tolist()
    left, right = bisect_left(known, value), bisect_right(known, value)
    if left == len(known) or right == 0:
        return float(left > 0)
    if right > left:
        return (LEVELS[left] + LEVELS[right - 1]) / 2.0
    below, above = known[left - 1 : left + 1]
    part = min(max((value - below) / (above - below), 0.0), 1.0)
    return float(LEVELS[left - 1] + (LEVELS[left] - LEVELS[left - 1]) * part)


def nested(features: FeatureTable, peers: tuple[str, ...]) -> list[pa.Array]:
    """Join the values of the first field, of the first two, and so on; null where one is missing.

    Fields after one that the table does not have are left out.
    """
    there = _present(features, peers)
    return [pc.binary_join_element_wise(*there[:n], JOINT) for n in range(1, len(there) + 1)]


def _present(features: FeatureTable, peers: tuple[str, ...]) -> list[pa.Array]:
    return list(takewhile(lambda each: each is not None, map(features.categories.get, peers)))


def _fill(usual: Usual, other: Usual) -> Usual:
    """Add another's features; those in both stay as they are."""
    known = {*usual.medians, *usual.modes}
    quantiles = {name: grid for name, grid in other.quantiles.items() if name not in known}
    return Usual(
        medians={**other.medians, **usual.medians},
        modes={**other.modes, **usual.modes},
        quantiles={**quantiles, **usual.quantiles},
        rows=usual.rows,
        missing={**other.missing, **usual.missing},
        common={**other.common, **usual.common},
    )


def _say_borrowed(value: str | None, peers: str) -> str:
    if value is None:
        return f"{WHOLE_BANK} ({peers} not known)"
    return f"{WHOLE_BANK} ({value}: fewer than {FEWEST_PEERS} training rows)"
