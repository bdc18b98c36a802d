"""The control file of a delivery: what its sender states, compared with what arrived."""

import csv
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb

from kyc_ml.config import ControlEntry, ControlFile, ControlTotals, check_section, read_content
from kyc_ml.contract.files import OpenedFiles
from kyc_ml.contract.folder import FoundFiles, may_be_copied
from kyc_ml.contract.syntax import parse_select
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.storage import quote_name

_NAME: Final = "name"


def check_control(
    connection: duckdb.DuckDBPyConnection,
    control: ControlFile,
    *,
    data: Path,
    found: Mapping[str, FoundFiles],
    opened: OpenedFiles,
    digests: Mapping[str, str],
    faults: Faults,
) -> dict[str, date]:
    """Compare the files of a mapping with their control file, and note every difference.

    `found`: mapping of name to FoundFiles; the files as they arrived.
    `opened`: their views; a file without one is not counted, as its own fault is noted already.
    `digests`: mapping of path to SHA-256.
    Returns dict of name to date; the business dates that are stated. A control file that is absent,
    and a difference while a file may still be copied, may be gone at the next attempt: such a fault
    is `passing`.
    """
    subject = f"control file {control.path!r}"
    if not (data / control.path).is_file():
        faults.add(f"{subject} is not in the data folder", passing=True)
        return {}
    try:
        totals = _read(data, control.path, subject)
    except ConfigError as error:
        faults.add(str(error))
        return {}
    for name in totals.files.keys() - found.keys():
        faults.add(f"{subject}: {name!r} is not under `files`{hint(name, found)}")
    for name, files in found.items():
        entry = totals.files.get(name)
        if entry is None:
            faults.add(f"{subject}: {name!r} is not stated: ask whether its delivery is complete")
            continue
        counted = name in opened.views
        sql = control.amounts.get(name)
        for what, stated, came in (
            *_digests(entry, files, digests),
            *(_rows(connection, name, entry, opened) if counted else ()),
            *(_amounts(connection, name, entry, sql) if counted else ()),
        ):
            faults.add(
                f"{subject}: {name!r}: {what}: {stated} stated, {came} arrived: have the "
                "file delivered again, or the control file corrected",
                passing=any(map(may_be_copied, (*files.paths, data / control.path))),
            )
    return {
        name: entry.business_date
        for name, entry in totals.files.items()
        if entry.business_date is not None
    }


def _read(data: Path, name: str, subject: str) -> ControlTotals:
    """Read the control file; ConfigError if it is outside the data folder, or has other content."""
    path = data / name
    if not path.resolve().is_relative_to(data.resolve()):
        raise ConfigError(f"{subject} leads outside the data folder")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{subject} cannot be read: {why}") from None
    if path.suffix.lower() == ".csv":
        content = _from_csv(text, subject)
    else:
        content = read_content(text, subject=subject, path=None)
    return check_section({"files": content}, ControlTotals, subject=subject)


def _from_csv(text: str, subject: str) -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = {}
    try:
        rows = list(csv.DictReader(text.splitlines()))
    except csv.Error as error:
        raise ConfigError(f"{subject} cannot be read as CSV: {error}") from None
    for row in rows:
        name = (row.pop(_NAME, None) or "").strip()
        if not name or name in content or None in row:
            raise ConfigError(
                f"{subject}: each line must have another {_NAME!r} and as many values as the "
                f"header, line {len(content) + 2} does not"
            )
        content[name] = {key.strip(): text.strip() for key, text in row.items() if text}
    return content


def _digests(
    entry: ControlEntry, files: FoundFiles, digests: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    if entry.sha256 is None:
        return
    if len(files.names) > 1:
        yield "sha256", "of one file", f"{len(files.names)} files"
    elif digests[files.names[0]] != entry.sha256.lower():
        yield "sha256", f"{entry.sha256.lower()[:12]}…", f"{digests[files.names[0]][:12]}…"


def _rows(
    connection: duckdb.DuckDBPyConnection, name: str, entry: ControlEntry, opened: OpenedFiles
) -> Iterator[tuple[str, str, str]]:
    if entry.rows is None:
        return
    rows = _only(connection, f"SELECT count(*) FROM {quote_name(name)}")
    rows += len(opened.malformed.get(name, []))
    if rows != entry.rows:
        yield "rows", f"{entry.rows:,}", f"{rows:,}"


def _amounts(
    connection: duckdb.DuckDBPyConnection, name: str, entry: ControlEntry, sql: str | None
) -> Iterator[tuple[str, str, str]]:
    if entry.amount is None:
        return
    if sql is None:
        yield "amount", f"{entry.amount:,}", "no expression under `amounts` of the mapping"
        return
    query = f"SELECT sum(CAST((\n{sql}\n) AS DECIMAL(38, 6))) FROM {quote_name(name)}"
    if parse_select(connection, query) is None:
        yield "amount", f"{entry.amount:,}", "no sum (`amounts` must hold one SQL expression)"
        return
    try:
        total = _only(connection, query)
    except duckdb.Error as error:  # its text may quote a value
        yield "amount", f"{entry.amount:,}", f"no sum ({type(error).__name__})"
        return
    came = Decimal(total or 0).quantize(Decimal(1).scaleb(int(entry.amount.as_tuple().exponent)))
    if came != entry.amount:
        yield "amount", f"{entry.amount:,}", f"{came:,}"


def _only(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:  # noqa: ANN401  one value
    return connection.execute(sql).fetchall()[0][0]
