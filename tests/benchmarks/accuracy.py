"""Do running sums drift? Windows over 10 million rows of one customer beside exact sums.

    python tests/benchmarks/accuracy.py [rows]

Amounts span twelve orders of magnitude, and every thousandth gap empties the window. At
sampled moments the sum, mean and standard deviation are computed again from the rows of the
window, exactly (`math.fsum`, rational numbers for the deviation). Prints the largest relative
error of each, of pandas' rolling windows at the same moments, and how many emptied windows
hold anything but exactly 0.
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.features import DAY_US, Window
from kyc_ml.features.periods import HOUR_US, WindowLength
from kyc_ml.features.reading import Request, read_rows
from kyc_ml.features.timed_rows import TimedRows

WEEK = WindowLength(label="7d", us=7 * DAY_US, english="7 days", chinese="7天")
STATISTICS = ("count", "sum", "mean", "std")
SAMPLED = 400


def main() -> None:
    """Sweep, sample, compute again, compare."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    rng = np.random.default_rng(3)
    gaps = rng.integers(1, HOUR_US // 2, n)
    gaps[rng.random(n) < 0.001] = 8 * DAY_US
    time = np.cumsum(gaps)
    amount = np.round(10 ** rng.uniform(-2, 10, n), 2)
    moments = pa.array(time).cast(pa.timestamp("us", tz="UTC"))
    rows = TimedRows(
        pa.table(
            {
                "customer_id": pa.DictionaryArray.from_arrays(
                    np.zeros(n, np.int32), pa.array(["one"])
                ).cast(pa.string()),
                "event_time": moments,
                "known_at": moments,
                "amount": amount,
            }
        )
    )
    out = np.full((n, len(STATISTICS)), np.nan, order="F")
    requests = [_request(name, place) for place, name in enumerate(STATISTICS)]
    read_rows({"transactions": rows}, rows, requests, out=out, threads=2)
    _compare(out, time, amount, np.sort(rng.choice(n, SAMPLED, replace=False)))
    emptied = out[:, 0] == 0
    print(f"emptied windows: {emptied.sum():,}; not exactly 0: {(out[emptied, 1] != 0).sum():,}")


def _request(statistic: str, place: int) -> Request:
    value = None if statistic == "count" else "amount"
    how = Window(
        table="transactions", key=("customer_id",), statistic=statistic, period=WEEK, value=value
    )
    return Request(name=statistic, how=how, column=place)


def _compare(out: np.ndarray, time: np.ndarray, amount: np.ndarray, sampled: np.ndarray) -> None:
    """Print the largest relative errors, ours and those of pandas."""
    when = pd.to_datetime(time, unit="us")
    window = pd.Series(amount, index=when).rolling("7D", closed="left")
    theirs = {name: getattr(window, name)().to_numpy() for name in STATISTICS[1:]}
    worst = {name: [0.0, 0.0] for name in theirs}
    for place in sampled:
        first = np.searchsorted(time, time[place] - WEEK.us, side="left")
        values = amount[first:place]
        if values.size < 2:
            continue
        exact = [Fraction(value) for value in values]
        mean = sum(exact) / len(exact)
        spread = sum((value - mean) ** 2 for value in exact) / (len(exact) - 1)
        truth = {"sum": math.fsum(values), "mean": float(mean), "std": math.sqrt(spread)}
        for column, name in enumerate(STATISTICS[1:], start=1):
            for who, got in enumerate((out[place, column], theirs[name][place])):
                error = abs(got - truth[name]) / truth[name]
                worst[name][who] = max(worst[name][who], error)
    for name, (ours, pandas_error) in worst.items():
        print(f"{name:5s} largest relative error: kyc_ml {ours:.1e}, pandas {pandas_error:.1e}")


if __name__ == "__main__":
    main()
