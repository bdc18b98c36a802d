"""DuckDB on one machine: in memory, locked down, spilling to a private folder."""

import resource
import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from kyc_ml.errors import CapacityError, OutputError

_LEAST_ADDRESSES: Final = 120_000_000
"""Bytes of address space without which DuckDB 2.0.0 ends the process as it starts; measured."""
_MOST_TIMES: Final = 200
_ALWAYS_SPILLED: Final = 1 << 30
"""Convention: what is spilled is at most the rows as text, and tables of text pack to a tenth,
hardly ever to a hundredth. A file of 5 KB may hold one long value for a million rows."""
_MOST_OF_DISK: Final = 0.9
"""Share of the free space that DuckDB itself would use at most."""
NO_MEMORY: Final = "does not fit into memory and scratch space: give more memory"
"""Message about anything that is too large, to write after its name."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory, or the space to spill, is used up.

    DuckDB's own class is lost if Arrow reads a result, or if the system refuses memory that
    DuckDB's limit allows; Arrow raises a `MemoryError`.
    """
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException):
        return True
    text = str(error).lower()
    signs = ("out of memory", "allocation failure", "bad_alloc", "failed to allocate")
    return not isinstance(error, FileNotFoundError) and any(sign in text for sign in signs)


def connect(
    *,
    data: Path | None,
    threads: int = 2,
    memory: str = "3GB",
    scratch: Path | None = None,
    files: Collection[Path] | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB that reads the given data and reaches nothing else.

    No extension is installed or loaded, no Python variable is looked up by name, no
    setting can be changed afterwards, and the session's time zone is UTC. DuckDB checks
    paths after it has followed links, so a link out of the data folder is refused too.

    `data`: folder whose files may be read; None for no folder.
    `threads`, `memory`: what the engine may use; above `memory` it spills to disk.
    `scratch`: where to spill; a folder only the user can read is made inside it and removed with
    the connection. None takes the system's temporary folder.
    `files`: narrows the access further: only these files may be read, and no more is spilled than
    their sizes explain.
    Raises OutputError if the folder to spill into cannot be made; CapacityError if a limit on the
    address space leaves too little to begin with.
    """
    _require_address_space()
    spill = _make_private(scratch)
    # preserve_insertion_order keeps its default: without it DuckDB 2.0.0 returns even the
    # result of an ORDER BY to Arrow in another order.
    try:
        connection = duckdb.connect(
            config={
                "threads": threads,
                "memory_limit": memory,
                "temp_directory": spill,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
                "allow_persistent_secrets": False,
                "python_enable_replacements": False,
            }
        )
    except duckdb.Error:
        # no connection exists that would remove its folder when it ends
        shutil.rmtree(spill, ignore_errors=True)
        raise
    # DuckDB 2.0.0 ignores this setting if it comes with the others
    connection.execute(f"SET max_temp_directory_size = '{_most_spilled(spill, files)}B'")
    # on collection, not on close: the folder also goes when a caller forgets to close
    weakref.finalize(connection, shutil.rmtree, spill, ignore_errors=True)
    # DuckDB reads times without a zone in the session's zone, by default that of the machine
    connection.execute("SET TimeZone = 'UTC'")
    if files is not None:
        paths = [str(path.resolve()) for path in files]
        connection.execute(f"SET allowed_paths = {quote_list(paths)}")
    elif data is not None:
        folder = str(data.resolve()).rstrip("/") + "/"
        connection.execute(f"SET allowed_directories = {quote_list([folder])}")
    # the order matters: paths can be allowed only while access is open, and nothing after the lock
    connection.execute("SET allow_extension_repositories = 'forbidden'")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _most_spilled(spill: str, files: Collection[Path] | None) -> int:
    """Return how many bytes may be spilled: a file that holds far more would fill the disk."""
    free = int(_MOST_OF_DISK * shutil.disk_usage(spill).free)
    if files is None:
        return free
    size = sum(path.stat().st_size for path in files if path.is_file())
    return min(free, max(_ALWAYS_SPILLED, _MOST_TIMES * size))


def _require_address_space() -> None:
    """Raise if ``ulimit -v`` leaves less than DuckDB needs to start.

    DuckDB would end the process without a message.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    counts = Path("/proc/self/statm")
    if limit == resource.RLIM_INFINITY or not counts.exists():
        return
    # the first number is the size of the address space in pages
    pages = int(counts.read_text(encoding="ascii").split()[0])
    if limit - pages * resource.getpagesize() < _LEAST_ADDRESSES:
        raise CapacityError(
            f"memory: the limit on the address space (ulimit -v) of {limit / 1e9:.2f} GB leaves "
            "too little to read tables: raise it"
        )


def read_batches(
    connection: duckdb.DuckDBPyConnection, sql: str, *, rows: int
) -> Iterator[pa.RecordBatch]:
    """Return the result of SQL in batches of about `rows`.

    Raises duckdb.Error if the rows cannot be computed. Arrow raises an OSError then, as if a device
    had failed.
    """
    try:
        # a generator, so that an error while reading is caught here too
        yield from connection.sql(sql).to_arrow_reader(rows)
    except OSError as error:
        # Arrow's reader wraps every error of DuckDB in an OSError: give it its type back
        kind = duckdb.OutOfMemoryException if is_out_of_memory(error) else duckdb.Error
        raise kind(str(error)) from None


@contextmanager
def private_folder(scratch: Path | None) -> Iterator[Path]:
    """Make a folder that only the user can read, for copies of data; it is removed afterwards.

    Raises OutputError if it cannot be made inside `scratch`, or the system's temporary folder for
    None.
    """
    folder = _make_private(scratch)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_private(scratch: Path | None) -> str:
    try:
        if scratch is not None:
            scratch.mkdir(parents=True, exist_ok=True)
        return tempfile.mkdtemp(prefix="kyc_ml_", dir=scratch)
    except OSError as error:
        place = tempfile.gettempdir() if scratch is None else scratch
        msg = f"scratch folder {place} cannot be written: {error.strerror}; free space there"
        raise OutputError(msg) from None


def quote_name(name: str) -> str:
    """Write a name as a SQL identifier.

    Examples
    --------
    >>> quote_name("order")
    '"order"'
    """
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Write text as a SQL literal.

    Examples
    --------
    >>> quote_text("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def quote_list(texts: Collection[str]) -> str:
    """Write texts as a SQL list of literals.

    Examples
    --------
    >>> quote_list(["a", "b"])
    "['a', 'b']"
    """
    return "[" + ", ".join(quote_text(text) for text in texts) + "]"
