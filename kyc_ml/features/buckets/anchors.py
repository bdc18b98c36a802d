"""Plan how to compute features one part of the rows at a time.

A reading of a key needs, for each observation, only the rows of that key. So observations
and rows can be divided by one column of the key, the *anchor*, and each part computed
separately. A row's column that is read by another key is unknown in such a part: it is computed
in an earlier pass and carried along as a plain column.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, Final

from kyc_ml.contract import CONTRACT, CUSTOMER_ID
from kyc_ml.features.how import OBSERVED, How, RowColumn, columns_read, tables_read
from kyc_ml.features.kinds.matched import Matched
from kyc_ml.features.kinds.own import Own
from kyc_ml.features.kinds.rows_of_key import LatestValue
from kyc_ml.features.periods import WindowLength
from kyc_ml.features.spec import FeatureSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorRows:
    """The column of a key by which parts are made: of the observer and of the rows."""

    observed: str
    rows: str


CUSTOMER: Final = AnchorRows(observed=CUSTOMER_ID, rows=CUSTOMER_ID)

IDENTIFIERS: Final = {
    column.name for table in CONTRACT.values() for column in table.columns if column.identifier
}

Place = str
"""A table whose rows look back, or OBSERVED, or another name of observations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Readings of one place by one anchor: features, or columns to carry to other sites.

    An anchor of None needs all rows together.
    """

    place: Place
    anchor: AnchorRows | None
    carries: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Readings of a site, computed one part after the other."""

    site: Site
    level: int
    """Passes read what passes of lower levels have carried."""
    specs: tuple[FeatureSpec, ...]
    """Columns that were carried are called by their names in them."""
    rows: Mapping[str, frozenset[str]]
    """Mapping of table to columns; what the readings need of each table."""
    observed: frozenset[str]
    """What they need of the place."""

    @property
    def is_of_itself(self) -> bool:
        """True where the rows that look back are the very rows they look at."""
        anchor = self.site.anchor
        same_key = anchor is None or anchor.observed == anchor.rows
        return same_key and self.site.place in self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Passes in the order to run them; the last ones end each place."""

    passes: tuple[Pass, ...]
    carried: Mapping[Place, tuple[FeatureSpec, ...]]
    """Mapping of place to FeatureSpecs; columns that passes compute for later ones, as if they were
    features."""
    ending: tuple[Site, ...]
    """Where each place's observations get the last of their features."""

    def ends(self, each: Pass) -> bool:
        """Return whether a pass is the last of its place: the others send values to later ones."""
        return each.site in self.ending


def plan_passes(specs: Mapping[Place, Sequence[FeatureSpec]]) -> Plan:
    """Plan the passes that compute what reads rows, or the observation itself.

    `specs`: mapping of place to features; places in the order in which they may end: one may read
    what another ended with.
    """
    planner = _Planner()
    for place, asked in specs.items():
        for spec in asked:
            if not spec.how.features_read():
                planner.add(Site(place=place, anchor=_anchor_of(spec.how)), spec)
    return planner.plan([Site(place=place, anchor=CUSTOMER) for place in specs])


class _Planner:
    """Collects readings by site, and the columns that must be carried between them."""

    def __init__(self) -> None:
        self._asked: dict[Site, dict[str, FeatureSpec]] = defaultdict(dict)
        self._moved: dict[Site, frozenset[RowColumn]] = defaultdict(frozenset)
        self._homes: dict[tuple[Place, str], Site] = {}
        self._kept: dict[tuple[Site, str], tuple[FeatureSpec, frozenset[RowColumn], How]] = {}

    def add(self, site: Site, spec: FeatureSpec) -> None:
        """Put a reading on a site, and note which columns the site cannot compute for it."""
        self._asked[site][spec.name] = spec
        self._moved[site] |= frozenset(_moved(spec.how, site.anchor))

    def plan(self, last: Sequence[Site]) -> Plan:
        """Order the passes so that each finds what was carried to it, and `last` come last."""
        # a carried column may need further columns to be carried: repeat until none is new
        while self._carry_more():
            pass
        found: dict[tuple[int, Site], list[FeatureSpec]] = {(0, site): [] for site in last}
        for site, asked in self._asked.items():
            for spec in asked.values():
                how = self._replaced(site, spec)
                level = 0 if site in last else self._level(site, how)
                found.setdefault((level, site), []).append(
                    spec if how is spec.how else replace(spec, how=how)
                )
        ordered = sorted(
            # the passes that end a place come after all levels, in the order given
            found,
            key=lambda key: (1 + last.index(key[1]) if key[1] in last else 0, key[0]),
        )
        carried: dict[Place, list[FeatureSpec]] = defaultdict(list)
        for (place, name), home in self._homes.items():
            carried[place].append(self._asked[home][name])
        return Plan(
            passes=tuple(as_pass(level, site, found[level, site]) for level, site in ordered),
            carried={place: tuple(columns) for place, columns in carried.items()},
            ending=tuple(last),
        )

    def _carry_more(self) -> bool:
        """Add passes for the columns that sites lack; return whether any was new."""
        lacking = {
            (site.place if place == OBSERVED else place, name): column
            for site, asked in list(self._asked.items())
            for named in [{column.name: column for column in self._moved[site]}]
            for spec in asked.values()
            for place, name in columns_read(self._replaced(site, spec), OBSERVED)
            if isinstance(name, str) and (column := named.get(name)) is not None
        }
        new = {key: column for key, column in lacking.items() if key not in self._homes}
        for (place, name), column in new.items():
            spec = _reading_of(column)
            anchor = _anchor_of(spec.how)
            self._homes[place, name] = Site(place=place, anchor=anchor, carries=True)
            self.add(self._homes[place, name], spec)
        return bool(new)

    def _replaced(self, site: Site, spec: FeatureSpec) -> How:
        """Return a reading that calls carried columns by their names."""
        moved = self._moved[site]
        kept = self._kept.get((site, spec.name))
        if kept is None or kept[0] is not spec or kept[1] != moved:
            kept = spec, moved, replace_columns(spec.how, moved)
            self._kept[site, spec.name] = kept
        return kept[2]

    def _level(self, site: Site, how: How) -> int:
        """Return the level of a reading: above those of the columns carried to it."""
        levels = [0]
        for place, column in columns_read(how, OBSERVED):
            if isinstance(column, str):
                home = self._homes.get((site.place if place == OBSERVED else place, column))
                if home is not None:
                    inner = self._replaced(home, self._asked[home][column])
                    levels.append(1 + self._level(home, inner))
        return max(levels)


def _reading_of(column: RowColumn) -> FeatureSpec:
    """Declare a row's column as if its rows were observations that have it as a feature."""
    # matched money is not computed from rows: the place itself reads it
    how: How = Own(reading="value", column=column)
    if isinstance(column.how, LatestValue):
        how = column.how.how
    return FeatureSpec(
        name=column.name,
        family="",
        how=how,
        kind="category" if how.is_text() else "number",
        unit="",
        description="",
        description_zh="",
    )


def _anchor_of(how: How) -> AnchorRows | None:
    """Choose the identifier in its key that divides a reading: the customer if it can be."""
    pairs = how.key_pairs()
    if pairs is None or (CUSTOMER_ID, CUSTOMER_ID) in pairs:
        return CUSTOMER
    # a part by a column of few values would hold most of the rows
    found = [(rows, observed) for rows, observed in pairs if observed in IDENTIFIERS]
    return AnchorRows(observed=found[0][1], rows=found[0][0]) if found else None


def replace_columns(declared: Any, moved: frozenset[RowColumn]) -> Any:  # noqa: ANN401  any part
    """Replace carried row columns by their names throughout a declaration."""
    if not moved:
        return declared
    if isinstance(declared, RowColumn) and declared in moved:
        return declared.name
    if isinstance(declared, tuple):
        return tuple(replace_columns(each, moved) for each in declared)
    kind: Any = type(declared)
    values = {name: getattr(declared, name) for name in _fields_of(kind)}
    changed = {name: replace_columns(value, moved) for name, value in values.items()}
    return declared if changed == values else replace(declared, **changed)


@cache
def _fields_of(kind: Any) -> tuple[str, ...]:  # noqa: ANN401  any type
    """Return the fields of a declaration; none of anything else."""
    whole = kind is WindowLength or not is_dataclass(kind)
    return () if whole else tuple(each.name for each in fields(kind))


def _moved(how: How, anchor: AnchorRows | None) -> Iterator[RowColumn]:
    """List the row columns that parts by this anchor cannot compute themselves."""
    on_rows = None if anchor is None else AnchorRows(observed=anchor.rows, rows=anchor.rows)
    for place, column in how.columns(OBSERVED):
        # matched money of the place's own rows is what the pass of `_reading_of` is for
        if column != own_match(how):
            yield from _moved_in(column, anchor if place == OBSERVED else on_rows)


def own_match(how: How) -> RowColumn | None:
    """Return the matched money that an observation reads of itself; None if it does not."""
    column = how.column if isinstance(how, Own) else None
    matched = isinstance(column, RowColumn) and isinstance(column.how, Matched)
    return column if matched and isinstance(column, RowColumn) else None


def _moved_in(column: str | RowColumn, anchor: AnchorRows | None) -> Iterator[RowColumn]:
    if not isinstance(column, RowColumn):
        return
    pairs = column.how.key_pairs()
    if pairs is None:
        for _, each in column.how.columns(OBSERVED):
            yield from _moved_in(each, anchor)
    elif (anchor.rows, anchor.observed) in pairs if anchor else not pairs:
        yield from _moved(column.how, anchor)
    else:
        yield column


def as_pass(level: int, site: Site, specs: Sequence[FeatureSpec]) -> Pass:
    """Return a pass with the tables and columns that its readings need."""
    rows: dict[str, set[str]] = {}
    observed: set[str] = set()
    for spec in specs:
        for table in tables_read(spec.how):
            rows.setdefault(table, set())
        for place, column in columns_read(spec.how, OBSERVED):
            if isinstance(column, str):
                (observed if place == OBSERVED else rows[place]).add(column)
    return Pass(
        site=site,
        level=level,
        specs=tuple(specs),
        rows={table: frozenset(columns) for table, columns in rows.items()},
        observed=frozenset(observed),
    )
