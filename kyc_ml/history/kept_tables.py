"""Which tables and partitions a store has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import pyarrow as pa

from kyc_ml.contract import (
    ACCOUNT_ID,
    CASE_ID,
    CONTRACT,
    CUSTOMER_ID,
    EVENT_TIME,
    KNOWN_AT,
    TRANSACTION_ID,
)
from kyc_ml.errors import ConfigError
from kyc_ml.features import UNTIL
from kyc_ml.history.columns import IDS
from kyc_ml.history.partitions import DAY, KeptRows, Partition
from kyc_ml.history.texts import HashIndex, Texts

_OF_ONE: Final = (ACCOUNT_ID, CASE_ID, TRANSACTION_ID)
"""Keys whose rows are of one customer, or of few: rows are found among the rows of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTable:
    """A table of the store: contracted, or made of contracted ones."""

    schema: pa.Schema
    """All columns that partitions of it may hold, carried ones included."""
    order: tuple[str, ...] = ()
    """What orders rows of equal event_time and known_at; empty for the key of the contract."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables and partitions of a store, as they are written into it."""

    tables: dict[str, KeptTable]
    partitions: tuple[Partition, ...]

    @classmethod
    def plan(cls, tables: Mapping[str, KeptTable], partitions: Sequence[Partition]) -> Self:
        """Join partitions of the same key, and add the whole of each contracted table.

        Raises ConfigError if a table lacks a column.
        """
        columns: dict[tuple[str, str], dict[str, None]] = {
            (name, CUSTOMER_ID): dict.fromkeys(table.schema.names)
            for name, table in tables.items()
            if name in CONTRACT
        }
        for each in partitions:
            columns.setdefault((each.table, each.key), {}).update(dict.fromkeys(each.columns))
        for (table, key), names in columns.items():
            if absent := sorted({*names, key} - {DAY, *tables[table].schema.names}):
                msg = f"history store: table {table} has no {', '.join(absent)} to keep by {key}"
                raise ConfigError(msg)
        found = [Partition(table=t, key=k, columns=tuple(own)) for (t, k), own in columns.items()]
        return cls(dict(tables), tuple(found))

    def order(self, table: str) -> tuple[str, ...]:
        """Return what orders rows of equal times."""
        return self.tables[table].order or (CONTRACT[table].key if table in CONTRACT else ())

    def kept(self, texts: Texts) -> dict[tuple[str, str], KeptRows]:
        """Return the partitions by table and key."""
        found = {}
        for number, each in enumerate(self.partitions):
            if _is_of_one(each.table, each.key):
                continue
            order = self.order(each.table)
            names = {EVENT_TIME, KNOWN_AT, UNTIL, each.key, *order, *each.columns}
            fields = [field for field in self.tables[each.table].schema if field.name in names]
            found[each.table, each.key] = KeptRows(each, number, pa.schema(fields), order, texts)
        return found

    def indexes(self, texts: Texts) -> dict[tuple[str, str], HashIndex]:
        """Return what finds the customers of ids and of keys that few customers share."""
        ids = [(name, IDS[name]) for name in self.tables if name in IDS]
        shared = [(e.table, e.key) for e in self.partitions if _is_of_one(e.table, e.key)]
        names = dict.fromkeys((*ids, *shared))
        return {place: HashIndex(f"index_{number}", texts.db) for number, place in enumerate(names)}

    def to_plain(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "tables": {
                name: [table.schema.serialize().to_pybytes().hex(), table.order]
                for name, table in self.tables.items()
            },
            "partitions": [[each.table, each.key, each.columns] for each in self.partitions],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read the result of `to_plain`."""
        return cls(
            {
                name: KeptTable(
                    schema=pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(schema))),
                    order=tuple(order),
                )
                for name, (schema, order) in plain["tables"].items()
            },
            tuple(Partition(table=t, key=k, columns=tuple(c)) for t, k, c in plain["partitions"]),
        )


def _is_of_one(table: str, key: str) -> bool:
    return table in CONTRACT and key in _OF_ONE
