"""Values outside the cells of files: folders named `key=value`, and words for missing values."""

from collections.abc import Collection
from typing import Final

import duckdb

from kyc_ml.contract.folder import FoundFiles
from kyc_ml.errors import Faults
from kyc_ml.storage import quote_list, quote_name

FILE: Final = "file of kyc_ml"
"""Column with the file of a row, which the values of its folders replace."""


def note_folder_faults(
    name: str, files: FoundFiles, columns: Collection[str], faults: Faults
) -> None:
    """Note folders that cannot be columns: unlike from file to file, or named as a column is."""
    values = files.folder_values
    if not values[0]:
        faults.add(
            f"file {name!r}: `partitions` is true, but {files.names[0]!r} is in no folder "
            "called key=value: leave the key out"
        )
    for shown, found in zip(files.names, values, strict=True):
        if list(found) != list(values[0]):
            faults.add(f"file {name!r}: {shown!r} is in other key=value folders than the first")
            return
    taken = {column.lower() for column in columns}
    for key in values[0]:
        if key.lower() in taken:
            faults.add(
                f"file {name!r}: {key!r} is the name of a column and of folders: which of them "
                "counts is not known; leave `partitions` out, or rename one"
            )


def with_folder_values(
    connection: duckdb.DuckDBPyConnection, name: str, files: FoundFiles, rows: str
) -> str:
    """Write rows that have a column `FILE` as SQL with their folders' values instead.

    The values are put into a small table, which a view can still read later.
    """
    keys = list(files.folder_values[0])
    table, file = quote_name(f"folders of {name}"), quote_name(FILE)
    columns = ", ".join(f"{quote_name(key)} VARCHAR" for key in (FILE, *keys))
    connection.execute(f"CREATE TEMP TABLE {table} ({columns})")
    marks = ", ".join("?" for _ in (FILE, *keys))
    connection.executemany(
        f"INSERT INTO {table} VALUES ({marks})",
        [
            [str(path.resolve()), *values.values()]
            for path, values in zip(files.paths, files.folder_values, strict=True)
        ],
    )
    return f"(SELECT * EXCLUDE ({file}) FROM {rows} JOIN {table} USING ({file}))"


def present_sql(text: str, nulls: Collection[str], *, name: str) -> str:
    """Write text as SQL under a name, NULL where it is one of the words.

    DuckDB's own option for CSV takes no word that holds a quote, an escape or a delimiter, such as
    MySQL's backslash and N.
    """
    if nulls:
        text = f"CASE WHEN NOT list_contains({quote_list(nulls)}, {text}) THEN {text} END"
    return f"{text} AS {quote_name(name)}"
