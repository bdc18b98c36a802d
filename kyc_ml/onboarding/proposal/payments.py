"""The table of transactions: its file, and customer and direction of each booking."""

import math
import re
from datetime import datetime
from typing import Final

from kyc_ml.contract import TRANSACTIONS
from kyc_ml.onboarding.proposal import vocabulary as v
from kyc_ml.onboarding.proposal.columns import guess_column, identifier_sql, time_guess
from kyc_ml.onboarding.proposal.guesses import Guess, TableProposal, certainty_of
from kyc_ml.onboarding.proposal.money import PaymentColumns, add_money
from kyc_ml.onboarding.proposal.owners import BankOwners, find_owner, identify_customers, owners_sql
from kyc_ml.onboarding.proposal.roles import RolePart, RoleParts, cast_parts, missed_parts
from kyc_ml.onboarding.proposal.samples import Engine, FileSample, contained
from kyc_ml.onboarding.proposal.times import read_clock, with_clock

_OVERLAP: Final = 0.2
"""Share of payees that also pay, above which both sides are customers (convention)."""
_WORTH: Final = 0.6


def choose_payments(engine: Engine) -> tuple[FileSample, RoleParts] | None:
    """Choose the file most similar to bookings: amount, time, customer, many rows per customer."""
    best: tuple[float, FileSample, RoleParts] | None = None
    for sample in engine.samples:
        parts = cast_parts(sample, TRANSACTIONS)
        money = parts.get("amount") or parts.get(v.DEBIT) or parts.get(v.CREDIT)
        whose = parts.get("customer_id") or parts.get("account_id") or parts.get(v.PAYER)
        time = parts.get("event_time")
        if money is None or whose is None or time is None:
            continue
        each = sample.rows / max(whose.column.distinct, 1)
        score = money.score + whose.score + time.score + math.log10(max(each, 1.0))
        score += v.file_score(TRANSACTIONS, sample.normal) + 0.2 * len(parts)
        lends = any(v.name_score(v.DURATION, column.normal) >= 0.7 for column in sample.columns)
        # one booking per customer is unusual, and a loan is not a booking
        score -= (1.0 if whose.column.unique else 0.0) + (3.0 if lends else 0.0)
        if best is None or score > best[0]:
            best = score, sample, parts
    if best is None or best[0] < 2 * _WORTH:
        return None
    return best[1], best[2]


def propose_payments(sample: FileSample, parts: RoleParts) -> PaymentColumns:
    """Write the transactions table."""
    parts = _with_identifier(sample, _with_counterparty(sample, _with_twin(sample, parts)))
    customer, account = parts.get("customer_id"), parts.get("account_id")
    payer, payee = parts.get(v.PAYER), parts.get(v.PAYEE)
    two_sided = payer is not None and payee is not None and _both_ours(sample, payer, payee)
    accounts = [part.column for part in (account or payer,) if part is not None]
    if two_sided and payee is not None:
        accounts.append(payee.column)
    bank = identify_customers(
        sample, None if customer is None else customer.column, tuple(accounts)
    )
    if two_sided and payer is not None and payee is not None and customer is None:
        made = _two_sided(sample, parts, bank, payer=payer, payee=payee)
    else:
        made = _one_sided(sample, parts, bank)
    _common(sample.engine, made)
    return made


def _with_twin(sample: FileSample, parts: RoleParts) -> RoleParts:
    """Take two columns with the same name as the two sides of a payment, in the file's order."""
    account = parts.get("account_id")
    if account is None or {v.PAYER, v.PAYEE, "counterparty_id"} & set(parts):
        return parts
    twins = [c for c in sample.columns if c.normal == f"{account.column.normal}_1"]
    if not twins or "customer_id" in parts:
        return parts
    rest = {role: part for role, part in parts.items() if role != "account_id"}
    payee = RolePart(column=twins[0], score=account.score)
    return {**rest, v.PAYER: account, v.PAYEE: payee}


def _with_counterparty(sample: FileSample, parts: RoleParts) -> RoleParts:
    """Take a second account column as the counterparty, if no other column fits."""
    if {"counterparty_id", v.PAYEE} & set(parts) or not {"account_id", "customer_id"} & set(parts):
        return parts
    used = {part.column.name for part in parts.values()}
    for column in sample.columns:
        if column.normal in v.words("weak_counterparties") and column.name not in used:
            return {**parts, "counterparty_id": RolePart(column=column, score=0.5)}
    return parts


def _with_identifier(sample: FileSample, parts: RoleParts) -> RoleParts:
    used = {part.column.name for part in parts.values()}
    for column in sample.columns:
        named = re.search(r"(id|ref|reference|nr|no|number|key|号|编号)$", column.normal)
        if named and column.unique and column.name not in used and "transaction_id" not in parts:
            return {**parts, "transaction_id": RolePart(column=column, score=0.5)}
    return parts


def _both_ours(sample: FileSample, payer: RolePart, payee: RolePart) -> bool:
    inner = (sample.name, payee.column.name)
    return contained(sample.engine, inner, (sample.name, payer.column.name)) >= _OVERLAP


def _two_sided(
    sample: FileSample, parts: RoleParts, bank: BankOwners, *, payer: RolePart, payee: RolePart
) -> PaymentColumns:
    """Make two bookings of a payment: out of the payer's account, into the payee's."""
    one, two = payer.column.sql, payee.column.sql
    key, numbered, notes = _identifier(sample, parts)
    sides = [
        f"SELECT *, concat_ws('-', {key}, '{way}') AS booking_id, {own} AS booking_owner, "
        f"{other} AS booking_other,\n'{way}' AS booking_direction FROM {numbered}"
        for way, own, other in (("out", one, two), ("in", two, one))
    ]
    rows = "(" + "\nUNION ALL\n".join(sides) + ") AS booking"
    owner, payer_owner = "booking_owner", one
    labelled = sample.sql if numbered == sample.sql else f"{numbered} AS {sample.sql}"
    files: tuple[str, ...] = (sample.name,)
    if bank.holders is not None:
        name = bank.holders[0]
        owners = f"({owners_sql(sample.engine, bank.holders, 'booking_customer')}) AS owners"
        rows = (
            f"(SELECT booking.*, owners.booking_customer FROM {rows}\n"
            f"JOIN {owners}\nON CAST(booking_owner AS VARCHAR) = CAST(joined_key AS VARCHAR)) "
            "AS booking"
        )
        # a flag marks a payment; its case is of the payer's customer, not of the account
        labelled = (
            f"(SELECT payment.*, owners.booking_customer FROM {numbered} AS payment\n"
            f"JOIN {owners}\nON CAST({one} AS VARCHAR) = CAST(joined_key AS VARCHAR))"
            f" AS {sample.sql}"
        )
        owner = payer_owner = "booking_customer"
        files = (sample.name, name)
        notes.append(v.note("other_banks", file=name))
    table = TableProposal(name=TRANSACTIONS, rows=rows, files=files, notes=notes)
    table.notes.append(v.note("two_bookings"))
    shown = v.note("payees_pay", payer=payer.column.name, payee=payee.column.name)
    certainty = certainty_of(min(payer.score, payee.score))
    table.add(
        Guess("transaction_id", "booking_id", certainty, shown),
        Guess("customer_id", owner, certainty, shown),
        Guess("account_id", "booking_owner", certainty, shown),
        Guess("counterparty_id", "booking_other", certainty, shown),
        Guess("direction", "booking_direction", certainty, shown),
    )
    return PaymentColumns(
        sample=sample,
        parts=parts,
        bank=bank,
        table=table,
        identifier=f"concat_ws('-', {key}, 'out')",
        customer=payer_owner,
        labelled_rows=labelled,
    )


def _one_sided(sample: FileSample, parts: RoleParts, bank: BankOwners) -> PaymentColumns:
    owned = find_owner(bank, sample, TRANSACTIONS)
    payer = parts.get(v.PAYER)
    if owned is None and payer is not None:
        customer, rows, score = payer.column.sql, sample.sql, payer.score
        files: tuple[str, ...] = (sample.name,)
        evidence = f"column {payer.column.name}"
    elif owned is not None:
        customer, rows, files = owned.customer, owned.rows, owned.files
        score, evidence = owned.score, owned.evidence
    key, numbered, notes = _identifier(sample, parts)
    if numbered != sample.sql:
        if rows == sample.sql:
            rows = f"{numbered} AS {sample.sql}"
        else:
            rows = rows.replace(f"FROM {sample.sql} AS own", f"FROM {numbered} AS own")
    table = TableProposal(name=TRANSACTIONS, rows=rows, files=files, notes=notes)
    part = parts.get("transaction_id")
    if part is not None and key == identifier_sql(part.column):
        table.add(guess_column(sample, TRANSACTIONS, "transaction_id", part))
    else:
        table.add(Guess("transaction_id", key, "guess", v.note("numbered")))
    table.add(Guess("customer_id", customer, certainty_of(score), evidence))
    if "account_id" in parts:
        table.add(guess_column(sample, TRANSACTIONS, "account_id", parts["account_id"]))
    other = parts.get("counterparty_id") or parts.get(v.PAYEE)
    if other is not None:
        table.add(guess_column(sample, TRANSACTIONS, "counterparty_id", other))
    return PaymentColumns(
        sample=sample,
        parts=parts,
        bank=bank,
        table=table,
        identifier=key,
        customer=customer,
        labelled_rows=rows,
    )


def _identifier(sample: FileSample, parts: RoleParts) -> tuple[str, str, list[str]]:
    part = parts.get("transaction_id")
    if part is not None and (part.column.unique or part.score >= 0.75):
        return identifier_sql(part.column), sample.sql, []
    money = parts.get("amount") or parts.get(v.DEBIT) or parts[v.CREDIT]
    # a customer that comes from a join is not a column of the file itself
    inner = ", ".join(
        dict.fromkeys(
            each.column.sql
            for role, each in parts.items()
            if role in {"customer_id", "account_id", v.PAYER, v.PAYEE, "event_time"}
        )
    )
    numbered = (
        f"(SELECT *, concat_ws('-', {inner},\nrow_number() OVER (PARTITION BY {inner} "
        f"ORDER BY {money.column.sql})) AS numbered_id FROM {sample.sql})"
    )
    return "numbered_id", numbered, [v.note("numbered_note")]


def _common(engine: Engine, made: PaymentColumns) -> None:
    sample, parts, table = made.sample, made.parts, made.table
    table.add(_time(sample, parts))
    if "known_at" in parts:
        table.add(time_guess("known_at", parts["known_at"]))
    add_money(engine, made)
    for name in ("balance", "instrument", "channel", "country", "region", "device_id"):
        if name in parts and name not in table.columns:
            table.add(guess_column(sample, TRANSACTIONS, name, parts[name]))
    for name, missed in missed_parts(sample, TRANSACTIONS, parts).items():
        if name not in table.columns:
            table.dropped[name] = f"column {missed.column.name} {missed.todo}"


def _time(sample: FileSample, parts: RoleParts) -> Guess:
    part = parts["event_time"]
    guess = time_guess("event_time", part)
    clock = parts.get(v.CLOCK)
    if part.time is None or clock is None or not part.time.daily:
        return guess
    sql = read_clock(clock.column)
    both = None if sql is None else with_clock(part.column, part.time, sql)
    if both is None:
        return guess
    shown = v.note("two_times", day=part.column.name, clock=clock.column.name, form=both.form)
    return Guess("event_time", both.sql, guess.certainty, shown, (part.time.sql,))


def span_of(engine: Engine, table: TableProposal) -> tuple[datetime, datetime] | None:
    """Return the first and last time of a proposed table's rows, in the sample."""
    sql = table.columns["event_time"].sql
    where = f" WHERE {table.where}" if table.where else ""
    low, high = engine.one(
        f"SELECT min(m), max(m) FROM (SELECT TRY_CAST(TRY_CAST(({sql}) AS TIMESTAMPTZ) AS "
        f"TIMESTAMP) AS m FROM {table.rows}{where})"
    )
    if isinstance(low, datetime) and isinstance(high, datetime):
        return low, high
    return None
