"""Tiers: order, concentration, migration and overrides of the tiers in force."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from kyc_ml.dataset import POSITIVE, customers_of
from kyc_ml.metrics import (
    Ints,
    compute_ordering,
    concentration_change,
    design_effect,
    holm,
    jeffreys_interval,
    matrix_weighted_bandwidth,
    migration_z,
    observed_over_expected,
)
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import smallest
from kyc_ml.validation.outcome import NotApplicable, Outcome, Value, not_applicable
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.text import notice


def run_ordering(evidence: ReviewEvidence, _: Settings) -> Outcome:
    """Compare the observed rates of neighbouring tiers."""
    rows, names = evidence.current, evidence.bundle.policy.tier_names
    of_model, final = (
        _rates(tier[rows.evaluated], rows, names) for tier in (rows.grades.model, rows.tier)
    )
    tables = {
        "probability alone": _pairs(of_model, names),
        "in force": _pairs(final, names),
    }
    pairs, final_pairs = tables.values()
    rates = pd.concat(
        [of_model.assign(tiers="probability alone"), final.assign(tiers="in force")],
        ignore_index=True,
    )
    return Outcome(
        values={
            "inverted": int(pairs["inverted"].sum()),
            "lowest_p": smallest(pairs, "p_holm", named="pair"),
            "inverted_in_force": int(final_pairs["inverted"].sum()),
            "lowest_p_in_force": smallest(final_pairs, "p_holm", named="pair"),
            "tiers": int((of_model["rows"] > 0).sum()),
        },
        tables={
            "rates": rates,
            "pairs": pd.concat(
                [found.assign(tiers=which) for which, found in tables.items()],
                ignore_index=True,
            ),
        },
    )


def _pairs(rates: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Compare neighbours; p-values are those of counts divided by the pair's design effect."""
    hits, rows = (rates[name].to_numpy(dtype=np.int64) for name in ("positives", "rows"))
    table = compute_ordering(hits, rows, names=names)
    present = np.flatnonzero(rows > 0)
    p_value = np.array([_clustered_p(rates.iloc[np.array(pair)]) for pair in pairwise(present)])
    return table.assign(
        p_value=p_value,
        p_holm=holm(p_value),
        # a list, because pandas cannot add text columns of a table without rows
        pair=[
            f"{high} below {low}" for high, low in zip(table["higher"], table["lower"], strict=True)
        ],
    )


def _clustered_p(pair: pd.DataFrame) -> float:
    """Test two neighbours by counts divided by a design effect that both share."""
    # with a separate design effect, a tier with hardly any positive would seem to have independent
    # rows, which overstates the evidence
    hits, rows = (pair[name].to_numpy(dtype=np.float64) for name in ("positives", "rows"))
    within = hits * (1.0 - hits / rows)  # sum of squared residuals of each tier
    effects = pair["design_effect"].to_numpy()
    effect = float(within @ effects / within.sum()) if within.sum() > 0.0 else 1.0
    # a table of Fisher's test has whole counts: the nearest ones favour neither tier
    fewer, of = np.rint(hits / effect), np.maximum(np.rint(rows / effect), 1.0)
    found = compute_ordering(
        np.minimum(fewer, of).astype(np.int64), of.astype(np.int64), names=pair["tier"].tolist()
    )
    return float(found["p_value"].iloc[0])


def _rates(tier: Ints, rows: ScoredRows, names: tuple[str, ...]) -> pd.DataFrame:
    size = np.bincount(tier, minlength=len(names))
    hits = np.bincount(tier, weights=rows.target, minlength=len(names)).astype(np.int64)
    rate = hits / np.maximum(size, 1)
    effect = design_effect(
        rows.target - rate[tier], rows.evaluated_customers, part=tier, parts=len(names)
    )
    low, high = jeffreys_interval(hits / effect, size / effect)
    some = size > 0
    return pd.DataFrame(
        {
            "tier": names,
            "rows": size,
            "positives": hits,
            "rate": np.where(some, rate, np.nan),
            "low": np.where(some, low, np.nan),
            "high": np.where(some, high, np.nan),
            "design_effect": effect,
        }
    )


def run_concentration(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Measure how evenly rows spread over tiers, now and before."""
    names = evidence.bundle.policy.tier_names
    now, before = (_counts(rows, len(names)) for rows in (evidence.current, evidence.reference))
    change = concentration_change(before, now)
    share = now / now.sum()
    at = 1 + int(np.argmax(share[1:])) if len(names) > 1 else 0
    reached = np.bincount(evidence.current.grades.model, minlength=len(names)) > 0
    unreached = [name for name, any_row in zip(names, reached, strict=True) if not any_row]
    table = pd.DataFrame(
        {
            "tier": [*names, *names],
            "when": ["reference"] * len(names) + ["current"] * len(names),
            "rows": np.concatenate([before, now]),
            "share": np.concatenate([before / max(before.sum(), 1), share]),
        }
    )
    return Outcome(
        values={
            "index": change.current.index,
            "reference": change.initial.index,
            "p_value": change.p_value,
            "herfindahl": change.current.herfindahl,
            "largest_share": Value(value=float(share[at]), about=names[at]),
            "unreached": Value(value=len(unreached), about=", ".join(unreached)),
        },
        tables={"shares": table, "in_force": _in_force(evidence.current, names)},
    )


def _in_force(rows: ScoredRows, names: tuple[str, ...]) -> pd.DataFrame:
    """Count each tier in force: what set it, and the outcomes expected and observed."""
    # the last step that changed a row's tier has set it; the model where no step did
    grades, size = rows.grades, len(names)
    steps = {
        "by_override": grades.tier != grades.before,
        "by_history": grades.before != grades.of_score,
        "by_rating": grades.of_score != grades.model,
        "by_model": np.ones(len(rows), dtype=np.bool_),
    }
    counted, left = {}, np.ones(len(rows), dtype=np.bool_)
    for name, changed in steps.items():
        counted[name] = np.bincount(rows.tier[left & changed], minlength=size)
        left = left & ~changed
    here = rows.tier[rows.evaluated]
    distinct = pd.Series(rows.customers).groupby(rows.tier).nunique()
    return pd.DataFrame(
        {
            "tier": names,
            "rows": np.bincount(rows.tier, minlength=size),
            "customers": distinct.reindex(range(size), fill_value=0).to_numpy(dtype=np.int64),
            **{name: counted[name] for name in reversed(steps)},
            "judged": np.bincount(here, minlength=size),
            "expected": np.bincount(here, weights=rows.evaluated_probability, minlength=size),
            "positives": np.bincount(here, weights=rows.target, minlength=size).astype(np.int64),
        }
    )


def run_migration(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Follow customers from the reference period to now."""
    if evidence.bundle.config.unit != "risk":
        return not_applicable("transactions_do_not_migrate")
    names = evidence.bundle.policy.tier_names
    before, after = (_last_tier(rows) for rows in (evidence.reference, evidence.current))
    both = pd.concat([before, after], axis=1, join="inner", keys=["before", "after"])
    if both.empty:
        return not_applicable("no_customer_in_both")
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (both["before"].to_numpy(), both["after"].to_numpy()), 1)
    upward, downward = matrix_weighted_bandwidth(counts)
    z, p = migration_z(counts)
    size = counts.sum(axis=1, keepdims=True)
    cells = pd.DataFrame(
        {
            "before": np.repeat(names, len(names)),
            "after": np.tile(names, len(names)),
            "customers": counts.ravel(),
            "share": np.where(size > 0, counts / np.maximum(size, 1), np.nan).ravel(),
            "z": z.ravel(),
            "p_value": p.ravel(),
        }
    )
    named = cells.assign(cell=cells["before"] + " to " + cells["after"])
    return Outcome(
        values={
            "upward": upward,
            "downward": downward,
            "moved": 1.0 - float(np.trace(counts)) / float(counts.sum()),
            "lowest_p": smallest(named, "p_value", named="cell"),
            "customers": int(counts.sum()),
        },
        tables={"matrix": cells},
    )


def run_overrides(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Count overrides, and compare outcomes with expectations of their rows."""
    rows = evidence.current
    grades, names = rows.grades, np.array(evidence.bundle.policy.tier_names, dtype=object)
    moved = grades.tier != grades.before
    raised = grades.tier > grades.before
    here = moved & rows.evaluated
    target, proba = rows.target[moved[rows.evaluated]], rows.probability[here]
    ratio = observed_over_expected(target, proba, rows.customers[here]) if target.size else None
    table = (
        pd.DataFrame(
            {
                "code": np.where(grades.override_code == "", "(none)", grades.override_code)[moved],
                "before": names[grades.before[moved]],
                "after": names[grades.tier[moved]],
                "judged": rows.evaluated[moved],
                "positive": (rows.status[moved] == POSITIVE) & rows.evaluated[moved],
                "expected": np.where(rows.evaluated[moved], rows.probability[moved], 0.0),
            }
        )
        .groupby(["code", "before", "after"], as_index=False)
        .agg(
            rows=("judged", "size"),
            judged=("judged", "sum"),
            positives=("positive", "sum"),
            expected=("expected", "sum"),
        )
    )
    unchecked = tuple(
        notice("not_applied", what=what, why=why) for what, why in grades.unchecked.items()
    )
    return Outcome(
        values={
            "rate": float(moved.mean()) if moved.size else np.nan,
            "raised": int(raised.sum()),
            "lowered": int((moved & ~raised).sum()),
            "observed_over_expected": Value(np.nan)
            if ratio is None
            else Value(ratio.ratio, ratio.low, ratio.high),
        },
        tables={"overrides": table},
        notes=unchecked,
    )


def _counts(rows: ScoredRows, size: int) -> Ints:
    return np.bincount(rows.tier, minlength=size).astype(np.int64)


def _last_tier(rows: ScoredRows) -> pd.Series:
    frame = pd.DataFrame(
        {
            "customer": customers_of(rows.features.keys),
            "day": rows.day,
            "tier": rows.tier,
        }
    )
    last = frame.sort_values("day", kind="stable").drop_duplicates("customer", keep="last")
    return last.set_index("customer")["tier"]
