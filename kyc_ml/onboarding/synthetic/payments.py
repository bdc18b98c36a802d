"""Honest payments of customers."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.onboarding.synthetic import rhythm
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.customers import Customers
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.records import NONE, Ledger, make_ledger, stack
from kyc_ml.onboarding.synthetic.settings import DAY, HOUR, SECOND, BankConfig

_POS, _WEB, _ATM, _PAY, _RECEIVE, _DEPOSIT, _CHEQUE_OUT, _CHEQUE_IN = range(8)

# One row a kind: incoming, instrument, rhythm, factor on the amount.
_INCOMING: Final = np.array([False, False, False, False, True, True, False, True])
_INSTRUMENT: Final = np.array(
    [v.CARD, v.CARD, v.CASH, v.TRANSFER, v.TRANSFER, v.CASH, v.CHEQUE, v.CHEQUE]
)
_FACTOR: Final = np.array([0.6, 0.6, 1.5, 2.5, 1.0, 1.0, 4.0, 3.0])
_SPREAD: Final = 0.8

# Share of each kind by how a customer earns. Convention, not theory.
_MIX: Final = np.array(
    [
        [0.42, 0.24, 0.09, 0.13, 0.07, 0.03, 0.01, 0.01],
        [0.25, 0.18, 0.07, 0.20, 0.22, 0.06, 0.01, 0.01],
        [0.08, 0.05, 0.04, 0.28, 0.20, 0.33, 0.01, 0.01],
        [0.05, 0.05, 0.01, 0.42, 0.40, 0.03, 0.02, 0.02],
        [0.06, 0.06, 0.02, 0.45, 0.33, 0.02, 0.03, 0.03],
    ]
)
_INTERNAL_SHARE: Final = 0.08
_HABIT_SHARE: Final = 0.8
_SPENT_SHARE: Final = 0.85
# A salaried customer's income comes as salary; other inflows add a tenth.
_OTHER_INFLOW: Final = np.array([0.1, 1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """Mean amount of an outgoing and of an incoming payment, CNY, per customer."""

    out: Floats
    income: Floats


def make_scales(config: BankConfig, customers: Customers) -> Scales:
    """Derive typical amounts, so that a year's flows come near the true yearly flow."""
    years = (config.days - customers.first_day) / 365.0
    share = customers.activity / customers.activity.sum()
    rows = np.maximum(config.transactions * share / np.maximum(years, 0.05), 4.0)
    mix = _MIX[customers.earning]
    units_out = mix @ (_FACTOR * ~_INCOMING)
    units_in = mix @ (_FACTOR * _INCOMING)
    inflow = customers.flow * _OTHER_INFLOW[customers.earning]
    return Scales(
        out=_SPENT_SHARE * customers.flow / (rows * units_out),
        income=inflow / (rows * units_in),
    )


def make_payments(n: int, market: Market, scales: Scales, *, rng: Generator) -> Ledger:
    """Draw exactly `n` honest payments.

    A transfer between two customers is two of them: out of one account, into the other.
    """
    salaries = _pay_salaries(n, market, rng=rng)
    pairs = round((n - len(salaries)) * _INTERNAL_SHARE / 2)
    between = _pay_each_other(pairs, market, scales, rng=rng)
    rest = n - len(salaries) - len(between)
    singles = _pay_the_world(rest, market, scales, rng=rng)
    return stack([salaries, between, singles])


def mirror(ledger: Ledger, market: Market, *, rng: Generator) -> Ledger:
    """Book outgoing payments to customers on the receiving side, 1 to 20 seconds later."""
    return make_ledger(
        time=ledger.time + rng.integers(SECOND, 20 * SECOND, len(ledger)),
        customer=ledger.counterparty - market.terminals,
        amount=ledger.amount,
        incoming=True,
        instrument=ledger.instrument,
        channel=ledger.channel,
        counterparty=ledger.customer + market.terminals,
        country=market.country[ledger.customer + market.terminals],
        typology=ledger.typology,
        ring=ledger.ring,
    )


def draw_payers(n: int, customers: Customers, *, rng: Generator) -> Ints:
    """Draw who pays, by activity."""
    edges = np.cumsum(customers.activity)
    return np.asarray(np.searchsorted(edges, rng.random(n) * edges[-1], side="right"), np.int64)


def round_to(amount: Floats, unit: int) -> Floats:
    """Round amounts to multiples of `unit` CNY, at least one."""
    return np.maximum(np.round(amount / unit) * unit, unit)


def _pay_salaries(limit: int, market: Market, *, rng: Generator) -> Ledger:
    """Pay salaries and pensions monthly, near the employer's day; at most half of `limit`."""
    employed = np.flatnonzero(market.people.earning == v.SALARIED)
    months = rhythm.month_starts(market.config)
    payday = 4 + (market.employer[employed] * 7) % 22
    days = (months[None, :] + payday[:, None]).ravel()
    # a strict day would make the longest silence of half of the bank the length of a month: its
    # distribution would change from each month to the next
    days += rng.integers(-3, 4, days.size)
    who = np.repeat(employed, months.size)
    inside = (days >= 0) & (days < market.config.days)
    inside[inside] = rhythm.active_on(market.people, who[inside], days[inside])
    who, days = who[inside][: limit // 2], days[inside][: limit // 2]
    noise = np.exp(0.03 * rng.standard_normal(who.size))
    at = market.config.start_us + days * DAY + rng.integers(9 * HOUR, 12 * HOUR, who.size)
    return make_ledger(
        time=at,
        customer=who,
        amount=market.people.flow[who] / 12.0 * noise,
        incoming=True,
        instrument=v.TRANSFER,
        channel=v.ONLINE,
        counterparty=market.employer[who],
        country=market.country[market.employer[who]],
    )


def _pay_each_other(pairs: int, market: Market, scales: Scales, *, rng: Generator) -> Ledger:
    """Transfer between customers; the amount suits both sides."""
    payer = draw_payers(pairs, market.people, rng=rng)
    slot = rng.integers(0, market.customer_payees.shape[1], pairs)
    payee = market.customer_payees[payer, slot]
    steady = np.flatnonzero(market.people.steady)
    # a customer who would pay itself pays the next one instead
    after = steady[np.searchsorted(steady, payee - market.terminals, side="right") % steady.size]
    payee = np.where(payee - market.terminals == payer, market.terminals + after, payee)
    days = rhythm.draw_days(market.config, market.people, payer, rng=rng)
    time = rhythm.draw_times(market.config, days, np.full(pairs, rhythm.PHONE), rng=rng)
    typical = np.sqrt(scales.out[payer] * scales.out[payee - market.terminals])
    out = make_ledger(
        time=time,
        customer=payer,
        amount=_round_some(1.5 * typical * _noise(pairs, rng), rng),
        incoming=False,
        instrument=v.TRANSFER,
        channel=v.MOBILE,
        counterparty=payee,
        country=market.country[payee],
        device=market.device_at(payer, time),
    )
    return stack([out, mirror(out, market, rng=rng)])


def _pay_the_world(n: int, market: Market, scales: Scales, *, rng: Generator) -> Ledger:
    who = draw_payers(n, market.people, rng=rng)
    days = rhythm.draw_days(market.config, market.people, who, rng=rng)
    years = days / 365.0
    drift = v.CONDUCT["drift"]
    kind = _draw_kinds(market.people.earning[who], rng)
    lost = (kind == _ATM) & (rng.random(n) < drift["cash_to_web"] * years)
    kind = np.where(lost, _WEB, kind)
    channel = _draw_channels(kind, rng)
    moved = (channel == v.ONLINE) & ~_INCOMING[kind]
    moved &= rng.random(n) < drift["online_to_mobile"] * years
    channel = np.where(moved, v.MOBILE, channel)
    time = rhythm.draw_times(market.config, days, _rhythm_of(kind, channel), rng=rng)
    counterparty = _draw_counterparties(kind, who, market, rng)
    typical = np.where(_INCOMING[kind], scales.income[who], scales.out[who]) * _FACTOR[kind]
    typical = typical * (1.0 + drift["amount"]) ** years
    terminal = np.clip(counterparty, 0, market.terminals - 1)
    price = np.where(_is_card(kind), market.price[terminal], 1.0)
    remote = np.isin(channel, (v.ONLINE, v.MOBILE)) & ~_INCOMING[kind]
    return make_ledger(
        time=time,
        customer=who,
        amount=_round_some(typical * price * _noise(n, rng), rng, cash=_INSTRUMENT[kind] == v.CASH),
        incoming=_INCOMING[kind],
        instrument=_INSTRUMENT[kind],
        channel=channel,
        counterparty=counterparty,
        country=np.where(counterparty >= 0, market.country[counterparty], v.HOME),
        device=np.where(remote, market.device_at(who, time), NONE),
    )


def _draw_kinds(earning: Ints, rng: Generator) -> Ints:
    kind = np.empty(earning.size, dtype=np.int64)
    for how in range(_MIX.shape[0]):
        rows = np.flatnonzero(earning == how)
        kind[rows] = np.searchsorted(np.cumsum(_MIX[how])[:-1], rng.random(rows.size))
    return kind


def _draw_channels(kind: Ints, rng: Generator) -> Ints:
    luck = rng.random(kind.size)
    remote = np.where(luck < 0.55, v.MOBILE, v.ONLINE)
    transfer = np.where(luck > 0.9, v.BRANCH, remote)
    counter = np.where(luck < 0.5, v.ATM, v.BRANCH)
    branch, till, machine, arrival = (
        np.full(kind.size, word) for word in (v.BRANCH, v.POS, v.ATM, v.ONLINE)
    )
    by_kind = [till, remote, machine, transfer, arrival, counter, branch, branch]
    return np.choose(kind, by_kind)


def _rhythm_of(kind: Ints, channel: Ints) -> Ints:
    remote = np.isin(channel, (v.ONLINE, v.MOBILE))
    counter = (channel == v.BRANCH) | (kind == _RECEIVE)
    return np.where(counter, rhythm.OFFICE, np.where(remote, rhythm.PHONE, rhythm.SHOP))


def _draw_counterparties(kind: Ints, who: Ints, market: Market, rng: Generator) -> Ints:
    """Choose the usual counterparty, or at times a new one; none for cash."""
    n = kind.size
    habit = rng.random(n) < _HABIT_SHARE
    slot = rng.integers(0, 5, n)
    shop = np.where(kind == _POS, market.shops[who, slot], market.webshops[who, slot])
    terminal = np.where(habit, shop, market.draw_terminals(n, rng=rng))
    external = np.where(habit, market.payees[who, slot], market.draw_externals(n, rng=rng))
    cash = _INSTRUMENT[kind] == v.CASH
    return np.where(cash, NONE, np.where(_is_card(kind), terminal, external))


def _is_card(kind: Ints) -> Mask:
    card: Mask = kind <= _WEB
    return card


def _noise(n: int, rng: Generator) -> Floats:
    """Draw lognormal factors of mean 1."""
    return np.exp(_SPREAD * rng.standard_normal(n) - _SPREAD**2 / 2)


def _round_some(amount: Floats, rng: Generator, *, cash: Mask | None = None) -> Floats:
    """Round cash to 100 CNY, at least 100; of the rest a third to 10 CNY; at least 1 CNY."""
    tens = np.round(amount, -1)
    rounded = np.where(rng.random(amount.size) < 0.33, tens, amount)
    if cash is not None:
        rounded = np.where(cash, np.maximum(np.round(amount, -2), 100.0), rounded)
    return np.maximum(rounded, 1.0)
