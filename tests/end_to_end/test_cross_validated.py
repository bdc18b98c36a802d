"""A model cross-validated by customer goes the whole way: train, validate, promote, tiers."""

from dataclasses import replace

import pytest
import yaml


@pytest.fixture(scope="module")
def place(place, make_store, tmp_path_factory):
    """Work with a store of its own: a promotion ties a store to one audit log."""
    home = tmp_path_factory.mktemp("folds")
    return replace(place, home=home, store=make_store(home))


@pytest.fixture(scope="module")
def config(place):
    content = yaml.safe_load((place.configs / "fraud.yaml").read_text())
    content |= {"name": "folds", "rating": None}
    content["splits"] = {"method": "customer_folds", "folds": 2, "early_stopping_folds": 2}
    content["features"] = {"name": "few", "families": ["velocity"]}
    content.pop("stability", None)
    content.pop("selection", None)
    path = place.configs / "folds.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    return path


@pytest.fixture(scope="module")
def trained(place, config):
    done = place.run("train", "--config", config, *place.source_arguments())
    assert done.code == 0, (done.err, done.crash)
    return done


@pytest.fixture(scope="module")
def gates(place):
    """Ask for a ranking at all: what is tested is the way, not the model."""
    gate = {"check": "discrimination.auc", "figure": "auc", "at_least": 0.5, "severity": "red"}
    content = {
        "name": "lenient",
        "version": 1,
        "author": "test",
        "settings": {"draws": 100, "compared_rows": 20, "audit_times": 1},
        "gates": [{**gate, "source": "convention"}],
    }
    path = place.home / "gates.yaml"
    path.write_text(yaml.safe_dump(content))
    return ("--policy", path)


def test_it_is_validated_out_of_fold_and_promoted_on_a_condition(place, trained, gates, tmp_path):
    log, model = ("--log", tmp_path / "audit.jsonl"), "models:/folds@challenger"
    report = tmp_path / "report" / "report.json"
    asked = ("validate", model, *place.source_arguments(), *gates, *log)
    done = place.run(*asked, "--validator", "lin", "--out", report.parent)
    assert done.code == 0, (done.err, done.crash)
    assert "findings" in done.out
    assert "stability.score_psi/out_of_fold/amber" in done.out
    again = place.run(*asked, "--rows", "test", "--out", tmp_path / "other")
    assert (again.code, "out_of_fold" in again.err) == (2, True)
    promote = ("promote", "folds@1", "--report", report, "--approver", "zhao", "--reason", "first")
    refused = place.run(*promote, *gates, *log)
    assert (refused.code, "owner" in refused.out) == (1, True)
    sign = ("sign-off", report, "--validator", "lin", "--conclusion", "approve", "--owner", "wang")
    assert place.run(*sign, *log).code == 0
    refused = place.run(*promote, *gates, *log)  # for the gates that it leaves out
    assert (refused.code, "approve-policy" in refused.out) == (1, True)
    approval = ("approve-policy", gates[1], "--approver", "sun", "--reason", "a test")
    assert place.run(*approval, *log).code == 0
    promoted = place.run(*promote, *gates, *log)
    assert (promoted.code, "condition 1" in promoted.out) == (0, True), promoted.out


def test_its_tiers_are_fitted_out_of_fold_and_never_silently_on_learned_rows(
    place, trained, tmp_path
):
    model, out = "models:/folds@challenger", tmp_path / "proposal.yaml"
    asked = ("tiers", "fit", model, *place.source_arguments())
    done = place.run(*asked, "--out", out)
    assert done.code == 0, (done.err, done.crash)
    assert "fold" in out.read_text(encoding="utf-8")
    refused = place.run(*asked, "--since", "2024-03-01")
    assert (refused.code, "--learned-rows" in refused.err) == (2, True)
