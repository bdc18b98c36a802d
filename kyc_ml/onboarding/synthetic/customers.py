"""Customers as they are when the relationship begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.settings import DAY, HOUR, BankConfig

# Shares that give the bank its shape. Convention, not theory.
_ENTITY_SHARE: Final = 0.15
_FOREIGN_SHARE: Final = 0.03
_QUIET_SHARE: Final = 0.03
_NEW_SHARE: Final = 0.12
_NEW_PHONE_SHARE: Final = 0.35

# Median yearly income or turnover in CNY and log standard deviation, by segment.
_INCOME_MEDIAN: Final = np.array([110e3, 700e3, 2.5e6, 40e6])
_INCOME_SPREAD: Final = np.array([0.5, 0.5, 0.8, 0.8])
_ACTIVITY: Final = np.array([1.0, 1.6, 2.0, 3.0])

CITIES: Final = 8
NEVER: Final = np.iinfo(np.int64).max // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Customers:
    """The customers, one position each; arrays of shape (n,), words as positions.

    Attributes
    ----------
    income : CNY a year, as declared
    flow : CNY a year that truly flows, near the income
    activity : relative number of payments
    birth, expiry : days since 1970
    onboarded, new_phone : microseconds of UTC; `new_phone` is NEVER for most
    first_day : first day of the period on which the customer pays
    quiet_from, quiet_to : days of the period, half open, in which it does not pay
    risk : weight with which it is drawn into laundering
    """

    person: Mask
    foreign: Mask
    segment: Ints
    industry: Ints
    earning: Ints
    residence: Ints
    nationality: Ints
    city: Ints
    pep: Ints
    listed: Mask
    birth: Ints
    expiry: Ints
    onboarded: Ints
    onboarding: Ints
    income: Floats
    flow: Floats
    activity: Floats
    new_phone: Ints
    first_day: Ints
    quiet_from: Ints
    quiet_to: Ints
    risk: Floats

    def __len__(self) -> int:
        return int(self.person.size)

    @property
    def steady(self) -> Mask:
        """Customers from before the period who are never quiet."""
        steady: Mask = (self.first_day == 0) & ~self.sleeps
        return steady

    @property
    def sleeps(self) -> Mask:
        """Customers who are quiet for a time."""
        sleeps: Mask = self.quiet_from < self.quiet_to
        return sleeps


def make_customers(config: BankConfig, *, rng: Generator) -> Customers:
    """Draw the customers; the first profile version of each describes this state."""
    n = config.customers
    person = rng.random(n) >= _ENTITY_SHARE
    foreign = rng.random(n) < _FOREIGN_SHARE
    industry, earning = _draw_industries(person, rng)
    large = (rng.random(n) < 0.25) & (earning != v.CASH_BUSINESS)
    segment = np.where(
        person,
        np.where(rng.random(n) < 0.08, v.PRIVATE, v.RETAIL),
        np.where(large, v.CORPORATE, v.SME),
    )
    abroad = rng.integers(1, len(v.COUNTRIES), n)
    residence = np.where(rng.random(n) < np.where(foreign, 0.3, 0.01), abroad, v.HOME)
    onboarded, first_day = _draw_onboarding(config, n, rng)
    quiet_from, quiet_to = _draw_quiet_times(config, first_day, rng)
    income = _INCOME_MEDIAN[segment] * np.exp(_INCOME_SPREAD[segment] * rng.standard_normal(n))
    pep = np.where(rng.random(n) < 0.01, rng.integers(1, 3, n), 0)
    onboarding = rng.choice(3, n, p=[0.55, 0.35, 0.10])
    today = config.start_us // DAY
    age_days = np.where(person, rng.integers(19 * 365, 78 * 365, n), rng.integers(300, 9000, n))
    risk = _weigh_risk(earning, foreign, residence, pep, onboarding, rng=rng)
    switch = config.start_us + rng.integers(0, config.days * DAY, n)
    return Customers(
        person=person,
        foreign=foreign,
        segment=segment,
        industry=industry,
        earning=earning,
        residence=residence,
        nationality=np.where(foreign, abroad, v.HOME),
        city=rng.integers(0, CITIES, n),
        pep=pep,
        listed=rng.random(n) < np.minimum(0.003 * risk, 0.2),
        birth=np.minimum(today - age_days, onboarded // DAY - np.where(person, 365 * 16, 30)),
        expiry=today + rng.integers(-120, 3650, n),
        onboarded=onboarded,
        onboarding=onboarding,
        income=np.round(income, -3),
        flow=income * np.exp(0.25 * rng.standard_normal(n)),
        activity=rng.gamma(2.0, 0.5, n) * _ACTIVITY[segment] + 0.05,
        new_phone=np.where(rng.random(n) < _NEW_PHONE_SHARE, switch, NEVER),
        first_day=first_day,
        quiet_from=quiet_from,
        quiet_to=quiet_to,
        risk=risk,
    )


def _draw_industries(person: Mask, rng: Generator) -> tuple[Ints, Ints]:
    n = person.size
    occupation = rng.choice(len(v.OCCUPATIONS), n, p=[share for _, _, share in v.OCCUPATIONS])
    trade = rng.choice(len(v.TRADES), n, p=[share for _, _, share in v.TRADES])
    industry = np.where(person, occupation, len(v.OCCUPATIONS) + trade)
    return industry, np.array([how for _, how, _ in (*v.OCCUPATIONS, *v.TRADES)])[industry]


def _draw_onboarding(config: BankConfig, n: int, rng: Generator) -> tuple[Ints, Ints]:
    """Draw when the relationship began, and the day of the first payment."""
    # new customers join in the first two thirds of the period; the first payment is possible on the
    # day after
    new = rng.random(n) < _NEW_SHARE
    joined_day = rng.integers(0, config.days * 2 // 3, n)
    before = rng.integers(30, 12 * 365, n)
    day = np.where(new, joined_day, -before)
    onboarded = config.start_us + day * DAY + rng.integers(9 * HOUR, 18 * HOUR, n)
    return onboarded, np.maximum(day + 1, 0)


def _draw_quiet_times(config: BankConfig, first_day: Ints, rng: Generator) -> tuple[Ints, Ints]:
    """Draw a few older customers who are inactive for 42 to 60% of the period."""
    quiet_from = np.full(first_day.size, config.days)
    quiet_to = quiet_from.copy()
    old = np.flatnonzero(first_day == 0)
    chosen = rng.choice(old, max(6, round(_QUIET_SHARE * old.size)), replace=False)
    start = np.floor(config.days * rng.uniform(0.05, 0.25, chosen.size)).astype(np.int64)
    length = np.ceil(config.days * rng.uniform(0.42, 0.60, chosen.size)).astype(np.int64)
    quiet_from[chosen] = start
    quiet_to[chosen] = start + length
    return quiet_from, quiet_to


def _weigh_risk(
    earning: Ints,
    foreign: Mask,
    residence: Ints,
    pep: Ints,
    onboarding: Ints,
    *,
    rng: Generator,
) -> Floats:
    """Weigh how likely each customer is drawn into laundering. Convention, not theory."""
    score = np.array([0.0, 1.0, 1.2, 1.6, 1.2])[earning]
    score = score + 0.6 * foreign + 0.4 * (pep > 0) + np.array([0.0, 0.3, 0.7])[onboarding]
    score = score + 0.5 * (residence != v.HOME) + 0.8 * np.isin(residence, v.RISKY_COUNTRIES)
    return np.asarray(np.exp(score + 0.6 * rng.standard_normal(earning.size)), dtype=np.float64)
