"""Who moved between two scored dates, how far, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.contract.tables import CUSTOMER_ID
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.features.table import DECISION_TIME
from kyc_ml.metrics import matrix_weighted_bandwidth

_READ: Final = (
    CUSTOMER_ID,
    DECISION_TIME,
    "probability",
    "tier",
    "tier_before_overrides",
    "tier_of_score",
    "tier_of_model",
    "expert_grade",
    "override_code",
    "segment",
    "policy",
)
"""Columns of a score table that tell who moved and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What became of the customers scored on two dates.

    Attributes
    ----------
    counts : DataFrame
        Customers by tier before (rows) and after (columns), lowest tier first.
    upward, downward : float
        Matrix weighted bandwidth of moves to higher risk and to lower risk, in [0, 1].
    moves : DataFrame
        One row a customer who moved: customer_id, tier_before, tier_after, steps (above 0 to
        higher risk), why, probability_before, probability_after, override_before,
        override_after; the farthest upward first.
    only_before, only_after : int
        Customers scored on one of the dates only; in no cell of `counts`.
    """

    counts: pd.DataFrame
    upward: float
    downward: float
    moves: pd.DataFrame
    only_before: int
    only_after: int

    @property
    def customers(self) -> int:
        """Customers scored on both dates."""
        return int(self.counts.to_numpy().sum())


def compare_scores(
    before: pd.DataFrame, after: pd.DataFrame, *, tiers: tuple[str, ...]
) -> Migration:
    """Compare two score tables customer by customer; the latest row of each counts.

    Parameters
    ----------
    before, after : DataFrame
        Score tables, as `score_features` gives them.
    tiers : tuple of str
        Names of the tiers, lowest first.

    Raises
    ------
    ConfigError
        If a table lacks a column, or holds a tier that is not named.
    """
    one, other = (_latest(table, tiers) for table in (before, after))
    both = one.add_suffix("_before").join(other.add_suffix("_after"), how="inner")
    places = [
        pd.Index(tiers).get_indexer(pd.Index(both[name])) for name in ("tier_before", "tier_after")
    ]
    counts = np.zeros((len(tiers), len(tiers)), np.int64)
    np.add.at(counts, tuple(places), 1)
    upward, downward = matrix_weighted_bandwidth(counts)
    both["steps"] = places[1] - places[0]
    moved = both[both["steps"] != 0].copy()
    moved["why"] = _why(moved)
    moved = moved.rename(
        columns={
            "override_code_before": "override_before",
            "override_code_after": "override_after",
        }
    ).reset_index()
    shown = (
        *(CUSTOMER_ID, "tier_before", "tier_after", "steps", "why", "probability_before"),
        *("probability_after", "override_before", "override_after"),
    )
    moved = moved.sort_values(["steps", CUSTOMER_ID], ascending=[False, True], ignore_index=True)
    return Migration(
        counts=pd.DataFrame(
            counts,
            index=pd.Index(tiers, name="before"),
            columns=pd.Index(tiers, name="after"),
        ),
        upward=upward,
        downward=downward,
        moves=moved[list(shown)],
        only_before=int((~one.index.isin(other.index)).sum()),
        only_after=int((~other.index.isin(one.index)).sum()),
    )


def _latest(table: pd.DataFrame, tiers: tuple[str, ...]) -> pd.DataFrame:
    """Give each customer's latest row, by customer."""
    faults = Faults("score table", ConfigError)
    absent = [name for name in _READ if name not in table]
    faults.extend(f"column {name} is absent: score again with this version" for name in absent)
    if "tier" in table:
        strange = sorted(set(table["tier"].astype(str)) - set(tiers))
        faults.extend(f"tier {name!r} is none of {', '.join(tiers)}" for name in strange)
    faults.raise_if_any()
    ordered = table[list(_READ)].sort_values(DECISION_TIME, kind="stable")
    return ordered.drop_duplicates(CUSTOMER_ID, keep="last").set_index(CUSTOMER_ID)


def _why(moved: pd.DataFrame) -> pd.Series:
    """Name what differs between the two dates, in the order in which a tier comes about.

    What differs first explains the move: a new policy before a new score, and an override
    only where it moved one of the two tiers.
    """

    def differs(name: str) -> pd.Series:
        one, other = moved[f"{name}_before"], moved[f"{name}_after"]
        return (one != other) & ~(one.isna() & other.isna())

    def raised(when: str) -> pd.Series:
        return moved[f"tier_{when}"] != moved[f"tier_before_overrides_{when}"]

    overridden = differs("override_code") & (raised("before") | raised("after"))
    reasons = (
        ("policy", differs("policy")),
        ("override began", overridden & moved["override_code_before"].isna()),
        ("override ended", overridden & moved["override_code_after"].isna()),
        ("override changed", overridden),
        ("segment", differs("segment")),
        ("probability", differs("tier_of_model")),
        ("expert rating", differs("expert_grade")),
        ("history", differs("tier_before_overrides")),
    )
    why = pd.Series("override applied otherwise", index=moved.index, dtype=object)
    for reason, here in reversed(reasons):
        why[here] = reason
    return why
