"""Rows found by key: what computes features of a few observations asks of whoever keeps rows."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.metrics import Floats


class KeyedRows(Protocol):
    """Rows of contracted tables, and of those made of them, read by the values of one column."""

    def rows(self, table: str, key: str, values: pa.Array, columns: Collection[str]) -> pa.Table:
        """Return the rows whose column `key` has one of some values.

        `table`: a contracted table, or one of `prepare.MADE_FROM`.
        `key`: an anchor of a plan (`buckets.anchors`): customer_id, counterparty_id, ...
        `values`: string array; different values; one that no row has gives no row.
        `columns`: wanted in addition to event_time, known_at and, of a made table, superseded_at;
        columns that a plan carries to the rows of the table are among those that can be asked for.
        In the order of `build_features`: event_time, known_at, then the key of the table's
        contract.
        """


class WholeBank(Protocol):
    """Readings of all rows of a table, by no key, by the clock or by a field of few values."""

    def read(
        self, specs: Sequence[FeatureSpec], observed: TimedRows
    ) -> Mapping[str, Floats | pa.Array]:
        """Return the values of features of a plan's sites without an anchor, by name."""


class PeerFigures(Protocol):
    """Figures of groups of peers at the start of each month."""

    def compare(
        self,
        specs: Sequence[FeatureSpec],
        own: tuple[Mapping[str, Floats], Mapping[str, pa.Array]],
        observed: TimedRows,
    ) -> Mapping[str, Floats]:
        """Compare features of observations with those of their peers, by name."""
