"""Peers of larger populations than memory holds: measured by bucket, compared by month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.contract import CUSTOMER_ID, CUSTOMERS
from kyc_ml.features.buckets.anchors import Pass, Place, Plan, plan_passes
from kyc_ml.features.buckets.work import Bucket, Work
from kyc_ml.features.build import Computed, as_table, combine
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
from kyc_ml.features.table import DECISION_TIME, FeatureTable
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.metrics import Codes, Floats, Ints

MonthStatistics = Mapping[str, GroupStatistics]
"""Mapping of feature to what the groups of its peers had at the start of a month."""

PEERS: Final = pa.schema(
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

    def __init__(self, rounds: Mapping[Place, PeerRound], *, months: Ints) -> None:
        self.rounds = rounds
        self.months = months
        self._found: dict[str, GroupStatistics] = {}

    def members(self, work: Work, bucket: Bucket) -> pa.Table:
        """List the customers of a bucket that were known at the start of each month."""
        _, customers = work.load(bucket, (CUSTOMERS, CUSTOMER_ID), frozenset())
        if not self.months.size:
            return PEERS.empty_table()
        return population(customers, self.months).cast(PEERS)

    def measure(self, work: Work, bucket: Bucket, last: Pass) -> tuple[pa.Table, Codes]:
        """Measure the peers of a bucket: a table, and the place of the month of each row."""
        asked = self.rounds[last.site.place]
        _, observed, computed = self._finish(work, bucket, last, asked.measured)
        numbers, texts = computed.named(asked.names)
        when = month_starts(observed.event_time)
        places = np.searchsorted(self.months, when).astype(np.uint16)
        return pa.table({MEASURED_AT: when, **numbers, **texts}), places

    def compare(self, place: Place, measures: pa.Table) -> MonthStatistics:
        """Find the statistics of every group of a round in the measures of a month."""
        peers = _as_frame(measures)
        return {name: group_statistics(how, peers) for name, how in self._hows(place).items()}

    def learn(self, place: Place, months: Sequence[MonthStatistics]) -> None:
        """Keep the statistics of a round's months, at least one."""
        for name in self._hows(place):
            levels = zip(*(month[name] for month in months), strict=True)
            self._found[name] = [pd.concat(each) for each in levels]

    def _hows(self, place: Place) -> dict[str, Peer]:
        compared = self.rounds[place].compared
        return {spec.name: spec.how for spec in compared if isinstance(spec.how, Peer)}

    def finish(
        self, work: Work, bucket: Bucket, last: Pass, specs: Sequence[FeatureSpec]
    ) -> tuple[Ints, FeatureTable]:
        """Return the numbers of a bucket's observations, and all their features."""
        rows, observed, computed = self._finish(work, bucket, last, specs)
        return rows, as_table(observed.table, computed, specs, unavailable={}, notes=())

    def _finish(
        self, work: Work, bucket: Bucket, last: Pass, specs: Sequence[FeatureSpec]
    ) -> tuple[Ints, TimedRows, Computed]:
        """Compute features of a bucket, those made of others and compared with peers too."""
        rows, observed, computed = work.finish(bucket, last, specs)

        def compare(peers: Sequence[FeatureSpec]) -> dict[str, Floats]:
            names = list(dict.fromkeys(name for spec in peers for name in spec.how.features_read()))
            mine = frame(*computed.named(names), month_starts(observed.event_time))
            return {
                spec.name: distance(spec.how, self._found[spec.name], mine)
                for spec in peers
                if isinstance(spec.how, Peer)
            }

        combine(specs, computed, compare=compare)
        return rows, observed, computed


T_co = TypeVar("T_co", covariant=True)


class Executor(Protocol[T_co]):
    """Brings the rows of each bucket together, and runs the passes of a plan on them."""

    def members(self, populations: Populations) -> None:
        """List the customers known at the start of each month, as rows of all rounds' places."""

    def carry(self, number: int) -> None:
        """Run a pass in every bucket, and hand its values to where they are read."""

    def measure(self, last: Pass, populations: Populations) -> None:
        """Measure the peers of a round, and learn the statistics of their groups by month."""

    def write(self, last: Pass, populations: Populations) -> T_co:
        """Write the features of the observations, bucket after bucket."""


def carry_out(plan: Plan, executor: Executor[T_co], populations: Populations) -> T_co:
    """Carry out a plan; the last pass ends the observations."""
    if populations.rounds:
        executor.members(populations)
    *before, last = plan.passes
    for number, each in enumerate(before):
        if plan.ends(each):
            executor.measure(each, populations)
        else:
            executor.carry(number)
    return executor.write(last, populations)


def _as_frame(measures: pa.Table) -> pd.DataFrame:
    columns = {name: measures[name].combine_chunks() for name in measures.column_names}
    when = columns.pop(MEASURED_AT).to_numpy()
    texts = {name: each for name, each in columns.items() if each.type == pa.string()}
    numbers = {
        n: each.to_numpy(zero_copy_only=False) for n, each in columns.items() if n not in texts
    }
    return frame(numbers, texts, when)
