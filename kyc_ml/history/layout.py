"""What a store keeps for some feature sets: which columns of which rows, by which keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from kyc_ml import contract as c
from kyc_ml import features as f
from kyc_ml.errors import ConfigError
from kyc_ml.history.nights import LONG
from kyc_ml.history.partitions import DAY, Partition
from kyc_ml.history.store import HistoryStore

TIMES: Final = (c.EVENT_TIME, c.KNOWN_AT)
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: table.key for name, table in c.CONTRACT.items()},
    f.LABELS: (c.CASE_ID, c.KNOWN_AT),
    f.PATTERNS: (),
}
"""Columns that name a row of each stored table."""

_Column = tuple[str, str]
"""Table and name."""
_Kept = dict[tuple[str, str], set[str]]
"""Columns by table and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a store keeps of a bank's tables."""

    schemas: Mapping[str, pa.Schema]
    """Mapping of table to Arrow schema; contracted columns, then those that are carried to the
    rows; also of labels and patterns."""
    partitions: tuple[Partition, ...]
    carrying: tuple[f.Pass, ...]
    """What computes carried columns, in an order in which each finds what it reads."""
    counted: Mapping[str, tuple[str | f.RowColumn, ...]]
    """Mapping of table to the columns by which all its rows are counted."""

    def keys_of(self, table: str) -> list[str]:
        """List the keys by which rows of a table are found."""
        return [each.key for each in self.partitions if each.table == table]

    def columns_of(self, table: str, key: str) -> tuple[str, ...]:
        """Return all columns of a partition, in the order of the table's schema."""
        own = {n for p in self.partitions if (p.table, p.key) == (table, key) for n in p.columns}
        names = {*own, *TIMES, f.UNTIL, *KEYS[table], key}
        return tuple(name for name in self.schemas[table].names if name in names)

    def lacks(self, other: Layout) -> list[str]:
        """List what another layout keeps and this one does not."""
        kept = {(each.table, each.key): {*each.columns} for each in self.partitions}
        missing = []
        for each in other.partitions:
            name = f"{each.table} by {each.key}"
            own = kept.get((each.table, each.key))
            absent = sorted({*each.columns} - (own or set()))
            missing += [name] if own is None else [f"{column} of {name}" for column in absent]
        ours, theirs = _carried(self.carrying), _carried(other.carrying)
        return missing + [
            f"{name} of {place} as it is defined now"
            for (place, name), spec in theirs.items()
            if ours.get((place, name)) != spec
        ]


def layout_of(
    feature_sets: Sequence[Sequence[f.FeatureSpec]], schemas: Mapping[str, pa.Schema]
) -> Layout:
    """Derive what a store must keep to compute features of any of the sets by key.

    `schemas`: mapping of contracted table to Arrow schema; of the bank's tables; features of what
    it does not have are left out.
    Raises ConfigError if two sets define a column of rows in different ways, or one carries a
    column to rows of a made table.
    """
    columns = f.with_made({name: schema.names for name, schema in schemas.items()})
    # an observation may have any field: a feature of one that it lacks is left out later
    anything = {name for names in columns.values() for name in names}
    kept: _Kept = defaultdict(set)
    kept |= {(name, c.CUSTOMER_ID): set(schema.names) for name, schema in schemas.items()}
    carried: dict[_Column, f.FeatureSpec] = {}
    counted: dict[str, dict[str | f.RowColumn, None]] = {name: {} for name in schemas}
    passes: list[f.Pass] = []
    for specs in feature_sets:
        available, _ = f.split_available(specs, columns, anything)
        for each in f.plan_everything(available).passes:
            _keep(each, kept, counted, columns)
            if each.site.carries and each.site.place != f.OBSERVED:
                new = [spec for spec in each.specs if _is_new(each.site.place, spec, carried)]
                passes += [f.as_pass(each.level, each.site, new)] if new else []
    if any(table == f.LABELS for table, _ in kept):
        of_labels = [(key, names) for (table, key), names in kept.items() if table == f.LABELS]
        joined = {name for key, names in of_labels for name in (key, *names)}
        kept[f.LABELS, c.CUSTOMER_ID] |= {c.TRANSACTION_ID} & {*columns[f.LABELS]}
        kept[f.LABELS, c.CASE_ID] |= joined | {c.CUSTOMER_ID, *kept[f.LABELS, c.CUSTOMER_ID]}
        kept[c.CASES, c.CASE_ID] |= {*columns[c.CASES]}
        if c.TRANSACTION_ID in columns[c.CASES]:
            kept[c.CASES, c.TRANSACTION_ID] |= {c.CASE_ID}
    if any(table == f.PATTERNS for table, _ in kept):
        kept[c.TRANSACTIONS, DAY] |= {c.CUSTOMER_ID, c.COUNTERPARTY_ID, c.DIRECTION, c.AMOUNT}
    for place, name in carried:
        kept[place, c.CUSTOMER_ID].add(name)
    for name in {*LONG} & {*schemas}:
        kept[name, DAY] |= {*schemas[name].names}
    return Layout(
        schemas=_kept_schemas(schemas, kept, carried),
        partitions=tuple(
            Partition(table=table, key=key, columns=tuple(sorted(own)))
            for (table, key), names in sorted(kept.items())
            for own in [names - {*TIMES, f.UNTIL, *KEYS[table], key}]
        ),
        carrying=tuple(sorted(passes, key=lambda each: each.level)),
        counted={name: tuple(fields) for name, fields in counted.items()},
    )


def contracted_schemas(store: HistoryStore) -> dict[str, pa.Schema]:
    """Return the columns that sources of a store have, by table."""
    columns: Mapping[str, Sequence[str]] = store.about["columns"]
    return {
        name: pa.schema([store.tables[name].schema.field(column) for column in names])
        for name, names in columns.items()
    }


def layout_of_store(store: HistoryStore) -> Layout:
    """Return the layout that a store was made with."""
    sets = [[f.from_plain(each) for each in specs] for specs in store.about["feature_sets"]]
    return layout_of(sets, contracted_schemas(store))


def _keep(
    each: f.Pass,
    kept: _Kept,
    counted: Mapping[str, dict[str | f.RowColumn, None]],
    columns: Mapping[str, Collection[str]],
) -> None:
    """Note what a pass reads, and by which key."""
    anchor = each.site.anchor
    if each.site.carries and each.site.place in c.CONTRACT:
        # rows whose carried columns a late row changes are found by the same key
        kept[each.site.place, DAY if anchor is None else anchor.observed] |= each.observed
    if anchor is not None:
        for table, names in each.rows.items():
            for stored, key, read in _stored(table, anchor.rows, {*names}, columns):
                kept[stored, key] |= read
        return
    for spec in each.specs:
        for table, names in f.as_pass(0, each.site, [spec]).rows.items():
            if table in c.CONTRACT and f.adds_up(spec):
                kept[table, DAY] |= names
                counted[table].update(dict.fromkeys(f.key_of_count(spec)))
            else:
                for stored, key, read in _stored(table, c.CUSTOMER_ID, {*names}, columns):
                    kept[stored, key] |= read


def _stored(
    table: str, key: str, names: set[str], columns: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str, set[str]]]:
    """List what is kept to read a table by a key; see `features.MadeOnReading`."""
    if table == f.OUTCOMES:
        yield c.TRANSACTIONS, key, {*names, c.TRANSACTION_ID} - {f.ADVERSE, f.UNTIL}
        yield f.LABELS, c.TRANSACTION_ID if key == c.CUSTOMER_ID else key, {c.TRANSACTION_ID}
    elif table == f.CURRENT_ACCOUNTS:
        read = {*names, key, c.ACCOUNT_ID, *({c.STATUS} & {*columns[c.ACCOUNTS]})} - {f.UNTIL}
        yield c.ACCOUNTS, key, read
        yield c.ACCOUNTS, c.ACCOUNT_ID, read
    else:
        yield table, key, names


def _is_new(place: str, spec: f.FeatureSpec, known: dict[_Column, f.FeatureSpec]) -> bool:
    """Add a carried column to those known; return whether it was not."""
    if place in f.MADE_FROM:
        msg = f"a feature reads {spec.name} of {place} by another key, which no store keeps"
        raise ConfigError(msg)
    before = known.setdefault((place, spec.name), spec)
    if before != spec:
        msg = f"two feature sets define {spec.name} of {place} in two ways: make a store for each"
        raise ConfigError(msg)
    return before is spec


def _kept_schemas(
    schemas: Mapping[str, pa.Schema],
    kept: Mapping[tuple[str, str], Collection[str]],
    carried: Mapping[_Column, f.FeatureSpec],
) -> dict[str, pa.Schema]:
    found = dict(schemas)
    for (place, name), spec in carried.items():
        kind = pa.string() if spec.kind == "category" else pa.float64()
        found[place] = found[place].append(pa.field(name, kind))
    if (f.LABELS, c.CASE_ID) in kept:
        names = kept[f.LABELS, c.CASE_ID]
        until = pa.field(f.UNTIL, pa.timestamp("us", tz="UTC"))
        fields = [*schemas[c.TRANSACTIONS], schemas[c.CASES].field(c.CASE_ID), until]
        wanted = {*names, *TIMES, f.UNTIL, c.CASE_ID}
        found[f.LABELS] = pa.schema(
            # a case may name no payment
            [pa.field(each.name, each.type) for each in fields if each.name in wanted]
        )
    if (f.PATTERNS, c.CUSTOMER_ID) in kept:
        found[f.PATTERNS] = f.PATTERN_SCHEMA
    return found


def _carried(passes: Sequence[f.Pass]) -> dict[_Column, f.FeatureSpec]:
    return {(each.site.place, spec.name): spec for each in passes for spec in each.specs}
