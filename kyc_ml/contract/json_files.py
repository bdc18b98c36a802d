"""JSON files as tables of text: a record a row."""

import json
from typing import Final

import duckdb

from kyc_ml.contract.folder import FoundFiles
from kyc_ml.contract.packing import open_layers, open_plain
from kyc_ml.contract.partitions import FILE, note_folder_faults, present_sql, with_folder_values
from kyc_ml.contract.plain import say_os_error
from kyc_ml.contract.quarantine import MalformedLine
from kyc_ml.errors import Faults
from kyc_ml.storage import quote_list, quote_name, quote_text

_BLOCK: Final = 1 << 22


def open_json(
    connection: duckdb.DuckDBPyConnection, name: str, files: FoundFiles, faults: Faults
) -> list[MalformedLine]:
    """Load the fields of the records as text, so that no type is guessed."""
    before = len(faults)
    _require_whole(name, files, faults)
    if len(faults) > before:
        return []
    paths = quote_list([str(path.resolve()) for path in files.paths])
    partitions = files.source.partitions
    named = f", filename={quote_text(FILE)}" if partitions else ""
    rows = (
        f"read_json({paths}, maximum_depth=1, sample_size=-1, records=true, "
        f"hive_partitioning=false{named})"
    )
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()
        columns = [row[0] for row in described if row[0] != FILE]
        nulls = files.source.nulls
        fields = [present_sql(f"{quote_name(c)}->>'$'", nulls, name=c) for c in columns]
        if partitions:
            note_folder_faults(name, files, columns, faults)
            if len(faults) > before:
                return []
            rows = with_folder_values(connection, name, files, rows)
            fields += [quote_name(key) for key in files.folder_values[0]]
        table = quote_name(name)
        connection.execute(f"CREATE TEMP TABLE {table} AS SELECT {', '.join(fields)} FROM {rows}")
    except duckdb.InvalidInputException:
        faults.add(f"file {name!r}: malformed JSON{_first_bad_record(files)}")
    except duckdb.BinderException:  # of an empty list too: a name of no field cannot be known
        faults.add(
            f"file {name!r}: holds no JSON record: one object a line, or one list of objects"
        )
    return []


def _require_whole(name: str, files: FoundFiles, faults: Faults) -> None:
    """Note packed files that are damaged, or unpack beyond all measure: DuckDB checks neither."""
    for shown, path in zip(files.names, files.paths, strict=True):
        try:
            handle, layers = open_layers(path)
            with handle:
                while layers and handle.read(_BLOCK):
                    pass
        except OSError as error:
            faults.add(f"file {name!r}: {shown!r} {say_os_error(error)}")


def _first_bad_record(files: FoundFiles) -> str:
    """Return in which line a file of one record a line breaks; DuckDB 2.0.0 misnumbers it."""
    rule = "each record must be one JSON object"
    for shown, path in zip(files.names, files.paths, strict=True):
        with open_plain(path) as handle:
            for number, line in enumerate(handle, start=1):
                try:
                    json.loads(line or b"{}", object_pairs_hook=_named_once)
                except KeyError:
                    return f" in line {number} of {shown!r}: a record names a field twice"
                except (ValueError, RecursionError):
                    if number == 1:  # an array over several lines
                        break
                    return f" in line {number} of {shown!r}: {rule}"
    return f": {rule}"


def _named_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a record of its pairs; raise KeyError if it names a field twice."""
    record = dict(pairs)
    if len(record) < len(pairs):
        raise KeyError
    return record
