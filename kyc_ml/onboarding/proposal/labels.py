"""Outcomes of bookings and customers: cases and reviews, from flags and from files of cases.

The module `dating` decides when they happened and when they became known.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from kyc_ml.contract import CASES, REVIEWS
from kyc_ml.onboarding.proposal.codes import are_grades, positives, share_of, translate
from kyc_ml.onboarding.proposal.columns import code_guess, constant, guess_column, time_guess
from kyc_ml.onboarding.proposal.dating import BOOKED_AT, date_case, delay_days, known_after
from kyc_ml.onboarding.proposal.guesses import Guess, TableProposal
from kyc_ml.onboarding.proposal.money import PaymentColumns
from kyc_ml.onboarding.proposal.owners import OWNING, BankOwners, Owned, find_owner
from kyc_ml.onboarding.proposal.profiles import customer_guess, numbered_key
from kyc_ml.onboarding.proposal.roles import RoleParts
from kyc_ml.onboarding.proposal.samples import ColumnSample, Engine, FileSample, contained
from kyc_ml.onboarding.proposal.times import EPOCH_OF_STEPS
from kyc_ml.onboarding.proposal.vocabulary import LABEL, LABEL_TIME, file_score, means, note, words
from kyc_ml.storage import quote_text

_WELL: Final = 0.7
_LEAST_FOUND: Final = 0.5
"""Share of bookings that a sample must hold, of those that cases name (convention)."""


def outcome_of(column: ColumnSample) -> str:
    """Return the outcome that a flag means, by its name."""
    name = column.normal.removeprefix("is_")
    if any(means(word, words("laundering")) for word in (*name.split("_"), name)):
        return "str_filed"
    bad = any(means(word, words("default")) for word in name.split("_"))
    return "default" if bad else "confirmed_fraud"


def count_rows(engine: Engine, made: TableProposal) -> int:
    """Count the rows of a proposed table in the sample."""
    where = f" WHERE {made.where}" if made.where else ""
    return engine.counts(made.rows + where, "count(*)")[0]


def label_of(payments: PaymentColumns) -> str:
    """Return SQL that is true for bookings that a flag in their file marks; empty without one."""
    part = payments.parts.get(LABEL)
    return "" if part is None else positives(part.column) or ""


def cases_of_payments(
    payments: PaymentColumns, span: tuple[datetime, datetime] | None
) -> TableProposal | None:
    """Write a case for each booking that a flag in the file of bookings marks."""
    yes = label_of(payments)
    if not yes:
        return None
    column = payments.parts[LABEL].column
    made = TableProposal(
        name=CASES, rows=payments.labelled_rows, files=payments.table.files, where=yes
    )
    share = share_of(payments.sample, yes)
    evidence = note("marked_bookings", column=column.name, share=share)
    booking = payments.identifier
    event = payments.table.columns["event_time"]
    made.add(
        Guess("case_id", booking, "likely", evidence),
        Guess("customer_id", payments.customer, "likely", evidence),
        Guess("transaction_id", booking, "likely", evidence),
        event,
        known_after(payments.parts["event_time"], event.sql, days=delay_days(span)),
        _outcome(column, evidence),
    )
    if "typology" in payments.parts:
        column = payments.parts["typology"].column
        made.add(Guess("typology", column.text, "likely", note("typology", column=column.name)))
    return made


def _outcome(column: ColumnSample, evidence: str) -> Guess:
    return constant("outcome", outcome_of(column), f"{evidence}; {note('kind_by_name')}")


def cases_of_customers(
    bank: BankOwners, sample: FileSample, parts: RoleParts, span: tuple[datetime, datetime]
) -> tuple[TableProposal, TableProposal] | None:
    """Write a case for each customer whom a flag marks, and a review of all at the end.

    A flag of a customer has no date: every customer has one review at the end of the data, and
    the outcome is known the day after.
    """
    part = parts.get(LABEL)
    yes = None if part is None else positives(part.column)
    owned = find_owner(bank, sample, "customers")
    if part is None or yes is None or owned is None:
        return None
    end = (span[1] + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = TableProposal(name=REVIEWS, rows=owned.rows, files=owned.files)
    asked.confirm.append(note("reviewed_once"))
    share = share_of(sample, yes)
    key = Guess("review_id", owned.customer, "likely", "one each")
    asked.add(
        key,
        customer_guess(owned),
        Guess("event_time", f"TIMESTAMP '{end:%Y-%m-%d}'", "guess", note("undated_flag")),
    )
    made = TableProposal(name=CASES, rows=owned.rows, files=owned.files, where=yes)
    known = f"TIMESTAMP '{end + timedelta(days=1):%Y-%m-%d}'"
    made.add(
        replace(key, column="case_id"),
        customer_guess(owned),
        _when_marked(sample, parts, yes, end),
        Guess("known_at", known, "guess", note("known_after_review")),
        _outcome(part.column, note("marked_rows", column=part.column.name, share=share)),
    )
    return made, asked


def _when_marked(sample: FileSample, parts: RoleParts, yes: str, end: datetime) -> Guess:
    """Date the conduct by another column of the file, where a name fits."""
    last = f"TIMESTAMP '{end - timedelta(days=1):%Y-%m-%d}'"
    marked = parts.get(LABEL_TIME)
    if marked is not None:
        return time_guess("event_time", marked)
    flag = parts[LABEL].column
    named = set(flag.normal.removeprefix("is_").split("_"))
    for column in sample.columns:
        same = named & set(column.normal.split("_"))
        if column.name == flag.name or not same or column.whole < 1.0:
            continue
        steps = f"TRY_CAST({column.sql} AS INTEGER)"
        if not share_of(sample, f"({yes}) AND {steps} >= 0"):
            continue
        sql = (
            f"CASE WHEN {steps} >= 0\n"
            f"THEN TIMESTAMP '{EPOCH_OF_STEPS}' + to_days({steps}) ELSE {last} END"
        )
        shown = note("marked_at_steps", column=column.name, start=EPOCH_OF_STEPS)
        return Guess("event_time", sql, "guess", shown, (last,))
    return Guess("event_time", last, "guess", note("last_day"))


def fits_cases(sample: FileSample, parts: RoleParts) -> float:
    """Score a file of cases: what was found, of whom, and when."""
    found, key = parts.get("outcome"), parts.get("case_id")
    graded = found is not None and are_grades(found.column.codes)
    # each row is a separate case with its outcome
    cases = (
        key is not None
        and found is not None
        and min(key.score, found.score) >= _WELL
        and key.column.unique
        and "confirmed_fraud" in translate("outcome", found.column.codes).values()
    )
    named = file_score(CASES, sample.normal) or float(graded or cases)
    whose = parts.get("customer_id") or parts.get("account_id") or parts.get("transaction_id")
    if whose is None or not named:
        return 0.0
    found = found or parts.get(LABEL)
    return named + (found.score if found else 0.2) + float("event_time" in parts)


def propose_cases(
    payments: PaymentColumns | None,
    bank: BankOwners,
    sample: FileSample,
    parts: RoleParts,
    *,
    span: tuple[datetime, datetime] | None,
) -> TableProposal | None:
    """Write the cases of a file that lists them."""
    joined = _by_booking(payments, sample, parts)
    owned = find_owner(bank, sample, CASES) or joined
    if owned is None:
        return None
    source = joined or owned
    made = TableProposal(name=CASES, rows=source.rows, files=source.files)
    made.add(customer_guess(owned))
    for name in ("case_id", "transaction_id", "review_id", "typology"):
        if name in parts:
            made.add(guess_column(sample, CASES, name, parts[name]))
    booking = None if joined is None or payments is None else payments.parts["event_time"]
    date_case(sample.engine, made, parts, booking=booking, days=delay_days(span))
    if "case_id" not in made.columns:
        made.add(numbered_key(made, sample, owned, parts, "case_id"))
    add_outcome(made, sample, parts)
    return made


def _by_booking(
    payments: PaymentColumns | None, sample: FileSample, parts: RoleParts
) -> Owned | None:
    part = parts.get("transaction_id")
    booked = None if payments is None else payments.parts.get("transaction_id")
    if part is None or payments is None or booked is None:
        return None
    there = (payments.sample.name, booked.column.name)
    share = contained(sample.engine, (sample.name, part.column.name), there)
    if share < _LEAST_FOUND or (share < 0.95 and not payments.sample.partly):
        return None
    columns = payments.table.columns
    inner = (
        f"SELECT {columns['transaction_id'].sql} AS joined_key, "
        f"{columns['customer_id'].sql} AS {OWNING}, {columns['event_time'].sql} AS {BOOKED_AT} "
        f"FROM {payments.table.rows}"
    )
    return Owned(
        rows=(
            f"(SELECT own.*, owners.{OWNING}, owners.{BOOKED_AT} FROM {sample.sql} AS own\n"
            f"LEFT JOIN ({inner}) AS owners\n"
            f"ON CAST(own.{part.column.sql} AS VARCHAR) = CAST(owners.joined_key AS VARCHAR)) "
            f"AS {sample.sql}"
        ),
        customer=OWNING,
        files=tuple(dict.fromkeys((sample.name, *payments.table.files))),
        score=0.8,
        evidence=note("held_by", column=part.column.name, share=share, file=payments.sample.name),
    )


def add_outcome(made: TableProposal, sample: FileSample, parts: RoleParts) -> None:
    """Write what a case was found to be, from codes or a flag."""
    flag = parts.get(LABEL)
    part = parts.get("outcome") or flag
    if part is None:
        made.add(constant("outcome", "confirmed_fraud", note("cases_only")))
        return
    yes = positives(part.column) if part is flag else None
    if yes is None:
        made.add(code_guess("outcome", part))
        return
    word = quote_text(outcome_of(part.column))
    shown = note("yes_is_bad", column=part.column.name, share=share_of(sample, yes))
    made.add(Guess("outcome", f"CASE WHEN {yes} THEN {word} ELSE 'cleared' END", "guess", shown))
