"""Incidents: bursts of payments similar to a takeover or a theft; most of them are one.

An incident has a severity s from N(0, 1), which shapes all that can be seen of it (night,
strange device, country and province, amounts, pace), and is fraud with probability
``sigmoid(_GUILT_AT_ZERO + _GUILT_SLOPE * s)``. One Bernoulli draw decides for all its rows,
so they share their label. An incident that turns out honest stays in the bank: a large
purchase from a new phone, a burst of card payments abroad. The first incident of a kind is
planted for certain: its probability is 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.onboarding.synthetic import rhythm
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.customers import Customers
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.payments import Scales, round_to
from kyc_ml.onboarding.synthetic.records import (
    NONE,
    EventLog,
    Ledger,
    make_ledger,
    make_log,
    sigmoid,
    stack,
)
from kyc_ml.onboarding.synthetic.settings import SECOND, BankConfig
from kyc_ml.onboarding.synthetic.whereabouts import draw_elsewhere

# Share of the fraudulent transactions by typology. Convention, not theory.
_TAKEOVER_SHARE: Final = 0.36
_THEFT_SHARE: Final = 0.34
_GUILT_AT_ZERO: Final = 0.9
_GUILT_SLOPE: Final = 1.6
# Mean number of fraudulent rows of a takeover and of a theft, guilty or not; measured.
_ROWS_OF_TAKEOVER: Final = 1.85
_ROWS_OF_THEFT: Final = 2.30
_MINUTE: Final = 60 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidents:
    """Incidents of one kind; arrays of shape (n,). `device` is a stranger's or a new one.

    `province` is where a stranger orders, -1 if that is where the victim is.
    """

    victim: Ints
    time: Ints
    severity: Floats
    probability: Floats
    fraud: Mask
    device: Ints
    province: Ints
    ring: Ints


def count_incidents(config: BankConfig) -> tuple[int, int]:
    """Return how many takeovers and card thefts the fraud share asks for, at least 2 each."""
    frauds = config.transactions * config.fraud_share
    takeovers = max(2, round(frauds * _TAKEOVER_SHARE / _ROWS_OF_TAKEOVER))
    thefts = max(2, round(frauds * _THEFT_SHARE / _ROWS_OF_THEFT))
    return takeovers, thefts


def draw_incidents(
    n: int,
    first_ring: int,
    config: BankConfig,
    customers: Customers,
    *,
    rng: Generator,
    places: Generator,
) -> Incidents:
    """Draw victims among persons who are never quiet, times and labels.

    `places` is the stream of the provinces, apart from `rng`.
    """
    candidates = np.flatnonzero(customers.person & ~customers.sleeps)
    victim = rng.choice(candidates, n)
    severity = rng.standard_normal(n)
    severity[0] = 1.0
    probability = sigmoid(_GUILT_AT_ZERO + _GUILT_SLOPE * severity)
    probability[0] = 1.0
    first = customers.first_day[victim] + 1
    day = first + np.floor(rng.random(n) * (config.days - 3 - first)).astype(np.int64)
    at_night = rng.random(n) < sigmoid(0.8 * severity - 0.2)
    hours = np.where(at_night, rhythm.NIGHT, rhythm.PHONE)
    time = rhythm.draw_times(config, day, hours, rng=rng)
    count = len(customers)
    stranger = 2 * count + rng.integers(0, count, n)
    own = 2 * victim + (time >= customers.new_phone[victim])
    strange = rng.random(n) < sigmoid(1.2 + severity)
    elsewhere = places.random(n) < sigmoid(severity - 0.3)
    return Incidents(
        victim=victim,
        time=time,
        severity=severity,
        probability=probability,
        fraud=rng.random(n) < probability,
        device=np.where(strange, stranger, own),
        province=np.where(elsewhere, draw_elsewhere(customers.city[victim], rng=places), NONE),
        ring=first_ring + np.arange(n),
    )


def take_over_accounts(
    incidents: Incidents, market: Market, scales: Scales, *, rng: Generator
) -> tuple[Ledger, EventLog]:
    """Draw a burst of transfers to new payees, and the logins before it."""
    s = incidents.severity
    count = np.minimum(1 + rng.poisson(1.6 * np.exp(0.3 * s)), 8)
    of = np.repeat(np.arange(s.size), count)
    n = of.size
    order = _position_within(count)
    gap = rng.integers(2 * _MINUTE, 35 * _MINUTE, n)
    factor = np.exp(1.5 + 0.5 * s[of] + 0.7 * rng.standard_normal(n))
    habit = market.payees[incidents.victim[of], rng.integers(0, 5, n)]
    payee = np.where(rng.random(n) < 0.85, market.draw_externals(n, rng=rng), habit)
    mule = incidents.fraud[of] & (rng.random(n) < 0.3)
    payee = np.where(mule, rng.choice(market.mules, n), payee)
    ledger = make_ledger(
        customer=incidents.victim[of],
        incoming=False,
        time=incidents.time[of] + _running_sum(gap, order) + _MINUTE,
        amount=round_to(scales.out[incidents.victim[of]] * factor, 10),
        instrument=v.TRANSFER,
        channel=rng.choice([v.ONLINE, v.MOBILE], n),
        counterparty=payee,
        country=market.country[payee],
        device=incidents.device[of],
    )
    return _blame(ledger, incidents, of, v.ACCOUNT_TAKEOVER), _log_takeover(incidents, market, rng)


def steal_cards(incidents: Incidents, market: Market, scales: Scales, *, rng: Generator) -> Ledger:
    """Draw a burst of card payments at unusual shops, often after a probe of a few yuan."""
    s = incidents.severity
    count = np.minimum(2 + rng.poisson(1.6 * np.exp(0.3 * s)), 10)
    of = np.repeat(np.arange(s.size), count)
    n = of.size
    order = _position_within(count)
    probe = (rng.random(s.size) < sigmoid(s))[of] & (order == 0)
    large = scales.out[incidents.victim[of]] * np.exp(
        0.7 + 0.5 * s[of] + 0.7 * rng.standard_normal(n)
    )
    abroad = rng.random(n) < 0.7 * sigmoid(s[of] - 0.3)
    foreign = rng.choice(market.foreign_terminals, n)
    shop = np.where(abroad, foreign, rng.integers(0, market.terminals, n))
    web = shop >= market.first_web
    gap = rng.integers(3 * _MINUTE, 90 * _MINUTE, n)
    ledger = make_ledger(
        customer=incidents.victim[of],
        incoming=False,
        time=incidents.time[of] + _running_sum(gap, order),
        amount=np.where(probe, rng.uniform(1.0, 10.0, n), np.maximum(large, 15.0)),
        instrument=v.CARD,
        channel=np.where(web, v.ONLINE, v.POS),
        counterparty=shop,
        country=market.country[shop],
        device=np.where(web, incidents.device[of], NONE),
    )
    return _blame(ledger, incidents, of, v.STOLEN_CARD)


def _blame(ledger: Ledger, incidents: Incidents, of: Ints, typology: int) -> Ledger:
    """Mark the outgoing rows of incidents; honest incidents carry no typology."""
    fraud = incidents.fraud[of]
    return replace(
        ledger,
        probability=incidents.probability[of],
        fraud=fraud,
        typology=np.where(fraud, typology, NONE),
        ring=np.where(fraud, incidents.ring[of], NONE),
        province=incidents.province[of],
    )


def _log_takeover(incidents: Incidents, market: Market, rng: Generator) -> EventLog:
    s = incidents.severity
    everyone = np.arange(s.size)
    abroad = rng.random(s.size) < sigmoid(s - 0.8)
    country = np.where(abroad, rng.integers(1, len(v.COUNTRIES), s.size), v.HOME)
    failed = np.repeat(everyone, rng.poisson(np.exp(0.4 * s)))
    reset = np.flatnonzero(rng.random(s.size) < sigmoid(0.5 + s))
    changed = np.flatnonzero(incidents.device >= 2 * market.customers)
    steps = (
        (v.FAILED_LOGIN, failed, rng.integers(20, 60, failed.size)),
        (v.PASSWORD_RESET, reset, np.full(reset.size, 15)),
        (v.DEVICE_CHANGE, changed, np.full(changed.size, 8)),
        (v.LOGIN, everyone, np.full(s.size, 3)),
    )
    return stack(
        [
            make_log(
                time=incidents.time[who] - minutes * _MINUTE,
                customer=incidents.victim[who],
                kind=kind,
                device=incidents.device[who],
                channel=v.MOBILE,
                country=country[who],
            )
            for kind, who, minutes in steps
        ]
    )


def _position_within(count: Ints) -> Ints:
    start = np.repeat(np.cumsum(count) - count, count)
    return np.asarray(np.arange(start.size) - start, dtype=np.int64)


def _running_sum(gap: Ints, order: Ints) -> Ints:
    """Add up gaps within each incident; the first row of each comes after no gap."""
    total = np.cumsum(np.where(order == 0, 0, gap))
    start = np.flatnonzero(order == 0)
    before = np.repeat(total[start], np.diff(np.r_[start, gap.size]))
    return np.asarray(total - before, dtype=np.int64)
