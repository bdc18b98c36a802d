"""Looking for one identifier in a table: whether it is there, and how many look like it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa

from kyc_ml.engine.local import connect, quote_name

_BLANKS: Final = r"[\s\x{00A0}\x{3000}]"
"""A space, a tab, the space of a web page and that of a Chinese keyboard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What was found of an identifier.

    Attributes
    ----------
    alike : int
        Others that differ from it by upper or lower case, blanks and leading zeros only. They
        are customers' values, and only counted.
    """

    there: bool
    alike: int

    def say_alike(self) -> str:
        """Say how many look like it; nothing where none does."""
        if not self.alike:
            return ""
        others = "1 differs" if self.alike == 1 else f"{self.alike:,} differ"
        return f"; {others} from it by case, blanks or leading zeros only"


def seek(connection: duckdb.DuckDBPyConnection, ids: str, identifier: str) -> Sought:
    """Look for an identifier among those that SQL gives as a column ``id``."""
    [(there,)] = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM ({ids}) WHERE id = ?)", [identifier]
    ).fetchall()
    if there:
        return Sought(there=True, alike=0)
    [(alike,)] = connection.execute(
        f"SELECT count(DISTINCT id) FROM ({ids}) WHERE {_bare('id')} = {_bare('?')}", [identifier]
    ).fetchall()
    return Sought(there=False, alike=alike)


def seek_in(column: pa.ChunkedArray, identifier: str) -> Sought:
    """Look for an identifier in a column of a table in memory."""
    ids = pa.table({"id": column})
    with closing(connect(data=None, files=[])) as connection:
        connection.register("ids", ids)
        return seek(connection, f"SELECT id FROM {quote_name('ids')}", identifier)


def _bare(sql: str) -> str:
    """Write SQL of an identifier without what a person or a spreadsheet changes by accident."""
    bare = f"regexp_replace(lower(CAST({sql} AS VARCHAR)), '{_BLANKS}', '', 'g')"
    return f"ltrim({bare}, '0')"
