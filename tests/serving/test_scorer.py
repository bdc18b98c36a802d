"""A scorer on a real store: what is served is what a batch run of all rows gives, to the bit."""

import numpy as np
import pyarrow as pa
import pytest

from kyc_ml import Scorer
from kyc_ml.contract import contract_tables
from kyc_ml.errors import ContractError
from kyc_ml.features import build_features
from kyc_ml.history import append_tables, create_history
from kyc_ml.registry import graded_specs, save_bundle, score_features

BEGUN_US = 1_704_448_800_000_000
MINUTE_US = 60_000_000


def payments(rng, n, *, start):
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


def contracted(rows):
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


@pytest.fixture
def history(tmp_path, bundle):
    tables = contracted(payments(np.random.default_rng(0), 12, start=0))
    with create_history(tmp_path / "history", tables, [graded_specs(bundle)]) as store:
        append_tables(store, tables, note={})
    return tmp_path / "history"


@pytest.mark.parametrize("restart_every", [5, 100])
def test_what_is_served_is_what_a_batch_gives(history, model, bundle, restart_every):
    rng = np.random.default_rng(1)
    first = payments(np.random.default_rng(0), 12, start=0)
    served, answers = payments(rng, 30, start=12), []
    for place in range(0, len(served), restart_every):
        with Scorer.open(history=history, model=model) as scorer:
            answers += map(scorer.score, served[place : place + restart_every])
    known = {each["observation_id"]: each["known_at"] for each in answers}
    rows = [row | {"known_at": row["event_time"]} for row in first]
    rows += [row | {"known_at": known[row["transaction_id"]]} for row in served]
    tables = contracted(rows)
    observed = tables["transactions"].rename_columns(
        {"transaction_id": "observation_id", "event_time": "decision_time"}
    )
    facts = build_features(tables, observed.drop_columns(["known_at"]), specs=graded_specs(bundle))
    batch = {row["observation_id"]: row for row in score_features(bundle, facts).to_pylist()}
    assert any(known[row["transaction_id"]] != row["event_time"] for row in served)
    for answer in answers:
        expected = batch[answer["observation_id"]]
        for name in ("margin", "probability", "tier", "base_value", "reference_margin"):
            assert answer[name] == expected[name]
        for place, reason in enumerate(answer["reasons"], 1):
            assert reason["text"] == expected[f"reason_{place}_text"]
            assert reason["contribution"] == expected[f"reason_{place}_contribution"]


def test_a_refused_transaction_names_its_rules(history, model):
    with Scorer.open(history=history, model=model) as scorer:
        with pytest.raises(ContractError, match="amount: empty"):
            scorer.score({"transaction_id": "n", "customer_id": "c0"})
        assert scorer.store.pending() == []
