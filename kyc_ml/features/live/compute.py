"""Features of one observation after the other, in milliseconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa

from kyc_ml.contract import TRANSACTIONS, Frame
from kyc_ml.errors import DatasetError
from kyc_ml.features.availability import split_available
from kyc_ml.features.buckets.anchors import Pass, plan_passes
from kyc_ml.features.build import KEYS, Combination, Computed, chosen_unavailable, in_table_order
from kyc_ml.features.how import OBSERVED
from kyc_ml.features.keyed import KeyedRows, PeerFigures, WholeBank
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
    keyed, peers : KeyedRows, PeerFigures
        Where rows and figures of peers are read.
    whole : WholeBank or None
        Where readings by no identifier are read. None reads them live: `keyed` returns all rows of
        a table for the key "", of which every row has the value "".
    columns : mapping of table to columns
        Of the contracted tables and those made of them (`with_made`).
    observed : collection of str
        Fields that every observation has.
    most_bytes : int
        The keys used least recently are dropped beyond it.

    Notes
    -----
    Values are those of `build_features` of all rows, to the bit, for any order of observations.
    Rows of a key stay in memory once they were read: rows that are stored later must be given to
    `add`, or all be read again after `forget`. One thread at a time may use it.
    """

    def __init__(
        self,
        specs: Sequence[FeatureSpec],
        *,
        keyed: KeyedRows,
        whole: WholeBank | None,
        peers: PeerFigures,
        timezone: str,
        columns: Mapping[str, Collection[str]],
        observed: Collection[str],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        available, unavailable = split_available(specs, columns, observed)
        self._specs = available
        self._ordered = in_table_order(available)
        self._unavailable = chosen_unavailable(specs, unavailable)
        self._whole = whole
        self._peers = peers
        self._most_bytes = most_bytes
        # a place in the matrix for each feature, those that only formulas read last
        self._empty = Computed(available, 1)
        self._combination = Combination(available, self._empty.place)
        self._passes: list[tuple[Pass, LivePass]] = []
        for each in plan_passes({OBSERVED: available}).passes:
            if each.site.place in {OBSERVED, TRANSACTIONS}:
                place = {spec.name: at for at, spec in enumerate(each.specs)}
                live = LivePass(
                    each,
                    keyed,
                    timezone=timezone,
                    place=place if each.site.carries else self._empty.place,
                    looking=sorted({TRANSACTIONS, OUTCOMES} & set(each.rows)),
                )
                self._passes.append((each, live))
        self._keys: OrderedDict[tuple[int, str], RowsOfKey] = OrderedDict()
        self._bytes: dict[tuple[int, str], int] = {}
        self._total = 0

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
        computed = self._empty.copy()
        self._run(Looking(observed), OBSERVED, computed.numbers, computed.categories)
        compare = partial(self._compare, observed, computed)
        self._combination.fill(computed, compare)
        self._drop()
        return FeatureTable(
            keys=table.select(KEYS),
            specs=self._ordered,
            numbers=computed.numbers[:, : len(self._ordered)],
            categories={
                spec.name: computed.categories[spec.name]
                for spec in self._ordered
                if spec.kind == "category"
            },
            unavailable=self._unavailable,
        )

    def add(self, table: str, rows: pa.Table) -> pa.Table:
        """Put accepted rows into the keys in memory; a payment is an outcome that is not adverse.

        Parameters
        ----------
        table : str
            A contracted table.
        rows : pyarrow.Table
            Contracted rows, known later than every row and observation before; otherwise call
            `forget`. Columns that a plan carries to them may be missing.

        Returns
        -------
        pyarrow.Table
            The rows with the columns that the plan carries to them.
        """
        added = []
        for at in range(rows.num_rows):
            row = TimedRows(rows.slice(at, 1))
            if table == TRANSACTIONS:
                self._run(Looking(row), TRANSACTIONS, self._empty.numbers, {})
                self._insert(OUTCOMES, _as_outcome(row.table))
            self._insert(table, row.table)
            added.append(row.table)
        return pa.concat_tables(added) if added else rows

    def forget(self) -> None:
        """Drop all rows from memory: they are read again."""
        self._keys.clear()
        self._bytes.clear()
        self._total = 0

    def _run(self, looking: Looking, place: str, out: Floats, texts: dict[str, pa.Array]) -> None:
        """Run the passes of a place; columns that are carried to it are added to its row."""
        for number, (each, _) in enumerate(self._passes):
            if each.site.place != place:
                continue
            if not each.site.carries:
                self._run_pass(number, looking, out, texts)
                continue
            carried: dict[str, pa.Array] = {}
            numbers = np.full((1, len(each.specs)), np.nan, order="F")
            self._run_pass(number, looking, numbers, carried)
            for at, spec in enumerate(each.specs):
                if spec.name not in looking.names:
                    text = spec.how.is_text()
                    looking.append(
                        spec.name, carried[spec.name] if text else as_column(numbers[:, at])
                    )

    def _run_pass(
        self, number: int, looking: Looking, out: Floats, texts: dict[str, pa.Array]
    ) -> None:
        each, live = self._passes[number]
        if each.site.anchor is None and self._whole is not None:
            found = self._whole.read(each.specs, looking.rows)
            for spec in each.specs:
                if spec.how.is_text():
                    texts[spec.name] = found[spec.name]
                else:
                    out[0, live.place[spec.name]] = found[spec.name][0]
            return
        value = looking.field(live.anchor.observed)
        rows = None if value is None else self._rows_of(number, live, str(value))
        live.add_columns(looking, rows)
        live.read(looking, rows, out, texts)

    def _rows_of(self, number: int, live: LivePass, value: str) -> RowsOfKey:
        key = number, value
        if key not in self._keys:
            self._keys[key] = live.load(value)
        self._keys.move_to_end(key)
        return self._keys[key]

    def _drop(self) -> None:
        """Drop the keys used least recently, down to the limit; those just used stay."""
        # the last of the order are those of this observation, and what they hold may have grown
        for key in list(reversed(self._keys))[: len(self._passes)]:
            self._weigh(key)
        while self._total > self._most_bytes and len(self._keys) > len(self._passes):
            self._forget_key(next(iter(self._keys)))

    def _weigh(self, key: tuple[int, str]) -> None:
        now = self._keys[key].nbytes
        self._total += now - self._bytes.get(key, 0)
        self._bytes[key] = now

    def _forget_key(self, key: tuple[int, str]) -> None:
        del self._keys[key]
        self._total -= self._bytes.pop(key, 0)

    def _insert(self, table: str, row: pa.Table) -> None:
        for number, (each, live) in enumerate(self._passes):
            if table not in each.rows:
                continue
            key = number, row[live.anchor.rows][0].as_py() if live.anchor.rows else ""
            found = self._keys.get(key)
            if found is not None and not live.insert(found, table, TimedRows(row)):
                self._forget_key(key)

    def _compare(
        self, observed: TimedRows, computed: Computed, peers: Sequence[FeatureSpec]
    ) -> Mapping[str, Floats]:
        names = list(dict.fromkeys(name for spec in peers for name in spec.how.features_read()))
        return self._peers.compare(peers, computed.named(names), observed)


def _as_outcome(row: pa.Table) -> pa.Table:
    """Return a payment that no case names yet as a row of the table of outcomes."""
    nothing = pa.nulls(row.num_rows, pa.timestamp("us", tz="UTC"))
    return row.append_column(UNTIL, nothing).append_column(ADVERSE, pa.array([0.0] * row.num_rows))
