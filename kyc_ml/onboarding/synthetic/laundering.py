"""Laundering schemes: they are planned first, then their payments are drawn.

How the true probability is defined. Customers are drawn into schemes by a weight from
their profile (`Customers.risk`). A scheme has a severity s from N(0, 1), which shapes its
size and number of waves, and is laundering with probability ``sigmoid(guilt + s)``, where
`guilt` is of the typology and of how its first member earns (``conduct.yaml``): what is
laundering for an employee is business for a shop. One Bernoulli draw decides for all
members. A part of the schemes is half: one leg is missing, and they are honest for certain.
The honest ones stay in the bank. The first scheme of each typology is planted for certain:
it is whole, and its probability is 1. A customer in no scheme has probability 0.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.onboarding.synthetic import rhythm
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.customers import Customers
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.payments import mirror
from kyc_ml.onboarding.synthetic.records import NONE, Ledger, pick, sigmoid, stack
from kyc_ml.onboarding.synthetic.schemes import (
    AMONG_MEMBERS,
    CASH_THRESHOLD,
    WAVE_DAYS,
    WAVES,
    first_leg,
)
from kyc_ml.onboarding.synthetic.settings import DAY, HOUR, BankConfig

_SCHEMES: Final = {v.TYPOLOGIES.index(name): row for name, row in v.CONDUCT["schemes"].items()}
_TREND_OF_OLD: Final = -0.25
Turns = defaultdict[tuple[int, bool, bool], "count[int]"]
_TRADES: Final = ("salaried", "shops", "shops", "firms", "firms")
"""Column of the log-odds of guilt, for each way of earning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One scheme; `ring` numbers it, `members` are customers, `start_day` is of the period."""

    ring: int
    typology: int
    members: Ints
    severity: float
    half: bool
    probability: float
    guilty: bool
    start_day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Involvement:
    """Customers in schemes, one position each: arrays of shape (n_members,).

    `start` and `end` are the customer's first and last payment of the scheme, microseconds of UTC.
    """

    customer: Ints
    ring: Ints
    typology: Ints
    probability: Floats
    guilty: Mask
    start: Ints
    end: Ints


def plan_schemes(config: BankConfig, customers: Customers, *, rng: Generator) -> list[Scheme]:
    """Draw the schemes; no customer is in two of them.

    Reactivations take customers who were quiet, all others customers who never are.
    """
    # never quiet, and with time left for a wave
    able = ~customers.sleeps & (customers.first_day < config.days - 3 * WAVE_DAYS)
    weight = np.where(able, customers.risk, 0.0)
    others = rng.choice(weight.size, int(able.sum()), replace=False, p=weight / weight.sum())
    sleepers = rng.permutation(np.flatnonzero(customers.sleeps))
    kinds = list(_SCHEMES)
    drawn = rng.choice(kinds, others.size, p=[row["share"] for row in _SCHEMES.values()])
    wanted = config.launderer_share * len(customers)
    schemes: list[Scheme] = []
    turns: Turns = defaultdict(count)
    for ring, typology in enumerate([*kinds, *drawn.tolist()]):
        size = int(rng.integers(3, 6)) if typology == v.CYCLE else 1
        if typology == v.DORMANT_REACTIVATION:
            members, sleepers = sleepers[:size], sleepers[size:]
        else:
            members, others = others[:size], others[size:]
        if members.size < size:
            continue
        certain = ring < len(kinds)
        scheme = _draw_scheme(
            len(schemes),
            typology,
            members,
            config,
            customers,
            certain=certain,
            turns=turns,
            rng=rng,
        )
        schemes.append(scheme)
        wanted -= scheme.probability * size
        if wanted <= 0.0 and not certain:
            break
    return schemes


def plan_scatter_gathers(
    planned: list[Scheme], config: BankConfig, customers: Customers, *, rng: Generator
) -> list[Scheme]:
    """Draw the scatter-gather schemes, among steady customers in none of those `planned`.

    They are drawn apart from all others, which are thus the same with and without them. The
    first, planted for certain, begins in the first half of the period, so that even a short
    bank has time to learn of it.
    """
    n = max(1, round(v.CONDUCT["scatter_gathers"] * len(planned)))
    sizes = rng.integers(5, 9, n)  # a source, a target, three to six between them
    free = customers.steady
    free[np.concatenate([scheme.members for scheme in planned])] = False
    weight = np.where(free, customers.risk, 0.0)
    turns: Turns = defaultdict(count)
    drawn = rng.choice(free.size, int(sizes.sum()), replace=False, p=weight / weight.sum())
    schemes = [
        _draw_scheme(
            len(planned) + i,
            v.SCATTER_GATHER,
            each,
            config,
            customers,
            certain=i == 0,
            turns=turns,
            rng=rng,
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
    order = np.lexsort([ledger.time, ledger.customer])
    members, first = np.unique(ledger.customer[order], return_index=True)
    last = np.r_[first[1:], order.size] - 1
    ring = ledger.ring[order[first]]
    return ledger, Involvement(
        customer=members,
        ring=ring,
        typology=np.array([scheme.typology for scheme in schemes])[ring],
        probability=np.array([scheme.probability for scheme in schemes])[ring],
        guilty=np.array([scheme.guilty for scheme in schemes])[ring],
        start=ledger.time[order[first]],
        end=ledger.time[order[last]],
    )


def _draw_scheme(
    ring: int,
    typology: int,
    members: Ints,
    config: BankConfig,
    customers: Customers,
    *,
    certain: bool,
    turns: Turns,
    rng: Generator,
) -> Scheme:
    """Draw one scheme; `turns` count those of a kind: typology, guilt, new members."""
    severity = float(rng.standard_normal())
    kind = _SCHEMES.get(typology, _SCHEMES[v.CYCLE])
    half = not certain and bool(rng.random() < kind["half"])
    guilt = kind[_TRADES[customers.earning[members[0]]]]
    probability = 0.0 if half else float(sigmoid(np.array(guilt + severity)))
    probability = 1.0 if certain else probability
    first = int(customers.first_day[members].max()) + 1
    # new customers begin late: the others begin earlier, so that the number stays the same
    new = first > 1
    trend = 0.0 if new else _TREND_OF_OLD
    guilty = bool(rng.random() < probability)
    # about as many begin in each month, so that two periods differ little by chance; a bank of
    # a few thousand customers would otherwise show a model as badly calibrated that is not
    turn = next(turns[typology, guilty, new]) + 2 * typology + guilty
    part = float(rhythm.follow_trend(rhythm.spread(np.array([turn])), trend)[0])
    start_day = first + int(part * (config.days - 2 * WAVE_DAYS - first))
    if typology == v.DORMANT_REACTIVATION:
        # The last quiet day, so that nothing but the scheme ends the sleep.
        start_day = int(customers.quiet_to[members[0]]) - 1
    return Scheme(
        ring=ring,
        typology=typology,
        members=members,
        severity=severity,
        half=half,
        probability=probability,
        guilty=guilty,
        start_day=start_day,
    )


def _lay_scheme(scheme: Scheme, market: Market, rng: Generator) -> Ledger:
    """Draw the waves of one scheme, one after the other, inside the period."""
    waves = 1 + int(rng.poisson(0.8 * np.exp(0.3 * scheme.severity)))
    pauses = rng.integers(WAVE_DAYS + 1, 26, waves)
    days = scheme.start_day + np.r_[0, np.cumsum(pauses[:-1])]
    monthly = float(market.people.flow[scheme.members].min()) / 12.0
    base = np.sqrt(monthly * 2.0 * CASH_THRESHOLD) * np.exp(0.4 * scheme.severity)
    parts = []
    for day in days[days <= market.config.days - WAVE_DAYS].tolist():
        start = market.config.start_us + day * DAY + int(rng.integers(8 * HOUR, 20 * HOUR))
        size = max(base, 0.5 * CASH_THRESHOLD) * float(np.exp(0.4 * rng.standard_normal()))
        wave = WAVES[scheme.typology](scheme.members, start, size, market, rng)
        parts.append(pick(wave, first_leg(scheme.typology, wave)) if scheme.half else wave)
    ledger = stack(parts)
    n = len(ledger)
    typology = np.full(n, scheme.typology if scheme.guilty else NONE)
    ledger = replace(ledger, typology=typology, ring=np.full(n, scheme.ring))
    if scheme.typology in AMONG_MEMBERS:
        ledger = stack([ledger, mirror(ledger, market, rng=rng)])
    return ledger
