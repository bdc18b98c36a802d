"""The table of transactions: its file, and customer and direction of each booking."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Final

from kyc_ml.contract import TRANSACTIONS
from kyc_ml.onboarding.proposal.columns import guess_column, identifier_sql, time_guess
from kyc_ml.onboarding.proposal.guesses import Guess, TableProposal, certainty_of
from kyc_ml.onboarding.proposal.looking import Desk, FileLook, contained
from kyc_ml.onboarding.proposal.money import PaymentColumns, add_money
from kyc_ml.onboarding.proposal.owners import BankOwners, find_owner, identify_customers, owners_sql
from kyc_ml.onboarding.proposal.roles import RolePart, RoleParts, cast_parts, missed_parts
from kyc_ml.onboarding.proposal.times import read_clock, with_clock
from kyc_ml.onboarding.proposal.vocabulary import (
    CLOCK,
    CREDIT,
    DEBIT,
    DURATION,
    PAYEE,
    PAYER,
    file_score,
    name_score,
    say,
    words,
)

_OVERLAP: Final = 0.2
"""Share of payees that also pay, above which both sides are customers (convention)."""
_WORTH: Final = 0.6


def choose_payments(desk: Desk) -> tuple[FileLook, RoleParts] | None:
    """Choose the file most similar to bookings: amount, time, customer, many rows per customer."""
    best: tuple[float, FileLook, RoleParts] | None = None
    for look in desk.looks:
        parts = cast_parts(look, TRANSACTIONS)
        money = parts.get("amount") or parts.get(DEBIT) or parts.get(CREDIT)
        whose = parts.get("customer_id") or parts.get("account_id") or parts.get(PAYER)
        time = parts.get("event_time")
        if money is None or whose is None or time is None:
            continue
        each = look.rows / max(whose.column.distinct, 1)
        score = money.score + whose.score + time.score + math.log10(max(each, 1.0))
        score += file_score(TRANSACTIONS, look.normal) + 0.2 * len(parts)
        lends = any(name_score(DURATION, column.normal) >= 0.7 for column in look.columns)
        # one booking per customer is unusual, and a loan is not a booking
        score -= (1.0 if whose.column.unique else 0.0) + (3.0 if lends else 0.0)
        if best is None or score > best[0]:
            best = score, look, parts
    if best is None or best[0] < 2 * _WORTH:
        return None
    return best[1], best[2]


def propose_payments(look: FileLook, parts: RoleParts) -> PaymentColumns:
    """Write the transactions table."""
    parts = _with_identifier(look, _with_counterparty(look, _with_twin(look, parts)))
    customer, account = parts.get("customer_id"), parts.get("account_id")
    payer, payee = parts.get(PAYER), parts.get(PAYEE)
    two_sided = payer is not None and payee is not None and _both_ours(look, payer, payee)
    accounts = [part.column for part in (account or payer,) if part is not None]
    if two_sided and payee is not None:
        accounts.append(payee.column)
    bank = identify_customers(look, None if customer is None else customer.column, tuple(accounts))
    if two_sided and payer is not None and payee is not None and customer is None:
        made = _two_sided(look, parts, bank, payer=payer, payee=payee)
    else:
        made = _one_sided(look, parts, bank)
    _common(look.desk, made)
    return made


def _with_twin(look: FileLook, parts: RoleParts) -> RoleParts:
    """Take two columns with the same name as the two sides of a payment, in the file's order."""
    account = parts.get("account_id")
    if account is None or {PAYER, PAYEE, "counterparty_id"} & set(parts):
        return parts
    twins = [c for c in look.columns if c.normal == f"{account.column.normal}_1"]
    if not twins or "customer_id" in parts:
        return parts
    rest = {role: part for role, part in parts.items() if role != "account_id"}
    payee = RolePart(column=twins[0], score=account.score)
    return {**rest, PAYER: account, PAYEE: payee}


def _with_counterparty(look: FileLook, parts: RoleParts) -> RoleParts:
    """Take a second account column as the counterparty, if no other column fits."""
    if {"counterparty_id", PAYEE} & set(parts) or not {"account_id", "customer_id"} & set(parts):
        return parts
    used = {part.column.name for part in parts.values()}
    for column in look.columns:
        if column.normal in words("weak_counterparties") and column.name not in used:
            return {**parts, "counterparty_id": RolePart(column=column, score=0.5)}
    return parts


def _with_identifier(look: FileLook, parts: RoleParts) -> RoleParts:
    """Take a unique column with a name like a key, if there is no usual name."""
    used = {part.column.name for part in parts.values()}
    for column in look.columns:
        named = re.search(r"(id|ref|reference|nr|no|number|key|号|编号)$", column.normal)
        if named and column.unique and column.name not in used and "transaction_id" not in parts:
            return {**parts, "transaction_id": RolePart(column=column, score=0.5)}
    return parts


def _both_ours(look: FileLook, payer: RolePart, payee: RolePart) -> bool:
    inner = (look.name, payee.column.name)
    return contained(look.desk, inner, (look.name, payer.column.name)) >= _OVERLAP


def _two_sided(
    look: FileLook, parts: RoleParts, bank: BankOwners, *, payer: RolePart, payee: RolePart
) -> PaymentColumns:
    """Make two bookings of a payment: out of the payer's account, into the payee's."""
    one, two = payer.column.sql, payee.column.sql
    key, numbered, notes = _identifier(look, parts)
    sides = [
        f"SELECT *, concat_ws('-', {key}, '{way}') AS booking_id, {own} AS booking_owner, "
        f"{other} AS booking_other,\n'{way}' AS booking_direction FROM {numbered}"
        for way, own, other in (("out", one, two), ("in", two, one))
    ]
    rows = "(" + "\nUNION ALL\n".join(sides) + ") AS booking"
    owner, payer_owner = "booking_owner", one
    labelled = look.sql if numbered == look.sql else f"{numbered} AS {look.sql}"
    files: tuple[str, ...] = (look.name,)
    if bank.holders is not None:
        name = bank.holders[0]
        owners = f"({owners_sql(look.desk, bank.holders, 'booking_customer')}) AS owners"
        rows = (
            f"(SELECT booking.*, owners.booking_customer FROM {rows}\n"
            f"JOIN {owners}\nON CAST(booking_owner AS VARCHAR) = CAST(joined_key AS VARCHAR)) "
            "AS booking"
        )
        # a flag marks a payment; its case is of the payer's customer, not of the account
        labelled = (
            f"(SELECT payment.*, owners.booking_customer FROM {numbered} AS payment\n"
            f"JOIN {owners}\nON CAST({one} AS VARCHAR) = CAST(joined_key AS VARCHAR)) AS {look.sql}"
        )
        owner = payer_owner = "booking_customer"
        files = (look.name, name)
        notes.append(say("other_banks", file=name))
    table = TableProposal(name=TRANSACTIONS, rows=rows, files=files, notes=notes)
    table.notes.append(say("two_bookings"))
    shown = say("payees_pay", payer=payer.column.name, payee=payee.column.name)
    certainty = certainty_of(min(payer.score, payee.score))
    table.add(
        Guess("transaction_id", "booking_id", certainty, shown),
        Guess("customer_id", owner, certainty, shown),
        Guess("account_id", "booking_owner", certainty, shown),
        Guess("counterparty_id", "booking_other", certainty, shown),
        Guess("direction", "booking_direction", certainty, shown),
    )
    return PaymentColumns(
        look=look,
        parts=parts,
        bank=bank,
        table=table,
        identifier=f"concat_ws('-', {key}, 'out')",
        customer=payer_owner,
        labelled_rows=labelled,
    )


def _one_sided(look: FileLook, parts: RoleParts, bank: BankOwners) -> PaymentColumns:
    owned = find_owner(bank, look, TRANSACTIONS)
    payer = parts.get(PAYER)
    if owned is None and payer is not None:
        customer, rows, score = payer.column.sql, look.sql, payer.score
        files: tuple[str, ...] = (look.name,)
        evidence = f"column {payer.column.name}"
    elif owned is not None:
        customer, rows, files = owned.customer, owned.rows, owned.files
        score, evidence = owned.score, owned.evidence
    key, numbered, notes = _identifier(look, parts)
    if numbered != look.sql:
        if rows == look.sql:
            rows = f"{numbered} AS {look.sql}"
        else:
            rows = rows.replace(f"FROM {look.sql} AS own", f"FROM {numbered} AS own")
    table = TableProposal(name=TRANSACTIONS, rows=rows, files=files, notes=notes)
    part = parts.get("transaction_id")
    if part is not None and key == identifier_sql(part.column):
        table.add(guess_column(look, TRANSACTIONS, "transaction_id", part))
    else:
        table.add(Guess("transaction_id", key, "guess", say("numbered")))
    table.add(Guess("customer_id", customer, certainty_of(score), evidence))
    if "account_id" in parts:
        table.add(guess_column(look, TRANSACTIONS, "account_id", parts["account_id"]))
    other = parts.get("counterparty_id") or parts.get(PAYEE)
    if other is not None:
        table.add(guess_column(look, TRANSACTIONS, "counterparty_id", other))
    return PaymentColumns(
        look=look,
        parts=parts,
        bank=bank,
        table=table,
        identifier=key,
        customer=customer,
        labelled_rows=rows,
    )


def _identifier(look: FileLook, parts: RoleParts) -> tuple[str, str, list[str]]:
    """Return SQL for a booking's identifier, the rows it is over, and notes on it."""
    part = parts.get("transaction_id")
    if part is not None and (part.column.unique or part.score >= 0.75):
        return identifier_sql(part.column), look.sql, []
    money = parts.get("amount") or parts.get(DEBIT) or parts[CREDIT]
    # a customer that comes from a join is not a column of the file itself
    inner = ", ".join(
        dict.fromkeys(
            each.column.sql
            for role, each in parts.items()
            if role in {"customer_id", "account_id", PAYER, PAYEE, "event_time"}
        )
    )
    numbered = (
        f"(SELECT *, concat_ws('-', {inner},\nrow_number() OVER (PARTITION BY {inner} "
        f"ORDER BY {money.column.sql})) AS numbered_id FROM {look.sql})"
    )
    return "numbered_id", numbered, [say("numbered_note")]


def _common(desk: Desk, made: PaymentColumns) -> None:
    """Add time, amount, direction and the plain columns."""
    look, parts, table = made.look, made.parts, made.table
    table.add(_time(look, parts))
    if "known_at" in parts:
        table.add(time_guess("known_at", parts["known_at"]))
    add_money(desk, made)
    for name in ("balance", "instrument", "channel", "country", "region", "device_id"):
        if name in parts and name not in table.columns:
            table.add(guess_column(look, TRANSACTIONS, name, parts[name]))
    for name, missed in missed_parts(look, TRANSACTIONS, parts).items():
        if name not in table.columns:
            table.dropped[name] = f"column {missed.column.name} {missed.todo}"


def _time(look: FileLook, parts: RoleParts) -> Guess:
    part = parts["event_time"]
    guess = time_guess("event_time", part)
    clock = parts.get(CLOCK)
    if part.time is None or clock is None or not part.time.daily:
        return guess
    sql = read_clock(clock.column)
    both = None if sql is None else with_clock(part.column, part.time, sql)
    if both is None:
        return guess
    shown = say("two_times", day=part.column.name, clock=clock.column.name, form=both.form)
    return Guess("event_time", both.sql, guess.certainty, shown, (part.time.sql,))


def span_of(desk: Desk, table: TableProposal) -> tuple[datetime, datetime] | None:
    """Return the first and last time of a proposed table's rows, in the sample."""
    sql = table.columns["event_time"].sql
    where = f" WHERE {table.where}" if table.where else ""
    low, high = desk.one(
        f"SELECT min(m), max(m) FROM (SELECT TRY_CAST(TRY_CAST(({sql}) AS TIMESTAMPTZ) AS "
        f"TIMESTAMP) AS m FROM {table.rows}{where})"
    )
    if isinstance(low, datetime) and isinstance(high, datetime):
        return low, high
    return None
