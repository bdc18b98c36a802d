"""Rows that a value marks as those of an adverse case: set, perhaps, because of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import duckdb

from kyc_ml.contract import tables as c
from kyc_ml.contract.binding import BoundTable
from kyc_ml.contract.quality import RuleFinding
from kyc_ml.storage import quote_list, quote_name

_LINKS: Final = (
    (c.TRANSACTIONS, c.TRANSACTION_ID),
    (c.REVIEWS, c.REVIEW_ID),
    (c.CUSTOMERS, c.CUSTOMER_ID),
    (c.ACCOUNTS, c.CUSTOMER_ID),
)
_HITS: Final = quote_name("rows of adverse cases")
_OTHERS: Final = quote_name("rows before adverse cases")
_RARE, _PURE = 0.25, 0.9
_ROWS, _CUSTOMERS, _SHARE = 20, 15, 0.05
"""Convention: where at most a quarter of the rows are adverse, nine tenths of a value's rows, at
least 20 of 15 customers, and a twentieth of all adverse rows."""


def find_marked_rows(
    connection: duckdb.DuckDBPyConnection, views: Mapping[str, str], *, bound: Sequence[BoundTable]
) -> list[RuleFinding]:
    """Find columns with a value, or a form of identifier, that nearly only adverse cases have.

    `views`: mapping of accepted table to its SQL name.
    `bound`: how the tables are mapped: which columns they have.
    """
    columns = {table.contract.name: table.columns for table in bound}
    return [
        finding
        for table, key in _LINKS
        if {table, c.CASES} <= views.keys() and key in columns[c.CASES]
        for finding in _marked(connection, views, table=table, key=key, columns=columns[table])
    ]


def _marked(
    connection: duckdb.DuckDBPyConnection,
    views: Mapping[str, str],
    *,
    table: str,
    key: str,
    columns: Sequence[str],
) -> Iterator[RuleFinding]:
    rows = _OTHERS
    # a version of a profile or an account that began after the case may follow from it
    limit = f"OR met.{c.KNOWN_AT} < first" if key == c.CUSTOMER_ID else "OR true"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {rows} AS SELECT met.*, first IS NOT NULL AS hit "
        f"FROM {views[table]} AS met LEFT JOIN (SELECT {key}, min({c.EVENT_TIME}) AS first "
        f"FROM {views[c.CASES]} WHERE {key} IS NOT NULL "
        f"AND list_contains({quote_list(c.ADVERSE_OUTCOMES)}, {c.OUTCOME}) GROUP BY 1) "
        f"USING ({key}) WHERE first IS NULL {limit}"
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_HITS} AS SELECT * FROM {rows} WHERE hit")
    counts = f"SELECT (SELECT count(*) FROM {_HITS}), (SELECT count(*) FROM {rows})"
    adverse, total = connection.execute(counts).fetchall()[0]
    for column, value in _values(columns, key) if adverse <= _RARE * total else ():
        least = max(_ROWS, _SHARE * adverse)
        met = connection.execute(
            f"SELECT {value} AS value, count(*) AS adverse FROM {_HITS} GROUP BY 1 HAVING "
            f"adverse >= {least} AND count(DISTINCT {c.CUSTOMER_ID}) >= {_CUSTOMERS} ORDER BY 1"
        ).fetchall()
        count = n = 0
        for of, here in met:
            most = int(here / _PURE)
            # a value that many rows have is found among the first of them, and the others spared
            some = f"SELECT 1 FROM {rows} WHERE {value} = ? LIMIT {most + 1}"
            all_ = connection.execute(f"SELECT count(*) FROM ({some})", [of]).fetchall()[0][0]
            if all_ <= most:
                count, n = count + here, n + all_
        if count:
            about = {"n": n, "share": count / adverse}
            yield RuleFinding.of("marks the cases", table, column, count=count, **about)
    connection.execute(f"DROP TABLE {_HITS}; DROP VIEW {rows}")


def _values(columns: Sequence[str], key: str) -> Iterator[tuple[str, str]]:
    """Return the columns that may mark a row, and the SQL of what is compared."""
    # of the row's own identifier its form: letters and length. Of an amount, how round it is
    for column in columns:
        name = quote_name(column)
        if column == key:
            yield column, f"regexp_replace({name}, '[0-9]', '9', 'g')"
        elif column == c.AMOUNT:
            yield column, f"CASE WHEN {name} % 100 = 0 THEN 2 WHEN {name} % 1 = 0 THEN 1 ELSE 0 END"
        elif column not in {c.CUSTOMER_ID, c.EVENT_TIME, c.KNOWN_AT, c.BALANCE}:
            yield column, f"coalesce(CAST({name} AS VARCHAR), '')"
