"""Serve the transactions of some days one by one, and compare all of it with a batch run.

    python tests/benchmarks/parity.py --data FOLDER --model BUNDLE --first 2018-07-25 --days 7

`FOLDER` has the Handbook's transactions (configs/sources/handbook.yaml), BUNDLE was trained on
them. A store is made of all rows before the first day; then every transaction is scored by
`kyc_ml.Scorer`, and `run_replay` computes the same from the files of all rows by the batch engine,
and by key from the store. Prints latencies, and how many cells, scores and reasons differ.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import Scorer
from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import ContractedTables, read_source
from kyc_ml.history import append_tables, create_history
from kyc_ml.registry import graded_specs, load_model
from kyc_ml.serving import ReplayRequest, run_replay


def plain(row: dict[str, object]) -> dict[str, object]:
    """Return a contracted row as a client sends it."""
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in row.items()
        if value is not None and name != "known_at"
    }


def make_history(
    folder: Path, tables: ContractedTables, model: str, first: pd.Timestamp
) -> pa.Table:
    """Make a store of the rows before a day; return the transactions from it on."""
    start = pa.scalar(first, pa.timestamp("us", "UTC"))
    before = {name: t.filter(pc.less(t["event_time"], start)) for name, t in tables.tables.items()}
    with create_history(folder, tables, [graded_specs(load_model(model)[0])]) as store:
        append_tables(store, replace(tables, tables=before), note={})
    later = tables["transactions"]
    return later.filter(pc.greater_equal(later["event_time"], start))


def main() -> None:
    """Serve, replay in both ways, and print what was found."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--source", type=Path, default=Path("configs/sources/handbook.yaml"))
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--model", required=True)
    asked.add_argument("--first", default="2018-07-25")
    asked.add_argument("--days", type=int, default=7)
    asked.add_argument("--most", type=int, help="transactions to serve at most")
    asked.add_argument("--scratch", type=Path, help="folder for the store")
    given = asked.parse_args()
    first = pd.Timestamp(given.first, tz="UTC")
    tables = read_source(load_section(given.source, SourceMapping), data=given.data).accepted
    with tempfile.TemporaryDirectory(dir=given.scratch) as place:
        folder = Path(place) / "history"
        later = make_history(folder, tables, given.model, first)
        end = pa.scalar(first + pd.Timedelta(days=given.days), pa.timestamp("us", "UTC"))
        rows = later.filter(pc.less(later["event_time"], end))
        rows = rows.slice(0, given.most or rows.num_rows)
        seconds = []
        with Scorer.open(history=folder, model=given.model) as scorer:
            for batch in rows.to_batches(max_chunksize=1_000):
                for row in batch.to_pylist():
                    began = time.perf_counter()
                    scorer.score(plain(row))
                    seconds.append(time.perf_counter() - began)
        p50, p99 = np.percentile(seconds[1:], [50, 99]) * 1e3
        found = {"served": len(seconds), "p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
        for name, all_rows in (("batch", True), ("by_key", False)):
            began = time.perf_counter()
            asked_for = ReplayRequest(history=folder, model=[given.model], all_rows=all_rows)
            replay = run_replay(asked_for)
            found[name] = {
                "compared": replay.compared,
                "cells": replay.cells,
                "differ": replay.by_model,
                "seconds": round(time.perf_counter() - began, 1),
            }
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
