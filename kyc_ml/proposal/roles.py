"""Which column plays which part in a table: names propose, values decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from kyc_ml.contract.tables import CONTRACT
from kyc_ml.proposal.codes import positives, translate
from kyc_ml.proposal.countries import COUNTRY_CODES
from kyc_ml.proposal.looking import ColumnLook, Desk, FileLook, words_held
from kyc_ml.proposal.numbers import read_number, why_no_number
from kyc_ml.proposal.times import TimeReading, read_clock, read_time, why_no_time
from kyc_ml.proposal.vocabulary import (
    CARD,
    CLOCK,
    CONFIRMED,
    CREDIT,
    CURRENCY,
    CURRENCY_CODES,
    DEBIT,
    DURATION,
    HOLDER,
    KINDS,
    LABEL,
    LABEL_TIME,
    OPENED,
    PAYEE,
    PAYER,
    RESOLVED,
    ROLES,
    file_score,
    name_score,
    names_key,
)

_SPOKEN: Final = 0.6
"""Score from which a name is worth a word where the values are not read (convention)."""
_MOST_CURRENCIES: Final = 200
LEAST: Final = 0.45
"""Score below which a name is no evidence (convention)."""
_BARE_KEYS: Final = ("id", "no", "key", "uuid", "number", "编号", "序号")
_FIRST_KEY: Final = {name: table.key[0] for name, table in CONTRACT.items()}
_MORE: Final[Mapping[str, tuple[str, ...]]] = {
    "transactions": (PAYER, PAYEE, DEBIT, CREDIT, CURRENCY, CLOCK, LABEL, "typology"),
    "customers": ("account_id", LABEL, LABEL_TIME, "typology"),
    "accounts": (HOLDER,),
    "events": ("account_id", CLOCK),
    "third_party": ("account_id",),
    "cases": ("account_id", LABEL, LABEL_TIME),
    "reviews": ("account_id", "amount", DURATION, LABEL),
}
_ALSO: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("transactions", "account_id"): (CARD,),
    ("accounts", "event_time"): (OPENED,),
    ("cases", LABEL_TIME): (OPENED,),
    ("cases", "known_at"): (RESOLVED, CONFIRMED),
    ("reviews", "known_at"): (RESOLVED,),
}
"""Words that name a role in one table only: an account that is closed was known before."""
_TOLD_BY_VALUES: Final = ("transactions", "accounts", "events", "third_party")
_IDS: Final = (*(role for role in ROLES if role.endswith("_id")), PAYER, PAYEE)
_TIMES: Final = (
    "event_time",
    "known_at",
    "onboarded_at",
    "birth_date",
    "document_expiry",
    LABEL_TIME,
)
_OTHER_TIMES: Final = tuple(role for role in (*_TIMES, RESOLVED) if role != "event_time")
_UNNAMED: Final = "its name tells nothing, but it is the only column of times"
_COUNTRIES: Final = ("country", "residence_country", "nationality")
_NUMBERS: Final = ("amount", DEBIT, CREDIT, "balance", "declared_income", "value", DURATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A column in a role, and how well it fits: 1 is the contract's own name.

    Attributes
    ----------
    todo : str
        Why its values cannot be read, where only its name speaks for it; else empty.
    """

    column: ColumnLook
    score: float
    time: TimeReading | None = None
    todo: str = ""


Parts = Mapping[str, Part]


def cast_parts(desk: Desk, look: FileLook, table: str) -> dict[str, Part]:
    """Give each role of a contracted table the column that fits best; none plays two."""
    roles = tuple(dict.fromkeys((*CONTRACT[table].names, *_MORE[table])))
    offers = []
    for place, column in enumerate(look.columns):
        for role in roles:
            part = _audition(desk, look, table, role, column)
            if part is not None:
                offers.append((-part.score, place, role, part))
    cast: dict[str, Part] = {}
    taken: set[str] = set()
    for _, _, role, part in sorted(offers, key=lambda offer: offer[:3]):
        if role not in cast and part.column.name not in taken:
            cast[role] = part
            taken.add(part.column.name)
    if "event_time" not in cast and table in _TOLD_BY_VALUES:
        only = _only_time(desk, look, taken)
        if only is not None:
            cast["event_time"] = only
    if table == "transactions":
        missed = missed_parts(desk, look, table, cast)
        wanted = ["event_time", *([] if {DEBIT, CREDIT} & set(cast) else ["amount"])]
        cast |= {role: missed[role] for role in wanted if role in missed}
    return cast


def missed_parts(desk: Desk, look: FileLook, table: str, cast: Parts) -> dict[str, Part]:
    """Find columns whose names speak for a role that is free, but whose values are not read."""
    taken = {part.column.name for part in cast.values()}
    found: dict[str, Part] = {}
    for role in CONTRACT[table].names:
        if role in cast or role not in {*_TIMES, *_NUMBERS}:
            continue
        named = [(name_score(role, c.normal), c) for c in look.columns if c.name not in taken]
        for score, column in sorted(named, key=lambda pair: -pair[0]):
            if score < _SPOKEN:
                break
            why = why_no_time if role in _TIMES else why_no_number
            reason = why(desk, look, column)
            if reason:
                found[role] = Part(column=column, score=score, todo=reason)
                taken.add(column.name)
                break
    return found


def _audition(desk: Desk, look: FileLook, table: str, role: str, column: ColumnLook) -> Part | None:
    """Hold a column against a role: None if its name or its values do not fit."""
    score = max(name_score(each, column.normal) for each in (role, *_ALSO.get((table, role), ())))
    if column.normal in _BARE_KEYS and role == _FIRST_KEY[table] and column.unique:
        score = 0.7 if file_score(table, look.normal) else 0.5
    if score < LEAST or not column.distinct:
        return None
    if role in _TIMES:
        reading = read_time(desk, look, column, named=score, birth=role == "birth_date",
                            expiry=role == "document_expiry")  # fmt: skip
        if reading is None:
            return None
        # a time tells more than a day
        return Part(column=column, score=score - (0.02 if reading.daily else 0.0), time=reading)
    if role in _IDS:
        fits = _is_identifier(column) and (
            column.distinct > 0.5 * column.filled * look.rows
            if role == _FIRST_KEY[table] and role not in {"customer_id", "account_id"}
            else True
        )
    elif role in _NUMBERS:
        fits = read_number(desk, look, column) is not None and not (
            column.unique and names_key(column.normal)
        )
    elif role in _COUNTRIES:
        fits = _is_country(desk, look, column)
    elif role == CLOCK:
        fits = read_clock(desk, look, column) is not None
    else:
        fits = _OF_VALUES.get(role, _is_category)(column)
    return Part(column=column, score=score) if fits else None


def _only_time(desk: Desk, look: FileLook, taken: set[str]) -> Part | None:
    """Find the one column without a known word whose values are times; None if several are."""
    found = []
    for column in look.columns:
        other = any(name_score(role, column.normal) >= LEAST for role in _OTHER_TIMES)
        if column.name in taken or other or not column.distinct:
            continue
        reading = read_time(desk, look, column, named=0.0)
        if reading is not None:
            found.append((column, reading))
    if len(found) != 1:
        return None
    column, reading = found[0]
    doubt = "; ".join(filter(None, (_UNNAMED, reading.doubt)))
    return Part(column=column, score=LEAST, time=replace(reading, doubt=doubt))


def _is_identifier(column: ColumnLook) -> bool:
    fractional = column.family in {"float", "decimal"} and column.whole < 1.0
    timed = column.family in {"date", "naive", "instant", "boolean"}
    kind = KINDS.search(column.normal)
    distinct = column.distinct > 2 and positives(column) is None
    return distinct and not (fractional or timed or kind)


def _is_category(column: ColumnLook) -> bool:
    return column.family in {"text", "integer", "boolean"}


def _is_direction(column: ColumnLook) -> bool:
    # a "type" may be anything: there the codes have to speak
    named = "type" not in column.normal and name_score("direction", column.normal) >= 0.7
    if named and 0 < len(column.codes) <= 4:
        return True
    return bool(column.codes) and len(translate("direction", column.codes)) == len(column.codes)


def _is_label(column: ColumnLook) -> bool:
    return positives(column) is not None or len(column.codes) > 1


def _is_flag(column: ColumnLook) -> bool:
    return column.type == "BOOLEAN" or positives(column) is not None


def _is_country(desk: Desk, look: FileLook, column: ColumnLook) -> bool:
    if column.family != "text":
        return False
    two = column.shortest == column.longest == 2
    return two or bool(words_held(desk, look, column, COUNTRY_CODES))


def _is_currency(column: ColumnLook) -> bool:
    if not column.codes:  # more of them than are named
        named = name_score(CURRENCY, column.normal) >= _SPOKEN
        return named and column.family == "text" and 1 < column.distinct <= _MOST_CURRENCIES
    return all(
        (len(code) == 3 and code.isalpha() and code.isascii()) or code.lower() in CURRENCY_CODES
        for code in column.codes
    )


_OF_VALUES: Final[Mapping[str, Callable[[ColumnLook], bool]]] = {
    "direction": _is_direction,
    LABEL: _is_label,
    "list_hit": _is_flag,
    CURRENCY: _is_currency,
    "customer_type": lambda column: len(translate("customer_type", column.codes)) > 0,
    "status": lambda column: bool(column.codes),
    "outcome": lambda column: bool(column.codes),
    "pep_status": lambda column: positives(column) is not None or bool(column.codes),
    HOLDER: lambda column: bool(column.codes),
}
