"""CSV files that a spreadsheet opens correctly, without running a cell as a formula."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

_BOM: Final = "\ufeff".encode()
"""Without it Excel reads UTF-8 in the code page of the machine."""
# Source: OWASP, "CSV Injection": cells that begin with one of these are formulas, full-width
# ones in some languages, and programs that trim blanks find them behind those. A number may have a
# sign and stays as it is.
_FORMULA: Final = "^(?:[\\t\\r\\n]|[ \u00a0\u200b\u3000\ufeff]*[=+\\-@＝＋－＠])"
_NUMBER: Final = r"^ *[+-]?(\d+([.,]\d+)*([eE][+-]?\d+)?)?$"


def write_csv(handle: BinaryIO, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write tables as one CSV file with a header: UTF-8 with a byte-order mark.

    An apostrophe is put before text that a spreadsheet would run as a formula.
    """
    handle.write(_BOM)
    with pacsv.CSVWriter(handle, schema) as writer:
        for table in tables:
            writer.write_table(_harmless(table))


def save_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a small table of any columns as `write_csv` does, its header too, without its index."""
    safe = frame.map(lambda cell: _harmless_text(cell) if isinstance(cell, str) else cell)
    safe.columns = [_harmless_text(str(name)) for name in safe.columns]
    safe.to_csv(path, index=False, encoding="utf-8-sig", quoting=csv.QUOTE_NONNUMERIC)


def _harmless_text(text: str) -> str:
    return f"'{text}" if re.match(_FORMULA, text) and not re.match(_NUMBER, text) else text


def _harmless(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            text = table.column(place)
            live = pc.and_(
                # a leading minus or plus is common in amounts: numbers stay numbers
                pc.match_substring_regex(text, _FORMULA),
                pc.invert(pc.match_substring_regex(text, _NUMBER)),
            )
            if pc.any(live).as_py():
                # the scalar has the column's type, because a large string does not join with a
                # string
                marked = pc.binary_join_element_wise(pa.scalar("'", field.type), text, "")
                table = table.set_column(place, field, pc.if_else(live, marked, text))
    return table
