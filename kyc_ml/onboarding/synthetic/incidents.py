"""Bursts: some payments of one customer within hours or days, fraudulent or only alike.

``conduct.yaml`` lists the kinds with their signs. A burst has a severity s from N(0, 1), which
shapes its amounts and length; a burst of a fraudulent kind is fraud with probability
``sigmoid(guilt + s)``. One Bernoulli draw decides for all its rows, so they share their label. The
first burst of each fraudulent kind is planted for certain: its probability is 1. Bursts of the
other kinds are honest for certain: purchases at night, new phones, journeys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from scipy.special import ndtri

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.onboarding.synthetic import records, rhythm
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.payments import Scales, round_to
from kyc_ml.onboarding.synthetic.settings import SECOND, BankConfig
from kyc_ml.onboarding.synthetic.whereabouts import draw_elsewhere

Kind = Mapping[str, Any]
_MINUTE: Final = 60 * SECOND
_MAX_ROWS: Final = 10
_LENGTH_BY_SEVERITY: Final = 0.3
_SIZE_BY_SEVERITY: Final = 0.3
_SIZE_SPREAD: Final = 0.6
_MULE_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """Bursts of one kind; arrays of shape (n,).

    `unknown` is whether the device is new to the bank; `province` is -1 where the customer is.
    """

    victim: Ints
    time: Ints
    severity: Floats
    probability: Floats
    fraud: Mask
    unknown: Mask
    device: Ints
    province: Ints


def make_bursts(
    market: Market, scales: Scales, *, first_ring: int, rng: Generator
) -> tuple[records.Ledger, records.EventLog]:
    """Draw the bursts of all kinds, with the logins and changes of device before them.

    Each has a ring, the look-alikes too.
    """
    ledgers, logs = [], []
    ring = first_ring
    for kind in (*v.CONDUCT["transfers"], *v.CONDUCT["cards"]):
        bursts = _draw_bursts(kind, market, rng=rng)
        ledgers.append(_pay(kind, bursts, ring, market, scales, rng=rng))
        if "reset" in kind:
            logs.append(_log_logins(kind, bursts, rng=rng))
        ring += bursts.victim.size
    return records.stack(ledgers), records.stack(logs)


def _count(kind: Kind, config: BankConfig) -> int:
    """Return how many bursts of a kind the bank has, at least 2."""
    if "frauds" not in kind:
        alike: float = kind["per_thousand"] * config.transactions / 1000.0
        return max(2, round(alike))
    severity = ndtri(np.linspace(0.0005, 0.9995, 1000))
    guilt = records.sigmoid(v.CONDUCT["guilt"] + severity)
    rows = kind["rows"][0] + kind["rows"][1] * np.exp(_LENGTH_BY_SEVERITY * severity)
    frauds: float = kind["frauds"] * config.transactions * config.fraud_share
    return max(2, round(frauds / float((guilt * rows).mean())))


def _draw_bursts(kind: Kind, market: Market, *, rng: Generator) -> Bursts:
    """Draw victims among persons who are never quiet, times, devices, places and labels."""
    people, config = market.people, market.config
    n = _count(kind, config)
    victim = rng.choice(np.flatnonzero(people.person & ~people.sleeps), n)
    severity = rng.standard_normal(n)
    probability = np.zeros(n)
    # an honest unknown device is the customer's own third one
    third = 2 * market.customers + victim
    if "frauds" in kind:
        probability = records.sigmoid(v.CONDUCT["guilt"] + severity)
        probability[0] = 1.0
        third = 2 * market.customers + rng.integers(0, market.customers, n)
    first = people.first_day[victim] + 1
    luck = (rng.permutation(n) + rng.random(n)) / n  # as many in each month, but for the trend
    share = rhythm.follow_trend(luck, kind.get("trend", 0.0))
    day = first + np.floor(share * (config.days - 3 - first)).astype(np.int64)
    hours = np.where(rng.random(n) < kind["night"], rhythm.NIGHT, rhythm.SHOP)
    time = rhythm.draw_times(config, day, hours, rng=rng)
    unknown = rng.random(n) < kind["device"]
    elsewhere = draw_elsewhere(people.city[victim], rng=rng)
    return Bursts(
        victim=victim,
        time=time,
        severity=severity,
        probability=probability,
        fraud=rng.random(n) < probability,
        unknown=unknown,
        device=np.where(unknown, third, market.device_at(victim, time)),
        province=np.where(rng.random(n) < kind["elsewhere"], elsewhere, records.NONE),
    )


def _pay(
    kind: Kind, bursts: Bursts, first_ring: int, market: Market, scales: Scales, *, rng: Generator
) -> records.Ledger:
    """Draw the payments: transfers to payees, or card payments at shops."""
    s = bursts.severity
    more = rng.poisson(kind["rows"][1] * np.exp(_LENGTH_BY_SEVERITY * s))
    count = np.minimum(kind["rows"][0] + more, _MAX_ROWS)
    of = np.repeat(np.arange(s.size), count)
    n = of.size
    start = np.repeat(np.cumsum(count) - count, count)
    order = np.asarray(np.arange(start.size) - start, dtype=np.int64)
    customer, fraud = bursts.victim[of], bursts.fraud[of]
    gap = rng.integers(_MINUTE, 2 * kind["gap"] * _MINUTE, n)
    size = kind["size"] + _SIZE_BY_SEVERITY * s[of] + _SIZE_SPREAD * rng.standard_normal(n)
    amount = scales.out[customer] * np.exp(size)
    typology = v.TYPOLOGIES.index(kind["typology"]) if "frauds" in kind else records.NONE
    if "shop" in kind:
        instrument = v.CARD
        other = _choose_shops(kind["shop"], n, market, rng)
        channel = np.where(other >= market.first_web, v.ONLINE, v.POS)
        probe = (rng.random(s.size) < kind["probe"])[of] & (order == 0)
        amount = np.where(probe, rng.uniform(1.0, 10.0, n), np.maximum(amount, 15.0))
    else:
        instrument = v.TRANSFER
        other = _choose_payees(kind["new"], customer, fraud, market, rng)
        channel = rng.choice([v.ONLINE, v.MOBILE], n)
        amount = round_to(amount, 10)
    return records.make_ledger(
        time=bursts.time[of] + _running_sum(gap, order),
        customer=customer,
        amount=amount,
        incoming=False,
        instrument=instrument,
        channel=channel,
        counterparty=other,
        country=market.country[other],
        device=np.where(channel == v.POS, records.NONE, bursts.device[of]),
        probability=bursts.probability[of],
        fraud=fraud,
        typology=np.where(fraud, typology, records.NONE),
        ring=first_ring + of,
        province=bursts.province[of],
    )


def _choose_payees(new: float, customer: Ints, fraud: Mask, market: Market, rng: Generator) -> Ints:
    """Choose payees, new or usual ones; frauds also use mules again and again."""
    n = customer.size
    habit = market.payees[customer, rng.integers(0, 5, n)]
    payee = np.where(rng.random(n) < new, market.draw_externals(n, rng=rng), habit)
    mule = fraud & (rng.random(n) < _MULE_SHARE)
    return np.where(mule, rng.choice(market.mules, n), payee)


def _choose_shops(where: str, n: int, market: Market, rng: Generator) -> Ints:
    """Choose shops at random, at home or abroad, on the web or not."""
    abroad = market.country[: market.terminals] != v.HOME
    web = np.arange(market.terminals) >= market.first_web
    fits = (abroad == where.startswith("foreign")) & (web == where.endswith("web"))
    return rng.choice(np.flatnonzero(fits), n)


def _log_logins(kind: Kind, bursts: Bursts, *, rng: Generator) -> records.EventLog:
    """Log what comes before transfers: failed logins and a new password, a new device, a login."""
    n = bursts.victim.size
    reset = np.flatnonzero(rng.random(n) < kind["reset"])
    failed = np.repeat(reset, rng.poisson(1.5, reset.size))
    changed = np.flatnonzero(bursts.unknown)
    steps = (
        (v.FAILED_LOGIN, failed, rng.integers(20, 60, failed.size)),
        (v.PASSWORD_RESET, reset, np.full(reset.size, 15)),
        (v.DEVICE_CHANGE, changed, np.full(changed.size, 8)),
        (v.LOGIN, np.arange(n), np.full(n, 3)),
    )
    return records.stack(
        [
            records.make_log(
                time=bursts.time[who] - minutes * _MINUTE,
                customer=bursts.victim[who],
                kind=what,
                device=bursts.device[who],
                channel=v.MOBILE,
            )
            for what, who, minutes in steps
        ]
    )


def _running_sum(gap: Ints, order: Ints) -> Ints:
    """Add up gaps within each burst; the first row of each comes after no gap."""
    total = np.cumsum(np.where(order == 0, 0, gap))
    start = np.flatnonzero(order == 0)
    before = np.repeat(total[start], np.diff(np.r_[start, gap.size]))
    return np.asarray(total - before, dtype=np.int64)
