"""Where features can be computed a part at a time, and what each part must hold.

A reading of a key needs, for each observation, only the rows of that key. So observations
and rows can be parted by one column of the key, the *anchor*, and each part computed by
itself. What a part cannot know, a row's column that was read by another key, is computed in
a pass of its own first and carried along as a plain column.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

from kyc_ml.contract import AMOUNT, CUSTOMER_ID, DIRECTION
from kyc_ml.features.reading import TEXT
from kyc_ml.features.row_columns import OBSERVED
from kyc_ml.features.spec import (
    FeatureSpec,
    Latest,
    LatestValue,
    Matched,
    Own,
    RowColumn,
    RowFormula,
    RowFunction,
    Window,
    WindowLength,
    columns_of_observer,
    columns_of_table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorRows:
    """Columns that rows with one value of a key share: the observer's and the tables'."""

    observed: str
    rows: str


CUSTOMER: Final = AnchorRows(observed=CUSTOMER_ID, rows=CUSTOMER_ID)

Place = str
"""A table whose rows look back, or OBSERVED, or another name of observations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Readings of one place by one anchor: features, or columns to carry to other sites.

    An anchor of None needs all rows at once.
    """

    place: Place
    anchor: AnchorRows | None
    carries: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Readings of a site, computed one part after the other.

    Attributes
    ----------
    level : int
        Passes read what passes of lower levels have carried.
    specs : tuple of FeatureSpec
        Columns that were carried are called by their names in them.
    rows : mapping of table to columns
        What the readings need of each table.
    observed : frozenset of str
        What they need of the place.
    """

    site: Site
    level: int
    specs: tuple[FeatureSpec, ...]
    rows: Mapping[str, frozenset[str]]
    observed: frozenset[str]

    @property
    def is_of_itself(self) -> bool:
        """True where the rows that look back are the very rows they look at."""
        anchor = self.site.anchor
        same_key = anchor is None or anchor.observed == anchor.rows
        return same_key and self.site.place in self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Passes in the order to run them; the last ones end each place.

    Attributes
    ----------
    carried : mapping of place to FeatureSpecs
        Columns that passes compute for later ones, as if they were features.
    ending : tuple of Site
        Where each place's observations get the last of their features.
    """

    passes: tuple[Pass, ...]
    carried: Mapping[Place, tuple[FeatureSpec, ...]]
    ending: tuple[Site, ...]

    def ends(self, each: Pass) -> bool:
        """Return whether a pass ends the parts of its place: the others hand values on."""
        return each.site in self.ending


def plan_passes(specs: Mapping[Place, Sequence[FeatureSpec]]) -> Plan:
    """Plan the passes that compute what reads rows, or the observation itself.

    Parameters
    ----------
    specs : mapping of place to features
        Places in the order in which they may end: one may read what another ended with.
    """
    planner = _Planner()
    for place, asked in specs.items():
        for spec in asked:
            if isinstance(spec.how, Own):
                planner.add(Site(place=place, anchor=CUSTOMER), spec)
            elif isinstance(spec.how, Window | Latest):
                planner.add(Site(place=place, anchor=anchor_rows_of(spec.how)), spec)
    return planner.plan([Site(place=place, anchor=CUSTOMER) for place in specs])


class _Planner:
    """Collects readings by site, and the columns that must be carried between them."""

    def __init__(self) -> None:
        self._asked: dict[Site, dict[str, FeatureSpec]] = defaultdict(dict)
        self._moved: dict[Site, frozenset[RowColumn]] = defaultdict(frozenset)
        self._homes: dict[tuple[Place, str], Site] = {}

    def add(self, site: Site, spec: FeatureSpec) -> None:
        """Put a reading on a site, and note which columns the site cannot compute for it."""
        self._asked[site][spec.name] = spec
        self._moved[site] |= frozenset(_moved(spec.how, site.anchor))

    def plan(self, last: Sequence[Site]) -> Plan:
        """Order the passes so that each finds what was carried to it, and `last` come last."""
        while self._carry_more():
            pass
        found: dict[tuple[int, Site], list[FeatureSpec]] = {(0, site): [] for site in last}
        for site, asked in self._asked.items():
            for spec in asked.values():
                how = replace_columns(spec.how, self._moved[site])
                level = 0 if site in last else self._level(site, how)
                found.setdefault((level, site), []).append(replace(spec, how=how))
        ordered = sorted(
            found, key=lambda key: (1 + last.index(key[1]) if key[1] in last else 0, key[0])
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
        """Put the columns that sites lack where they can be computed; tell if any was new."""
        lacking = {
            (place, name): column
            for site, asked in list(self._asked.items())
            for column, name in ((each, each.name) for each in self._moved[site])
            for spec in asked.values()
            for place in self._places_of(name, site, spec)
        }
        new = {key: column for key, column in lacking.items() if key not in self._homes}
        for (place, name), column in new.items():
            spec = _reading_of(column)
            how = spec.how
            anchor = anchor_rows_of(how) if isinstance(how, Window | Latest) else CUSTOMER
            self._homes[place, name] = Site(place=place, anchor=anchor, carries=True)
            self.add(self._homes[place, name], spec)
        return bool(new)

    def _places_of(self, name: str, site: Site, spec: FeatureSpec) -> set[Place]:
        """Places where a reading calls a carried column by its name."""
        how = replace_columns(spec.how, self._moved[site])
        return {
            site.place if place == OBSERVED else place
            for place, column in _columns_read(how, OBSERVED)
            if column == name
        }

    def _level(self, site: Site, how: object) -> int:
        """One more than the highest level of the columns that a reading is carried."""
        levels = [0]
        for place, column in _columns_read(how, OBSERVED):
            if isinstance(column, str):
                home = self._homes.get((site.place if place == OBSERVED else place, column))
                if home is not None:
                    inner = replace_columns(self._asked[home][column].how, self._moved[home])
                    levels.append(1 + self._level(home, inner))
        return max(levels)


def _reading_of(column: RowColumn) -> FeatureSpec:
    """Declare a row's column as if its rows were observations that have it as a feature."""
    # matched money is no reading of rows: the place's own rows get it
    how = (
        column.how.how
        if isinstance(column.how, LatestValue)
        else Own(reading="value", column=column)
    )
    text = isinstance(how, Latest) and how.reading in TEXT
    return FeatureSpec(
        name=column.name,
        family="",
        how=how,
        kind="category" if text else "number",
        unit="",
        description="",
        description_zh="",
    )


def anchor_rows_of(how: Window | Latest) -> AnchorRows | None:
    """Choose by which column of its key a reading is parted: the customer where it can be."""
    pairs = _plain_pairs(how)
    if (CUSTOMER_ID, CUSTOMER_ID) in pairs:
        return CUSTOMER
    return AnchorRows(observed=pairs[0][1], rows=pairs[0][0]) if pairs else None


def replace_columns(declared: Any, moved: frozenset[RowColumn]) -> Any:  # noqa: ANN401  any part
    """List the row columns that are carried, wherever a declaration holds them."""
    if isinstance(declared, RowColumn) and declared in moved:
        return declared.name
    if isinstance(declared, tuple):
        return tuple(replace_columns(each, moved) for each in declared)
    if is_dataclass(declared) and not isinstance(declared, type | WindowLength):
        values = {each.name: getattr(declared, each.name) for each in fields(declared)}
        changed = {name: replace_columns(value, moved) for name, value in values.items()}
        return declared if changed == values else replace(declared, **changed)
    return declared


def _plain_pairs(how: Window | Latest) -> list[tuple[str, str]]:
    """Contracted key columns: the table's beside the observer's."""
    at = how.key if how.at is None else how.at
    pairs = zip(how.key, at, strict=True)
    return [(k, o) for k, o in pairs if isinstance(k, str) and isinstance(o, str)]


def _moved(how: object, anchor: AnchorRows | None) -> Iterator[RowColumn]:
    """Row columns that parts by this anchor cannot compute themselves."""
    on_rows = None if anchor is None else AnchorRows(observed=anchor.rows, rows=anchor.rows)
    match how:
        case Window() | Latest():
            for column in columns_of_table(how):
                yield from _moved_in(column, on_rows)
            for column in columns_of_observer(how):
                yield from _moved_in(column, anchor)
        case Own(column=column):
            # matched money of the place's own rows is what this pass is for
            if not (isinstance(column, RowColumn) and isinstance(column.how, Matched)):
                yield from _moved_in(column, anchor)


def _moved_in(column: object, anchor: AnchorRows | None) -> Iterator[RowColumn]:
    if not isinstance(column, RowColumn):
        return
    match column.how:
        case RowFunction(inputs=inputs) | RowFormula(inputs=inputs):
            for each in inputs:
                yield from _moved_in(each, anchor)
        case LatestValue(how=how):
            pairs = _plain_pairs(how)
            here = (anchor.rows, anchor.observed) in pairs if anchor else not pairs
            if here:
                yield from _moved(how, anchor)
            else:
                yield column
        case Matched():
            if anchor != CUSTOMER:
                yield column


def _columns_read(how: object, place: Place) -> Iterator[tuple[Place, str | RowColumn]]:
    """List every column that a reading needs, on tables and on the place that observes."""
    match how:
        case Window() | Latest():
            for column in columns_of_table(how):
                yield from _with_inputs(column, how.table)
            for column in columns_of_observer(how):
                yield from _with_inputs(column, place)
        case Own(column=column):
            yield from _with_inputs(column, place)


def _with_inputs(
    column: str | RowColumn | None, place: Place
) -> Iterator[tuple[Place, str | RowColumn]]:
    if column is None:
        return
    yield place, column
    if isinstance(column, RowColumn):
        match column.how:
            case RowFunction(inputs=inputs) | RowFormula(inputs=inputs):
                for each in inputs:
                    yield from _with_inputs(each, place)
            case LatestValue(how=how):
                yield from _columns_read(how, place)
            case Matched():
                yield from ((place, name) for name in (CUSTOMER_ID, DIRECTION, AMOUNT))


def _tables_read(how: object) -> Iterator[str]:
    """Tables that a reading needs, however deep inside it."""
    if isinstance(how, Window | Latest):
        yield how.table
    if isinstance(how, tuple):
        for each in how:
            yield from _tables_read(each)
    elif is_dataclass(how) and not isinstance(how, type | WindowLength):
        for each in fields(how):
            yield from _tables_read(getattr(how, each.name))


def as_pass(level: int, site: Site, specs: Sequence[FeatureSpec]) -> Pass:
    """Note the tables and columns that the readings of a pass touch."""
    rows: dict[str, set[str]] = {}
    observed: set[str] = set()
    for spec in specs:
        for table in _tables_read(spec.how):
            rows.setdefault(table, set())
        for place, column in _columns_read(spec.how, OBSERVED):
            if isinstance(column, str):
                (observed if place == OBSERVED else rows[place]).add(column)
    return Pass(
        site=site,
        level=level,
        specs=tuple(specs),
        rows={table: frozenset(columns) for table, columns in rows.items()},
        observed=frozenset(observed),
    )
