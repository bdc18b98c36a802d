"""Read how a feature is computed from one sentence of its family's table.

The sentences are those that `kyc_ml.features.definition` writes for people:

* ``sum of amount over transactions by customer_id where direction in (in), 7d``, with
  ``ending 7d before`` or ``half-life 7d`` after the period (`Window`);
* ``birth_date as years_since of the latest row of customers by customer_id`` (`Latest`);
* ``own amount`` or ``own time as hour`` (`Own`);
* ``ratio(amount, customer_amount_mean_7d)``, with a parameter after ``;`` (`Formula`);
* ``customer_count_30d compared with at least 20 customers alike in profile_segment`` (`Peer`).

A row column is a window or a latest row, both as known at the row's time, arithmetic
(`RowFormula`), or a `RowFunction` such as ``between(amount; 0, 10)``, ``matched within 2h``
or ``dwell``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from kyc_ml.contract import CONTRACT
from kyc_ml.errors import ConfigError, hint
from kyc_ml.features.spec import (
    LENGTH,
    PATTERN,
    ROLE,
    WIDTH,
    CellOperation,
    Formula,
    How,
    Latest,
    LatestValue,
    Listing,
    Matched,
    Matching,
    Operation,
    Own,
    Peer,
    Reading,
    RowColumn,
    RowFormula,
    RowFunction,
    Statistic,
    Where,
    Window,
    period_of,
)

_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_CONDITION: Final = rf'(?P<column>\w+) in \((?P<values>(?:{_QUOTED}|[^()"])+)\)'
_UNNAMED: Final = re.sub(r"\?P<\w+>", "?:", _CONDITION)
_ROWS: Final = (
    r"(?P<table>\w+) by (?P<key>the whole bank|\w+(?:, \w+)*)"
    r"(?: \(looked up by (?P<at>\w+)\))?(?: where (?P<where>.+?))?"
)
_WINDOW: Final = re.compile(
    r"(?P<statistic>\w+)(?: of (?P<value>\w+))?(?: by (?P<weight>\w+))?"
    rf"(?: below own (?P<own>\w+))? over {_ROWS}, (?P<period>\w+)"
    r"(?: ending (?P<lag>\w+) before)?(?:, half-life (?P<half_life>\w+))?"
)
_LATEST: Final = re.compile(
    rf"(?P<column>\w+) as (?P<reading>\w+)(?: on (?P<listing>\w+))? of the latest row of {_ROWS}"
)
_OWN: Final = re.compile(r"own (?P<column>\w+)(?: as (?P<reading>\w+))?")
_PEER: Final = re.compile(
    r"(?P<feature>\w+) compared with at least (?P<fewest>\d+) customers alike in (?P<by>[\w, ]+)"
)
_CALL: Final = re.compile(r"(?P<operation>\w+)\((?P<inputs>[\w, ]*)(?:; (?P<extra>[^;()]+))?\)")
_MATCHED: Final = re.compile(r"(?P<reading>matched|dwell)(?: within (?P<within>\w+))?")

_CONTRACTED: Final = frozenset(
    {PATTERN, ROLE, LENGTH, WIDTH, *(name for table in CONTRACT.values() for name in table.names)}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What sentences may name beside the columns of the data contract.

    Attributes
    ----------
    columns : mapping of str to str
        Sentences of the row columns, by name.
    listings : mapping of str to Listing
        Lists of countries, by name.
    """

    columns: Mapping[str, str]
    listings: Mapping[str, Listing]

    def column(self, name: str) -> str | RowColumn:
        """Return a column of the data contract by its name, a row column by its definition.

        Raises
        ------
        ConfigError
            If there is no such column, or a row column is made of itself.
        """
        if name in _CONTRACTED:
            return name
        sentence = self.columns.get(name)
        if sentence is None:
            known = (*_CONTRACTED, *self.columns)
            msg = f"column {name!r} is neither contracted nor declared{hint(name, known)}"
            raise ConfigError(msg)
        # a column cannot name itself, so that a circle ends with an error
        others = {each: text for each, text in self.columns.items() if each != name}
        return RowColumn(name=name, how=read_column(sentence, replace(self, columns=others)))

    def listing(self, name: str | None) -> Listing:
        """Return a list of countries; an empty one where a sentence names none."""
        return () if name is None else self.listings[name]


def read_feature(sentence: str, names: Names) -> How:
    """Read how a feature is computed.

    Raises
    ------
    ConfigError
        If the sentence has none of the forms, or names what does not exist.
    """
    if found := _PEER.fullmatch(sentence):
        by = _listed(found["by"])
        return Peer(feature=found["feature"], by=by, fewest=int(found["fewest"]))
    if found := _OWN.fullmatch(sentence):
        column = None if found["column"] == "time" else names.column(found["column"])
        return Own(reading=_one_of(found["reading"] or "value", Reading), column=column)
    if found := _CALL.fullmatch(sentence):
        return Formula(
            operation=_one_of(found["operation"], Operation),
            inputs=_listed(found["inputs"]),
            parameter=number(found["extra"] or "0"),
        )
    return _read_rows(sentence, names)


def read_column(sentence: str, names: Names) -> RowFunction | LatestValue | RowFormula | Matched:
    """Read how a row column is computed; errors are those of `read_feature`."""
    if found := _MATCHED.fullmatch(sentence):
        return Matched(
            reading=_one_of(found["reading"], Matching), within_us=_span(found["within"])
        )
    if found := _CALL.fullmatch(sentence):
        operation, extra = found["operation"], found["extra"]
        inputs = tuple(names.column(name) for name in _listed(found["inputs"]))
        if operation in get_args(Operation):
            return RowFormula(
                operation=_one_of(operation, Operation),
                inputs=inputs,
                parameter=number(extra or "0"),
            )
        cell = RowFunction(operation=_one_of(operation, CellOperation), inputs=inputs)
        if operation == "listed":
            return replace(cell, listing=names.listing(extra))
        if operation == "is_any_of":
            return replace(cell, values=_listed(extra))
        return replace(cell, parameters=tuple(number(each) for each in _listed(extra)))
    return LatestValue(how=_read_rows(sentence, names))


def number(text: str) -> float:
    """Return the number that a text holds, such as ``0.9*50000.0`` or ``1/24``.

    Products and quotients are taken from left to right, as Python takes them.
    """
    first, *rest = re.split(r"([*/])", text)
    value = float(first)
    for sign, each in zip(rest[::2], rest[1::2], strict=True):
        value = value * float(each) if sign == "*" else value / float(each)
    return value


def _read_rows(sentence: str, names: Names) -> Window | Latest:
    found = _WINDOW.fullmatch(sentence) or _LATEST.fullmatch(sentence)
    if found is None:
        msg = f"{sentence!r} has none of the forms that kyc_ml.features.sentences lists"
        raise ConfigError(msg)
    said = found.groupdict()

    def column(role: str) -> str | RowColumn | None:
        return None if said[role] is None else names.column(said[role])

    key = () if said["key"] == "the whole bank" else _listed(said["key"])
    rows: dict[str, Any] = {
        "table": said["table"],
        "key": tuple(names.column(name) for name in key),
        "at": said["at"] and (said["at"],),
        "where": _read_where(said["where"], names),
    }
    if "reading" in said:
        return Latest(
            **rows,
            reading=_one_of(said["reading"], Reading),
            column=None if said["column"] == "age" else column("column"),
            listing=names.listing(said["listing"]),
        )
    return Window(
        **rows,
        statistic=_one_of(said["statistic"], Statistic),
        period=period_of(said["period"]),
        value=column("value"),
        weight=column("weight"),
        own=said["own"],
        lag_us=_span(said["lag"]) or 0,
        half_life_us=_span(said["half_life"]),
    )


def _read_where(text: str | None, names: Names) -> Where | None:
    if text is None:
        return None
    where = None
    if not re.fullmatch(rf"{_UNNAMED}(?: and {_UNNAMED})*", text):
        msg = f"condition {text!r} must read: column in (value, value) and column in (value)"
        raise ConfigError(msg)
    for found in reversed(list(re.finditer(_CONDITION, text))):
        where = Where(
            column=names.column(found["column"]), values=tuple(_values(found["values"])), also=where
        )
    return where


def _values(text: str) -> Iterator[str]:
    """Split values; one that holds other characters than those of a word is quoted, as in JSON."""
    for each in re.findall(rf"{_QUOTED}|[^, ]+", text):
        yield json.loads(each) if each.startswith('"') else each


def _span(window: str | None) -> int | None:
    return None if window is None else period_of(window).us


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(", ")) if text else ()


def _one_of(word: str, kind: Any) -> Any:  # noqa: ANN401  a member of a Literal
    known = get_args(kind)
    if word not in known:
        msg = f"{word!r} is not one of {', '.join(known)}{hint(word, known)}"
        raise ConfigError(msg)
    return word
