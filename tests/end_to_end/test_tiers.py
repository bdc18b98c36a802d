"""Tier policies at the command line: propose, show, check, override, compare."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kyc_ml.config import load_section
from kyc_ml.decision import TierPolicy
from kyc_ml.training.tiers_job import pages_of

ENTRY = (
    "customer_id,code,reason,source,floor,tier,start,expiry,approved_on,requester,approver\n"
    "{customer},committee,known,minutes 4,high,,2020-01-01,2040-01-01,2020-01-01,r,s\n"
)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A policy that asks for few alerts a day, the proposal for it, and what was there."""

    policy: Path
    proposal: Path
    outcome: object
    before: dict[Path, str]


def digests(*paths):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def fitted(place, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiers")
    text = (place.configs / "tiers" / "fraud.yaml").read_text(encoding="utf-8")
    usual = "alerts: {high: 5, medium_high: 10, medium: 30}"
    assert usual in text
    policy, proposal = folder / "fraud.yaml", folder / "proposal.yaml"
    policy.write_text(text.replace(usual, "alerts: {high: 0.5, medium_high: 1}"))
    before = digests(policy, *model.folder.iterdir())
    outcome = place.run(
        "tiers", "fit", model.uri, *place.source_arguments(), "--policy", policy,
        "--out", proposal,
    )  # fmt: skip
    return Fitted(policy=policy, proposal=proposal, outcome=outcome, before=before)


def score_week(place, model, scored, out, *more):
    period = ("--since", scored.since.isoformat(), "--as-of", scored.as_of.isoformat())
    return place.run(
        "score", "--model", model.uri, *place.source_arguments(), *period, "--out", out, *more
    )


def test_fit_writes_a_proposal_and_a_diff_and_changes_nothing(fitted):
    done = fitted.outcome
    assert done.code == 0, (done.err, done.crash)
    assert "proposed" in done.out
    for page, language in pages_of(fitted.proposal).items():
        assert "v3" in page.read_text(encoding="utf-8"), language
    in_force, proposed = (
        load_section(path, TierPolicy) for path in (fitted.policy, fitted.proposal)
    )
    assert "all 2 met" in done.out
    head = fitted.proposal.read_text(encoding="utf-8").splitlines()[:7]
    begins = ["proposed by: kyc-ml tiers fit; not approved", "model: ", "data: SHA-256 ", "rows: "]
    for line, begin in zip(
        head,
        [*begins, "decided: ", "kind of rows: the model has not", "targets: all 2 met"],
        strict=True,
    ):
        assert line.startswith(f"# {begin}")
    assert proposed.cut_offs()[:3] == in_force.cut_offs()[:3]
    assert proposed.cut_offs()[3:] != in_force.cut_offs()[3:]
    assert fitted.before == digests(*fitted.before)


def test_a_proposal_is_lawful_but_no_policy_in_force(place, fitted):
    checked = place.run("tiers", "check", fitted.proposal)
    assert checked.code == 1
    assert "proposal" in checked.out
    assert place.run("tiers", "check", fitted.policy, "--on", "2026-01-01").code == 0
    late = place.run("tiers", "check", fitted.policy, "--on", "2028-01-01")
    assert late.code == 1
    assert re.search("'list_hit'.*2027-12-31", late.out)


def test_show_lays_out_the_policy(place):
    shown = place.run("tiers", "show", place.configs / "tiers" / "risk.yaml")
    assert shown.code == 0, (shown.err, shown.crash)
    for text in ("medium_high", "中高", "from (entity)", "refused_due_diligence", "expert"):
        assert text in shown.out


def test_a_policy_with_faults_is_refused_in_one_message(place, fitted, tmp_path):
    text = fitted.policy.read_text(encoding="utf-8")
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        text.replace(
            "approver: risk committee            #", "approver: model development  #"
        ).replace("expiry: 2027-12-31", "expiry: 2012-12-31")
    )
    refused = place.run("tiers", "check", broken)
    assert refused.code == 2
    assert "author" in refused.err
    assert "overrides.0: expiry (2012-12-31)" in refused.err


def test_an_entered_override_raises_its_customer_and_the_move_is_explained(
    place, model, scored, tmp_path
):
    before = scored.frame()
    calm = before[before["tier"] != "high"].iloc[0]
    book = tmp_path / "overrides.csv"
    book.write_text(ENTRY.format(customer=calm["customer_id"]))
    out = tmp_path / "scored"
    done = score_week(place, model, scored, out, "--overrides", book)
    assert done.code == 0, (done.err, done.crash)
    assert "overrides" in done.err
    after = pd.read_parquet(out / "scores")
    own = after["customer_id"] == calm["customer_id"]
    assert (after.loc[own, "tier"] == "high").all()
    assert (after.loc[own, "override_code"] == "committee").all()
    rest = [name for name in before if name not in {"model_version", "run_id"}]
    pd.testing.assert_frame_equal(after.loc[~own, rest], before.loc[~own, rest])
    moved = tmp_path / "moves.parquet"
    compared = place.run(
        "tiers", "moves", scored.scores, out, "--policy", place.configs / "tiers" / "fraud.yaml",
        "--out", moved,
    )  # fmt: skip
    assert compared.code == 0, (compared.err, compared.crash)
    assert "began" in compared.out
    assert calm["customer_id"] in pq.read_table(moved)["customer_id"].to_pylist()


def test_earlier_scores_can_be_named_as_history(place, model, scored, tmp_path):
    out = tmp_path / "scored"
    done = score_week(place, model, scored, out, "--previous", scored.scores)
    assert done.code == 0, (done.err, done.crash)
    # the fraud policy has no hysteresis: nothing is held up
    assert pd.read_parquet(out / "scores")["tier"].tolist() == scored.frame()["tier"].tolist()
    broken = tmp_path / "no.parquet"
    broken.write_text("no parquet")
    refused = score_week(place, model, scored, out, "--previous", broken)
    assert refused.code == 2
    assert "Parquet" in refused.err
