"""HTTP around the queue: statuses, errors with all faults, load shedding, figures."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import uvicorn

from kyc_ml.contract import CONTRACT
from kyc_ml.errors import OutputError
from kyc_ml.serving.app import make_app
from kyc_ml.serving.figures import Figures
from kyc_ml.serving.openapi import make_openapi
from kyc_ml.serving.turns import Turns


class Served:
    """A server in a thread of the test."""

    def __init__(self, begin, *, most=8):
        self.figures, self.errors = Figures(), []
        self.turns = Turns(
            begin, most=most, figures=self.figures, between=lambda state: state,
            noted=self.errors.append, failed=self.errors.append,
        )  # fmt: skip
        app = make_app(
            self.turns, self.figures, model=lambda: {"name": "small"},
            schema=make_openapi(CONTRACT["transactions"].columns, {"channel": "渠道"}),
            most_bytes=10_000, most_transactions=4,
        )  # fmt: skip
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        self._thread = threading.Thread(target=self.server.run, args=([self._socket],))

    def start(self, *, ready=True):
        self._thread.start()
        if ready:
            self.turns.start()
            assert self.turns.ready.wait(60)

    def stop(self):
        self.server.should_exit = True
        self._thread.join()
        self.turns.stop()
        self._socket.close()

    def post(self, content, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content)
        return requests.post(f"{self.url}/v1/score", data=body, headers=headers, timeout=60)

    def get(self, path):
        return requests.get(f"{self.url}{path}", timeout=60)


@pytest.fixture
def served(begin):
    made = Served(begin)
    made.start()
    yield made
    made.stop()


def test_one_is_answered_by_one_and_several_by_several(served, payment):
    one = served.post(payment)
    assert (one.status_code, one.json()["observation_id"]) == (200, "t1")
    two = [payment, payment | {"transaction_id": "t2"}]
    several = served.post(two, **{"Idempotency-Key": "k"})
    assert [each["observation_id"] for each in several.json()] == ["t1", "t2"]
    assert several.json()[0] == one.json()
    assert served.post(payment).content == one.content


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b"7", 400, "not_json"),
        (b"[7]", 400, "not_json"),
        (b'{"amount": NaN}', 400, "not_json"),
        (b'{"amount": 1, "amount": 2}', 400, "not_json"),
        (b"\xff", 400, "not_json"),
        (b"[" * 9_000, 400, "not_json"),
        (b"9" * 9_000, 400, "not_json"),
        (b" " * 10_001, 413, "too_large"),
        (b"[]", 422, "too_many"),
        (b"[{},{},{},{},{}]", 422, "too_many"),
        (b'{"amount": 1e999, "direction": "up", "x": "secret"}', 422, "refused"),
    ],
)
def test_a_bad_request_is_refused_with_all_faults_and_no_value(served, body, status, code):
    got = served.post(body)
    assert (got.status_code, got.json()["code"]) == (status, code)
    assert "secret" not in got.text
    faults = {(each["field"], each["rule"]) for each in got.json()["faults"]}
    if code == "refused":
        assert {("amount", "infinite"), ("direction", "not allowed"), ("x", "unknown")} <= faults
        assert all(each["text"] and each["text_zh"] for each in got.json()["faults"])


def test_other_content_is_a_conflict(served, payment):
    served.post(payment)
    assert served.post(payment | {"amount": 3}).status_code == 409


def test_what_the_server_tells_of_itself(served, payment):
    served.post(payment)
    served.post(b"")
    text = served.get("/metrics").text
    assert 'kyc_ml_serve_requests_total{status="200"} 1' in text
    assert 'kyc_ml_serve_requests_total{status="400"} 1' in text
    assert 'kyc_ml_serve_seconds_bucket{stage="total",le="+Inf"} 2' in text
    assert 'kyc_ml_serve_logged_total{table="transactions"} 1' in text
    assert "kyc_ml_serve_waiting{} 0" in text
    schema = served.get("/v1/openapi.json").json()
    transaction = schema["components"]["schemas"]["Transaction"]
    assert transaction["required"] == ["transaction_id", "customer_id", "event_time", "amount"]
    assert transaction["properties"]["channel"]["x-description-zh"] == "渠道"
    assert transaction["properties"]["direction"]["enum"] == ["in", "out", None]
    assert served.get("/v1/model").json() == {"name": "small"}
    assert [served.get(path).status_code for path in ("/health", "/ready", "/no")] == [
        200,
        200,
        404,
    ]


def test_not_ready_before_it_can_score(begin, payment):
    served = Served(begin)
    served.start(ready=False)
    assert [served.get(path).status_code for path in ("/health", "/ready")] == [200, 503]
    refused = served.post(payment)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    served.stop()


def test_too_many_are_refused_and_the_accepted_are_answered_before_the_end(begin, payment):
    state, go = begin(), threading.Event()
    turn = state.turn

    def wait(asked):
        go.wait(60)
        turn(asked)

    state.turn = wait
    served = Served(lambda: state, most=2)
    served.start()
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(served.post, payment | {"transaction_id": f"n{each}"}) for each in range(6)
        ]
        while sum(each.done() for each in asked) < 4:
            pass
        stopping = threading.Thread(target=served.stop)
        stopping.start()
        go.set()
        statuses = sorted(each.result().status_code for each in asked)
    stopping.join()
    assert statuses == [200, 200, 503, 503, 503, 503]


def test_a_full_disk_acknowledges_nothing_and_passes(served, store, payment, monkeypatch):
    def refuse(entries):
        raise OutputError

    monkeypatch.setattr(store, "log", refuse)
    assert served.post(payment).status_code == 507
    monkeypatch.undo()
    assert served.post(payment).status_code == 200
    assert [type(each) for each in served.errors] == [OutputError]


def test_a_defect_of_one_request_stops_no_other(begin, payment):
    def broken():
        state = begin()
        compute = state.model.live.compute

        def fail(observation):
            if observation["observation_id"][0].as_py() == "poison":
                raise ZeroDivisionError
            return compute(observation)

        state.model.live.compute = fail
        return state

    served = Served(broken)
    served.start()
    with ThreadPoolExecutor(4) as pool:
        ids = ["a", "poison", "b", "c"]
        got = pool.map(served.post, (payment | {"transaction_id": each} for each in ids))
        assert [each.status_code for each in got] == [200, 500, 200, 200]
    served.stop()
