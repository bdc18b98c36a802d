"""Province in which payments are ordered: at home, on a trip, or by a stranger elsewhere.

A customer is at home in the province of its city, and on every payment of a trip in the one
province that the trip leads to. An incoming transfer is ordered by its payer: usual payers
and employers pay through a branch at the customer's place, customers from where they are,
all others from their own province. A stranger may order an incident elsewhere (see the module
incidents). The countries of logins are drawn separately.

There is no province for card payments in shops abroad, for transfers ordered abroad, and for
orders by phone or computer of customers who live abroad.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Ints, Mask
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.records import NONE, Ledger
from kyc_ml.onboarding.synthetic.settings import DAY

# Convention, not theory: four trips a year of five days, every other one to a usual place.
_TRIPS_PER_YEAR: Final = 4.0
_MEAN_DAYS: Final = 5.0
_USUAL_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Provinces of customers, day by day, and of externals."""

    start: int
    calendar: int
    home: Ints
    """Province of each customer's city."""
    external: Ints
    """Province of each external."""
    departure: Ints
    """Customer and day on which each trip begins, as one number; ascending."""
    days: Ints
    goal: Ints
    """`days` and `goal`: length and province of each trip."""

    def locate(self, customer: Ints, time: Ints) -> tuple[Ints, Mask]:
        """Return the province each customer is in at a time, and whether it travels.

        Of two simultaneous trips the later one counts; after it the customer is at home.
        """
        now = customer * self.calendar + (time - self.start) // DAY
        trip = np.searchsorted(self.departure, now, side="right") - 1
        away = (trip >= 0) & (now < self.departure[trip] + self.days[trip])
        return np.where(away, self.goal[trip], self.home[customer]), away


def draw_whereabouts(market: Market, *, rng: Generator) -> Whereabouts:
    """Draw the trips of persons and the provinces of externals; entities stay at home."""
    # A longer calendar than the period, so that no trip reaches into the next customer's.
    longest = 60
    calendar = market.config.days + longest
    rate = np.where(market.people.person, _TRIPS_PER_YEAR * market.config.days / 365.0, 0.0)
    who = np.repeat(np.arange(len(market.people)), rng.poisson(rate))
    departure = np.sort(who * calendar + rng.integers(0, market.config.days, who.size))
    usual = draw_elsewhere(market.people.city, rng=rng)[who]
    other = draw_elsewhere(market.people.city[who], rng=rng)
    return Whereabouts(
        start=market.config.start_us,
        calendar=calendar,
        home=market.people.city,
        external=rng.integers(0, len(v.PROVINCES), market.country.size - market.first_external),
        departure=departure,
        days=np.minimum(rng.geometric(1.0 / _MEAN_DAYS, who.size), longest),
        goal=np.where(rng.random(who.size) < _USUAL_SHARE, usual, other),
    )


def draw_elsewhere(home: Ints, *, rng: Generator) -> Ints:
    """Draw a province other than each of `home`."""
    step = rng.integers(1, len(v.PROVINCES), home.size)
    return np.asarray((home + step) % len(v.PROVINCES), dtype=np.int64)


def locate_payments(ledger: Ledger, market: Market, whereabouts: Whereabouts) -> Ints:
    """Return the province in which each payment was ordered; -1 where none is known.

    Both bookings of a transfer between customers have the payer's, seconds apart.
    """
    received = ledger.incoming & (ledger.instrument == v.TRANSFER)
    inside = (ledger.counterparty >= market.terminals) & (
        ledger.counterparty < market.first_external
    )
    orderer = np.where(received & inside, ledger.counterparty - market.terminals, ledger.customer)
    province, away = whereabouts.locate(orderer, ledger.time)
    remote = np.isin(ledger.channel, (v.ONLINE, v.MOBILE))
    province[remote & ~away & (market.people.residence[orderer] != v.HOME)] = NONE
    rows = np.flatnonzero(received & ~inside)
    payee, payer = ledger.customer[rows], ledger.counterparty[rows]
    usual = payer == market.employer[payee]
    usual |= (market.payees[payee] == payer[:, None]).any(axis=1)
    own = whereabouts.external[payer - market.first_external]
    near = np.where(usual, whereabouts.home[payee], own)
    province[rows] = np.where(ledger.country[rows] == v.HOME, near, NONE)
    strange = np.flatnonzero(ledger.province >= 0)
    province[strange] = ledger.province[strange]
    province[(ledger.channel == v.POS) & (ledger.country != v.HOME)] = NONE
    return province
