"""Exact contributions: kyc_ml beside LightGBM, and woodelf if it is installed.

    python tests/benchmarks/contributions.py [--features FEATURES.parquet] [--models A.txt ...]

Without options: 50,000 synthetic rows of 100 columns (heavy tails, counts, many zeros,
missing values) and three models of 400 trees trained on as many others: 15 leaves; 31
leaves, depth 6; 63 leaves, no limit of depth. FEATURES is what `kyc-ml features build`
writes: its columns of numbers are explained, by models with those columns that `--models`
names, else by models of a made-up outcome. LightGBM explains the first rows only and is
scaled. All in one run on the same rows: for each, rows a second by the clock and by
processor time, and how many times as long as kyc_ml; the largest difference from
LightGBM's numbers.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np

from kyc_ml.model.contributions.compiled import compile_model

SHAPES = {
    "15 leaves": {"num_leaves": 15},
    "31 leaves, depth 6": {"num_leaves": 31, "max_depth": 6},
    "63 leaves": {"num_leaves": 63},
}


def make_matrix(rows: int, *, columns: int = 100, seed: int = 1):
    """Draw numbers as a bank's features are: skewed, counted, often zero, at times missing."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(rows, 5))
    matrix = 0.7 * shared[:, np.arange(columns) % 5] + rng.normal(size=(rows, columns))
    matrix[:, 0::4] = np.exp(2.0 * matrix[:, 0::4])
    matrix[:, 1::4] = rng.poisson(np.exp(np.minimum(matrix[:, 1::4], 4.0)))
    matrix[:, 2::4] *= rng.random((rows, matrix[:, 2::4].shape[1])) < 0.3
    matrix[:, ::3][rng.random((rows, matrix[:, ::3].shape[1])) < 0.1] = np.nan
    return matrix


def make_outcome(matrix, *, seed: int = 2):
    """Draw an outcome in which columns matter by pairs."""
    rng = np.random.default_rng(seed)
    known = np.nan_to_num(matrix)
    scaled = np.sign(known - np.median(known, axis=0)) * np.log1p(np.abs(known))
    pairs = rng.integers(0, matrix.shape[1], (40, 2))
    weights = rng.normal(size=40)
    score = (scaled[:, pairs[:, 0]] * scaled[:, pairs[:, 1]]) @ weights
    score = (score - score.mean()) / score.std()
    return (rng.random(score.size) < 1 / (1 + np.exp(2.0 - 2.0 * score))).astype(np.float64)


def train(matrix, outcome, shape):
    parameters = {"objective": "binary", "learning_rate": 0.06, "verbosity": -1, "seed": 1}
    return lgb.train({**parameters, **shape}, lgb.Dataset(matrix, outcome), 400).model_to_string()


def read_features(path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    numbers = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    return np.column_stack([table[name].to_numpy() for name in numbers])


def clocked(work):
    """Return what the work gives, its seconds by the clock and by processor time."""
    started, spent = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - started, time.process_time() - spent


def explain_by_woodelf(booster, rows):
    """Return what explains the rows, or None where woodelf is not installed."""
    try:
        from woodelf import WoodelfExplainer
    except ImportError:
        return None
    import pandas as pd

    frame = pd.DataFrame(rows, columns=booster.feature_name())
    return lambda: np.asarray(WoodelfExplainer(booster).shap_values(frame, verbose=False))


def compare(name: str, text: str, rows, *, sample: int, repeats: int) -> None:
    booster = lgb.Booster(model_str=text)
    compiled, compiling, _ = clocked(lambda: compile_model(text))
    compiled.explain(rows[:10])
    print(f"{name}: {compiled.table_bytes / 1e6:.1f} MB of tables, compiled in {compiling:.2f} s")
    few = rows[:sample]
    ours, theirs = [], []
    for _ in range(repeats):  # in turn: a busy moment meets both
        theirs.append(clocked(lambda: booster.predict(few, pred_contrib=True, num_threads=2)))
        ours.append(clocked(lambda: compiled.explain(rows, threads=2)))
    found = {
        "kyc_ml": (*best(ours), len(rows)),
        f"LightGBM, {sample} rows": (*best(theirs), sample),
    }
    peer = explain_by_woodelf(booster, rows)
    if peer is not None:
        found["woodelf"] = (*clocked(peer), len(rows))
    table = theirs[0][0]
    for who, (result, seconds, spent, n) in found.items():
        values = result[0] if isinstance(result, tuple) else result
        error = np.abs(values.reshape(n, -1)[:sample, : rows.shape[1]] - table[:, :-1]).max()
        clock, processor = (
            each / n / (mine / len(rows))
            for each, mine in zip((seconds, spent), found["kyc_ml"][1:3], strict=True)
        )
        print(
            f"  {who:24} {n / seconds:9.0f} rows/s  {n / spent:9.0f} a processor second  "
            f"{clock:6.1f} times as long, {processor:6.1f} of processor time  error {error:.0e}"
        )


def best(runs):
    """Take the shortest time of each kind, and any result: they are the same."""
    return runs[0][0], min(run[1] for run in runs), min(run[2] for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--features", type=Path)
    parser.add_argument("--models", type=Path, nargs="*", default=[])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--sample", type=int, default=1_000, help="rows LightGBM explains")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.features:
        rows = read_features(options.features)
        training = rows
    else:
        rows = make_matrix(options.rows)
        training = make_matrix(options.rows, seed=3)
    texts = {path.stem: path.read_text() for path in options.models}
    if not texts:
        outcome = make_outcome(training)
        texts = {name: train(training, outcome, shape) for name, shape in SHAPES.items()}
    rows = np.ascontiguousarray(rows[: options.rows])
    for name, text in texts.items():
        compare(name, text, rows, sample=options.sample, repeats=options.repeats)


if __name__ == "__main__":
    main()
