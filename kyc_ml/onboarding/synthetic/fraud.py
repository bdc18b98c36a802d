"""Frauds drawn row by row among honest payments: bad terminals and single misuse.

At a bad terminal each card payment is fraud with the terminal's share as probability. Every
other outgoing card payment and transfer carries a small propensity of single misuse, which is
high only where signs meet: large for the customer and from the own device at night, or large
and abroad. Each label is a separate Bernoulli draw.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.onboarding.synthetic import rhythm
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.payments import Scales
from kyc_ml.onboarding.synthetic.records import NONE, Ledger
from kyc_ml.onboarding.synthetic.settings import DAY, HOUR, UTC_OFFSET, BankConfig

# Share of the fraudulent transactions by typology. Convention, not theory.
_TERMINAL_SHARE: Final = 0.12
_SINGLE_SHARE: Final = 0.08


def compromise_terminals(
    ledger: Ledger, first_ring: int, market: Market, *, rng: Generator
) -> Ledger:
    """Turn a share of the card payments at some terminals fraudulent for 14 to 35 days.

    Frauds cost 1 to 3 times what the payment would have cost.
    """
    wanted = max(3.0, market.config.transactions * market.config.fraud_share * _TERMINAL_SHARE)
    probability = np.zeros(len(ledger))
    ring = np.full(len(ledger), NONE)
    card = np.flatnonzero(ledger.instrument == v.CARD)
    card = card[np.argsort(ledger.counterparty[card], kind="stable")]
    edges = np.searchsorted(ledger.counterparty[card], np.arange(market.terminals + 1))
    expected = 0.0
    for number, terminal in enumerate(rng.permutation(market.terminals).tolist()):
        rows = card[edges[terminal] : edges[terminal + 1]]
        luck = float(rhythm.spread(np.array([number]))[0])
        start = market.config.start_us + luck * (market.config.days - 35) * DAY
        length = rng.integers(14 * DAY, 35 * DAY)
        hit = rows[(ledger.time[rows] >= start) & (ledger.time[rows] < start + length)]
        probability[hit] = rng.beta(6.0, 2.0)
        ring[hit] = first_ring + number
        expected += float(probability[hit].sum())
        if expected >= wanted:
            break
    fraud = rng.random(len(ledger)) < probability
    dearer = np.round(ledger.amount * rng.uniform(1.0, 3.0, fraud.size), 2)
    return replace(
        ledger,
        amount=np.where(fraud, dearer, ledger.amount),
        probability=probability,
        fraud=fraud,
        typology=np.where(fraud, v.COMPROMISED_TERMINAL, ledger.typology),
        ring=np.where(ring >= 0, ring, ledger.ring),
    )


def misuse_singly(ledger: Ledger, config: BankConfig, scales: Scales, *, rng: Generator) -> Ledger:
    """Draw single frauds among remote and card payments by a small propensity of each."""
    night = (ledger.time + UTC_OFFSET) // HOUR % 24 < 6
    large = ledger.amount > 2.5 * scales.out[ledger.customer]
    abroad = ledger.country != v.HOME
    score = 4.0 * large * (abroad | (night & (ledger.device >= 0)))
    open_to = ~ledger.incoming & np.isin(ledger.instrument, (v.CARD, v.TRANSFER))
    weight = np.where(open_to & (ledger.probability == 0.0), np.exp(score), 0.0)
    wanted = config.transactions * config.fraud_share * _SINGLE_SHARE
    propensity = np.minimum(weight * (wanted / weight.sum()), 0.5)
    fraud = rng.random(len(ledger)) < propensity
    return replace(
        ledger,
        probability=ledger.probability + propensity,
        fraud=ledger.fraud | fraud,
        typology=np.where(fraud, v.SINGLE_MISUSE, ledger.typology),
    )
