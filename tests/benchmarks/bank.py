"""What the models reach on synthetic banks, in two questions that one training does not answer.

    python tests/benchmarks/bank.py network SEED [SEED ...]
    python tests/benchmarks/bank.py later SEED

`network` makes a bank of 400,000 transactions for each SEED and fits configs/risk.yaml's features
with the network family, without it, and with the family of a bank whose counterparties were
exchanged at random within each day and direction, so that every customer keeps the number, days
and amounts of payments, but not whom they go to. The latest 62 days of reviews test; reviews whose
outcome window ended before them teach. Each figure is of the mean of three fits of 200 trees on a
third of the negatives, and intervals are of a bootstrap of customers, by bank and for their mean.

`later` makes a bank of two years, trains configs/risk.yaml and configs/fraud.yaml as of day 510,
and evaluates them in their own test period and on the days 630 to 660.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.metrics import average_precision_score

import kyc_ml
from kyc_ml.contract import ContractedTables, end_of_data
from kyc_ml.dataset import customers_of, make_observations, mature_labels
from kyc_ml.decision import load_run
from kyc_ml.display import ProgressReporter
from kyc_ml.features import build_features, choose_features
from kyc_ml.metrics import compute_metrics, number_customers
from kyc_ml.model import fit_fixed
from kyc_ml.registry import features_and_facts, score_features
from kyc_ml.training.api import train
from kyc_ml.training.extras import own_columns

CONFIGS = Path(__file__).parents[2] / "configs"
DRAWS = 200


def make_tables(seed: int, *, days: int) -> ContractedTables:
    """Make a bank of 741 transactions a day, 50 a customer in 540 days."""
    config = kyc_ml.BankConfig(
        transactions=round(400_000 * days / 540),
        transactions_per_customer=round(50 * days / 540),
        days=days,
        seed=seed,
    )
    tables = kyc_ml.make_bank(config).tables
    return kyc_ml.contract_tables(tables, timezone="Asia/Shanghai", base_currency="CNY").accepted


def exchange(tables: ContractedTables, seed: int) -> ContractedTables:
    """Permute the counterparties of each day and direction."""
    table = tables["transactions"]
    frame = table.select(["event_time", "direction", "counterparty_id"]).to_pandas()
    rng = np.random.default_rng(seed)
    known = frame[frame["counterparty_id"].notna()]
    other = frame["counterparty_id"].to_numpy(object).copy()
    days = known.groupby([known["event_time"].dt.floor("D"), "direction"], sort=False)
    for rows in days.indices.values():
        place = known.index[rows].to_numpy()
        other[place] = other[rng.permutation(place)]
    column = table.schema.get_field_index("counterparty_id")
    kind = table.schema.field(column)
    changed = table.set_column(column, kind, pa.array(other, kind.type, from_pandas=True))
    return replace(tables, tables={**tables.tables, "transactions": changed})


def network(seeds: list[int]) -> None:
    """Print what the network family adds on each bank, and on average."""
    run = load_run(CONFIGS / "risk.yaml").run
    specs = choose_features(run.features, unit="risk")
    model = run.model.model_copy(
        update={"n_estimators": 200, "negative_share": 0.3, "averaged": 3, "n_jobs": 1}
    )
    points, draws = [], []
    for seed in seeds:
        tables = make_tables(seed, days=540)
        now = end_of_data(tables)
        window = pd.Timedelta(days=run.dataset.horizon_days)
        # later reviews would be used only where they are positive already
        end = now - window
        every = make_observations(tables, unit="risk", start=None, end=end, config=run.dataset)
        labels = mature_labels(tables, every, unit="risk", as_of=now, config=run.dataset)
        used = every.filter(pa.array(labels.usable))
        target = labels.target[labels.usable]
        when = used["decision_time"].to_pandas()
        tested = (when >= when.max() - pd.Timedelta(days=62)).to_numpy()
        learned = (when < when[tested].min() - window).to_numpy()
        built = [
            own_columns(build_features(each, used, specs=specs), specs)
            for each in (tables, exchange(tables, seed))
        ]
        own, exchanged = (each.encode(built[0].learn_vocabularies(learned))[0] for each in built)
        kinds = built[0].specs
        edges = np.array([spec.family == "network" for spec in kinds])
        versions = {
            "with": own,
            "without": np.where(edges, 0.0, own),
            "exchanged": np.where(edges, exchanged, own),
        }
        margins = {
            name: fit_fixed(
                matrix, target, rows=np.flatnonzero(learned), specs=kinds, config=model
            ).margin(matrix[tested], threads=1)
            for name, matrix in versions.items()
        }
        own_target, customers = target[tested], number_customers(customers_of(used))[tested]
        points.append([average_precision_score(own_target, each) for each in margins.values()])
        draws.append(_bootstrap(own_target, list(margins.values()), customers))
        print(f"seed {seed}: {tested.sum():,} reviews, {int(own_target.sum())} positive,", end=" ")
        _say(points[-1], draws[-1])
    print("mean:", end=" ")
    _say(np.mean(points, axis=0), np.mean(draws, axis=0))


def _bootstrap(target, margins, customers):
    rng = np.random.default_rng(0)
    _, place = np.unique(customers, return_inverse=True)
    count = place.max() + 1
    weights = [
        np.bincount(rng.integers(count, size=count), minlength=count)[place] for _ in range(DRAWS)
    ]
    return [
        [average_precision_score(target, each, sample_weight=weight) for each in margins]
        for weight in weights
    ]


def _say(points, draws) -> None:
    drawn = np.asarray(draws)
    print("average precision with, without, exchanged", *(f"{each:.3f}" for each in points), end="")
    for name, place in (("with", 0), ("exchanged", 2)):
        low, high = np.quantile(drawn[:, place] - drawn[:, 1], [0.025, 0.975])
        print(f"; {name} {points[place] - points[1]:+.3f} ({low:.3f} to {high:.3f})", end="")
    print(flush=True)


def later(seed: int) -> None:
    """Print the figures of each model in its test period and four to five months later."""
    tables = make_tables(seed, days=720)
    first = pd.Timestamp("2024-01-01", tz="UTC")
    as_of, start, end = (first + pd.Timedelta(days=day) for day in (510, 630, 660))
    now = first + pd.Timedelta(days=720)
    for unit in ("risk", "fraud"):
        files = load_run(CONFIGS / f"{unit}.yaml")
        result = train(tables, config=files.run, policy=files.policy, as_of=as_of, data={})
        config, bundle = files.run.dataset, result.bundle
        every = make_observations(tables, unit=unit, start=start, end=end, config=config)
        labels = mature_labels(tables, every, unit=unit, as_of=now, config=config)
        used = every.filter(pa.array(labels.usable))
        features, facts = features_and_facts(bundle, tables, used, ProgressReporter())
        scores = score_features(bundle, features, facts=facts).to_pandas()
        _print_metrics(
            f"{unit}, test period",
            result.evidence.target,
            result.evidence,
            result.evidence.features.keys,
        )
        _print_metrics(f"{unit}, days 630 to 660", labels.target[labels.usable], scores, used)


def _print_metrics(name, target, scores, keys) -> None:
    found = compute_metrics(
        target,
        np.asarray(scores.margin),
        np.asarray(scores.probability),
        customers=number_customers(customers_of(keys)),
    )
    print(
        f"{name}: {target.size:,} rows, {int(target.sum())} positive, AP "
        f"{found.average_precision:.3f}, AUC {found.auc:.3f}, observed over expected "
        f"{found.observed_over_expected:.2f} ({found.observed_over_expected_low:.2f}–"
        f"{found.observed_over_expected_high:.2f}), calibration error "
        f"{found.calibration_error:.4f}",
        flush=True,
    )


def main() -> None:
    """Answer the question that is asked."""
    if len(sys.argv) < 3 or sys.argv[1] not in {"network", "later"}:
        raise SystemExit(__doc__)
    seeds = [int(each) for each in sys.argv[2:]]
    if sys.argv[1] == "network":
        network(seeds)
    else:
        later(seeds[0])


if __name__ == "__main__":
    main()
