"""Identifiers across tables: which match nothing, which fill a table, and which look alike.

One pass over the accepted rows counts the rows of each identifier; all comparisons use these
counts. Findings hold counts and column names, never an identifier.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from kyc_ml.contract import tables as c
from kyc_ml.contract.binding import BoundTable
from kyc_ml.contract.contracted import KeptHistory
from kyc_ml.contract.identifiers import alike_sql, form_sql, single_forms
from kyc_ml.contract.quality import RuleFinding, word_rule
from kyc_ml.errors import ContractError, Faults
from kyc_ml.storage import quote_list, quote_name

NOT_IN_CUSTOMERS, _ = word_rule("not in", target=c.CUSTOMERS, hint="")
"""Rule of the finding that customers of a table are not among the customers."""

_COUNTED: Final = (c.CUSTOMER_ID, c.ACCOUNT_ID, c.COUNTERPARTY_ID, c.DEVICE_ID)
"""Columns whose identifiers are counted: few, each of many rows."""
_COUNTS: Final = quote_name("counted identifiers")
_ORPHANS: Final = quote_name("orphan identifiers")
_POPULATION: Final = (c.CUSTOMERS, c.ACCOUNTS, c.TRANSACTIONS, c.EVENTS, c.THIRD_PARTY)
"""Tables that describe a customer, other than reviews and cases."""
_KEYS: Final = (
    (c.ACCOUNTS, c.ACCOUNT_ID),
    (c.TRANSACTIONS, c.ACCOUNT_ID),
    (c.TRANSACTIONS, c.COUNTERPARTY_ID),
    (c.TRANSACTIONS, c.TRANSACTION_ID),
    (c.REVIEWS, c.REVIEW_ID),
)
"""Keys that are mapped as the customer by mistake, the likeliest first."""
_MOST: Final = 0.5
"""Convention: where half of the orphans match another key, that key was meant."""

_DOMINANT_SHARE, _DOMINANT_TIMES, _DOMINANT_ROWS = 0.1, 5, 100
"""Convention: one key with a tenth of the rows (100 at least), five times as many as the next."""

_LONG: Final = 6
"""Convention: shorter numbers of customers and of counterparties look alike by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Rows of cases or reviews whose identifier occurs in no other table."""

    table: str
    column: str
    key: str
    unmatched: int
    """Number of such rows."""
    rows: int
    of: int
    """`rows` and `of`: number of them that count against the limit, and the number of rows it
    refers to."""
    target: str = ""
    """Table that lacks the identifiers; empty for all tables."""
    hint: str = ""
    """Which key they match instead; empty if none is known."""

    def __str__(self) -> str:
        rule, _ = word_rule(self.key, target=self.target, hint="")
        return (
            f"{self.table}.{self.column}: {rule}: {self.rows:,} of {self.of:,} row(s), which "
            f"would be lost{self.hint}; if that is correct, raise max_orphan_share of the "
            "mapping"
        )

    def finding(self) -> RuleFinding:
        """Return the rows as a finding of the quality summary."""
        about = {"target": self.target, "hint": self.hint}
        return RuleFinding.of(self.key, self.table, self.column, count=self.unmatched, **about)


def cross_tables(
    connection: duckdb.DuckDBPyConnection,
    views: Mapping[str, str],
    *,
    bound: Sequence[BoundTable],
    whole: bool,
    history: KeptHistory | None = None,
) -> tuple[list[RuleFinding], list[Orphans]]:
    """Compare the identifiers of all accepted tables.

    `views`: mapping of table to its SQL name.
    `bound`: how the tables are mapped: for the SQL that shows a user the rows.
    `whole`: True if all tables of the source were read: otherwise no customer counts as an orphan.
    `history`: where the rows that came earlier are.
    """
    columns = {table.contract.name: frozenset(table.columns) for table in bound}
    crossing = _Crossing(connection=connection, views=views, columns=columns, history=history)
    crossing.count()
    if history is not None:
        crossing.add_known(history)
    orphans = [each for each in crossing.orphans() if whole or each.column != c.CUSTOMER_ID]
    findings = [
        *crossing.unmatched(),
        # `unmatched` lists customers who are not among the customers already
        *(
            each.finding()
            for each in orphans
            if each.column != c.CUSTOMER_ID or c.CUSTOMERS not in views
        ),
        *crossing.dominant({table.contract.name: table for table in bound}),
        *crossing.look_alikes(),
    ]
    connection.execute(f"DROP TABLE {_COUNTS}")
    return findings, orphans


def refuse_orphans(orphans: Sequence[Orphans], *, subject: str, maximum: float) -> None:
    """Raise if too many labels of a source would be lost; reviews only cause a warning.

    Raises ContractError if a share of the cases lies above `maximum` (equal passes).
    """
    over = [
        str(each)
        for each in orphans
        if each.table == c.CASES and each.of and each.rows / each.of > maximum
    ]
    head = f"{subject}: cases that match nothing, above max_orphan_share {maximum:g}"
    Faults(head, ContractError).extend(over).raise_if_any()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crossing:
    """Tables of a connection, and the columns that each has."""

    connection: duckdb.DuckDBPyConnection
    views: Mapping[str, str]
    columns: Mapping[str, frozenset[str]]
    history: KeptHistory | None = None

    def has(self, table: str, column: str) -> bool:
        return column in self.columns.get(table, ())

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters).fetchall()

    def count(self) -> None:
        """Count the rows of each identifier; `place` is its table's in the contract's order."""
        parts = [
            f"SELECT {place} AS place, '{table}' AS holder, '{column}' AS kind, "
            f"{quote_name(column)} AS id, count(*) AS n FROM {self.views[table]} "
            f"WHERE {quote_name(column)} IS NOT NULL GROUP BY ALL"
            for place, table in enumerate(c.CONTRACT)
            for column in _COUNTED
            if self.has(table, column)
        ]
        self.connection.execute(f"CREATE TEMP TABLE {_COUNTS} AS {' UNION ALL '.join(parts)}")

    def add_known(self, history: KeptHistory) -> None:
        """Add the identifiers that rows of the history have, with no row of now."""
        for place, table in enumerate(c.CONTRACT):
            column = c.ACCOUNT_ID if table == c.ACCOUNTS else c.CUSTOMER_ID
            if table in {c.CUSTOMERS, c.ACCOUNTS} and self.has(table, column):
                asked = f"kind = '{column}'"
            elif table in _POPULATION and c.CUSTOMERS not in self.views:
                of = quote_list((c.CASES, c.REVIEWS))
                asked = f"kind = '{column}' AND list_contains({of}, holder)"
            else:
                continue
            here = f"SELECT id FROM {_COUNTS} WHERE kind = '{column}' AND holder = '{table}'"
            sql = f"SELECT DISTINCT id FROM {_COUNTS} WHERE {asked} AND id NOT IN ({here})"
            ids = pa.array([each for (each,) in self.rows(sql)], pa.string())
            found = history.known(table, column, ids).to_pylist()
            row = f"{place}, '{table}', '{column}', unnest(?::VARCHAR[]), 0"
            self.connection.execute(f"INSERT INTO {_COUNTS} SELECT {row}", [found])

    def unmatched(self) -> Iterator[RuleFinding]:
        """Return the rows whose customer or account the table of these does not have."""
        for column, target in ((c.CUSTOMER_ID, c.CUSTOMERS), (c.ACCOUNT_ID, c.ACCOUNTS)):
            if target in self.views:
                known = f"SELECT id FROM {_COUNTS} WHERE kind = '{column}' AND holder = '{target}'"
                # identifiers here are never null: with one null, `NOT IN` would find nothing
                found = self.rows(
                    f"SELECT holder, sum(n)::BIGINT FROM {_COUNTS} WHERE kind = '{column}' "
                    f"AND id NOT IN ({known}) GROUP BY holder, place ORDER BY place"
                )
                for table, count in found:
                    about = {"target": target, "hint": ""}
                    yield RuleFinding.of("not in", table, column, count=count, **about)

    def orphans(self) -> Iterator[Orphans]:
        """Return the cases whose customer, transaction or review no table has, and such reviews.

        A case of a customer who is reviewed is not lost. Some reviews may name customers without
        any activity, but not all reviews.
        """
        for table, population in ((c.CASES, (*_POPULATION, c.REVIEWS)), (c.REVIEWS, _POPULATION)):
            if table in self.views and any(each in self.views for each in population):
                yield from self._orphan_customers(table, population)
        for column, target in ((c.TRANSACTION_ID, c.TRANSACTIONS), (c.REVIEW_ID, c.REVIEWS)):
            if self.has(c.CASES, column) and target in self.views:
                yield from self._orphan_labels(column, target)

    def _orphan_customers(self, table: str, population: Sequence[str]) -> Iterator[Orphans]:
        known = (
            f"SELECT id FROM {_COUNTS} WHERE kind = '{c.CUSTOMER_ID}' "
            f"AND list_contains({quote_list(population)}, holder)"
        )
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {_ORPHANS} AS SELECT id, n FROM {_COUNTS} "
            f"WHERE holder = '{table}' AND kind = '{c.CUSTOMER_ID}' AND id NOT IN ({known})"
        )
        rows, of = self.rows(
            f"SELECT (SELECT coalesce(sum(n), 0)::BIGINT FROM {_ORPHANS}), "
            f"(SELECT coalesce(sum(n), 0)::BIGINT FROM {_COUNTS} WHERE holder = '{table}')"
        )[0]
        if rows and (table == c.CASES or rows == of):
            yield Orphans(
                table=table,
                column=c.CUSTOMER_ID,
                key="in no other table",
                unmatched=rows,
                rows=rows,
                of=of,
                hint=self._hint(known),
            )

    def _hint(self, known: str) -> str:
        """Return which other key the orphans match, or in which form they match the right one."""
        total = self.rows(f"SELECT count(*) FROM {_ORPHANS}")[0][0]
        for table, column in _KEYS:
            if self.has(table, column):
                name = quote_name(column)
                asked = f"SELECT count(DISTINCT {name}) FROM {self.views[table]} "
                # restricted to the orphans, as the table may be of any length
                met = self.rows(f"{asked} WHERE {name} IN (SELECT id FROM {_ORPHANS})")[0][0]
                if met >= _MOST * total:
                    way = (
                        f"join through {table} to get the customer_id"
                        if self.has(table, c.CUSTOMER_ID)
                        else f"map the customer that {column} belongs to"
                    )
                    return f"; they match {table}.{column}: {way}"
        for key, form in single_forms():
            formed = f"SELECT {form_sql('id', form)} FROM ({known})"
            asked = f"SELECT count(*) FROM {_ORPHANS} WHERE {form_sql('id', form)} IN ({formed})"
            if self.rows(asked)[0][0] >= _MOST * total:
                return f"; they match with identifiers: {{{key}}} in the mapping"
        return ""

    def _orphan_labels(self, column: str, target: str) -> Iterator[Orphans]:
        """Return the cases that name what `target` lacks."""
        # a transaction of before the extract is not missing from it, so only those within the time
        # that it spans count against the limit; reviews have no such bounds
        name = quote_name(column)
        there: list[str] = []
        if self.history is not None:
            sql = f"SELECT DISTINCT {name} FROM {self.views[c.CASES]} WHERE {name} IS NOT NULL"
            ids = pa.array([each for (each,) in self.rows(sql)], pa.string())
            there = self.history.known(target, column, ids).to_pylist()
        span = f"SELECT min({c.EVENT_TIME}), max({c.EVENT_TIME}) FROM {self.views[target]}"
        inside = (
            f"{c.EVENT_TIME} BETWEEN lowest AND highest" if target == c.TRANSACTIONS else "true"
        )
        found = self.rows(
            f"WITH asked AS (SELECT {name} AS id, {c.EVENT_TIME} FROM {self.views[c.CASES]} "
            f"WHERE {name} IS NOT NULL), "
            f"met AS (SELECT DISTINCT {name} AS id FROM {self.views[target]} "
            f"WHERE {name} IN (SELECT id FROM asked) UNION SELECT unnest(?::VARCHAR[])), "
            f"span(lowest, highest) AS ({span}), "
            f"looked AS (SELECT id NOT IN (SELECT id FROM met) AS strange, {inside} AS inside "
            "FROM asked, span) "
            "SELECT count(*) FILTER (strange), count(*) FILTER (strange AND inside), "
            "count(*) FILTER (inside) FROM looked",
            [there],
        )
        unmatched, rows, of = found[0]
        if unmatched:
            yield Orphans(
                table=c.CASES,
                column=column,
                key="not in",
                target=target,
                unmatched=unmatched,
                rows=rows,
                of=of,
            )

    def dominant(self, bound: Mapping[str, BoundTable]) -> Iterator[RuleFinding]:
        """Find keys of which one value has too many rows, such as a word for no customer."""
        found = self.rows(
            f"SELECT holder, kind, max(n, 2), sum(n)::BIGINT FROM {_COUNTS} "
            f"WHERE list_contains({quote_list((c.TRANSACTIONS, c.EVENTS))}, holder) "
            "GROUP BY holder, kind, place ORDER BY place, kind"
        )
        for table, column, largest, total in found:
            first, second = (*largest, 0)[:2]
            if (
                total >= _DOMINANT_ROWS
                and first >= _DOMINANT_SHARE * total
                and first >= _DOMINANT_TIMES * second
            ):
                shown = {"share": first / total, "sql": _look(bound[table], column)}
                yield RuleFinding.of("dominant", table, column, count=first, **shown)

    def look_alikes(self) -> Iterator[RuleFinding]:
        """Return the rows whose identifier is another one, but for its form."""
        odd = f"SELECT 1 FROM {_COUNTS} WHERE {alike_sql('id')} <> id LIMIT 1"
        if not self.rows(odd):  # as where all are numbers: most of the work is spared
            return
        forms = list(single_forms())
        alike = ", ".join(
            f"count(*) FILTER ({form_sql('id', form)} = {form_sql('main', form)})"
            for _, form in forms
        )
        found = self.rows(
            f"WITH formed AS (SELECT *, {alike_sql('id')} AS form FROM {_COUNTS}), "
            "odd AS (SELECT DISTINCT form FROM formed WHERE form <> id), "
            "near AS (SELECT * FROM formed WHERE form IN (SELECT form FROM odd)), "
            "met AS (SELECT *, kind AS family FROM near UNION ALL "
            "SELECT near.*, family FROM near, "
            f"(VALUES ('{c.CUSTOMER_ID}'), ('{c.ACCOUNT_ID}')) AS other(family) "
            f"WHERE kind = '{c.COUNTERPARTY_ID}' AND length(form) >= {_LONG}), "
            "mains AS (SELECT family, form, arg_min(id, (place, -n, id)) AS main FROM met "
            "GROUP BY ALL HAVING min(id) <> max(id)), "
            "others AS (SELECT DISTINCT place, holder, kind, id, n, main FROM met "
            "JOIN mains USING (family, form) WHERE id <> main) "
            f"SELECT holder, kind, sum(n)::BIGINT, {alike} FROM others "
            "GROUP BY holder, kind, place ORDER BY place, kind"
        )
        for table, column, count, *by_form in found:
            met = [key for (key, _), rows in zip(forms, by_form, strict=True) if rows]
            keys = ", ".join(met or [key for key, _ in forms])
            yield RuleFinding.of("alike", table, column, count=count, keys=keys)


def _look(table: BoundTable, column: str) -> str:
    """Write the SQL that shows the largest keys, where a line holds it."""
    rows = " ".join(table.rows.split())
    sql = f"SELECT {table.expressions[column]}, count(*) {rows} GROUP BY 1 ORDER BY 2 DESC LIMIT 3"
    return f" with {sql}" if len(sql) <= 160 and "--" not in sql else ""
