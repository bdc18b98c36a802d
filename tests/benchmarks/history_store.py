"""A history store under kill -9 at 50 instants, and its speed.

    python tests/benchmarks/history_store.py kills --folder build/kills
    python tests/benchmarks/history_store.py speed --folder build/speed --payments 1000000

`kills`: a second process appends payments and logs served requests without pause, and is killed
at a random instant, 50 times. After each, the store must hold every append and entry that was
acknowledged, at most one more, and nothing twice; at the end its digest must be that of a store
that replays all.

`speed`: payments of one customer for every fifty, in four partitions: seconds of an append, bytes a
payment, seconds to read all rows of all customers, and milliseconds to read one customer.
"""

import argparse
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

UTC = pa.timestamp("us", tz="UTC")


def payments(n, *, start, seed):
    """Draw payments of n / 50 customers, with n / 8 counterparties."""
    draw = np.random.default_rng(seed)
    times = np.sort(start + draw.integers(0, 86_400_000_000 * 365, n))
    fields = {
        "transaction_id": [f"P{start % 997}{row:09d}" for row in range(n)],
        "customer_id": [f"C{who:07d}" for who in draw.integers(0, max(n // 50, 4), n)],
        "event_time": pa.array(times, UTC),
        "known_at": pa.array(times, UTC),
        "amount": draw.lognormal(4, 1, n).round(2),
        "counterparty_id": [f"X{who:07d}" for who in draw.integers(0, max(n // 8, 4), n)],
        "device_id": [f"D{who:07d}" for who in draw.integers(0, max(n // 40, 4), n)],
        "channel": draw.choice(["app", "branch", "web"], n),
    }
    return pa.table(fields)


def make(folder):
    """Make an empty store of payments by customer, counterparty, device and day."""
    from kyc_ml.history import DAY, HistoryStore, KeptTable, Partition

    shutil.rmtree(folder, ignore_errors=True)
    schema = payments(1, start=0, seed=0).schema
    return HistoryStore.create(
        folder,
        about={"timezone": "UTC"},
        tables={"transactions": KeptTable(schema=schema)},
        partitions=[
            Partition(table="transactions", key=key, columns=columns)
            for key, columns in (
                ("counterparty_id", ("amount", "customer_id")),
                ("device_id", ("customer_id",)),
                (DAY, ("channel",)),
            )
        ],
    )


def some(append):
    """Return the payments of an append: 100, of some of the same customers."""
    return payments(100, start=append * 1_000_000, seed=append)


def write(folder, append, entry, pipe):
    """Append and log until this process is killed, and acknowledge each."""
    from kyc_ml.history import HistoryStore, Served

    with HistoryStore.open(folder, write=True) as store:
        while True:
            with store.writing({"append": append}) as batch:
                batch.add("transactions", some(append))
            os.write(pipe, b"a")
            store.log([Served(key=str(entry), request=b"q", answer=b"a", row=b"r")])
            os.write(pipe, b"s")
            append, entry = append + 1, entry + 1


def kills(folder, instants):
    """Kill a writer at random instants, and compare what is kept with what was acknowledged."""
    from kyc_ml.history import HistoryStore

    draw = np.random.default_rng()
    with make(folder) as store, store.writing({"append": 0}) as batch:
        batch.add("transactions", some(0))
    appends, entries = 1, 0
    for _ in range(instants):
        source, goal = os.pipe()
        child = os.fork()
        if not child:
            write(folder, appends, entries, goal)
        os.close(goal)
        acknowledged = os.read(source, 1)
        time.sleep(draw.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while part := os.read(source, 1000):
            acknowledged += part
        os.close(source)
        with HistoryStore.open(folder) as store:
            kept = [note["append"] for note in store.notes()]
            logged = [int(each.key) for _, each in store.pending(10**9)]
        assert kept == list(range(len(kept))), "an append is doubled or lost"
        assert logged == list(range(len(logged))), "an entry is doubled or lost"
        assert len(kept) - appends - acknowledged.count(b"a") in {0, 1}
        assert len(logged) - entries - acknowledged.count(b"s") in {0, 1}
        appends, entries = len(kept), len(logged)
    with HistoryStore.open(folder) as store, make(folder.with_name("replayed")) as replayed:
        assert store.verify() == []
        with replayed.writing() as batch:
            batch.add("transactions", pa.concat_tables([some(n) for n in range(appends)]))
        assert store.digest() == replayed.digest()
    print(f"{instants} kills, {appends} appends, {entries} entries: none lost, none doubled")


def speed(folder, n):
    """Measure appends and readings."""
    from kyc_ml.history import HistoryStore

    with make(folder) as store:
        for year in range(2):
            rows = payments(n, start=year * 86_400_000_000 * 365, seed=year)
            began, used = time.perf_counter(), time.process_time()
            with store.writing() as batch:
                batch.add("transactions", rows)
            took, cpu = time.perf_counter() - began, time.process_time() - used
            print(f"append of {n:,} payments: {took:.1f} s ({cpu:.1f} s of processor)")
        customers = rows["customer_id"].unique()
        names = rows.column_names
        began, used = time.perf_counter(), time.process_time()
        found = store.rows("transactions", "customer_id", customers, names)
        took, cpu = time.perf_counter() - began, time.process_time() - used
        print(f"{len(customers):,} customers, {found.num_rows:,} rows: {took:.1f} s ({cpu:.1f} s)")
        times = []
        for place in range(300):
            began = time.perf_counter()
            store.rows("transactions", "customer_id", customers.slice(place, 1), names)
            times.append(1e3 * (time.perf_counter() - began))
        print(f"one customer: p50 {np.median(times):.2f} ms, p99 {np.quantile(times, 0.99):.2f} ms")

    with HistoryStore.open(folder) as store:  # closing has written the log of SQLite into the file
        print(f"{store.status().bytes / 2 / n:.1f} bytes a payment")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["kills", "speed"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--instants", type=int, default=50)
    parser.add_argument("--payments", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.what == "kills":
        kills(given.folder, given.instants)
    else:
        speed(given.folder, given.payments)
