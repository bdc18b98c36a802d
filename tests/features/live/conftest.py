"""Rows by key, counts of the whole bank and figures of peers, all of tables in memory."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest

from kyc_ml.contract import EVENT_TIME, KNOWN_AT
from kyc_ml.features.buckets.anchors import plan_passes
from kyc_ml.features.build import Computed, FeatureComputation, timed_tables
from kyc_ml.features.how import OBSERVED
from kyc_ml.features.peer_distance import compare_with_peers
from kyc_ml.features.spec import all_made_of
from kyc_ml.features.timed_rows import UNTIL, TimedRows


class InMemory:
    """`KeyedRows`, `WholeBank` and `PeerFigures` by computing everything from all rows."""

    def __init__(self, source, specs):
        self.source, self.specs = source, specs
        self.reads = 0
        self.replace(source)

    def replace(self, source):
        self.source = source
        tables, _ = timed_tables(source, self.specs)
        self.computation = FeatureComputation(tables, timezone=source.timezone, threads=1)
        carried = plan_passes({OBSERVED: self.specs}).carried
        self.tables = {name: rows.table for name, rows in tables.items()}
        for place, columns in carried.items():
            if place == OBSERVED:
                continue
            computed = Computed(columns, len(tables[place]))
            self.computation.read(tables[place], columns, computed)
            for spec in columns:
                values = computed.values(spec.name, slice(None))
                self.tables[place] = self.tables[place].append_column(spec.name, values)

    def rows(self, table, key, values, columns, *, since_us=None):
        self.reads += 1
        rows = self.tables[table]
        names = {*columns, EVENT_TIME, KNOWN_AT, *({UNTIL} & set(rows.column_names))}
        rows = rows.filter(pc.is_in(rows[key], value_set=values)) if key else rows
        return rows.select(sorted(names))

    def read(self, specs, observed):
        found = Computed(specs, len(observed))
        plain = TimedRows(observed.table, time=observed.time)
        self.computation.read(plain, specs, found)
        return {
            spec.name: found.categories.get(spec.name, found.column(spec.name)) for spec in specs
        }

    def compare(self, specs, own, observed):
        known = {spec.name: spec for spec in self.specs}

        def measure(population, wanted):
            needed = dict.fromkeys(
                name for item in wanted for name in (item, *all_made_of(known[item], known))
            )
            return self.computation.compute(population, [known[n] for n in needed]).named(wanted)

        return compare_with_peers(
            specs,
            observed=observed,
            own=own,
            customers=self.computation._tables["customers"],
            measure=measure,
        )


@pytest.fixture(scope="session")
def in_memory():
    return InMemory
