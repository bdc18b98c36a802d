"""Files about customers without bookings: snapshots, panels by month, and applications."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from kyc_ml.contract import CASES, CONTRACT, CUSTOMERS, REVIEWS
from kyc_ml.onboarding.proposal import codes
from kyc_ml.onboarding.proposal.columns import constant, guess_column, identifier_sql, time_guess
from kyc_ml.onboarding.proposal.guesses import Guess, Kind, TableProposal, certainty_of
from kyc_ml.onboarding.proposal.labels import outcome_of
from kyc_ml.onboarding.proposal.roles import RolePart, RoleParts, cast_parts
from kyc_ml.onboarding.proposal.samples import Engine, FileSample
from kyc_ml.onboarding.proposal.times import TimeReading
from kyc_ml.onboarding.proposal.vocabulary import LABEL, LABEL_TIME, file_score, note
from kyc_ml.storage import quote_name, quote_text

_SPOKEN: Final = 0.6
_MONTHS_EACH: Final = 3
"""Rows per customer from which a file is a panel (convention)."""
_SHARED: Final = 0.2
"""A panel has few dates compared with its rows: customers share them (convention)."""
_DAY_IN_NAME: Final = re.compile(r"(20\d\d)[-_.]?(0[1-9]|1[0-2])(?:[-_.]?([0-3]\d))?(?!\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """A file of customers, with the kind of its rows."""

    kind: Kind
    sample: FileSample
    parts: RoleParts
    label: RolePart
    """A flag or codes of the outcome; for applications, the day of the default."""

    @property
    def reading(self) -> TimeReading:
        """How the dates of a panel or of applications are read."""
        reading = self.parts["event_time"].time
        assert reading is not None  # noqa: S101  the kind was found by it
        return reading


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioTables:
    """The proposed tables of a portfolio."""

    tables: tuple[TableProposal, ...]
    snapshot: date | None = None
    """Day at whose end the rows of a snapshot were true."""
    span: tuple[datetime, datetime] | None = None
    confirm: tuple[str, ...] = ()
    """What was assumed other than columns."""


def find_portfolio(engine: Engine) -> Portfolio | None:
    """Find a file of customers with a label: one row per customer, month or application."""
    found = [each for sample in engine.samples if (each := _portfolio(sample)) is not None]
    return max(found, key=lambda each: (each.label.score, each.sample.rows), default=None)


def _portfolio(sample: FileSample) -> Portfolio | None:
    asked = cast_parts(sample, REVIEWS)
    ended = cast_parts(sample, CASES).get(LABEL_TIME)
    if ended is not None and (ended.column.filled >= 1.0 or ended.score < _SPOKEN):
        ended = None  # the day of a default is empty without a default
    how = ended or (asked.get(LABEL) if file_score(REVIEWS, sample.normal) else None)
    if how is not None and {"event_time", "customer_id"} <= set(asked):
        return Portfolio(kind="applications", sample=sample, parts=asked, label=how)
    parts = cast_parts(sample, CUSTOMERS)
    whose, label, when = (parts.get(role) for role in ("customer_id", LABEL, "event_time"))
    if whose is None or label is None or label.score < _SPOKEN:
        return None
    if when is None and whose.column.unique:
        return Portfolio(kind="snapshot", sample=sample, parts=parts, label=label)
    if when is None or not _is_panel(sample, whose, when):
        return None
    return Portfolio(kind="panel", sample=sample, parts=parts, label=label)


def _is_panel(sample: FileSample, whose: RolePart, when: RolePart) -> bool:
    """Return whether each customer has a row at each of a few days."""
    if when.time is None or not when.time.daily:
        return False
    each = sample.rows / max(whose.column.distinct, 1)
    if each < _MONTHS_EACH or when.column.distinct > _SHARED * sample.rows:
        return False
    pair = f"count(DISTINCT ({whose.column.sql}, {when.column.sql}))"
    return sample.engine.counts(quote_name(sample.name), pair) == [sample.rows]


def propose_portfolio(found: Portfolio) -> PortfolioTables:
    """Write the tables of a portfolio."""
    makers = {"snapshot": _snapshot, "panel": _panel, "applications": _applications}
    return makers[found.kind](found)


def _table(found: Portfolio, name: str, *, where: str | None = None) -> TableProposal:
    return TableProposal(name=name, rows=found.sample.sql, files=(found.sample.name,), where=where)


def _customers(found: Portfolio) -> TableProposal:
    made = _table(found, CUSTOMERS)
    for name in CONTRACT[CUSTOMERS].names:
        if name in found.parts and name not in {"event_time", "known_at"}:
            made.add(guess_column(found.sample, CUSTOMERS, name, found.parts[name]))
    made.add(_key("customer_id", found.parts["customer_id"]))
    return made


def _key(name: str, part: RolePart) -> Guess:
    evidence = f"column {part.column.name}"
    return Guess(name, identifier_sql(part.column), certainty_of(part.score), evidence)


def _outcome(found: Portfolio) -> Guess:
    column = found.label.column
    yes = codes.positives(column)
    if yes is not None:
        word = quote_text(outcome_of(column))
        sql = f"CASE WHEN {yes} THEN {word}\nWHEN {column.sql} IS NOT NULL THEN 'cleared' END"
        share = codes.share_of(found.sample, yes)
        return Guess("outcome", sql, "guess", note("yes_by_name", column=column.name, share=share))
    meanings = codes.translate("outcome", column.codes)
    unknown = [code for code in column.codes if code not in meanings]
    sql = codes.case_sql(column, {**meanings, **dict.fromkeys(unknown, codes.TODO)}, others="NULL")
    known = note("codes_known", known=len(meanings), all=len(column.codes))
    graded = ", as grades of loans" if codes.are_grades(column.codes) else ""
    shown = note("column", column=column.name, form=f"{known}{graded}: confirm")
    return Guess("outcome", sql, "yours" if unknown else "guess", shown)


def _snapshot(found: Portfolio) -> PortfolioTables:
    customers = _customers(found)
    cases = _table(found, CASES, where=f"nullif(trim({found.label.column.text}), '') IS NOT NULL")
    cases.optional = True
    cases.add(customers.columns["customer_id"], _outcome(found))
    day, why = _day_of(found.sample)
    confirm = (note("snapshot", why=why),)
    return PortfolioTables(tables=(customers, cases), snapshot=day, confirm=confirm)


def _day_of(sample: FileSample) -> tuple[date, str]:
    """Return the day of a snapshot: by its name, otherwise the day before the last change."""
    path = sample.found.paths[0]
    named = _DAY_IN_NAME.search(path.name)
    if named is not None:
        year, month, day = int(named[1]), int(named[2]), int(named[3] or 0)
        ends = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
        if day <= ends.day:
            shown = note("day_of_name" if day else "month_of_name")
            return (ends.replace(day=day) if day else ends), shown
    written = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).date()
    return written - timedelta(days=1), note("day_of_writing")


def _panel(found: Portfolio) -> PortfolioTables:
    """Write a version of each customer, a review and, where it is marked, a case for each month."""
    when, whose, reading = found.parts["event_time"], found.parts["customer_id"], found.reading
    day = f"CAST({reading.sql} AS DATE)"
    # a month without a day is dated at its end already
    begun, over = (f"{day} - 1", day) if reading.form == "months" else (day, f"{day} + 1")
    customers = _customers(found)
    happened = time_guess("event_time", replace(when, time=replace(reading, sql=begun)))
    customers.add(happened)
    whose_guess = customers.columns["customer_id"]
    known = Guess("event_time", over, "guess", note("day_over", column=when.column.name))
    sql = f"concat_ws('@', {identifier_sql(whose.column)}, {when.column.text})"
    key = Guess("review_id", sql, "likely", note("review_each"))
    reviews = _table(found, REVIEWS)
    reviews.add(key, whose_guess, known)
    label = found.label.column
    cases = _table(found, CASES, where=codes.positives(label))
    outcome = _outcome(found)
    if cases.where is not None:
        outcome = replace(outcome, sql=quote_text(outcome_of(label)))
    cases.add(
        replace(key, column="case_id"),
        whose_guess,
        happened,
        replace(known, column="known_at"),
        outcome,
    )
    return PortfolioTables(
        tables=(customers, reviews, cases),
        span=(reading.low, reading.high),
        confirm=(note("own_month", column=label.name),),
    )


def _applications(found: Portfolio) -> PortfolioTables:
    parts, label, reading = found.parts, found.label, found.reading
    when, own = parts["event_time"], parts.get("review_id")
    whose = _key("customer_id", parts["customer_id"])
    key = (
        _key("review_id", own)
        if own is not None and own.column.unique
        else Guess(
            "review_id",
            f"concat_ws('@', {whose.sql}, {when.column.text})",
            "likely",
            note("unnamed_application"),
        )
    )
    reviews = _table(found, REVIEWS)
    reviews.add(key, whose, time_guess("event_time", when))
    cases = _table(found, CASES)
    cases.optional = True
    cases.add(replace(key, column="case_id"), key, whose)
    last = max(reading.high, label.time.high if label.time else reading.high) + timedelta(days=1)
    if label.time is not None:
        ended = f"TRY_CAST({label.time.sql} AS TIMESTAMP)"
        word = quote_text(outcome_of(replace(label.column, codes=())))
        column = label.column.name
        cases.add(
            Guess(
                "event_time",
                f"coalesce({ended}, TIMESTAMP '{last:%Y-%m-%d}')",
                "guess",
                note("default_day", column=column, last=last),
            ),
            Guess(
                "outcome",
                f"CASE WHEN {ended} IS NOT NULL THEN {word} ELSE 'cleared' END",
                "guess",
                note("no_default_day", column=column),
            ),
        )
    else:
        known = cast_parts(found.sample, CASES).get("known_at")
        # the day on which every outcome was known, and none before the applications
        if (
            known is not None
            and known.time is not None
            and known.time.low >= reading.low
            and known.column.filled >= label.column.filled
        ):
            cases.add(time_guess("event_time", known))
        else:
            cases.add(constant("event_time", f"{last:%Y-%m-%d}", note("undated", last=last)))
        cases.add(_outcome(found))
    return PortfolioTables(tables=(reviews, cases), span=(reading.low, last))
