"""Commands on many nights together: look at them, and record those of before."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from kyc_ml.cli.options import AUDIT_LOG, AsOfOption, AuditLogOption, LogOption, Quiet, fill, job
from kyc_ml.cli.usage import Commands, HelpfulGroup

_DEFAULT = "show"


class _Group(HelpfulGroup):
    """`kyc-ml monitor OUT` is `kyc-ml monitor show OUT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  as typer has it
        """Put the default command in front of arguments that name none."""
        if args and args[0] not in {*self.commands, "--help"}:
            args = [_DEFAULT, *args]
        return list(super().parse_args(ctx, args))


app = Commands()
monitor = Commands(cls=_Group, no_args_is_help=True)
app.add_typer(monitor, name="monitor")


@monitor.command(_DEFAULT)
def show(
    out: Path,
    *,
    source: Path | None = None,
    data: Path | None = None,
    as_of: AsOfOption = None,
    model: list[str] | None = None,
    to: Path | None = None,
    alerts: Path | None = None,
    playbooks: Path | None = None,
    due: Path | None = None,
    fail_on: Literal["critical", "warning", "never"] = "critical",
    no_mlflow: Annotated[bool, typer.Option("--no-mlflow")] = False,
    audit_log: AuditLogOption = AUDIT_LOG,
    log_format: LogOption = "text",
    quiet: Quiet = False,
) -> None:
    """Look at all nights of a folder together."""
    given = locals()
    reads = ["OUT", "--source", "--data", "--alerts", "--playbooks"]
    with job(given, reads=reads, models=model or (), name="monitor") as terminal:
        from kyc_ml.cli.terminal.results import show_monitor
        from kyc_ml.errors import ConfigError
        from kyc_ml.monitoring import MonitorRequest, run_monitor

        if as_of is not None and source is None:
            raise ConfigError("--as-of is a time of the outcomes: give --source and --data too")
        request = fill(MonitorRequest, given, models=tuple(model or ()), log_mlflow=not no_mlflow)
        result = run_monitor(request, reporter=terminal)
        show_monitor(terminal, result)
        terminal.outcome.code = result.code


@monitor.command()
def record(out: Path, *, zone: str | None = None, quiet: Quiet = False) -> None:
    """Record the nights of before."""
    with job(locals(), reads=["OUT"], name="monitor") as terminal:
        from kyc_ml.monitoring import record_folder

        added = record_folder(out, zone=zone)
        terminal.summary("recorded", {"nights": out, "added": added})
