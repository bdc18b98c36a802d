"""`kyc-ml serve` as a process: ready, restarted, killed, stopped."""

import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import requests

from kyc_ml.history import HistoryStore

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
    assert served.end(signal.SIGTERM) == 0
    with HistoryStore.open(history) as store:
        assert [entry.key for _, entry in store.pending()] == [rows[3]["transaction_id"]]


@pytest.mark.parametrize("lacks", ["history", "model"])
def test_without_a_store_or_a_model_it_does_not_start(history, model, tmp_path, lacks):
    given = {"history": history, "model": model} | {lacks: tmp_path / "no"}
    command = [*START, "--history", given["history"], "--model", given["model"]]
    ended = subprocess.run(command, capture_output=True, check=False, text=True)  # noqa: S603
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
