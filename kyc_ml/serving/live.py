"""Features of one transaction at a time, from the store and from what is only in its log so far."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Final

import pyarrow as pa

from kyc_ml.contract import (
    AMOUNT,
    EVENT_TIME,
    KNOWN_AT,
    TRANSACTION_ID,
    TRANSACTIONS,
    rows_as_table,
    rows_from_json,
)
from kyc_ml.dataset import as_observations
from kyc_ml.features import (
    DAY_US,
    FeatureSpec,
    FeatureTable,
    LiveFeatures,
    MadeOnReading,
    microseconds,
)
from kyc_ml.history import (
    PEERS,
    SERVED_UNTIL,
    History,
    HistoryStore,
    StoredRows,
    contracted_schemas,
)

_ORDER: Final = [(name, "ascending") for name in (EVENT_TIME, KNOWN_AT, TRANSACTION_ID)]
_PACKED_ROWS: Final = 256
"""Rows of a piece: tables of one row take many times its memory."""
_ALL: Final = 1 << 30
_WHOLE_BANK: Final = ""


class LiveHistory:
    """What `LiveFeatures` reads: tables of the store, and payments that only the log has.

    It is one state of the store, which it shows as it is now: make another after an append. One
    thread at a time may use it.

    `store`: opened for this state alone, which closes it.
    """

    def __init__(self, store: HistoryStore, specs: Sequence[FeatureSpec]) -> None:
        store.pin()
        self.appends = store.appends()
        self.specs = tuple(specs)
        history = History(store, threads=1)
        self.schema = contracted_schemas(store)[TRANSACTIONS]
        self._stored = StoredRows(store, history.layout)
        self._new: list[pa.Table] = []
        self._packed: list[pa.Table] = []
        self._count = 0
        self._places: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._keys = [name for name in history.layout.keys_of(TRANSACTIONS) if name.endswith("_id")]
        # peers are measured from what is only in the log too
        history.keyed = MadeOnReading(self, history.columns)
        peers = history.by_key(specs).peers
        assert peers is not None  # noqa: S101  a store has them
        self._features = LiveFeatures(
            specs,
            keyed=history.keyed,
            whole=None,
            peers=peers,
            timezone=store.about["timezone"],
            columns=history.columns,
            observed=as_observations(self.schema.empty_table(), TRANSACTION_ID).column_names,
        )
        ends = [each for name in store.tables for each in store.days(name)["last"].to_pylist()]
        ends += [start for _, start in json.loads(store.kept(PEERS) or b"[]")]
        # a row carries columns from what the bank knew when it happened, as months have peers
        happened = [each for each in ends if each <= time.time() * 1e6]
        self.latest_us = max([int(store.kept(SERVED_UNTIL) or 0), *happened])
        """The last instant of which the bank's knowledge cannot change any more: of what was
        served, and of the rows in the store."""
        self._seen = 0
        self._store = store
        self.catch_up()

    def close(self) -> None:
        """Close the store, and free the memory bit by bit: other threads run between them."""
        self._store.close()
        self._features.forget()
        self.__dict__.clear()  # what is left refers to itself

    def catch_up(self) -> int:
        """Take in what was served since this state was made; return how many payments."""
        late = self._store.pending(_ALL, above=self._seen)
        rows = rows_from_json([entry.row for _, entry in late if entry.row], self.schema)
        self._seen = max([self._seen, *(number for number, _ in late)])
        self.latest_us = max([self.latest_us, *microseconds(rows[EVENT_TIME]).tolist()])
        for place in range(rows.num_rows):
            self.add(TRANSACTIONS, rows.slice(place, 1))
        return len(rows)

    def compute(self, observation: pa.Table) -> FeatureTable:
        """Return the features of one observation."""
        return self._features.compute(observation)

    def recent(self, days: int) -> pa.Table:
        """Return the payments of the last days, or a made-up one if there are no payments."""
        found = self._store.days(TRANSACTIONS)
        if not found.num_rows:
            made_up = {each.name: "" for each in self.schema if not each.nullable}
            times = {EVENT_TIME: 0, KNOWN_AT: 0, AMOUNT: 1.0}
            return rows_as_table([{**made_up, **times}], self.schema)
        since_us = (found["day"][-1].as_py() + 1 - days) * DAY_US
        return self._store.since(TRANSACTIONS, since_us, self.schema.names)

    def warm(self, payments: pa.Table, *, at_once: int, stop: Callable[[], bool]) -> int:
        """Read the rows of the keys of payments, the latest first; return how many were read.

        `at_once`: payments whose keys are read together: other threads wait for some of the work.
        `stop`: ends it where it returns True.
        """
        size: int = payments.num_rows
        for last in range(size, 0, -at_once):
            first = max(last - at_once, 0)
            if stop() or not self._features.warm(payments.slice(first, last - first)):
                return size - first
        return size

    def add(self, table: str, row: pa.Table) -> None:
        """Take in one payment that no decision so far has seen."""
        carried = self._features.add(table, row)
        for key in (*self._keys, _WHOLE_BANK):
            value = row[key][0].as_py() if key else _WHOLE_BANK
            if value is not None:
                self._places[key, value].append(self._count)
        self._count += 1
        self._new.append(carried)
        if len(self._new) == _PACKED_ROWS:
            self._packed.append(pa.concat_tables(self._new).combine_chunks())
            self._new = []

    def rows(self, table: str, key: str, values: pa.Array, columns: Collection[str]) -> pa.Table:
        """Return the rows of some values of a key, '' for all rows; see `KeyedRows`."""
        names = {*columns, TRANSACTION_ID} if table == TRANSACTIONS else columns
        if key == _WHOLE_BANK:
            kept = self._stored.all_rows(table, names)
        else:
            kept = self._stored.rows(table, key, values, names)
        places = [at for value in values.to_pylist() for at in self._places.get((key, value), ())]
        if table != TRANSACTIONS or not places:
            return kept
        new = pa.concat_tables([*self._packed, *self._new]).select(kept.column_names).take(places)
        return pa.concat_tables([kept, new], promote_options="default").sort_by(_ORDER)
