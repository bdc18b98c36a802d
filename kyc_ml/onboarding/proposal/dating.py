"""When a case happened, and when it became known.

A label rarely has the time at which it became known. Without such a column a delay is assumed and
shown, because a label that is known immediately would reveal the outcome to features.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from kyc_ml.onboarding.proposal.columns import time_guess, todo_guess
from kyc_ml.onboarding.proposal.guesses import Guess, TableProposal
from kyc_ml.onboarding.proposal.roles import RolePart, RoleParts
from kyc_ml.onboarding.proposal.samples import Engine
from kyc_ml.onboarding.proposal.vocabulary import LABEL_TIME, note

BOOKED_AT: Final = "booked_at"
"""Column that a join of cases with their bookings adds: the booking's time."""
_DELAY_DAYS: Final = 30
_SHORT_DELAY_DAYS: Final = 7
_SHORT_DAYS: Final = 150


def delay_days(span: tuple[datetime, datetime] | None) -> int:
    """Return the assumed label delay in days.

    A month, a week in data of less than 150 days (convention).
    """
    short = span is None or span[1] - span[0] < timedelta(days=_SHORT_DAYS)
    return _SHORT_DELAY_DAYS if short else _DELAY_DAYS


def date_case(
    engine: Engine, made: TableProposal, parts: RoleParts, *, booking: RolePart | None, days: int
) -> None:
    """Date the cases of a file: when they happened, and when they became known.

    `booking`: the bookings' time, where the cases' rows have it as `BOOKED_AT`: it dates the
    conduct better than a date of the label, which may be the day of the finding.
    `days`: label delay where no column has the time at which a case became known.
    """
    own, known = parts.get("event_time") or parts.get(LABEL_TIME), parts.get("known_at")
    made.add(_event(parts, own, known, booking))
    event = made.columns.get("event_time")
    if event is None:
        return
    if known is not None:
        made.add(_known(engine, made, known, booking))
    elif booking is None or own is None:
        made.add(known_after(own or booking, event.sql, days=days))
    else:
        # of unknown meaning is the date, so the later of both counts
        sql = time_guess("known_at", own).sql
        later = f"greatest({_moment(BOOKED_AT, booking, own)}, {_moment(sql, booking, own)})"
        shown = note("known_after_both", days=days, column=own.column.name)
        made.add(Guess("known_at", f"{later} + INTERVAL {days} DAY", "guess", shown, (sql,)))


def _event(
    parts: RoleParts, own: RolePart | None, known: RolePart | None, booking: RolePart | None
) -> Guess | None:
    """Date the conduct: by its booking, by its own date, otherwise by when it became known."""
    if booking is not None and own is None:
        return Guess("event_time", BOOKED_AT, "likely", note("of_booking"))
    dated = own or known
    if dated is None:
        return None
    guess = time_guess("event_time", dated)
    if own is None:
        return replace(guess, certainty="guess", evidence=f"{guess.evidence}; {note('as_known')}")
    if booking is not None:
        sql = f"coalesce({_moment(BOOKED_AT, booking, own)}, {_moment(guess.sql, booking, own)})"
        shown = note("of_booking_or", other=guess.evidence)
        return Guess("event_time", sql, "likely", shown, (guess.sql,))
    if "event_time" in parts:
        return guess
    return replace(guess, certainty="guess", evidence=f"{guess.evidence}; or is it known_at?")


def _known(engine: Engine, made: TableProposal, known: RolePart, booking: RolePart | None) -> Guess:
    """Use a column for when the cases became known; a column of days does not give the hour."""
    guess = time_guess("known_at", known)
    guess = replace(guess, evidence=f"{guess.evidence}; {note('taken_for_known')}")
    if booking is None or known.time is None or not known.time.daily:
        return guess
    day = _moment(guess.sql, known)
    early = f"CAST({day} AS DATE) = CAST({_moment(BOOKED_AT, booking)} AS DATE)"
    same, rows = engine.counts(made.rows, f"count(*) FILTER ({early})", "count(*)")
    if not same:
        return guess
    return replace(
        guess,
        sql=f"CASE WHEN {early}\nTHEN {day} + INTERVAL 1 DAY ELSE {day} END",
        evidence=f"{guess.evidence}; {note('same_day', same=same, rows=rows)}",
    )


def known_after(part: RolePart | None, sql: str, *, days: int) -> Guess:
    """Assume a delay after a time; ISO text becomes one first, in its own zone if it has one."""
    if part is not None and part.todo:
        return todo_guess("known_at", part)
    iso = part is not None and part.time is not None and part.time.form.startswith("ISO")
    moment = _moment(sql, part) if iso and part is not None else sql
    shown = note("known_after", days=days)
    return Guess("known_at", f"{moment} + INTERVAL {days} DAY", "guess", shown)


def _moment(sql: str, *parts: RolePart) -> str:
    """Make a time of SQL that may be ISO text; in its own zone where all parts carry one."""
    zoned = all(part.time is not None and part.time.zoned for part in parts)
    return f"TRY_CAST({sql} AS {'TIMESTAMPTZ' if zoned else 'TIMESTAMP'})"
