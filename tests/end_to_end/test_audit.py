"""kyc-ml audit: passes the honest bank, and fails, by name, where the future leaks."""

import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from kyc_ml.config import FeatureConfig, RunConfig, dump_section, load_section
from kyc_ml.features import build_features
from kyc_ml.validation import probes

CHECKS = ["deleted", "corrupted", "crowded", "shuffled"]


def audit(place, *more, unit="fraud", config=None):
    return place.run(
        "audit", "--config", config or place.configs / f"{unit}.yaml",
        *place.source_arguments(), "--times", 2, *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def lean(place, tmp_path_factory):
    """A configuration of two families, which is quick to build."""
    config = load_section(place.configs / "fraud.yaml", RunConfig)
    few = FeatureConfig(families=("velocity", "label_history"))
    path = tmp_path_factory.mktemp("lean") / "lean.yaml"
    path.write_text(dump_section(config.model_copy(update={"features": few})))
    return path


@pytest.mark.parametrize("unit", ["fraud", "risk"])
def test_the_synthetic_bank_passes(place, tmp_path, unit):
    out = tmp_path / "new" / "audit.json"
    done = audit(place, "--out", out, unit=unit)
    assert (done.code, done.crash) == (0, None), done.err
    assert f" {unit}: passed" in done.out
    assert "(8)" in done.err
    found = json.loads(out.read_text())
    assert found["passed"] is True
    assert [line["check"] for line in found["checks"]] == CHECKS
    assert all(line["moved"] == 0 for line in found["checks"])
    assert all(line["rows"] > 0 for line in found["checks"] if line["check"] != "shuffled")
    assert all(line["values"] > 10_000 for line in found["checks"])
    assert found["observations"] > 200
    assert len(found["decision_times"]) == 2
    labels = found["labels"]
    assert labels["not_run"] == ""
    assert labels["positives"] >= probes.FEWEST
    assert 0.5 <= labels["single_feature_auc"][0]["auc"] <= labels["highest_auc_allowed"] == 0.95
    shuffled = labels["shuffled_labels"]
    assert shuffled["low"] <= 0.5 <= shuffled["high"]
    for start in ("C0000", "T0000", "K0000"):  # customers, transactions, cases
        assert start not in done.out + done.err + out.read_text()
    assert f"{shuffled['auc']:.3f} ({shuffled['low']:.3f}–{shuffled['high']:.3f})" in done.out


def test_a_planted_leak_exits_with_1_and_names_the_features(place, lean, tmp_path, monkeypatch):
    def closed(source, observations, **rest):
        """Count the decision's own instant too."""
        late = pc.add(observations["decision_time"], pa.scalar(1, pa.duration("us")))
        column = observations.column_names.index("decision_time")
        moved = observations.set_column(column, observations.field(column), late)
        return build_features(source, moved, **rest)

    monkeypatch.setattr("kyc_ml.validation.audit_job.build_features", closed)
    out = tmp_path / "audit.json"
    done = audit(place, "--out", out, "--quiet", config=lean)
    assert (done.code, done.crash) == (1, None), done.err
    assert done.is_summary_alone
    assert "FAILED" in done.out
    found = json.loads(out.read_text())
    assert found["passed"] is False
    moved = {line["feature"] for line in found["features"] if line["moved"]}
    assert "customer_count_7d" in moved
    assert moved <= set(re.findall(r"\w+", done.out))


def test_a_feature_that_ranks_too_well_alone_exits_with_1(place, lean, monkeypatch):
    monkeypatch.setattr(
        "kyc_ml.validation.audit_job.HIGHEST_AUC", 0.5
    )  # as if honest ones were too good
    done = audit(place, config=lean)
    assert (done.code, done.crash) == (1, None), done.err
    assert "alone" in done.out
    assert "FAILED" in done.out


@pytest.mark.parametrize("whole", [True, False])
def test_rows_that_a_later_extract_added_to_the_past_exit_with_1(place, lean, tmp_path, whole):
    before, out = tmp_path / "before", tmp_path / "audit.json"
    shutil.copytree(place.data, before)
    if not whole:
        path = before / "transactions.parquet"
        rows = pq.read_table(path)
        pq.write_table(rows.filter(np.arange(rows.num_rows) % 10 > 0), path)
    done = audit(place, "--earlier", before, "--out", out, config=lean)
    assert (done.code, done.crash) == (0 if whole else 1, None), done.err
    found = json.loads(out.read_text())["earlier_extract"]
    assert found["observations"] > 500
    moved = [each["feature"] for each in found["moved"]]
    assert bool(moved) == (not whole)
    assert set(moved) <= set(re.findall(r"\w+", done.out))
    assert whole or "customer_count_7d" in moved


def test_without_cases_the_labels_are_said_to_be_unprobed(place, lean, tmp_path):
    source = yaml.safe_load(place.source.read_text())
    del source["tables"]["cases"]
    own = tmp_path / "source.yaml"
    own.write_text(yaml.safe_dump(source, allow_unicode=True))
    config = place.configs / "fraud.yaml"
    done = place.run("audit", "--config", config, *place.source_arguments(source=own), "--times", 1)
    assert (done.code, done.crash) == (0, None), done.err
    assert "probes" in done.out
    assert re.search(r"\b20\b.*\b0\b positives", done.out)
    assert "audited" in done.err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--as-of", "2031-01-01"), "--as-of is 2031-01-01"),
        (("--as-of", "2001-01-01"), "between"),
        (("--out", "/dev/null/audit.json"), "/dev/null/audit.json"),
    ],
)
def test_bad_input_exits_with_2(place, lean, more, told):
    done = audit(place, *more, config=lean)
    assert (done.code, done.crash) == (2, None)
    assert told in done.err
