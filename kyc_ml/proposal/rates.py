"""Amounts in several currencies: by rates of the day where a file has them, else the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kyc_ml.engine.local import quote_name, quote_text
from kyc_ml.proposal.codes import TODO
from kyc_ml.proposal.looking import ColumnLook, Desk, FileLook, contained
from kyc_ml.proposal.numbers import read_number
from kyc_ml.proposal.times import read_time
from kyc_ml.proposal.vocabulary import CURRENCY, CURRENCY_CODES, name_score

_RATE_WORDS: Final = ("rate", "fx", "exchange", "mid", "price", "汇率", "中间价", "牌价")
_LASTING_DAYS: Final = 10
"""Days after which a rate is too old: longer than any row of bank holidays (convention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """A file of exchange rates by day, and its columns as SQL."""

    look: FileLook
    currency: ColumnLook
    day: str
    rate: str


def currency_code(word: str) -> str:
    """Give the ISO 4217 code of a currency's code, sign or name; the word itself if unknown."""
    return CURRENCY_CODES.get(word.lower(), word)


def find_rates(desk: Desk, look: FileLook, currency: ColumnLook) -> Rates | None:
    """Find a file with a currency, a day and a rate, whose currencies the bookings have."""
    for other in desk.looks:
        if other.name == look.name or len(other.columns) > 6:
            continue
        coded = [c for c in other.columns if name_score(CURRENCY, c.normal) >= 0.45]
        rated = [
            (c, number)
            for c in other.columns
            if any(word in c.normal for word in _RATE_WORDS)
            and (number := read_number(desk, other, c)) is not None
        ]
        timed = [
            reading
            for c in other.columns
            if (reading := read_time(desk, other, c, named=0.6)) is not None
        ]
        if len(coded) == len(rated) == len(timed) == 1 and contained(
            desk, (other.name, coded[0].name), (look.name, currency.name)
        ):
            return Rates(look=other, currency=coded[0], day=timed[0].sql, rate=rated[0][1].numeric)
    return None


def base_of(desk: Desk, rates: Rates, currency: ColumnLook, look: FileLook) -> str | None:
    """Give the one currency of the bookings that has no rate: the others' are told in it."""
    rows = desk.all(
        f"SELECT DISTINCT {currency.text} FROM {quote_name(look.name)} WHERE "
        f"{currency.sql} IS NOT NULL AND {currency.text} NOT IN (SELECT {rates.currency.text} FROM "
        f"{quote_name(rates.look.name)} WHERE {rates.currency.sql} IS NOT NULL)"
    )
    return str(rows[0][0]) if len(rows) == 1 else None


def join_rates(rows: str, look: FileLook, rates: Rates, currency: ColumnLook, when: str) -> str:
    """Join each booking with the last rate of its currency at or before its day."""
    listed = (
        f"SELECT {rates.currency.text} AS rate_currency, CAST({rates.day} AS DATE) AS rate_day, "
        f"{rates.rate} AS booking_rate FROM {rates.look.sql}"
    )
    own = f"{rows} AS own" if rows == look.sql else f"(SELECT * FROM {rows}) AS own"
    return (
        f"(SELECT own.*, rates.rate_day, rates.booking_rate FROM {own}\n"
        f"ASOF LEFT JOIN ({listed}) AS rates\n"
        f"ON own.{currency.sql} = rates.rate_currency\n"
        f"AND TRY_CAST({when} AS DATE) >= rates.rate_day) AS {look.sql}"
    )


def rated_amount(number: str, currency: ColumnLook, base: str, when: str) -> str:
    """Write an amount in the base currency; NULL where no rate of the last days is there."""
    return (
        f"CASE WHEN {currency.text} = {quote_text(base)} THEN {number}\n"
        f"WHEN TRY_CAST({when} AS DATE) - rate_day <= {_LASTING_DAYS}\n"
        f"THEN {number} * booking_rate END"
    )


def without_rates(number: str, currency: ColumnLook) -> str:
    """Write the amounts of the commonest currency; those of others wait for the user's rates."""
    codes = currency.codes
    if not codes:
        return quote_text(TODO)
    lines = [f"CASE {currency.sql}", f"WHEN {quote_text(codes[0])} THEN {number}"]
    lines += [f"WHEN {quote_text(code)} THEN {number} * NULL /* TODO rate */" for code in codes[1:]]
    return "\n".join((*lines, "END"))
