"""When things happen: weekdays, hours of the day, months; local time of the bank."""

import datetime as dt
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.customers import Customers
from kyc_ml.onboarding.synthetic.settings import DAY, HOUR, UTC_OFFSET, BankConfig

SHOP, PHONE, OFFICE, NIGHT = range(4)
"""Rhythms of the day: shops, phones and computers, office hours, the small hours."""

# Relative number of payments in each hour from 0 to 23, local. Convention, not theory.
_HOURS: Final = np.array(
    [
        [1, 0, 0, 0, 0, 0, 1, 4, 6, 7, 8, 11, 13, 10, 8, 8, 9, 11, 13, 13, 10, 7, 4, 2],
        [5, 3, 2, 1, 1, 1, 3, 5, 7, 8, 9, 9, 10, 9, 8, 8, 8, 8, 9, 11, 12, 13, 11, 8],
        [0, 0, 0, 0, 0, 0, 0, 0, 3, 14, 16, 13, 6, 8, 14, 14, 11, 5, 1, 0, 0, 0, 0, 0],
        [9, 11, 12, 12, 9, 5, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 6],
    ],
    dtype=np.float64,
)
# Relative number of payments from Monday to Sunday: persons, then entities.
_WEEK: Final = np.array([[9, 9, 9, 9, 11, 14, 12], [12, 12, 12, 12, 13, 4, 2]], dtype=np.float64)

_NEW_MOON: Final = 2_451_550.09766  # 6 January 2000, Julian day
_LUNATION: Final = 29.530588861
_GOLDEN: Final = (np.sqrt(5.0) - 1.0) / 2.0


def draw_days(config: BankConfig, customers: Customers, customer: Ints, *, rng: Generator) -> Ints:
    """Draw a day of the period for each payment: more on busy weekdays, none when quiet."""
    days = np.empty(customer.size, dtype=np.int64)
    person = customers.person[customer]
    for kind, rows in enumerate((np.flatnonzero(person), np.flatnonzero(~person))):
        weekday = (config.first_day.weekday() + np.arange(config.days)) % 7
        edges = np.concatenate([[0.0], np.cumsum(_WEEK[kind][weekday] * season(config)[kind])])
        who = customer[rows]
        first = edges[customers.first_day[who]]
        gap_from, gap_to = edges[customers.quiet_from[who]], edges[customers.quiet_to[who]]
        room = edges[-1] - first - (gap_to - gap_from)
        at = first + rng.random(rows.size) * room
        at = np.where(at >= gap_from, at + (gap_to - gap_from), at)
        days[rows] = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, config.days - 1)
    return days


def draw_times(config: BankConfig, days: Ints, rhythm: Ints, *, rng: Generator) -> Ints:
    """Draw an instant of each local day by the rhythm; microseconds of UTC."""
    edges = np.cumsum(_HOURS, axis=1)
    hours = np.empty(days.size, dtype=np.int64)
    for kind in range(_HOURS.shape[0]):
        rows = np.flatnonzero(rhythm == kind)
        draws = rng.random(rows.size) * edges[kind, -1]
        hours[rows] = np.searchsorted(edges[kind], draws, side="right")
    within = rng.integers(0, HOUR, days.size)
    return config.start_us + days * DAY + hours * HOUR + within


def draw_instants(
    config: BankConfig, customers: Customers, customer: Ints, *, rng: Generator
) -> Ints:
    """Draw an instant of the period after each customer joined, whatever the hour."""
    first = config.start_us + customers.first_day[customer] * DAY
    end = config.start_us + config.days * DAY
    return first + np.floor(rng.random(customer.size) * (end - first)).astype(np.int64)


def active_on(customers: Customers, customer: Ints, day: Ints) -> Mask:
    """Return whether each customer pays on each day of the period."""
    quiet = (customers.quiet_from[customer] <= day) & (day < customers.quiet_to[customer])
    active: Mask = (customers.first_day[customer] <= day) & ~quiet
    return active


def month_starts(config: BankConfig) -> Ints:
    """Days of the period on which its calendar months begin; the first may be negative."""
    first = np.datetime64(config.first_day, "D")
    last = first + config.days - 1
    months = np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 1)
    return (months.astype("datetime64[D]") - first).astype(np.int64)


def spread(turn: Ints) -> Floats:
    """Turn whole numbers into numbers of [0, 1), of which any run of turns is even.

    Source: multiples of the golden ratio have the lowest discrepancy; Niederreiter 1992, Random
    Number Generation and Quasi-Monte Carlo Methods, section 3.1.
    """
    return np.asarray(turn * _GOLDEN % 1.0)


def follow_trend(luck: Floats, trend: float) -> Floats:
    """Turn even numbers of [0, 1) into ones whose density goes from 1 - trend to 1 + trend."""
    if not trend:
        return luck
    flat = 1.0 - trend
    return np.asarray((np.sqrt(flat**2 + 4.0 * trend * luck) - flat) / (2.0 * trend))


def spring_festival(year: int) -> dt.date:
    """Return the first day of the lunar year, right to a day: the new moon nearest to Lichun.

    Source: mean new moons of Meeus, Astronomical Algorithms, chapter 49 (without the periodic
    terms, which shift a new moon by up to 14 hours); Lichun is on 4 February.
    """
    lichun = dt.date(year, 2, 4).toordinal() + 1_721_424.5 + 0.5 - UTC_OFFSET / DAY
    month = round((lichun - _NEW_MOON) / _LUNATION)
    local = _NEW_MOON + month * _LUNATION + UTC_OFFSET / DAY
    return dt.date.fromordinal(int(np.floor(local - 1_721_424.5)))


def season(config: BankConfig) -> Floats:
    """Return the factors on the payments of persons and of entities, shape (2, days)."""
    days = [config.first_day + dt.timedelta(days=day) for day in range(config.days)]
    return np.array([_factors(day) for day in days]).T


def _factors(day: dt.date) -> Floats:
    to_festival = (spring_festival(day.year) - day).days
    parts = {
        "month_end": (day + dt.timedelta(days=3)).day <= 3,
        "before_new_year": 0 < to_festival <= 14,
        "new_year": -7 < to_festival <= 0,
        f"{day:%m-%d}": True,
    }
    table = v.CONDUCT["season"]
    factors = np.ones(2)
    for name, on in parts.items():
        factors *= table[name] if on and name in table else 1.0
    return factors
