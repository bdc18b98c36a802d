"""When a case happened, and when it came to light.

A label says what was found, seldom when it was known. Where no column tells, a delay is
assumed and said: a label known at once would give away the answer.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from kyc_ml.proposal.columns import time_guess, todo_guess
from kyc_ml.proposal.guesses import Guess, TableProposal
from kyc_ml.proposal.looking import Desk
from kyc_ml.proposal.roles import Part, Parts
from kyc_ml.proposal.vocabulary import LABEL_TIME

BOOKED_AT: Final = "booked_at"
"""Column that a join of cases with their bookings adds: the booking's time."""
DELAY_DAYS: Final = 30
SHORT_DELAY_DAYS: Final = 7
_SHORT_DAYS: Final = 150
_BOOKING: Final = "the time of the booking in question"
_KEEP_IN_STEP: Final = "confirm, and keep label_maturity_days of the run configuration in step"


def delay_days(span: tuple[datetime, datetime] | None) -> int:
    """Days after which a label is assumed known: a month, a week in short data (convention)."""
    short = span is None or span[1] - span[0] < timedelta(days=_SHORT_DAYS)
    return SHORT_DELAY_DAYS if short else DELAY_DAYS


def date_case(
    desk: Desk, made: TableProposal, parts: Parts, *, booking: Part | None, days: int
) -> None:
    """Say when the cases of a file happened, and when they came to light.

    Parameters
    ----------
    booking : Part or None
        The bookings' time, where the cases' rows carry it as `BOOKED_AT`: it dates the
        conduct better than a date beside the label, which may be that of the finding.
    days : int
        Delay to assume where no column tells when a case came to light.
    """
    own, known = parts.get("event_time") or parts.get(LABEL_TIME), parts.get("known_at")
    made.add(_event(parts, own, known, booking))
    event = made.columns.get("event_time")
    if event is None:
        return
    if known is not None:
        made.add(_known(desk, made, known, booking))
    elif booking is None or own is None:
        made.add(known_after(own or booking, event.sql, days=days))
    else:
        made.add(_after_both(own, booking, days=days))


def _event(
    parts: Parts, own: Part | None, known: Part | None, booking: Part | None
) -> Guess | None:
    """Date the conduct: by its booking, by its own date, at worst by when it was known."""
    if booking is not None and own is None:
        return Guess(column="event_time", sql=BOOKED_AT, certainty="likely", evidence=_BOOKING)
    if own is None:
        return None if known is None else _as_known(known)
    guess = time_guess("event_time", own)
    if booking is not None:
        return Guess(
            column="event_time",
            sql=f"coalesce({_moment(BOOKED_AT, booking, own)}, {_moment(guess.sql, booking, own)})",
            certainty="likely",
            evidence=f"{_BOOKING}; where it is not found, {guess.evidence}",
            alternatives=(guess.sql,),
        )
    if "event_time" in parts:
        return guess
    return replace(guess, certainty="guess", evidence=f"{guess.evidence}; or is it known_at?")


def _as_known(known: Part) -> Guess:
    guess = time_guess("event_time", known)
    shown = "nothing dates the conduct itself, so it is dated when it came to light: confirm"
    return replace(guess, certainty="guess", evidence=f"{guess.evidence}; {shown}")


def _known(desk: Desk, made: TableProposal, known: Part, booking: Part | None) -> Guess:
    """Take a column for when the cases came to light; one of days cannot tell the hour."""
    guess = time_guess("known_at", known)
    guess = replace(guess, evidence=f"{guess.evidence}; taken for when it came to light")
    if booking is None or known.time is None or not known.time.daily:
        return guess
    day = _moment(guess.sql, known)
    early = f"CAST({day} AS DATE) = CAST({_moment(BOOKED_AT, booking)} AS DATE)"
    row = desk.one(f"SELECT count(*) FILTER ({early}), count(*) FROM {made.rows}")
    same, rows = (int(number or 0) for number in row)  # type: ignore[call-overload]
    if not same:
        return guess
    return replace(
        guess,
        sql=f"CASE WHEN {early}\nTHEN {day} + INTERVAL 1 DAY ELSE {day} END",
        evidence=f"{guess.evidence}; {same:,} of {rows:,} on the booking's own day: known when "
        "the day ends",
    )


def known_after(part: Part | None, sql: str, *, days: int) -> Guess:
    """Assume a delay after a time; ISO text becomes one first, in its own zone if it has one."""
    if part is not None and part.todo:
        return todo_guess("known_at", part)
    iso = part is not None and part.time is not None and part.time.form.startswith("ISO")
    moment = _moment(sql, part) if iso and part is not None else sql
    return Guess(
        column="known_at",
        sql=f"{moment} + INTERVAL {days} DAY",
        certainty="guess",
        evidence=f"no column tells when it came to light: {days} days later is assumed; "
        f"{_KEEP_IN_STEP}",
    )


def _after_both(own: Part, booking: Part, *, days: int) -> Guess:
    """Assume a delay after the booking and a date of unknown meaning, whichever is later."""
    sql = time_guess("known_at", own).sql
    later = f"greatest({_moment(BOOKED_AT, booking, own)}, {_moment(sql, booking, own)})"
    return Guess(
        column="known_at",
        sql=f"{later} + INTERVAL {days} DAY",
        certainty="guess",
        evidence=f"no column tells when it came to light: {days} days after the booking and "
        f"{own.column.name}, whichever is later, is assumed; if {own.column.name} is when it came "
        f"to light, write that alone; {_KEEP_IN_STEP}",
        alternatives=(sql,),
    )


def _moment(sql: str, *parts: Part) -> str:
    """Make a time of SQL that may be ISO text; in its own zone where all parts carry one."""
    zoned = all(part.time is not None and part.time.zoned for part in parts)
    return f"TRY_CAST({sql} AS {'TIMESTAMPTZ' if zoned else 'TIMESTAMP'})"
