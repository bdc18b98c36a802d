"""The whole bank: draws every part from its own random stream and puts them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.random import Generator

from kyc_ml.contract import (
    ACCOUNTS,
    CASES,
    CUSTOMER_ID,
    CUSTOMERS,
    EVENTS,
    THIRD_PARTY,
    TRANSACTION_ID,
    TRANSACTIONS,
    TYPOLOGY,
)
from kyc_ml.metrics import Ints
from kyc_ml.onboarding.synthetic import fraud, tables
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.accounts import assign_accounts, run_balances
from kyc_ml.onboarding.synthetic.activity import make_activity
from kyc_ml.onboarding.synthetic.cases import make_cases
from kyc_ml.onboarding.synthetic.customers import make_customers
from kyc_ml.onboarding.synthetic.incidents import make_bursts
from kyc_ml.onboarding.synthetic.laundering import (
    Involvement,
    lay_schemes,
    plan_scatter_gathers,
    plan_schemes,
)
from kyc_ml.onboarding.synthetic.market import Market, make_market
from kyc_ml.onboarding.synthetic.payments import make_payments, make_scales
from kyc_ml.onboarding.synthetic.profiles import make_profiles
from kyc_ml.onboarding.synthetic.records import NONE, EventLog, Ledger, pick, stack
from kyc_ml.onboarding.synthetic.reports import draw_scores, make_reports
from kyc_ml.onboarding.synthetic.settings import HOUR, BankConfig
from kyc_ml.onboarding.synthetic.whereabouts import draw_whereabouts, locate_payments

_STREAMS: Final = (
    "customers", "market", "laundering", "bursts", "payments", "fraud", "arrival", "accounts",
    "activity", "profiles", "reports", "cases", "balances", "scattering", "places",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticBank:
    """A synthetic bank.

    The tables are the full record: a case may be known after the period ends, and
    ``known_at`` decides what could be seen when.

    Attributes
    ----------
    tables : mapping of contracted table name to pyarrow.Table
        customers, accounts, transactions, events, third_party, cases; contracted columns
        and types; transactions in order of ``event_time``. There are no reviews.
    answer_key : mapping of name to pyarrow.Table
        The truth, stored separately.

        transactions: ``transaction_id``, ``true_fraud``, ``true_probability``,
        ``typology``, ``ring_id``, ``look_alike``, in the order of the transactions.
        `true_probability` is the probability of *fraud* from which the label was drawn: it
        knows what made the payment, such as the hidden severity of a burst, which no table
        shows. So it bounds what a model can reach, and rows of one burst share their draw. It
        is 1 for the first burst of each fraudulent kind, which is planted for certain.
        It is 0 for incoming payments and for all payments of schemes: laundering is not
        fraud. `look_alike` marks the honest payments of bursts, of schemes and at bad
        terminals.
        `typology` and `ring_id` are also set on the payments of guilty laundering schemes
        (which are not fraud); both are null on honest rows, look-alikes included. A single
        misuse has no ring.

        customers: ``customer_id``, ``true_launderer``, ``true_probability``, ``typology``,
        ``look_alike``, ``start``, ``end``. `true_probability` is 0 outside every scheme and in
        half ones, within a whole one the probability from its typology, from how the customer
        earns and from its hidden severity, and 1 for the first scheme of each typology.
        `look_alike` marks the honest customers in schemes. `typology`, `start` and `end` (first
        and last payment) are null for those who do not launder.

    See Also
    --------
    The modules incidents, fraud and laundering : the formulas.
    """

    tables: Mapping[str, pa.Table]
    answer_key: Mapping[str, pa.Table]


def make_bank(config: BankConfig) -> SyntheticBank:
    """Draw the bank that `config` describes: equal configurations give equal tables.

    Time grows with the number of transactions: about 5 seconds for a million.
    """
    sequences = np.random.SeedSequence(config.seed).spawn(len(_STREAMS))
    rngs = {
        name: np.random.default_rng(sequence)
        for name, sequence in zip(_STREAMS, sequences, strict=True)
    }
    customers = make_customers(config, rng=rngs["customers"])
    market = make_market(config, customers, rng=rngs["market"])
    ledger, log, involvement = _make_flows(market, rngs)
    known = _draw_arrival(config, ledger.time, rngs["arrival"])
    account = assign_accounts(market, ledger.customer, ledger.time, rng=rngs["accounts"])
    balance = run_balances(ledger, account, customers, rng=rngs["balances"])
    whereabouts = draw_whereabouts(market, rng=rngs["places"])
    scores = draw_scores(customers, rng=rngs["reports"])
    reports = make_reports(config, customers, involvement, scores, rng=rngs["reports"])
    cases = make_cases(
        config,
        customers,
        ledger,
        known=known,
        involvement=involvement,
        scores=scores,
        rng=rngs["cases"],
    )
    contracted = {
        CUSTOMERS: tables.tabulate_profiles(make_profiles(config, customers, rng=rngs["profiles"])),
        ACCOUNTS: tables.tabulate_accounts(customers, market),
        TRANSACTIONS: tables.tabulate_transactions(
            ledger,
            market,
            known=known,
            account=account,
            balance=balance,
            province=locate_payments(ledger, market, whereabouts),
        ),
        EVENTS: tables.tabulate_events(log, market),
        THIRD_PARTY: tables.tabulate_reports(reports),
        CASES: tables.tabulate_cases(cases),
    }
    key = {
        TRANSACTIONS: _answer_transactions(ledger),
        CUSTOMERS: _answer_customers(len(customers), involvement),
    }
    return SyntheticBank(tables=MappingProxyType(contracted), answer_key=MappingProxyType(key))


def _make_flows(market: Market, rngs: dict[str, Generator]) -> tuple[Ledger, EventLog, Involvement]:
    """Draw all payments and events, in order of time."""
    # planted payments come first; honest ones fill up to the wanted number
    scales = make_scales(market.config, market.people)
    schemes = plan_schemes(market.config, market.people, rng=rngs["laundering"])
    schemes += plan_scatter_gathers(schemes, market.config, market.people, rng=rngs["scattering"])
    laundered, involvement = lay_schemes(schemes, market, rng=rngs["laundering"])
    bursts, burst_log = make_bursts(market, scales, first_ring=len(schemes), rng=rngs["bursts"])
    n = market.config.transactions - len(laundered) - len(bursts)
    honest = make_payments(n, market, scales, rng=rngs["payments"])
    rings = int(bursts.ring.max()) + 1
    honest = fraud.compromise_terminals(honest, rings, market, rng=rngs["fraud"])
    honest = fraud.misuse_singly(honest, market.config, scales, rng=rngs["fraud"])
    activity = make_activity(market, stack([honest, laundered]), rng=rngs["activity"])
    ledger = stack([honest, laundered, bursts])
    log = stack([activity, burst_log])
    return (
        pick(ledger, np.argsort(ledger.time, kind="stable")),
        pick(log, np.argsort(log.time, kind="stable")),
        involvement,
    )


def _draw_arrival(config: BankConfig, time: Ints, rng: Generator) -> Ints:
    """Draw when each payment becomes known: immediately, or 2 to 72 hours late."""
    late = rng.random(time.size) < config.late_share
    return time + np.where(late, rng.integers(2 * HOUR, 72 * HOUR, time.size), 0)


def _answer_transactions(ledger: Ledger) -> pa.Table:
    return pa.table(
        {
            TRANSACTION_ID: tables.label_transactions(np.arange(len(ledger))),
            "true_fraud": pa.array(ledger.fraud),
            "true_probability": pa.array(ledger.probability),
            TYPOLOGY: tables.texts_of(v.TYPOLOGIES, ledger.typology),
            "ring_id": tables.label_rings(np.where(ledger.typology >= 0, ledger.ring, NONE)),
            "look_alike": pa.array((ledger.ring >= 0) & (ledger.typology < 0)),
        }
    )


def _answer_customers(n: int, involvement: Involvement) -> pa.Table:
    guilty = involvement.guilty
    who = involvement.customer[guilty]
    columns = {name: np.full(n, -1) for name in (TYPOLOGY, "start", "end")}
    columns[TYPOLOGY][who] = involvement.typology[guilty]
    columns["start"][who] = involvement.start[guilty]
    columns["end"][who] = involvement.end[guilty]
    probability = np.zeros(n)
    probability[involvement.customer] = involvement.probability
    innocent = columns[TYPOLOGY] < 0
    moments = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            CUSTOMER_ID: tables.label_customers(np.arange(n)),
            "true_launderer": pa.array(~innocent),
            "true_probability": pa.array(probability),
            TYPOLOGY: tables.texts_of(v.TYPOLOGIES, columns[TYPOLOGY]),
            "look_alike": pa.array(np.isin(np.arange(n), involvement.customer) & innocent),
            "start": pa.array(columns["start"], mask=innocent).cast(moments),
            "end": pa.array(columns["end"], mask=innocent).cast(moments),
        }
    )
