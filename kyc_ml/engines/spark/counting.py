"""Counts of the whole bank: each run of rows is counted once, and read again only at its edges."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import SparkSession

from kyc_ml.engines.spark.parts import LandedTables, Part
from kyc_ml.engines.spark.tasks import Report, run_each
from kyc_ml.features import (
    FeatureSpec,
    Span,
    TimedRows,
    key_of_count,
    name_of,
    schema_of_count,
    values_counted,
)

Counted = Mapping[tuple[str, str], Sequence[Mapping[str | None, float]]]
"""Mapping of table and field (empty for none) to the rows of each part by the field's value."""


@dataclass(frozen=True, slots=True)
class LandedRuns:
    """Runs of a table in landed parts; implements `Runs`."""

    parts: Sequence[Part]
    schema: pa.Schema
    counts: Sequence[Mapping[str | None, float]]

    @property
    def spans(self) -> Mapping[int, Span]:
        """The outermost times of each part."""
        return {place: part.span for place, part in enumerate(self.parts) if part.span}

    def load(self, run: int) -> pa.Table:
        """Read the rows of a part."""
        return self.parts[run].read(self.schema.names)

    def counted(self, run: int) -> Mapping[str | None, float]:
        """Return the rows of a part by key, None for all of them."""
        return self.counts[run]


def runs_of(tables: LandedTables, spec: FeatureSpec, counted: Counted) -> LandedRuns:
    """Return the runs that a count reads."""
    table = spec.how.tables()[0]
    schema = schema_of_count(spec.how, tables.schemas[table])
    return LandedRuns(tables.parts[table], schema, counted[table, _field_of(spec)])


def count_runs(
    spark: SparkSession, tables: LandedTables, specs: Iterable[FeatureSpec], *, timezone: str
) -> Counted:
    """Count the rows of each part by the fields that specs count them by, on the workers.

    `specs`: those that `adds_up` accepts.
    """
    asked = {(spec.how.tables()[0], _field_of(spec)): spec for spec in specs}
    places = [(key, part) for key in asked for part in tables.parts[key[0]]]

    def task(place: tuple[tuple[str, str], Part]) -> Report:
        key, part = place
        spec = asked[key]
        names = schema_of_count(spec.how, tables.schemas[key[0]]).names
        rows = TimedRows(part.read(names))
        counts: list[tuple[str | None, float]] = [(None, float(len(rows)))]
        for field in key_of_count(spec):
            values = pa.array(values_counted(rows, field, timezone=timezone)).drop_null()
            counts += [tuple(each.values()) for each in values.value_counts().to_pylist()]
        return {"counts": counts}

    reports = run_each(spark, task, places)
    found: dict[tuple[str, str], list[Mapping[str | None, float]]] = {key: [] for key in asked}
    for (key, _), report in zip(places, reports, strict=True):
        found[key].append(dict(report["counts"]))
    return found


def _field_of(spec: FeatureSpec) -> str:
    return next(map(name_of, key_of_count(spec)), "")
