"""Read features and rows from a store: what every run that has one reads instead of files."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from kyc_ml import features as f
from kyc_ml.config import IdentifierForm
from kyc_ml.contract import CONTRACT, CUSTOMER_ID, CUSTOMERS, TRANSACTIONS, Frame, Tables
from kyc_ml.errors import ConfigError, some_of
from kyc_ml.history.effects import PEERS
from kyc_ml.history.kept_tables import KeptTable
from kyc_ml.history.layout import KEYS, contracted_schemas, layout_of, layout_of_store
from kyc_ml.history.rows import StoredRows, WholeDays
from kyc_ml.history.store import HistoryStore


def create_history(
    folder: Path,
    tables: Tables,
    feature_sets: Sequence[Sequence[f.FeatureSpec]],
    *,
    identifiers: IdentifierForm | None = None,
) -> HistoryStore:
    """Make an empty store for features of some sets, of sources like one.

    `tables`: ContractedTables or StoredTables; their columns, zone and currency are those of the
    store; their rows are not appended.
    `identifiers`: the form in which the source has identifiers; transactions that are served are
    read in it.
    Raises ConfigError if the folder holds a store, or one store cannot serve all the sets.
    """
    schemas = {name: each.schema(*each.column_names) for name, each in tables.columns().items()}
    layout = layout_of(feature_sets, schemas)
    about = {
        "timezone": tables.timezone,
        "base_currency": tables.base_currency,
        "columns": {name: schema.names for name, schema in schemas.items()},
        "attributes": [each.model_dump(mode="json") for each in tables.attributes],
        "identifiers": (identifiers or IdentifierForm()).model_dump(mode="json"),
        "features": [f.definitions_digest(specs) for specs in feature_sets],
        "feature_sets": [[f.to_plain(spec) for spec in specs] for specs in feature_sets],
    }
    kept = {
        name: KeptTable(schema=schema, order=() if name in CONTRACT else KEYS[name])
        for name, schema in layout.schemas.items()
    }
    return HistoryStore.create(folder, about=about, tables=kept, partitions=layout.partitions)


class _KeptPeers(dict[tuple[str, int], f.MonthStatistics]):
    """Figures of peers, kept in the store where it is open for writing."""

    def __init__(self, store: HistoryStore, *, keep: bool) -> None:
        super().__init__()
        self._store = store
        self._keep = keep
        self._months = [tuple(each) for each in json.loads(store.kept(PEERS) or b"[]")]

    def __missing__(self, month: tuple[str, int]) -> f.MonthStatistics:
        if month not in self._months:
            raise KeyError(month)
        kept = self._store.kept(f"{PEERS} {month}")
        assert kept is not None  # noqa: S101  the list of months says so
        found: dict[str, list[pd.DataFrame]] = {}
        with pa.BufferReader(kept) as source:
            while source.tell() < source.size():
                table = pa.ipc.open_stream(source).read_all()
                found.setdefault(table.schema.metadata[b"of"].decode(), []).append(
                    table.to_pandas()
                )
        super().__setitem__(month, found)
        return found

    def __setitem__(self, month: tuple[str, int], figures: f.MonthStatistics) -> None:
        super().__setitem__(month, figures)
        if not self._keep:
            return
        sink = pa.BufferOutputStream()
        for name, levels in figures.items():
            for table in map(pa.Table.from_pandas, levels):
                named = table.replace_schema_metadata({**table.schema.metadata, "of": name})
                with pa.ipc.new_stream(sink, named.schema) as stream:
                    stream.write_table(named)
        with self._store.writing({"peers": month}) as batch:
            months = json.loads(self._store.kept(PEERS) or b"[]")
            batch.keep(f"{PEERS} {month}", sink.getvalue().to_pybytes())
            batch.keep(PEERS, json.dumps([*months, month]).encode())


class History:
    """One state of a store: features of any observations, and rows of its tables.

    Parameters
    ----------
    store : HistoryStore
        Open; make a new History after an append.
    keep : bool
        Whether figures of peers are kept in the store once they were measured: it is open for
        writing then.
    """

    def __init__(self, store: HistoryStore, *, keep: bool = False, threads: int = 2) -> None:
        self.store = store
        self._peers = _KeptPeers(store, keep=keep)
        self._threads = threads
        self._timezone: str = store.about["timezone"]
        self._columns: dict[str, list[str]] = store.about["columns"]
        self.layout = layout_of_store(store)
        self.stored = StoredRows(store, self.layout)
        self.keyed = f.MadeOnReading(self.stored, self.columns)
        self.whole = WholeDays(self.stored, timezone=self._timezone, threads=threads)
        self._known: set[str] = set()

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Columns of the contracted tables and of those made of them."""
        return f.with_made(self._columns)

    def require(self, specs: Sequence[f.FeatureSpec]) -> None:
        """Raise ConfigError if the store does not keep what features read."""
        digest = f.definitions_digest(specs)
        if digest in {*self._known, *self.store.about["features"]}:
            return
        lacks = self.layout.lacks(layout_of([specs], contracted_schemas(self.store)))
        if lacks:
            raise ConfigError(
                f"history store {self.store.folder} was made for other features, and lacks "
                f"{some_of(lacks)}: build it again for these with `kyc-ml history compact --model`"
            )
        self._known.add(digest)

    def by_key(self, specs: Sequence[f.FeatureSpec]) -> f.ByKey:
        """Return what computes features of a set.

        Raises ConfigError if the store does not keep what they read.
        """
        self.require(specs)
        peers = f.MonthlyPeers(
            specs=specs,
            by_key=lambda: found,
            customers=lambda: f.TimedRows(self.stored.all_rows(CUSTOMERS, {CUSTOMER_ID})),
            kept=self._peers,
        )
        found = f.ByKey(
            keyed=self.keyed,
            whole=self.whole,
            timezone=self._timezone,
            peers=peers,
            threads=self._threads,
        )
        return found

    def features(self, observations: Frame, specs: Sequence[f.FeatureSpec]) -> f.FeatureTable:
        """Compute features of observations as `build_features` does from all rows, to the bit.

        Raises ConfigError if the store does not keep what they read.
        """
        with self.store.reading():
            return f.build_features_by_key(
                observations, specs=specs, by_key=self.by_key(specs), columns=self.columns
            )

    def tables_of(self, customers: Sequence[str]) -> dict[str, pa.Table]:
        """Return all contracted rows of some customers, by table, in the order of batch runs."""
        wanted = pa.array(sorted(set(customers)), pa.string())
        with self.store.reading():
            return {
                name: self.store.rows(name, CUSTOMER_ID, wanted, columns).select(columns)
                for name, columns in self._columns.items()
            }

    def payments(self, ids: Sequence[str]) -> pa.Table:
        """Return the transactions of some ids; those that are not there are left out."""
        found = self.store.find(TRANSACTIONS, pa.array(sorted(set(ids)), pa.string()))
        return found.select(self._columns[TRANSACTIONS])
