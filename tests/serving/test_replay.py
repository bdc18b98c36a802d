"""What was served is scored again in batch: nothing differs, and what differs is named."""

import json
import shutil
import sqlite3

import numpy as np
import pytest
from typer.testing import CliRunner

from kyc_ml import Scorer, cli
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError
from kyc_ml.history import HistoryStore, Served, append_tables
from kyc_ml.monitoring import NightsRecord, Severity, find_drift, replay_recorded
from kyc_ml.scoring import run_history_compact
from kyc_ml.serving import ReplayRequest, run_replay

ANSWERED = 20
OTHER_TIER = (
    """UPDATE served SET seal = NULL, answer = replace(answer, '"tier": "', '"tier": "x')"""
)


@pytest.fixture(scope="module")
def served_once(model, bundle, drawn, make_history, tmp_path_factory):
    history, (draw, _) = make_history(tmp_path_factory.mktemp("served")), drawn
    with Scorer.open(history=history, model=model) as scorer:
        for row in draw(np.random.default_rng(1), ANSWERED, start=12):
            scorer.score(row)
    return history


@pytest.fixture
def served(served_once, tmp_path):
    return shutil.copytree(served_once, tmp_path / "served")


@pytest.mark.parametrize("all_rows", [False, True])
def test_nothing_that_was_served_differs_in_batch(served, model, bundle, all_rows):
    found = run_replay(ReplayRequest(history=served, model=[str(model)], all_rows=all_rows))
    assert (found.served, found.compared, found.differences, found.code) == (20, 20, (), 0)
    assert found.cells == ANSWERED * sum(not spec.intermediate for spec in bundle.specs)
    assert found.models == {bundle.config.name: ANSWERED}


@pytest.mark.parametrize(
    ("field", "change", "what"),
    [
        (
            "answer",
            lambda old: old.replace(b'"probability": 0.', b'"probability": 1.'),
            "probability",
        ),
        ("answer", lambda old: old.replace(b'"code": "', b'"code": "x'), "reasons"),
        ("row", lambda old: old.replace(b'"amount":', b'"amount":9'), "transactions"),
    ],
)
def test_one_changed_value_is_named(served, model, field, change, what):
    run_replay(ReplayRequest(history=served, model=[str(model)]))  # the rows are in the tables
    with sqlite3.connect(served / "served.db") as log:
        [(key, old)] = log.execute(f"SELECT key, {field} FROM served LIMIT 1").fetchall()
        assert change(old) != old
        log.execute(f"UPDATE served SET {field} = ?, seal = NULL WHERE key = ?", (change(old), key))
    found = run_replay(ReplayRequest(history=served, model=[str(model)]))
    assert {(each.observation_id, each.what) for each in found.differences} == {(key, what)}


def test_a_row_that_claims_to_have_been_known_changes_features_of_its_key(served, model, drawn):
    draw, contracted = drawn
    fact = draw(np.random.default_rng(2), 1, start=90)[0]
    early = dict(fact, customer_id="c1", event_time="2024-01-05T10:00:01Z")
    with HistoryStore.open(served, write=True) as store:
        append_tables(store, contracted([dict(early, known_at=early["event_time"])]), note={})
    found = run_replay(ReplayRequest(history=served, model=[str(model)]))
    features = [each for each in found.differences if each.key]
    assert found.code == 1
    assert {each.key for each in features} == {"customer_id"}
    [counts] = found.by_model.values()
    assert counts[features[0].what] <= found.compared


def test_a_sample_is_drawn_by_its_seed_from_a_period(served, model):
    options = {"history": served, "model": [str(model)]}
    whole = run_replay(ReplayRequest(**options))
    half = "2024-01-08T12:00"
    parts = [
        run_replay(ReplayRequest(**options, **period)).served
        for period in ({"until": half}, {"since": half})
    ]
    assert sum(parts) == whole.served
    assert 0 < parts[0] < whole.served
    few = run_replay(ReplayRequest(**options, sample=3, seed=4))
    assert (few.served, few.compared) == (whole.served, 3)


def test_compaction_keeps_what_was_served_lately(served, model, bundle, drawn):
    def compact(**given):
        run_history_compact(history=served, reporter=ProgressReporter(), **given)
        with HistoryStore.open(served) as store:
            return len(store.served_known(-(1 << 62), 1 << 62))

    rows = drawn[0](np.random.default_rng(1), ANSWERED, start=12)
    with Scorer.open(history=served, model=model) as scorer:  # moves them into the tables
        before = scorer.score_many(rows)
        folded, late = scorer.store.folded(), scorer.store.kept("served until")
    assert folded == ANSWERED
    assert compact(model=[str(model)]) == ANSWERED
    with Scorer.open(history=served, model=model) as scorer:
        assert scorer.score_many(rows) == before
        assert scorer.store.pending() == []
        assert scorer.store.kept("served until") == late
    found = run_replay(ReplayRequest(history=served, model=[str(model)]))
    assert (found.compared, found.differences) == (ANSWERED, ())
    assert 0 < compact(keep_days=1) < ANSWERED
    assert compact(keep_days=0) == 0
    with Scorer.open(history=served, model=model) as scorer:
        assert scorer.store.log([Served(key="n", request=b"", answer=b"", row=b"")]) > folded


def test_what_an_append_of_files_did_not_wait_for_is_not_of_the_rows_of_now(served, model, drawn):
    with Scorer.open(history=served, model=model) as scorer:
        scorer.score(drawn[0](np.random.default_rng(3), 1, start=60)[0])
        with HistoryStore.open(served, write=True) as store:
            append_tables(store, drawn[1](drawn[0](np.random.default_rng(2), 1, start=90)), note={})
            assert store.pending() == []
            seen = store.appends()
        scorer.store.log(
            [
                Served(key=f"k{at}", request=b"", answer=b"", row=b"", known_us=1, appends=at)
                for at in (seen - 1, seen)
            ]
        )
        [number] = scorer.store.served_known(0, 2, pending=True)
        assert scorer.store.served_numbered([number])[0].appends == seen


def test_a_bundle_that_is_not_there_is_asked_for(served):
    with pytest.raises(ConfigError, match="--model"):
        run_replay(ReplayRequest(history=served))


def test_the_command_writes_what_it_found(served, model, tmp_path):
    out = tmp_path / "replay.json"
    command = ["replay", "--history", served, "--model", model, "--out", out, "--sample", 5]
    ended = CliRunner().invoke(cli.app, [str(each) for each in command])
    assert ended.exit_code == 0, ended.output
    assert json.loads(out.read_text())["compared"] == 5
    with sqlite3.connect(served / "served.db") as log:
        log.execute(OTHER_TIER)
    ended = CliRunner().invoke(cli.app, [str(each) for each in command])
    assert ended.exit_code == 1
    assert {each["what"] for each in json.loads(out.read_text())["differences"]} == {"tier"}


def test_a_night_raises_what_differs_once_and_only_of_what_no_append_has_moved(
    served, model, bundle, tmp_path
):
    name, days = bundle.config.name, ["2024-01-11", "2024-01-12", "2024-01-13"]
    other = shutil.copytree(served, tmp_path / "other")
    with sqlite3.connect(served / "served.db") as log:
        log.execute(OTHER_TIER)
    given = {"out": tmp_path, "models": [str(model)], "reporter": ProgressReporter()}
    for history, day in [(other, days[0]), (served, days[1]), (other, days[1]), (served, days[2])]:
        replay_recorded(history, day=day, **given)
    record = NightsRecord.open(tmp_path)
    assert record.replays() == [
        (days[0], name, ANSWERED, {}),
        (days[1], name, ANSWERED, {"tier": ANSWERED}),
    ]
    [signal] = find_drift(record, {}).signals
    assert (signal.code, signal.day, signal.subject) == ("served.differs", days[1], "tier")
    assert signal.severity is Severity.CRITICAL


def test_a_replay_that_cannot_run_never_fails_the_night(tmp_path):
    reporter = ProgressReporter()
    replay_recorded(tmp_path / "no", out=tmp_path, day="2024-01-11", models=[], reporter=reporter)
    assert NightsRecord.open(tmp_path).replays() == []
