"""Run checks: compute figures, apply gates, return verdicts."""

import time
from collections.abc import Callable

from kyc_ml.validation.check import Check
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.outcome import NotApplicable, Outcome, Procedure
from kyc_ml.validation.policy import Settings, ValidationPolicy
from kyc_ml.validation.ranked import missing
from kyc_ml.validation.result import CheckResult, Finding, Table
from kyc_ml.validation.run import out_of_fold
from kyc_ml.validation.run.gates import apply_gates, evaluate_gate, find_findings


def run_checks(
    procedures: tuple[Procedure, ...],
    evidence: ReviewEvidence,
    *,
    policy: ValidationPolicy,
    command: Callable[[Check], str],
) -> tuple[tuple[CheckResult, ...], tuple[Finding, ...]]:
    """Run checks one after the other.

    `command` returns the command that reruns one check.

    Returns `results`: tuple of CheckResult, in the order of the procedures.
    """
    results: list[CheckResult] = []
    findings: list[Finding] = []
    for number, procedure in enumerate(procedures):
        evidence.reporter.progress("check", number, len(procedures), what=procedure.check.id)
        result, found = run_check(
            procedure, evidence, policy=policy, command=command(procedure.check)
        )
        results.append(result)
        findings.extend(found)
    evidence.reporter.progress("check", len(procedures), len(procedures))
    return tuple(results), tuple(findings)


def run_check(
    procedure: Procedure, evidence: ReviewEvidence, *, policy: ValidationPolicy, command: str
) -> tuple[CheckResult, tuple[Finding, ...]]:
    """Run one check and apply the gates of the policy to its figures."""
    check, start = procedure.check, time.perf_counter()
    outcome = _run(procedure, evidence, policy.settings)
    spent = time.perf_counter() - start
    if isinstance(outcome, NotApplicable):
        return (
            CheckResult(
                check=check,
                verdict="not_applicable",
                reason=outcome.reason,
                command=command,
                seconds=spent,
            ),
            (),
        )
    figures = outcome.figures(procedure)
    gates = apply_gates(
        (gate for gate in policy.gates if gate.check == check.id),
        {figure.name: figure for figure in figures},
        parts=outcome.parts,
    )
    return (
        CheckResult(
            check=check,
            verdict=evaluate_gate(gates),
            figures=figures,
            tables=tuple(
                Table(name=name, title=procedure.tables[name], frame=frame)
                for name, frame in outcome.tables.items()
            ),
            plots=procedure.plots,
            gates=gates,
            notes=outcome.notes,
            command=command,
            seconds=spent,
        ),
        find_findings(check, gates),
    )


def _run(
    procedure: Procedure, evidence: ReviewEvidence, settings: Settings
) -> Outcome | NotApplicable:
    """Run a check if it applies: some need unseen earlier rows, or the scores of one model."""
    name = procedure.check.id
    if evidence.fitted is not None:
        if name in out_of_fold.NOT_APPLICABLE:
            return NotApplicable(reason=out_of_fold.NOT_APPLICABLE[name])
        evidence = evidence.of_the_model if name in out_of_fold.OF_THE_MODEL else evidence
    elif evidence.reference is evidence.current and name in out_of_fold.NEEDS_REFERENCE:
        return NotApplicable(reason=out_of_fold.WITHOUT_REFERENCE)
    return missing(procedure.needs, evidence) or procedure.run(evidence, settings)
