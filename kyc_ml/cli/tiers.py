"""Commands on tier policies: fit, show, check, moves."""

from pathlib import Path
from typing import Annotated

import typer

from kyc_ml.cli import options
from kyc_ml.cli.usage import Commands, HelpfulGroup

app = Commands()
tiers = Commands(cls=HelpfulGroup, no_args_is_help=True)
app.add_typer(tiers, name="tiers")


@tiers.command()
def fit(
    model: str,
    *,
    source: options.RequiredPath,
    data: options.Data = None,
    history: options.History = None,
    as_of: options.AsOfOption = None,
    since: options.Since = None,
    learned_rows: Annotated[bool, typer.Option("--learned-rows")] = False,
    policy: Path | None = None,
    out: Path | None = None,
    quarantine: Path | None = None,
    quiet: options.Quiet = False,
) -> None:
    """Propose cut-offs from mature rows."""
    given = locals()
    with options.job(given, reads=["--source", "--data", "--history", "--policy"]) as terminal:
        # imported here, so that `--help` does not wait for it
        from kyc_ml.decision import moves_table, proposal_table
        from kyc_ml.display import say_count
        from kyc_ml.training import TiersFitRequest, run_tiers_fit

        result = run_tiers_fit(options.fill(TiersFitRequest, given), reporter=terminal)
        terminal.show("proposed cut-offs", proposal_table(result.proposal))
        terminal.show(
            "rows by tier in force (lines) and proposed tier (columns)",
            moves_table(result.proposal),
        )
        for note in result.proposal.notes:
            terminal.info(note)
        for tier in result.proposal.unreached:
            terminal.warning(f"no row would be in tier {tier}")
        terminal.summary(
            "proposed; nothing was changed",
            {
                "in force": result.in_force.label,
                "model": result.model,
                **result.findings(),
                "rows": f"{result.rows:,}, {say_count(result.positives, 'positive')}, "
                f"{result.left_out:,} left out",
                "decided": f"{result.since:%Y-%m-%d} to before {result.until:%Y-%m-%d}",
                "written to": result.path or "not written: keep it with --out",
            },
        )


@tiers.command()
def show(policy: Path) -> None:
    """Show a policy as tables."""
    with options.job(locals(), reads=["policy"]) as terminal:
        from kyc_ml.decision import policy_tables, run_tiers_check

        read = run_tiers_check(policy, on=None)
        for title, table in policy_tables(read.policy).items():
            terminal.show(title, table)
        terminal.summary(
            read.policy.label,
            {
                "author": read.policy.author or "not named",
                "approver": read.policy.approver or "none: a proposal",
                "valid from": read.policy.valid_from or "not given",
                "disclosure": read.policy.disclosure,
                "kept": f"{read.policy.retention.years} years from the "
                f"{read.policy.retention.counted_from}",
                "fitted by": read.policy.fit.whole.method if read.policy.fit else "nothing",
                "SHA-256": read.digest,
            },
        )


@tiers.command()
def check(policy: Path, *, on: Annotated[str | None, options.time_option("--on")] = None) -> None:
    """Check that a policy is approved and in force."""
    with options.job(locals(), reads=["policy"]) as terminal:
        from kyc_ml.config import parse_time
        from kyc_ml.decision import run_tiers_check

        read = run_tiers_check(policy, on=parse_time(on, name="--on"))  # a day, whatever the zone
        facts = {"policy": read.policy.label, "SHA-256": read.digest}
        facts |= {f"finding {n}": text for n, text in enumerate(read.findings, start=1)}
        terminal.summary("valid, with findings" if read.findings else "valid", facts)
        terminal.outcome.fail_if(read.findings)


@tiers.command()
def moves(
    before: Path, after: Path, *, policy: options.RequiredPath, out: Path | None = None
) -> None:
    """Compare the tiers of two scorings."""
    with options.job(locals(), reads=["before", "after", "--policy"]) as terminal:
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
                "in one scoring only": f"{found.only_before:,} before, {found.only_after:,} after",
                "written to": out or "not written: keep the moved customers with --out",
            },
        )
