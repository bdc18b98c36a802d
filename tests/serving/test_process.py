"""`kyc-ml serve` as a process: ready, restarted, killed, stopped."""

import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import requests

from kyc_ml.history import HistoryStore
from kyc_ml.registry import load_bundle, save_bundle

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
def test_another_model_at_the_address_is_taken_without_a_lost_request(
    history, model, drawn, bundle, tmp_path
):
    draw, _ = drawn
    place = shutil.copytree(model, tmp_path / "bundle")
    served = Process(history, place)
    rows = draw(np.random.default_rng(4), 400, start=200)
    digests = {served.post(rows[0]).json()["model_digest"]}
    shutil.rmtree(place)
    save_bundle(replace(bundle, data={**bundle.data, "name": "other"}), place)
    served.process.send_signal(signal.SIGHUP)
    for row in rows[1:]:
        answer = served.post(row)
        assert answer.status_code == 200
        digests.add(answer.json()["model_digest"])
        if len(digests) == 2:
            break
        time.sleep(0.05)
    assert digests == {load_bundle(model).digest, load_bundle(place).digest}
    assert served.end(signal.SIGTERM) == 0
