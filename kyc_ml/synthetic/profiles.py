"""Versions of the profiles: what the institution held true of a customer, and from when."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from kyc_ml.contract import tables as t
from kyc_ml.synthetic import vocabulary as v
from kyc_ml.synthetic.customers import Customers
from kyc_ml.synthetic.identifiers import make_company_codes, make_passports, make_resident_ids
from kyc_ml.synthetic.records import Ints
from kyc_ml.synthetic.settings import DAY, BankConfig

# Convention, not theory.
_CHANGE_SHARE: Final = 0.25
_CORRECTION_SHARE: Final = 0.02
_LATE_SHARE: Final = 0.3


Columns = dict[str, npt.NDArray[np.generic]]
"""Columns of numbers by contracted name; words and customers as positions."""


def make_profiles(config: BankConfig, customers: Customers, *, rng: np.random.Generator) -> Columns:
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
    known = np.maximum(corrected_rows[t.KNOWN_AT].astype(np.int64), start)
    corrected_rows[t.KNOWN_AT] = known + rng.integers(DAY, 90 * DAY, corrected.size)
    corrected_rows[t.DECLARED_INCOME] = _vary(corrected_rows[t.DECLARED_INCOME], 0.5, rng)
    return _append(versions, corrected_rows)


def _change(
    later: Columns, config: BankConfig, first_day: Ints, rng: np.random.Generator
) -> Columns:
    """Change a document (half), an income (four in ten) or the residence of each version."""
    n = first_day.size
    what = rng.choice(3, n, p=[0.5, 0.4, 0.1])
    day = first_day + 1 + np.floor((config.days - first_day) * rng.uniform(0.1, 0.85, n))
    at = config.start_us + day.astype(np.int64) * DAY + rng.integers(0, DAY, n)
    lag = np.where(rng.random(n) < _LATE_SHARE, rng.integers(DAY, 60 * DAY, n), 0)
    expiry = later[t.DOCUMENT_EXPIRY].astype(np.int64)
    passport = later[t.DOCUMENT_TYPE] == v.PASSPORT
    renewed = what == 0
    numbers = later[t.DOCUMENT_NUMBER]
    reissued = np.array(make_passports(n, rng=rng), dtype="U18")
    changes: Columns = {
        t.EVENT_TIME: at,
        t.KNOWN_AT: at + lag,
        t.DOCUMENT_EXPIRY: np.where(renewed, np.maximum(expiry, at // DAY) + 3650, expiry),
        t.DOCUMENT_NUMBER: np.where(renewed & passport, reissued, numbers),
        t.DECLARED_INCOME: np.where(
            what == 1, _vary(later[t.DECLARED_INCOME], 0.4, rng), later[t.DECLARED_INCOME]
        ),
        t.RESIDENCE_COUNTRY: np.where(
            what == 2, rng.integers(0, len(v.COUNTRIES), n), later[t.RESIDENCE_COUNTRY]
        ),
    }
    return {**later, **changes}


def _facts(customers: Customers, rng: np.random.Generator) -> Columns:
    """Write the facts at the beginning of the relationship; words as positions."""
    kind = np.where(customers.person, v.RESIDENT_ID, v.COMPANY_CODE)
    kind = np.where(customers.person & customers.foreign, v.PASSPORT, kind)
    return {
        t.CUSTOMER_ID: np.arange(len(customers)),
        t.EVENT_TIME: customers.onboarded,
        t.KNOWN_AT: customers.onboarded,
        t.CUSTOMER_TYPE: np.where(customers.person, 0, 1),
        t.SEGMENT: customers.segment,
        t.INDUSTRY: customers.industry,
        t.RESIDENCE_COUNTRY: customers.residence,
        t.NATIONALITY: np.where(customers.person, customers.nationality, -1),
        t.BIRTH_DATE: customers.birth,
        t.ONBOARDED_AT: customers.onboarded,
        t.ONBOARDING_CHANNEL: customers.onboarding,
        t.DOCUMENT_TYPE: kind,
        t.DOCUMENT_NUMBER: _number_documents(kind, customers.birth, rng),
        t.DOCUMENT_EXPIRY: customers.expiry,
        t.DECLARED_INCOME: customers.income,
        t.PEP_STATUS: customers.pep,
        t.LIST_HIT: customers.listed,
    }


def _number_documents(kind: Ints, birth: Ints, rng: np.random.Generator) -> npt.NDArray[np.str_]:
    numbers = np.empty(kind.size, dtype="U18")
    residents = np.flatnonzero(kind == v.RESIDENT_ID)
    numbers[residents] = make_resident_ids(birth[residents], rng=rng)
    companies = np.flatnonzero(kind == v.COMPANY_CODE)
    numbers[companies] = make_company_codes(companies.size, rng=rng)
    foreigners = np.flatnonzero(kind == v.PASSPORT)
    numbers[foreigners] = make_passports(foreigners.size, rng=rng)
    return numbers


def _vary(
    income: npt.NDArray[np.generic], spread: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Change incomes by a lognormal factor; rounded to 1000 CNY, at least 1000."""
    varied = income.astype(np.float64) * np.exp(spread * rng.standard_normal(income.size))
    return np.maximum(np.round(varied, -3), 1000.0)


def _pick(columns: Columns, rows: Ints) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def _append(above: Columns, below: Columns) -> Columns:
    return {name: np.concatenate([above[name], below[name]]) for name in above}
