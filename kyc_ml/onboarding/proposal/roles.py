"""Which column plays which role in a table: names propose, values decide."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from kyc_ml.contract import CONTRACT
from kyc_ml.onboarding.proposal import vocabulary as v
from kyc_ml.onboarding.proposal.codes import positives, translate
from kyc_ml.onboarding.proposal.numbers import read_number, why_no_number
from kyc_ml.onboarding.proposal.samples import ColumnSample, FileSample, words_held
from kyc_ml.onboarding.proposal.times import TimeReading, read_clock, read_time, why_no_time

_SPOKEN: Final = 0.6
"""Score from which a name is reported if its values cannot be read (convention)."""
_MOST_CURRENCIES: Final = 200
LEAST: Final = 0.45
"""Score below which a name is not evidence (convention)."""
_BARE_KEYS: Final = ("id", "no", "key", "uuid", "number", "编号", "序号")
_FIRST_KEY: Final = {name: table.key[0] for name, table in CONTRACT.items()}
_TIMED_BY_VALUES: Final = ("transactions", "accounts", "events", "third_party")
"""Tables whose time may be a column without a known name, if it is the only one of times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePart:
    """A column in a role, with its score: 1 is the contract's own name.

    `todo` is why its values cannot be read, if only its name fits; otherwise empty.
    """

    column: ColumnSample
    score: float
    time: TimeReading | None = None
    todo: str = ""


RoleParts = Mapping[str, RolePart]


def cast_parts(sample: FileSample, table: str) -> dict[str, RolePart]:
    """Assign the best column to each role of a contracted table; no column has two roles."""
    offers = []
    for place, column in enumerate(sample.columns):
        for role in dict.fromkeys((*CONTRACT[table].names, *v.helping_roles(table))):
            part = _try_role(sample, table, role, column)
            if part is not None:
                offers.append((-part.score, place, role, part))
    cast: dict[str, RolePart] = {}
    taken: set[str] = set()
    for _, _, role, part in sorted(offers, key=lambda offer: offer[:3]):
        if role not in cast and part.column.name not in taken:
            cast[role] = part
            taken.add(part.column.name)
    if "event_time" not in cast and table in _TIMED_BY_VALUES:
        only = _only_time(sample, taken)
        if only is not None:
            cast["event_time"] = only
    if table == "transactions":
        missed = missed_parts(sample, table, cast)
        wanted = ["event_time", *([] if {v.DEBIT, v.CREDIT} & set(cast) else ["amount"])]
        cast |= {role: missed[role] for role in wanted if role in missed}
    return cast


def missed_parts(sample: FileSample, table: str, cast: RoleParts) -> dict[str, RolePart]:
    """Find columns whose names fit a role that is free, but whose values are not read."""
    taken = {part.column.name for part in cast.values()}
    found: dict[str, RolePart] = {}
    for role in CONTRACT[table].names:
        if role in cast or v.HOLDS[role] not in {"time", "number"}:
            continue
        why = why_no_time if v.HOLDS[role] == "time" else why_no_number
        named = [(v.name_score(role, c.normal), c) for c in sample.columns if c.name not in taken]
        for score, column in sorted(named, key=lambda pair: -pair[0]):
            reason = why(column) if score >= _SPOKEN else ""
            if reason:
                found[role] = RolePart(column=column, score=score, todo=reason)
                taken.add(column.name)
            if reason or score < _SPOKEN:
                break
    return found


def _try_role(sample: FileSample, table: str, role: str, column: ColumnSample) -> RolePart | None:
    roles = (role, *v.ALSO.get(table, {}).get(role, ()))
    score = max(v.name_score(each, column.normal) for each in roles)
    first = role == _FIRST_KEY[table]
    if column.normal in _BARE_KEYS and first and column.unique:
        score = 0.7 if v.file_score(table, sample.normal) else 0.5
    if score < LEAST or not column.distinct:
        return None
    holds = v.HOLDS[role]
    if holds == "time":
        reading = read_time(column, named=score, birth=role == "birth_date",
                            expiry=role == "document_expiry")  # fmt: skip
        if reading is None:
            return None
        # a time has more information than a day
        return RolePart(column=column, score=score - (0.02 if reading.daily else 0.0), time=reading)
    fits = _holds(column, holds)
    if fits and holds == "identifier" and first and role not in {"customer_id", "account_id"}:
        fits = column.distinct > 0.5 * column.filled * sample.rows
    return RolePart(column=column, score=score) if fits else None


def _holds(column: ColumnSample, kind: str) -> bool:  # noqa: PLR0911
    codes = column.codes
    match kind:
        case "identifier":
            fractional = column.family in {"float", "decimal"} and column.whole < 1.0
            timed = column.family in {"date", "naive", "instant", "boolean"}
            distinct = column.distinct > 2 and positives(column) is None
            return distinct and not (fractional or timed or v.KINDS.search(column.normal))
        case "number":
            key = column.unique and v.names_key(column.normal)
            return read_number(column) is not None and not key
        case "country":
            two = column.shortest == column.longest == 2
            return column.family == "text" and (two or bool(words_held(column, v.COUNTRY_CODES)))
        case "clock":
            return read_clock(column) is not None
        case "currency":
            return _is_currency(column)
        case "direction":
            # "type" fits many roles, so that the codes decide
            named = "type" not in column.normal and v.name_score("direction", column.normal) >= 0.7
            known = bool(codes) and len(translate("direction", codes)) == len(codes)
            return (named and 0 < len(codes) <= 4) or known
        case "customer_type":
            return len(translate("customer_type", codes)) > 0
        case "label":
            return positives(column) is not None or len(codes) > 1
        case "flag":
            return positives(column) is not None
        case "code" | "flag_or_code":
            return bool(codes) or (kind == "flag_or_code" and positives(column) is not None)
        case _:
            return column.family in {"text", "integer", "boolean"}


def _only_time(sample: FileSample, taken: set[str]) -> RolePart | None:
    """Find the one column without a known word whose values are times; None if several are."""
    others = [role for role, holds in v.HOLDS.items() if holds == "time" and role != "event_time"]
    found = []
    for column in sample.columns:
        other = any(v.name_score(role, column.normal) >= LEAST for role in (*others, "resolved"))
        if column.name in taken or other or not column.distinct:
            continue
        reading = read_time(column, named=0.0)
        if reading is not None:
            found.append((column, reading))
    if len(found) != 1:
        return None
    column, reading = found[0]
    doubt = "; ".join(filter(None, (v.note("unnamed_time"), reading.doubt)))
    return RolePart(column=column, score=LEAST, time=replace(reading, doubt=doubt))


def _is_currency(column: ColumnSample) -> bool:
    if not column.codes:  # more of them than are named
        named = v.name_score(v.CURRENCY, column.normal) >= _SPOKEN
        return named and column.family == "text" and 1 < column.distinct <= _MOST_CURRENCIES
    return all(
        (len(code) == 3 and code.isalpha() and code.isascii()) or code.lower() in v.CURRENCY_CODES
        for code in column.codes
    )
