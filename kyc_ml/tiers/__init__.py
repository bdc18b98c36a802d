"""Probability to tier under a governed policy, and what follows from a tier.

A policy (`TierPolicy`, a YAML file) holds cut-offs, segments, overrides, the expert rating's
part, hysteresis, review intervals and calendar; `grade` applies it to a feature table.
`propose` says which cut-offs the policy's own targets would ask for.
"""

from kyc_ml.metrics import matrix_weighted_bandwidth
from kyc_ml.tiers.calendar import (
    EveryDay,
    Weekdays,
    WorkingDays,
    due_days,
    last_working_day,
    next_reviews,
    working_days_of,
)
from kyc_ml.tiers.cut_offs import assign_tiers, compute_tier_table, name_segments
from kyc_ml.tiers.disclosure import confidentiality, customer_safe, tellable
from kyc_ml.tiers.expert import combination_table
from kyc_ml.tiers.grading import (
    NOBODY,
    RAISED_BY_RATING,
    Grades,
    grade,
    say_counts,
    segments_of,
)
from kyc_ml.tiers.history import TierHistory
from kyc_ml.tiers.judging import FitRows, judge_cut_offs
from kyc_ml.tiers.lowering import held_by, limits_of
from kyc_ml.tiers.migration import Migration, compare_scores
from kyc_ml.tiers.needs import declare_facts, features_needed, merge_specs, policy_features
from kyc_ml.tiers.overrides import EnteredOverride, OverrideBook, list_in_force, load_overrides
from kyc_ml.tiers.path import say_path
from kyc_ml.tiers.policy import WHOLE, TierPolicy, TierRule
from kyc_ml.tiers.proposal import Proposal, diff_policies, propose, require_fit
from kyc_ml.tiers.validity import require_in_force

__all__ = [
    "NOBODY",
    "RAISED_BY_RATING",
    "WHOLE",
    "EnteredOverride",
    "EveryDay",
    "FitRows",
    "Grades",
    "Migration",
    "OverrideBook",
    "Proposal",
    "TierHistory",
    "TierPolicy",
    "TierRule",
    "Weekdays",
    "WorkingDays",
    "assign_tiers",
    "combination_table",
    "compare_scores",
    "compute_tier_table",
    "confidentiality",
    "customer_safe",
    "declare_facts",
    "diff_policies",
    "due_days",
    "features_needed",
    "grade",
    "held_by",
    "judge_cut_offs",
    "last_working_day",
    "limits_of",
    "list_in_force",
    "load_overrides",
    "matrix_weighted_bandwidth",
    "merge_specs",
    "name_segments",
    "next_reviews",
    "policy_features",
    "propose",
    "require_fit",
    "require_in_force",
    "say_counts",
    "say_path",
    "segments_of",
    "tellable",
    "working_days_of",
]
