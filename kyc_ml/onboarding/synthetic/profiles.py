"""Versions of the profiles: the facts that the bank recorded of a customer, with dates."""

from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml import contract as c
from kyc_ml.metrics import Floats, Ints, Texts, Values
from kyc_ml.onboarding.synthetic import identifiers
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.customers import Customers
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
    known = np.maximum(corrected_rows[c.KNOWN_AT].astype(np.int64), start)
    corrected_rows[c.KNOWN_AT] = known + rng.integers(DAY, 90 * DAY, corrected.size)
    corrected_rows[c.DECLARED_INCOME] = _vary(corrected_rows[c.DECLARED_INCOME], 0.5, rng)
    return _append(versions, corrected_rows)


def _change(later: Columns, config: BankConfig, first_day: Ints, rng: Generator) -> Columns:
    """Change a document (half), an income (four in ten) or the residence of each version."""
    n = first_day.size
    what = rng.choice(3, n, p=[0.5, 0.4, 0.1])
    day = first_day + 1 + np.floor((config.days - first_day) * rng.uniform(0.1, 0.85, n))
    at = config.start_us + day.astype(np.int64) * DAY + rng.integers(0, DAY, n)
    lag = np.where(rng.random(n) < _LATE_SHARE, rng.integers(DAY, 60 * DAY, n), 0)
    expiry = later[c.DOCUMENT_EXPIRY].astype(np.int64)
    passport = later[c.DOCUMENT_TYPE] == v.PASSPORT
    renewed = what == 0
    numbers = later[c.DOCUMENT_NUMBER]
    reissued = np.array(identifiers.make_passports(n, rng=rng), dtype="U18")
    changes: Columns = {
        c.EVENT_TIME: at,
        c.KNOWN_AT: at + lag,
        c.DOCUMENT_EXPIRY: np.where(renewed, np.maximum(expiry, at // DAY) + 3650, expiry),
        c.DOCUMENT_NUMBER: np.where(renewed & passport, reissued, numbers),
        c.DECLARED_INCOME: np.where(
            what == 1, _vary(later[c.DECLARED_INCOME], 0.4, rng), later[c.DECLARED_INCOME]
        ),
        c.RESIDENCE_COUNTRY: np.where(
            what == 2, rng.integers(0, len(v.COUNTRIES), n), later[c.RESIDENCE_COUNTRY]
        ),
    }
    return {**later, **changes}


def _facts(customers: Customers, rng: Generator) -> Columns:
    kind = np.where(customers.person, v.RESIDENT_ID, v.COMPANY_CODE)
    kind = np.where(customers.person & customers.foreign, v.PASSPORT, kind)
    return {
        c.CUSTOMER_ID: np.arange(len(customers)),
        c.EVENT_TIME: customers.onboarded,
        c.KNOWN_AT: customers.onboarded,
        c.CUSTOMER_TYPE: np.where(customers.person, 0, 1),
        c.SEGMENT: customers.segment,
        c.INDUSTRY: customers.industry,
        c.RESIDENCE_COUNTRY: customers.residence,
        c.NATIONALITY: np.where(customers.person, customers.nationality, -1),
        c.BIRTH_DATE: customers.birth,
        c.ONBOARDED_AT: customers.onboarded,
        c.ONBOARDING_CHANNEL: customers.onboarding,
        c.DOCUMENT_TYPE: kind,
        c.DOCUMENT_NUMBER: _number_documents(kind, customers.birth, rng),
        c.DOCUMENT_EXPIRY: customers.expiry,
        c.DECLARED_INCOME: customers.income,
        c.PEP_STATUS: customers.pep,
        c.LIST_HIT: customers.listed,
    }


def _number_documents(kind: Ints, birth: Ints, rng: Generator) -> Texts:
    numbers = np.empty(kind.size, dtype="U18")
    residents = np.flatnonzero(kind == v.RESIDENT_ID)
    numbers[residents] = identifiers.make_resident_ids(birth[residents], rng=rng)
    companies = np.flatnonzero(kind == v.COMPANY_CODE)
    numbers[companies] = identifiers.make_company_codes(companies.size, rng=rng)
    foreigners = np.flatnonzero(kind == v.PASSPORT)
    numbers[foreigners] = identifiers.make_passports(foreigners.size, rng=rng)
    return numbers


def _vary(income: Values, spread: float, rng: Generator) -> Floats:
    """Change incomes by a lognormal factor; rounded to 1000 CNY, at least 1000."""
    varied = income.astype(np.float64) * np.exp(spread * rng.standard_normal(income.size))
    return np.maximum(np.round(varied, -3), 1000.0)


def _pick(columns: Columns, rows: Ints) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def _append(above: Columns, below: Columns) -> Columns:
    return {name: np.concatenate([above[name], below[name]]) for name in above}
