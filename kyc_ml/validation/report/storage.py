"""Write a report as JSON and read it back, equal to the bit; write its tables as Parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.errors import ConfigError, OutputError
from kyc_ml.storage import dump_json, load_json, make_private, write_whole, written_whole
from kyc_ml.validation.check import FAMILIES
from kyc_ml.validation.result import Report, Table

FORMAT: Final = 1
REPORT: Final = "report.json"
TABLES: Final = "tables"


def to_json(report: Report) -> str:
    """Write a report as JSON: sorted keys, numbers to the last bit, null for an undefined one."""
    return dump_json({"format": FORMAT, **_plain(report)})


def from_json(text: str, *, subject: str) -> Report:
    """Read what `to_json` wrote; `subject` names it in errors.

    Raises ConfigError if it is not a report, has another format, or was cut short.
    """
    try:
        content = load_json(text)
        version = content.pop("format")
    except (ValueError, KeyError, TypeError, AttributeError):
        msg = f"{subject} is not a validation report: name a report.json of kyc-ml validate"
        raise ConfigError(msg) from None
    if version != FORMAT:
        msg = (
            f"{subject} has report format {version}, this kyc_ml reads format {FORMAT}: "
            "use the version that wrote it, or validate again"
        )
        raise ConfigError(msg)
    try:
        report: Report = _read(Report, content)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{subject} was changed or cut short ({type(error).__name__}); validate again"
        raise ConfigError(msg) from None
    return report


def content_digest(report: Report) -> str:
    """Return the SHA-256 of what the same model, data, policy and code reproduce: all but times."""
    timeless = replace(
        report,
        created_at="",
        seconds={},
        results=tuple(replace(result, seconds=0.0) for result in report.results),
    )
    return hashlib.sha256(to_json(timeless).encode()).hexdigest()


def write_report(report: Report, folder: Path) -> Path:
    """Write ``report.json`` and one Parquet file a table below ``tables``.

    Tables of an earlier report in the same folder are removed. A folder that is made can be read
    by its owner alone.

    Raises OutputError if it cannot be written, or if ``tables`` is a link, behind which nothing
    is removed.

    Return the path of the JSON file.
    """
    tables = folder / TABLES
    make_private(folder)
    if tables.is_symlink():
        msg = f"{tables} is a link: find out who made it and move it away, or name another --out"
        raise OutputError(msg)
    make_private(tables)
    for old in tables.glob("*.*.*.parquet"):
        if old.name.partition(".")[0] in FAMILIES:
            old.unlink()
    for result in report.results:
        for table in result.tables:
            path = tables / f"{result.check.id}.{table.name}.parquet"
            with written_whole(path) as handle:
                pq.write_table(_arrow(table.frame), handle, compression="zstd")
    path = folder / REPORT
    write_whole(path, to_json(report).encode())
    return path


def _arrow(frame: pd.DataFrame) -> pa.Table:
    """Turn a data frame into Arrow."""
    # times are converted without their zone: Arrow's own reading of pandas zones raises a warning
    columns = {}
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind == "M":
            naive = pa.array(values.dt.tz_convert(None))
            columns[str(name)] = naive.cast(pa.timestamp("us", "UTC"))
        else:
            columns[str(name)] = pa.array(values, from_pandas=True)
    return pa.table(columns)


def _plain(value: Any) -> Any:  # noqa: ANN401  a value of any field
    if isinstance(value, Table):
        return {"name": value.name, "title": asdict(value.title), **plain_frame(value.frame)}
    if is_dataclass(value):
        names = (field.name for field in fields(value) if field.name != "place")
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


_KINDS: Final[dict[str, str]] = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}


def plain_frame(frame: pd.DataFrame) -> dict[str, Any]:
    """Write a data frame as columns (name, type) and rows; null is missing or infinite.

    Types are boolean, integer, number, time (ISO, UTC) and text. JSON has no infinity; the
    Parquet file of the table keeps it.
    """
    columns, written = [], []
    for name in frame.columns:
        values = frame[name]
        kind = _KINDS.get(values.dtype.kind, "time" if values.dtype.kind == "M" else "text")
        columns.append({"name": str(name), "type": kind})
        written.append([_cell(value, kind) for value in values])
    return {"columns": columns, "rows": [list(row) for row in zip(*written, strict=True)]}


def read_frame(content: Mapping[str, Any]) -> pd.DataFrame:
    """Read what `plain_frame` wrote."""
    types: dict[str, Callable[[list[Any]], Any]] = {
        "boolean": lambda values: np.array(values, dtype=np.bool_),
        "integer": lambda values: np.array(values, dtype=np.int64),
        "number": lambda values: np.array(values, dtype=np.float64),
        "time": lambda values: pd.to_datetime(values, utc=True, format="ISO8601"),
        "text": lambda values: pd.Series(values, dtype="str"),
    }
    rows = content["rows"]
    return pd.DataFrame(
        {
            column["name"]: types[column["type"]]([row[place] for row in rows])
            for place, column in enumerate(content["columns"])
        }
    )


def _cell(value: Any, kind: str) -> Any:  # noqa: ANN401  a cell of any column
    if pd.isna(value):
        return None
    if kind == "time":
        return pd.Timestamp(value).isoformat()
    if kind == "text":
        return str(value)
    if kind == "number" and not np.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _read(kind: type[Any], content: Any) -> Any:  # noqa: ANN401  a record of this kind
    """Read what `_plain` wrote, by the types of the fields.

    Raises KeyError, TypeError if a field is missing, unknown or of another shape.
    """
    if not isinstance(content, Mapping):
        raise TypeError
    types, given = get_type_hints(kind), dict(content)
    if kind is Table:
        given = {"name": given["name"], "title": given["title"], "frame": read_frame(given)}
    for name in types.keys() - given.keys() - _OPTIONAL:
        raise KeyError(name)
    return kind(**{name: _value(types[name], each) for name, each in given.items()})


def _value(kind: Any, content: Any) -> Any:  # noqa: ANN401  a type annotation, and its JSON
    if is_dataclass(kind) and isinstance(kind, type):
        return _read(kind, content)
    if get_origin(kind) is not tuple:
        return content
    inner = get_args(kind)
    if inner[-1] is Ellipsis:
        return tuple(_value(inner[0], each) for each in content)
    return tuple(_value(of, each) for of, each in zip(inner, content, strict=True))


_OPTIONAL: Final = frozenset(
    {
        *("place", "source_zh", "features", "amount"),
        *("default_gates", "left_out", "weaker", "changed", "relaxed", "timezone"),
    }
)
"""Fields that `report.json` never has, and those that older versions did not write."""
