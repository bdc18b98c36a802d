"""Robustness by region: weak spots and overfitting."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from kyc_ml.dataset import POSITIVE
from kyc_ml.metrics import Floats, Ints, Mask, auc_interval
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import largest, smallest
from kyc_ml.validation.levels import bound_levels, level_note, level_of, surest_levels
from kyc_ml.validation.outcome import NotApplicable, Outcome, Value, not_applicable
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.ranked import area, one_class
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.slices import find_slices
from kyc_ml.validation.text import notice

_REGIONS: Final = 4
_MOST_SLICED: Final = 200_000
"""Most rows in which the tree searches: more take time and give the same result (convention)."""


def run_weak_spots(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Find regions on half of the customers, and evaluate them on the other half."""
    rows = evidence.current
    places = np.flatnonzero(rows.evaluated)
    if places.size > _MOST_SLICED:
        rng = np.random.default_rng(settings.seed)
        places = np.sort(rng.choice(places, _MOST_SLICED, replace=False))
    numbers = {spec.name for spec in rows.features.specs if spec.kind != "category"}
    leading = [
        evidence.place(name)
        for name in evidence.attributed.top(settings.top_features)
        if name in numbers
    ]
    slices = find_slices(rows, places, columns=leading, leaves=settings.slices, seed=settings.seed)
    if slices is None:
        return not_applicable("no_regions")
    table = _tabulate_regions(rows, slices, fewest=settings.fewest)
    least = settings.fewest / 2  # the search used the other half of the customers
    parts = bound_levels(table, named="region", fewest=least)
    return Outcome(
        values={
            **surest_levels(parts),
            "lowest_auc": smallest(table, "auc", named="region"),
            "regions": int(table["low"].notna().sum()),
        },
        tables={"regions": table.sort_values("o_e", ascending=False, ignore_index=True)},
        parts=parts,
        notes=(level_note(least),),
    )


def _tabulate_regions(
    rows: ScoredRows, slices: Sequence[tuple[str, Ints]], *, fewest: int
) -> pd.DataFrame:
    """Tabulate level and AUC of each region; an AUC needs `fewest` rows of each class."""
    lines = []
    for described, here in slices:
        target = np.asarray(rows.status[here] == POSITIVE, dtype=np.float64)
        level = level_of(target, rows.probability[here], rows.customers[here])
        both = min(level["positives"], level["rows"] - level["positives"]) >= fewest
        lines.append(
            {
                "region": described,
                **level,
                "auc": area(target, rows.margin[here]) if both else np.nan,
            }
        )
    return pd.DataFrame(lines)


def run_overfit(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compare the AUC of training and current rows, whole and by quarters of features."""
    now, before = evidence.current, evidence.train
    if before is None:
        return not_applicable("no_training_rows")
    for rows in (now, before):
        if (refused := one_class(rows)) is not None:
            return refused
    everything = np.ones(before.target.size, np.bool_), np.ones(now.target.size, np.bool_)
    whole = _gap(before, now, *everything, fewest=settings.fewest)
    lines = [{"region": "all rows", **whole}]
    for name in evidence.attributed.top(settings.top_features // 2):
        place = evidence.place(name)
        if now.features.specs[place].kind == "category":
            continue
        values = [rows.matrix[rows.evaluated, place] for rows in (before, now)]
        for described, one, two in _quarters(name, values[0], values[1]):
            found = _gap(before, now, one, two, fewest=settings.fewest)
            lines.append({"region": described, **found})
    table = pd.DataFrame(lines)
    regions = table.iloc[1:]
    known = regions[regions["gap"].notna()].reset_index(drop=True)
    reach = norm.isf(0.025 / max(len(known), 1)) / norm.isf(0.025)
    known["surely"] = known["gap"] - (known["gap"] - known["low"]) * reach
    return Outcome(
        values={
            "gap": Value(whole["gap"], whole["low"], whole["high"]),
            "largest_low": largest(known, "surely", named="region"),
            "regions": len(known),
        },
        tables={"gaps": table},
        notes=(notice("training_sample", rows=len(before)),),
    )


def _gap(
    before: ScoredRows, now: ScoredRows, one: Mask, two: Mask, *, fewest: int
) -> dict[str, float]:
    found, reach = [], 0.0
    for rows, here in ((before, one), (now, two)):
        target = rows.target[here]
        positives = int(target.sum())
        if min(positives, target.size - positives) < fewest:
            return dict.fromkeys(("training", "current", "gap", "low", "high"), np.nan)
        value, low, high = auc_interval(
            target, rows.evaluated_margin[here], rows.evaluated_customers[here]
        )
        found.append(value)
        reach += max(value - low, high - value) ** 2
    gap, half = found[0] - found[1], float(np.sqrt(reach))
    return {
        "training": found[0], "current": found[1], "gap": gap, "low": gap - half,
        "high": gap + half,
    }  # fmt: skip


def _quarters(name: str, one: Floats, two: Floats) -> Sequence[tuple[str, Mask, Mask]]:
    """Split rows by the quartiles of a feature's training values, with missing values separate."""
    known = one[np.isfinite(one)]
    found = [(f"{name} missing", np.isnan(one), np.isnan(two))]
    if not known.size:
        return found
    cuts = np.unique(np.quantile(known, np.arange(1, _REGIONS) / _REGIONS))
    places = [np.digitize(values, cuts) for values in (one, two)]
    for place in range(cuts.size + 1):
        low = "" if place == 0 else f"{cuts[place - 1]:.4g} <= "
        high = "" if place == cuts.size else f" < {cuts[place]:.4g}"
        here = [(at == place) & ~np.isnan(v) for at, v in zip(places, (one, two), strict=True)]
        found.append((f"{low}{name}{high}", here[0], here[1]))
    return found
