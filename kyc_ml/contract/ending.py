"""Where the data of a source begins and ends: the one definition that every job goes by."""

from __future__ import annotations

import pandas as pd

from kyc_ml.contract.contracted import ContractedTables, StoredTables
from kyc_ml.contract.quality import TableQuality
from kyc_ml.contract.tables import EVENTS, TRANSACTIONS


def find_newest(tables: ContractedTables | StoredTables) -> pd.Timestamp | None:
    """Give the instant of the last transaction or event; None where there is neither."""
    last = [each.last_event_time for each in _behaviour(tables) if each.last_event_time]
    return pd.Timestamp(max(last)) if last else None


def find_oldest(tables: ContractedTables | StoredTables) -> pd.Timestamp | None:
    """Give the instant of the first transaction or event; None where there is neither."""
    first = [each.first_event_time for each in _behaviour(tables) if each.first_event_time]
    return pd.Timestamp(min(first)) if first else None


def _behaviour(tables: ContractedTables | StoredTables) -> list[TableQuality]:
    """List the tables of what customers did, by which a source is dated."""
    return [each for each in tables.quality.tables if each.table in {TRANSACTIONS, EVENTS}]


def find_end(tables: ContractedTables | StoredTables) -> pd.Timestamp | None:
    """Give the midnight (UTC) after the last transaction or event; None where there is neither.

    Cases may be known later still: what became of these transactions takes time to show.
    """
    newest = find_newest(tables)
    return None if newest is None else newest.normalize() + pd.Timedelta(days=1)


def observable_until(tables: ContractedTables, moment: pd.Timestamp) -> pd.Timestamp:
    """Give `moment`, or the end of the data if that comes first.

    What is decided later sees no behaviour: customers would look quiet who are not.
    """
    end = find_end(tables)
    return moment if end is None else min(moment, end)
