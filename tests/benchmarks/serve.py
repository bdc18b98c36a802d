"""Measure `kyc-ml serve`: requests at a fixed rate, latencies from the intended start.

    python tests/benchmarks/serve.py --history DIR --model DIR payments.parquet --seconds 600

The server is started as a process of its own on a copy of the store, awaited until it is ready, and
stopped at the end. `payments.parquet` has contracted transactions that the store lacks, in order of
time; the first 5 seconds of them are not measured. The load is open: a request is sent when it is
due, whether or not earlier ones were answered, and its latency counts from that instant, so that a
pause of the server is in every latency it causes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pyarrow.parquet as pq
import uvloop

CONNECTIONS = 32
UNMEASURED_SECONDS = 5
LATE_SECONDS = 0.002
"""How late a loop may wake from a sleep."""


def bodies(path: str, most: int) -> list[bytes]:
    """Return the requests as bytes of HTTP/1.1."""
    rows = pq.read_table(path).slice(0, most).to_pylist()
    made = []
    for row in rows:
        plain = {
            name: value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in row.items()
            if value is not None and name != "known_at"
        }
        body = json.dumps(plain).encode()
        head = f"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        made.append(head.encode() + body)
    return made


async def load(url: str, requests: list[bytes], rate: float) -> tuple[np.ndarray, Counter[int]]:
    """Send all requests, each at its time; return latencies in ms and counts of statuses."""
    parts = urlsplit(url)
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection(parts.hostname, parts.port))
    latencies = np.full(len(requests), np.nan)
    statuses: Counter[int] = Counter()

    async def one(place: int, due: float) -> None:
        reader, writer = await free.get()
        writer.write(requests[place])
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        latencies[place] = (time.perf_counter() - due) * 1e3
        statuses[int(head[9:12])] += 1
        free.put_nowait((reader, writer))

    begun = time.perf_counter() + 0.1
    tasks = set()
    for place in range(len(requests)):
        due = begun + place / rate
        # a loop sleeps to the millisecond, and its lateness would count as the server's: the last
        # of the wait is spent in turns of the loop, on a core that the server does not need
        while (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left - LATE_SECONDS if left > LATE_SECONDS else 0)
        task = asyncio.create_task(one(place, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return latencies, statuses


def start(history: Path, model: str, *options: str) -> tuple[subprocess.Popen[str], str]:
    """Start a server; return it and its address once it is ready."""
    command = [sys.executable, "-m", "kyc_ml", "serve", "--port", "0"]
    command += ["--history", str(history), "--model", model, *options]
    begun = time.perf_counter()
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    address = None
    while address is None:
        line = server.stderr.readline()
        if not line:
            sys.exit(f"the server ended with code {server.wait()}")
        address = re.search(r"http://[0-9.:]+", line)
    while True:
        try:
            urlopen(f"{address[0]}/ready").close()  # noqa: S310  the server just started
            break
        except OSError:
            time.sleep(0.2)
    print(f"ready after {time.perf_counter() - begun:.1f} s")
    return server, address[0]


def processor_seconds(server: subprocess.Popen[str]) -> float:
    """Return the seconds of processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    """Print p50, p99 and the largest latency, by minute and in all, and the statuses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("payments")
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--allow-unpromoted", action="store_true")
    given = parser.parse_args()
    options = ["--allow-unpromoted"] if given.allow_unpromoted else []
    unmeasured = int(given.rate * UNMEASURED_SECONDS)
    requests = bodies(given.payments, unmeasured + int(given.rate * given.seconds))
    with tempfile.TemporaryDirectory() as folder:
        store = shutil.copytree(given.history, Path(folder) / "store")
        server, url = start(store, given.model, *options)
        try:
            uvloop.run(load(url, requests[:unmeasured], given.rate))
            used = processor_seconds(server)
            latencies, statuses = uvloop.run(load(url, requests[unmeasured:], given.rate))
            each = (processor_seconds(server) - used) / len(latencies)
        finally:
            server.terminate()
            code = server.wait()
    minute = max(int(60 * given.rate), 1)
    for begin in [*range(0, len(latencies), minute), None]:
        some = latencies if begin is None else latencies[begin : begin + minute]
        p50, p99, most = np.percentile(some, [50, 99, 100])
        name = "all" if begin is None else f"minute {begin // minute + 1}"
        print(f"{name:>10}: p50 {p50:7.2f} ms  p99 {p99:7.2f} ms  max {most:8.2f} ms")
    print(f"statuses: {dict(statuses)} of {len(latencies):,} at {given.rate:g}/s")
    print(f"processor time a request {each * 1e3:.2f} ms; exit code {code}")


if __name__ == "__main__":
    main()
