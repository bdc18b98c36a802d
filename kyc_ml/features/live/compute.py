"""Features of one observation after the other, in milliseconds."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import islice
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
from kyc_ml.features.live.looking import Looking
from kyc_ml.features.live.passes import LivePass, RowsOfKey, Texts
from kyc_ml.features.made import ADVERSE, OUTCOMES
from kyc_ml.features.observed import read_observations
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import DECISION_TIME, FeatureTable
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.metrics import Floats

MOST_BYTES: Final = 1 << 32

_TOGETHER: Final = 1_024
"""Keys whose rows are read together: their tables are the most memory that a start takes."""


class LiveFeatures:
    """Computes features of one observation at a time from the rows of its keys.

    Values are those of `build_features` of all rows, to the bit, for any order of observations.
    Rows of a key stay in memory once they were read: rows that are stored later must be given to
    `add`, or all be read again after `forget`. One thread at a time may use it.

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
        The keys used least recently are dropped beyond it; an estimate.
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
        self._specs, unavailable = split_available(specs, columns, observed)
        self._ordered = in_table_order(self._specs)
        self._unavailable = chosen_unavailable(specs, unavailable)
        self._whole = whole
        self._peers = peers
        self._most_bytes = most_bytes
        # a place in the matrix for each feature, those that only formulas read last
        self._empty = Computed(self._specs, 1)
        self._combination = Combination(self._specs, self._empty.place)
        self._passes: list[tuple[Pass, LivePass]] = []
        for each in plan_passes({OBSERVED: self._specs}).passes:
            if each.site.place in {OBSERVED, TRANSACTIONS}:
                carried = {spec.name: at for at, spec in enumerate(each.specs)}
                place = carried if each.site.carries else self._empty.place
                self._passes.append((each, LivePass(each, keyed, timezone=timezone, place=place)))
        self._keys: OrderedDict[tuple[int, str], RowsOfKey] = OrderedDict()
        # what is counted of each key, and of all
        self._weights: dict[tuple[int, str], int] = {}
        self._bytes = 0
        self._last: Looking | None = None

    def compute(self, observation: Frame) -> FeatureTable:
        """Compute the features of one observation, as it was known at its decision.

        `observation`: table of one row, of pandas, Polars or pyarrow: observation_id, customer_id,
        decision_time and the observation's own fields.
        Raises DatasetError if there is not one row, or a key is absent.
        """
        table = read_observations(observation)
        if table.num_rows != 1:
            msg = f"one observation is computed at a time, got {table.num_rows:,} rows"
            raise DatasetError(msg)
        looking = Looking(table, time=DECISION_TIME)
        computed = self._empty.copy()
        self._run(looking, OBSERVED, computed.numbers, computed.categories)
        self._last = looking
        self._combination.fill(computed, partial(self._compare, looking, computed))
        self._drop()
        texts = [spec.name for spec in self._ordered if spec.kind == "category"]
        return FeatureTable(
            keys=table.select(KEYS),
            specs=self._ordered,
            numbers=computed.numbers[:, : len(self._ordered)],
            categories={name: computed.categories[name] for name in texts},
            unavailable=self._unavailable,
        )

    def add(self, table: str, rows: pa.Table) -> pa.Table:
        """Put accepted rows into the keys in memory; a payment is an outcome that is not adverse.

        `rows`: contracted rows, seen only after every row before happened and every observation was
        decided; of others, call `forget`. Columns that a plan carries to them may be missing.
        Returns the rows with the columns that the plan carries to payments.
        """
        added = []
        for at in range(rows.num_rows):
            row = Looking(rows.slice(at, 1))
            carried: list[str] = []
            if table == TRANSACTIONS:
                if self._last is not None and row.is_like(self._last):  # it was the observation
                    row.take_over(self._last)
                carried = self._run(row, TRANSACTIONS, self._empty.numbers, {})
            added.append(
                row.with_columns([name for name in carried if name not in rows.schema.names])
            )
            self._insert(table, row)
            if table == TRANSACTIONS:
                row.append(ADVERSE, np.zeros(1))  # no case names it yet
                self._insert(OUTCOMES, row)
        return pa.concat_tables(added) if added else rows

    def warm(self, observations: pa.Table) -> bool:
        """Read the rows of the keys of observations together: one by one takes longer.

        They are those to drop first. Returns whether there is room for more.
        """
        for number, (each, live) in enumerate(self._passes):
            by = live.anchor.observed
            if each.site.anchor is None or by not in observations.column_names:
                continue
            found = observations[by].unique().drop_null().to_pylist()
            new = [value for value in found if (number, value) not in self._keys]
            for first in range(0, len(new), _TOGETHER):
                for value, rows in live.load(new[first : first + _TOGETHER]).items():
                    key = number, value
                    self._keys[key] = rows
                    self._keys.move_to_end(key, last=False)
                    self._weigh([key])
        return self._bytes < self._most_bytes

    def forget(self) -> None:
        """Drop all rows from memory: they are read again."""
        while self._keys:  # one by one: other threads run between them
            self._keys.popitem()
        self._weights.clear()
        self._bytes = 0

    def _run(self, looking: Looking, place: str, out: Floats, texts: Texts) -> list[str]:
        """Run the passes of a place; return the columns that are carried to it, which it gets."""
        added = []
        for number, (each, _) in enumerate(self._passes):
            if each.site.place == place and not each.site.carries:
                self._run_pass(number, looking, out, texts)
            elif each.site.place == place:
                names = [spec.name for spec in each.specs]
                added += names
                if not looking.names.issuperset(names):
                    numbers, carried = np.full((1, len(names)), np.nan, order="F"), Texts()
                    self._run_pass(number, looking, numbers, carried)
                    for at, name in enumerate(names):
                        looking.append(name, carried.get(name, numbers[:, at]))
        return added

    def _run_pass(self, number: int, looking: Looking, out: Floats, texts: Texts) -> None:
        each, live = self._passes[number]
        if each.site.anchor is None and self._whole is not None:
            for name, found in self._whole.read(each.specs, looking).items():
                live.put(name, found, out, texts)
            return
        value = looking.field(live.anchor.observed)
        rows = None
        if value is not None:
            key = number, str(value)
            if key not in self._keys:
                self._keys[key] = live.load([key[1]])[key[1]]
            rows = self._keys[key]
            self._keys.move_to_end(key)
        live.read(looking, rows, out, texts)

    def _drop(self) -> None:
        """Drop the keys used least recently; those of the last observation stay."""
        recent = list(islice(reversed(self._keys), len(self._passes)))
        self._weigh(recent)
        while len(self._keys) > len(recent) and self._bytes > self._most_bytes:
            self._bytes -= self._weights.pop(self._keys.popitem(last=False)[0], 0)

    def _weigh(self, keys: Sequence[tuple[int, str]]) -> None:
        for key in keys:
            weight = self._keys[key].nbytes
            self._bytes += weight - self._weights.get(key, 0)
            self._weights[key] = weight

    def _insert(self, table: str, row: Looking) -> None:
        for number, (each, live) in enumerate(self._passes):
            by = live.anchor.rows
            key = number, row.field(by) if by in row.names else ""
            found = self._keys.get(key) if table in each.rows else None
            if found is not None and not live.insert(found, table, row):
                del self._keys[key]

    def _compare(
        self, observed: TimedRows, computed: Computed, peers: Sequence[FeatureSpec]
    ) -> Mapping[str, Floats]:
        names = list(dict.fromkeys(name for spec in peers for name in spec.how.features_read()))
        return self._peers.compare(peers, computed.named(names), observed)
