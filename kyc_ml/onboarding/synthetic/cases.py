"""Labels as a bank learns them: late, incomplete, and some of them false alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.onboarding.synthetic import rhythm
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.customers import Customers
from kyc_ml.onboarding.synthetic.laundering import Involvement
from kyc_ml.onboarding.synthetic.records import NONE, Ledger, sigmoid
from kyc_ml.onboarding.synthetic.settings import DAY, BankConfig

# Convention, not theory.
_FALSE_ALERT_SHARE: Final = 0.0008
_LOOKALIKE_ALERT_SHARE: Final = 0.05
_SPREAD: Final = 0.9
_REPORT_SPREAD: Final = 0.4
_OPEN_SHARE: Final = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """Cases in their final state, one position each; arrays of shape (n,)."""

    customer: Ints
    time: Ints
    """When the conduct happened (of a scheme: its last payment)."""
    opened: Ints
    """When the institution opened the case; -1 where it records only the end."""
    closed: Ints
    """When the final outcome was known, never before `time`."""
    outcome: Ints
    transaction: Ints
    typology: Ints
    """`transaction` and `typology`: -1 for none."""


def make_cases(
    config: BankConfig,
    customers: Customers,
    ledger: Ledger,
    *,
    known: Ints,
    involvement: Involvement,
    scores: Floats,
    rng: Generator,
) -> Cases:
    """Draw all cases; `known` is when each payment was known, `scores` the bureau scores."""
    parts = [
        _confirm_frauds(config, ledger, known, int(involvement.ring.max()) + 1, rng),
        _clear_alerts(ledger, known, rng),
        _report_launderers(config, involvement, rng),
        _clear_customers(config, customers, involvement, rng),
        _default(config, customers, scores, rng),
    ]
    names = Cases.__slots__
    return Cases(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def _confirm_frauds(
    config: BankConfig, ledger: Ledger, known: Ints, schemes: int, rng: Generator
) -> Cases:
    """Confirm frauds after a lognormal delay; the rows of a burst together or not at all."""
    # a small share of the look-alikes is confirmed wrongly, but those among the `schemes` first
    # rings, which are schemes
    alike = _alike(ledger) & (ledger.ring >= schemes)
    rows = np.flatnonzero(ledger.fraud | alike)
    # a fraud outside a burst is a group by itself: its negative number is never a ring
    alone = np.isin(ledger.typology[rows], (v.COMPROMISED_TERMINAL, v.SINGLE_MISUSE))
    group = np.where(alone, -1 - np.arange(rows.size), ledger.ring[rows])
    _, of = np.unique(group, return_inverse=True)
    share = np.where(ledger.fraud[rows], config.fraud_detected_share, config.wrong_share)
    found = rng.random(rows.size)[of] < share
    delay = _draw_delays(rows.size, config.fraud_delay_median_days, rng)[of]
    rows, delay = rows[found], delay[found]
    return _close(
        ledger.customer[rows],
        ledger.time[rows],
        known[rows] + delay,
        v.CONFIRMED_FRAUD,
        rng,
        transaction=rows,
        typology=ledger.typology[rows],
    )


def _alike(ledger: Ledger) -> Mask:
    """Return the payments of bursts and schemes that are honest."""
    return (ledger.ring >= 0) & (ledger.typology < 0)


def _clear_alerts(ledger: Ledger, known: Ints, rng: Generator) -> Cases:
    """Clear alerts on honest payments: those of look-alike incidents, and others by chance."""
    share = np.where(_alike(ledger), _LOOKALIKE_ALERT_SHARE, _FALSE_ALERT_SHARE)
    rows = np.flatnonzero(~ledger.fraud & (rng.random(len(ledger)) < share))
    return _close(
        ledger.customer[rows],
        ledger.time[rows],
        known[rows] + _draw_delays(rows.size, 4.0, rng),
        v.CLEARED_OUTCOME,
        rng,
        transaction=rows,
    )


def _report_launderers(config: BankConfig, involvement: Involvement, rng: Generator) -> Cases:
    """Report a share of the launderers, weeks to months after the end of their scheme."""
    # a small share of the honest in schemes is reported wrongly. In order of time the shares are
    # even: who reports can work on about as many in each month
    share = np.where(involvement.guilty, config.report_share, config.wrong_share)
    luck = np.empty(share.size)
    luck[np.lexsort([involvement.end, involvement.guilty])] = rhythm.spread(np.arange(share.size))
    rows = np.flatnonzero((luck + rng.random()) % 1.0 < share)
    return _close(
        involvement.customer[rows],
        involvement.end[rows],
        involvement.end[rows]
        + _draw_delays(rows.size, config.report_delay_median_days, rng, spread=_REPORT_SPREAD),
        v.STR_FILED,
        rng,
        typology=involvement.typology[rows],
    )


def _clear_customers(
    config: BankConfig, customers: Customers, involvement: Involvement, rng: Generator
) -> Cases:
    """Clear alerts on customers: 40 % of the honest in schemes, 1 % of all others."""
    alike = ~involvement.guilty & (rng.random(involvement.guilty.size) < 0.4)
    calm = np.ones(len(customers), dtype=np.bool_)
    calm[involvement.customer] = False
    others = np.flatnonzero(calm & (rng.random(calm.size) < 0.01))
    when = rhythm.draw_instants(config, customers, others, rng=rng)
    customer = np.concatenate([involvement.customer[alike], others])
    time = np.concatenate([involvement.end[alike], when])
    delay = _draw_delays(time.size, 20.0, rng)
    return _close(customer, time, time + delay, v.CLEARED_OUTCOME, rng)


def _default(config: BankConfig, customers: Customers, scores: Floats, rng: Generator) -> Cases:
    """Draw defaults of a few persons, more often with a low bureau score; known 90 days later."""
    # convention: 90 days past due is default
    chance = np.where(customers.person, sigmoid(-6.0 - (scores - 650.0) / 60.0), 0.0)
    rows = np.flatnonzero(rng.random(chance.size) < chance)
    time = rhythm.draw_instants(config, customers, rows, rng=rng)
    return _close(rows, time, time + 90 * DAY, v.DEFAULT, rng)


def _close(
    customer: Ints,
    time: Ints,
    closed: Ints,
    outcome: int,
    rng: Generator,
    *,
    transaction: Ints | None = None,
    typology: Ints | None = None,
) -> Cases:
    """Make cases of one outcome; a third of them was recorded as open before."""
    n = customer.size
    none = np.full(n, NONE)
    share = rng.uniform(0.2, 0.6, n)
    opened = closed - np.floor((closed - time) * share).astype(np.int64)
    # A case opens after its payment is known: at the latest 72 hours after it happened.
    opened = np.maximum(opened, np.minimum(time + 3 * DAY, closed))
    seen = (rng.random(n) < _OPEN_SHARE) & (opened < closed)
    return Cases(
        customer=customer,
        time=time,
        opened=np.where(seen, opened, NONE),
        closed=closed,
        outcome=np.full(n, outcome),
        transaction=none if transaction is None else transaction,
        typology=none if typology is None else typology,
    )


def _draw_delays(n: int, median_days: float, rng: Generator, *, spread: float = _SPREAD) -> Ints:
    """Draw lognormal delays in microseconds."""
    days = median_days * np.exp(spread * rng.standard_normal(n))
    return np.asarray(np.floor(days * DAY), dtype=np.int64)
