"""Rows of a store as the computation of features asks for them: by key, by day, and whole."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import features as f
from kyc_ml.contract import CONTRACT, CUSTOMER_ID, EVENT_TIME
from kyc_ml.history.layout import KEYS, TIMES, Layout
from kyc_ml.history.partitions import DAY
from kyc_ml.history.store import HistoryStore
from kyc_ml.metrics import Floats, Ints

_DAYS: Final = 4
"""Days whose observations are counted together."""


class StoredRows:
    """Rows of the store.

    Parameters
    ----------
    layout : Layout
        What the store was made with.
    """

    def __init__(self, store: HistoryStore, layout: Layout) -> None:
        self.store = store
        self.layout = layout
        self._labels: pa.Table | None = None
        self._spans: dict[str, dict[int, f.Span]] = {}
        self._counts: dict[tuple[str, int], dict[str, Counter[str]]] = {}

    def rows(self, table: str, key: str, values: pa.Array, columns: Collection[str]) -> pa.Table:
        """Return the rows whose column `key` has one of some values; see `KeyedRows`."""
        return self.store.rows(table, key, values, columns)

    def all_rows(self, table: str, columns: Collection[str]) -> pa.Table:
        """Return all rows of a table; those of labels, which many features read, once."""
        if table != f.LABELS:
            return pa.concat_tables(list(self.store.scan(table, columns)))
        if self._labels is None:
            names = self.layout.columns_of(f.LABELS, CUSTOMER_ID)
            self._labels = pa.concat_tables(list(self.store.scan(f.LABELS, names)))
        return self._labels

    def days(self, table: str) -> dict[int, f.Span]:
        """Return the outermost times of each day's rows, by day since 1970 (UTC)."""
        if table not in self._spans:
            found = self.store.days(table)
            numbers = (found[name].to_pylist() for name in ("day", "first", "last", "known"))
            self._spans[table] = {
                day: f.Span(
                    first_event=first, last_event=last, last_known=known, first_until=f.NEVER_US
                )
                for day, first, last, known in zip(*numbers, strict=True)
            }
        return self._spans[table]

    def day_rows(self, table: str, days: Sequence[int], columns: Collection[str]) -> pa.Table:
        """Return the rows of some days."""
        return self.store.rows(table, DAY, pa.array(days, pa.int64()), columns)

    def counted(self, table: str, day: int) -> dict[str, Counter[str]]:
        """Count the rows of a day by each field that the whole bank is counted by."""
        if (table, day) not in self._counts:
            kept = self.store.kept(name_of_counts(table, day))
            plain = {} if kept is None else json.loads(kept)
            self._counts[table, day] = {name: Counter(each) for name, each in plain.items()}
        return self._counts[table, day]


def name_of_counts(table: str, day: int) -> str:
    """Return the name of the fact that holds a day's counts."""
    return f"counts of {table} on {day:06d}"


class WholeDays(f.WholeRows):
    """Readings of the whole bank: counts by the days of the store, others from all rows."""

    def __init__(self, rows: StoredRows, *, timezone: str, threads: int = 2) -> None:
        super().__init__(rows.all_rows, timezone=timezone, threads=threads)
        self._rows = rows

    def _read(self, spec: f.FeatureSpec, observed: f.TimedRows) -> Floats | pa.Array:
        table = spec.how.tables()[0]
        if table not in CONTRACT or not f.adds_up(spec):
            return super()._read(spec, observed)
        runs = _Days(self._rows, table, f.key_of_count(spec))
        count = f.WholeCount(runs, spec, timezone=self._timezone, threads=self._threads)
        found = np.full(len(observed), np.nan)
        names = [observed.time, *(n for n in observed.table.column_names if n != observed.time)]
        # few days at a time: most days of the store are then seen by all of them, or by none
        order = np.argsort(observed.event_time, kind="stable")
        days = observed.event_time[order] // (_DAYS * f.DAY_US)
        for rows in np.split(order, np.flatnonzero(np.diff(days)) + 1):
            if rows.size:
                some = f.TimedRows(observed.table.select(names).take(rows), time=observed.time)
                found[rows] = count.count(some)
        return found


class _Days:
    """Days of the store as runs of a whole count."""

    def __init__(self, rows: StoredRows, table: str, key: Sequence[str | f.RowColumn]) -> None:
        self._rows = rows
        self._table = table
        self._key = next(map(f.name_of, key), None)
        names = [*TIMES, *(column for column in key if isinstance(column, str))]
        self.schema = pa.schema([rows.layout.schemas[table].field(name) for name in names])
        self.spans = rows.days(table)

    def load(self, run: int) -> pa.Table:
        return self._rows.day_rows(self._table, [run], self.schema.names).select(self.schema.names)

    def counted(self, run: int) -> Mapping[str | None, float]:
        kept = self._rows.counted(self._table, run)
        counts: dict[str | None, float] = {None: kept[""][""]}
        return counts | dict(kept.get(self._key or "", {}))


class ArrivingRows(StoredRows):
    """Rows of the store as they will be with those that arrive.

    Attributes
    ----------
    new : dict of table to Arrow table
        Rows that arrive, in the order of the table, with the carried columns computed so far.
    changed : dict of table to Arrow table
        Rows of the store whose carried columns become others, with all their columns.
    gone : dict of table to function
        Marks the rows of a made table whose place new ones take.
    recounted : set of (table, day)
        Days whose counts become others.
    """

    def __init__(
        self, store: HistoryStore, layout: Layout, new: Mapping[str, pa.Table], *, timezone: str
    ) -> None:
        super().__init__(store, layout)
        self.new = dict(new)
        self.changed: dict[str, pa.Table] = {}
        self.gone: dict[str, Callable[[pa.Table], pa.ChunkedArray]] = {}
        self.recounted: set[tuple[str, int]] = set()
        for table, rows in new.items():
            if DAY in layout.keys_of(table):
                self._count(table, f.TimedRows(rows), timezone)

    def rows(self, table: str, key: str, values: pa.Array, columns: Collection[str]) -> pa.Table:
        """Return the rows whose column `key` has one of some values, new ones among them."""
        kept = super().rows(table, key, values, {*columns, *KEYS[table]})
        return self._with_new(table, kept, lambda new: pc.is_in(new[key], value_set=values))

    def all_rows(self, table: str, columns: Collection[str]) -> pa.Table:
        """Return all rows of a table, new ones among them."""
        return self._with_new(table, super().all_rows(table, {*columns, *KEYS[table]}), None)

    def day_rows(self, table: str, days: Sequence[int], columns: Collection[str]) -> pa.Table:
        """Return the rows of some days, new ones among them."""
        kept = super().day_rows(table, days, {*columns, *KEYS[table]})
        return self._with_new(table, kept, lambda new: np.isin(days_of(new), days))

    def old_rows(
        self, table: str, key: str, values: pa.Array, columns: Collection[str]
    ) -> pa.Table:
        """Return rows of the store alone, changed as they will be."""
        kept = super().rows(table, key, values, {*columns, *KEYS[table]})
        return self.as_changed(table, kept)

    def _with_new(
        self, table: str, kept: pa.Table, which: Callable[[pa.Table], Any] | None
    ) -> pa.Table:
        kept = self.as_changed(table, kept)
        new = self.new.get(table)
        if new is None:
            return kept
        new = (
            (new if which is None else new.filter(which(new)))
            .select(kept.column_names)
            .cast(kept.schema)
        )
        if not len(new) or not len(kept):
            return new if len(new) else kept
        order = dict.fromkeys((*TIMES, *KEYS[table]))
        both = pa.concat_tables([kept, new], promote_options="default")
        return both.sort_by([(name, "ascending") for name in order])

    def as_changed(self, table: str, kept: pa.Table) -> pa.Table:
        """Return rows of the store as they will be."""
        if table in self.gone:
            return kept.filter(pc.invert(self.gone[table](kept)))
        changed = self.changed.get(table)
        return kept if changed is None else with_columns_of(table, kept, changed)

    def _count(self, table: str, rows: f.TimedRows, timezone: str) -> None:
        """Add the new rows to the spans and counts of their days."""
        day = days_of(rows.table)
        spans = self.days(table)
        for each in np.unique(day).tolist():
            span = f.span_of(f.TimedRows(rows.table.filter(pa.array(day == each))))
            spans[each] = span.joined(spans[each]) if each in spans else span
            self._counts[table, each] = {
                name: Counter(counts) for name, counts in super().counted(table, each).items()
            }
            self.recounted.add((table, each))
        for field in ("", *self.layout.counted[table]):
            counted = f.values_counted(rows, field, timezone=timezone) if field else None
            values = pa.repeat("", len(rows)) if counted is None else counted
            found = pa.table({"day": day, "value": values}).group_by(["day", "value"])
            for each in found.aggregate([([], "count_all")]).to_pylist():
                if each["value"] is not None:
                    counts = self._counts[table, each["day"]].setdefault(
                        f.name_of(field), Counter()
                    )
                    counts[each["value"]] += each["count_all"]


def days_of(rows: pa.Table) -> Ints:
    """Return the days since 1970 (UTC) on which rows happened."""
    return f.microseconds(rows[EVENT_TIME]) // f.DAY_US


def ids_of(table: str, rows: pa.Table) -> pa.Array:
    """Return one text a row that no other row of the table has."""
    names = KEYS[table]
    texts = [rows[name].cast(pa.int64() if name in TIMES else pa.string()) for name in names]
    texts = [each.cast(pa.string()).combine_chunks() for each in texts]
    # no identifier has a line break in it
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "\n")


def with_columns_of(table: str, rows: pa.Table, other: pa.Table) -> pa.Table:
    """Take the columns that are carried to rows from those of the same rows elsewhere."""
    at = pc.index_in(ids_of(table, rows), value_set=ids_of(table, other))
    if at.null_count == len(at):
        return rows
    for place, name in enumerate(rows.column_names):
        if name not in CONTRACT[table].names and name in other.column_names:
            taken = other[name].combine_chunks().take(at)
            values = pc.if_else(at.is_valid(), taken, rows[name].combine_chunks())
            rows = rows.set_column(place, name, values)
    return rows
