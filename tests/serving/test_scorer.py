"""A scorer on a real store: what is served is what a batch run of all rows gives, to the bit."""

import os
import threading
import time
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest

from kyc_ml import Scorer
from kyc_ml.config import FeatureConfig, IdentifierForm
from kyc_ml.errors import ConfigError, ContractError, OutputError
from kyc_ml.features import LiveFeatures, build_features, choose_features
from kyc_ml.history import HistoryStore, append_tables, create_history, fold_served
from kyc_ml.registry import graded_specs, score_features
from kyc_ml.serving import ReplayRequest, run_replay
from kyc_ml.serving.scorer import require_real_time


@pytest.mark.parametrize("restart_every", [5, 100])
def test_what_is_served_is_what_a_batch_gives(history, model, bundle, drawn, restart_every):
    payments, contracted = drawn
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


def test_rows_that_become_known_later_do_not_make_a_request_read_the_store_again(
    tmp_path, model, bundle, drawn
):
    draw, contracted = drawn
    first = draw(np.random.default_rng(0), 12, start=0)
    rows = [row | {"known_at": row["event_time"]} for row in first]
    rows[5]["known_at"] = "2024-03-01T00:00:00+00:00"  # long after all that is served
    place = tmp_path / "late"
    with create_history(place, contracted(rows), [graded_specs(bundle)]) as store:
        append_tables(store, contracted(rows), note={})
    served = [
        row | {"event_time": f"2024-02-01T00:00:{at:02}+00:00"}
        for at, row in enumerate(draw(np.random.default_rng(1), 6, start=12))
    ]
    with Scorer.open(history=place, model=model) as scorer, pytest.MonkeyPatch.context() as patch:
        forget, answers = Mock(), [scorer.score(served[0])]
        patch.setattr(LiveFeatures, "forget", forget)
        answers += map(scorer.score, served[1:])
        assert not forget.called
    tables = contracted(rows + [row | {"known_at": row["event_time"]} for row in served])
    observed = tables["transactions"].rename_columns(
        {"transaction_id": "observation_id", "event_time": "decision_time"}
    )
    facts = build_features(tables, observed.drop_columns(["known_at"]), specs=graded_specs(bundle))
    batch = {row["observation_id"]: row for row in score_features(bundle, facts).to_pylist()}
    assert [a["margin"] for a in answers] == [batch[a["observation_id"]]["margin"] for a in answers]


def test_one_process_serves_a_store(history, model):
    with (
        Scorer.open(history=history, model=model),
        pytest.raises(OutputError, match=str(os.getpid())),
    ):
        Scorer.open(history=history, model=model)
    Scorer.open(history=history, model=model).close()


def test_a_refused_transaction_names_its_rules(history, model):
    with Scorer.open(history=history, model=model) as scorer:
        with pytest.raises(ContractError, match="amount: empty"):
            scorer.score({"transaction_id": "n", "customer_id": "c0"})
        assert scorer.store.pending() == []


def test_a_model_that_no_request_can_wait_for_is_refused():
    specs = choose_features(FeatureConfig(include=("customer_cycles_30d",)), unit="fraud")
    with pytest.raises(ConfigError, match="customer_cycles_30d"):
        require_real_time("fraud", specs, model="m")
    with pytest.raises(ConfigError, match="risk"):
        require_real_time("risk", (), model="m")


def test_a_file_that_brings_what_was_served_changes_nothing(history, model, drawn):
    draw, contracted = drawn
    rows = draw(np.random.default_rng(1), 9, start=12)
    with Scorer.open(history=history, model=model) as scorer:
        known = {each["observation_id"]: each["known_at"] for each in map(scorer.score, rows)}
    with HistoryStore.open(history, write=True) as store:
        done = append_tables(store, contracted(rows), note={})
        ids = pa.array(sorted(known))
        found = store.find("transactions", ids).to_pylist()
        assert store.pending() == []
    assert (done.appended["transactions"], done.refused["transactions"]) == (0, 0)
    assert {each["transaction_id"]: each["known_at"].isoformat() for each in found} == known


def test_identifiers_have_the_form_of_the_source(tmp_path, model, bundle, drawn):
    draw, contracted = drawn
    rows = draw(np.random.default_rng(0), 2, start=0)
    form, place = IdentifierForm(case="upper"), tmp_path / "store"
    specs = [graded_specs(bundle)]
    create_history(place, contracted(rows), specs, identifiers=form).close()
    with Scorer.open(history=place, model=model) as scorer:
        assert scorer.score(rows[0])["customer_id"] == rows[0]["customer_id"].upper()


def test_a_model_of_the_same_features_keeps_the_rows_in_memory(history, model):
    with Scorer.open(history=history, model=model) as scorer:
        state = scorer.begin()
        live, new = state.model.live, scorer.renew()
        taken = scorer.take(state, new)
        assert taken is state
        assert new.live is not live
        assert taken.model.live is live


def test_an_append_beside_is_read_while_requests_are_answered(
    history, model, drawn, monkeypatch: pytest.MonkeyPatch
):
    draw, contracted = drawn
    begun, go = threading.Event(), threading.Event()
    rows = draw(np.random.default_rng(1), 9, start=12)
    brought = [
        row | {"known_at": row["event_time"]} for row in draw(np.random.default_rng(2), 9, start=40)
    ]
    sent = [row | {"event_time": f"2024-03-01T00:00:{at:02}Z"} for at, row in enumerate(rows)]
    warm = Scorer.warm

    def wait(self, *given, **options):
        begun.set()
        assert go.wait(60)
        return warm(self, *given, **options)

    with Scorer.open(history=history, model=model) as scorer:
        answers = [scorer.score(sent[0])]
        monkeypatch.setattr(Scorer, "warm", wait)
        before, first = scorer.model.live, scorer.model.live.appends
        with HistoryStore.open(history, write=True) as store:
            append_tables(store, contracted(brought), note={})
        scorer.score(sent[0])
        assert begun.wait(60)
        answers += map(scorer.score, sent[1:5])  # the store is read beside them
        keys = pa.array(["c0", "c1", "c2"])
        seen = before.rows("transactions", "customer_id", keys, {"amount"})["transaction_id"]
        assert len(seen) == 12 + 4  # the last one is taken in before the next
        assert scorer.model.live is before
        go.set()
        scorer._next.result()
        used = time.thread_time()
        scorer._state = scorer.take(scorer._state, None)  # between two requests
        assert time.thread_time() - used < 0.05
        answers += map(scorer.score, sent[5:])
        after = scorer.model.live
        assert after is not before
        assert len(after.rows("transactions", "customer_id", keys, {"amount"})) == 12 + 9 + 8
        states = {each.appends for each in scorer.store.served_numbered(range(1, 10))}
        assert states == {first, after.appends}
        assert len(scorer.store.served_known(-(1 << 62), 1 << 62, pending=True)) == 4
    # those of the state before lack rows that claim to have been known: the others have them
    replayed = run_replay(ReplayRequest(history=history, model=[str(model)], pending=True))
    assert (replayed.compared, replayed.differences) == (4, ())


def test_what_is_served_while_it_moves_into_the_tables_waits_for_the_next_time(
    history, model, drawn
):
    rows = drawn[0](np.random.default_rng(1), 3, start=12)
    with Scorer.open(history=history, model=model) as scorer:
        scorer.score(rows[0])
        with (
            HistoryStore.open(history, write=True) as store,
            pytest.MonkeyPatch.context() as patch,
        ):
            put = HistoryStore.put_fact

            def served(self, name, value):
                put(self, name, value)
                if scorer.store.last_served() < len(rows):
                    scorer.score(rows[scorer.store.last_served()])

            patch.setattr(HistoryStore, "put_fact", served)
            assert fold_served(store) == 1
        assert [number for number, _ in scorer.store.pending()] == [2, 3]
        assert scorer._next is None  # these rows were in memory already
