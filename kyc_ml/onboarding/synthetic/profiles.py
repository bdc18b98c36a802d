"""Versions of the profiles: the facts that the bank recorded of a customer, with dates."""

from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.contract import (
    BIRTH_DATE,
    CUSTOMER_ID,
    CUSTOMER_TYPE,
    DECLARED_INCOME,
    DOCUMENT_EXPIRY,
    DOCUMENT_NUMBER,
    DOCUMENT_TYPE,
    EVENT_TIME,
    INDUSTRY,
    KNOWN_AT,
    LIST_HIT,
    NATIONALITY,
    ONBOARDED_AT,
    ONBOARDING_CHANNEL,
    PEP_STATUS,
    RESIDENCE_COUNTRY,
    SEGMENT,
)
from kyc_ml.metrics import Floats, Ints, Texts, Values
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.customers import Customers
from kyc_ml.onboarding.synthetic.identifiers import (
    make_company_codes,
    make_passports,
    make_resident_ids,
)
from kyc_ml.onboarding.synthetic.settings import DAY, BankConfig

# Convention, not theory.
_CHANGE_SHARE: Final = 0.25
_CORRECTION_SHARE: Final = 0.02
_LATE_SHARE: Final = 0.3


Columns = dict[str, Values]
"""Columns of numbers by contracted name; words and customers as positions."""


def make_profiles(config: BankConfig, customers: Customers, *, rng: Generator) -> Columns:
    """Make the versions of the profiles: first ones, later ones, corrections.

    A quarter of the customers changes in the period (document renewed, income changed,
    moved); of these changes three in ten are recorded 1 to 60 days late. For 2 % of the
    customers the income of the newest version is corrected later, under its event time.
    """
    n = len(customers)
    changed = np.flatnonzero(rng.random(n) < _CHANGE_SHARE)
    corrected = np.flatnonzero(rng.random(n) < _CORRECTION_SHARE)
    versions = _facts(customers, rng)
    later = _pick(versions, changed)
    versions = _append(versions, _change(later, config, customers.first_day[changed], rng))
    newest = np.arange(n)
    newest[changed] = n + np.arange(changed.size)
    corrected_rows = _pick(versions, newest[corrected])
    start = config.start_us + customers.first_day[corrected] * DAY
    known = np.maximum(corrected_rows[KNOWN_AT].astype(np.int64), start)
    corrected_rows[KNOWN_AT] = known + rng.integers(DAY, 90 * DAY, corrected.size)
    corrected_rows[DECLARED_INCOME] = _vary(corrected_rows[DECLARED_INCOME], 0.5, rng)
    return _append(versions, corrected_rows)


def _change(later: Columns, config: BankConfig, first_day: Ints, rng: Generator) -> Columns:
    """Change a document (half), an income (four in ten) or the residence of each version."""
    n = first_day.size
    what = rng.choice(3, n, p=[0.5, 0.4, 0.1])
    day = first_day + 1 + np.floor((config.days - first_day) * rng.uniform(0.1, 0.85, n))
    at = config.start_us + day.astype(np.int64) * DAY + rng.integers(0, DAY, n)
    lag = np.where(rng.random(n) < _LATE_SHARE, rng.integers(DAY, 60 * DAY, n), 0)
    expiry = later[DOCUMENT_EXPIRY].astype(np.int64)
    passport = later[DOCUMENT_TYPE] == v.PASSPORT
    renewed = what == 0
    numbers = later[DOCUMENT_NUMBER]
    reissued = np.array(make_passports(n, rng=rng), dtype="U18")
    changes: Columns = {
        EVENT_TIME: at,
        KNOWN_AT: at + lag,
        DOCUMENT_EXPIRY: np.where(renewed, np.maximum(expiry, at // DAY) + 3650, expiry),
        DOCUMENT_NUMBER: np.where(renewed & passport, reissued, numbers),
        DECLARED_INCOME: np.where(
            what == 1, _vary(later[DECLARED_INCOME], 0.4, rng), later[DECLARED_INCOME]
        ),
        RESIDENCE_COUNTRY: np.where(
            what == 2, rng.integers(0, len(v.COUNTRIES), n), later[RESIDENCE_COUNTRY]
        ),
    }
    return {**later, **changes}


def _facts(customers: Customers, rng: Generator) -> Columns:
    kind = np.where(customers.person, v.RESIDENT_ID, v.COMPANY_CODE)
    kind = np.where(customers.person & customers.foreign, v.PASSPORT, kind)
    return {
        CUSTOMER_ID: np.arange(len(customers)),
        EVENT_TIME: customers.onboarded,
        KNOWN_AT: customers.onboarded,
        CUSTOMER_TYPE: np.where(customers.person, 0, 1),
        SEGMENT: customers.segment,
        INDUSTRY: customers.industry,
        RESIDENCE_COUNTRY: customers.residence,
        NATIONALITY: np.where(customers.person, customers.nationality, -1),
        BIRTH_DATE: customers.birth,
        ONBOARDED_AT: customers.onboarded,
        ONBOARDING_CHANNEL: customers.onboarding,
        DOCUMENT_TYPE: kind,
        DOCUMENT_NUMBER: _number_documents(kind, customers.birth, rng),
        DOCUMENT_EXPIRY: customers.expiry,
        DECLARED_INCOME: customers.income,
        PEP_STATUS: customers.pep,
        LIST_HIT: customers.listed,
    }


def _number_documents(kind: Ints, birth: Ints, rng: Generator) -> Texts:
    numbers = np.empty(kind.size, dtype="U18")
    residents = np.flatnonzero(kind == v.RESIDENT_ID)
    numbers[residents] = make_resident_ids(birth[residents], rng=rng)
    companies = np.flatnonzero(kind == v.COMPANY_CODE)
    numbers[companies] = make_company_codes(companies.size, rng=rng)
    foreigners = np.flatnonzero(kind == v.PASSPORT)
    numbers[foreigners] = make_passports(foreigners.size, rng=rng)
    return numbers


def _vary(income: Values, spread: float, rng: Generator) -> Floats:
    """Change incomes by a lognormal factor; rounded to 1000 CNY, at least 1000."""
    varied = income.astype(np.float64) * np.exp(spread * rng.standard_normal(income.size))
    return np.maximum(np.round(varied, -3), 1000.0)


def _pick(columns: Columns, rows: Ints) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def _append(above: Columns, below: Columns) -> Columns:
    return {name: np.concatenate([above[name], below[name]]) for name in above}
