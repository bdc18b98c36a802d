"""Laundering schemes: they are planned first, then their payments are drawn.

How the true probability is defined. Customers are drawn into schemes by a weight from
their profile (`Customers.risk`). A scheme has a severity s from N(0, 1), which shapes its
size and number of waves, and is laundering with probability
``sigmoid(_GUILT_AT_ZERO + _GUILT_SLOPE * s)``; one Bernoulli draw decides for all its
members. A scheme that turns out honest stays in the bank: a trader that passes money
through, a shop rich in cash, a firm that pays through its staff. The first scheme of each
typology is planted for certain: its probability is 1. A customer in no scheme has
probability 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.customers import Customers
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.payments import mirror
from kyc_ml.onboarding.synthetic.records import NONE, Ledger, sigmoid, stack
from kyc_ml.onboarding.synthetic.schemes import AMONG_MEMBERS, CASH_THRESHOLD, WAVE_DAYS, WAVES
from kyc_ml.onboarding.synthetic.settings import DAY, HOUR, BankConfig

_GUILT_AT_ZERO: Final = 0.8
_GUILT_SLOPE: Final = 1.5
_MEAN_GUILT: Final = 0.64
_MEAN_MEMBERS: Final = 1.24
# Share of the schemes by typology. Convention, not theory.
_SHARES: Final = {
    v.STRUCTURING: 0.24,
    v.FAN_IN: 0.18,
    v.FAN_OUT: 0.18,
    v.FLOW_THROUGH: 0.22,
    v.DORMANT_REACTIVATION: 0.10,
    v.CYCLE: 0.08,
}
# Scatter-gather schemes for each of those; with 5 to 8 members they add a tenth to the
# launderers. Convention, not theory.
_SCATTER_GATHERS: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One scheme; `ring` numbers it, `members` are customers, `start_day` is of the period."""

    ring: int
    typology: int
    members: Ints
    severity: float
    probability: float
    guilty: bool
    start_day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Involvement:
    """Customers in schemes, one position each: arrays of shape (n_members,).

    `start` and `end` are the customer's first and last payment of the scheme,
    microseconds of UTC.
    """

    customer: Ints
    typology: Ints
    probability: Floats
    guilty: Mask
    start: Ints
    end: Ints


def plan_schemes(config: BankConfig, customers: Customers, *, rng: Generator) -> list[Scheme]:
    """Draw the schemes; no customer is in two of them.

    Reactivations take customers who were quiet, all others customers who never are.
    """
    typologies = _draw_typologies(config, customers, rng)
    sizes = np.where(typologies == v.CYCLE, rng.integers(3, 6, typologies.size), 1)
    quiet = np.flatnonzero(customers.sleeps)
    sleepers = iter(rng.permutation(quiet).tolist())
    # never quiet, and with time left for a wave
    able = ~customers.sleeps & (customers.first_day < config.days - 3 * WAVE_DAYS)
    awake = np.flatnonzero(able)
    weight = customers.risk[awake] / customers.risk[awake].sum()
    others = rng.choice(awake, int(sizes.sum()), replace=False, p=weight)
    schemes = []
    for ring, (typology, size) in enumerate(zip(typologies.tolist(), sizes.tolist(), strict=True)):
        members, others = others[:size], others[size:]
        if typology == v.DORMANT_REACTIVATION:
            members = np.array([next(sleepers)])
        schemes.append(
            _draw_scheme(
                ring, typology, members, config, customers, certain=ring < len(_SHARES), rng=rng
            )
        )
    return schemes


def plan_scatter_gathers(
    planned: list[Scheme], config: BankConfig, customers: Customers, *, rng: Generator
) -> list[Scheme]:
    """Draw the scatter-gather schemes, among steady customers in none of those `planned`.

    They are drawn apart from all others, which are thus the same with and without them. The
    first, planted for certain, begins in the first half of the period, so that even a short
    bank has time to learn of it.
    """
    n = max(1, round(_SCATTER_GATHERS * _expect_schemes(config, customers)))
    sizes = rng.integers(5, 9, n)  # a source, a target, three to six between them
    free = customers.steady
    free[np.concatenate([scheme.members for scheme in planned])] = False
    weight = np.where(free, customers.risk, 0.0)
    drawn = rng.choice(free.size, int(sizes.sum()), replace=False, p=weight / weight.sum())
    schemes = [
        _draw_scheme(
            len(planned) + i, v.SCATTER_GATHER, each, config, customers, certain=i == 0, rng=rng
        )
        for i, each in enumerate(np.split(drawn, np.cumsum(sizes)[:-1]))
    ]
    return [replace(schemes[0], start_day=int(rng.integers(1, config.days // 2))), *schemes[1:]]


def lay_schemes(
    schemes: list[Scheme], market: Market, *, rng: Generator
) -> tuple[Ledger, Involvement]:
    """Draw the payments of all schemes and the customers involved with their times."""
    laid = [_lay_scheme(scheme, market, rng) for scheme in schemes]
    ledger = stack(laid)
    remote = ~ledger.incoming & (ledger.instrument == v.TRANSFER)
    own = market.device_at(ledger.customer, ledger.time)
    ledger = replace(ledger, device=np.where(remote, own, NONE))
    times = [
        (int(t.min()), int(t.max()))
        for scheme, part in zip(schemes, laid, strict=True)
        for t in (part.time[part.customer == member] for member in scheme.members)
    ]
    repeats = np.array([scheme.members.size for scheme in schemes])
    return ledger, Involvement(
        customer=np.concatenate([scheme.members for scheme in schemes]),
        typology=np.repeat([scheme.typology for scheme in schemes], repeats),
        probability=np.repeat([scheme.probability for scheme in schemes], repeats),
        guilty=np.repeat([scheme.guilty for scheme in schemes], repeats),
        start=np.array([first for first, _ in times]),
        end=np.array([last for _, last in times]),
    )


def _draw_typologies(config: BankConfig, customers: Customers, rng: Generator) -> Ints:
    """Draw the typology of each scheme: one of each first, reactivations by sleepers."""
    kinds = np.array(list(_SHARES))
    more = max(0, round(_expect_schemes(config, customers)) - kinds.size)
    typologies = np.concatenate([kinds, rng.choice(kinds, more, p=list(_SHARES.values()))])
    sleepers = int(customers.sleeps.sum()) // 2
    reactivations = np.flatnonzero(typologies == v.DORMANT_REACTIVATION)
    typologies[reactivations[sleepers:]] = v.FLOW_THROUGH
    return typologies


def _expect_schemes(config: BankConfig, customers: Customers) -> float:
    """Return how many schemes the launderer share asks for, scatter-gather aside."""
    return config.launderer_share * len(customers) / (_MEAN_GUILT * _MEAN_MEMBERS)


def _draw_scheme(
    ring: int,
    typology: int,
    members: Ints,
    config: BankConfig,
    customers: Customers,
    *,
    certain: bool,
    rng: Generator,
) -> Scheme:
    severity = float(rng.standard_normal())
    probability = float(sigmoid(np.array(_GUILT_AT_ZERO + _GUILT_SLOPE * severity)))
    probability = 1.0 if certain else probability
    first = int(customers.first_day[members].max()) + 1
    start_day = int(rng.integers(first, config.days - 2 * WAVE_DAYS))
    if typology == v.DORMANT_REACTIVATION:
        # The last quiet day, so that nothing but the scheme ends the sleep.
        start_day = int(customers.quiet_to[members[0]]) - 1
    return Scheme(
        ring=ring,
        typology=typology,
        members=members,
        severity=severity,
        probability=probability,
        guilty=bool(rng.random() < probability),
        start_day=start_day,
    )


def _lay_scheme(scheme: Scheme, market: Market, rng: Generator) -> Ledger:
    """Draw the waves of one scheme, one after the other, inside the period."""
    waves = 1 + int(rng.poisson(1.5 * np.exp(0.3 * scheme.severity)))
    pauses = rng.integers(WAVE_DAYS + 1, 26, waves)
    days = scheme.start_day + np.r_[0, np.cumsum(pauses[:-1])]
    monthly = float(market.people.flow[scheme.members].min()) / 12.0
    base = np.sqrt(monthly * 2.0 * CASH_THRESHOLD) * np.exp(0.4 * scheme.severity)
    parts = []
    for day in days[days <= market.config.days - WAVE_DAYS].tolist():
        start = market.config.start_us + day * DAY + int(rng.integers(8 * HOUR, 20 * HOUR))
        size = max(base, 0.5 * CASH_THRESHOLD) * float(np.exp(0.4 * rng.standard_normal()))
        parts.append(WAVES[scheme.typology](scheme.members, start, size, market, rng))
    ledger = stack(parts)
    if scheme.guilty:
        n = len(ledger)
        ledger = replace(ledger, typology=np.full(n, scheme.typology), ring=np.full(n, scheme.ring))
    if scheme.typology in AMONG_MEMBERS:
        ledger = stack([ledger, mirror(ledger, market, rng=rng)])
    return ledger
