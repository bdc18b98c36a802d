"""A report as JSON and back, to the last bit, and its tables as Parquet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.errors import ConfigError
from kyc_ml.storage import dump_json, written_whole
from kyc_ml.validation.check import FAMILIES, Check, FigureText
from kyc_ml.validation.result import (
    AppliedGate,
    CheckResult,
    DataIdentity,
    Figure,
    Finding,
    ModelIdentity,
    Plot,
    PolicyIdentity,
    Report,
    RowsUsed,
    Table,
)
from kyc_ml.validation.text import Text

FORMAT: Final = 1
REPORT: Final = "report.json"
TABLES: Final = "tables"
_TEXTS: Final = ("title", "purpose", "method", "signs", "limits")


def to_json(report: Report) -> str:
    """Write a report as JSON: sorted keys, numbers to the last bit, null for an undefined one."""
    return dump_json({"format": FORMAT, **_plain(report)})


def from_json(text: str, *, subject: str) -> Report:
    """Read what `to_json` wrote; `subject` names it in errors.

    Raises
    ------
    ConfigError
        If it is no report, of another format, or was cut short.
    """
    try:
        content = json.loads(text)
        version = content["format"]
    except (ValueError, KeyError, TypeError):
        msg = f"{subject} is no validation report: name a report.json of kyc-ml validate"
        raise ConfigError(msg) from None
    if version != FORMAT:
        msg = (
            f"{subject} has report format {version}, this kyc_ml reads format {FORMAT}: "
            "use the version that wrote it, or validate again"
        )
        raise ConfigError(msg)
    try:
        return _report(content)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{subject} was changed or cut short ({type(error).__name__}); validate again"
        raise ConfigError(msg) from None


def content_digest(report: Report) -> str:
    """SHA-256 of all that the same model, data, policy and code give again: not of times."""
    timeless = replace(
        report,
        created_at="",
        seconds={},
        results=tuple(replace(result, seconds=0.0) for result in report.results),
    )
    return hashlib.sha256(to_json(timeless).encode()).hexdigest()


def write_report(report: Report, folder: Path) -> Path:
    """Write ``report.json`` and one Parquet file a table below ``tables``.

    Tables of an earlier report in the same folder are removed.

    Returns
    -------
    Path
        The JSON file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    tables = folder / TABLES
    for old in tables.glob("*.*.*.parquet"):
        if old.name.partition(".")[0] in FAMILIES:
            old.unlink()
    for result in report.results:
        for table in result.tables:
            path = tables / f"{result.check.id}.{table.name}.parquet"
            with written_whole(path) as handle:
                pq.write_table(_arrow(table.frame), handle, compression="zstd")
    path = folder / REPORT
    with written_whole(path) as handle:
        handle.write(to_json(report).encode())
    return path


def _arrow(frame: pd.DataFrame) -> pa.Table:
    """Turn a data frame into Arrow; pandas warns of how Arrow itself would read its zones."""
    columns = {}
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind == "M":
            naive = pa.array(values.dt.tz_convert(None))
            columns[str(name)] = naive.cast(pa.timestamp("us", "UTC"))
        else:
            columns[str(name)] = pa.array(values, from_pandas=True)
    return pa.table(columns)


def _plain(report: Report) -> dict[str, Any]:
    content = {
        field.name: getattr(report, field.name)
        for field in fields(report)
        if field.name not in {"results", "model", "data", "policy", "rows", "findings"}
    }
    return {
        **content,
        "headline": [list(pair) for pair in report.headline],
        "environment": dict(report.environment),
        "seconds": dict(report.seconds),
        "model": asdict(report.model),
        "data": {**asdict(report.data), "files": dict(report.data.files)},
        "policy": asdict(report.policy),
        "rows": [asdict(rows) for rows in report.rows],
        "findings": [asdict(finding) for finding in report.findings],
        "results": [_plain_result(result) for result in report.results],
    }


def _plain_result(result: CheckResult) -> dict[str, Any]:
    return {
        "check": asdict(result.check),
        "verdict": result.verdict,
        "figures": [asdict(figure) for figure in result.figures],
        "tables": [
            {"name": each.name, "title": asdict(each.title), **plain_frame(each.frame)}
            for each in result.tables
        ],
        "plots": [asdict(plot) for plot in result.plots],
        "gates": [asdict(gate) for gate in result.gates],
        "notes": [asdict(note) for note in result.notes],
        "reason": asdict(result.reason),
        "command": result.command,
        "seconds": result.seconds,
    }


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


def _text(content: Mapping[str, str]) -> Text:
    return Text(content["en"], content["zh"])


def _measure(content: Mapping[str, Any]) -> FigureText:
    return FigureText(name=content["name"], label=_text(content["label"]), unit=content["unit"])


def _check(content: Mapping[str, Any]) -> Check:
    return Check(
        id=content["id"],
        family=content["family"],
        source=content["source"],
        measures=tuple(_measure(each) for each in content["measures"]),
        **{name: _text(content[name]) for name in _TEXTS},
    )


def _result(content: Mapping[str, Any]) -> CheckResult:
    return CheckResult(
        check=_check(content["check"]),
        verdict=content["verdict"],
        figures=tuple(
            Figure(**{**each, "measure": _measure(each["measure"])}) for each in content["figures"]
        ),
        tables=tuple(
            Table(name=each["name"], title=_text(each["title"]), frame=read_frame(each))
            for each in content["tables"]
        ),
        plots=tuple(
            Plot(
                **{
                    **each,
                    **{name: _text(each[name]) for name in ("title", "x_label", "y_label")},
                }
            )
            for each in content["plots"]
        ),
        gates=tuple(
            AppliedGate(**{**each, "note": _text(each["note"])}) for each in content["gates"]
        ),
        notes=tuple(_text(each) for each in content["notes"]),
        reason=_text(content["reason"]),
        command=content["command"],
        seconds=content["seconds"],
    )


def _report(content: Mapping[str, Any]) -> Report:
    own = {name: content[name] for name in _SIMPLE}
    return Report(
        **own,
        model=ModelIdentity(**content["model"]),
        data=DataIdentity(**content["data"]),
        policy=PolicyIdentity(**content["policy"]),
        rows=tuple(
            RowsUsed(**{**each, "origin": _text(each["origin"])}) for each in content["rows"]
        ),
        findings=tuple(
            Finding(**{**each, "text": _text(each["text"])}) for each in content["findings"]
        ),
        headline=tuple((check, figure) for check, figure in content["headline"]),
        results=tuple(_result(each) for each in content["results"]),
    )


_SIMPLE: Final = (
    *("validator", "as_of", "verdict", "complete", "command", "environment", "created_at"),
    "seconds",
)
