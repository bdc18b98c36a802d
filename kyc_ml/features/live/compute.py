"""Features of one observation after the other, in milliseconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import pyarrow as pa

from kyc_ml.contract import TRANSACTIONS, Frame
from kyc_ml.errors import DatasetError
from kyc_ml.features.availability import split_available
from kyc_ml.features.buckets.anchors import Pass, plan_passes
from kyc_ml.features.build import Computed, as_table, chosen_unavailable, combine
from kyc_ml.features.how import OBSERVED
from kyc_ml.features.keyed import KeyedRows, PeerFigures, WholeBank
from kyc_ml.features.kinds.rows_of_key import Latest, Window
from kyc_ml.features.live.passes import LivePass, Looking, RowsOfKey
from kyc_ml.features.made import ADVERSE, OUTCOMES
from kyc_ml.features.observed import read_observations
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import DECISION_TIME, FeatureTable
from kyc_ml.features.timed_rows import UNTIL, TimedRows, as_column
from kyc_ml.metrics import Floats

MOST_BYTES: Final = 1 << 30


class LiveFeatures:
    """Computes features of one observation at a time from the rows of its own keys.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        The features; those that the tables cannot give are unavailable.
    keyed, whole, peers : KeyedRows, WholeBank, PeerFigures
        Where rows, counts of the whole bank and figures of peers are read.
    columns : mapping of table to columns
        Of the contracted tables and those made of them (`with_made`).
    observed : collection of str
        Fields that every observation has.
    most_bytes : int
        Rows of the keys used least recently are dropped beyond it.

    Notes
    -----
    Values are those of `build_features` of all rows, to the bit, for any order of observations.
    Rows of a key stay in memory once they were read: rows that are stored later must be given to
    `add`, or their keys to `forget`.
    """

    def __init__(
        self,
        specs: Sequence[FeatureSpec],
        *,
        keyed: KeyedRows,
        whole: WholeBank,
        peers: PeerFigures,
        timezone: str,
        columns: Mapping[str, Collection[str]],
        observed: Collection[str],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        available, unavailable = split_available(specs, columns, observed)
        self._specs = available
        self._unavailable = chosen_unavailable(specs, unavailable)
        self._whole = whole
        self._peers = peers
        self._timezone = timezone
        self._most_bytes = most_bytes
        plan = plan_passes({OBSERVED: available})
        looking = {TRANSACTIONS, OUTCOMES}
        self._passes: list[tuple[Pass, LivePass | None]] = [
            (
                each,
                LivePass(each, keyed, timezone=timezone, looking=sorted(looking & set(each.rows)))
                if each.site.anchor and each.rows
                else None,
            )
            for each in plan.passes
            if each.site.place in {OBSERVED, TRANSACTIONS}
        ]
        self._keys: OrderedDict[tuple[int, str], RowsOfKey] = OrderedDict()

    def compute(self, observation: Frame) -> FeatureTable:
        """Compute the features of one observation, as it was known at its decision.

        Parameters
        ----------
        observation : table of one row, of pandas, Polars or pyarrow
            observation_id, customer_id, decision_time and the observation's own fields.

        Raises
        ------
        DatasetError
            If there is not one row, or a key is absent.
        """
        table = read_observations(observation)
        if table.num_rows != 1:
            msg = f"one observation is computed at a time, got {table.num_rows:,} rows"
            raise DatasetError(msg)
        observed = TimedRows(table, time=DECISION_TIME)
        computed = Computed(self._specs, 1)
        for spec, value in self._run_passes(observed, OBSERVED):
            computed.put(spec, value)
        self._drop()
        combine(self._specs, computed, compare=partial(self._compare, observed, computed))
        return as_table(table, computed, self._specs, unavailable=self._unavailable, notes=())

    def add(self, table: str, rows: pa.Table) -> None:
        """Put accepted rows into the keys in memory; a payment is an outcome that is not adverse.

        Parameters
        ----------
        table : str
            A contracted table.
        rows : pyarrow.Table
            Contracted rows, known later than every row and observation before; otherwise call
            `forget`. Columns that a plan carries to them may be missing.
        """
        for at in range(rows.num_rows):
            row = TimedRows(rows.slice(at, 1))
            if table == TRANSACTIONS:
                list(self._run_passes(row, TRANSACTIONS))
                self._add(OUTCOMES, TimedRows(_as_outcome(row.table)))
            self._add(table, row)

    def forget(self) -> None:
        """Drop all rows from memory: they are read again."""
        self._keys.clear()

    def _run_passes(
        self, observed: TimedRows, place: str
    ) -> Iterator[tuple[FeatureSpec, Floats | pa.Array]]:
        """Run the passes of a place; columns that are carried to it are added to its row."""
        for number, (each, live) in enumerate(self._passes):
            if each.site.place == place:
                for spec, value in self._run(number, each, live, observed):
                    if not each.site.carries:
                        yield spec, value
                    elif spec.name not in observed.table.column_names:
                        column = value if spec.how.is_text() else as_column(value)
                        observed.append(spec.name, column)

    def _run(
        self, number: int, each: Pass, live: LivePass | None, observed: TimedRows
    ) -> list[tuple[FeatureSpec, Floats | pa.Array]]:
        if each.site.anchor is None:
            values = self._whole.read(each.specs, observed)
            return [(spec, values[spec.name]) for spec in each.specs]
        if live is None:
            return [
                (spec, spec.how.read(observed, tables={}, timezone=self._timezone))
                for spec in each.specs
            ]
        looking = Looking(observed)
        value = looking.field(live.anchor.observed)
        found = None if value is None else self._rows_of(number, live, str(value))
        live.add_columns(looking, found)
        numbers, texts = live.read(looking, found)
        return [
            (spec, texts[spec.name] if spec.name in texts else numbers[:, column])
            if isinstance(spec.how, Window | Latest)
            else (spec, spec.how.read(observed, tables={}, timezone=self._timezone))
            for column, spec in enumerate(each.specs)
        ]

    def _rows_of(self, number: int, live: LivePass, value: str) -> RowsOfKey:
        key = number, value
        if key not in self._keys:
            self._keys[key] = live.load(value)
        self._keys.move_to_end(key)
        return self._keys[key]

    def _drop(self) -> None:
        """Drop the keys used least recently, down to the limit; the last ones stay."""
        total = sum(found.nbytes for found in self._keys.values())
        while total > self._most_bytes and len(self._keys) > len(self._passes):
            _, dropped = self._keys.popitem(last=False)
            total -= dropped.nbytes

    def _add(self, table: str, row: TimedRows) -> None:
        for number, (each, live) in enumerate(self._passes):
            if live is None or table not in each.rows:
                continue
            value = row.table[live.anchor.rows][0].as_py()
            found = self._keys.get((number, value))
            if found is not None and not live.insert(found, table, TimedRows(row.table)):
                del self._keys[number, value]

    def _compare(
        self, observed: TimedRows, computed: Computed, peers: Sequence[FeatureSpec]
    ) -> Mapping[str, Floats]:
        names = list(dict.fromkeys(name for spec in peers for name in spec.how.features_read()))
        return self._peers.compare(peers, computed.named(names), observed)


def _as_outcome(row: pa.Table) -> pa.Table:
    """Return a payment that no case names yet as a row of the table of outcomes."""
    nothing = pa.nulls(row.num_rows, pa.timestamp("us", tz="UTC"))
    return row.append_column(UNTIL, nothing).append_column(ADVERSE, pa.array([0.0] * row.num_rows))
