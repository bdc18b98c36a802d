"""Validation of a model by somebody else than its developer: checks, gates and a report.

Everything is computed from the registered bundle and from data; the report is numbers and
tables, and says how to run each check again.
"""

from __future__ import annotations

from kyc_ml.validation.catalogue import CHECKS, choose_checks
from kyc_ml.validation.check import FAMILIES, Check, Measure
from kyc_ml.validation.evidence import Retrained, ReviewEvidence, Rival
from kyc_ml.validation.policy import Settings, ValidationPolicy, load_policy
from kyc_ml.validation.result import (
    CheckResult,
    DataIdentity,
    Figure,
    Finding,
    ModelIdentity,
    Plot,
    Report,
    Table,
    conclude,
)
from kyc_ml.validation.rows import ScoredRows, score_built
from kyc_ml.validation.running import run_check, run_checks
from kyc_ml.validation.storage import content_digest, from_json, to_json, write_report
from kyc_ml.validation.text import Text

__all__ = [
    "CHECKS",
    "FAMILIES",
    "Check",
    "CheckResult",
    "DataIdentity",
    "Figure",
    "Finding",
    "Measure",
    "ModelIdentity",
    "Plot",
    "Report",
    "Retrained",
    "ReviewEvidence",
    "Rival",
    "ScoredRows",
    "Settings",
    "Table",
    "Text",
    "ValidationPolicy",
    "choose_checks",
    "conclude",
    "content_digest",
    "from_json",
    "load_policy",
    "run_check",
    "run_checks",
    "score_built",
    "to_json",
    "write_report",
]
