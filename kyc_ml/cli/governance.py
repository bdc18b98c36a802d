"""Commands on decisions: sign-off, promote, rollback, withdraw, findings, audit-log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kyc_ml.cli.options import GATE_FAILED, VALIDATION, Lang, PolicyOption, example, job
from kyc_ml.cli.shipped import find_shipped

if TYPE_CHECKING:
    from kyc_ml.cli.terminal.reporters import Terminal
    from kyc_ml.validation import PromotionResult
from kyc_ml.cli.usage import HelpfulGroup

app = typer.Typer()
audit_log = typer.Typer(
    cls=HelpfulGroup,
    help="Verify and show the record of verdicts, sign-offs, promotions and rollbacks.",
    epilog=example("kyc-ml audit-log verify", after="the example of validate"),
    no_args_is_help=True,
)
app.add_typer(audit_log, name="audit-log")

Log = Annotated[
    Path,
    typer.Option(
        envvar="KYC_ML_AUDIT_LOG",
        help="The audit log (JSON lines); one for each MLflow store.",
    ),
]
Report = Annotated[Path, typer.Argument(help="report.json of kyc-ml validate.")]
Approver = Annotated[str, typer.Option(help="Who approves it: a name, not checked against any.")]
Reason = Annotated[str, typer.Option(help="Why.")]
LOG = Path("audit.jsonl")


@app.command(
    "sign-off",
    epilog=example(
        "kyc-ml sign-off build/validated/report.json --validator lin.hua "
        "--conclusion approve_with_conditions "
        '--condition "reviewed again after one quarter" --owner wang.wei',
        after="the example of validate",
    ),
)
def sign_off(
    report: Report,
    *,
    validator: Annotated[str, typer.Option(help="Who concludes; not who trained the model.")],
    conclusion: Annotated[
        Literal["approve", "approve_with_conditions", "reject"],
        typer.Option(help="What the validator concludes."),
    ],
    finding: Annotated[
        list[str] | None,
        typer.Option(
            help="ID=OWNER,DUE; DUE as YYYY-MM-DD, left out it is the latest the policy allows. "
            "Give it again for another."
        ),
    ] = None,
    owner: Annotated[
        str,
        typer.Option(help="OWNER or OWNER,DUE: who takes every finding not given by --finding."),
    ] = "",
    condition: Annotated[
        list[str] | None, typer.Option(help="What use is subject to; may be repeated.")
    ] = None,
    comment: Annotated[
        str, typer.Option(help="Limits of the validation; why it is rejected.")
    ] = "",
    materiality: Annotated[
        str, typer.Option(help="How much hangs on the model: high, medium or low, and why.")
    ] = "",
    log: Log = LOG,
) -> None:
    """Conclude on a report, with an owner and a due date for each finding."""
    with job(reads={"report": report}) as terminal:
        from kyc_ml.validation import run_sign_off

        result = run_sign_off(
            report=report,
            validator=validator,
            conclusion=conclusion,
            owners=_owners(finding or []),
            owner_of_others=_owner(owner) if owner else None,
            conditions=condition or (),
            comment=comment,
            materiality=materiality,
            log=log,
        )
        facts: dict[str, object] = {"conclusion": result.sign_off.conclusion}
        if result.is_champion and conclusion == "reject":
            facts["still champion"] = (
                "this version is in use: kyc-ml rollback or kyc-ml withdraw takes it down"
            )
        if result.replaced:
            facts["takes the place of"] = result.replaced
        facts |= {
            f"finding {each.id}": f"{each.owner}, until {each.due}"
            for each in result.sign_off.findings
        }
        facts |= {f"condition {n}": text for n, text in enumerate(result.sign_off.conditions, 1)}
        terminal.summary(
            "signed off", {**facts, "written to": result.path, "receipt": result.receipt}
        )


@app.command(
    epilog=example(
        "kyc-ml report build/validated/report.json --lang zh --out build/report.zh.html",
        after="the example of validate",
    )
)
def report(
    report: Report,
    *,
    lang: Lang = "en",
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write; default: report.html beside it.")
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option(help="report.json to compare with; default: the champion's, or the last."),
    ] = None,
    log: Log = LOG,
) -> None:
    """Write the page of a validation again, with its sign-off, in English or Chinese."""
    with job(reads={"report": report, "--previous": previous}) as terminal:
        from kyc_ml.validation import run_report

        result = run_report(
            report=report, language=lang, out=out, previous=previous,
            log=log,
        )  # fmt: skip
        terminal.summary(
            "written",
            {
                "page": result.path,
                "size": f"{result.size / 1e6:.1f} MB",
                "compared with": result.previous or "nothing: no earlier report",
            },
        )


@app.command(
    epilog=example(
        "kyc-ml promote demo-risk@1 --report build/validated/report.json "
        '--approver zhao.min --reason "first model"',
        after="the example of sign-off",
    )
)
def promote(
    model: Annotated[str, typer.Argument(help="NAME@VERSION, or models:/NAME/VERSION.")],
    *,
    report: Annotated[Path, typer.Option(help="report.json of its validation.")],
    approver: Approver,
    reason: Reason,
    condition: Annotated[
        list[str] | None,
        typer.Option(help="What use is subject to, beside the sign-off's; may be repeated."),
    ] = None,
    despite: Annotated[
        str, typer.Option(help="Why, although the same bundle failed or was rejected before.")
    ] = "",
    policy: PolicyOption = None,
    log: Log = LOG,
) -> None:
    """Make a validated version champion; exit code 1 with every reason if it may not be."""
    policy = policy or find_shipped(VALIDATION)
    with job(reads={"--report": report, "--policy": policy}) as terminal:
        from kyc_ml.validation import run_promote

        result = run_promote(
            model=model,
            report=report,
            policy=policy,
            approver=approver,
            reason=reason,
            conditions=condition or (),
            log=log,
            despite=despite,
        )
        facts: dict[str, object] = {"version": _version(result), **_refusals(result)}
        facts |= {f"condition {n}": text for n, text in enumerate(result.conditions, 1)}
        facts["validations of this bundle"] = ", ".join(result.verdicts) or "none"
        facts["champion before"] = f"v{result.previous}" if result.previous else "none"
        facts["receipt"] = result.receipt
        terminal.summary("REFUSED" if result.refusals else "champion", facts)
    if result.refusals:
        raise typer.Exit(code=GATE_FAILED)


@app.command(
    epilog=example(
        'kyc-ml rollback demo-risk --approver zhao.min --reason "alerts doubled"',
        after="two promotions",
    )
)
def rollback(
    model: Annotated[str, typer.Argument(help="Name of the registered model.")],
    *,
    approver: Approver,
    reason: Reason,
    log: Log = LOG,
) -> None:
    """Make the champion before the last promotion champion again."""
    with job() as terminal:
        from kyc_ml.validation import run_rollback

        result = run_rollback(model=model, approver=approver, reason=reason, log=log)
        done = {"champion again": _version(result), "taken back": f"v{result.previous}"}
        _tell_change(terminal, result, title="rolled back", done=done)
    if result.refusals:
        raise typer.Exit(code=GATE_FAILED)


@app.command(
    epilog=example(
        'kyc-ml withdraw demo-risk --approver zhao.min --reason "alerts doubled"',
        after="the example of promote",
    )
)
def withdraw(
    model: Annotated[str, typer.Argument(help="Name of the registered model.")],
    *,
    approver: Approver,
    reason: Reason,
    log: Log = LOG,
) -> None:
    """Take the champion down with none in its place: nights that ask for it are refused."""
    with job() as terminal:
        from kyc_ml.validation import run_withdraw

        result = run_withdraw(model=model, approver=approver, reason=reason, log=log)
        done = {"champion no longer": _version(result)}
        _tell_change(terminal, result, title="withdrawn", done=done)
    if result.refusals:
        raise typer.Exit(code=GATE_FAILED)


@app.command(epilog=example("kyc-ml findings", after="the example of sign-off"))
def findings(*, log: Log = LOG) -> None:
    """List findings with owner and due date, and conditions of use; exit code 1 if one is overdue.

    A finding of the champion is closed when a later complete validation of that version no
    longer has it; of other versions, when one of any version of the model no longer has it.
    """
    with job() as terminal:
        from kyc_ml.registry import run_findings

        found = run_findings(log=log)
        if found.findings:
            terminal.show("findings", found.findings_frame())
        terminal.summary("findings", found.facts())
    if found.overdue:
        raise typer.Exit(code=GATE_FAILED)


@audit_log.command(
    epilog=example(
        "kyc-ml audit-log verify --receipt build/validated/signoff.json",
        after="the example of sign-off",
    )
)
def verify(
    *,
    receipt: Annotated[
        list[str] | None,
        typer.Option(help="COUNT:HASH as printed, or a signoff.json; may be repeated."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no registry; a cut end needs a receipt then.")
    ] = False,
    log: Log = LOG,
) -> None:
    """Find edits, insertions, removals, reordering and a cut end; exit code 1 if any."""
    with job() as terminal:
        from kyc_ml.registry import run_audit_log_verify

        result = run_audit_log_verify(log=log, receipts=receipt or (), offline=offline)
        facts: dict[str, object] = {
            "log": result.path,
            "entries": result.entries,
            "held against": f"{result.anchors} anchor(s)"
            + ("" if result.anchors else ": a cut end cannot be seen"),
        }
        facts |= {f"fault {n}": text for n, text in enumerate(result.faults, 1)}
        if not result.faults:
            facts["receipt"] = result.receipt or "none: the log is empty"
        terminal.summary("NOT SOUND" if result.faults else "sound", facts)
    if result.faults:
        raise typer.Exit(code=GATE_FAILED)


@audit_log.command(
    epilog=example("kyc-ml audit-log show --model demo-risk", after="the example of validate")
)
def show(
    sequence: Annotated[int | None, typer.Argument(min=1, help="Show this entry in full.")] = None,
    *,
    model: Annotated[str | None, typer.Option(help="Of this model only.")] = None,
    kind: Annotated[
        Literal["verdict", "sign_off", "promotion", "refusal", "rollback", "withdrawal"] | None,
        typer.Option(help="Of this kind only."),
    ] = None,
    log: Log = LOG,
) -> None:
    """List the entries of a sound log, or show one in full."""
    with job() as terminal:
        import json

        import pandas as pd

        from kyc_ml.errors import ConfigError
        from kyc_ml.registry import describe, run_audit_log_show

        entries = run_audit_log_show(log=log, model=model, kind=kind)
        if sequence is not None:
            entries = tuple(each for each in entries if each.sequence == sequence)
        if not entries:
            msg = f"audit log {log} has no such entry: leave out number, --model and --kind"
            raise ConfigError(msg)
        if sequence is not None:
            typer.echo(json.dumps(entries[0].to_dict(), indent=1, ensure_ascii=False))
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


def _owners(findings: list[str]) -> dict[str, tuple[str, str]]:
    """Read ID=OWNER,DUE; an owner may hold no comma."""
    found = {}
    for text in findings:
        name, _, rest = text.partition("=")
        found[name.strip()] = _owner(rest)
    return found


def _owner(text: str) -> tuple[str, str]:
    """Read OWNER,DUE."""
    owner, _, due = text.partition(",")
    return owner.strip(), due.strip()


def _version(result: PromotionResult) -> str:
    return f"{result.model} v{result.version}"


def _refusals(result: PromotionResult) -> dict[str, str]:
    return {f"refused {n}": text for n, text in enumerate(result.refusals, 1)}


def _tell_change(
    terminal: Terminal, result: PromotionResult, *, title: str, done: dict[str, str]
) -> None:
    """Say that the champion changed as asked, or why it stays."""
    refused = {"champion": _version(result), **_refusals(result)}
    facts = refused if result.refusals else done
    terminal.summary("REFUSED" if result.refusals else title, {**facts, "receipt": result.receipt})
