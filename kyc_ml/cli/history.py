"""Commands on a history store: append, status, verify, compact."""

from pathlib import Path
from typing import Annotated

import typer

from kyc_ml.cli.options import Quiet, RequiredPath, fill, job
from kyc_ml.cli.usage import Commands, HelpfulGroup

app = Commands()
history = Commands(cls=HelpfulGroup, no_args_is_help=True)
app.add_typer(history, name="history")

Models = Annotated[list[str] | None, typer.Option("--model")]
Configs = Annotated[list[Path] | None, typer.Option("--config")]


@history.command()
def append(
    *,
    history: RequiredPath,
    source: RequiredPath,
    data: RequiredPath,
    model: Models = None,
    config: Configs = None,
    quiet: Quiet = False,
) -> None:
    """Append the rows of a source."""
    given = locals()
    with job(given, models=model or (), reads=["--source", "--data", "--config"]) as terminal:
        import pandas as pd

        from kyc_ml.scoring import run_history_append

        done = fill(run_history_append, given, reporter=terminal)
        counts = {name: getattr(done, name) for name in ("read", "appended", "repeated", "refused")}
        rows = [{"table": t, **{n: c[t] for n, c in counts.items()}} for t in done.read]
        terminal.show("appended rows", pd.DataFrame(rows))
        total = {name: f"{sum(each.values()):,}" for name, each in counts.items()}
        terminal.summary("history store", {"folder": history, **total})


@history.command()
def status(
    *, history: RequiredPath, as_json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """Show what a store holds."""
    with job(locals(), reads=["--history"]) as terminal:
        from dataclasses import asdict

        import pandas as pd

        from kyc_ml.history import HistoryStore
        from kyc_ml.storage import dump_json

        with HistoryStore.open(history) as opened:
            found = opened.status()
        plain = asdict(found)
        if as_json:
            typer.echo(dump_json(plain), nl=False)
            return
        for title in ("tables", "partitions"):
            rows = [{title[:-1]: name, **each} for name, each in plain[title].items()]
            if rows:
                terminal.show(title, pd.DataFrame(rows))
        facts = {name: value for name, value in plain.items() if name in _FACTS}
        about = {name: found.about[name] for name in ("timezone", "base_currency")}
        sets = [digest[:12] for digest in found.about["features"]]
        terminal.summary("history store", {**facts, **about, "features": ", ".join(sets)})


_FACTS = ("folder", "format", "appends", "last_append", "pending", "bytes", "digest")


@history.command()
def verify(*, history: RequiredPath) -> None:
    """Read all of a store, and compare it with what was recorded."""
    with job(locals(), reads=["--history"]) as terminal:
        from kyc_ml.errors import Faults, SourceError
        from kyc_ml.history import HistoryStore

        with HistoryStore.open(history) as opened:
            faults = Faults(f"history store {history}", SourceError).extend(opened.verify())
            faults.raise_if_any()
            terminal.summary("verified", {"folder": history, "digest": opened.digest()})


@history.command()
def compact(
    *,
    history: RequiredPath,
    model: Models = None,
    config: Configs = None,
    source: Path | None = None,
    older_than_days: Annotated[int | None, typer.Option(min=1)] = None,
    keep_days: Annotated[int, typer.Option(min=0)] = 31,
    quiet: Quiet = False,
) -> None:
    """Write a store again, smaller or for other features."""
    given = locals()
    reads = ["--history", "--config", "--source"]
    with job(given, models=model or (), reads=reads) as terminal:
        from kyc_ml.history import HistoryStore
        from kyc_ml.scoring import run_history_compact

        fill(run_history_compact, given, reporter=terminal)
        with HistoryStore.open(history) as opened:
            size = opened.status().bytes
        terminal.summary("compacted", {"folder": history, "bytes": f"{size:,}"})
