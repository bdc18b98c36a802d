"""Who moved between two scored dates, how far, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.features import DECISION_TIME
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
    "model_name",
    "model_digest",
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
    model_before, model_after : str
        The model's versions, or names where the tables tell no version.
    """

    counts: pd.DataFrame
    upward: float
    downward: float
    moves: pd.DataFrame
    only_before: int
    only_after: int
    model_before: str
    model_after: str

    @property
    def customers(self) -> int:
        """Customers scored on both dates."""
        return int(self.counts.to_numpy().sum())


def compare_scores(before: pd.DataFrame, after: pd.DataFrame, *, policy: TierPolicy) -> Migration:
    """Compare two score tables customer by customer; the latest row of each counts.

    Versions of model and policy may differ between the dates; their names may not.

    Parameters
    ----------
    before, after : DataFrame
        Score tables, as `score_features` gives them.
    policy : TierPolicy
        Any version of the policy that both were graded by: it puts the tiers in order.

    Raises
    ------
    ConfigError
        If a table lacks a column, or holds a tier that is not named; if they are of different
        models or of another policy, or the later date comes first.
    """
    tiers = policy.tier_names
    _require_comparable(before, after, policy)
    one, other = (_latest(table) for table in (before, after))
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
        model_before=_versions(before),
        model_after=_versions(after),
    )


def _require_comparable(before: pd.DataFrame, after: pd.DataFrame, policy: TierPolicy) -> None:
    """Refuse two tables that no customer's move can be read from, naming all faults."""
    faults = Faults("the two score tables", ConfigError)
    for when, table in (("before", before), ("after", after)):
        faults.extend(f"{when}: {fault}" for fault in _faults_of(table, policy))
    if all(set(_READ) <= set(table) for table in (before, after)):
        faults.extend(_faults_between(before, after))
    faults.raise_if_any()


def _faults_between(before: pd.DataFrame, after: pd.DataFrame) -> Iterator[str]:
    """Give what makes two tables no earlier and later scores of one model."""
    models = [_names_of_models(table) for table in (before, after)]
    if all(models) and models[0] != models[1]:
        yield (
            f"before is of model {', '.join(models[0])}, after of {', '.join(models[1])}: only "
            "versions of one model tell who moved; name two score files of the same model"
        )
    last = [table[DECISION_TIME].max() for table in (before, after)]
    if last[0] > last[1]:
        yield (
            f"before ends on {last[0]:%Y-%m-%d %H:%M}, after already on {last[1]:%Y-%m-%d %H:%M}: "
            "give the earlier date first"
        )


def _faults_of(table: pd.DataFrame, policy: TierPolicy) -> Iterator[str]:
    """Give what a table lacks, and what of it is not of the policy."""
    absent = [name for name in _READ if name not in table]
    yield from (f"column {name} is absent: score again with this version" for name in absent)
    if "tier" in table:
        strange = sorted(set(table["tier"].astype(str)) - set(policy.tier_names))
        yield from (f"tier {name!r} is none of {', '.join(policy.tier_names)}" for name in strange)
    if "policy" in table:
        graded = sorted({_name_of_policy(label) for label in table["policy"].dropna()})
        if set(graded) != {policy.name}:
            yield (
                f"it is graded by policy {', '.join(graded) or 'none'}, but the policy given is "
                f"{policy.name}: give any version of the policy that both were graded by"
            )


def _names_of_models(table: pd.DataFrame) -> list[str]:
    """List the models of a table; a rating that stood in for one has no digest and no name."""
    return sorted(set(table.loc[table["model_digest"].notna(), "model_name"].astype(str)))


def _name_of_policy(label: str) -> str:
    """Take the version off a policy's label; see `TierPolicy.label`."""
    return str(label).rpartition(" v")[0]


def _versions(table: pd.DataFrame) -> str:
    named = "model_version" if "model_version" in table else "model_name"
    return ", ".join(sorted(set(table[named].astype(str))))


def _latest(table: pd.DataFrame) -> pd.DataFrame:
    """Give each customer's latest row, by customer."""
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
