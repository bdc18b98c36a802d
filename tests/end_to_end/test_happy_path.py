"""What a user does on a good day, each step by the command line."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kyc_ml.cli.terminal.tables import say_share
from kyc_ml.decision import disclosable
from kyc_ml.display import say_number


def facts(outcome):
    """The summary that ends a job: every line of its box with two cells."""
    rows = [line.strip("│┃| ").split("│") for line in outcome.out.splitlines() if "│" in line]
    return {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}


def done(outcome):
    assert outcome.crash is None, outcome.crash
    assert outcome.code == 0, outcome.err
    return outcome


def test_synth_writes_the_tables_and_the_answer_key(place, tmp_path):
    made = done(place.run("synth", "--transactions", 5000, "--days", 120, "--out", tmp_path / "b"))
    assert facts(made)["transactions"] == "5,000 rows"
    assert pq.read_metadata(tmp_path / "b" / "transactions.parquet").num_rows == 5000
    assert (tmp_path / "b" / "answer_key").is_dir()


def test_synth_replaces_a_bank_only_when_told(place, tmp_path):
    first = ("synth", "--transactions", 5000, "--days", 120, "--out", tmp_path / "b")
    done(place.run(*first))
    again = place.run(*first)
    assert (again.code, "already" in again.err) == (2, True)
    assert done(place.run(*first, "--overwrite", "--quiet")).is_summary_alone


def test_check_counts_and_leaves_no_quarantine_of_a_sound_source(place, tmp_path):
    aside = tmp_path / "refused.parquet"
    outcome = done(place.run("check", *place.source_arguments(), "--quarantine", aside))
    found = facts(outcome)
    assert found["read"] == found["accepted"]
    assert found["quarantined"] == "0 rows"
    assert not aside.exists()


def test_features_writes_one_row_an_observation(scored):
    outcome = done(scored.features_outcome)
    table = pq.read_table(scored.features)
    found = facts(outcome)
    assert found["observations"] == f"{table.num_rows:,}"
    assert int(found["features"]) == table.num_columns - 3
    assert str(scored.features) in outcome.out
    times = table["decision_time"].to_pandas()
    assert times.max() < scored.as_of
    assert times.min() < scored.since, "a payment that became known late is scored too"


def test_score_writes_tiers_and_reasons(scored):
    outcome = done(scored.outcome)
    assert outcome.out.count("scored") >= 1
    assert facts(outcome)["scored"] == f"{len(scored.frame()):,} observations"
    assert {"probability", "tier", "reason_1_text", "reason_1_text_zh"} <= set(scored.frame())


@pytest.mark.slow
def test_train_registers_keeps_and_tells(place, model, own_store, tmp_path):
    outcome = done(
        place.run(
            "train",
            "--config",
            place.configs / "fraud.yaml",
            *place.source_arguments(),
            "--keep",
            tmp_path / "bundle",
            "--page",
            tmp_path / "page.html",
            "--quiet",
            MLFLOW_TRACKING_URI=own_store,
        )
    )
    assert facts(outcome)["model"].split()[0] == "models:/fraud/2"
    assert outcome.out.count("registered") == 1
    assert outcome.is_summary_alone
    page = (tmp_path / "page.html").read_text()
    assert "fraud v2" in page
    assert "<script" not in page
    # The same data and the same configuration give the same bundle, byte for byte.
    again = facts(outcome)["bundle"]
    assert again == model.result.bundle.digest
    for file in model.folder.iterdir():
        assert (tmp_path / "bundle" / file.name).read_bytes() == file.read_bytes()


def test_explain_says_why_in_two_languages(place, model, scored):
    best = scored.frame().nlargest(1, "probability").iloc[0]
    asked = ("explain", best.observation_id, "--model", model.uri, *place.source_arguments())
    english = done(place.run(*asked, "--top", 3))
    chinese = done(place.run(*asked, "--top", 3, "--chinese"))
    assert (
        f"probability {say_share(best.probability)}, tier {best.tier} {best.tier_zh}" in english.out
    )
    assert "internal" in english.out
    for outcome, column in ((english, "text"), (chinese, "text_zh")):
        assert best[f"reason_1_{column}"][:20] in outcome.out
        assert f"{best.reason_1_contribution:+.3f}" in outcome.out


def test_explain_ends_with_a_summary_that_is_all_when_quiet(place, model, scored):
    best = scored.frame().nlargest(1, "probability").iloc[0]
    asked = ("explain", best.observation_id, "--model", model.uri, *place.source_arguments())
    quiet = done(place.run(*asked, "--quiet"))
    assert quiet.is_summary_alone
    assert done(place.run(*asked)).out.endswith(quiet.out)
    assert "internal" in quiet.out.splitlines()[0]
    found = facts(quiet)
    assert (found["observation"], found["probability"], found["tier"]) == (
        best.observation_id, say_share(best.probability), f"{best.tier} {best.tier_zh}"
    )  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
def test_explain_writes_a_case_sheet_for_its_owner_alone(place, model, scored, tmp_path, language):
    """Each page is in one language."""
    written, absent = ("text_zh", "text") if language == "zh" else ("text", "text_zh")
    more = ("--chinese",) if language == "zh" else ()
    best = scored.frame().nlargest(1, "probability").iloc[0]
    sheet = tmp_path / "case.html"
    asked = ("explain", best.observation_id, "--model", model.uri, *place.source_arguments())
    outcome = done(place.run(*asked, "--top", 3, "--sheet", sheet, *more))
    assert "lower" in outcome.out
    assert say_number(best.reference_margin, "+.3f") in outcome.out  # where the sum starts
    assert sheet.stat().st_mode & 0o777 == 0o600
    page = sheet.read_text(encoding="utf-8")
    assert best.observation_id in page
    assert f'<html lang="{language}' in page
    assert best[f"reason_1_{written}"][:20] in page
    assert best[f"reason_1_{absent}"][:20] not in page


@pytest.mark.parametrize("more", [(), ("--chinese",)])
def test_what_a_customer_may_be_told_tips_nobody_off(place, model, scored, more):
    worst = scored.frame().nlargest(1, "probability").iloc[0]
    asked = ("explain", worst.observation_id, "--model", model.uri, *place.source_arguments())
    told = done(place.run(*asked, "--customer-safe", "--quiet", *more))
    assert told.is_summary_alone
    assert worst.observation_id in told.out
    bundle = model.result.bundle
    safe = disclosable({spec.name: spec for spec in bundle.specs}, families=("profile",))
    shown = {spec.name for spec in bundle.inputs if spec.name in safe}
    assert shown
    text = told.out.replace(worst.observation_id, "")
    for spec in bundle.inputs:
        said = spec.description_zh if more else spec.description
        assert (f" {said} " in text) == (spec.name in shown)
    tiers = [name for rule in bundle.policy.tiers for name in (rule.name, rule.name_zh)]
    secret = [rule.code for rule in bundle.policy.overrides]
    for word in (
        *(*secret, "tier", "risk", "probab", "log-odds", "model", "list", "report", "%", "politic"),
        *("风险", "概率", "名单", "可疑", "报告", "政要"),
        *(name for name in tiers if len(name) > 1),
    ):
        assert word not in text.lower()


def test_no_case_sheet_is_written_for_a_customer(place, model, scored, tmp_path):
    name = scored.frame()["observation_id"].iloc[0]
    sheet = tmp_path / "case.html"
    refused = place.run(
        "explain", name, "--model", model.uri, *place.source_arguments(),
        "--customer-safe", "--sheet", sheet,
    )  # fmt: skip
    assert refused.code == 2
    assert "internal" in refused.err
    assert not sheet.exists()


def test_a_bundle_folder_scores_as_its_registered_version_does(place, model, scored, tmp_path):
    out = tmp_path / "scored"
    period = ("--since", scored.since.isoformat(), "--as-of", scored.as_of.isoformat())
    asked = ("score", "--model", model.folder, *place.source_arguments(), *period, "--out", out)
    assert done(place.run(*asked, "--quiet")).is_summary_alone
    published = pd.read_parquet(out / "scores")
    digest = model.result.bundle.digest
    assert set(published["model_version"]) == {f"fraud {digest[:12]}"}
    assert set(scored.frame()["model_version"]) == {"fraud v1"}  # as SCORES.md says
    fresh = published.drop(columns=["model_version", "run_id"])
    pd.testing.assert_frame_equal(fresh, scored.frame().drop(columns=["model_version", "run_id"]))


def test_quiet_prints_the_summary_alone(place, tmp_path):
    outcome = done(place.run("check", *place.source_arguments(), "--quiet"))
    assert outcome.is_summary_alone
    assert "accepted" in outcome.out.splitlines()[0]


def test_features_built_in_buckets_are_those_built_at_once(place, scored):
    out = place.home / "out" / "in_buckets.parquet"
    built = place.run(
        "features", "build", "--config", place.configs / "fraud.yaml", *place.source_arguments(),
        "--since", scored.since.isoformat(), "--as-of", scored.as_of.isoformat(),
        "--buckets", "3", "--out", out, "--quiet",
    )  # fmt: skip
    assert done(built).is_summary_alone
    got = pd.read_parquet(out).set_index("observation_id").sort_index()
    expected = pd.read_parquet(scored.features).set_index("observation_id").sort_index()
    pd.testing.assert_frame_equal(got, expected, check_exact=False, rtol=1e-12)
    assert [path.name for path in out.parent.iterdir() if path.name.startswith("kyc_ml_")] == []
