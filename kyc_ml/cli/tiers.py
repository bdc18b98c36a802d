"""Commands on tier policies: fit, show, check, moves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kyc_ml.cli.options import (
    GATE_FAILED,
    AsOfOption,
    Data,
    Quarantine,
    Quiet,
    Source,
    Time,
    example,
    job,
    time_option,
)
from kyc_ml.cli.usage import HelpfulGroup

app = typer.Typer()
tiers = typer.Typer(
    cls=HelpfulGroup,
    help="Propose, show and check tier policies, and see who moved.",
    epilog=example("kyc-ml tiers show configs/tiers/risk.yaml"),
    no_args_is_help=True,
)
app.add_typer(tiers, name="tiers")

Policy = Annotated[
    Path, typer.Argument(help="Tier policy (YAML), such as configs/tiers/risk.yaml.")
]


@tiers.command(
    epilog=example(
        "kyc-ml tiers fit models:/demo-risk@challenger "
        "--source configs/sources/synthetic.yaml --data build/demo/bank "
        "--out build/proposal.yaml",
        after="make demo",
    )
)
def fit(
    *,
    model: Annotated[
        str,
        typer.Argument(help="models:/NAME@ALIAS, models:/NAME/VERSION, or a bundle's folder."),
    ],
    source: Source,
    data: Data,
    as_of: AsOfOption = None,
    since: Annotated[
        Time | None,
        time_option(
            "--since",
            help="First decision to fit on; default: the first the model has not seen, or all rows "
            "out of fold where it was cross-validated by customer.",
        ),
    ] = None,
    learned_rows: Annotated[
        bool,
        typer.Option(
            "--learned-rows",
            help="Let --since be earlier: fit on rows that the model learned from; the proposal "
            "says so.",
        ),
    ] = False,
    policy: Annotated[
        Path | None, typer.Option(help="Policy in force (YAML); default: the model's own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="YAML file to write the proposed policy to.")
    ] = None,
    quarantine: Quarantine = None,
    quiet: Quiet = False,
) -> None:
    """Propose cut-offs from mature rows by the policy's own targets; it changes nothing."""
    with job(
        quiet=quiet,
        reads={"--source": source, "--data": data, "--policy": policy},
        dates={"--as-of": as_of, "--since": since},
    ) as terminal:
        from kyc_ml.decision import proposal_table
        from kyc_ml.display import say_count
        from kyc_ml.training import TiersFitRequest, run_tiers_fit

        request = TiersFitRequest(
            model=model,
            source=source,
            data=data,
            since=since,
            as_of=as_of,
            policy=policy,
            out=out,
            quarantine=quarantine,
            learned_rows=learned_rows,
        )
        result = run_tiers_fit(request, reporter=terminal)
        terminal.show("proposed cut-offs", proposal_table(result.proposal))
        for note in result.proposal.notes:
            terminal.info(note)
        terminal.info(result.diff or "no difference from the policy in force")
        terminal.summary(
            "proposed; nothing was changed",
            {
                "in force": result.in_force.label,
                "model": result.model,
                **result.findings(),
                "rows": f"{result.rows:,}, {say_count(result.positives, 'positive')}, "
                f"{result.left_out:,} left out",
                "decided": f"{result.since:%Y-%m-%d} to before {result.until:%Y-%m-%d}",
                "written to": result.path or "nowhere: name --out to keep it",
            },
        )


@tiers.command(epilog=example("kyc-ml tiers show configs/tiers/risk.yaml"))
def show(policy: Policy) -> None:
    """Show a policy: cut-offs, what follows from each tier, overrides, and how it is fitted."""
    with job(reads={"policy": policy}) as terminal:
        from kyc_ml.decision import policy_tables, run_tiers_check

        read = run_tiers_check(policy, on=None)
        for title, table in policy_tables(read.policy).items():
            terminal.show(title, table)
        terminal.summary(
            read.policy.label,
            {
                "author": read.policy.author or "not named",
                "approver": read.policy.approver or "none: a proposal",
                "valid from": read.policy.valid_from or "not said",
                "disclosure": read.policy.disclosure,
                "kept": f"{read.policy.retention.years} years from the "
                f"{read.policy.retention.counted_from}",
                "fitted by": read.policy.fit.whole.method if read.policy.fit else "nothing",
                "SHA-256": read.digest,
            },
        )


@tiers.command(epilog=example("kyc-ml tiers check configs/tiers/risk.yaml --on 2026-11-23"))
def check(
    policy: Policy,
    *,
    on: Annotated[
        Time | None, time_option("--on", help="Day (ISO date) on which it is to be used.")
    ] = None,
) -> None:
    """Check a policy; exit code 1 if it is lawful but not approved or not in force then."""
    with job(reads={"policy": policy}, dates={"--on": on}) as terminal:
        from kyc_ml.decision import run_tiers_check

        read = run_tiers_check(policy, on=on)
        facts = {"policy": read.policy.label, "SHA-256": read.digest}
        facts |= {f"finding {n}": text for n, text in enumerate(read.findings, start=1)}
        terminal.summary("lawful, with findings" if read.findings else "lawful", facts)
    if read.findings:
        raise typer.Exit(code=GATE_FAILED)


@tiers.command(
    epilog=example(
        "kyc-ml tiers moves build/scores_before build/demo/scores_risk "
        "--policy configs/tiers/risk.yaml --out build/moves.parquet",
        after="the example of score",
    )
)
def moves(
    before: Annotated[
        Path, typer.Argument(help="Earlier date: a folder of `score`, or one Parquet file of it.")
    ],
    after: Annotated[
        Path, typer.Argument(help="Later date, of the same model: a folder or a file.")
    ],
    *,
    policy: Annotated[Path, typer.Option(help="Policy (YAML), any version, that graded both.")],
    out: Annotated[
        Path | None, typer.Option(help="Parquet file for who moved and why; internal only.")
    ] = None,
) -> None:
    """Compare two scorings: migration matrix, matrix weighted bandwidth, moves by cause."""
    with job(reads={"before": before, "after": after, "--policy": policy}) as terminal:
        from kyc_ml.decision import migration_tables
        from kyc_ml.display import say_count
        from kyc_ml.scoring import run_tiers_moves

        found = run_tiers_moves(before=before, after=after, policy=policy, out=out)
        for title, table in migration_tables(found).items():
            terminal.show(title, table)
        terminal.summary(
            "moves",
            {
                "moved": f"{len(found.moves):,} of {say_count(found.customers, 'customer')}",
                "models": f"{found.model_before} before, {found.model_after} after"
                if found.model_before != found.model_after
                else found.model_after,
                "matrix weighted bandwidth": f"{found.upward:.4f} to higher risk, "
                f"{found.downward:.4f} to lower risk",
                "scored once only": f"{found.only_before:,} before, {found.only_after:,} after",
                "written to": out or "nowhere: name --out to keep who moved",
            },
        )
