"""Payments of each kind of laundering: one function draws one wave of payments.

Amounts are CNY, times microseconds of UTC. A wave starts at `start` and lasts less than
`WAVE_DAYS` days.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.records import Ledger, make_ledger, stack
from kyc_ml.onboarding.synthetic.settings import DAY, HOUR

# Source: PBOC Order 2016 No. 3, article 5: cash of 50 000 CNY or more is reported.
CASH_THRESHOLD: Final = 50_000.0
WAVE_DAYS: Final = 12

Wave = Callable[[Ints, int, float, Market, Generator], Ledger]
"""members, start, size (CNY), market, rng -> the payments that leave or reach members."""


def structure_cash(
    members: Ints, start: int, size: float, market: Market, rng: Generator
) -> Ledger:
    """Pay in cash in amounts of [0.8 T, T) over days, then send it on immediately."""
    n = int(rng.integers(3, 7))
    time = np.sort(start + rng.integers(0, 6 * DAY, n))
    amount = np.floor(CASH_THRESHOLD * rng.uniform(0.80, 0.999, n) / 100) * 100
    channel = np.where(rng.random(n) < 0.6, v.BRANCH, v.ATM)
    cash = make_ledger(
        time=time,
        customer=members[0],
        # rounding down may pass the lower end of the range
        amount=np.maximum(amount, 0.8 * CASH_THRESHOLD),
        incoming=True,
        instrument=v.CASH,
        channel=channel,
    )
    onward = amount.sum() * rng.uniform(0.85, 0.97)
    when = time[-1] + rng.integers(2 * HOUR, 72 * HOUR, 1)
    return stack(
        [cash, _transfer(members[0], when, np.array([onward]), market, rng, incoming=False)]
    )


def gather(members: Ints, start: int, size: float, market: Market, rng: Generator) -> Ledger:
    """Receive from many payers within days, then send nearly all to one or two (fan in)."""
    n = int(rng.integers(6, 15))
    time = np.sort(start + rng.integers(0, 5 * DAY, n))
    amount = size / n * np.exp(0.35 * rng.standard_normal(n))
    incoming = _transfer(members[0], time, amount, market, rng, incoming=True)
    outs = int(rng.integers(1, 3))
    parts = amount.sum() * rng.uniform(0.90, 0.98) * rng.dirichlet(np.full(outs, 4.0))
    when = time[-1] + np.sort(rng.integers(2 * HOUR, 60 * HOUR, outs))
    return stack([incoming, _transfer(members[0], when, parts, market, rng, incoming=False)])


def scatter(members: Ints, start: int, size: float, market: Market, rng: Generator) -> Ledger:
    """Receive one or two large sums, then send nearly all to many payees (fan out)."""
    ins = int(rng.integers(1, 3))
    time = np.sort(start + rng.integers(0, 2 * DAY, ins))
    amount = size * rng.dirichlet(np.full(ins, 4.0))
    incoming = _transfer(members[0], time, amount, market, rng, incoming=True)
    n = int(rng.integers(6, 15))
    parts = amount.sum() * rng.uniform(0.90, 0.98) * rng.dirichlet(np.full(n, 8.0))
    when = time[-1] + np.sort(rng.integers(2 * HOUR, 5 * DAY, n))
    return stack([incoming, _transfer(members[0], when, parts, market, rng, incoming=False)])


def pass_through(members: Ints, start: int, size: float, market: Market, rng: Generator) -> Ledger:
    """Receive and send on within 72 hours, keeping 2 to 10 % (flow through)."""
    episodes = int(rng.integers(2, 4))
    time = start + np.cumsum(rng.integers(12 * HOUR, 60 * HOUR, episodes))
    amount = size / episodes * np.exp(0.3 * rng.standard_normal(episodes))
    incoming = _transfer(members[0], time, amount, market, rng, incoming=True)
    split = rng.uniform(0.3, 0.7, episodes)
    passed = amount * rng.uniform(0.90, 0.98, episodes)
    parts = np.concatenate([passed * split, passed * (1.0 - split)])
    when = np.tile(time, 2) + rng.integers(1 * HOUR, 72 * HOUR, 2 * episodes)
    return stack([incoming, _transfer(members[0], when, parts, market, rng, incoming=False)])


def awaken(members: Ints, start: int, size: float, market: Market, rng: Generator) -> Ledger:
    """Move large sums through an account that was inactive (dormant reactivation).

    The first payment is at `start` itself, so that it ends the inactivity.
    """
    ins = int(rng.integers(2, 5))
    time = start + np.sort(rng.integers(0, 5 * DAY, ins))
    time[0] = start
    amount = 2.0 * size * rng.dirichlet(np.full(ins, 4.0))
    incoming = _transfer(members[0], time, amount, market, rng, incoming=True)
    n = int(rng.integers(2, 6))
    parts = amount.sum() * rng.uniform(0.85, 0.98) * rng.dirichlet(np.full(n, 4.0))
    when = time[-1] + np.sort(rng.integers(2 * HOUR, 4 * DAY, n))
    return stack([incoming, _transfer(members[0], when, parts, market, rng, incoming=False)])


def go_round(members: Ints, start: int, size: float, market: Market, rng: Generator) -> Ledger:
    """Pass a sum from member to member and back to the first, each keeping about 10 %.

    Only the outgoing side: the receiving side is its mirror.
    Source of the retention: IBM AMLSim, which forwards 90 %.
    """
    n = members.size
    time = start + np.cumsum(rng.integers(2 * HOUR, 48 * HOUR, n))
    kept = np.concatenate([[1.0], rng.uniform(0.87, 0.94, n - 1)])
    amount: Floats = size * np.cumprod(kept)
    payee = market.terminals + np.roll(members, -1)
    return make_ledger(
        time=time,
        customer=members,
        amount=amount,
        incoming=False,
        instrument=v.TRANSFER,
        channel=v.ONLINE,
        counterparty=payee,
        country=market.country[payee],
    )


def scatter_and_gather(
    members: Ints, start: int, size: float, market: Market, rng: Generator
) -> Ledger:
    """Split a sum among intermediaries, each of whom sends 90 to 98 % on within 3 days.

    The first member sends, the last one gathers, those between pass it on. Only the
    outgoing side: the receiving side is its mirror.
    Source of the shape: IBM AMLSim, alert type scatter-gather.
    """
    between = members[1:-1]
    n = between.size
    time = start + rng.integers(0, 3 * DAY, n)
    amount = size * rng.dirichlet(np.full(n, 8.0))
    when = time + rng.integers(2 * HOUR, 71 * HOUR, n)
    payee = market.terminals + np.concatenate([between, np.full(n, members[-1])])
    return make_ledger(
        time=np.concatenate([time, when]),
        customer=np.concatenate([np.full(n, members[0]), between]),
        amount=np.concatenate([amount, amount * rng.uniform(0.90, 0.98, n)]),
        incoming=False,
        instrument=v.TRANSFER,
        channel=rng.choice([v.ONLINE, v.MOBILE], 2 * n),
        counterparty=payee,
        country=market.country[payee],
    )


WAVES: Final[dict[int, Wave]] = {
    v.STRUCTURING: structure_cash,
    v.FAN_IN: gather,
    v.FAN_OUT: scatter,
    v.FLOW_THROUGH: pass_through,
    v.DORMANT_REACTIVATION: awaken,
    v.CYCLE: go_round,
    v.SCATTER_GATHER: scatter_and_gather,
}
AMONG_MEMBERS: Final = (v.CYCLE, v.SCATTER_GATHER)
"""Typologies whose payments all go from member to member."""


def first_leg(typology: int, wave: Ledger) -> Mask:
    """Return the payments of a wave that also honest customers make: one leg of two.

    Those of fan-out leave, all others arrive; a cycle does not close, a scattered sum stays
    with those who received it.
    """
    if typology == v.CYCLE:
        return np.arange(len(wave)) < len(wave) - 1
    if typology == v.SCATTER_GATHER:
        return np.arange(len(wave)) < len(wave) // 2
    return np.logical_xor(wave.incoming, typology == v.FAN_OUT)


def _transfer(
    customer: int, time: Ints, amount: Floats, market: Market, rng: Generator, *, incoming: bool
) -> Ledger:
    """Receive or send transfers; the device of those sent is filled in later."""
    other = _others(time.size, market, rng)
    # An incoming transfer draws no channel: another number of draws would change every bank.
    channel = v.ONLINE if incoming else rng.choice([v.ONLINE, v.MOBILE], time.size)
    return make_ledger(
        time=time,
        customer=customer,
        amount=amount,
        incoming=incoming,
        instrument=v.TRANSFER,
        channel=channel,
        counterparty=other,
        country=market.country[other],
    )


def _others(n: int, market: Market, rng: Generator) -> Ints:
    """Draw counterparties: three in twenty are mules that others use as well."""
    usual = market.draw_externals(n, rng=rng)
    return np.where(rng.random(n) < 0.15, rng.choice(market.mules, n), usual)
