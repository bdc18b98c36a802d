"""Features of a few observations, from rows found by key: the plan of `buckets`, by looking up.

The values are those of `build_features` on all rows: each pass of the plan reads the rows of the
observations' own keys, and the same engine computes it from them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import (
    ACCOUNT_ID,
    ACCOUNTS,
    CUSTOMER_ID,
    STATUS,
    TRANSACTION_ID,
    TRANSACTIONS,
    Frame,
)
from kyc_ml.features.availability import split_available
from kyc_ml.features.buckets.anchors import Pass, Plan, Site, as_pass, plan_passes
from kyc_ml.features.buckets.populations import MonthStatistics, PeerRound, peer_rounds
from kyc_ml.features.buckets.work import match_own
from kyc_ml.features.build import (
    Computed,
    FeatureComputation,
    as_table,
    chosen_unavailable,
    combine,
)
from kyc_ml.features.how import OBSERVED
from kyc_ml.features.keyed import KeyedRows, PeerFigures, WholeBank
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.made import ADVERSE, CURRENT_ACCOUNTS, LABELS, OUTCOMES
from kyc_ml.features.notation import definitions_digest
from kyc_ml.features.observed import read_observations
from kyc_ml.features.outcomes import outcomes_of
from kyc_ml.features.peer_distance import (
    Measured,
    distance,
    frame,
    group_statistics,
    month_starts,
    population,
)
from kyc_ml.features.prepare import current_accounts
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import DECISION_TIME, FeatureTable
from kyc_ml.features.timed_rows import UNTIL, TimedRows
from kyc_ml.metrics import Floats

_PEERS_AT_ONCE: Final = 20_000
"""Customers whose rows are in memory together while peers are measured."""


def build_features_by_key(
    observations: Frame,
    *,
    specs: Sequence[FeatureSpec],
    by_key: ByKey,
    columns: Mapping[str, Collection[str]],
) -> FeatureTable:
    """Compute declared features of observations from rows found by key, as `build_features` does.

    `observations`: as for `build_features`: in any order, which is kept.
    `columns`: mapping of table to its columns, of contracted tables and those made of them.
    Returns FeatureTable without notes: whether a cap cut searches for patterns short is counted
    only where all payments are searched together.
    """
    rows = read_observations(observations)
    available, unavailable = split_available(specs, columns, rows.column_names)
    computed = by_key.compute(TimedRows(rows, time=DECISION_TIME), available)
    reasons = chosen_unavailable(specs, unavailable)
    return as_table(rows, computed, available, unavailable=reasons, notes=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ByKey:
    """Computes features, and columns that are carried to rows, from rows found by key."""

    keyed: KeyedRows
    whole: WholeBank
    timezone: str
    """Zone of the hours that customers live by."""
    peers: PeerFigures | None = None
    """Needed where a feature compares with peers."""
    threads: int = 2

    def compute(self, observed: TimedRows, specs: Sequence[FeatureSpec]) -> Computed:
        """Compute features of observations; columns are added to `observed`."""
        computed = Computed(specs, len(observed))
        for each in _plan(tuple(specs)).passes:
            if each.site.place != OBSERVED:
                continue  # carried to the rows when they were appended
            if each.site.carries:
                for name, values in self.carried(each, observed).items():
                    if name not in observed.table.column_names:
                        observed.append(name, values)
            else:
                self._read(each, observed, computed)

        def compare(peers: Sequence[FeatureSpec]) -> Mapping[str, Floats]:
            names = list(dict.fromkeys(name for spec in peers for name in spec.how.features_read()))
            assert self.peers is not None  # noqa: S101  given where the set has peers
            return self.peers.compare(peers, computed.named(names), observed)

        combine(specs, computed, compare=compare)
        return computed

    def carried(self, each: Pass, place: TimedRows) -> dict[str, pa.Array]:
        """Compute the columns that a pass carries, one value a row of its place."""
        plain = match_own(
            each.site.place, each.specs, place, timezone=self.timezone, threads=self.threads
        )
        computed = Computed(plain, len(place))
        self._read(replace(each, specs=tuple(plain)), place, computed)
        return {spec.name: computed.values(spec.name, slice(None)) for spec in each.specs}

    def _read(self, each: Pass, place: TimedRows, computed: Computed) -> None:
        anchor = each.site.anchor
        if anchor is None:
            found = self.whole.read(each.specs, place)
            for spec in each.specs:
                computed.put(spec, found[spec.name])
            return
        values = place.table[anchor.observed].unique().drop_null()
        tables = {
            name: TimedRows(self.keyed.rows(name, anchor.rows, values, columns))
            for name, columns in each.rows.items()
        }
        computation = FeatureComputation(tables, timezone=self.timezone, threads=self.threads)
        computation.read(place, each.specs, computed)


@lru_cache(maxsize=8)
def _plan(specs: tuple[FeatureSpec, ...]) -> Plan:
    """Plan the passes of the observations; for few of them planning takes longest."""
    return plan_passes({OBSERVED: specs})


class MadeOnReading:
    """Rows by key also of the tables that are made when they are read: outcomes, current accounts.

    `keyed`: rows of the contracted tables, labels and patterns.
    `columns`: mapping of table to its columns.
    """

    def __init__(self, keyed: KeyedRows, columns: Mapping[str, Collection[str]]) -> None:
        self._keyed = keyed
        self._columns = columns

    def rows(self, table: str, key: str, values: pa.Array, columns: Collection[str]) -> pa.Table:
        """Return the rows whose column `key` has one of some values; see `KeyedRows`."""
        if table == OUTCOMES:
            return self._outcomes(key, values, columns)
        if table == CURRENT_ACCOUNTS:
            return self._current_accounts(key, values, columns)
        return self._keyed.rows(table, key, values, columns)

    def _outcomes(self, key: str, values: pa.Array, columns: Collection[str]) -> pa.Table:
        wanted = {*columns, TRANSACTION_ID} - {ADVERSE, UNTIL}
        paid = self._keyed.rows(TRANSACTIONS, key, values, wanted)
        by, which = key, values
        if key == CUSTOMER_ID:  # a case may name another customer than its payment does
            by, which = TRANSACTION_ID, paid[TRANSACTION_ID].unique()
        labels = self._keyed.rows(LABELS, by, which, {TRANSACTION_ID})
        return pa.concat_tables(outcomes_of(iter([paid]), labels))

    def _current_accounts(self, key: str, values: pa.Array, columns: Collection[str]) -> pa.Table:
        wanted = {*columns, key, ACCOUNT_ID, *({STATUS} & {*self._columns[ACCOUNTS]})} - {UNTIL}
        mine = self._keyed.rows(ACCOUNTS, key, values, wanted)
        if key != ACCOUNT_ID:  # an account's next version may have another owner
            mine = self._keyed.rows(ACCOUNTS, ACCOUNT_ID, mine[ACCOUNT_ID].unique(), wanted)
        found = current_accounts(mine)
        return found.filter(pc.is_in(found[key], value_set=values))


class WholeRows:
    """Readings of whole tables that are loaded for each of them; a `WholeBank`.

    `load`: returns all rows of a table, with at least some columns.
    """

    def __init__(
        self,
        load: Callable[[str, Collection[str]], pa.Table],
        *,
        timezone: str,
        threads: int = 2,
    ) -> None:
        self._load = load
        self._timezone = timezone
        self._threads = threads

    def read(
        self, specs: Sequence[FeatureSpec], observed: TimedRows
    ) -> dict[str, Floats | pa.Array]:
        """Return the values of features that no key divides, by name."""
        # one by one, to limit memory
        return {spec.name: self._read(spec, observed) for spec in specs}

    def _read(self, spec: FeatureSpec, observed: TimedRows) -> Floats | pa.Array:
        needed = as_pass(0, Site(place=OBSERVED, anchor=None), [spec]).rows
        tables = {name: TimedRows(self._load(name, columns)) for name, columns in needed.items()}
        computed = Computed([spec], len(observed))
        FeatureComputation(tables, timezone=self._timezone, threads=self._threads).read(
            observed, [spec], computed
        )
        return computed.categories.get(spec.name, computed.column(spec.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyPeers:
    """Comparisons with peers who are measured when a month is first needed; a `PeerFigures`."""

    specs: Sequence[FeatureSpec]
    """The feature set."""
    by_key: Callable[[], ByKey]
    """Returns what computes the peers' own features."""
    customers: Callable[[], TimedRows]
    """Returns customer_id and the times of all profile versions."""
    kept: MutableMapping[tuple[str, int], MonthStatistics] = field(default_factory=dict)
    """Mutable mapping of (digest of a round's features, first instant of a month); to
    MonthStatistics; by default in memory."""

    def compare(
        self, specs: Sequence[FeatureSpec], own: Measured, observed: TimedRows
    ) -> dict[str, Floats]:
        """Compare features of observations with those of their peers, by name."""
        when = month_starts(observed.event_time)
        mine = frame(*own, when)
        asked = {spec.name for spec in specs}
        found: dict[str, Floats] = {}
        for each in peer_rounds(self.specs).values():
            peers = {s.name: s.how for s in each.compared if s.name in asked}
            months = [self._of(each, int(start)) for start in np.unique(when) if peers]
            for name, how in peers.items():
                found[name] = np.full(when.size, np.nan)
                if months and isinstance(how, Peer):
                    levels = zip(*(month[name] for month in months), strict=True)
                    found[name] = distance(how, [pd.concat(level) for level in levels], mine)
        return found

    def _of(self, each: PeerRound, start: int) -> MonthStatistics:
        # one entry a round: all its features are measured together
        name = definitions_digest((*each.measured, *each.compared))
        try:
            return self.kept[name, start]
        except KeyError:
            self.kept[name, start] = self._measure(each, start)
            return self.kept[name, start]

    def _measure(self, each: PeerRound, start: int) -> MonthStatistics:
        customers = self.customers()
        members = population(customers, np.array([start]))
        parts = [
            frame(*self.by_key().compute(part, each.measured).named(each.names), part.event_time)
            for part in _parts(members)
        ]
        peers = pd.concat(parts, ignore_index=True)
        return {
            spec.name: group_statistics(spec.how, peers)
            for spec in each.compared
            if isinstance(spec.how, Peer)
        }


def _parts(members: pa.Table) -> Iterator[TimedRows]:
    """Divide observations into parts, at least one."""
    for first in range(0, max(len(members), 1), _PEERS_AT_ONCE):
        yield TimedRows(members.slice(first, _PEERS_AT_ONCE), time=DECISION_TIME)
