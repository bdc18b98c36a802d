"""Load a running `kyc-ml serve`: requests at a fixed rate, latencies from the intended start.

    python tests/benchmarks/serve.py http://127.0.0.1:8080 payments.parquet --rate 200 --seconds 600

`payments.parquet` has contracted transactions that the store lacks, in order of time. The
load is open: a request is sent when it is due, whether or not earlier ones were answered, and its
latency counts from that instant, so that a pause of the server is in every latency it causes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq

CONNECTIONS = 32


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
        # a loop that sleeps to the millisecond would count its own lateness as the server's
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        task = asyncio.create_task(one(place, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return latencies, statuses


def main() -> None:
    """Print p50, p99 and the largest latency, by minute and in all, and the statuses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("payments")
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    requests = bodies(given.payments, int(given.rate * given.seconds))
    latencies, statuses = asyncio.run(load(given.url, requests, given.rate))
    minute = max(int(60 * given.rate), 1)
    for start in [*range(0, len(latencies), minute), None]:
        some = latencies if start is None else latencies[start : start + minute]
        p50, p99, most = np.percentile(some, [50, 99, 100])
        name = "all" if start is None else f"minute {start // minute + 1}"
        print(f"{name:>10}: p50 {p50:7.2f} ms  p99 {p99:7.2f} ms  max {most:8.2f} ms")
    print(f"statuses: {dict(statuses)} of {len(requests):,} at {given.rate:g}/s")


if __name__ == "__main__":
    main()
