"""The examples of configs/sources/MAPPING.md run as they stand, from files to reasons."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract.source import read_source
from kyc_ml.decision import NOTHING_STANDS_OUT
from kyc_ml.registry import load_bundle

NAMED = re.compile(r"```yaml\n(# (\S+\.yaml)\n.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def examples(place, tmp_path_factory):
    """A folder with every example of the page, and files of the forms they are for."""
    home = tmp_path_factory.mktemp("examples")
    page = (place.configs / "sources" / "MAPPING.md").read_text(encoding="utf-8")
    for text, name in NAMED.findall(page):
        (home / name).write_text(text, encoding="utf-8")
    (home / "tiers").symlink_to(place.configs / "tiers")
    rng = np.random.default_rng(17)
    for folder, (name, rows) in {
        "snapshot": ("客户快照.csv", snapshot(rng)),
        "later": ("客户快照.csv", snapshot(rng).drop(columns="是否违约").head(40)),
        "panel": ("monthly.csv", panel(rng)),
        "applications": ("applications.csv", applications(rng)),
    }.items():
        (home / folder).mkdir()
        rows.to_csv(home / folder / name, index=False)
    return replace(place, home=home, configs=home, data=home)


def snapshot(rng, n=900):
    used = rng.random(n).round(3)
    return pd.DataFrame(
        {
            "客户编号": [f"K{i:04d}" for i in range(n)],
            "学历": rng.choice(["高中", "本科", "大专"], n),
            "月收入": np.where(rng.random(n) < 0.1, "", rng.integers(3_000, 9_000, n).astype(str)),
            "额度使用率": used,
            "是否违约": (rng.random(n) < 0.05 + 0.5 * used).astype(int),
        }
    )


def panel(rng, customers=200, months=20):
    ends = pd.date_range("2024-01-31", periods=months, freq="ME")
    drift = rng.normal(0, 0.02, customers)
    rows = []
    for each in range(customers):
        past_due = 0
        for month, end in enumerate(ends):
            used = float(np.clip(0.4 + drift[each] * month + rng.normal(0, 0.05), 0, 1.2))
            past_due = past_due + 30 if rng.random() < used - 0.25 else 0
            rows.append((f"P{each:03d}", end.date(), round(used, 3), past_due, past_due >= 90))
    frame = pd.DataFrame(rows, columns=["customer_id", "month_end", "utilisation",
                                        "days_past_due", "default_flag"])  # fmt: skip
    return frame.assign(default_flag=frame["default_flag"].astype(int))


def applications(rng, n=160):
    asked = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 360, n), unit="D")
    amount = rng.integers(1, 50, n) * 1_000
    bad = rng.random(n) < amount / 80_000
    return pd.DataFrame(
        {
            "client_id": np.arange(n),
            "application_date": asked.strftime("%Y-%m-%d"),
            "income": rng.integers(20, 200, n) * 1_000,
            "employment": rng.choice(["salaried", "self", "retired"], n),
            "loan_amount": amount,
            "default_date": np.where(bad, "2024-09-01", ""),
        }
    )


def run(examples, *arguments):
    done = examples.run(*arguments)
    assert done.code == 0, done.out + done.err
    return done


def walk(examples, name, observation, *score):
    """Train, score and explain an example; gives the bundle, the scores and what was said."""
    source = ("--source", f"{name}.yaml", "--data", name)
    for made in ("bundle", "scores"):  # of another test
        shutil.rmtree(examples.home / f"{name}-{made}", ignore_errors=True)
    trained = run(examples, "train", "--config", f"{name}-run.yaml", *source,
                  "--keep", f"{name}-bundle", "--card", f"{name}.md")  # fmt: skip
    run(examples, "score", "--model", f"{name}-bundle", *source, *score, "--out", f"{name}-scores")
    said = run(examples, "explain", observation, "--model", f"{name}-bundle", *source)
    scores = pd.read_parquet(examples.home / f"{name}-scores" / "scores")
    return load_bundle(examples.home / f"{name}-bundle"), scores, trained.out + trained.err, said


def test_a_snapshot_is_trained_on_scored_and_explained_without_a_date_of_its_own(examples):
    bundle, scores, said, usual = walk(examples, "snapshot", "K0007@2025-12-31")
    assert {spec.name for spec in bundle.inputs} == {
        "customer_attr_education",
        "customer_attr_income",
        "customer_attr_utilisation",
    }
    assert "instant" in " ".join(said.split())
    assert "instant" in (examples.home / "snapshot.md").read_text(encoding="utf-8")
    assert len(scores) == 900
    assert bundle.metrics["cross_validation"]["auc"] > 0.55
    found = scores[scores["reason_1_code"] != NOTHING_STANDS_OUT]
    assert 0 < len(found) < 450  # most customers are like the others
    assert found["reason_1_code"].str.startswith("attributes.customer_attr_").all()
    texts = found["reason_1_text_zh"].str.cat()
    assert "额度使用率" in texts
    assert "utilisation" not in texts

    by_id = scores.set_index("customer_id")
    assert by_id.loc["K0007", "reason_1_code"] == NOTHING_STANDS_OUT
    assert by_id.loc["K0007", "reason_1_text"] in " ".join(usual.out.split())
    assert "nan" not in usual.out
    most = found.set_index("customer_id")["reason_1_value"].where(
        (found["reason_1_feature"] == "customer_attr_utilisation").to_numpy()
    )
    source = ("--source", "snapshot.yaml", "--data", "snapshot")
    explained = run(examples, "explain", f"{most.idxmax()}@2025-12-31", "--model",
                    "snapshot-bundle", *source)  # fmt: skip
    assert "utilisation" in explained.out


def test_the_next_snapshot_is_scored_by_the_same_mapping_without_its_label(examples):
    text = (examples.home / "snapshot.yaml").read_text(encoding="utf-8")
    later = text.replace("snapshot: 2025-12-31", "snapshot: 2026-03-31")
    (examples.home / "later.yaml").write_text(later, encoding="utf-8")
    if not (examples.home / "snapshot-bundle").exists():
        walk(examples, "snapshot", "K0007@2025-12-31")
    done = run(examples, "score", "--model", "snapshot-bundle", "--source", "later.yaml",
               "--data", "later", "--out", "later-scores")  # fmt: skip
    assert "optional" in done.err
    scores = pd.read_parquet(examples.home / "later-scores" / "scores")
    assert len(scores) == 40
    day = scores["decision_time"].dt.tz_convert("Asia/Shanghai").dt.strftime("%Y-%m-%d")
    assert set(day) <= {"2026-04-01"}


def test_a_mapping_that_lacks_an_attribute_of_the_model_is_told_which(examples):
    text = (examples.home / "snapshot.yaml").read_text(encoding="utf-8")
    (examples.home / "lean.yaml").write_text(text.replace("education:", "schooling:"), "utf-8")
    if not (examples.home / "snapshot-bundle").exists():
        walk(examples, "snapshot", "K0007@2025-12-31")
    done = examples.run("score", "--model", "snapshot-bundle", "--source", "lean.yaml",
                        "--data", "snapshot", "--out", "lean-scores")  # fmt: skip
    assert done.code == 2
    assert "education" in " ".join(done.err.split())


def test_a_run_that_no_feature_is_left_of_says_what_it_would_need(examples):
    text = (examples.home / "snapshot-run.yaml").read_text(encoding="utf-8")
    bare = text.replace("families: [attributes]", "families: [velocity]")
    (examples.home / "bare-run.yaml").write_text(bare, encoding="utf-8")
    source = ("--source", "snapshot.yaml", "--data", "snapshot")
    done = examples.run("train", "--config", "bare-run.yaml", *source)
    assert done.code == 2, done.out + done.err
    assert "velocity" in " ".join(done.err.split())


def test_a_panel_gives_trends_and_is_scored_each_month(examples):
    since = ("--since", "2025-06-01", "--as-of", "2025-08-02")
    bundle, scores, said, _ = walk(examples, "panel", "P003@2025-03-31", *since)
    names = {spec.name for spec in bundle.inputs}
    assert {"customer_attr_utilisation_trend_93d", "customer_attr_days_past_due_max_366d"} <= names
    assert set(scores["decision_time"].dt.strftime("%Y-%m-%d")) == {
        "2025-06-01",
        "2025-07-01",
        "2025-08-01",
    }
    assert "instant" not in said


def test_an_application_is_judged_by_its_own_fields(examples):
    home = examples.home / "applications"
    # the largest loan: an amount that many have is no reason
    asked = pd.read_csv(home / "applications.csv").nlargest(1, "loan_amount").iloc[0]
    case = f"{asked['client_id']}@{asked['application_date']}"
    bundle, scores, _, said = walk(examples, "applications", case, "--full")
    assert {spec.name for spec in bundle.inputs} == {
        "review_attr_loan_amount",
        "review_attr_income",
        "review_attr_employment",
    }
    assert len(scores) == 160
    assert f"{asked['loan_amount']:,.0f} CNY" in said.out


# --- grades, owners of accounts, rates ---------------------------------------------------


def read_example(examples, tmp_path, name, **files):
    for file, text in files.items():
        (tmp_path / f"{file}.csv").write_text(text, encoding="utf-8")
    mapping = load_section(examples.home / f"{name}.yaml", SourceMapping)
    mapping = mapping.model_copy(update={"max_quarantined_share": 0.9})
    return read_source(mapping, data=tmp_path)


def test_five_grades_of_an_account_are_cases_of_its_owner_of_that_day(examples, tmp_path):
    read = read_example(
        examples,
        tmp_path,
        "grades",
        owners="account,owner,since\nx,a,2024-01-01\nx,b,2024-06-01\ny,a,2024-01-01\n",
        grades="account,graded_on,grade\nx,2024-03-31,次级\nx,2024-06-30,正常\n"
        "y,2024-03-31,关注\ny,2024-06-30,损失\ny,2023-12-31,可疑\ny,2024-09-30,不详\n",
    )
    found = {
        (row["case_id"], row["event_time"].strftime("%m-%d")): (row["customer_id"], row["outcome"])
        for row in read.accepted["cases"].to_pylist()
    }
    assert found == {
        ("x", "03-31"): ("a", "default"),
        ("x", "06-30"): ("b", "cleared"),
        ("y", "03-31"): ("a", "cleared"),
        ("y", "06-30"): ("a", "default"),
    }
    reasons = [row["reasons"] for row in read.quarantine.to_pylist()]
    assert sorted(reasons) == [["customer_id: empty"], ["outcome: empty"]]


def test_a_booking_takes_the_last_rate_of_its_currency_at_or_before_its_day(examples, tmp_path):
    read = read_example(
        examples,
        tmp_path,
        "rates",
        bookings="id,customer,day,amount,currency\n1,a,2024-01-05,100,CNY\n2,a,2024-01-05,10,USD\n"
        "3,a,2024-01-07,10,USD\n4,a,2024-01-20,10,USD\n5,a,2024-01-01,10,EUR\n",
        rates="currency,day,rate\nUSD,2024-01-05,7.1\nUSD,2024-01-08,7.2\nEUR,2024-01-02,7.8\n",
    )
    amounts = {
        row["transaction_id"]: (row["amount"], row["attr_currency"])
        for row in read.accepted["transactions"].to_pylist()
    }
    assert amounts == {"1": (100.0, "CNY"), "2": (71.0, "USD"), "3": (71.0, "USD")}
    assert [row["row_id"] for row in read.quarantine.to_pylist()] == ["4", "5"]
