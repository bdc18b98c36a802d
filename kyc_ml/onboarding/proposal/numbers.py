"""Numbers of a column: separators, signs, currencies, units, minor units.

The shapes of the values show what a mark means. The expression checks the form of each value
again, so that a later value of another form goes to quarantine and is not misread.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import duckdb

from kyc_ml.onboarding.proposal.marks import (
    DEBIT_MARKS,
    Marks,
    Separators,
    collect_marks,
    doubtful_units,
    find_separators,
)
from kyc_ml.onboarding.proposal.samples import ColumnSample
from kyc_ml.onboarding.proposal.shapes import TRIED_ROWS, Shapes, shapes_of
from kyc_ml.onboarding.proposal.vocabulary import NAMED_UNITS, UNITS, note
from kyc_ml.storage import quote_name, quote_text

ENOUGH: Final = 0.98
_HALF: Final = 0.5
_MANY: Final = 20
"""Distinct whole amounts above which hundredths of a currency are considered (convention)."""
_SMALL: Final = 1000
_LONGEST_MARK: Final = 6
_LONG: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberReading:
    """An expression that turns a column into numbers."""

    sql: str
    numeric: str
    form: str
    negative: float
    """Share of the numbers below zero, in [0, 1]."""
    negated: str
    """SQL that is true where a number is below zero."""
    marked: bool = False
    """True where debit and credit are marked beside the numbers, not by a sign."""
    doubt: str = ""
    """What the user has to confirm; empty if nothing."""
    alternatives: tuple[str, ...] = ()
    currencies: tuple[str, ...] = ()
    """ISO 4217 codes of the signs beside the numbers, the commonest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expressions:
    """A column as text that is a number, as a number, and where it is below zero by a mark."""

    sql: str
    numeric: str
    negated: str = ""


def read_number(column: ColumnSample, *, money: bool = False) -> NumberReading | None:
    """Find an expression that converts nearly all values to numbers; None without one.

    With `money`, the name may say that amounts are in a hundredth of the currency.
    """
    if column.family in {"integer", "decimal", "float"}:
        made = NumberReading(
            sql=column.sql,
            numeric=column.sql,
            form=f"type {column.type}",
            negative=column.negative,
            negated=f"{column.sql} < 0",
        )
        return _scaled(column, made, money=money)
    if column.family != "text" or not column.distinct:
        return None
    shapes = shapes_of(column)
    marks = collect_marks(shapes.counts)
    if (column.number < ENOUGH or _is_grouped(column, marks)) and (
        marks.read >= ENOUGH * max(shapes.values, 1)
    ):
        marked = _marked_number(column, shapes, marks, money=money)
        if marked is not None:
            return marked
    if column.number < ENOUGH:
        return None
    plain = NumberReading(
        sql=column.sql,
        numeric=f"TRY_CAST({column.sql} AS DOUBLE)",
        form="numbers as text",
        negative=column.negative,
        negated=f"TRY_CAST({column.sql} AS DOUBLE) < 0",
    )
    return _scaled(column, plain, money=money)


def _is_grouped(column: ColumnSample, marks: Marks) -> bool:
    """Return whether readable numbers may have points between thousands, or rare marks."""
    if not marks.read:
        return False
    found = find_separators(_bodies(marks))
    return bool(found and found.doubt) or (column.number < 1.0 and found is not None)


def _bodies(marks: Marks) -> Counter[tuple[str, bool]]:
    found: Counter[tuple[str, bool]] = Counter()
    for each, n in marks.written.items():
        # in 1.251万 the point cannot separate thousands
        found[each.body, each.zero or bool(each.unit and "." in each.body)] += n
    return found


def _marked_number(
    column: ColumnSample, shapes: Shapes, marks: Marks, *, money: bool
) -> NumberReading | None:
    separators = find_separators(_bodies(marks))
    if separators is None or len(marks.named("currency")) > 1:
        return None
    written = _expressions(column, shapes, marks, separators)
    found = _tried(column, written.numeric)
    if found is None:
        return None
    units, entries = marks.named("unit"), marks.named("entry")
    doubts = [separators.doubt]
    if doubtful_units(units):
        shown = ", ".join(f"{unit} for {UNITS[unit]:,.0f}" for unit in doubtful_units(units))
        doubts.append(f"{shown} is taken")
    if entries:
        debit = DEBIT_MARKS - {"D"} if "J" in entries else DEBIT_MARKS  # beside J it is a credit
        debit_entries = [each for each in entries if each in debit]
        doubts.append(note("debit_mark", marks=" and ".join(debit_entries) or "nothing"))
    other: tuple[str, ...] = ()
    if separators.other is not None:
        other = (_expressions(column, shapes, marks, separators.other).numeric,)
    made = NumberReading(
        sql=written.sql,
        numeric=written.numeric,
        negated=written.negated or f"{written.numeric} < 0",
        form=_form(marks, separators),
        negative=found.negative,
        marked=bool(entries),
        doubt="; ".join(filter(None, doubts)),
        alternatives=other,
        currencies=marks.named("currency"),
    )
    return _scaled(found, made, money=money)


def _expressions(
    column: ColumnSample, shapes: Shapes, marks: Marks, separators: Separators
) -> _Expressions:
    written = marks.written
    text = shapes.text
    if any(each.blank for each in written):
        text = f"regexp_replace({text}, '[\\s\\x{{a0}}\\x{{202f}}\\x{{2009}}]', '', 'g')"
    number = _pattern(separators, indian=_is_indian(marks, separators))
    before = _either({each.before for each in written})
    after = _either({each.after for each in written})
    checked = f"regexp_full_match({text}, {quote_text(before + number + after)})"
    digits = text
    if before or after:
        marked = "".join(filter(None, (separators.thousands, separators.decimal)))
        digits = f"regexp_extract({text}, {quote_text(f'[0-9{marked}]*[0-9][0-9{marked}]*')})"
        if "." in before:
            digits = f"regexp_extract({text}, {quote_text(f'[0-9][0-9{marked}]*')})"
    if separators.thousands:
        digits = f"replace({digits}, {quote_text(separators.thousands)}, '')"
    if separators.decimal != ".":
        digits = f"replace({digits}, {quote_text(separators.decimal)}, '.')"
    negated = _negated(text, marks)
    factor = _factor(text, marks)
    unread = f"\nELSE 'unread: ' || {column.sql} END"
    if not negated and not factor:
        sql = f"CASE WHEN {checked}\nTHEN {digits}{unread}"
        return _Expressions(sql=sql, numeric=f"TRY_CAST({sql} AS DOUBLE)")
    value = f"TRY_CAST({digits} AS DOUBLE)"
    if factor:  # 1.251 x 10,000 is 12,510 to the last digit
        value = f"CAST(TRY_CAST({digits} AS DECIMAL(23, 8))\n* {factor} AS DOUBLE)"
    value = f"CASE WHEN {negated} THEN -1 ELSE 1 END\n* {value}" if negated else value
    return _Expressions(
        sql=f"CASE WHEN {checked}\nTHEN CAST({value} AS VARCHAR){unread}",
        numeric=f"CASE WHEN {checked}\nTHEN {value} END",
        negated=negated,
    )


def _pattern(separators: Separators, *, indian: bool) -> str:
    mark = "[.]" if separators.decimal == "." else separators.decimal
    if not separators.thousands:
        return f"([0-9]+({mark}[0-9]*)?|{mark}[0-9]+)"
    width = "{2,3}" if indian else "{3}"
    part = "[.]" if separators.thousands == "." else separators.thousands
    return f"([0-9]+|[0-9]{{1,3}}({part}[0-9]{width})+)({mark}[0-9]*)?"


def _is_indian(marks: Marks, separators: Separators) -> bool:
    return bool(separators.thousands) and any(
        len(part) == 2
        for each in marks.written
        for part in each.body.partition(separators.decimal)[0].split(separators.thousands)[1:-1]
    )


def _either(texts: Iterable[str]) -> str:
    found = sorted(filter(None, texts), key=lambda text: (-len(text), text))
    if not found:
        return ""
    optional = "" if "" not in set(texts) else "?"
    return f"({'|'.join(re.escape(text) for text in found)}){optional}"


def _negated(text: str, marks: Marks) -> str:
    before = {each.before for each in marks.written if each.negative and each.before}
    after = {each.after for each in marks.written if each.negative and each.after}
    positive = {(each.before, each.after) for each in marks.written if not each.negative}
    before -= {each for each, _ in positive}
    after -= {each for _, each in positive}
    sides = [f"^{_either(before)}"] if before else []
    sides += [f"{_either(after)}$"] if after else []
    return f"regexp_matches({text}, {quote_text('|'.join(sides))})" if sides else ""


def _factor(text: str, marks: Marks) -> str:
    units = marks.named("unit")
    if not units:
        return ""
    longest = sorted(units, key=len, reverse=True)
    cases = " ".join(f"WHEN {quote_text(unit)} THEN {UNITS[unit]:.12g}" for unit in units)
    found = f"regexp_extract({text}, {quote_text('|'.join(longest))})"
    return f"CAST(CASE {found} {cases} ELSE 1 END AS DECIMAL(15, 2))"


def _form(marks: Marks, separators: Separators) -> str:
    used = {mark for each in marks.written for mark in each.body}
    shown = []
    if separators.thousands in used:
        shown.append("thousands separators")
    if separators.decimal == "," and "," in used:
        shown.append("decimal comma")
    if any("(" in each.before for each in marks.written):
        shown.append("parentheses for negative numbers")
    elif any("-" in each.after for each in marks.written):
        shown.append("a minus behind the number")
    if marks.named("currency"):
        shown.append("currency signs")
    units = marks.named("unit")
    if units:
        shown.append(f"units {', '.join(f'{each} (x {UNITS[each]:,.12g})' for each in units)}")
    if marks.named("entry"):
        shown.append(f"marks {', '.join(marks.named('entry'))}")
    return ", ".join(shown) or "numbers as text"


def _tried(column: ColumnSample, numeric: str) -> ColumnSample | None:
    """Return a column with the numbers of an expression; None unless nearly all values are."""
    try:
        read, negative, whole, distinct, high = column.engine.one(
            "SELECT count(n) / nullif(count(*), 0), count(n) FILTER (n < 0) / nullif(count(n), 0), "
            f"bool_and(n = floor(n)), count(DISTINCT n), max(n) FROM (SELECT {numeric} AS n "
            f"FROM (SELECT * FROM {quote_name(column.table)} "
            f"WHERE nullif(trim({column.sql}), '') IS NOT NULL LIMIT {TRIED_ROWS}))"
        )
    except duckdb.Error:
        return None  # the expression does not fit the column
    if read is None or float(read) < ENOUGH:  # type: ignore[arg-type]
        return None
    return replace(
        column,
        negative=float(negative or 0.0),  # type: ignore[arg-type]
        whole=float(bool(whole)),
        distinct=int(distinct),  # type: ignore[call-overload]
        high=float(high),  # type: ignore[arg-type]
    )


def _scaled(column: ColumnSample, made: NumberReading, *, money: bool) -> NumberReading:
    """Apply the unit that the name gives; consider hundredths where all amounts are whole."""
    if not money:
        return made
    words = column.normal.split("_")
    named = [
        word
        for word in NAMED_UNITS
        if word in words or (not word.isascii() and column.normal.endswith(word))
    ]
    unit = NAMED_UNITS[max(named, key=len)] if named else 1.0
    if unit > 1.0 or (unit < 1.0 and column.whole >= 1.0):
        scale = f"* {unit:.12g}" if unit > 1.0 else f"/ {1 / unit:.0f}.0"
        return replace(
            made,
            sql=f"{made.numeric} {scale}",
            numeric=f"({made.numeric} {scale})",
            form=f"{made.form}, in units of {unit:,.12g} by its name",
            doubt="; ".join(filter(None, (made.doubt, note("scaled")))),
            alternatives=(*made.alternatives, made.sql),
        )
    if column.whole < 1.0:
        return made
    if column.distinct > _MANY and column.high >= _SMALL:
        # a long expression is not written twice
        number = made.numeric if len(made.numeric) <= _LONG else "the same number"
        return replace(
            made,
            doubt="; ".join(filter(None, (made.doubt, note("hundredths")))),
            alternatives=(*made.alternatives, f"{number} / 100.0"),
        )
    return made


def why_no_number(column: ColumnSample) -> str:
    """Explain which marks prevent a column from being read as numbers; empty without numbers.

    Only marks that many rows share are named, never a number.
    """
    if column.family != "text":
        return ""
    shapes = shapes_of(column)
    marks = collect_marks(shapes.counts)
    strange: Counter[str] = Counter()
    for shape, n in marks.unknown.items():
        beside = re.fullmatch(r"([^9]*)9(?:[9.,\s]*9)?([^9]*)", shape)
        if beside is not None:
            strange[" ".join(side.strip() for side in beside.groups() if side.strip())] += n
    numbers = marks.read + sum(strange.values())
    if not numbers or numbers < _HALF * shapes.values:
        return ""
    if len(marks.named("currency")) > 1:
        return note("several_currencies", currencies=", ".join(marks.named("currency")))
    shown = [
        repr(mark) for mark, n in strange.most_common(3) if len(mark) <= _LONGEST_MARK and n > 1
    ]
    if shown:
        return note("unknown_marks", marks=", ".join(shown))
    return note("unknown_words" if strange else "unknown_separators")
