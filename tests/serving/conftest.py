"""A store with a few transactions, a small model, and features by the batch engine."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from kyc_ml.contract import RowRules, contract_tables
from kyc_ml.features import build_features
from kyc_ml.history import HistoryStore, KeptTable, append_tables, create_history
from kyc_ml.registry import graded_specs, save_bundle
from kyc_ml.serving.scoring import ModelNow, Scoring

BEGUN_US = 1_704_448_800_000_000
MINUTE_US = 60_000_000
BEFORE = {
    "transaction_id": "t0",
    "customer_id": "c",
    "event_time": "2024-01-05T10:00:00Z",
    "known_at": "2024-01-05T10:00:00Z",
    "amount": 10.0,
    "direction": "in",
    "channel": "web",
}
REPORT = {
    "report_id": "r",
    "customer_id": "c",
    "event_time": "2024-01-01",
    "provider": "p",
    "item": "score",
    "value": 1.0,
}


@dataclass
class BatchLive:
    """Features by `build_features` of all rows there are: the reference, at any speed."""

    specs: tuple
    tables: object
    broken: bool = False
    appends: int = 0
    added: list = field(default_factory=list)

    def compute(self, observation):
        if self.broken:
            raise ZeroDivisionError
        return build_features(self.tables, observation, specs=self.specs)

    def add(self, table, row):
        self.added.append(row)
        rows = pa.concat_tables([self.tables[table], row])
        order = [(name, "ascending") for name in ("event_time", "known_at", "transaction_id")]
        self.tables = replace(
            self.tables, tables={**self.tables.tables, table: rows.sort_by(order)}
        )


@pytest.fixture
def tables():
    frames = {"transactions": pa.Table.from_pylist([BEFORE]),
              "third_party": pa.Table.from_pylist([REPORT])}  # fmt: skip
    return contract_tables(frames, base_currency="CNY").accepted


@pytest.fixture
def store(tmp_path, tables):
    rows = tables["transactions"]
    kept = {"transactions": KeptTable(schema=rows.schema)}
    with HistoryStore.create(tmp_path / "history", about={}, tables=kept, partitions=[]) as made:
        with made.writing({}) as batch:
            batch.add("transactions", rows)
        yield made


@pytest.fixture
def begin(bundle, store, tables):
    """Begin the state of scoring anew, as after a start."""

    def begin(**changed):
        live = BatchLive(graded_specs(bundle), tables)
        options = {
            "schema": tables["transactions"].schema,
            "rules": RowRules(),
            "latest_us": 0,
            "ahead": timedelta(seconds=5),
        }
        return Scoring(ModelNow(bundle=bundle, label="small 1", live=live), store,
                       **options | changed)  # fmt: skip

    return begin


@pytest.fixture
def payment():
    return dict(BEFORE, transaction_id="t1", event_time="2024-01-06T10:00:00Z", known_at=None)


def draw_payments(rng, n, *, start):
    """Draw payments of few customers: ties, and some that come late."""
    found = []
    for place in range(start, start + n):
        when = (
            BEGUN_US + (place // 3) * 600 * MINUTE_US - int(rng.integers(4) == 0) * 900 * MINUTE_US
        )
        found.append(
            {
                "transaction_id": f"p{place:03}",
                "customer_id": f"c{rng.integers(3)}",
                "event_time": np.datetime64(when, "us").item().isoformat() + "Z",
                "amount": float(rng.integers(1, 1_000)) / 7,
                "direction": str(rng.choice(["in", "out"])),
                "channel": str(rng.choice(["app", "web"])),
            }
        )
    return found


def contract_rows(rows):
    report = {"report_id": "r", "customer_id": "c0", "event_time": "2024-01-01",
              "provider": "p", "item": "score", "value": 1.0}  # fmt: skip
    frames = {"transactions": pa.Table.from_pylist(rows),
              "third_party": pa.Table.from_pylist([report])}  # fmt: skip
    return contract_tables(frames, base_currency="CNY").accepted


@pytest.fixture(scope="module")
def model(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "bundle"
    save_bundle(bundle, folder)
    return folder


@pytest.fixture(scope="session")
def make_history(bundle):
    """Make a store in a folder."""

    def make(folder):
        tables = contract_rows(draw_payments(np.random.default_rng(0), 12, start=0))
        with create_history(folder / "history", tables, [graded_specs(bundle)]) as store:
            append_tables(store, tables, note={})
        return folder / "history"

    return make


@pytest.fixture
def history(tmp_path, make_history):
    return make_history(tmp_path)


@pytest.fixture(scope="session")
def drawn():
    """Draw payments, and contract rows of them."""
    return draw_payments, contract_rows
