"""Peers of larger populations than memory holds: measured by bucket, compared by month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract import CUSTOMER_ID, CUSTOMERS
from kyc_ml.features.buckets.anchors import Pass, Place, Plan, plan_passes
from kyc_ml.features.buckets.exchange import BucketWriter, read_bucket
from kyc_ml.features.buckets.parts import BucketParts, free_memory
from kyc_ml.features.build import Computed, combine
from kyc_ml.features.how import OBSERVED
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.peer_distance import (
    MEASURED_AT,
    GroupStatistics,
    distance,
    frame,
    group_statistics,
    month_starts,
    population,
)
from kyc_ml.features.spec import FeatureSpec, all_made_of
from kyc_ml.features.table import DECISION_TIME
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.metrics import Floats, Ints

_PEERS: Final = pa.schema(
    [pa.field(CUSTOMER_ID, pa.string()), pa.field(DECISION_TIME, pa.timestamp("us", tz="UTC"))]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRound:
    """Comparisons that need the same measures of peers and no later round."""

    compared: tuple[FeatureSpec, ...]
    """Features whose `how` is a Peer."""
    measured: tuple[FeatureSpec, ...]
    """What is computed of every peer for them."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the measures that groups of peers are made by and compared in."""
        return tuple(
            dict.fromkeys(name for spec in self.compared for name in spec.how.features_read())
        )


def peer_rounds(specs: Sequence[FeatureSpec]) -> dict[Place, PeerRound]:
    """Divide comparisons into rounds: each reads measures of earlier rounds only."""
    known = {spec.name: spec for spec in specs}

    def depth(spec: FeatureSpec) -> int:
        below = max((depth(known[name]) for name in spec.how.features_read()), default=0)
        return below + isinstance(spec.how, Peer)

    rounds: dict[Place, PeerRound] = {}
    peers = [spec for spec in specs if isinstance(spec.how, Peer)]
    for number in sorted({depth(spec) for spec in peers}):
        compared = tuple(spec for spec in peers if depth(spec) == number)
        needed = {name for spec in compared for name in all_made_of(spec, known)}
        measured = tuple(spec for spec in specs if spec.name in needed)
        rounds[f"peers {number}"] = PeerRound(compared=compared, measured=measured)
    return rounds


def plan_everything(specs: Sequence[FeatureSpec]) -> Plan:
    """Plan the passes of a feature set, those that measure peers included."""
    rounds = peer_rounds(specs)
    return plan_passes(
        {**{place: each.measured for place, each in rounds.items()}, OBSERVED: specs}
    )


class Populations:
    """What groups of peers had at the start of each month, found round after round.

    Parameters
    ----------
    months : int64 array
        The first instants of the months in question, in microseconds.
    """

    def __init__(self, rounds: Mapping[Place, PeerRound], *, months: Ints, folder: Path) -> None:
        self._rounds = rounds
        self._months = months
        self._folder = folder
        self._found: dict[str, GroupStatistics] = {}

    @property
    def file(self) -> Path:
        """Every customer at every month, as observations."""
        return self._folder / "peers.parquet"

    def list_members(self, parts: BucketParts, n_buckets: int) -> None:
        """Write the customers known at the start of each month."""
        with pq.ParquetWriter(self.file, _PEERS) as writer:
            for bucket in range(n_buckets if self._months.size else 0):
                _, customers = parts.load(CUSTOMERS, CUSTOMER_ID, bucket, frozenset())
                writer.write_table(population(customers, self._months).cast(_PEERS))

    def measure(self, parts: BucketParts, last: Pass, n_buckets: int) -> None:
        """Measure the peers of a round, and find the statistics of their groups."""
        asked = self._rounds[last.site.place]
        folder = self._folder / f"measures of {last.site.place}"
        schema = pa.schema([pa.field(MEASURED_AT, pa.int64())])
        with BucketWriter(folder, name="rows") as writer:
            for bucket in range(n_buckets):
                measures = self._measured(parts, last, asked, bucket)
                schema = measures.schema
                if measures.num_rows:
                    places = np.searchsorted(self._months, measures[MEASURED_AT].to_numpy())
                    writer.write(measures, places.astype(np.uint16))
                free_memory()
        self._compare_groups(asked, folder, schema)

    def _measured(self, parts: BucketParts, last: Pass, asked: PeerRound, bucket: int) -> pa.Table:
        _, observed, computed = parts.finish(last, asked.measured, bucket)
        self.combine(asked.measured, observed, computed)
        numbers, texts = computed.named(asked.names)
        return pa.table({MEASURED_AT: month_starts(observed.event_time), **numbers, **texts})

    def _compare_groups(self, asked: PeerRound, folder: Path, schema: pa.Schema) -> None:
        """Find the statistics of every group, month after month."""
        hows = {spec.name: spec.how for spec in asked.compared if isinstance(spec.how, Peer)}
        found: dict[str, list[GroupStatistics]] = {name: [] for name in hows}
        for month in range(self._months.size):
            measures = read_bucket(folder, month, schema=schema)
            if measures.num_rows:
                peers = _as_frame(measures)
                for name, how in hows.items():
                    found[name].append(group_statistics(how, peers))
        empty = _as_frame(schema.empty_table())
        for name, how in hows.items():
            months = found[name] or [group_statistics(how, empty)]
            self._found[name] = [pd.concat(each) for each in zip(*months, strict=True)]

    def combine(
        self, specs: Sequence[FeatureSpec], observed: TimedRows, computed: Computed
    ) -> None:
        """Compute features made of other features, and comparisons with these peers."""

        def compare(peers: Sequence[FeatureSpec]) -> dict[str, Floats]:
            names = list(dict.fromkeys(name for spec in peers for name in spec.how.features_read()))
            mine = frame(*computed.named(names), month_starts(observed.event_time))
            return {
                spec.name: distance(spec.how, self._found[spec.name], mine)
                for spec in peers
                if isinstance(spec.how, Peer)
            }

        combine(specs, computed, compare=compare)


def _as_frame(measures: pa.Table) -> pd.DataFrame:
    columns = {name: measures[name].combine_chunks() for name in measures.column_names}
    when = columns.pop(MEASURED_AT).to_numpy()
    texts = {name: each for name, each in columns.items() if each.type == pa.string()}
    numbers = {
        n: each.to_numpy(zero_copy_only=False) for n, each in columns.items() if n not in texts
    }
    return frame(numbers, texts, when)
