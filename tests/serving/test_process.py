"""`kyc-ml serve` as a process: ready, restarted, killed, stopped."""

import re
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import requests

from kyc_ml.history import HistoryStore
from kyc_ml.registry import load_bundle, register_kept, save_bundle

START = [sys.executable, "-m", "kyc_ml", "serve", "--port", "0"]


class Process:
    """A server, and its address."""

    def __init__(self, history, model, *options):
        command = [*START, "--history", history, "--model", model, *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603
        for line in self.process.stderr:
            found = re.search(r"http://[0-9.:]+", line)
            if found:
                self.url = found[0]
                break
        while requests.get(f"{self.url}/ready", timeout=60).status_code != 200:
            time.sleep(0.05)

    def post(self, content):
        return requests.post(f"{self.url}/v1/score", json=content, timeout=60)

    def end(self, number):
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.stderr.close()
        return code


@pytest.mark.slow
def test_what_was_answered_outlives_the_process(history, model, drawn):
    draw, _ = drawn
    rows = draw(np.random.default_rng(3), 6, start=100)
    served = Process(history, model)
    first = [served.post(row).content for row in rows[:3]]
    assert served.end(signal.SIGKILL) == -signal.SIGKILL
    served = Process(history, model)
    assert [served.post(row).content for row in rows[:3]] == first
    assert served.post(rows[3]).status_code == 200
    # no file may grow: the same as a full disk
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    assert [served.post(row).status_code for row in rows[4:]] == [507, 507]
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert served.post(rows[5]).status_code == 200
    assert served.end(signal.SIGTERM) == 0
    with HistoryStore.open(history) as store:
        ids = [row["transaction_id"] for row in rows]
        kept = store.known("transactions", "transaction_id", pa.array(ids)).to_pylist()
        kept += [entry.key for _, entry in store.pending()]
        assert sorted(kept) == sorted({*ids} - {ids[4]})


def test_without_a_store_it_does_not_start(model, tmp_path):
    command = [*START, "--history", tmp_path / "no", "--model", model]
    ended = subprocess.run(command, capture_output=True, check=False, text=True)  # noqa: S603
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of MLflow, on registering
def test_the_model_that_an_alias_means_is_taken_while_requests_run(  # noqa: PLR0917  fixtures
    history, model, drawn, bundle, tmp_path, make_store, monkeypatch
):
    draw, _ = drawn
    monkeypatch.setenv("MLFLOW_TRACKING_URI", make_store(tmp_path))
    name = register_kept(model, trained_by="test").name
    served = Process(history, f"models:/{name}@challenger", "--allow-unpromoted")
    save_bundle(replace(bundle, data={**bundle.data, "name": "other"}), tmp_path / "other")
    wanted = register_kept(tmp_path / "other", trained_by="test").digest
    rows = iter(draw(np.random.default_rng(4), 4000, start=200))
    lock, digests, statuses = threading.Lock(), set(), set()

    def client():
        while wanted not in digests:
            with lock:
                row = next(rows)
            answer = served.post(row)
            statuses.add(answer.status_code)
            digests.add(answer.json()["model_digest"])

    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(client) for _ in range(3)]
        while not digests:
            time.sleep(0.05)
        served.process.send_signal(signal.SIGHUP)
        for each in clients:
            each.result()
    assert statuses == {200}
    assert digests == {load_bundle(model).digest, wanted}
    assert served.end(signal.SIGTERM) == 0
