"""Which customers changed tier between two scored dates, how far, and why."""

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
"""Columns of a score table from which moves and their causes are read."""

_MOVES: Final = (
    *(CUSTOMER_ID, "tier_before", "tier_after", "steps", "why", "probability_before"),
    *("probability_after", "override_before", "override_after"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """Changes of tier between two scored dates."""

    counts: pd.DataFrame
    """Customers by tier before (rows) and after (columns), lowest tier first."""
    upward: float
    downward: float
    """`upward` and `downward`: matrix weighted bandwidth of moves to higher risk and to lower risk,
    in [0, 1]."""
    moves: pd.DataFrame
    """One row per customer whose tier changed: customer_id, tier_before, tier_after, steps (above 0
    to higher risk), why, probability_before, probability_after, override_before, override_after;
    the largest rise first."""
    only_before: int
    only_after: int
    """`only_before` and `only_after`: customers scored on one of the dates only; not in
    `counts`."""
    model_before: str
    model_after: str
    """`model_before` and `model_after`: the model's versions, or its names where the tables have no
    versions."""

    @property
    def customers(self) -> int:
        """Customers scored on both dates."""
        return int(self.counts.to_numpy().sum())


def compare_scores(before: pd.DataFrame, after: pd.DataFrame, *, policy: TierPolicy) -> Migration:
    """Compare two score tables customer by customer; the latest row of each counts.

    Versions of model and policy may differ between the dates; their names may not.

    `before`, `after`: score tables, as `score_features` returns them.
    `policy`: Any version of the policy of both tables: it orders the tiers.
    Raises ConfigError if a table lacks a column or has an unknown tier, if the tables are of
    different models or of another policy, or if the later date comes first; all faults are listed.
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
    moved.columns = moved.columns.str.replace("override_code", "override")
    moved = moved.reset_index().sort_values(
        ["steps", CUSTOMER_ID], ascending=[False, True], ignore_index=True
    )
    return Migration(
        counts=pd.DataFrame(
            counts,
            index=pd.Index(tiers, name="before"),
            columns=pd.Index(tiers, name="after"),
        ),
        upward=upward,
        downward=downward,
        moves=moved[list(_MOVES)],
        only_before=int((~one.index.isin(other.index)).sum()),
        only_after=int((~other.index.isin(one.index)).sum()),
        model_before=_versions(before),
        model_after=_versions(after),
    )


def _require_comparable(before: pd.DataFrame, after: pd.DataFrame, policy: TierPolicy) -> None:
    faults = Faults("the two score tables", ConfigError)
    for when, table in (("before", before), ("after", after)):
        faults.extend(f"{when}: {fault}" for fault in _faults_of(table, policy))
    if all(set(_READ) <= set(table) for table in (before, after)):
        faults.extend(_faults_between(before, after))
    faults.raise_if_any()


def _faults_between(before: pd.DataFrame, after: pd.DataFrame) -> Iterator[str]:
    """List why two tables are not earlier and later scores of one model."""
    models = [_names_of_models(table) for table in (before, after)]
    if all(models) and models[0] != models[1]:
        yield (
            f"before is of model {', '.join(models[0])}, after of {', '.join(models[1])}: only "
            "versions of one model can be compared; give two score files of the same model"
        )
    last = [table[DECISION_TIME].max() for table in (before, after)]
    if last[0] > last[1]:
        yield (
            f"before ends on {last[0]:%Y-%m-%d %H:%M}, after already on {last[1]:%Y-%m-%d %H:%M}: "
            "give the earlier date first"
        )


def _faults_of(table: pd.DataFrame, policy: TierPolicy) -> Iterator[str]:
    """List absent columns, unknown tiers and a different policy of a table."""
    absent = [name for name in _READ if name not in table]
    yield from (f"column {name} is absent: score again with this version" for name in absent)
    if "tier" in table:
        strange = sorted(set(table["tier"].astype(str)) - set(policy.tier_names))
        yield from (
            f"tier {name!r} is not one of {', '.join(policy.tier_names)}" for name in strange
        )
    if "policy" in table:
        graded = sorted({_name_of_policy(label) for label in table["policy"].dropna()})
        if set(graded) != {policy.name}:
            yield (
                f"its tiers are of policy {', '.join(graded) or 'none'}, but the policy given is "
                f"{policy.name}: give any version of the policy of both tables"
            )


def _names_of_models(table: pd.DataFrame) -> list[str]:
    """List the models of a table; rows of the fallback rating have no digest and are left out."""
    return sorted(set(table.loc[table["model_digest"].notna(), "model_name"].astype(str)))


def _name_of_policy(label: str) -> str:
    """Remove the version from a policy's label; see `TierPolicy.label`."""
    return str(label).rpartition(" v")[0]


def _versions(table: pd.DataFrame) -> str:
    named = "model_version" if "model_version" in table else "model_name"
    return ", ".join(sorted(set(table[named].astype(str))))


def _latest(table: pd.DataFrame) -> pd.DataFrame:
    """Return each customer's latest row, by customer."""
    # stable: of rows decided at one instant the last in order counts
    ordered = table[list(_READ)].sort_values(DECISION_TIME, kind="stable")
    return ordered.drop_duplicates(CUSTOMER_ID, keep="last").set_index(CUSTOMER_ID)


def _why(moved: pd.DataFrame) -> pd.Series:
    """Name the cause of each move: the first difference between the two dates."""
    # a new policy comes before a new score, and an override counts only where it changed one of the
    # two tiers

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
    # in reverse: the first difference is written last, and so wins
    for reason, here in reversed(reasons):
        why[here] = reason
    return why
