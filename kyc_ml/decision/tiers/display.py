"""A policy, a proposal and a migration as tables for people, and the path of a tier in words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kyc_ml.decision.tiers.migration import Migration
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.proposal import CutOffProposal, say_cut
from kyc_ml.decision.tiers.sections import WHOLE, OverrideRule
from kyc_ml.decision.wording import Language, write_text


def policy_tables(policy: TierPolicy, language: Language = "en") -> dict[str, pd.DataFrame]:
    """Make tables by title: tiers and cut-offs, overrides, the combination with the rating."""
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
    tables = {write_text("tables", "tiers", language, policy=policy.label): tiers}
    if policy.overrides:
        tables[write_text("tables", "overrides", language)] = pd.DataFrame(
            [_override_row(rule, language) for rule in policy.overrides]
        )
    if policy.expert is not None:
        table = pd.DataFrame(
            [
                [policy.tier_names[place] for place in row]
                for row in policy.expert.combine(policy.tier_names)
            ],
            columns=list(policy.tier_names),
        )
        table.insert(0, "grade", [grade.name for grade in policy.expert.card.grades])
        tables[write_text("tables", "combination", language)] = table
    return tables


def _override_row(rule: OverrideRule, language: Language) -> dict[str, str]:
    kind, tier = ("tier", rule.tier) if rule.floor is None else ("floor", rule.floor)
    return {
        "code": rule.code,
        "reason": rule.chinese if language == "zh" else rule.english,
        "gives": write_text("gives", kind, language, tier=tier),
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


def proposal_table(proposal: CutOffProposal) -> pd.DataFrame:
    """Return a proposal's evidence for people, the highest tier of each segment first.

    segment, tier, in_force and proposed (cut-offs in percent), interval (95 %), rows, alerts (where
    they are limited), observed_rate, upper_rate, limit, met.
    """
    ordered = proposal.table.iloc[::-1].groupby("segment", sort=False)
    table = pd.concat([ordered.get_group(name) for name in proposal.table["segment"].unique()])
    table = table.assign(
        met=[{True: "yes", False: "NO"}.get(each, "–") for each in table["met"]],
        interval=[
            f"{say_cut(low)} to {say_cut(high)}" if high > 0 else "–"
            for low, high in zip(table["low"], table["high"], strict=True)
        ],
        limit=[
            f"{limit:.2%}" if np.isnan(alerts) else f"{limit:g}"
            for limit, alerts in zip(table["limit"], table["alerts"], strict=True)
        ],
        **{name: table[name].map(say_cut) for name in ("in_force", "proposed")},
    )
    shown = [
        *("segment", "tier", "in_force", "proposed", "interval", "rows", "alerts"),
        *("observed_rate", "upper_rate", "limit", "met"),
    ]
    return table[shown].dropna(axis="columns", how="all").reset_index(drop=True)


def moves_table(proposal: CutOffProposal) -> pd.DataFrame:
    """Count the rows by tier in force (lines) and proposed tier (columns), the highest first."""
    order = list(proposal.policy.tier_names)[::-1]
    counted = proposal.moves["rows"].to_numpy().reshape(len(order), len(order))  # in this order
    return pd.DataFrame(counted, columns=order).assign(in_force=order)[["in_force", *order]]


def migration_tables(migration: Migration, language: Language = "en") -> dict[str, pd.DataFrame]:
    """Make tables by title: the migration matrix, and moves counted by direction and cause."""
    way = migration.moves["steps"].gt(0).map({True: "to higher risk", False: "to lower risk"})
    causes = (
        migration.moves.groupby([way.rename("way"), "why"], sort=True)
        .size()
        .rename("customers")
        .reset_index()
    )
    return {
        write_text("tables", "migration", language): migration.counts.reset_index(),
        write_text("tables", "moves", language): causes,
    }


def say_path(score: Mapping[str, Any], language: Language = "en") -> str:
    """Describe what besides the probability set a tier; '' where the probability alone did.

    Two rows of one probability may have two tiers: a reader must see the reason.

    `score`: a row that the model scored, with the columns of `Grades.columns`.

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
    steps = []
    if score["tier_of_score"] != score["tier_of_model"]:
        steps.append(("rating", {"tier": score["tier_of_score"], "grade": score["expert_grade"]}))
    if score["tier_before_overrides"] != score["tier_of_score"]:
        steps.append(("history", {"tier": score["tier_before_overrides"]}))
    if score["tier"] != score["tier_before_overrides"]:
        steps.append(("override", {"tier": score["tier"], "code": score["override_code"]}))
    if score["segment"] != WHOLE:
        first = ("model_in_segment", {"segment": score["segment"]})
    elif steps:
        first = ("model", {})
    else:
        return ""
    first[1]["tier"] = score["tier_of_model"]
    written = [write_text("path", key, language, **values) for key, values in (first, *steps)]
    return ("；" if language == "zh" else "; ").join(written)
