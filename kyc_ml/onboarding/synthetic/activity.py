"""Events other than payments: logins, new phones, forgotten passwords, documents."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.onboarding.synthetic import rhythm
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.customers import Customers
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.payments import draw_payers
from kyc_ml.onboarding.synthetic.records import EventLog, Ledger, make_log, pick, stack
from kyc_ml.onboarding.synthetic.settings import DAY, SECOND, BankConfig

_MINUTE: Final = 60 * SECOND
# Logins without a payment, per payment of the bank. Convention, not theory.
_IDLE_LOGINS: Final = 0.15
_TRAVEL_SHARE: Final = 0.02


def make_activity(market: Market, ledger: Ledger, *, rng: Generator) -> EventLog:
    """Log the honest events; those of takeovers come with the incidents.

    `ledger` has the payments for which logins are drawn: half of its remote ones have one,
    1 to 10 minutes before.
    """
    logins = stack([_log_payments(ledger, rng), _log_idle(market, rng)])
    slips = pick(logins, rng.random(len(logins)) < 0.03)
    failed = replace(
        slips,
        time=slips.time - rng.integers(10 * SECOND, 50 * SECOND, len(slips)),
        kind=np.full(len(slips), v.FAILED_LOGIN),
    )
    forgotten = pick(logins, rng.random(len(logins)) < 0.004)
    resets = replace(
        forgotten,
        time=forgotten.time - 5 * SECOND,
        kind=np.full(len(forgotten), v.PASSWORD_RESET),
    )
    return stack([logins, failed, resets, *_log_changes(market.config, market.people)])


def _log_payments(ledger: Ledger, rng: Generator) -> EventLog:
    rows = np.flatnonzero((ledger.device >= 0) & (rng.random(len(ledger)) < 0.5))
    abroad = rng.integers(1, len(v.COUNTRIES), rows.size)
    return make_log(
        time=ledger.time[rows] - rng.integers(1 * _MINUTE, 10 * _MINUTE, rows.size),
        customer=ledger.customer[rows],
        kind=v.LOGIN,
        device=ledger.device[rows],
        channel=ledger.channel[rows],
        country=np.where(rng.random(rows.size) < _TRAVEL_SHARE, abroad, v.HOME),
    )


def _log_idle(market: Market, rng: Generator) -> EventLog:
    n = round(market.config.transactions * _IDLE_LOGINS)
    who = draw_payers(n, market.people, rng=rng)
    days = rhythm.draw_days(market.config, market.people, who, rng=rng)
    time = rhythm.draw_times(market.config, days, np.full(n, rhythm.PHONE), rng=rng)
    abroad = rng.integers(1, len(v.COUNTRIES), n)
    return make_log(
        time=time,
        customer=who,
        kind=v.LOGIN,
        device=market.device_at(who, time),
        channel=rng.choice([v.ONLINE, v.MOBILE], n),
        country=np.where(rng.random(n) < _TRAVEL_SHARE, abroad, v.HOME),
    )


def _log_changes(config: BankConfig, customers: Customers) -> list[EventLog]:
    end = config.start_us + config.days * DAY
    phone = np.flatnonzero(
        (customers.new_phone < end) & (customers.new_phone > customers.onboarded + DAY)
    )
    joined = np.flatnonzero(customers.onboarded >= config.start_us)
    return [
        make_log(
            time=customers.new_phone[phone],
            customer=phone,
            kind=v.DEVICE_CHANGE,
            device=2 * phone + 1,
            channel=v.MOBILE,
        ),
        make_log(
            time=customers.onboarded[joined],
            customer=joined,
            kind=v.DOCUMENT_CHECK,
            channel=np.where(customers.onboarding[joined] == 1, v.ONLINE, v.BRANCH),
            country=customers.residence[joined],
        ),
    ]
