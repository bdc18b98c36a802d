"""Compute the feature table of observations in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa

from kyc_ml.contract import CUSTOMER_ID, CUSTOMERS, ContractedTables, Frame
from kyc_ml.display import Progress
from kyc_ml.features.availability import split_available
from kyc_ml.features.formulas import Operation, evaluate
from kyc_ml.features.how import OBSERVED, columns_read, tables_read
from kyc_ml.features.kinds.formula import Formula
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.kinds.rows_of_key import Latest, Window
from kyc_ml.features.observed import read_observations
from kyc_ml.features.peer_distance import Measured, compare_with_peers
from kyc_ml.features.prepare import MADE_FROM, columns_of, make_tables
from kyc_ml.features.reading import Request, read_rows
from kyc_ml.features.row_columns import add_row_columns, needed_columns
from kyc_ml.features.spec import FeatureSpec, all_made_of
from kyc_ml.features.table import DECISION_TIME, OBSERVATION_ID, FeatureTable
from kyc_ml.features.timed_rows import TimedRows, as_column
from kyc_ml.metrics import Floats, Ints

Compare = Callable[[Sequence[FeatureSpec]], Mapping[str, Floats]]
"""Returns the values of the features that compare with peers, by name."""

_Formulas = tuple[Operation, Ints, Floats, Ints]
"""An operation, columns of its inputs, parameters and columns of formulas."""

_TOGETHER: Final = 1 << 12
"""Values of formulas that are computed together: more than a few observations of them."""

KEYS: Final = (OBSERVATION_ID, CUSTOMER_ID, DECISION_TIME)
"""Columns that a feature table begins with."""


def build_features(
    source: ContractedTables,
    observations: Frame,
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
    observations : table of pandas, Polars or pyarrow
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
    observations = read_observations(observations)
    columns = columns_of(source)
    available, unavailable = split_available(specs, columns, observations.column_names)
    tables, notes = timed_tables(source, available)
    computation = FeatureComputation(
        tables,
        timezone=source.timezone,
        threads=threads,
    )
    computed = computation.compute(observations, available, progress=progress)
    return as_table(
        observations,
        computed,
        available,
        unavailable=chosen_unavailable(specs, unavailable),
        notes=notes,
    )


def timed_tables(
    source: ContractedTables, specs: Sequence[FeatureSpec]
) -> tuple[dict[str, TimedRows], list[str]]:
    """Return the source's tables and those made for features, and notes; see `make_tables`."""
    made, notes = make_tables(source.columns(), _made_tables(specs))
    tables = {name: pa.concat_tables(pieces) for name, pieces in made.items()}
    return {name: TimedRows(rows) for name, rows in ({**source.tables, **tables}).items()}, notes


def in_table_order(specs: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """List the features that a model is given: numbers first, then categories."""
    visible = [spec for spec in specs if not spec.intermediate]
    numbers = [spec for spec in visible if spec.kind == "number"]
    return (*numbers, *(spec for spec in visible if spec.kind == "category"))


def chosen_unavailable(
    specs: Sequence[FeatureSpec], unavailable: Mapping[str, str]
) -> dict[str, str]:
    """Return the reasons of the chosen features, without intermediate ones."""
    return {
        spec.name: unavailable[spec.name]
        for spec in specs
        if spec.name in unavailable and not spec.intermediate
    }


def as_table(
    observations: pa.Table,
    computed: Computed,
    specs: Sequence[FeatureSpec],
    *,
    unavailable: Mapping[str, str],
    notes: Sequence[str],
) -> FeatureTable:
    """Join computed features to the keys of their observations, without intermediate ones."""
    ordered = in_table_order(specs)
    return FeatureTable(
        keys=observations.select(KEYS),
        specs=ordered,
        numbers=computed.numbers[:, : len(ordered)],
        categories={
            spec.name: computed.categories[spec.name] for spec in ordered if spec.kind == "category"
        },
        unavailable=unavailable,
        notes=tuple(notes),
    )


class Computed:
    """Features of some observations: a matrix being filled, and categories."""

    def __init__(self, specs: Sequence[FeatureSpec], n: int) -> None:
        order = [spec.name for spec in in_table_order(specs)]
        # intermediate features last: the others are then a view of the matrix, not a copy
        order += [spec.name for spec in specs if spec.intermediate]
        self.place = {name: column for column, name in enumerate(order)}
        # column-major: a kernel writes one column at a time
        self.numbers = np.full((n, len(order)), np.nan, order="F")
        self.categories: dict[str, pa.Array] = {}

    def copy(self) -> Computed:
        """Return the same features of other observations, as many and not yet computed."""
        other = copy(self)
        other.numbers = np.full_like(self.numbers, np.nan)
        other.categories = {}
        return other

    def column(self, name: str) -> Floats:
        """Return the column of a feature in the matrix."""
        return np.asarray(self.numbers[:, self.place[name]])

    def put(self, spec: FeatureSpec, values: Floats | pa.Array) -> None:
        """Fill in a feature: numbers with NaN where missing, or categories."""
        if spec.how.is_text():
            self.categories[spec.name] = values
        else:
            self.column(spec.name)[:] = values

    def values(self, name: str, rows: slice) -> pa.Array:
        """Return some rows of a feature as an Arrow array; missing values are null."""
        if name in self.categories:
            return self.categories[name][rows]
        return as_column(self.column(name)[rows])

    def named(self, names: Sequence[str]) -> Measured:
        """Return these features: numbers, and categories."""
        texts = {name: self.categories[name] for name in names if name in self.categories}
        return {name: self.column(name) for name in names if name not in texts}, texts


class FeatureComputation:
    """Computes features from tables, which get the row columns that features read.

    A row column is computed once for each table, however many features read it.
    """

    def __init__(self, tables: Mapping[str, TimedRows], *, timezone: str, threads: int) -> None:
        self._tables = tables
        self._timezone = timezone
        self._threads = threads

    def compute(
        self,
        observations: pa.Table,
        specs: Sequence[FeatureSpec],
        *,
        progress: Progress | None = None,
    ) -> Computed:
        """Compute features that read rows first, then those that read other features."""
        observed = TimedRows(observations, time=DECISION_TIME)
        computed = Computed(specs, len(observed))
        self.read(observed, specs, computed, progress=progress)
        combine(specs, computed, compare=partial(self._compare, specs, observed, computed))
        return computed

    def read(
        self,
        observed: TimedRows,
        specs: Sequence[FeatureSpec],
        computed: Computed,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Fill in the features that read rows, or the observation itself."""
        add_row_columns(
            needed_columns(specs),
            tables=self._tables,
            observed=observed,
            timezone=self._timezone,
            threads=self._threads,
        )
        requests = [
            Request(name=spec.name, how=spec.how, column=computed.place[spec.name])
            for spec in specs
            if isinstance(spec.how, Window | Latest)
        ]
        computed.categories.update(
            read_rows(
                self._tables,
                observed,
                requests,
                out=computed.numbers,
                threads=self._threads,
                progress=progress,
            )
        )
        for spec in specs:
            if not spec.how.features_read() and not isinstance(spec.how, Window | Latest):
                values = spec.how.read(observed, tables=self._tables, timezone=self._timezone)
                computed.put(spec, values)

    def _compare(
        self,
        specs: Sequence[FeatureSpec],
        observed: TimedRows,
        computed: Computed,
        peers: Sequence[FeatureSpec],
    ) -> dict[str, Floats]:
        """Compare with peers, whose features are computed like those of the observations."""
        known = {spec.name: spec for spec in specs}
        names = list(dict.fromkeys(name for spec in peers for name in spec.how.features_read()))

        def measure(population: pa.Table, wanted: Sequence[str]) -> Measured:
            needed = dict.fromkeys(
                name for item in wanted for name in (item, *all_made_of(known[item], known))
            )
            return self.compute(population, [known[name] for name in needed]).named(wanted)

        return compare_with_peers(
            peers,
            observed=observed,
            own=computed.named(names),
            customers=self._tables[CUSTOMERS],
            measure=measure,
        )


class Combination:
    """Features made of other features, each after those that it reads.

    Few observations take formulas of one operation together: NumPy's calls take longer than they
    compute.

    Parameters
    ----------
    place : mapping of feature to its column of the matrix
    """

    def __init__(self, specs: Sequence[FeatureSpec], place: Mapping[str, int]) -> None:
        self._levels: list[tuple[list[FeatureSpec], list[_Formulas], list[FeatureSpec]]] = []
        waiting = [spec for spec in specs if spec.how.features_read()]
        done = {spec.name for spec in specs} - {spec.name for spec in waiting}
        while waiting:
            ready = [spec for spec in waiting if done.issuperset(spec.how.features_read())]
            alike: dict[tuple[Operation, int], list[tuple[int, Formula]]] = defaultdict(list)
            for spec in ready:
                if isinstance(spec.how, Formula):
                    key = spec.how.operation, len(spec.how.inputs)
                    alike[key].append((place[spec.name], spec.how))
            formulas = [
                (
                    operation,
                    np.array([[place[name] for name in how.inputs] for _, how in each]).T,
                    np.array([[how.parameter] for _, how in each]),
                    np.array([column for column, _ in each]),
                )
                for (operation, _), each in alike.items()
            ]
            peers = [spec for spec in ready if isinstance(spec.how, Peer)]
            others = [spec for spec in ready if not isinstance(spec.how, Peer | Formula)]
            self._levels.append((peers, formulas, others))
            done.update(spec.name for spec in ready)
            waiting = [spec for spec in waiting if spec.name not in done]

    def fill(self, computed: Computed, compare: Compare) -> None:
        """Fill in the features; see `combine`."""
        columns = computed.numbers.T
        together = max(1, _TOGETHER // max(1, columns.shape[1]))
        for peers, formulas, others in self._levels:
            for name, values in (compare(peers) if peers else {}).items():
                computed.column(name)[:] = values
            for operation, inputs, parameters, places in formulas:
                for first in range(0, places.size, together):
                    some = slice(first, first + together)
                    read = [columns[each[some]] for each in inputs]
                    columns[places[some]] = evaluate(operation, read, parameter=parameters[some])
            for spec in others:
                own = [computed.column(name) for name in spec.how.features_read()]
                computed.put(spec, spec.how.combine(own))


def combine(specs: Sequence[FeatureSpec], computed: Computed, *, compare: Compare) -> None:
    """Compute features made of other features, each after those that it reads."""
    Combination(specs, computed.place).fill(computed, compare)


def _made_tables(specs: Sequence[FeatureSpec]) -> dict[str, set[str]]:
    """List the tables to make for these features, and what is read of them."""
    found: dict[str, set[str]] = {}
    for spec in specs:
        for table in MADE_FROM.keys() & set(tables_read(spec.how)):
            found.setdefault(table, set())
        for table, column in columns_read(spec.how, OBSERVED):
            if table in MADE_FROM and isinstance(column, str):
                found.setdefault(table, set()).add(column)
    return found
