"""Looking for one identifier in a table: whether it is there, and how many look like it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from kyc_ml.contract.identifiers import alike_sql
from kyc_ml.engine.local import connect, quote_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What was found of an identifier.

    Attributes
    ----------
    alike : int
        Others that are equal to it in the form `ALIKE`. They are customers' values, and only
        counted.
    """

    there: bool
    alike: int

    def say_alike(self) -> str:
        """Say how many look like it; nothing where none does."""
        if not self.alike:
            return ""
        others = "1 differs" if self.alike == 1 else f"{self.alike:,} differ"
        return f"; {others} from it by case, blanks, quotes, width or leading zeros only"


def seek(connection: duckdb.DuckDBPyConnection, ids: str, identifier: str) -> Sought:
    """Look for an identifier among those that SQL gives as a column ``id``."""
    [(there,)] = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM ({ids}) WHERE id = ?)", [identifier]
    ).fetchall()
    if there:
        return Sought(there=True, alike=0)
    [(alike,)] = connection.execute(
        f"SELECT count(DISTINCT id) FROM ({ids}) WHERE {alike_sql('id')} = {alike_sql('$1')}",
        [identifier],
    ).fetchall()
    return Sought(there=False, alike=alike)


def seek_in(column: pa.ChunkedArray, identifier: str) -> Sought:
    """Look for an identifier in a column of a table in memory."""
    ids = pa.table({"id": column})
    with closing(connect(data=None, files=[])) as connection:
        connection.register("ids", ids)
        return seek(connection, f"SELECT id FROM {quote_name('ids')}", identifier)
