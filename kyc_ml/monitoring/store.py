"""The file of nights, until `nights` opens it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from kyc_ml.errors import OutputError

RECORD: Final = "nights.db"


@contextmanager
def open_store(path: Path, *, create: bool = False) -> Iterator[sqlite3.Connection]:
    """Open the file for one transaction, which an error undoes."""
    try:
        with closing(sqlite3.connect(path, timeout=30.0, isolation_level=None)) as store:
            store.execute("BEGIN IMMEDIATE")
            try:
                yield store
            except BaseException:
                store.execute("ROLLBACK")
                raise
            store.execute("COMMIT")
    except sqlite3.Error as error:
        msg = f"{path} cannot be written ({error})"
        raise OutputError(msg) from None
