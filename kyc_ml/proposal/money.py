"""What a booking is worth and which way it went: amounts, signs, sides and currencies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from kyc_ml.proposal.codes import case_sql, translate
from kyc_ml.proposal.columns import code_guess, constant, todo_guess
from kyc_ml.proposal.guesses import Guess, TableProposal, certainty_of
from kyc_ml.proposal.looking import ColumnLook, Desk, FileLook
from kyc_ml.proposal.numbers import NumberReading, read_number
from kyc_ml.proposal.owners import Bank
from kyc_ml.proposal.rates import base_of, find_rates, join_rates, rated_amount, without_rates
from kyc_ml.proposal.roles import Part, Parts
from kyc_ml.proposal.vocabulary import CREDIT, CURRENCY, CURRENCY_SIGNS, DEBIT

_SEVERAL: Final = 2


@dataclass(slots=True, kw_only=True)
class Payments:
    """The proposal for transactions, and what the other tables need to know of it.

    Attributes
    ----------
    parts : mapping of role to Part
    identifier, customer : str
        SQL over the file's own columns; empty where a booking has no identifier.
    told_currency : str
        Currency that the amounts' name or the signs beside them tell; empty if none.
    """

    look: FileLook
    parts: Parts
    bank: Bank
    table: TableProposal
    identifier: str
    customer: str
    labelled_rows: str
    currencies: tuple[str, ...] = ()
    told_currency: str = ""
    decisions: list[str] = field(default_factory=list)


def add_money(desk: Desk, made: Payments) -> None:
    """Add amount and direction, and keep to one currency."""
    look, parts, table = made.look, made.parts, made.table
    debit, credit = parts.get(DEBIT), parts.get(CREDIT)
    if "amount" not in parts and debit is not None and credit is not None:
        _two_columns(desk, made, debit, credit)
        return
    part = parts.get("amount") or debit or credit
    assert part is not None  # noqa: S101  choose_payments has seen it
    if part.todo:
        table.add(todo_guess("amount", part))
        if "direction" not in table.columns and "direction" in parts:
            table.add(code_guess("direction", parts["direction"]))
        return
    reading = read_number(desk, look, part.column, money=True)
    assert reading is not None  # noqa: S101  the column was cast for its numbers
    made.told_currency = _told_currency(part, reading)
    table.add(_amount(desk, made, part, reading))
    if "direction" not in table.columns:
        table.add(_direction(made, reading))


def _amount(desk: Desk, made: Payments, part: Part, reading: NumberReading) -> Guess:
    """Write the amount without its sign, in one currency."""
    number = f"abs({reading.numeric})" if reading.negative > 0 else reading.numeric
    told = f"column {part.column.name}: {reading.form}"
    doubt = f"; {reading.doubt}: please confirm" if reading.doubt else ""
    currency = made.parts.get(CURRENCY)
    if currency is None or currency.column.distinct < _SEVERAL:
        made.currencies = () if currency is None else currency.column.codes
        return Guess(
            column="amount",
            sql=number if reading.negative > 0 else reading.sql,
            certainty="guess" if reading.doubt else certainty_of(part.score),
            evidence=told + doubt,
            alternatives=reading.alternatives,
        )
    rated = _rated(desk, made, currency.column, number)
    if rated is not None:
        return replace(rated, evidence=f"{told}; {rated.evidence}{doubt}")
    made.currencies = currency.column.codes
    cure = (
        f"put a rate into {made.currencies[0]} for each NULL"
        if made.currencies
        else f"write the amounts in one currency; {number} is in the booking's own"
    )
    return Guess(
        column="amount",
        sql=without_rates(number, currency.column),
        certainty="yours",
        evidence=f"{told}; column {currency.column.name}: {currency.column.distinct} currencies, "
        f"and no file of rates by day: {cure}{doubt}",
        alternatives=reading.alternatives,
    )


def _rated(desk: Desk, made: Payments, currency: ColumnLook, number: str) -> Guess | None:
    """Write the amount by a file's rates of the day; None where none fits the bookings."""
    table = made.table
    rates = find_rates(desk, made.look, currency)
    base = None if rates is None else base_of(desk, rates, currency, made.look)
    if rates is None or base is None or table.columns["event_time"].certainty == "yours":
        return None
    when = table.columns["event_time"].sql
    table.rows = join_rates(table.rows, made.look, rates, currency, when)
    table.files = (*table.files, rates.look.name)
    made.currencies = (base,)
    return Guess(
        column="amount",
        sql=rated_amount(number, currency, base, when),
        certainty="guess",
        evidence=f"{currency.distinct} currencies, in {base} by the last rate of {rates.look.name} "
        f"at or before the booking's day: confirm that a rate is what one unit is worth in {base}",
    )


def _told_currency(part: Part, reading: NumberReading) -> str:
    """Give the currency that signs beside the amounts or the column's name tell."""
    words = {*part.column.normal.upper().split("_")}
    named = [code for sign, code in CURRENCY_SIGNS.items() if sign.upper() in words]
    return next(iter((*reading.currencies, *named)), "")


def _two_columns(desk: Desk, made: Payments, debit: Part, credit: Part) -> None:
    out = read_number(desk, made.look, debit.column, money=True)
    into = read_number(desk, made.look, credit.column, money=True)
    assert out is not None  # noqa: S101  both were cast for their numbers
    assert into is not None  # noqa: S101
    evidence = f"columns {debit.column.name} and {credit.column.name}: one for each direction"
    certainty = certainty_of(min(debit.score, credit.score))
    amount = f"abs(coalesce(nullif({out.numeric}, 0), {into.numeric}))"
    way = f"CASE WHEN coalesce({out.numeric}, 0) <> 0 THEN 'out' ELSE 'in' END"
    table = made.table
    table.add(Guess(column="amount", sql=amount, certainty=certainty, evidence=evidence))
    table.add(Guess(column="direction", sql=way, certainty=certainty, evidence=evidence))


def _direction(made: Payments, reading: NumberReading) -> Guess:
    part = made.parts.get("direction")
    codes = () if part is None else part.column.codes
    if part is not None and (
        len(translate("direction", codes)) == len(codes) or not reading.negative
    ):
        if len(translate("direction", codes)) == len(codes):
            sql = case_sql(part.column, translate("direction", codes), others=part.column.text)
            evidence = f"column {part.column.name}: all {len(codes)} codes known"
            return Guess(
                column="direction", sql=sql, certainty=certainty_of(part.score + 0.1),
                evidence=evidence,
            )  # fmt: skip
        return code_guess("direction", part) or constant("direction", "out", "")
    if reading.negative > 0:
        marked = "mark beside" if reading.marked else "sign of"
        return Guess(
            column="direction",
            sql=f"CASE WHEN {reading.negated} THEN 'out' ELSE 'in' END",
            certainty="guess",
            evidence=f"the {marked} the amount: {reading.negative:.0%} are negative and taken for "
            "payments out: confirm",
        )
    return constant(
        "direction",
        "out",
        "no column tells it and no amount is negative: all are taken as payments out: confirm",
    )
