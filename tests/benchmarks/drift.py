"""False alarms of drift over nights, planted faults, and size and time of the record.

python tests/benchmarks/drift.py quiet --banks 2000
python tests/benchmarks/drift.py faults --banks 10
python tests/benchmarks/drift.py record --nights 3650 --features 460
"""

import argparse
import runpy
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

MADE = runpy.run_path(str(Path(__file__).with_name("made_nights.py")))
FAMILIES = {  # features of each, and columns of a feature
    "score": (1, 11), "features": (10, 8), "tiers": (1, 4), "volumes": (3, 1),
    "missing": (5, 1), "categories": (3, 4),
}  # fmt: skip
CHUNK = 50


def quiet(args):
    """Count the alarms of banks where nothing changes but weekday, end of month and growth."""
    from kyc_ml.metrics import calendar_of, find_changes

    rng = np.random.default_rng(args.seed)
    days = pd.date_range("2025-01-01", periods=2 * 365)
    calendar, alarms = calendar_of(days), Counter()
    sizes = np.array([k for m, k in FAMILIES.values() for _ in range(m)])
    family_of = np.repeat(np.arange(len(FAMILIES)), [m for m, _ in FAMILIES.values()])
    for start in range(0, args.banks, CHUNK):
        banks = min(CHUNK, args.banks - start)
        drawn = [
            _draw(rng, days, banks=banks, name=name, size=size) for name, size in FAMILIES.items()
        ]
        values, noise = (np.concatenate([each[i] for each in drawn], axis=2) for i in (0, 1))
        n, _, k = values.shape
        feature = np.arange(banks)[:, None] * sizes.size + np.repeat(np.arange(sizes.size), sizes)
        family = np.arange(banks)[:, None] * len(FAMILIES) + family_of
        found = find_changes(
            values.reshape(n, banks * k), noise.reshape(n, banks * k),
            feature=feature.ravel(), family=family.ravel(), calendar=calendar,
        )  # fmt: skip
        alarms.update((each.family % len(FAMILIES), each.night // 365) for each in found.alarms)
    for place, name in enumerate(FAMILIES):
        for year in (0, 1):
            count = alarms[place, year]
            low, high = (stats.chi2.ppf([0.025, 0.975], [2 * count, 2 * count + 2]) / 2).tolist()
            low = 0.0 if count == 0 else low
            print(f"{name}, year {year + 1}: {count / args.banks:.3f} false alarms a year "
                  f"(95 % {low / args.banks:.3f} to {high / args.banks:.3f})")  # fmt: skip


def _draw(rng, days, *, banks, name, size):
    """Return values and noise of a family, shape (nights, banks, features * columns)."""
    n, (features, columns) = len(days), size
    month_end = np.asarray(days.days_in_month - days.day < 2)
    level = np.log(3000) + np.arange(n) / 30 * np.log(1.03) + 0.25 * month_end
    level = level + np.array([0, 0.05, 0.03, 0.02, 0.1, -0.4, -0.6])[days.day_of_week]
    shape = (n, banks, features)
    if name == "volumes":
        rows = rng.poisson(np.exp(level[:, None, None] + rng.normal(0, 0.08, shape)))
        return np.log1p(rows), 1.0 / (1.0 + rows)
    rows = rng.poisson(np.exp(level[:, None] + rng.normal(0, 0.08, (n, banks))))[..., None, None]
    base = rng.dirichlet(np.full(max(columns, 2), 2.0), (banks, features))
    weekday = rng.normal(0, 0.1, (7, *base.shape))[days.day_of_week]
    moved = weekday + rng.normal(0, 0.1, base.shape) * month_end[:, None, None, None]
    share = base * np.exp(moved + rng.normal(0, 0.05, moved.shape))
    share /= share.sum(axis=3, keepdims=True)
    counts = np.round(rows * share + rng.normal(size=share.shape) * np.sqrt(rows * share))
    counts = np.maximum(counts, 0)[..., :columns]
    values = np.arcsin(np.sqrt(np.minimum(counts / np.maximum(rows, 1), 1.0)))
    noise = np.broadcast_to(0.25 / np.maximum(rows, 1), values.shape)
    return values.reshape(n, banks, -1), noise.reshape(n, banks, -1)


def faults(args):
    """Plant each fault in banks of their own and list what was found within two nights."""
    from kyc_ml.monitoring import NightsRecord, find_drift

    for fault, code in MADE["FAULTS"].items():
        named, only, first = 0, 0, []
        for seed in range(args.banks):
            nights = MADE["make_nights"](args.history + 2, fault=fault, at=args.history, seed=seed)
            with tempfile.TemporaryDirectory() as folder:
                record = NightsRecord.open(Path(folder), create=True)
                record.add(*nights)
                begun = nights[args.history].day
                found = [each for each in find_drift(record, {}).signals if each.day >= begun]
            own = [each for each in found if each.code == code]
            named += bool(own)
            only += bool(own) and {each.key for each in found} == {own[0].key}
            first += [1 + (own[0].day > begun)] if own else []
        median = np.median(first) if first else float("nan")
        print(
            f"{fault}: {code} within two nights in {named} of {args.banks} banks, the only cause "
            f"in {only}; median night {median:g}"
        )


def record(args):
    """Measure the size of a record, and the time to read and evaluate the last 365 nights."""
    from kyc_ml.monitoring import NightsRecord, feature_moves, find_drift

    nights = MADE["make_nights"](60, features=args.features, rows=50_000)
    with tempfile.TemporaryDirectory() as folder:
        whole = NightsRecord.open(Path(folder), create=True)
        for place in range(args.nights):
            day = (pd.Timestamp("2015-01-01") + pd.Timedelta(days=place)).strftime("%Y-%m-%d")
            whole.add(replace(nights[place % len(nights)], day=day, run=day))
        begun = time.perf_counter()
        day = (pd.Timestamp(day) + pd.Timedelta(days=1)).strftime("%Y-%m-%d")
        whole.add(replace(nights[0], day=day, run="last"))
        print(f"one more night: {time.perf_counter() - begun:.3f} s; {args.nights} nights of "
              f"{args.features} features: {whole.path.stat().st_size / 1e6:.1f} MB")  # fmt: skip
        begun = time.process_time()
        days = whole.nights("fraud")["day"]
        find_drift(whole, {}, since=days.iloc[-min(365, len(days))])
        feature_moves(whole, "fraud", None, day=days.iloc[-1])
        print(f"read and evaluated, processor time: {time.process_time() - begun:.2f} s")


def page(args):
    """Measure the time of kyc-ml monitor: signals, both pages and the exports of 365 nights."""
    from kyc_ml.monitoring import MonitorRequest, NightsRecord, run_monitor

    nights = MADE["make_nights"](args.nights, features=args.features, rows=4_000)
    with tempfile.TemporaryDirectory() as folder:
        NightsRecord.open(Path(folder), create=True).add(*nights)
        begun, spent = time.perf_counter(), time.process_time()
        found = run_monitor(MonitorRequest(out=Path(folder), log_mlflow=False))
        wall, cpu = time.perf_counter() - begun, time.process_time() - spent
        size = found.pages["en"].stat().st_size
        print(f"{args.nights} nights of {args.features} features: {wall:.2f} s, {cpu:.2f} s of "
              f"processor; {size / 1e6:.2f} MB a page")  # fmt: skip


def main():
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, command, options in (
        ("quiet", quiet, {"banks": 2000, "seed": 0}),
        ("faults", faults, {"banks": 10, "history": 120}),
        ("record", record, {"nights": 3650, "features": 460}),
        ("page", page, {"nights": 365, "features": 460}),
    ):
        sub = commands.add_parser(name, help=command.__doc__)
        sub.set_defaults(command=command)
        for option, default in options.items():
            sub.add_argument(f"--{option}", type=int, default=default)
    args = parser.parse_args()
    args.command(args)


if __name__ == "__main__":
    main()
