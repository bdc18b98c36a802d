"""What became of it: cases and reviews, from flags, from case files, from loans.

When it happened and when it was known is `kyc_ml.proposal.dating`'s to say.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from kyc_ml.contract.tables import CASES, REVIEWS
from kyc_ml.engine.local import quote_text
from kyc_ml.proposal.codes import are_grades, positives, share_of, translate
from kyc_ml.proposal.columns import code_guess, constant, guess_column, time_guess
from kyc_ml.proposal.dating import BOOKED_AT, date_case, delay_days, known_after
from kyc_ml.proposal.guesses import Guess, TableProposal
from kyc_ml.proposal.looking import ColumnLook, Desk, FileLook, contained
from kyc_ml.proposal.money import Payments
from kyc_ml.proposal.owners import Bank, Owned, find_owner
from kyc_ml.proposal.profiles import customer_guess, numbered_key
from kyc_ml.proposal.roles import Parts
from kyc_ml.proposal.times import EPOCH_OF_STEPS
from kyc_ml.proposal.vocabulary import LABEL, LABEL_TIME, file_score, means

_WELL: Final = 0.7
_LAUNDERING: Final = "laundering sar str suspicious 可疑 洗钱"
_DEFAULT: Final = "default defaulted bad 违约 逾期"


def outcome_of(column: ColumnLook) -> str:
    """Say what a flag's yes means, by its name."""
    name = column.normal.removeprefix("is_")
    if any(means(word, _LAUNDERING) for word in name.split("_")) or means(name, _LAUNDERING):
        return "str_filed"
    return "default" if any(means(w, _DEFAULT) for w in name.split("_")) else "confirmed_fraud"


def count_rows(desk: Desk, made: TableProposal) -> int:
    """Count the rows of a proposed table in the sample."""
    where = f" WHERE {made.where}" if made.where else ""
    return int(str(desk.one(f"SELECT count(*) FROM {made.rows}{where}")[0]))


def label_of(payments: Payments) -> str:
    """Give SQL that is true for bookings that a flag of their own file marks; empty without."""
    part = payments.parts.get(LABEL)
    return "" if part is None else positives(part.column) or ""


def cases_of_payments(
    desk: Desk, payments: Payments, span: tuple[datetime, datetime] | None
) -> TableProposal | None:
    """Write a case for each booking that a flag of the bookings' own file marks."""
    part = payments.parts.get(LABEL)
    yes = None if part is None else positives(part.column)
    if part is None or yes is None:
        return None
    made = TableProposal(
        name=CASES, rows=payments.labelled_rows, files=payments.table.files, where=yes
    )
    share = share_of(desk, payments.look, yes)
    evidence = f"column {part.column.name} says yes for {share:.2%} of the bookings"
    booking = payments.identifier
    for name, sql in (
        ("case_id", booking),
        ("customer_id", payments.customer),
        ("transaction_id", booking),
    ):
        made.add(Guess(column=name, sql=sql, certainty="likely", evidence=evidence))
    event = payments.table.columns["event_time"]
    made.add(event)
    made.add(known_after(payments.parts["event_time"], event.sql, days=delay_days(span)))
    made.add(_outcome(part.column, evidence))
    if "typology" in payments.parts:
        column = payments.parts["typology"].column
        made.add(
            Guess(column="typology", sql=column.text, certainty="likely",
                  evidence=f"column {column.name}: for evaluation, never a feature")
        )  # fmt: skip
    return made


def _outcome(column: ColumnLook, evidence: str) -> Guess:
    return constant("outcome", outcome_of(column), f"{evidence}; the kind is taken from its name")


def cases_of_customers(
    desk: Desk, bank: Bank, look: FileLook, parts: Parts, span: tuple[datetime, datetime]
) -> tuple[TableProposal, TableProposal] | None:
    """Write a case for each customer whom a flag marks, and a review of all at the end.

    A flag of a customer says nothing of when: every customer is judged once, when the data
    end, and the answer is told the day after.
    """
    part = parts.get(LABEL)
    yes = None if part is None else positives(part.column)
    owned = find_owner(desk, bank, look, "customers")
    if part is None or yes is None or owned is None:
        return None
    end = (span[1] + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = TableProposal(name=REVIEWS, rows=owned.rows, files=owned.files)
    asked.confirm.append("every customer is reviewed once, when the data end: confirm")
    evidence = f"column {part.column.name} marks {share_of(desk, look, yes):.2%} of the rows"
    key = Guess(column="review_id", sql=owned.customer, certainty="likely", evidence="one each")
    for guess in (
        key,
        customer_guess(owned),
        Guess(column="event_time", sql=f"TIMESTAMP '{end:%Y-%m-%d}'", certainty="guess",
              evidence="the end of the data; a flag alone carries no date"),
    ):  # fmt: skip
        asked.add(guess)
    made = TableProposal(name=CASES, rows=owned.rows, files=owned.files, where=yes)
    for guess in (
        replace(key, column="case_id"),
        customer_guess(owned),
        _when_marked(desk, look, parts, yes, end),
        Guess(column="known_at", sql=f"TIMESTAMP '{end + timedelta(days=1):%Y-%m-%d}'",
              certainty="guess",
              evidence="nothing tells when it came to light: the day after all are judged"),
        _outcome(part.column, evidence),
    ):  # fmt: skip
        made.add(guess)
    return made, asked


def _when_marked(desk: Desk, look: FileLook, parts: Parts, yes: str, end: datetime) -> Guess:
    """Date the conduct by a column beside the flag, where one has its name."""
    last = f"TIMESTAMP '{end - timedelta(days=1):%Y-%m-%d}'"
    marked = parts.get(LABEL_TIME)
    if marked is not None:
        return time_guess("event_time", marked)
    words = set(parts[LABEL].column.normal.removeprefix("is_").split("_"))
    for column in look.columns:
        same = words & set(column.normal.split("_"))
        if column.name == parts[LABEL].column.name or not same or column.whole < 1.0:
            continue
        days = f"to_days(TRY_CAST({column.sql} AS INTEGER))"
        dated = share_of(desk, look, f"({yes}) AND TRY_CAST({column.sql} AS INTEGER) >= 0")
        if not dated:
            continue
        sql = (
            f"CASE WHEN TRY_CAST({column.sql} AS INTEGER) >= 0\n"
            f"THEN TIMESTAMP '{EPOCH_OF_STEPS}' + {days} ELSE {last} END"
        )
        return Guess(
            column="event_time",
            sql=sql,
            certainty="guess",
            evidence=f"column {column.name}: steps as days since {EPOCH_OF_STEPS} where not "
            "negative, else the last day: confirm",
            alternatives=(last,),
        )
    return Guess(column="event_time", sql=last, certainty="guess",
                 evidence="no column dates the conduct: the last day of the data")  # fmt: skip


def fits_cases(look: FileLook, parts: Parts) -> float:
    """Score a file of cases: what was found, of whom, and when."""
    graded = "outcome" in parts and are_grades(parts["outcome"].column.codes)
    named = file_score(CASES, look.normal) or float(graded or _tells_cases(parts))
    found = parts.get("outcome") or parts.get(LABEL)
    whose = parts.get("customer_id") or parts.get("account_id") or parts.get("transaction_id")
    if whose is None or not named:
        return 0.0
    return named + (found.score if found else 0.2) + float("event_time" in parts)


def _tells_cases(parts: Parts) -> bool:
    """Tell a file of cases by its columns: a case of its own a row, and how it ended."""
    key, found = parts.get("case_id"), parts.get("outcome")
    if key is None or found is None or min(key.score, found.score) < _WELL:
        return False
    return (
        key.column.unique and "confirmed_fraud" in translate("outcome", found.column.codes).values()
    )


def propose_cases(
    desk: Desk,
    payments: Payments | None,
    bank: Bank,
    look: FileLook,
    parts: Parts,
    *,
    span: tuple[datetime, datetime] | None,
) -> TableProposal | None:
    """Write the cases of a file that lists them."""
    owned = find_owner(desk, bank, look, CASES)
    joined = _by_booking(desk, payments, look, parts)
    if owned is None and joined is None:
        return None
    owned = owned or joined
    assert owned is not None  # noqa: S101  one of the two was found
    source = owned if joined is None else joined
    made = TableProposal(name=CASES, rows=source.rows, files=source.files)
    made.add(customer_guess(owned))
    for name in ("case_id", "transaction_id", "review_id", "typology"):
        if name in parts:
            made.add(guess_column(desk, look, CASES, name, parts[name]))
    booking = None if joined is None or payments is None else payments.parts["event_time"]
    date_case(desk, made, parts, booking=booking, days=delay_days(span))
    if "case_id" not in made.columns:
        made.add(numbered_key(made, look, owned, parts, "case_id"))
    add_outcome(desk, made, look, parts)
    return made


def _by_booking(
    desk: Desk, payments: Payments | None, look: FileLook, parts: Parts
) -> Owned | None:
    """Look the customer and the time up in the bookings that the cases name."""
    part = parts.get("transaction_id")
    if part is None or payments is None:
        return None
    booked = payments.parts.get("transaction_id")
    if booked is None:
        return None
    there = (payments.look.name, booked.column.name)
    share = contained(desk, (look.name, part.column.name), there)
    if share < 0.5 or (share < 0.95 and not payments.look.partly):
        return None
    event = payments.table.columns["event_time"].sql
    inner = (
        f"SELECT {payments.table.columns['transaction_id'].sql} AS joined_key, "
        f"{payments.table.columns['customer_id'].sql} AS owning_customer, {event} AS {BOOKED_AT} "
        f"FROM {payments.table.rows}"
    )
    return Owned(
        rows=(
            f"(SELECT own.*, owners.owning_customer, owners.{BOOKED_AT} FROM {look.sql} AS own\n"
            f"LEFT JOIN ({inner}) AS owners\n"
            f"ON CAST(own.{part.column.sql} AS VARCHAR) = CAST(owners.joined_key AS VARCHAR)) "
            f"AS {look.sql}"
        ),
        customer="owning_customer",
        files=tuple(dict.fromkeys((look.name, *payments.table.files))),
        score=0.8,
        evidence=f"{part.column.name}, {share:.0%} of which {payments.look.name} holds",
    )


def add_outcome(desk: Desk, made: TableProposal, look: FileLook, parts: Parts) -> None:
    """Write what a case was found to be, from codes or a flag."""
    part = parts.get("outcome")
    flag = parts.get(LABEL)
    if part is not None:
        made.add(code_guess("outcome", part))
        return
    yes = None if flag is None else positives(flag.column)
    if flag is not None and yes is not None:
        made.add(Guess(
            column="outcome",
            sql=f"CASE WHEN {yes} THEN {quote_text(outcome_of(flag.column))} ELSE 'cleared' END",
            certainty="guess",
            evidence=f"column {flag.column.name}: {share_of(desk, look, yes):.2%} yes; that yes "
            "is the bad end is taken from its name: confirm",
        ))  # fmt: skip
    elif flag is not None:
        made.add(code_guess("outcome", flag))
    else:
        made.add(constant("outcome", "confirmed_fraud", "the file lists nothing else: confirm"))
