"""Decisions on customers, such as loans: reviews, their outcomes, and the terms applied for."""

from datetime import datetime
from typing import Final

from kyc_ml.contract import CASES, REVIEWS, THIRD_PARTY
from kyc_ml.onboarding.proposal import vocabulary as v
from kyc_ml.onboarding.proposal.columns import guess_column, identifier_sql, time_guess
from kyc_ml.onboarding.proposal.guesses import Guess, TableProposal
from kyc_ml.onboarding.proposal.labels import add_outcome
from kyc_ml.onboarding.proposal.numbers import read_number
from kyc_ml.onboarding.proposal.owners import BankOwners, Owned, find_owner
from kyc_ml.onboarding.proposal.profiles import customer_guess
from kyc_ml.onboarding.proposal.roles import RolePart, RoleParts
from kyc_ml.onboarding.proposal.samples import Engine, FileSample
from kyc_ml.storage import quote_name, quote_text

_WELL: Final = 0.7


def fits_reviews(sample: FileSample, parts: RoleParts) -> float:
    """Score a file of decisions on customers, such as loans: time, customer, terms."""
    named = v.file_score(REVIEWS, sample.normal)
    key = parts.get("review_id")
    if key is None or key.score < _WELL or "event_time" not in parts or not key.column.unique:
        return 0.0
    return named * (key.score + parts["event_time"].score)


def propose_reviews(
    bank: BankOwners, sample: FileSample, parts: RoleParts, end: datetime | None
) -> list[TableProposal]:
    """Write a review for each row, its case where a column has the outcome, and its terms."""
    owned = find_owner(bank, sample, REVIEWS)
    if owned is None:
        return []
    key = guess_column(sample, REVIEWS, "review_id", parts["review_id"])
    when = time_guess("event_time", parts["event_time"])
    asked = TableProposal(name=REVIEWS, rows=owned.rows, files=owned.files)
    asked.add(key, customer_guess(owned), when)
    if "known_at" in parts:
        asked.add(time_guess("known_at", parts["known_at"]))
    made = [asked]
    label = parts.get(v.LABEL)
    if label is not None and label.score >= 0.5 and end is not None:
        made.append(_case_of_review(sample, owned, parts, label=label, end=end))
        terms = _terms(sample, owned, parts, when)
        if terms is not None:
            made.append(terms)
    return made


def _case_of_review(
    sample: FileSample, owned: Owned, parts: RoleParts, *, label: RolePart, end: datetime
) -> TableProposal:
    """Write the outcome of each review, known at the end of the data unless a column dates it."""
    made = TableProposal(name=CASES, rows=owned.rows, files=owned.files)
    identifier = identifier_sql(parts["review_id"].column)
    sql = last = f"TIMESTAMP '{end:%Y-%m-%d}'"
    shown = v.note("end_unknown")
    duration = parts.get(v.DURATION)
    if duration is not None and duration.column.whole == 1.0:
        column = duration.column
        if v.words("months") & {*column.normal.split("_")}:
            begun = time_guess("event_time", parts["event_time"]).sql
            sql = f"least({begun} + to_months(TRY_CAST({column.sql} AS INTEGER)), {last})"
            shown = v.note("ran_out", column=column.name)
    made.add(
        Guess("case_id", identifier, "likely", v.note("case_each")),
        Guess("review_id", identifier, "likely", v.note("case_each")),
        customer_guess(owned),
        Guess("event_time", sql, "guess", shown),
        Guess("known_at", last, "guess", v.note("end_known")),
    )
    add_outcome(made, sample, {v.LABEL: label})
    shown = v.note("typology_as_it_is", column=label.column.name)
    made.add(Guess("typology", label.column.text, "likely", shown))
    return made


def _terms(sample: FileSample, owned: Owned, parts: RoleParts, when: Guess) -> TableProposal | None:
    """Write the terms of the application as items known one second before the decision."""
    used = {parts[r].column.name for r in ("review_id", "event_time", v.LABEL) if r in parts}
    terms = [
        column
        for column in sample.columns
        if column.name not in used
        and not v.names_key(column.normal)
        and column.number == 1.0
        and column.distinct > 2
        and read_number(column) is not None
    ]
    if not terms:
        return None
    key = identifier_sql(parts["review_id"].column)
    fields = ", ".join(f"CAST({c.sql} AS VARCHAR) AS {quote_name(c.normal)}" for c in terms)
    names = ", ".join(quote_name(column.normal) for column in terms)
    rows = (
        f"(UNPIVOT (SELECT {key} AS reviewed, {owned.customer} AS applicant,\n"
        f"{when.sql} AS decided, {fields} FROM {owned.rows})\n"
        f"ON {names} INTO NAME item VALUE value) AS terms"
    )
    made = TableProposal(name=THIRD_PARTY, rows=rows, files=owned.files)
    shown = v.note("terms", columns=", ".join(column.name for column in terms))
    # a bare column may be text, an expression is a time already
    decided = "TRY_CAST(decided AS TIMESTAMP)" if when.sql.isidentifier() else "decided"
    report = f"{quote_text(sample.normal + '-')} || item || '-' || reviewed"
    made.add(
        Guess("report_id", report, "likely", shown),
        Guess("customer_id", "applicant", "likely", shown),
        Guess("event_time", f"{decided} - INTERVAL 1 SECOND", "guess", shown),
        Guess("provider", quote_text(f"{sample.normal} application"), "guess", shown),
        Guess("item", f"{quote_text(f'{sample.normal}_')} || item", "likely", shown),
        Guess("value", "value", "likely", shown),
    )
    made.confirm.append(v.note("terms_dated"))
    return made


def keep_booked(engine: Engine, made: TableProposal, bookings: TableProposal) -> None:
    """Leave out rows of customers without a booking, and note their number."""
    whose = made.columns["customer_id"].sql
    booked = (
        f"CAST({whose} AS VARCHAR) IN (SELECT "
        f"CAST({bookings.columns['customer_id'].sql} AS VARCHAR) FROM {bookings.rows})"
    )
    kept, rows = engine.counts(made.rows, f"count(*) FILTER ({booked})", "count(*)")
    if 0 < kept < rows:
        made.where = booked
        made.files = tuple(dict.fromkeys((*made.files, *bookings.files)))
        made.confirm.append(v.note("without_booking", without=rows - kept, rows=rows))
