"""Amount, direction and currency of bookings.

Amounts in several currencies are converted by the rates of the day if a file has them; otherwise
the user must give the rates.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from kyc_ml.onboarding.proposal import vocabulary as v
from kyc_ml.onboarding.proposal.codes import TODO, case_sql, translate
from kyc_ml.onboarding.proposal.columns import code_guess, confirm, constant, todo_guess
from kyc_ml.onboarding.proposal.guesses import Guess, TableProposal, certainty_of
from kyc_ml.onboarding.proposal.numbers import NumberReading, read_number
from kyc_ml.onboarding.proposal.owners import BankOwners
from kyc_ml.onboarding.proposal.roles import LEAST, RolePart, RoleParts
from kyc_ml.onboarding.proposal.samples import ColumnSample, Engine, FileSample, contained
from kyc_ml.onboarding.proposal.times import read_time
from kyc_ml.storage import quote_name, quote_text

_SEVERAL: Final = 2
_MOST_RATE_COLUMNS: Final = 6
_LASTING_DAYS: Final = 10
"""Days after which a rate is too old: longer than any bank holidays (convention)."""


@dataclass(slots=True, kw_only=True)
class PaymentColumns:
    """The proposal for transactions, with what the other tables need from it."""

    sample: FileSample
    parts: RoleParts
    bank: BankOwners
    table: TableProposal
    identifier: str
    customer: str
    """`identifier` and `customer`: SQL over the file's own columns; empty where a booking has no
    identifier."""
    labelled_rows: str
    currencies: tuple[str, ...] = ()
    named_currency: str = ""
    """Currency that the amounts' name or the signs beside them give; empty if none."""
    decisions: list[str] = field(default_factory=list)


def add_money(engine: Engine, made: PaymentColumns) -> None:
    """Add amount and direction, and keep to one currency."""
    parts, table = made.parts, made.table
    debit, credit = parts.get(v.DEBIT), parts.get(v.CREDIT)
    if "amount" not in parts and debit is not None and credit is not None:
        out = read_number(debit.column, money=True)
        into = read_number(credit.column, money=True)
        assert out is not None  # noqa: S101  both were cast for their numbers
        assert into is not None  # noqa: S101
        shown = v.note("two_columns", debit=debit.column.name, credit=credit.column.name)
        certainty = certainty_of(min(debit.score, credit.score))
        amount = f"abs(coalesce(nullif({out.numeric}, 0), {into.numeric}))"
        way = f"CASE WHEN coalesce({out.numeric}, 0) <> 0 THEN 'out' ELSE 'in' END"
        made.table.add(
            Guess("amount", amount, certainty, shown), Guess("direction", way, certainty, shown)
        )
        return
    part = parts.get("amount") or debit or credit
    assert part is not None  # noqa: S101  choose_payments has seen it
    if part.todo:
        table.add(todo_guess("amount", part))
        if "direction" not in table.columns and "direction" in parts:
            table.add(code_guess("direction", parts["direction"]))
        return
    reading = read_number(part.column, money=True)
    assert reading is not None  # noqa: S101  the column was cast for its numbers
    in_name = {*part.column.normal.upper().split("_")}
    named = [code for sign, code in v.CURRENCY_SIGNS.items() if sign.upper() in in_name]
    made.named_currency = next(iter((*reading.currencies, *named)), "")
    table.add(_amount(engine, made, part, reading))
    if "direction" not in table.columns:
        table.add(_direction(made, reading))


def _amount(engine: Engine, made: PaymentColumns, part: RolePart, reading: NumberReading) -> Guess:
    signed = reading.negative > 0
    number = f"abs({reading.numeric})" if signed else reading.numeric
    shown, doubt = (
        v.note("column", column=part.column.name, form=reading.form),
        confirm(reading.doubt),
    )
    currency = made.parts.get(v.CURRENCY)
    if currency is None or currency.column.distinct < _SEVERAL:
        made.currencies = () if currency is None else currency.column.codes
        certainty = "guess" if reading.doubt else certainty_of(part.score)
        sql = number if signed else reading.sql
        return Guess("amount", sql, certainty, shown + doubt, reading.alternatives)
    rated = _rated(engine, made, currency.column, number)
    if rated is not None:
        return replace(rated, evidence=f"{shown}; {rated.evidence}{doubt}")
    codes = made.currencies = currency.column.codes
    # amounts in the most frequent currency stay; the others need the user's rates
    lines = [f"CASE {currency.column.sql}", f"WHEN {quote_text(codes[0])} THEN {number}",
             *(f"WHEN {quote_text(code)} THEN {number} * NULL /* TODO rate */"
               for code in codes[1:]), "END"] if codes else []  # fmt: skip
    cure = v.note("put_rates", base=codes[0]) if codes else v.note("one_currency", number=number)
    unrated = v.note(
        "unrated", column=currency.column.name, several=currency.column.distinct, cure=cure
    )
    sql = "\n".join(lines) or quote_text(TODO)
    return Guess("amount", sql, "yours", f"{shown}; {unrated}{doubt}", reading.alternatives)


def _rated(
    engine: Engine, made: PaymentColumns, currency: ColumnSample, number: str
) -> Guess | None:
    """Write the amount by a file's rates of the day; None where none fits the bookings."""
    table, sample = made.table, made.sample
    rates = _find_rates(sample, currency)
    base = None if rates is None else _base_of(rates, currency, sample)
    if rates is None or base is None or table.columns["event_time"].certainty == "yours":
        return None
    when = table.columns["event_time"].sql
    # each booking gets the last rate of its currency at or before its day
    listed = (
        f"SELECT {rates.currency.text} AS rate_currency, CAST({rates.day} AS DATE) AS rate_day, "
        f"{rates.rate} AS booking_rate FROM {rates.sample.sql}"
    )
    own = table.rows if table.rows == sample.sql else f"(SELECT * FROM {table.rows})"
    table.rows = (
        f"(SELECT own.*, rates.rate_day, rates.booking_rate FROM {own} AS own\n"
        f"ASOF LEFT JOIN ({listed}) AS rates\n"
        f"ON own.{currency.sql} = rates.rate_currency\n"
        f"AND TRY_CAST({when} AS DATE) >= rates.rate_day) AS {sample.sql}"
    )
    table.files = (*table.files, rates.sample.name)
    made.currencies = (base,)
    sql = (
        f"CASE WHEN {currency.text} = {quote_text(base)} THEN {number}\n"
        f"WHEN TRY_CAST({when} AS DATE) - rate_day <= {_LASTING_DAYS}\n"
        f"THEN {number} * booking_rate END"
    )
    shown = v.note("rated", several=currency.distinct, base=base, file=rates.sample.name)
    return Guess("amount", sql, "guess", shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rates:
    sample: FileSample
    currency: ColumnSample
    day: str
    rate: str


def _find_rates(sample: FileSample, currency: ColumnSample) -> _Rates | None:
    """Find a file with a currency, a day and a rate, whose currencies the bookings have."""
    for other in sample.engine.samples:
        if other.name == sample.name or len(other.columns) > _MOST_RATE_COLUMNS:
            continue
        coded = [c for c in other.columns if v.name_score(v.CURRENCY, c.normal) >= LEAST]
        rated = [
            number
            for c in other.columns
            if any(word in c.normal for word in v.words("exchange_rates"))
            and (number := read_number(c)) is not None
        ]
        timed = [reading for c in other.columns if (reading := read_time(c, named=0.6)) is not None]
        if len(coded) == len(rated) == len(timed) == 1 and contained(
            sample.engine, (other.name, coded[0].name), (sample.name, currency.name)
        ):
            return _Rates(sample=other, currency=coded[0], day=timed[0].sql, rate=rated[0].numeric)
    return None


def _base_of(rates: _Rates, currency: ColumnSample, sample: FileSample) -> str | None:
    """Return the one currency of the bookings without a rate: the others' are given in it."""
    rows = sample.engine.all(
        f"SELECT DISTINCT {currency.text} FROM {quote_name(sample.name)} WHERE "
        f"{currency.sql} IS NOT NULL AND {currency.text} NOT IN (SELECT {rates.currency.text} FROM "
        f"{quote_name(rates.sample.name)} WHERE {rates.currency.sql} IS NOT NULL)"
    )
    return str(rows[0][0]) if len(rows) == 1 else None


def _direction(made: PaymentColumns, reading: NumberReading) -> Guess:
    part = made.parts.get("direction")
    if part is not None:
        codes = part.column.codes
        meanings = translate("direction", codes)
        if len(meanings) == len(codes):
            sql = case_sql(part.column, meanings, others=part.column.text)
            shown = v.note("directions_known", column=part.column.name, all=len(codes))
            return Guess("direction", sql, certainty_of(part.score + 0.1), shown)
        if not reading.negative:
            return code_guess("direction", part)
    if reading.negative > 0:
        mark = "mark beside" if reading.marked else "sign of"
        sql = f"CASE WHEN {reading.negated} THEN 'out' ELSE 'in' END"
        return Guess("direction", sql, "guess", v.note("signs", mark=mark, share=reading.negative))
    return constant("direction", "out", v.note("all_out"))
