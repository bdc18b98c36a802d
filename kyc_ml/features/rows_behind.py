"""The rows that the features of one observation were computed from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import ContractedTables
from kyc_ml.features.build import timed_tables
from kyc_ml.features.history import kept_rows
from kyc_ml.features.how import name_of
from kyc_ml.features.kernels.timeline import visible
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.kinds.rows_of_key import Latest, Window
from kyc_ml.features.observed import read_observations
from kyc_ml.features.row_columns import add_row_columns, needed_columns
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import DECISION_TIME
from kyc_ml.features.timed_rows import TimedRows

_COMPARED: Final = frozenset({"ratio", "difference", "z_score", "log_ratio", "shrunk_share"})
"""Operations that compare their first input with the others: its rows are those in question."""
_ADDING: Final = frozenset({"sum", "decayed_sum"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsBehind:
    """Rows of one table that a feature of one observation was computed from."""

    how: Window | Latest
    """Window or Latest; the reading of the feature, or of the first feature that it is made of."""
    rows: pa.Table
    """In order of time, with all columns of the table that they are from. Rows that add 0 to a sum
    are left out."""


def find_rows(
    source: ContractedTables,
    observation: pa.Table,
    names: Iterable[str],
    *,
    specs: Sequence[FeatureSpec],
    threads: int = 2,
) -> dict[str, tuple[RowsBehind, ...]]:
    """List the rows that features of one observation were computed from.

    A formula that compares is followed into its first input (the sum of a ratio, not what it is
    divided by), any other formula into all inputs. A reading of the whole bank, and one of the
    observation itself, has no rows.

    `observation`: pyarrow.Table of one row; as for `build_features`.
    `names`: the features asked about.
    `specs`: these features, and those that they are made of.
    Returns dict of feature to its readings; a reading without a row is included; a feature without
    a reading has none.
    """
    known = {spec.name: spec for spec in specs}
    readings = {name: tuple(dict.fromkeys(_readings(known[name], known))) for name in names}
    read = list(dict.fromkeys(spec for found in readings.values() for spec in found))
    tables, _ = timed_tables(source, read)
    observed = TimedRows(read_observations(observation), time=DECISION_TIME)
    add_row_columns(
        needed_columns(read),
        tables=tables,
        observed=observed,
        timezone=source.timezone,
        threads=threads,
    )
    found = {
        spec: RowsBehind(how=spec.how, rows=_rows(spec.how, tables, observed))
        for spec in read
        if isinstance(spec.how, Window | Latest)
    }
    return {name: tuple(found[spec] for spec in each) for name, each in readings.items()}


def _readings(spec: FeatureSpec, known: Mapping[str, FeatureSpec]) -> Iterator[FeatureSpec]:
    """Follow a feature to those that read rows of a key; see `find_rows`."""
    how = spec.how
    if isinstance(how, Window | Latest):
        if how.key:
            yield spec
        return
    compared = isinstance(how, Peer) or getattr(how, "operation", "") in _COMPARED
    inputs = [tuple(_readings(known[name], known)) for name in how.features_read()]
    if compared:
        # the amount of this payment against a habit: only the habit has rows
        yield from next(filter(None, inputs), ())
    else:
        yield from (each for found in inputs for each in found)


def _rows(how: Window | Latest, tables: Mapping[str, TimedRows], observed: TimedRows) -> pa.Table:
    source = tables[how.table]
    kept = kept_rows(source, how.where)
    here = np.ones(len(source), np.bool_) if kept is None else kept
    at = how.key if how.at is None else how.at
    for column, own in zip(how.key, at, strict=True):
        values, wanted = source.table[name_of(column)], observed.table[name_of(own)][0]
        # a missing value equals nothing
        same = pc.fill_null(pc.equal(values, wanted.cast(values.type)), fill_value=False)
        here &= np.asarray(same, np.bool_)
    rows = np.flatnonzero(here)
    seen = visible(
        source.event_time[rows],
        source.known_at[rows],
        None if source.until is None else source.until[rows],
        now=int(observed.event_time[0]),
        lag_us=how.lag_us if isinstance(how, Window) else 0,
        window_us=how.period.us if isinstance(how, Window) else None,
    )
    rows = rows[seen]
    if isinstance(how, Latest):
        return source.table.take(rows[-1:])
    if how.value is not None:
        values = source.table[name_of(how.value)].take(rows)
        counts = values.is_valid()
        if how.statistic in _ADDING:
            counts = pc.and_(counts, pc.not_equal(values.fill_null(0), 0))
        rows = rows[np.asarray(counts, np.bool_)]
    return source.table.take(rows)
