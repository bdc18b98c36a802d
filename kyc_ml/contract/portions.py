"""Check a table portion by portion: what each worker of a cluster does.

The SQL is that of `contract_rows`. Keys that come twice are found among the rows of all portions:
the rows of such keys go through `keep_first`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract.binding import BoundTable
from kyc_ml.contract.checks import ContractCheck, RowRules, checks_of, mask_sql
from kyc_ml.contract.quality import RuleFinding, TableQuality
from kyc_ml.contract.quarantine import QUARANTINE_SCHEMA
from kyc_ml.contract.rows import (
    BROKEN,
    CHECKED,
    NOTED,
    RAW,
    SOUND,
    check_rows,
    count_broken,
    days_sql,
    find_broken,
    find_noted,
    mark_duplicates,
    order_of,
    order_sql,
    reading_error,
    refused_rows,
    summary_sql,
    summed_up,
)
from kyc_ml.contract.syntax import columns_named_in
from kyc_ml.storage import connect, quote_name

REMARKS: Final = "remarks"
KEY_HASH: Final = "key_hash"
"""Columns of rows whose keys were not compared yet: what was noted of each, in bits, and an integer
that is the same for equal keys."""
_GIVEN: Final = "given rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPortion:
    """The rows of a portion."""

    accepted: pa.Table
    """Columns of `RowPass.noting`."""
    refused: pa.Table
    """Columns of `QUARANTINE_SCHEMA`."""
    broken: Counter[tuple[str, ...]]
    """Rows by the reasons for which they are refused; none for accepted rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPass:
    """How the rows of one table are checked; every worker gets it."""

    bound: BoundTable
    """Its SQL reads one file."""
    rules: RowRules
    horizon: datetime | None
    """Last time of the other tables; see `remarks_of`."""

    @property
    def schema(self) -> pa.Schema:
        """Columns of the accepted rows."""
        return pa.schema([self.bound.contract.column(name).arrow for name in self.bound.columns])

    @property
    def order(self) -> list[str]:
        """Columns by which accepted rows are in order."""
        return order_of(self.bound)

    def columns_read(self, present: Collection[str]) -> list[str]:
        """Which of the file's columns its SQL reads; at least one, to count the rows."""
        expressions = ", ".join(f"(\n{sql}\n)" for sql in self.bound.expressions.values())
        with closing(connect(data=None, threads=1, files=[])) as connection:
            sql = f"SELECT {expressions} {self.bound.rows}"
            return columns_named_in(connection, sql, present) or list(present)[:1]

    @property
    def noting(self) -> pa.Schema:
        """Columns of accepted rows whose keys were not compared yet."""
        own = [pa.field(name, pa.int64(), nullable=False) for name in (REMARKS, KEY_HASH)]
        return pa.schema([*self.schema, *own])

    def check(self, connection: duckdb.DuckDBPyConnection, portion: pa.Table) -> CheckedPortion:
        """Map and check some rows of the file.

        Raises SourceError or CapacityError as `contract_rows` does.
        """
        [file] = self.bound.files
        try:
            connection.register(file, portion)
            checks = check_rows(connection, self.bound, self.rules, self.horizon)
            return self._collect(connection, checks)
        except (duckdb.Error, pa.ArrowException, MemoryError, OSError) as error:
            raise reading_error(self.bound.contract.name, error) from None

    def keep_first(self, connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> CheckedPortion:
        """Refuse all but the first of the rows of each key.

        `rows`: accepted rows of portions: for any key either all of them or none.
        """
        types = self.bound.types
        checks = checks_of(self.bound.contract, types, guarded=True, rules=self.rules)
        unbroken = [replace(check, broken="false") for check in checks]
        names = ", ".join(quote_name(name) for name in self.bound.columns)
        try:
            connection.register(_GIVEN, rows)
            connection.execute(
                f"CREATE TEMP TABLE {CHECKED} AS SELECT {names}, {mask_sql(unbroken)} AS "
                f"{BROKEN}, {REMARKS} AS {NOTED}, true AS {SOUND}, CAST(NULL AS VARCHAR) AS {RAW} "
                f"FROM {quote_name(_GIVEN)}"
            )
            mark_duplicates(connection, self.bound, checks)
            return self._collect(connection, checks)
        except (duckdb.Error, pa.ArrowException, MemoryError) as error:
            raise reading_error(self.bound.contract.name, error) from None

    def _collect(
        self, connection: duckdb.DuckDBPyConnection, checks: tuple[ContractCheck, ...]
    ) -> CheckedPortion:
        names = ", ".join(quote_name(name) for name in self.bound.columns)
        key = ", ".join(quote_name(name) for name in self.bound.contract.key)
        made = f"{NOTED} AS {REMARKS}, CAST(hash({key}) >> 1 AS BIGINT) AS {KEY_HASH}"
        rows = f"SELECT {names}, {made} FROM {CHECKED} WHERE {SOUND}"
        refused = refused_rows(connection, self.bound, checks)
        found = CheckedPortion(
            accepted=connection.sql(rows).to_arrow_table().cast(self.noting),
            refused=pa.concat_tables([QUARANTINE_SCHEMA.empty_table(), *refused]),
            broken=count_broken(connection, checks),
        )
        connection.execute(f"DROP TABLE {CHECKED}")
        return found

    def sort(self, connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> pa.Table:
        """Return accepted rows in the order in which contracted tables are stored."""
        connection.register(_GIVEN, rows)
        names = ", ".join(quote_name(name) for name in self.bound.columns)
        sql = f"SELECT {names} FROM {quote_name(_GIVEN)} ORDER BY {order_sql(self.bound)}"
        return connection.sql(sql).to_arrow_table().cast(self.schema)

    def statistics(self, connection: duckdb.DuckDBPyConnection, rows: str) -> list[pa.Table]:
        """Return what `sum_up` needs to know of some accepted rows: a name or a query in SQL."""
        queries = (summary_sql(self.bound, rows), days_sql(rows))
        return [connection.sql(each).to_arrow_table() for each in queries]

    def sum_up(
        self,
        statistics: Sequence[Sequence[pa.Table]],
        *,
        broken: Counter[tuple[str, ...]],
        noted: Mapping[int, int],
    ) -> tuple[TableQuality, list[RuleFinding]]:
        """Return the quality of the table, and what was noted of its accepted rows.

        `statistics`: of all accepted rows, in one part or many.
        `broken`: see `CheckedPortion`.
        `noted`: accepted rows by their remarks.
        """
        counted, days = (pa.concat_tables(parts) for parts in zip(*statistics, strict=True))
        ways = {"first event": pc.min, "last event": pc.max}
        summary = {n: ways.get(n, pc.sum)(counted[n]).as_py() for n in counted.column_names}
        by_day = days.group_by("day").aggregate(
            [("rows", "sum"), ("first", "min"), ("last", "max")]
        )
        quality = summed_up(
            self.bound,
            summary,
            by_day.rename_columns(["day", "rows", "first", "last"]).sort_by("day"),
            read=broken.total(),
            refused=broken.total() - broken[()],
            reasons=find_broken(self.bound, self.rules, broken),
        )
        return quality, find_noted(self.bound, self.rules, self.horizon, noted)
