"""Published nights become rows with outcomes; what is left out is said."""

import json

import pandas as pd
import pytest

from kyc_ml.config import DatasetConfig, RunConfig
from kyc_ml.contract.memory import contract_tables
from kyc_ml.errors import ConfigError
from kyc_ml.monitoring import read_outcomes
from kyc_ml.monitoring.outcomes import SENTENCES

RUN = RunConfig(
    name="fraud", unit="fraud", features={"families": ["amounts"]}, tiers="t.yaml",
    dataset=DatasetConfig(label_maturity_days=10),
)  # fmt: skip


def day(number):
    return pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=number)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Publish a night: rows are (transaction, day decided), each with probability 0.1."""

    # a manifest of these tests says when the night was, and nothing else
    class Plain:
        def __init__(self, folder):
            self.as_of = json.loads((folder / "manifest.json").read_text())["as_of"]
            self.files = {"scores/part-00000.parquet": ""}

    for module in ("earlier", "manifest"):
        monkeypatch.setattr(f"kyc_ml.scoring.{module}.read_manifest", Plain)

    def write(night, *rows, **columns):
        folder = tmp_path / f"{day(night):%Y-%m-%d}" / "fraud"
        (folder / "scores").mkdir(parents=True)
        frame = pd.DataFrame(rows, columns=["observation_id", "decided"])
        frame["decision_time"] = [day(each) for each in frame.pop("decided")]
        defaults = {
            "customer_id": "c", "probability": 0.1, "tier": "low", "segment": "all",
            "policy": "p", "model_name": "fraud", "model_version": "fraud v1",
        }  # fmt: skip
        frame = frame.assign(**{**defaults, **columns})
        frame.to_parquet(folder / "scores" / "part-00000.parquet")
        (folder / "manifest.json").write_text(json.dumps({"as_of": day(night).isoformat()}))
        return tmp_path

    return write


def cases(*rows):
    """Contract a table of cases: case, transaction, outcome, day known."""
    frame = pd.DataFrame(rows, columns=["case_id", "transaction_id", "outcome", "known_at"])
    frame["known_at"] = [day(each) for each in frame["known_at"]]
    frame["event_time"], frame["customer_id"] = frame["known_at"], "c"
    transactions = pd.DataFrame(
        {"transaction_id": ["t0"], "customer_id": "c", "event_time": [day(0)],
         "known_at": [day(0)], "amount": [1.0]}
    )  # fmt: skip
    read = contract_tables(
        {"transactions": transactions, "cases": frame}, base_currency="EUR", max_orphan_share=1.0
    )
    return read.accepted


def read(out, tables, *, as_of=30):
    found = read_outcomes(out, "fraud", tables=tables, run=RUN, as_of=day(as_of))
    return found, found.rows.set_index("observation_id")


TWO = cases(("k1", "t1", "confirmed_fraud", 5), ("k2", "t2", "confirmed_fraud", 6))


def said(outcomes):
    return [text.en for text in outcomes.remarks]


def test_each_state_of_a_label(publish):
    out = publish(1, *[(f"t{place}", 0) for place in range(6)], ("t9", 29))
    tables = cases(
        ("k1", "t1", "confirmed_fraud", 5),
        ("k2", "t2", "confirmed_fraud", 6), ("k2", "t2", "cleared", 8),
        ("k3", "t3", "open", 3), ("k4", "t4", "cleared", 2),
        ("k5", "t5", "confirmed_fraud", 20),
    )  # fmt: skip
    found, rows = read(out, tables)
    assert rows["label"].to_dict() == {
        "t0": "negative", "t1": "positive", "t2": "withdrawn", "t3": "open_case",
        "t4": "negative", "t5": "positive", "t9": "immature",
    }  # fmt: skip
    assert rows.loc["t1", "reported"] == day(5)
    assert rows["target"].fillna(-1).to_dict() == {
        "t0": 0, "t1": 1, "t2": 0, "t3": -1, "t4": 0, "t5": 1, "t9": -1,
    }  # fmt: skip
    # known on day 20, after the window had closed on day 10
    at_close = dict(zip(found.rows["observation_id"], found.target_at_close, strict=True))
    assert (at_close["t1"], at_close["t5"]) == (1.0, 0.0)
    assert said(found) == [SENTENCES[key].fill(count=1).en for key in ("withdrawn", "unusable")]


def test_outcomes_known_later_are_not_used(publish):
    out = publish(1, ("t1", 0), ("t2", 0))
    _, rows = read(out, TWO, as_of=5)
    assert rows["label"].to_dict() == {"t1": "positive", "t2": "immature"}


def test_a_row_scored_twice_counts_as_first_scored(publish):
    publish(3, ("t1", 0), ("t2", 2), probability=0.9)
    out = publish(1, ("t1", 0))
    found, rows = read(out, TWO)
    assert rows["probability"].to_dict() == {"t1": 0.1, "t2": 0.9}
    assert said(found) == [SENTENCES[key].fill(count=1).en for key in ("missing", "again")]


def test_rated_rows_and_other_models_are_left_out(publish):
    publish(1, ("t1", 0), probability=None)
    publish(2, ("t1", 0), model_name="other")
    out = publish(3, ("t2", 2), customer_id=None)
    found, rows = read(out, TWO)
    assert rows["customer_id"].to_dict() == {"t2": "t2"}
    assert said(found) == [SENTENCES[key].fill(count=1).en for key in ("other_model", "rated")]


def test_nights_after_the_date_are_not_read(publish):
    publish(1, ("t1", 0))
    out = publish(9, ("t2", 8))
    _, rows = read(out, TWO, as_of=8)
    assert rows.index.tolist() == ["t1"]


def test_no_night_at_all(tmp_path):
    found, rows = read(tmp_path, TWO)
    assert rows.empty
    assert found.remarks == (SENTENCES["no_night"],)
    assert found.closed.size == 0


def test_all_damaged_nights_are_named(publish):
    out = publish(1, ("t1", 0))
    publish(2, ("t2", 0))
    for part in out.glob("*/fraud/scores/*"):
        part.write_bytes(b"no Parquet")
    with pytest.raises(ConfigError, match=r"2024-01-02.*2024-01-03"):
        read(out, TWO)
