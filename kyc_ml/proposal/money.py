"""What a booking is worth and which way it went: amounts, signs, sides and currencies."""

from __future__ import annotations

from dataclasses import dataclass, field

from kyc_ml.engine.local import quote_text
from kyc_ml.proposal.codes import case_sql, translate
from kyc_ml.proposal.columns import code_guess, constant
from kyc_ml.proposal.guesses import Guess, TableProposal, certainty_of
from kyc_ml.proposal.looking import Desk, FileLook
from kyc_ml.proposal.numbers import NumberReading, read_number
from kyc_ml.proposal.owners import Bank
from kyc_ml.proposal.roles import Part, Parts
from kyc_ml.proposal.vocabulary import CREDIT, CURRENCY, DEBIT


@dataclass(slots=True, kw_only=True)
class Payments:
    """The proposal for transactions, and what the other tables need to know of it.

    Attributes
    ----------
    parts : mapping of role to Part
    identifier, customer : str
        SQL over the file's own columns; empty where a booking has no identifier.
    """

    look: FileLook
    parts: Parts
    bank: Bank
    table: TableProposal
    identifier: str
    customer: str
    labelled_rows: str
    currencies: tuple[str, ...] = ()
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
    reading = read_number(desk, look, part.column, money=True)
    assert reading is not None  # noqa: S101  the column was cast for its numbers
    signed = reading.negative > 0
    sql = f"abs({reading.numeric})" if signed else reading.sql
    sql, evidence, currencies = _in_base(parts.get(CURRENCY), sql, reading)
    made.currencies = currencies
    doubtful = reading.doubt or len(currencies) > 1
    if reading.doubt:
        made.decisions.append(f"transactions.amount: column {part.column.name}: {reading.doubt}")
    table.add(
        Guess(
            column="amount",
            sql=sql,
            certainty="yours"
            if len(currencies) > 1
            else ("guess" if doubtful else certainty_of(part.score)),
            evidence=f"column {part.column.name}: {reading.form}{evidence}"
            + (f"; {reading.doubt}: please confirm" if reading.doubt else ""),
            alternatives=reading.alternatives,
        )
    )
    if "direction" not in table.columns:
        table.add(_direction(made, reading))


def _in_base(
    part: Part | None, sql: str, reading: NumberReading
) -> tuple[str, str, tuple[str, ...]]:
    """Keep to one currency: amounts of others wait for the user's rates."""
    codes = () if part is None else part.column.codes
    if part is None or len(codes) < 2:
        return sql, "", codes
    number = f"abs({reading.numeric})" if reading.negative > 0 else reading.numeric
    lines = [f"CASE {part.column.sql}", f"WHEN {quote_text(codes[0])} THEN {number}"]
    lines += [f"WHEN {quote_text(code)} THEN {number} * NULL /* TODO rate */" for code in codes[1:]]
    lines.append("END")
    shown = f"; {len(codes)} currencies: put a rate into {codes[0]} for each NULL"
    return "\n".join(lines), shown, codes


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
    made.decisions.append(
        "transactions.direction: no column tells it and no amount is negative; all are taken as "
        "payments out of the account"
    )
    return constant("direction", "out", "nothing tells it: all are taken as payments out; confirm")
