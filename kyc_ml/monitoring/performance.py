"""Performance by month of decision, once outcomes are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.features import DECISION_TIME
from kyc_ml.metrics import (
    Floats,
    Ints,
    Mask,
    ReportingCurve,
    bootstrap,
    compute_operating_points,
    compute_ranking_figures,
    number_customers,
    observed_over_expected,
)
from kyc_ml.monitoring.outcomes import KnownOutcomes

RANKED: Final = ("auc", "average_precision", "recall_at_capacity")
_FEWEST: Final = 10
"""Positives of closed windows below which the newest months are not corrected (convention)."""


def performance_by_month(
    outcomes: KnownOutcomes, *, per_day: float, draws: int = 200, seed: int = 0
) -> pd.DataFrame:
    """Compute figures of each month of decision.

    The newest months hold rows whose positives are not all reported yet. Their level is that of
    the positives so far over those that should be known at each row's age; its interval adds the
    chance of the outcomes and the error of the reporting curve. It assumes that positives are
    reported as fast as those of earlier months.

    Parameters
    ----------
    per_day : float
        Reviews a day, for the recall at capacity.

    Returns
    -------
    DataFrame
        One row a month: month ('2026-05'), rows (with a usable or immature outcome), closed (rows
        whose window has closed), positives (known so far), complete (expected share of the final
        positives that is known, 0 to 1), and figures with their intervals at 95 % by customer:
        o_e, o_e_low, o_e_high (of all rows), auc, average_precision, recall_at_capacity, each
        with _low and _high (closed rows only). NaN where rows do not determine a figure, and for
        the corrected ones with fewer than 10 positives of closed windows.
    """
    months = outcomes.month.to_numpy()
    followed = _Followed.of(outcomes, draws=draws, seed=seed)
    lines = []
    for month in sorted(set(months)):
        here = np.flatnonzero((months == month) & followed.counted)
        lines.append(
            {
                "month": month,
                **followed.level(here),
                **_ranking(outcomes, here, followed.closed, per_day, draws=draws, seed=seed),
            }
        )
    return pd.DataFrame(lines, columns=list(_COLUMNS))


_COLUMNS: Final = (
    "month", "rows", "closed", "positives", "complete", "o_e", "o_e_low", "o_e_high",
    *(f"{name}{end}" for name in RANKED for end in ("", "_low", "_high")),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Followed:
    """Rows followed until their window closes; curves are the estimate, then samples of it."""

    counted: Mask
    closed: Mask
    positive: Floats
    proba: Floats
    age: Floats
    window: float
    customers: Ints
    curves: tuple[ReportingCurve, ...]

    @classmethod
    def of(cls, outcomes: KnownOutcomes, *, draws: int, seed: int) -> _Followed:
        rows = outcomes.rows
        age = _days(outcomes.as_of - rows[DECISION_TIME])
        took = _days(rows["reported"] - rows[DECISION_TIME])
        window = outcomes.delay / pd.Timedelta(days=1)
        customers = outcomes.customers
        closed, target = outcomes.closed, rows["target"].to_numpy(np.float64)
        # outcomes reported after the window count where known, but do not shape the curve
        seen = np.flatnonzero((target == 1.0) & (took <= window))
        curves: list[ReportingCurve] = []
        if int(closed[seen].sum()) >= _FEWEST:
            delay, old = np.maximum(took[seen], 0.0), age[seen]

            def sampled(times: Ints) -> Floats:
                curves.append(ReportingCurve.of(delay, old, weight=times.astype(np.float64)))
                return np.zeros(1)

            _, groups = np.unique(customers[seen], return_inverse=True)
            sampled(np.ones(seen.size, np.int64))
            bootstrap(sampled, groups, draws=draws, seed=seed)
        return cls(
            counted=(rows["label"] == "immature").to_numpy() | ~np.isnan(target),
            closed=closed,
            positive=(target == 1.0).astype(np.float64),
            proba=rows["probability"].to_numpy(np.float64),
            age=age,
            window=float(window),
            customers=customers,
            curves=tuple(curves),
        )

    def level(self, here: Ints) -> dict[str, float]:
        """Return counts and the corrected level of some rows."""
        positive, proba, closed = self.positive[here], self.proba[here], self.closed[here]
        found: dict[str, float] = {
            "rows": here.size,
            "closed": int(closed.sum()),
            "positives": int(positive.sum()),
        }
        young = self.age[here] < self.window
        if not here.size or (young.any() and not self.curves):
            return found
        whole = float(proba.sum()) or np.nan
        known = np.ones(here.size)
        spread = 0.0
        if young.any():
            shares = [curve.at(self.age[here][young]) for curve in self.curves]
            known[young] = shares[0]
            due = [proba[young] @ each + proba[~young].sum() for each in shares[1:]]
            spread = float(np.std(np.log(np.maximum(due, np.finfo(np.float64).tiny))))
        _, groups = np.unique(self.customers[here], return_inverse=True)
        level = observed_over_expected(positive, proba * known, groups)
        # both errors are independent, and their logs add
        ends = []
        for end in (level.low, level.high):
            chance = np.log(end / level.ratio) if level.ratio > 0.0 and end > 0.0 else np.nan
            both = np.sign(chance) * np.hypot(chance, 1.96 * spread)
            ends.append(end if np.isnan(both) else level.ratio * float(np.exp(both)))
        return {
            **found,
            "complete": float((proba * known).sum()) / whole,
            "o_e": level.ratio,
            "o_e_low": ends[0],
            "o_e_high": ends[1],
        }


def _ranking(
    outcomes: KnownOutcomes, here: Ints, closed: Mask, per_day: float, *, draws: int, seed: int
) -> dict[str, float]:
    """Return how well closed rows are ranked; empty where a class has no row."""
    rows = outcomes.rows.iloc[here[closed[here]]]
    target, score = rows["target"].to_numpy(np.float64), rows["probability"].to_numpy(np.float64)
    if not 0 < target.sum() < target.size:
        return {}
    groups = number_customers(rows["customer_id"].to_numpy(dtype=object))
    ranked = compute_ranking_figures(target, score, groups=groups, draws=draws, seed=seed)
    lines = ranked.set_index("figure").loc[["auc", "average_precision"], ["value", "low", "high"]]
    queue = compute_operating_points(
        target,
        score,
        per_day=np.array([per_day]),
        groups=groups,
        day=day_numbers(outcomes, rows),
        draws=draws,
        seed=seed,
    )
    figures = {name: lines.loc[name].tolist() for name in lines.index}
    figures["recall_at_capacity"] = queue.iloc[0][["recall", "recall_low", "recall_high"]].tolist()
    return {
        f"{name}{end}": value
        for name, values in figures.items()
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }


def day_numbers(outcomes: KnownOutcomes, rows: pd.DataFrame) -> Ints:
    """Return the day of each decision in the zone of the source, as a number, shape (n,)."""
    local = rows[DECISION_TIME].dt.tz_convert(outcomes.timezone).dt.tz_localize(None)
    return np.asarray(local.to_numpy().astype("datetime64[D]").astype(np.int64))


def _days(spans: pd.Series) -> Floats:
    return np.asarray(spans.dt.total_seconds() / 86_400.0, np.float64)
