"""Drift: whether scored rows still resemble the rows that the model was evaluated on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from kyc_ml.config import DriftLimits
from kyc_ml.errors import some_of
from kyc_ml.metrics import compute_drift, psi_critical
from kyc_ml.model.profiles.profile import PROBABILITY, Profile

DRIFT_COLUMNS: Final = ("column", "psi", "critical_99", "drifted", "not_counted")

_NAMED: Final = 10
_CHANCE: Final = 0.01
"""How often chance may exceed a critical value. Convention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFound:
    """How far each column moved."""

    table: pd.DataFrame
    """column, psi, critical_99 (what any of the features that count exceeds by chance in one of a
    hundred runs; the probability alone, for itself), drifted (beyond its limit and significant),
    not_counted (why a feature is never said to have drifted; '' where it may be); the probability
    first, then features that count, then the others, each largest first."""
    faults: tuple[str, ...]
    """Limits that were passed; empty where none was."""

    @property
    def drifted(self) -> list[str]:
        """Names of the features that moved, without the probability."""
        moved = self.table[self.table["drifted"] & (self.table["column"] != PROBABILITY)]
        return [str(name) for name in moved["column"]]

    @property
    def drifted_text(self) -> str:
        """The first of `drifted` as a list, and how many more there are."""
        return some_of(self.drifted, most=_NAMED)


def compare_profiles(
    profile: Profile,
    counts: Mapping[str, list[int]],
    *,
    effective_customers: float,
    limits: DriftLimits,
    not_counted: Mapping[str, str] | None = None,
) -> DriftFound:
    """Compare counts of scored rows with the profile of the rows of the evaluation.

    Chance is reckoned by customers, not rows: rows of one customer are alike; and for all features
    together (Bonferroni), or of hundreds some would exceed it every night. One day compared with
    months must differ in what moves with time alone: these features are shown but not counted.

    `counts`: mapping of column to counts; as `Profile.count` returns them.
    `effective_customers`: of the scored rows; see `kyc_ml.metrics.effective_customers`.
    `not_counted`: mapping of column to reason; see `kyc_ml.features.time_bound.find_time_bound`;
    the probability may have one too.
    """
    reasons = not_counted or {}
    sizes = (profile.effective_customers, effective_customers)
    held = [name for name in profile.counts if name in counts]  # in one order, always
    features_counted = sum(name != PROBABILITY and not reasons.get(name) for name in held)
    rows = []
    for name in held:
        drift = compute_drift(
            profile.counts[name], counts[name], n_expected=sizes[0], n_actual=sizes[1]
        )
        limit = limits.score if name == PROBABILITY else limits.feature
        reason = reasons.get(name, "")
        # Bonferroni: with more features a false alarm must not become likelier
        level = _CHANCE / (1 if name == PROBABILITY or reason else features_counted)
        critical = drift.critical_99  # undefined without rows, 0 with one bin
        if critical > 0:
            critical = psi_critical(drift.bins, *sizes, level=level)
        beyond = not reason and limit is not None and drift.psi > max(limit, critical)
        rows.append((name, drift.psi, critical, beyond, reason))
    table = pd.DataFrame(rows, columns=list(DRIFT_COLUMNS))
    score = table["column"] == PROBABILITY
    features = table[~score].sort_values("psi", ascending=False, kind="stable")
    apart = features["not_counted"] != ""
    ordered = pd.concat([table[score], features[~apart], features[apart]], ignore_index=True)
    found_drift = DriftFound(table=ordered, faults=())
    return DriftFound(table=found_drift.table, faults=_faults(found_drift, limits))


def summarise_drift(table: pd.DataFrame) -> dict[str, float]:
    """Return the drift of a run as metrics that can be drawn over runs.

    `table`: as `DriftFound.table`.
    Returns dict of name to number; ``drift/score_psi``, ``drift/highest_feature_psi`` (of the
    features that count; each 0 or more, left out where it is undefined) and
    ``drift/features_drifted`` (count).
    """
    score = table["column"] == PROBABILITY
    features = table[~score & (table["not_counted"] == "")]
    figures = {
        "drift/score_psi": float(table.loc[score, "psi"].max()),
        "drift/highest_feature_psi": float(features["psi"].max()),
        "drift/features_drifted": float(features["drifted"].sum()),
    }
    return {name: figure for name, figure in figures.items() if math.isfinite(figure)}


_FEW: Final = 2
"""Features that may drift whatever their share: each is a large part of a small model."""


def _faults(found: DriftFound, limits: DriftLimits) -> tuple[str, ...]:
    faults = []
    score = found.table[found.table["column"] == PROBABILITY]
    if score["drifted"].any():
        faults.append(
            f"drift.score: PSI of the probability is {score['psi'].iloc[0]:.3f}, above "
            f"{limits.score:g} and above chance ({score['critical_99'].iloc[0]:.3f})"
            f"{_say_relaxing('score')}"
        )
    counted = (found.table["not_counted"] == "") & (found.table["column"] != PROBABILITY)
    n = int(counted.sum())
    share, fewest = len(found.drifted) / n if n else 0.0, _FEW if limits.features_drifted else 0
    if (
        limits.features_drifted is not None
        and share > limits.features_drifted
        and len(found.drifted) > fewest
    ):
        faults.append(
            f"drift.features_drifted: {len(found.drifted)} of {n} features have a PSI above "
            f"{limits.feature:g} and above chance, a share above {limits.features_drifted:g}: "
            f"{found.drifted_text}{_say_relaxing('features_drifted')}"
        )
    return tuple(faults)


def _say_relaxing(key: str) -> str:
    return (
        ": is the extract right? Then have the model validated on new rows, or set "
        f"drift: {{{key}: …}} in the file of --limits"
    )
