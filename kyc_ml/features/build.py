"""Observations and tables in, feature table out.

Features that read the same table, key and filter share one grouping of its rows, and
those of the same window share one timeline, so the cost grows with windows and
statistics, not with features. Pieces run on threads; the result does not depend on how
many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract.source import ContractedTables
from kyc_ml.contract.tables import CUSTOMER_ID, EVENT_TIME
from kyc_ml.features.availability import split_available
from kyc_ml.features.formulas import evaluate, read_time
from kyc_ml.features.history import History, build_history, microseconds
from kyc_ml.features.prepare import NIGHT_ENDS_HOUR, local_time, prepare_tables
from kyc_ml.features.spec import FeatureSpec, Formula, Latest, Own, Where, Window
from kyc_ml.features.sweeps import Sweep
from kyc_ml.features.table import DECISION_TIME, OBSERVATION_ID, FeatureTable

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Identity of a grouping: which rows of which table, by which key."""

    table: str
    key: tuple[str, ...]
    where: Where | None
    having: str | None
    """Column that must hold a value: statistics of a value skip rows without one."""


def build_features(
    source: ContractedTables,
    observations: pa.Table,
    *,
    specs: Sequence[FeatureSpec],
    threads: int = 2,
    progress: Progress | None = None,
) -> FeatureTable:
    """Compute declared features of observations, each as it was known at its decision.

    Parameters
    ----------
    source : ContractedTables
        All history; rows at or after a decision, or known only later, do not count.
    observations : pyarrow.Table
        observation_id, customer_id, decision_time and the observation's own fields.
        The order of rows is free and is kept.
    progress : callable, optional
        Called with (pieces done, pieces in all).

    Returns
    -------
    FeatureTable
        Counts and sums of an empty window are 0, other statistics of it are missing. An
        observation without the key (a payment without a counterparty) is missing too.
    """
    tables = prepare_tables(source)
    available, left_out = split_available(specs, tables, observations)
    visible = [spec for spec in available if not spec.hidden]
    ordered = [spec for spec in visible if spec.kind == "number"]
    ordered += [spec for spec in visible if spec.kind == "category"]
    hidden = [spec for spec in available if spec.hidden]
    place = {spec.name: column for column, spec in enumerate((*ordered, *hidden))}
    numbers = np.full((observations.num_rows, len(place)), np.nan, order="F")
    build = _Build(
        tables=tables, observations=observations, timezone=source.timezone, out=numbers, place=place
    )
    build.run(available, threads=threads, progress=progress)
    return FeatureTable(
        keys=observations.select([OBSERVATION_ID, CUSTOMER_ID, DECISION_TIME]),
        specs=tuple(ordered),
        numbers=numbers[:, : len(ordered)],
        categories=build.categories,
        left_out={
            spec.name: left_out[spec.name]
            for spec in specs
            if spec.name in left_out and not spec.hidden
        },
    )


@dataclass(kw_only=True)
class _Build:
    """One call of `build_features`: tables, observations and the matrix being filled."""

    tables: Mapping[str, pa.Table]
    observations: pa.Table
    timezone: str
    out: Floats
    place: Mapping[str, int]

    def __post_init__(self) -> None:
        self.categories: dict[str, pa.Array] = {}
        self._decision = microseconds(self.observations[DECISION_TIME])

    def run(self, specs: Sequence[FeatureSpec], *, threads: int, progress: Progress | None) -> None:
        """Fill the matrix: first what reads rows, on threads, then formulas in order."""
        groups: dict[_Rows, list[FeatureSpec]] = defaultdict(list)
        for spec in specs:
            if isinstance(spec.how, Window | Latest):
                groups[_rows_of(spec.how, self.tables)].append(spec)
            elif isinstance(spec.how, Own):
                self._read_own(spec, spec.how)
        steps = len(groups)
        with ThreadPoolExecutor(max_workers=threads) as pool:
            for done, _ in enumerate(pool.map(self._fill_group, *_columns(groups.items())), 1):
                if progress is not None:
                    progress(done, steps)
        for spec in _in_order([spec for spec in specs if isinstance(spec.how, Formula)]):
            self._apply_formula(spec)

    def _fill_group(self, rows: _Rows, specs: Sequence[FeatureSpec]) -> None:
        """Group rows once, then sweep each window once."""
        table = self.tables[rows.table]
        if rows.having is not None:
            table = table.filter(pc.is_valid(table[rows.having]))
        history = build_history(table, self.observations, key=rows.key, where=rows.where)
        windows: dict[tuple[int | None, int], list[FeatureSpec]] = defaultdict(list)
        for spec in specs:
            how = spec.how
            window = (how.period.us, how.lag_us) if isinstance(how, Window) else (None, 0)
            windows[window].append(spec)
        for (window_us, lag_us), members in windows.items():
            sweep = Sweep(history, table, window_us=window_us, lag_us=lag_us)
            for spec in members:
                if isinstance(spec.how, Latest):
                    self._read_latest(spec, spec.how, table, history, sweep.nearest())
                elif isinstance(spec.how, Window):
                    column = self.out[:, self.place[spec.name]]
                    column[history.observations] = _statistic(sweep, spec.how)

    def _read_latest(
        self,
        spec: FeatureSpec,
        how: Latest,
        table: pa.Table,
        history: History,
        nearest: npt.NDArray[np.int64],
    ) -> None:
        """Read a column, or the age, of each observation's latest visible row."""
        rows = np.full(self.observations.num_rows, -1, np.int64)
        rows[history.observations] = nearest
        column = table[EVENT_TIME if how.column is None else how.column]
        self._read(spec, column.take(pa.array(rows, mask=rows < 0)).combine_chunks())

    def _read_own(self, spec: FeatureSpec, how: Own) -> None:
        if how.column is not None:
            self._read(spec, self.observations[how.column].combine_chunks())
            return
        local = local_time(self.observations[DECISION_TIME], timezone=self.timezone)
        clock = {
            "hour": local.hour,
            "weekday": local.day_of_week,
            "night": local.hour < NIGHT_ENDS_HOUR,
        }
        self.out[:, self.place[spec.name]] = np.asarray(clock[how.reading], dtype=np.float64)

    def _read(self, spec: FeatureSpec, values: pa.Array) -> None:
        """Turn a column of one value an observation into the feature."""
        assert isinstance(spec.how, Latest | Own)  # noqa: S101  the callers' specs
        reading = spec.how.reading
        if reading == "category":
            self.categories[spec.name] = values
            return
        if reading in {"value", "flag"}:
            flat = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        else:
            moments = values.cast(pa.timestamp("us")).cast(pa.int64())
            flat = read_time(
                reading,
                decision=self._decision,
                moment=moments.fill_null(0).to_numpy(zero_copy_only=False),
                missing=np.where(values.is_null().to_numpy(zero_copy_only=False), np.nan, 0.0),
            )
        self.out[:, self.place[spec.name]] = flat

    def _apply_formula(self, spec: FeatureSpec) -> None:
        assert isinstance(spec.how, Formula)  # noqa: S101  the caller's filter
        inputs = [self.out[:, self.place[name]] for name in spec.how.inputs]
        self.out[:, self.place[spec.name]] = evaluate(spec.how, inputs)


def _rows_of(how: Window | Latest, tables: Mapping[str, pa.Table]) -> _Rows:
    having = None
    if isinstance(how, Window) and how.statistic not in {"count", "distinct"}:
        having = how.value
    if having is not None and not tables[how.table][having].null_count:
        having = None  # every row has a value: the grouping of all rows serves
    return _Rows(table=how.table, key=how.key, where=how.where, having=having)


def _statistic(sweep: Sweep, how: Window) -> Floats:
    match how.statistic:
        case "count" | "sum" | "mean" | "std":
            return sweep.moment(how.statistic, how.value)
        case "max" | "min":
            return sweep.extreme(how.statistic, _value_of(how))
        case "distinct":
            return sweep.distinct(_value_of(how))


def _value_of(how: Window) -> str:
    if how.value is None:
        msg = f"statistic {how.statistic} of table {how.table} needs a value column"
        raise ValueError(msg)
    return how.value


def _columns(
    items: Iterable[tuple[_Rows, list[FeatureSpec]]],
) -> tuple[list[_Rows], list[list[FeatureSpec]]]:
    """Part groups from their specs, the groups with most work first."""
    most_first = sorted(items, key=lambda item: -len(item[1]))
    return [rows for rows, _ in most_first], [specs for _, specs in most_first]


def _in_order(specs: Sequence[FeatureSpec]) -> list[FeatureSpec]:
    """Order formulas so that each comes after the formulas it reads."""
    waiting = {spec.name: spec for spec in specs}
    ordered: list[FeatureSpec] = []

    def visit(spec: FeatureSpec) -> None:
        if waiting.pop(spec.name, None) is None:
            return
        assert isinstance(spec.how, Formula)  # noqa: S101  the caller's filter
        for name in spec.how.inputs:
            if name in waiting:
                visit(waiting[name])
        ordered.append(spec)

    for spec in specs:
        visit(spec)
    return ordered
