"""Check one row of JSON values by the rules of the contract, without a query for usual values.

The values are those that the tables would have, and the broken rules those of `checks_of`. What
only SQL reads exactly (a time in an unusual form, an identifier with blanks) is read by that SQL.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from kyc_ml.contract import checks
from kyc_ml.contract.identifiers import FLOAT, SCIENTIFIC, TRIMMED
from kyc_ml.contract.tables import EVENT_TIME, KNOWN_AT, Column, TableContract
from kyc_ml.storage import connect, quote_text

RowValue: TypeAlias = "str | float | int | date | None"
"""A typed value; a timestamp is a whole number of microseconds since 1970 in UTC."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_USUAL_TIME: Final = re.compile(
    r"[12]\d{3}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-](0\d|1[0-3]):[0-5]\d)?", re.ASCII
)
_USUAL_DATE: Final = re.compile(r"[1-9]\d{3}-\d\d-\d\d", re.ASCII)
_USUAL_ID: Final = re.compile(r"[!-~]+")
_UNCHANGED_ID: Final = re.compile(r"[A-Z1-9_:/#@-][A-Z0-9_:/#@-]*")
"""Identifiers that no form changes, but `case: lower` or a word of `nulls`."""
_BLANK: Final = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]*")
"""What DuckDB's `trim` removes."""
_NAME: Final = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_HALF: Final = re.compile("[\ud800-\udfff]")
_UNREAD: Final = object()
UNKNOWN: Final = "unknown"
_FLOATS: Final = {"scientific": re.compile(SCIENTIFIC, re.A), "float": re.compile(FLOAT, re.A)}


class BrokenRule(NamedTuple):
    """A rule that a row breaks."""

    column: str
    key: str
    """Of the rule in `rules.yaml`; UNKNOWN for a column that there is not."""


class OneRow:
    """The contract of one table, for rows that come one at a time; of one thread.

    `columns`: those that there are of the table: any other in a row is a fault.
    """

    def __init__(
        self, contract: TableContract, columns: Sequence[str], *, rules: checks.RowRules
    ) -> None:
        self._contract, self._rules, self._zone = contract, rules, ZoneInfo(rules.zone)
        self._columns = {name: contract.column(name) for name in columns}
        form = rules.form
        if form.model_copy(update={"floats": "refuse"}) == TRIMMED and form.floats != "whole":
            self._as_it_is = _USUAL_ID
        elif form.case == "lower" or form.nulls:
            self._as_it_is = re.compile("(?!)")
        else:
            self._as_it_is = _UNCHANGED_ID

    def check(self, row: Mapping[str, Any]) -> tuple[dict[str, RowValue], list[BrokenRule]]:
        """Return the typed values by column, and every rule that the row breaks.

        `row`: JSON values: text for text, identifiers, times and dates; numbers; true and false.
        Null is missing; without `known_at` a row is known when it happens.
        """
        typed: dict[str, RowValue] = {}
        broken: list[BrokenRule] = []
        for name, column in self._columns.items():
            given = row.get(name)
            if name == KNOWN_AT and given is None:
                continue
            value = self._read(column, given)
            typed[name] = None if value is _UNREAD else value
            broken += (BrokenRule(name, key) for key in self._broken_by(column, given, value))
        event = typed.get(EVENT_TIME)
        broken += self._compare(event, typed.setdefault(KNOWN_AT, event))
        for name in row.keys() - self._columns.keys():
            broken.append(BrokenRule(name if _NAME.fullmatch(name) else "?", UNKNOWN))
        return typed, broken

    def _compare(self, event: RowValue, known: RowValue) -> Iterator[BrokenRule]:
        """List what times break together, or by the period of the mapping."""
        if not self._contract.known_after_event:
            return
        first, last = self._rules.earliest, self._rules.latest
        if isinstance(event, int) and isinstance(known, int) and known < event:
            yield BrokenRule(KNOWN_AT, "known before")
        if isinstance(event, int) and first is not None and event < self._midnight(first):
            yield BrokenRule(EVENT_TIME, "before earliest")
        if last is not None:
            end = self._midnight(last + timedelta(days=1))
            for name, value in ((EVENT_TIME, event), (KNOWN_AT, known)):
                if isinstance(value, int) and value >= end:
                    yield BrokenRule(name, "after latest")

    def _midnight(self, day: date) -> int:
        return _microseconds(f"{day}T00:00", self._zone)

    def _read(self, column: Column, given: Any) -> Any:  # noqa: ANN401  of the column's type
        """Return the typed value; None where nothing is, _UNREAD where it is not of the type."""
        if given is None or not _is_of(column, given):
            return None if given is None else _UNREAD
        if column.type == "double":
            return _double(given)
        if column.identifier and not self._as_it_is.fullmatch(given):
            return self._ask(checks.typed_sql(column, "VARCHAR", self._rules), column, given)
        if column.type == "boolean" or column.identifier:
            return given
        blank = _BLANK.fullmatch(given)
        if blank or column.type == "string":
            return None if blank else given
        return self._read_time(column, given)

    def _read_time(self, column: Column, given: str) -> Any:  # noqa: ANN401  a date or a number
        """Return a date or an instant; _UNREAD where the text is neither."""
        try:
            if column.type == "date" and _USUAL_DATE.fullmatch(given):
                return date.fromisoformat(given)
            if column.type == "timestamp" and _USUAL_TIME.fullmatch(given):
                return _microseconds(given, self._zone)
        except ValueError:  # such as the 30th of February
            return _UNREAD
        sql = checks.typed_sql(column, "VARCHAR", self._rules)
        found = self._ask(f"epoch_us({sql})" if column.type == "timestamp" else sql, column, given)
        return _UNREAD if found is None else found

    def _broken_by(self, column: Column, given: object, value: Any) -> Iterator[str]:  # noqa: ANN401
        """List the keys of the rules that the value of a column breaks."""
        if value is None:
            yield from ["empty"] if column.required else []
        elif value is _UNREAD:
            yield self._why_unread(column, given)
        elif isinstance(value, float):
            if not math.isfinite(value):
                yield "infinite"
            elif column.minimum is not None and value < column.minimum:
                yield "below"
            elif column.maximum is not None and value > column.maximum:
                yield "above"
        elif isinstance(value, date) and not _DATES[0] <= value <= _DATES[1]:
            yield "impossible date"
        elif column.type == "timestamp" and not _TIMES[0] <= value < _TIMES[1]:
            yield "impossible timestamp"
        elif isinstance(value, str):
            if column.allowed and value not in column.allowed:
                yield "not allowed"
            if column.pattern is not None and not re.fullmatch(column.pattern, value, re.ASCII):
                yield "no match"
            if column.identifier and self._rules.form.floats != "keep":
                yield from (key for key, form in _FLOATS.items() if form.fullmatch(value))

    def _why_unread(self, column: Column, given: object) -> str:
        """Return the key of the rule that a value breaks which is not of the column's type."""
        if column.type != "timestamp" or not _is_of(column, given):
            return column.type
        form = (
            f"regexp_full_match({checks.raw_name(column.name)}, {quote_text(checks.ABBREVIATED)})"
        )
        return "ambiguous zone" if self._ask(form, column, given) else column.type

    def _ask(self, sql: str, column: Column, given: object) -> Any:  # noqa: ANN401  of any type
        """Read one text as the tables do."""
        value = f"SELECT CAST(? AS VARCHAR) AS {checks.raw_name(column.name)}"
        rows = self._connection.execute(f"SELECT {sql} FROM ({value})", [given]).fetchall()
        return rows[0][0]

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return connect(data=None, threads=1, files=[])


def _is_of(column: Column, given: object) -> bool:
    """Return whether a value is of the JSON type of a column; half a surrogate pair is not text."""
    if column.type in {"boolean", "double"} or isinstance(given, bool):
        return column.type == ("boolean" if isinstance(given, bool) else "double") and isinstance(
            given, int | float
        )
    return isinstance(given, str) and (given.isascii() or not _HALF.search(given))


def _double(given: float) -> float:
    try:
        return float(given) + 0.0  # equal amounts are equal bits: no -0.0
    except OverflowError:
        return math.inf


def _microseconds(text: str, zone: ZoneInfo) -> int:
    """Read a time; of a clock that was set back the later instant, as the tables are read."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        offsets = (time.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
        time = (time - min(each for each in offsets if each is not None)).replace(tzinfo=UTC)
    return (time - _EPOCH) // _MICROSECOND


_TIMES: Final = tuple(_microseconds(day, ZoneInfo("UTC")) for day in (checks.FIRST, checks.END))
_DATES: Final = tuple(date.fromisoformat(day) for day in (checks.FIRST_DATE, checks.LAST_DATE))


def row_to_json(row: Mapping[str, RowValue]) -> bytes:
    """Write a typed row, in the order of its columns, without what is missing.

    Examples
    --------
    >>> row_to_json({"event_time": 1_000_000, "amount": 2.5, "channel": None})
    b'{"event_time":1000000,"amount":2.5}'
    """
    plain = {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in row.items()
        if value is not None
    }
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def rows_from_json(rows: Sequence[bytes], schema: pa.Schema) -> pa.Table:
    """Read rows that `row_to_json` wrote as a table of contracted columns."""
    dates = [each.name for each in schema if each.type == pa.date32()]
    read = [json.loads(row) for row in rows]
    for row in read:
        row |= {name: date.fromisoformat(row[name]) for name in dates if name in row}
    return rows_as_table(read, schema)


def rows_as_table(rows: Sequence[Mapping[str, RowValue]], schema: pa.Schema) -> pa.Table:
    """Return typed rows as a table of contracted columns."""
    columns = [pa.array([row.get(each.name) for row in rows], each.type) for each in schema]
    return pa.table(columns, schema=schema)
