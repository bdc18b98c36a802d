"""Conditions that a version must meet before it becomes champion."""

from kyc_ml.config import Section


class PromotionPolicy(Section):
    """Rules of promotion, the section ``promotion`` of a validation policy.

    Whatever is set here, the report must be of the same bundle, complete, recorded in the
    audit log, by someone else than the trainer, and passing; each finding needs an owner and
    a due date, and it must be no older than the policy's `report_valid_days`.
    """

    allow_findings: bool = True
    """Whether a report that passes with findings can promote at all."""
    accept_out_of_fold: bool = True
    """Whether a report on the out-of-fold rows of a model cross-validated by customer can
    promote it. Its caveat, that nothing is shown of later rows, is a finding with an owner and
    a due date, and a condition of the promotion."""
    require_sign_off: bool = False
    """Whether a report without findings needs a validator's sign-off too; one with findings
    always needs it, for the owners and due dates."""
    validator_may_approve: bool = False
    """Whether who made the report, or signed it off, may also approve the promotion. By default
    another person must (four eyes). If set, another person must approve the policy (kyc-ml
    approve-policy), and the page and each promotion record it."""
    distinct_accounts: bool = False
    """Whether validating and promoting must come from other accounts of the operating
    system than training. Names alone are claims; set it where people have accounts."""
