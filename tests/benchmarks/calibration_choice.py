"""Does a map of steps have to be surely better to be chosen?

    python tests/benchmarks/calibration_choice.py --draws 40

Draws margins of a rare target and outcomes of five laws: the margin is right; overconfident;
shifted; bends at a point; ends at one half. For 40 to 1,000 positives `choose_calibrator` picks
a map; beside it stands the map of the lowest cross-validated log loss alone. Both are judged on
the law itself: Kullback-Leibler divergence of the true probability from the map's, on 200,000
other margins, over the prevalence (nats a positive). Prints both means over the draws, the ratio
with its 95 % interval (bootstrap of draws), and in how many draws the two differ.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy.special import expit

from kyc_ml.calibration import choose_calibrator, fit_calibrator
from kyc_ml.config import CalibrationConfig

LAWS = {
    "right": expit,
    "overconfident": lambda margin: expit(0.6 * margin - 1.0),
    "shifted": lambda margin: expit(margin + 0.5),
    "bends": lambda margin: expit(np.where(margin > -2.0, 0.4 * margin - 1.2, margin)),
    "ends at one half": lambda margin: np.minimum(expit(margin), 0.5),
}
POSITIVES = (40, 100, 300, 1000)
JUDGED = 200_000


def draw_margins(n, rng):
    """Draw log-odds as of a rare target: most far below 0, a few reaching up."""
    return rng.normal(-4.5, 1.6, size=n) + (rng.random(n) < 0.02) * rng.gamma(3.0, 1.2, size=n)


def divergence(truth, proba):
    """Give nats a positive that the map loses against the law; 0 is the law itself."""
    lost = truth * np.log(truth / proba) + (1 - truth) * np.log((1 - truth) / (1 - proba))
    return float(lost.mean() / truth.mean())


def judge(law, positives, rng, margins):
    """Give the divergence of the chosen map, of the lowest loss's, and whether they differ."""
    truth = law(margins)
    margin = draw_margins(int(positives / truth.mean()), rng)
    target = (rng.random(margin.size) < law(margin)).astype(np.float64)
    choice = choose_calibrator(margin, target, config=CalibrationConfig())
    lowest = choice.candidates["method"].iloc[0]
    chosen = divergence(truth, choice.calibrator.probability(margins))
    if lowest == choice.calibrator.method:
        return chosen, chosen, False
    other = fit_calibrator(margin, target, method=lowest)
    return chosen, divergence(truth, other.probability(margins)), True


def main() -> None:
    """Judge every law at every number of positives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    margins = draw_margins(JUDGED, rng)
    rows = []
    for name, law in LAWS.items():
        for positives in POSITIVES:
            draws = [judge(law, positives, rng, margins) for _ in range(asked.draws)]
            rows += [
                {"law": name, "positives": positives, "chosen": a, "lowest": b, "differ": differ}
                for a, b, differ in draws
            ]
            print(f"{name}, {positives} positives: done", flush=True)
    table = pd.DataFrame(rows)
    told = table.groupby(["law", "positives"], sort=False).agg(
        chosen=("chosen", "mean"), lowest=("lowest", "mean"), differ=("differ", "sum")
    )
    print(told.round(5).to_string())
    pairs = table[["chosen", "lowest"]].to_numpy()
    again = rng.integers(0, len(pairs), (2000, len(pairs)))
    ratios = pairs[again, 0].sum(axis=1) / pairs[again, 1].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    print(
        f"all {len(pairs)} draws: {pairs[:, 0].sum() / pairs[:, 1].sum():.3f} times the divergence "
        f"({low:.3f} to {high:.3f}); the choice differs in {table['differ'].sum()}"
    )
    where = table[table["differ"]]
    print(f"where it differs, the mean: {where['chosen'].mean():.4f} against ", end="")
    print(f"{where['lowest'].mean():.4f}; better in {(where.chosen < where.lowest).sum()}")


if __name__ == "__main__":
    main()
