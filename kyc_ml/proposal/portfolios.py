"""Files about customers without bookings: snapshots, panels by month, and applications."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from kyc_ml.contract.tables import CASES, CONTRACT, CUSTOMERS, REVIEWS
from kyc_ml.engine.local import quote_name, quote_text
from kyc_ml.proposal.codes import are_grades, case_sql, positives, share_of, translate
from kyc_ml.proposal.columns import constant, guess_column, identifier_sql, time_guess
from kyc_ml.proposal.guesses import Guess, Kind, TableProposal, certainty_of
from kyc_ml.proposal.labels import outcome_of
from kyc_ml.proposal.looking import Desk, FileLook
from kyc_ml.proposal.roles import Part, Parts, cast_parts
from kyc_ml.proposal.vocabulary import LABEL, LABEL_TIME, file_score

_SPOKEN: Final = 0.6
_MONTHS_EACH: Final = 3
"""Rows a customer from which a file is a panel (convention)."""
_SHARED: Final = 0.2
"""Dates of a panel are few beside its rows: everybody has the same ones (convention)."""
_DAY_IN_NAME: Final = re.compile(r"(20\d\d)[-_.]?(0[1-9]|1[0-2])(?:[-_.]?([0-3]\d))?(?!\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """A file of customers, and what its rows are.

    Attributes
    ----------
    parts : mapping of role to Part
        As the kind needs them.
    label : Part
        A flag or codes of how it ended, or, of applications, the day of the default.
    """

    kind: Kind
    look: FileLook
    parts: Parts
    label: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioTables:
    """What a portfolio becomes.

    Attributes
    ----------
    snapshot : date or None
        Day at whose end the rows of a snapshot were true.
    confirm : tuple of str
        What was assumed beside the columns.
    """

    kind: Kind
    tables: tuple[TableProposal, ...]
    snapshot: date | None = None
    span: tuple[datetime, datetime] | None = None
    confirm: tuple[str, ...] = ()


def find_portfolio(desk: Desk) -> Portfolio | None:
    """Find a file of customers with a label: a row each, a row a month, or an application a row."""
    found = [each for look in desk.looks if (each := _portfolio(desk, look)) is not None]
    return max(found, key=lambda each: (each.label.score, each.look.rows), default=None)


def _portfolio(desk: Desk, look: FileLook) -> Portfolio | None:
    asked = cast_parts(desk, look, REVIEWS)
    ended = _default_day(desk, look)
    how = ended or (asked.get(LABEL) if file_score(REVIEWS, look.normal) else None)
    if how is not None and {"event_time", "customer_id"} <= set(asked):
        return Portfolio(kind="applications", look=look, parts=asked, label=how)
    parts = cast_parts(desk, look, CUSTOMERS)
    whose, label, when = (parts.get(role) for role in ("customer_id", LABEL, "event_time"))
    if whose is None or label is None or label.score < _SPOKEN:
        return None
    if when is None and whose.column.unique:
        return Portfolio(kind="snapshot", look=look, parts=parts, label=label)
    if when is None or not _is_panel(desk, look, whose, when):
        return None
    return Portfolio(kind="panel", look=look, parts=parts, label=label)


def _is_panel(desk: Desk, look: FileLook, whose: Part, when: Part) -> bool:
    """Tell whether each customer has a row at each of a few days."""
    if when.time is None or not when.time.daily:
        return False
    each = look.rows / max(whose.column.distinct, 1)
    if each < _MONTHS_EACH or when.column.distinct > _SHARED * look.rows:
        return False
    once = desk.one(
        f"SELECT count(DISTINCT ({whose.column.sql}, {when.column.sql})) FROM "
        f"{quote_name(look.name)}"
    )[0]
    return once == look.rows


def _default_day(desk: Desk, look: FileLook) -> Part | None:
    """Find the column with the day of a default, empty where there was none."""
    parts = cast_parts(desk, look, CASES)
    found = parts.get(LABEL_TIME)
    if found is None or found.column.filled >= 1.0 or found.score < _SPOKEN:
        return None
    return found


def _told(desk: Desk, look: FileLook, label: Part, begun: datetime) -> Part | None:
    """Find the column with the day that the outcome of every application was known on."""
    found = cast_parts(desk, look, CASES).get("known_at")
    if found is None or found.time is None or found.time.low < begun:
        return None
    return found if found.column.filled >= label.column.filled else None


def propose_portfolio(desk: Desk, found: Portfolio) -> PortfolioTables:
    """Write the tables of a portfolio."""
    makers = {"snapshot": _snapshot, "panel": _panel, "applications": _applications}
    return makers[found.kind](desk, found)


def _customers(desk: Desk, found: Portfolio) -> TableProposal:
    """Write the profile that the rows tell, without dates."""
    look = found.look
    made = TableProposal(name=CUSTOMERS, rows=look.sql, files=(look.name,))
    for name in CONTRACT[CUSTOMERS].names:
        if name in found.parts and name not in {"event_time", "known_at"}:
            made.add(guess_column(desk, look, CUSTOMERS, name, found.parts[name]))
    whose = found.parts["customer_id"]
    made.add(_key("customer_id", identifier_sql(whose.column), whose))
    return made


def _key(name: str, sql: str, part: Part) -> Guess:
    evidence = f"column {part.column.name}"
    return Guess(column=name, sql=sql, certainty=certainty_of(part.score), evidence=evidence)


def _outcome(desk: Desk, found: Portfolio) -> Guess | None:
    """Write the outcome of each row, of codes or of a flag and its name."""
    column = found.label.column
    yes = positives(column)
    if yes is None:
        words = translate("outcome", column.codes)
        unknown = [code for code in column.codes if code not in words]
        sql = case_sql(column, {**words, **dict.fromkeys(unknown, "TODO")}, others="NULL")
        return Guess(
            column="outcome",
            sql=sql,
            certainty="yours" if unknown else "guess",
            evidence=f"column {column.name}: {len(words)} of {len(column.codes)} codes known"
            + (", as grades of loans" if are_grades(column.codes) else "")
            + ": confirm",
        )
    word = quote_text(outcome_of(column))
    return Guess(
        column="outcome",
        sql=f"CASE WHEN {yes} THEN {word}\nWHEN {column.sql} IS NOT NULL THEN 'cleared' END",
        certainty="guess",
        evidence=f"column {column.name} says yes for {share_of(desk, found.look, yes):.2%}; what "
        "yes means is taken from its name: confirm",
    )


def _snapshot(desk: Desk, found: Portfolio) -> PortfolioTables:
    customers = _customers(desk, found)
    cases = TableProposal(
        name=CASES, rows=found.look.sql, files=customers.files, optional=True,
        where=f"nullif(trim({found.label.column.text}), '') IS NOT NULL",
    )  # fmt: skip
    cases.add(customers.columns["customer_id"])
    cases.add(_outcome(desk, found))
    day, why = _day_of(found.look)
    told = f"snapshot: {why}; no feature may tell what came later: confirm the day"
    return PortfolioTables(
        kind=found.kind, tables=(customers, cases), snapshot=day, confirm=(told,)
    )


def _day_of(look: FileLook) -> tuple[date, str]:
    """Give the day of a snapshot: from the file's name, else the day before it was written."""
    path = look.found.paths[0]
    named = _DAY_IN_NAME.search(path.name)
    if named is not None:
        year, month, day = int(named[1]), int(named[2]), int(named[3] or 0)
        ends = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
        if day <= ends.day:
            told = "the day is taken" if day else "the end of the month is taken"
            return (ends.replace(day=day) if day else ends), f"{told} from the file's name"
    written = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).date()
    return written - timedelta(
        days=1
    ), "no day is told: the one before the file was written is taken"


def _panel(desk: Desk, found: Portfolio) -> PortfolioTables:
    """Write a version of each customer, a review and, where it is marked, a case for each month."""
    look, when, whose = found.look, found.parts["event_time"], found.parts["customer_id"]
    reading = when.time
    assert reading is not None  # noqa: S101  the kind was found by it
    monthly = reading.form == "months"
    day = f"CAST({reading.sql} AS DATE)"
    # a month without a day is dated at its end already
    begun, over = (f"{day} - 1", day) if monthly else (day, f"{day} + 1")
    customers = _customers(desk, found)
    happened = time_guess("event_time", replace(when, time=replace(reading, sql=begun)))
    customers.add(happened)
    over_guess = Guess(
        column="event_time",
        sql=over,
        certainty="guess",
        evidence=f"column {when.column.name}: a row is known, and its customer reviewed, when its "
        "day is over: confirm",
    )
    key = Guess(
        column="review_id",
        sql=f"concat_ws('@', {identifier_sql(whose.column)}, {when.column.text})",
        certainty="likely",
        evidence="one review for each row",
    )
    reviews = TableProposal(name=REVIEWS, rows=look.sql, files=(look.name,))
    for guess in (key, customers.columns["customer_id"], over_guess):
        reviews.add(guess)
    cases = TableProposal(
        name=CASES, rows=look.sql, files=(look.name,), where=positives(found.label.column)
    )
    for guess in (
        replace(key, column="case_id"),
        customers.columns["customer_id"],
        happened,
        replace(over_guess, column="known_at"),
    ):
        cases.add(guess)
    outcome = _outcome(desk, found)
    word = outcome_of(found.label.column)
    if cases.where is not None and outcome is not None:
        outcome = replace(outcome, sql=quote_text(word))
    cases.add(outcome)
    told = (
        f"cases: column {found.label.column.name} is taken for what happened in the row's own "
        "month; where it says what came after, let cases name their review_id: confirm"
    )
    return PortfolioTables(
        kind=found.kind,
        tables=(customers, reviews, cases),
        span=(reading.low, reading.high),
        confirm=(told,),
    )


def _applications(desk: Desk, found: Portfolio) -> PortfolioTables:
    """Write a review for each application, and a case that names it."""
    look, parts, label = found.look, found.parts, found.label
    whose, when = parts["customer_id"], parts["event_time"]
    reading = when.time
    assert reading is not None  # noqa: S101  the kind was found by it
    customer = identifier_sql(whose.column)
    own = parts.get("review_id")
    key = (
        _key("review_id", identifier_sql(own.column), own)
        if own is not None and own.column.unique
        else Guess(
            column="review_id",
            sql=f"concat_ws('@', {customer}, {when.column.text})",
            certainty="likely",
            evidence="no column names an application: its customer and day do",
        )
    )
    reviews = TableProposal(name=REVIEWS, rows=look.sql, files=(look.name,))
    for guess in (key, _key("customer_id", customer, whose), time_guess("event_time", when)):
        reviews.add(guess)
    cases = TableProposal(name=CASES, rows=look.sql, files=(look.name,), optional=True)
    for guess in (replace(key, column="case_id"), key, _key("customer_id", customer, whose)):
        cases.add(guess)
    last = max(reading.high, label.time.high if label.time else reading.high) + timedelta(days=1)
    extract = f"TIMESTAMP '{last:%Y-%m-%d}'"
    shown = f"the day after the last date of the file, {last:%Y-%m-%d}, is taken for the extract's"
    if label.time is not None:
        ended = f"TRY_CAST({label.time.sql} AS TIMESTAMP)"
        cases.add(
            Guess(
                column="event_time",
                sql=f"coalesce({ended}, {extract})",
                certainty="guess",
                evidence=f"column {label.column.name}: known that day; without one, {shown}: "
                "confirm",
            )
        )
        kind = outcome_of(replace(label.column, codes=()))
        cases.add(
            Guess(
                column="outcome",
                sql=f"CASE WHEN {ended} IS NOT NULL THEN {quote_text(kind)} ELSE 'cleared' END",
                certainty="guess",
                evidence=f"column {label.column.name}: an application without a day is cleared: "
                "confirm",
            )
        )
    elif (told := _told(desk, look, label, reading.low)) is not None:
        cases.add(time_guess("event_time", told))
        cases.add(_outcome(desk, found))
    else:
        cases.add(constant("event_time", f"{last:%Y-%m-%d}", f"nothing dates it: {shown}: confirm"))
        cases.add(_outcome(desk, found))
    return PortfolioTables(kind=found.kind, tables=(reviews, cases), span=(reading.low, last))
