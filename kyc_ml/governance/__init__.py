"""Who decided what, on which evidence, in a record that shows when it was tampered with."""

from __future__ import annotations

from kyc_ml.governance.chain import (
    GENESIS,
    KINDS,
    Anchor,
    Entry,
    Fault,
    Kind,
    Reading,
    check_anchors,
    read_chain,
)
from kyc_ml.governance.evidence import (
    OUT_OF_FOLD,
    Candidate,
    ReportFacts,
    ReportFinding,
    is_among,
)
from kyc_ml.governance.log import AuditLog, current_account
from kyc_ml.governance.policy import PromotionPolicy
from kyc_ml.governance.promotion import champions, find_refusals
from kyc_ml.governance.register import (
    ConditionsOfUse,
    RegisteredFinding,
    conditions_in_force,
    findings_register,
)
from kyc_ml.governance.sign_off import (
    DECISIONS,
    Decision,
    OwnedFinding,
    SignOff,
    latest_sign_off,
    make_sign_off,
)

__all__ = [
    "DECISIONS",
    "GENESIS",
    "KINDS",
    "OUT_OF_FOLD",
    "Anchor",
    "AuditLog",
    "Candidate",
    "ConditionsOfUse",
    "Decision",
    "Entry",
    "Fault",
    "Kind",
    "OwnedFinding",
    "PromotionPolicy",
    "Reading",
    "RegisteredFinding",
    "ReportFacts",
    "ReportFinding",
    "SignOff",
    "champions",
    "check_anchors",
    "conditions_in_force",
    "current_account",
    "find_refusals",
    "findings_register",
    "is_among",
    "latest_sign_off",
    "make_sign_off",
    "read_chain",
]
