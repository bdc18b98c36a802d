"""The account of each payment, and the balance after it."""

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints
from kyc_ml.onboarding.synthetic.customers import Customers
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.records import NONE, Ledger


def assign_accounts(market: Market, customer: Ints, time: Ints, *, rng: Generator) -> Ints:
    """Choose the account of each payment; a second account only while it is open."""
    owner, opened, closed = market.second_account
    number = np.full(market.customers, NONE)
    number[owner] = np.arange(owner.size)
    second = number[customer]
    within = (second >= 0) & (opened[second] <= time) & (time < closed[second])
    return np.where(
        within & (rng.random(customer.size) < 0.15), market.customers + second, customer
    )


def run_balances(ledger: Ledger, account: Ints, customers: Customers, *, rng: Generator) -> Floats:
    """Run the balance of each account after each payment, CNY; it may be overdrawn.

    `ledger` is in order of time. An account opens the period with about 40 % of its owner's
    yearly flow, drawn independently of later payments.
    """
    accounts = int(account.max()) + 1
    owner = np.zeros(accounts, dtype=np.int64)
    owner[account] = ledger.customer
    spread = np.exp(0.7 * rng.standard_normal(accounts))
    opening = np.rint(40.0 * customers.flow[owner] * spread).astype(np.int64)
    # stable: payments of an account stay in order of time
    order = np.argsort(account, kind="stable")
    # Whole cents: sums of integers are exact.
    signed = np.where(ledger.incoming, ledger.amount, -ledger.amount)[order]
    cents = np.rint(100.0 * signed).astype(np.int64)
    ordered = account[order]
    total = np.cumsum(cents)
    first = np.searchsorted(ordered, ordered)
    balance = np.empty(len(ledger))
    balance[order] = (opening[ordered] + total - total[first] + cents[first]) / 100.0
    return balance
