"""From positions and numbers to contracted Arrow tables."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from kyc_ml import contract as c
from kyc_ml.metrics import Floats, Ints
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.cases import Cases
from kyc_ml.onboarding.synthetic.customers import NEVER, Customers
from kyc_ml.onboarding.synthetic.identifiers import make_labels
from kyc_ml.onboarding.synthetic.market import Market
from kyc_ml.onboarding.synthetic.profiles import Columns
from kyc_ml.onboarding.synthetic.records import EventLog, Ledger
from kyc_ml.onboarding.synthetic.reports import ITEMS, PROVIDERS, Reports

_WORDS: Final[dict[str, tuple[str, ...]]] = {
    c.CUSTOMER_TYPE: ("person", "entity"),
    c.SEGMENT: v.SEGMENTS,
    c.INDUSTRY: v.INDUSTRIES,
    c.RESIDENCE_COUNTRY: v.COUNTRIES,
    c.NATIONALITY: v.COUNTRIES,
    c.ONBOARDING_CHANNEL: v.ONBOARDING_CHANNELS,
    c.DOCUMENT_TYPE: v.DOCUMENT_TYPES,
    c.PEP_STATUS: v.PEP_STATUSES,
}


def tabulate_profiles(profiles: Columns) -> pa.Table:
    """Write the customers table, by customer and time."""
    order = np.lexsort([profiles[key] for key in (c.KNOWN_AT, c.EVENT_TIME, c.CUSTOMER_ID)])
    columns: dict[str, Any] = {}
    for name, column in profiles.items():
        ordered = column[order]
        if name == c.CUSTOMER_ID:
            columns[name] = label_customers(ordered.astype(np.int64))
        elif name in _WORDS:
            columns[name] = texts_of(_WORDS[name], ordered.astype(np.int64))
        elif name in (c.BIRTH_DATE, c.DOCUMENT_EXPIRY):
            columns[name] = pa.array(ordered.astype(np.int32)).cast(pa.date32())
        else:
            columns[name] = ordered
    return _contracted(c.CUSTOMERS, columns)


def tabulate_accounts(customers: Customers, market: Market) -> pa.Table:
    """Write the accounts table: one row when an account opens, one when it closes."""
    owner, opened, closed = market.second_account
    n = len(customers)
    number = n + np.arange(owner.size)
    shut = np.flatnonzero(closed < NEVER)
    account = np.concatenate([np.arange(n), number, number[shut]])
    time = np.concatenate([customers.onboarded, opened, closed[shut]])
    status = np.concatenate([np.zeros(n + owner.size, dtype=np.int64), np.ones(shut.size, int)])
    columns = {
        c.ACCOUNT_ID: label_accounts(account),
        c.CUSTOMER_ID: label_customers(np.concatenate([np.arange(n), owner, owner[shut]])),
        c.EVENT_TIME: time,
        c.KNOWN_AT: time,
        c.ACCOUNT_TYPE: texts_of(("current", "savings"), (account >= n).astype(np.int64)),
        c.STATUS: texts_of(("open", "closed"), status),
    }
    return _contracted(c.ACCOUNTS, columns)


def tabulate_transactions(
    ledger: Ledger, market: Market, *, known: Ints, account: Ints, balance: Floats, province: Ints
) -> pa.Table:
    """Write the transactions table in the order of `ledger`."""
    columns = {
        c.TRANSACTION_ID: label_transactions(np.arange(len(ledger))),
        c.CUSTOMER_ID: label_customers(ledger.customer),
        c.EVENT_TIME: ledger.time,
        c.KNOWN_AT: known,
        c.AMOUNT: ledger.amount,
        c.DIRECTION: texts_of(("out", "in"), ledger.incoming.astype(np.int64)),
        c.BALANCE: balance,
        c.ACCOUNT_ID: label_accounts(account),
        c.COUNTERPARTY_ID: _label_counterparties(market, ledger.counterparty),
        c.INSTRUMENT: texts_of(v.INSTRUMENTS, ledger.instrument),
        c.CHANNEL: texts_of(v.CHANNELS, ledger.channel),
        c.COUNTRY: texts_of(v.COUNTRIES, ledger.country),
        c.REGION: texts_of(v.PROVINCES, province),
        c.DEVICE_ID: _label_devices(market, ledger.device),
    }
    return _contracted(c.TRANSACTIONS, columns)


def tabulate_events(log: EventLog, market: Market) -> pa.Table:
    """Write the events table in the order of `log`; events are known immediately."""
    columns = {
        c.EVENT_ID: make_labels("E", np.arange(len(log)), width=9),
        c.CUSTOMER_ID: label_customers(log.customer),
        c.EVENT_TIME: log.time,
        c.KNOWN_AT: log.time,
        c.EVENT_TYPE: texts_of(v.EVENT_TYPES, log.kind),
        c.DEVICE_ID: _label_devices(market, log.device),
        c.CHANNEL: texts_of(v.CHANNELS, log.channel),
        c.COUNTRY: texts_of(v.COUNTRIES, log.country),
    }
    return _contracted(c.EVENTS, columns)


def tabulate_reports(reports: Reports) -> pa.Table:
    """Write the third-party table in order of time."""
    # stable: reports of one instant keep their order
    order = np.argsort(reports.time, kind="stable")
    columns = {
        c.REPORT_ID: make_labels("Q", np.arange(order.size), width=7),
        c.CUSTOMER_ID: label_customers(reports.customer[order]),
        c.EVENT_TIME: reports.time[order],
        c.KNOWN_AT: reports.known[order],
        c.PROVIDER: texts_of(PROVIDERS, reports.item[order]),
        c.ITEM: texts_of(ITEMS, reports.item[order]),
        c.VALUE: reports.value[order],
    }
    return _contracted(c.THIRD_PARTY, columns)


def tabulate_cases(cases: Cases) -> pa.Table:
    """Write the cases table in the order in which it was recorded.

    A case that was open before is two rows of one id; while open it has no typology.
    """
    first_seen = np.where(cases.opened >= 0, cases.opened, cases.closed)
    number = np.empty(first_seen.size, dtype=np.int64)
    number[np.argsort(first_seen, kind="stable")] = np.arange(first_seen.size)
    was_open = np.flatnonzero(cases.opened >= 0)
    row = np.concatenate([np.arange(first_seen.size), was_open])
    known = np.concatenate([cases.closed, cases.opened[was_open]])
    final = np.arange(row.size) < first_seen.size
    # lexsort sorts by its last key first
    order = np.lexsort([number[row], known])
    row, known, final = row[order], known[order], final[order]
    columns = {
        c.CASE_ID: make_labels("K", number[row], width=7),
        c.CUSTOMER_ID: label_customers(cases.customer[row]),
        c.EVENT_TIME: cases.time[row],
        c.KNOWN_AT: known,
        c.OUTCOME: texts_of(v.OUTCOMES, np.where(final, cases.outcome[row], v.OPEN_OUTCOME)),
        c.TRANSACTION_ID: _or_none(label_transactions, cases.transaction[row]),
        c.TYPOLOGY: texts_of(v.TYPOLOGIES, np.where(final, cases.typology[row], -1)),
    }
    return _contracted(c.CASES, columns)


def label_customers(position: Ints) -> pa.Array:
    """Name customers."""
    return make_labels("C", position, width=7)


def label_accounts(position: Ints) -> pa.Array:
    """Name accounts."""
    return make_labels("A", position, width=7)


def label_transactions(position: Ints) -> pa.Array:
    """Name transactions; the numbers follow the order of time."""
    return make_labels("P", position, width=9)


def label_rings(position: Ints) -> pa.Array:
    """Name rings; none where the position is -1."""
    return _or_none(lambda p: make_labels("R", p, width=6), position)


def texts_of(words: Sequence[str], position: Ints) -> pa.Array:
    """Write words by position; none where the position is -1."""
    return pa.array(words, pa.string()).take(pa.array(position, mask=position < 0))


def _label_counterparties(market: Market, position: Ints) -> pa.Array:
    names = pa.concat_arrays(
        [
            make_labels("T", np.arange(market.terminals), width=6),
            label_customers(np.arange(market.customers)),
            make_labels("X", market.external_label, width=8),
        ]
    )
    return names.take(pa.array(position, mask=position < 0))


def _label_devices(market: Market, position: Ints) -> pa.Array:
    names = make_labels("D", market.device_label, width=8)
    return names.take(pa.array(position, mask=position < 0))


def _or_none(label: Callable[[Ints], pa.Array], position: Ints) -> pa.Array:
    """Label positions from 0 up; none where the position is -1."""
    names = label(np.arange(max(int(position.max(initial=-1)) + 1, 1)))
    return names.take(pa.array(position, mask=position < 0))


def _contracted(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """Make a table of the contracted columns that there are, in contract order and type."""
    contract = c.CONTRACT[name]
    fields = [column.arrow for column in contract.columns if column.name in columns]
    given = (columns[field.name] for field in fields)
    arrays = [pa.array(each) if isinstance(each, np.ndarray) else each for each in given]
    arrays = [array.cast(field.type) for array, field in zip(arrays, fields, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
