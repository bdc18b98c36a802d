"""What is served: whole requests, once each, in an order of time that a batch sees too."""

import json
import time

import numpy as np
import pytest

from kyc_ml.errors import OutputError
from kyc_ml.features import build_features
from kyc_ml.registry import score_features
from kyc_ml.serving.scoring import Asked

HOUR_US = 3_600_000_000


def ask(state, *transactions, key=None):
    asked = Asked(transactions=transactions, key=key)
    state.turn([asked])
    state.settle()
    return asked


def keys(asked):
    return [(place, each.column, each.key) for place, each in asked.faults]


def test_the_score_is_that_of_the_batch(begin, payment, bundle, tables):
    state = begin()
    asked = ask(state, payment)
    got = json.loads(asked.answers[0])
    row = state.model.live.added[0]
    observed = row.rename_columns(
        {"transaction_id": "observation_id", "event_time": "decision_time"}
    ).drop_columns(["known_at"])
    facts = build_features(tables, observed, specs=state.model.live.specs)
    [batch] = score_features(bundle, facts).to_pylist()
    for name in ("margin", "probability", "tier", "policy", "base_value", "model_digest"):
        assert got[name] == batch[name]
    shown = [each["text"] for each in got["reasons"]]
    assert shown == [batch[f"reason_{place}_text"] for place in range(1, len(shown) + 1)]
    assert got["observation_id"] == "t1"
    assert got["known_at"] == got["decision_time"]


def test_the_same_request_has_the_same_answer_after_a_restart(begin, payment, store):
    first = ask(begin(), payment)
    again = ask(begin(), payment)
    assert first.status == again.status == 200
    assert again.answers == first.answers
    assert len(store.pending()) == 1


def test_the_same_id_twice_in_one_turn_is_kept_once(begin, payment, store):
    state = begin()
    turn = [Asked(transactions=[payment]) for _ in range(3)]
    turn.append(Asked(transactions=[payment | {"amount": 11.0}]))
    state.turn(turn)
    assert [each.status for each in turn] == [200, 200, 200, 409]
    assert turn[0].answers == turn[2].answers
    assert len(store.pending()) == 1


def test_an_id_with_other_content_is_refused(begin, payment, store):
    state = begin()
    ask(state, payment)
    other = ask(state, payment | {"amount": 11.0})
    assert (other.status, keys(other)) == (409, [(0, "transaction_id", "different")])
    batch = ask(state, payment | {"transaction_id": "t0"})
    assert (batch.status, keys(batch)) == (409, [(0, "transaction_id", "different")])
    assert len(store.pending()) == 1


def test_a_transaction_of_the_tables_is_scored_and_not_added_again(begin, payment, store):
    state = begin()
    known = payment | {"transaction_id": "t0", "event_time": "2024-01-05T11:00:00+01:00"}
    assert ask(state, known).status == 200
    assert state.model.live.added == []
    assert [entry.row for _, entry in store.pending()] == [b""]


def test_an_id_is_never_the_key_of_a_request(begin, payment):
    state = begin()
    named = ask(state, payment, key="k")
    assert named.status == 200
    for name in ("header:k", " header:k"):
        assert ask(state, payment | {"transaction_id": name}).answers[0]
    assert ask(state, payment, key="k").answers == named.answers


def test_a_key_of_a_request_names_one_content(begin, payment):
    state = begin()
    two = [payment, payment | {"transaction_id": "t2"}]
    first, again = (ask(state, *two, key="k") for _ in range(2))
    assert first.answers == again.answers
    other = ask(state, payment | {"transaction_id": "t3"}, key="k")
    assert (other.status, keys(other)) == (409, [(0, "Idempotency-Key", "different")])


def test_of_a_request_all_is_scored_or_nothing(begin, payment, store):
    state = begin()
    wrong = payment | {"transaction_id": "t2", "amount": float("inf"), "country": "x", "no": 1}
    asked = ask(state, payment, wrong, payment | {"event_time": "2999-01-01T00:00:00Z"})
    assert asked.status == 422
    assert set(keys(asked)) == {
        (1, "amount", "infinite"),
        (1, "no", "unknown"),
        (1, "country", "unknown"),
        (2, "event_time", "impossible timestamp"),
        (2, "event_time", "in the future"),
        (2, "transaction_id", "duplicate"),
    }
    assert (asked.answers, store.pending()) == ([], [])


@pytest.mark.parametrize(("seconds", "status"), [(-60, 200), (4, 200), (60, 422)])
def test_clocks_may_differ_a_little(begin, payment, seconds, status):
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    assert ask(begin(), payment | {"event_time": when}).status == status


@pytest.mark.parametrize(
    ("late_us", "moved"), [(-1, False), (0, False), (1, True), (HOUR_US, True)]
)
def test_what_comes_late_is_known_from_then_on(begin, payment, store, late_us, moved):
    """A decision that was made must not see it in batch either."""
    latest = 1_704_538_800_000_000
    when, state = latest - late_us, begin(latest_us=latest)
    stamp = np.datetime64(when, "us").item().isoformat()
    ask(state, payment | {"event_time": f"{stamp}Z"})
    [(_, entry)] = store.pending()
    assert json.loads(entry.row)["known_at"] == (latest + 1 if moved else when)
    assert state.latest_us == max(latest, when)


def test_a_log_that_cannot_be_written_acknowledges_nothing(begin, payment, store, monkeypatch):
    state = begin()
    ask(state, payment)

    def refuse(entries):
        raise OutputError

    monkeypatch.setattr(store, "log", refuse)
    turn = [Asked(transactions=[payment | {"transaction_id": f"n{each}"}]) for each in range(2)]
    turn.append(Asked(transactions=[{}]))
    with pytest.raises(OutputError):
        state.turn(turn)
    assert [each.status for each in turn] == [507, 507, 422]
    assert [each.answers for each in turn] == [[], [], []]
    monkeypatch.undo()
    assert ask(begin(), payment | {"transaction_id": "n0"}).status == 200
