"""A policy, a proposal and a migration as tables that a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from kyc_ml.decision.tiers.migration import Migration
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.proposal import CutOffProposal
from kyc_ml.decision.tiers.sections import WHOLE


def policy_tables(policy: TierPolicy) -> dict[str, pd.DataFrame]:
    """Lay a policy out by title: tiers and cut-offs, overrides, the combination table."""
    tiers = pd.DataFrame(
        {
            "tier": policy.tier_names,
            "名称": [rule.name_zh for rule in policy.tiers],
            **{
                f"from ({name})": [f"{cut:.6g}" for cut in policy.cut_offs(name)]
                for name in (WHOLE, *policy.segment_names)
            },
            "due_diligence": [rule.due_diligence for rule in policy.tiers],
            "review_months": [rule.review_months for rule in policy.tiers],
            "monitoring": [rule.monitoring for rule in policy.tiers],
        }
    )
    tables = {f"tiers of {policy.label}": tiers}
    if policy.overrides:
        tables["overrides: they beat the score, and a floor is never undercut"] = pd.DataFrame(
            [
                {
                    "code": rule.code,
                    "reason": rule.english,
                    "gives": f"tier {rule.tier}" if rule.floor is None else f"floor {rule.floor}",
                    "where": " and ".join(
                        f"{each.feature} >= {each.at_least:g}"
                        if each.at_least is not None
                        else f"{each.feature} in {', '.join(each.any_of)}"
                        for each in rule.when
                    ),
                    "from": str(rule.start),
                    "until": str(rule.expiry),
                    "approver": rule.approver,
                }
                for rule in policy.overrides
            ]
        )
    if policy.expert is not None:
        places = policy.expert.combine(policy.tier_names)
        grades = [grade.name for grade in policy.expert.card.grades]
        table = pd.DataFrame(
            [[policy.tier_names[place] for place in row] for row in places],
            columns=list(policy.tier_names),
        )
        table.insert(0, "grade", grades)
        tables["expert grade (rows) and model tier (columns) give"] = table
    return tables


def proposal_table(proposal: CutOffProposal) -> pd.DataFrame:
    """Show a proposal's evidence, cut-offs in as many digits as they need."""
    met = proposal.table["met"]
    table = proposal.table.assign(
        met=[{True: "yes", False: "NO"}.get(each, "–") for each in met],
        **{
            name: [f"{value:.4g}" for value in proposal.table[name]]
            for name in ("in_force", "proposed", "low", "high")
        },
    )
    return table.dropna(axis="columns", how="all")  # no alerts where none are limited


def migration_tables(migration: Migration) -> dict[str, pd.DataFrame]:
    """Lay a migration out by title: the matrix, and moves counted by way and cause."""
    counts = migration.counts.reset_index()
    way = migration.moves["steps"].gt(0).map({True: "to higher risk", False: "to lower risk"})
    causes = (
        migration.moves.groupby([way.rename("way"), "why"], sort=True)
        .size()
        .rename("customers")
        .reset_index()
    )
    return {"customers by tier before (rows) and after (columns)": counts, "moves": causes}


def say_path(score: Mapping[str, Any]) -> str:
    """Say what but the probability decided a tier; nothing where it decided alone.

    Two rows of one probability may have two tiers: a reader is owed the reason.

    Parameters
    ----------
    score : mapping
        A row that the model scored, with the columns of `Grades.columns`.

    Examples
    --------
    >>> say_path(
    ...     {
    ...         "tier_of_model": "medium",
    ...         "segment": "all",
    ...         "tier_of_score": "high",
    ...         "expert_grade": "top",
    ...         "tier_before_overrides": "high",
    ...         "tier": "high",
    ...         "override_code": None,
    ...     }
    ... )
    'medium by the probability; high with the expert rating (top)'
    """
    model, rated = score["tier_of_model"], score["tier_of_score"]
    before, tier = score["tier_before_overrides"], score["tier"]
    own = score["segment"] != WHOLE
    moved = [
        f"{rated} with the expert rating ({score['expert_grade']})" if rated != model else "",
        f"held at {before} by the customer's history" if before != rated else "",
        f"{tier} by override {score['override_code']}" if tier != before else "",
    ]
    if not own and not any(moved):
        return ""
    cut_offs = f", cut-offs of segment {score['segment']}" if own else ""
    first = f"{model} by the probability{cut_offs}"
    return "; ".join([first, *filter(None, moved)])
