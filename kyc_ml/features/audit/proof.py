"""The point-in-time proof: tamper with what a decision may not know, and compute again.

At sampled decision times the tables are deleted, corrupted and added to out of the
decision's reach, and rows of equal times are shuffled. Features that know nothing of the
future do not move; one that moves is named.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.contract import EVENT_TIME, KNOWN_AT, ContractedTables
from kyc_ml.display import Progress
from kyc_ml.errors import DatasetError
from kyc_ml.features.audit.movement import (
    CORRUPTED,
    CROWDED,
    DELETED,
    SHUFFLED,
    FeatureAudit,
    Tally,
)
from kyc_ml.features.audit.tampering import (
    KEYS,
    corrupt_rows,
    crowd_rows,
    delete_rows,
    shuffle_ties,
)
from kyc_ml.features.build import build_features
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import DECISION_TIME, FeatureTable
from kyc_ml.features.timed_rows import microseconds
from kyc_ml.metrics import Ints

MOST_OBSERVATIONS: Final = 200
"""Observations audited at one decision time (convention: rebuilding them is quick)."""


class Build(Protocol):
    """What is audited: `build_features`, or a stand-in with its signature."""

    def __call__(
        self,
        source: ContractedTables,
        observations: pa.Table,
        *,
        specs: Sequence[FeatureSpec],
        threads: int,
    ) -> FeatureTable:
        """Compute declared features of observations."""


def audit_features(
    source: ContractedTables,
    observations: pa.Table,
    *,
    specs: Sequence[FeatureSpec],
    times: int = 5,
    seed: int = 0,
    build: Build = build_features,
    threads: int = 2,
    progress: Progress | None = None,
) -> FeatureAudit:
    """Prove on the user's own rows that no feature knows what it may not know.

    At each time, up to `MOST_OBSERVATIONS` are audited: those decided then, and recent
    ones asked again at that time, every other of these with the counterparty, account and
    device of its neighbour: observations that never happened, but whose features may not see the
    future either. Their features from all tables are compared with those from tables that
    were deleted, corrupted and crowded out of their reach; and, once for all times, with
    those from tables whose rows of equal times were shuffled. The comparison also catches
    a feature that reads the other observations of its batch.

    Parameters
    ----------
    times : int
        Decision times to sample, one from each of `times` equal parts of the period. Fewer
        are taken if there are fewer that rows follow.
    seed : int
        The same seed makes the same audit.
    progress : callable, optional
        Called with (builds done, builds in all).

    Raises
    ------
    DatasetError
        If there is no observation, or no row follows any: nothing could move.
    """
    rng = np.random.default_rng(seed)
    chosen = _sample_times(source, observations, times=times, rng=rng)
    audited, at = _sample_observations(observations, chosen, rng=rng)
    steps = 2 + 3 * len(chosen)
    done = iter(range(1, steps + 1))

    def compute(tables: Mapping[str, pa.Table], rows: pa.Table) -> FeatureTable:
        found = build(replace(source, tables=tables), rows, specs=specs, threads=threads)
        if progress is not None:
            progress(next(done), steps)
        return found

    expected = compute(source.tables, audited)
    tally = Tally(expected, at)
    shuffled = {name: shuffle_ties(table, rng=rng) for name, table in source.tables.items()}
    everyone = np.arange(audited.num_rows)
    tally.compare(SHUFFLED, everyone, compute(_tables(shuffled), audited), _touched(shuffled))
    for time_us in chosen:
        rows = np.flatnonzero(at == time_us)
        here = audited.take(pa.array(rows))
        for check, tampered in _tampered(source.tables, time_us, here, rng):
            tally.compare(check, rows, compute(_tables(tampered), here), _touched(tampered))
    return FeatureAudit(
        decision_times=tuple(pd.Timestamp(int(each), unit="us", tz="UTC") for each in chosen),
        observations=audited.num_rows,
        rows=tally.touched,
        features=tally.frame(),
        unavailable=expected.unavailable,
    )


_Tampered = Mapping[str, tuple[pa.Table, int]]


def _tampered(
    tables: Mapping[str, pa.Table], at_us: int, audited: pa.Table, rng: np.random.Generator
) -> Iterator[tuple[str, _Tampered]]:
    """Tamper with all tables in each of the ways that a decision time gives."""
    yield DELETED, {name: delete_rows(table, at_us) for name, table in tables.items()}
    yield (
        CORRUPTED,
        {name: corrupt_rows(name, table, at_us, rng=rng) for name, table in tables.items()},
    )
    yield (
        CROWDED,
        {
            name: crowd_rows(name, table, at_us, audited=audited, rng=rng)
            for name, table in tables.items()
        },
    )


def _tables(tampered: _Tampered) -> dict[str, pa.Table]:
    return {name: table for name, (table, _) in tampered.items()}


def _touched(tampered: _Tampered) -> int:
    return sum(count for _, count in tampered.values())


def _sample_times(
    source: ContractedTables, observations: pa.Table, *, times: int, rng: np.random.Generator
) -> Ints:
    """Choose one time from each stretch of the decision times that rows follow."""
    if times < 1:
        msg = f"times must be at least 1, got {times}: without a decision time nothing is audited"
        raise DatasetError(msg)
    if not observations.num_rows:
        msg = "there is no observation to audit: check the dates and the configuration's unit"
        raise DatasetError(msg)
    latest = [
        max(int(microseconds(table[name]).max()) for name in (EVENT_TIME, KNOWN_AT))
        for table in source.tables.values()
        if table.num_rows
    ]
    decided = np.unique(microseconds(observations[DECISION_TIME]))
    followed = decided[decided < max(latest, default=-1)]
    if not followed.size:
        raise DatasetError(
            f"no row of any table follows the {decided.size} decision time(s): deleting what "
            "comes later would prove nothing; audit an earlier date than the end of the data"
        )
    stretches = np.array_split(followed, min(times, followed.size))
    return np.array([rng.choice(stretch) for stretch in stretches], np.int64)


def _sample_observations(
    observations: pa.Table, chosen: Ints, *, rng: np.random.Generator
) -> tuple[pa.Table, Ints]:
    """Take observations decided at each time, and recent ones to be asked again then.

    Returns `audited`: each observation at most once, its decision time one of `chosen`.
    Returns `at`: int64 array; that time, in microseconds.
    """
    decided = microseconds(observations[DECISION_TIME])
    order = np.argsort(decided, kind="stable")
    free = np.ones(decided.size, np.bool_)
    parts, at = [], []
    for time_us in chosen:
        now = np.flatnonzero((decided == time_us) & free)
        if now.size > MOST_OBSERVATIONS:
            # sorted: the sample keeps the order of the observations
            now = np.sort(rng.choice(now, MOST_OBSERVATIONS, replace=False))
        before = order[: np.searchsorted(decided[order], time_us)]
        recent = before[free[before]][::-1][: MOST_OBSERVATIONS - now.size]
        # an observation is audited at one decision time only
        free[now] = free[recent] = False
        parts += [
            observations.take(pa.array(now)),
            _with_swapped_keys(observations.take(pa.array(recent))),
        ]
        at.append(np.full(now.size + recent.size, time_us))
    times = np.concatenate(at)
    audited = pa.concat_tables(parts).combine_chunks()
    field = audited.schema.field(DECISION_TIME)
    place = audited.column_names.index(DECISION_TIME)
    return audited.set_column(place, field, pa.array(times).cast(field.type)), times


def _with_swapped_keys(recent: pa.Table) -> pa.Table:
    """Return the observations, every second one with the keys of the next, except the customer.

    A payment asked about again has been to its counterparty before; a pair that never met
    shows what a feature of first meetings sees.
    """
    neighbour = np.arange(recent.num_rows)
    neighbour[:-1:2] += 1
    for name in KEYS[1:]:
        if name in recent.column_names:
            place = recent.column_names.index(name)
            recent = recent.set_column(
                place, recent.field(place), recent[name].take(pa.array(neighbour))
            )
    return recent
