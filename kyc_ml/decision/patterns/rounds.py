"""Money that returns to its origin by way of other customers."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import contract as c
from kyc_ml.decision.patterns.rows import Rows, Seen, read_rows
from kyc_ml.decision.patterns.rules import WINDOW_US
from kyc_ml.features import list_cycles
from kyc_ml.metrics import Ints

_FEWEST: Final = 3
"""Customers of a cycle: two customers who pay each other back do not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """The cycles among the customers of a bank."""

    payments: pa.Table
    """Payments from customer to customer, in order of time."""
    rows: Rows
    """The same as arrays."""
    of_customer: dict[str, list[Ints]]
    """Mapping of customer to cycles; numbers of the payments of each cycle in the order of the
    money."""

    @classmethod
    def of(cls, transactions: pa.Table, *, since: int, until: int, least: float) -> Self:
        """Find the cycles of payments of at least an amount, from `since` until `until`.

        `since`, `until`: microseconds, both included.
        """
        found: dict[str, list[Ints]] = defaultdict(list)
        payments = _between_customers(transactions, since=since, until=until, least=least)
        rows = read_rows(payments)
        if len(payments):
            chunks = [*payments[c.CUSTOMER_ID].chunks, *payments[c.COUNTERPARTY_ID].chunks]
            parties = pa.chunked_array(chunks, pa.string()).combine_chunks().dictionary_encode()
            codes = np.asarray(parties.indices.to_numpy(), np.int32)
            payer, payee = codes[: len(payments)], codes[len(payments) :]
            columns = payer, payee, rows.time, rows.known, rows.amount
            cycles = list_cycles(columns, n_nodes=len(parties.dictionary))
            for path in cycles:
                if path.size >= _FEWEST:
                    for name in parties.dictionary.take(payer[path]).to_pylist():
                        found[name].append(path)
        return cls(payments=payments, rows=rows, of_customer=found)

    def seen_by(self, seen: Seen, own: str | None) -> Iterator[tuple[Rows, list[str]]]:
        """Yield the largest cycle that an observation sees, the latest of equal ones.

        The way of its payments is the customer's; other customers' have none.

        `own`: transaction that is the observation itself: it is seen in any case.
        """
        best: tuple[float, int] | None = None
        for path in self.of_customer.get(seen.customer, ()):
            closing = path[-1]
            time, known = self.rows.time[closing], self.rows.known[closing]
            is_own = self.payments[c.TRANSACTION_ID][int(closing)].as_py() == own
            if not (time < seen.decided and known <= seen.decided) and not is_own:
                continue
            size = float(self.rows.amount[path[0]]), int(closing)
            if self.rows.time[path[0]] >= seen.decided - WINDOW_US and (best or (-1.0, 0)) < size:
                best, chosen = size, path
        if best is not None:
            mine = self.payments.take(chosen)
            way = pc.equal(mine[c.COUNTERPARTY_ID], seen.customer).to_numpy().astype(np.int64)
            way -= pc.equal(mine[c.CUSTOMER_ID], seen.customer).to_numpy()
            yield self.rows.take(chosen)._replace(way=way), mine[c.TRANSACTION_ID].to_pylist()


def _between_customers(transactions: pa.Table, *, since: int, until: int, least: float) -> pa.Table:
    """Select the payments out of one customer's account to another customer, in a fixed order."""
    names = (c.TRANSACTION_ID, c.CUSTOMER_ID, c.EVENT_TIME, c.KNOWN_AT, c.AMOUNT, c.COUNTERPARTY_ID)
    if not {c.DIRECTION, c.COUNTERPARTY_ID} <= set(transactions.column_names):
        return transactions.slice(0, 0)
    time = transactions[c.EVENT_TIME].cast(pa.int64())
    kept = pc.and_(pc.greater_equal(time, since), pc.less_equal(time, until))
    kept = pc.and_(kept, pc.equal(transactions[c.DIRECTION], "out"))
    kept = pc.and_(kept, pc.greater_equal(transactions[c.AMOUNT], least))
    paying = transactions.filter(kept).select(names)
    among = pc.is_in(paying[c.COUNTERPARTY_ID], value_set=pc.unique(paying[c.CUSTOMER_ID]))
    order = [
        (c.EVENT_TIME, "ascending"),
        (c.KNOWN_AT, "ascending"),
        (c.TRANSACTION_ID, "ascending"),
    ]
    return paying.filter(among).sort_by(order)
