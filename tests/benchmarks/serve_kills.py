"""`kyc-ml serve` under load, killed with signal 9 at 50 random instants.

    python tests/benchmarks/serve_kills.py --data FOLDER --model BUNDLE --kills 50

Arguments as in `parity.py`; the store has the rows before `--first`. Clients send transactions
without pause; when the process is killed it is started again, and what had no answer is sent
again, beside some that had one. Every answer must be the same for the same transaction; at the
end each acknowledged one must be in the tables once, the digest of the store must be that of a
store into which the log is written again, and a replay in batch must differ in nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import requests
from parity import make_history, plain

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import read_source
from kyc_ml.history import HistoryStore, fold_served
from kyc_ml.serving import ReplayRequest, run_replay

CLIENTS = 4


def start(history: Path, model: str) -> tuple[subprocess.Popen[str], str]:
    """Start a server, and return it with its address once it is ready."""
    command = [sys.executable, "-m", "kyc_ml", "serve", "--port", "0", "--history", str(history)]
    served = subprocess.Popen([*command, "--model", model], stderr=subprocess.PIPE, text=True)
    assert served.stderr is not None
    url = next(found[0] for line in served.stderr if (found := re.search(r"http://[0-9.:]+", line)))
    threading.Thread(target=served.stderr.read, daemon=True).start()
    while requests.get(f"{url}/ready", timeout=600).status_code != 200:
        time.sleep(0.02)
    return served, url


class Clients:
    """Transactions to send, and what was answered."""

    def __init__(self, rows: list[dict[str, object]]) -> None:
        self.left = rows[::-1]
        self.answers: dict[str, bytes] = {}
        self.changed = 0
        self._lock = threading.Lock()

    def send(self, url: str) -> None:
        """Send from several threads until the server is gone."""
        threads = [threading.Thread(target=self._send, args=(url, n)) for n in range(CLIENTS)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def _send(self, url: str, seed: int) -> None:
        drawn, session = np.random.default_rng(seed), requests.Session()
        while True:
            with self._lock:
                row = self.left.pop()
            try:
                answer = session.post(f"{url}/v1/score", json=row, timeout=60)
                assert answer.status_code == 200, answer.text
            except requests.RequestException:
                with self._lock:
                    self.left.append(row)
                return
            with self._lock:
                known = self.answers.setdefault(str(row["transaction_id"]), answer.content)
                self.changed += known != answer.content
                if drawn.random() < 0.1:
                    self.left.append(row)  # once more, perhaps after the next kill


def main() -> None:
    """Kill, start again, and check."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--source", type=Path, default=Path("configs/sources/handbook.yaml"))
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--model", required=True)
    asked.add_argument("--first", default="2018-04-03")
    asked.add_argument("--kills", type=int, default=50)
    asked.add_argument("--scratch", type=Path)
    given = asked.parse_args()
    first = pd.Timestamp(given.first, tz="UTC")
    tables = read_source(load_section(given.source, SourceMapping), data=given.data).accepted
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(dir=given.scratch) as place:
        folder, fresh = Path(place) / "history", Path(place) / "fresh"
        later = make_history(folder, tables, given.model, first)
        shutil.copytree(folder, fresh)
        clients = Clients([plain(row) for row in later.slice(0, 200_000).to_pylist()])
        for _ in range(given.kills):
            served, url = start(folder, given.model)
            timer = threading.Timer(rng.uniform(0.05, 3.0), served.kill)
            timer.start()
            clients.send(url)
            assert served.wait(60) == -signal.SIGKILL
        with (
            HistoryStore.open(folder, write=True) as store,
            HistoryStore.open(fresh, write=True) as again,
        ):
            logged = store.served_numbered(store.served_known(-(1 << 62), 1 << 62))
            fold_served(store)
            again.log(logged)
            fold_served(again)
            rows = [row["transaction_id"] for t in store.scan("transactions", ["transaction_id"])
                    for row in t.to_pylist()]  # fmt: skip
            found = {
                "kills": given.kills,
                "acknowledged": len(clients.answers),
                "other answers to the same": clients.changed,
                "lost": len(set(clients.answers) - set(rows)),
                "doubled": len(rows) - len(set(rows)),
                "in the log only": len({each.key for each in logged} - set(clients.answers)),
                "digest is that of the log": store.digest() == again.digest(),
                "faults": store.verify(),
            }
        replay = run_replay(ReplayRequest(history=folder, model=[given.model]))
        print(json.dumps({**found, "replay": [replay.compared, replay.by_model]}, indent=1))


if __name__ == "__main__":
    main()
