"""Commands on decisions: sign-off, promote, rollback, withdraw, findings, audit-log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kyc_ml.cli.options import AUDIT_LOG, VALIDATION, Lang, Log, RequiredPath, fill, job
from kyc_ml.cli.shipped import find_shipped
from kyc_ml.cli.usage import Commands, HelpfulGroup

if TYPE_CHECKING:
    from kyc_ml.cli.terminal.reporters import Terminal
    from kyc_ml.validation import PromotionResult

app = Commands()
audit_log = Commands(cls=HelpfulGroup, no_args_is_help=True)
app.add_typer(audit_log, name="audit-log")

Required = Annotated[str, typer.Option()]


@app.command("sign-off")
def sign_off(
    report: Path,
    *,
    validator: Required,
    conclusion: Annotated[Literal["approve", "approve_with_conditions", "reject"], typer.Option()],
    finding: list[str] | None = None,
    owner: str = "",
    condition: list[str] | None = None,
    comment: str = "",
    materiality: str = "",
    log: Log = AUDIT_LOG,
) -> None:
    """Conclude on a report, with an owner and a due date for each finding."""
    given = locals()
    with job(given, reads=["report"]) as terminal:
        # imported here, so that `--help` does not wait for it
        from kyc_ml.validation import run_sign_off

        named = (text.partition("=") for text in finding or ())
        whose = {name.strip(): _owner(rest) for name, _, rest in named}
        others = _owner(owner) if owner else None
        conditions = condition or ()
        result = fill(
            run_sign_off, given, owners=whose, owner_of_others=others, conditions=conditions
        )
        facts: dict[str, object] = {"conclusion": result.sign_off.conclusion}
        if result.is_champion and conclusion == "reject":
            facts["still champion"] = (
                "this version is in use: replace it with kyc-ml rollback or kyc-ml withdraw"
            )
        if result.replaced:
            facts["replaces"] = result.replaced
        facts |= {
            f"finding {each.id}": f"{each.owner}, until {each.due}"
            for each in result.sign_off.findings
        }
        facts |= {f"condition {n}": text for n, text in enumerate(result.sign_off.conditions, 1)}
        terminal.summary(
            "signed off", {**facts, "written to": result.path, "receipt": result.receipt}
        )


@app.command()
def report(
    report: Path,
    *,
    lang: Lang = "en",
    out: Path | None = None,
    previous: Path | None = None,
    log: Log = AUDIT_LOG,
) -> None:
    """Write the page of a validation again."""
    with job(locals(), reads=["report", "--previous"]) as terminal:
        from kyc_ml.validation import run_report

        result = run_report(report=report, language=lang, out=out, previous=previous, log=log)
        terminal.summary(
            "written",
            {
                "page": result.path,
                "size": f"{result.size / 1e6:.1f} MB",
                "compared with": result.previous or "nothing: no earlier report",
            },
        )


@app.command()
def promote(
    model: str,
    *,
    report: RequiredPath,
    approver: Required,
    reason: Required,
    condition: list[str] | None = None,
    despite: str = "",
    policy: Path | None = None,
    log: Log = AUDIT_LOG,
) -> None:
    """Make a validated version champion."""
    policy = policy or find_shipped(VALIDATION)
    given = locals()
    with job(given, reads=["--report", "--policy"]) as terminal:
        from kyc_ml.validation import run_promote

        result = fill(run_promote, given, conditions=condition or ())
        facts: dict[str, object] = {"version": _version(result), **_refusals(result)}
        facts |= {f"condition {n}": text for n, text in enumerate(result.conditions, 1)}
        facts["validations of this bundle"] = ", ".join(result.verdicts) or "none"
        facts["champion before"] = f"v{result.previous}" if result.previous else "none"
        if not result.refusals:
            facts["default gates left out"] = result.left_out
            facts["rules relaxed by the policy"] = ", ".join(result.relaxed) or "none"
            facts["accounts"] = ", ".join(result.accounts)
        facts["receipt"] = result.receipt
        terminal.summary("REFUSED" if result.refusals else "champion", facts)
        terminal.outcome.fail_if(result.refusals)


@app.command("approve-policy")
def approve_policy(
    policy: Path,
    *,
    approver: Required,
    reason: Required,
    log: Log = AUDIT_LOG,
) -> None:
    """Approve a validation policy that asks less than the default."""
    with job(locals(), reads=["policy"]) as terminal:
        from kyc_ml.validation import run_approve_policy

        done = run_approve_policy(policy=policy, approver=approver, reason=reason, log=log)
        facts: dict[str, object] = {"policy": done.policy.label}
        facts |= {f"left out {n}": text for n, text in enumerate(done.policy.left_out, 1)}
        weaker = (*done.policy.weaker, *done.policy.relaxed)
        facts |= {f"weaker setting {n}": text for n, text in enumerate(weaker, 1)}
        terminal.summary("policy approved", {**facts, "receipt": done.receipt})


@app.command()
def rollback(
    model: str,
    *,
    approver: Required,
    reason: Required,
    log: Log = AUDIT_LOG,
) -> None:
    """Roll back to the previous champion."""
    with job(locals()) as terminal:
        from kyc_ml.validation import run_rollback

        result = run_rollback(model=model, approver=approver, reason=reason, log=log)
        done = {"champion": _version(result), "withdrawn": f"v{result.previous}"}
        _show_change(terminal, result, title="rolled back", done=done)


@app.command()
def withdraw(
    model: str,
    *,
    approver: Required,
    reason: Required,
    log: Log = AUDIT_LOG,
) -> None:
    """Remove the champion alias."""
    with job(locals()) as terminal:
        from kyc_ml.validation import run_withdraw

        result = run_withdraw(model=model, approver=approver, reason=reason, log=log)
        done = {"champion no longer": _version(result)}
        _show_change(terminal, result, title="withdrawn", done=done)


@app.command()
def findings(*, log: Log = AUDIT_LOG) -> None:
    """List findings with owner and due date, and conditions of use."""
    with job(locals()) as terminal:
        from kyc_ml.registry import run_findings

        found = run_findings(log=log)
        if found.findings:
            terminal.show("findings", found.findings_frame())
        terminal.summary("findings", found.facts())
        terminal.outcome.fail_if(found.overdue)


@audit_log.command()
def verify(
    *,
    receipt: list[str] | None = None,
    offline: Annotated[bool, typer.Option("--offline")] = False,
    log: Log = AUDIT_LOG,
) -> None:
    """Find edits, insertions, removals, reordering and truncation."""
    with job(locals()) as terminal:
        from kyc_ml.registry import run_audit_log_verify

        result = run_audit_log_verify(log=log, receipts=receipt or (), offline=offline)
        facts: dict[str, object] = {
            "log": result.path,
            "entries": result.entries,
            "compared with": f"{result.anchors} anchor(s)"
            + ("" if result.anchors else ": truncation cannot be found"),
        }
        facts |= {f"fault {n}": text for n, text in enumerate(result.faults, 1)}
        if not result.faults:
            facts["receipt"] = result.receipt or "none: the log is empty"
        terminal.summary("NOT INTACT" if result.faults else "intact", facts)
        terminal.outcome.fail_if(result.faults)


@audit_log.command()
def show(
    sequence: Annotated[int | None, typer.Argument(min=1)] = None,
    *,
    model: str | None = None,
    kind: Literal[
        "verdict",
        "sign_off",
        "promotion",
        "refusal",
        "rollback",
        "withdrawal",
        "policy_approval",
        "unpromoted_use",
        "incident",
    ]
    | None = None,
    log: Log = AUDIT_LOG,
) -> None:
    """List the entries of an intact log, or show one in full."""
    with job(locals()) as terminal:
        import json

        import pandas as pd

        from kyc_ml.cli.terminal.wrapping import show_controls
        from kyc_ml.errors import ConfigError
        from kyc_ml.registry import describe, run_audit_log_show

        entries = run_audit_log_show(log=log, model=model, kind=kind)
        if sequence is not None:
            entries = tuple(each for each in entries if each.sequence == sequence)
        if not entries:
            msg = f"audit log {log} has no such entry: leave out the number, --model or --kind"
            raise ConfigError(msg)
        if sequence is not None:
            entry = json.dumps(entries[0].to_dict(), indent=1, ensure_ascii=False)
            typer.echo(show_controls(entry))
            return
        rows = [
            {
                "#": each.sequence,
                "time": each.time,
                "model": f"{each.model} v{each.version}" if each.version else each.model,
                "what": describe(each),
                "by": each.actor,
                "account": each.account,
            }
            for each in entries
        ]
        terminal.show(f"audit log {log}", pd.DataFrame(rows))


def _owner(text: str) -> tuple[str, str]:
    """Read OWNER,DUE; an owner may hold no comma."""
    owner, _, due = text.partition(",")
    return owner.strip(), due.strip()


def _version(result: PromotionResult) -> str:
    return f"{result.model} v{result.version}"


def _refusals(result: PromotionResult) -> dict[str, str]:
    return {f"refused {n}": text for n, text in enumerate(result.refusals, 1)}


def _show_change(
    terminal: Terminal, result: PromotionResult, *, title: str, done: dict[str, str]
) -> None:
    """Show that the champion changed as asked, or why it stays."""
    refused = {"champion": _version(result), **_refusals(result)}
    facts = refused if result.refusals else done
    terminal.summary("REFUSED" if result.refusals else title, {**facts, "receipt": result.receipt})
    terminal.outcome.fail_if(result.refusals)
