"""How often an honest night is refused for too few arrivals, and how often half a day is seen.

    python tests/benchmarks/arrivals.py --draws 20 [--bank build/demo/bank]

Draws the daily rows of a table from calm laws: a level that grows by 30 % a year, weekdays and
weekends, holidays of 40 % (21 days of a Chinese year), each day's own deviation, and Poisson
chance. Prints for each length of history and size of a day the share of nights refused, without
and with declared holidays, and the share of nights refused when half of the day is removed.
With --bank every night of a demo bank is tried too, and every ninth by all limits of an extract,
each with the night before.
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd

from kyc_ml.config import ExtractLimits, LimitsConfig
from kyc_ml.metrics import jeffreys_interval
from kyc_ml.scoring.arrivals import expect_arrivals
from kyc_ml.scoring.extract_limits import NightBefore, check_extract, find_late_tables
from kyc_ml.scoring.extract_profile import profile_extract

ZONE = "Asia/Shanghai"
LAST = date(2025, 6, 23)
NIGHTS = 200
HOLIDAYS = ((1, 1, 1), (2, 5, 7), (4, 5, 1), (5, 1, 3), (6, 12, 1), (9, 15, 1), (10, 1, 7))


def refused(rows, last, holidays=()) -> bool:
    """Compare a night with the default limit."""
    found = expect_arrivals(rows, last=last, holidays=holidays)
    least = ExtractLimits().arrivals
    return found is not None and found.rows < min(found.fewest, least * found.expected)


def draw(rng, days: int, *, size: int, weekend: float, deviation: float, quiet: bool):
    """Draw the rows of each day, the last first, and list the holidays."""
    dates = [LAST - timedelta(days=back) for back in range(days)]
    starts = [
        (date(year, month, day) + timedelta(days=int(rng.integers(-3, 4))), length)
        for year, (month, day, length) in product(range(2021, 2026), HOLIDAYS)
    ]
    away = {start + timedelta(days=each) for start, length in starts for each in range(length)}
    away = away if quiet else set()
    mean = np.array(
        [
            size
            * 1.3 ** (-back / 365)
            * (weekend if day.weekday() >= 5 else 1.0)
            * (0.4 * rng.uniform(0.9, 1.1) if day in away else 1.0)
            for back, day in enumerate(dates)
        ]
    )
    return rng.poisson(mean * np.exp(rng.normal(0, deviation, days))), away


def show(title: str, hits: int, nights: int, halves: int, tried: int) -> None:
    """Print a line: the share refused with its interval, and the halves seen."""
    low, high = (float(end) for end in jeffreys_interval(hits, nights))
    print(
        f"{title:44} refused {hits / nights:.4f} ({low:.4f} to {high:.4f}), half seen "
        f"{halves / tried:.2f}",
        flush=True,
    )


def simulate(days: int, size: int, *, quiet: bool, declared: bool, draws: int, seed: int) -> None:
    """Try laws of one size and length of history."""
    rng = np.random.default_rng(seed)
    hits = nights = halves = tried = 0
    for weekend, deviation in product((1.0, 0.3, 0.0), (0.02, 0.1)):
        for _ in range(draws):
            rows, away = draw(
                rng, days + NIGHTS, size=size, weekend=weekend, deviation=deviation, quiet=quiet
            )
            for back in range(0, NIGHTS, 5):
                last = LAST - timedelta(days=back)
                seen = rows[back : back + days].copy()
                known = away if declared else ()
                hits += refused(seen, last, known)
                nights += 1
                if last not in away and not (weekend == 0.0 and last.weekday() >= 5):
                    seen[0] = rng.binomial(seen[0], 0.5)
                    halves += refused(seen, last, known)
                    tried += 1
    kind = "holidays declared" if declared else "holidays" if quiet else "no holidays"
    show(f"{days} days, {size:,} rows a day, {kind}", hits, nights, halves, tried)


def try_bank(bank: Path) -> None:
    """Try every night of a demo bank."""
    rng = np.random.default_rng(0)
    until = "TIMESTAMPTZ '2025-06-24 00:00:00+00'"
    for table in ("transactions", "events", "third_party", "cases"):
        found = duckdb.sql(
            f"SELECT (epoch_us({until}) - 1 - epoch_us(known_at)) // 86400000000 AS day, "
            f"count(*) FROM '{bank / table}.parquet' WHERE known_at < {until} GROUP BY 1"
        ).fetchall()
        rows = np.zeros(max(day for day, _ in found) + 1, dtype=int)
        for day, n in found:
            rows[day] = n
        nights = range(len(rows) - 60)
        hits = halves = 0
        for back in nights:
            seen = rows[back:].copy()
            last = LAST - timedelta(days=back)
            hits += refused(seen, last)
            seen[0] = rng.binomial(seen[0], 0.5)
            halves += refused(seen, last)
        show(f"demo bank, {table}", hits, len(nights), halves, len(nights))


def try_extract(bank: Path) -> None:
    """Try every ninth night of a demo bank by all limits of an extract."""
    files = {path.stem: path for path in sorted(bank.glob("*.parquet"))}
    tables = SimpleNamespace(files=files)
    before, nights, broken = None, 0, []
    for back in range(477, -1, -9):
        as_of = pd.Timestamp(LAST - timedelta(days=back - 1), tz="UTC")
        profiles = profile_extract(tables, as_of, memory="1GB", scratch=None)
        limits = LimitsConfig()
        found = find_late_tables(profiles, as_of, limits) + check_extract(
            profiles, limits, as_of=as_of, timezone=ZONE, before=before, whole_day=True
        )
        nights += 1
        broken += [f"{as_of:%Y-%m-%d} {fault}" for fault in found]
        summaries = {name: each.summary for name, each in profiles.items()}
        before = NightBefore(as_of=as_of, tables=summaries)
    print(f"demo bank, all limits: {nights} nights, faults: {broken}", flush=True)


def main() -> None:
    """Draw, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bank", type=Path)
    arguments = parser.parse_args()
    if arguments.bank is not None:
        try_bank(arguments.bank)
        try_extract(arguments.bank)
    for days, size in product((730, 150, 90), (20, 200, 5_000) if arguments.draws else ()):
        for quiet, declared in ((False, False), (True, False), (True, True)):
            simulate(
                days,
                size,
                quiet=quiet,
                declared=declared,
                draws=arguments.draws,
                seed=arguments.seed,
            )


if __name__ == "__main__":
    main()
