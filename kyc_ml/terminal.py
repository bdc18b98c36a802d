"""What a person sees of a job in a terminal; plain lines where there is none."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import typer
from pandas.api.typing import NaTType
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from kyc_ml.features.spec import FeatureSpec
    from kyc_ml.jobs.auditing import AuditResult
    from kyc_ml.jobs.demo import DemoResult
    from kyc_ml.jobs.explaining import Explained, Told
    from kyc_ml.jobs.reproducing import ReproductionResult
    from kyc_ml.jobs.scoring import ScoringResult
    from kyc_ml.jobs.training import TrainingResult
    from kyc_ml.jobs.tuning import TuningResult

_SHOWN = ("auc", "average_precision", "recall_at_5_percent_fpr", "brier", "calibration_error")
_WIDTH_WITHOUT_TERMINAL = 140
_BAR = 24
_WARNINGS = ("warning", "FALLBACK", "drift")
"""How notes begin that somebody should look at."""


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Write the rate, once there is one."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


class Terminal:
    """A watch that draws progress on standard error and results on standard output.

    Without a terminal, progress is one plain line when a stage ends.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
        self._out = Console(width=width, highlight=False, markup=False, emoji=False)
        self._err = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._err,
            disable=quiet or not self._err.is_terminal,
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> Self:
        """Begin to show progress."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing progress."""
        self._progress.stop()

    def step(self, stage: str, done: int, total: int) -> None:
        """Move a stage's bar; a finished bar makes room for the next of its name."""
        if self._quiet:
            return
        if self._progress.disable:
            if done == total:
                self._err.print(f"{stage}: done ({total})")
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)  # type: ignore[arg-type]
        if done == total:
            del self._tasks[stage]

    def failed(self, message: str) -> None:
        """Write why a job ended without its result."""
        typer.echo(f"error: {message}", err=True)

    def crashed(self, trace: str) -> None:
        """Write the traceback of a defect."""
        typer.echo(f"unexpected error, please report it:\n{trace}", err=True)

    def stopped(self) -> None:
        """Write that a person stopped the job."""
        typer.echo("stopped", err=True)

    def say(self, line: str) -> None:
        """Write one line to standard error."""
        if not self._quiet:
            self._err.print(line)

    def show(self, title: str, table: pd.DataFrame) -> None:
        """Draw a data frame."""
        if not self._quiet:
            self._out.print(_drawn(title, table))

    def summary(self, title: str, facts: Mapping[str, object]) -> None:
        """Draw the one summary that ends a job."""
        self._progress.stop()
        table = Table(title=title, title_justify="left", show_header=False)
        for name, value in facts.items():
            table.add_row(name, str(value))
        self._out.print(table)

    def training(self, result: TrainingResult) -> None:
        """Sum up a training run: quality beside baseline and prevalence, tiers, where it is."""
        from kyc_ml.jobs.story import quality_table

        self._progress.stop()
        part = result.trained.evidence.part.replace("_", " ")
        self._out.print(_quality(quality_table(result.trained), f"quality on {part} rows"))
        added = result.trained.added_value
        self._out.print(_drawn("what the model adds (95 % intervals)", added.table))
        self._out.print(added.sentence)
        self._out.print(_drawn("tiers on the same rows", result.tiers))
        facts: dict[str, object] = {
            "model": f"{result.registered.uri} (alias challenger)",
            "bundle": result.bundle.digest,
            "trees": result.bundle.model.n_trees,
            "features": len(result.bundle.inputs),
            "calibration": result.bundle.calibrator.method,
            **{stage: f"{spent:.1f} s" for stage, spent in result.seconds.items()},
        }
        if result.page is not None:
            facts["page"] = result.page
        facts["runs side by side"] = result.registered.runs
        self.summary("registered", facts)

    def reproduction(self, result: ReproductionResult) -> None:
        """Say whether the same bundle came out again; if not, what differs and what changed."""
        verdict = "reproduced" if result.reproduced else "NOT reproduced"
        facts: dict[str, object] = {"run": result.run_id, "bundle": result.recorded}
        if not result.reproduced:
            facts["bundle now"] = result.again
            facts["files that differ"] = "\n".join(result.differing)
            facts["versions that differ"] = "\n".join(result.changes) or "none"
        facts["was run as"] = result.command
        facts |= {stage: f"{spent:.1f} s" for stage, spent in result.seconds.items()}
        self.summary(f"{result.name}: {verdict}", facts)

    def tuning(self, result: TuningResult) -> None:
        """Sum up a study: the best trials, the test of the chosen parameters, the verdict."""
        from kyc_ml.jobs.tuning import trials_table

        self._progress.stop()
        found, objective = result.search, result.run.tuning.objective
        trials = trials_table(found).sort_values("value", ascending=result.ascending)
        shown = trials.drop(columns=list(found.best.parameters)).head(5)
        self._out.print(_drawn(f"best trials by mean {objective} over the folds", shown))
        self._out.print(
            _drawn("on the test part, which no trial saw (95 % intervals)", result.comparison.table)
        )
        self._out.print(result.comparison.sentence)
        changed = {
            name: f"{found.own.parameters[name]:.6g} -> {value:.6g}"
            for name, value in found.best.parameters.items()
        }
        pruned = sum(trial.pruned for trial in found.trials)
        self.summary(
            "tuned",
            {
                "trials": f"{len(found.trials)}, of them {found.resumed} from an earlier run, "
                f"{pruned} pruned; stopped by {found.stopped_by}",
                "objective on folds": f"{objective} {found.best.value:.4f}, own "
                f"{found.own.value:.4f}",
                **changed,
                **{stage: f"{spent:.1f} s" for stage, spent in result.seconds.items()},
                "study": result.study,
                "MLflow run": result.mlflow_run,
                "written to": f"{result.written} (model: !include {result.written.name})",
            },
        )

    def scoring(self, result: ScoringResult) -> None:
        """Sum up a scoring run: tiers, counts and where the scores are."""
        self._progress.stop()
        manifest = result.manifest
        self._out.print(_drawn("tiers", result.tiers))
        facts: dict[str, object] = {
            "read": f"{result.read:,} rows",
            "quarantined": f"{result.quarantined:,} rows",
            "scored": f"{result.rows:,} observations of {manifest.customers:,} customers",
            "scored by": manifest.scored_by,
        }
        if manifest.reason:
            facts["because"] = manifest.reason
        facts |= {
            "run": manifest.run_id,
            **{stage: f"{spent:.1f} s" for stage, spent in result.seconds.items()},
            "published": f"{result.path}{' (before)' if result.was_there else ''}",
        }
        self.summary("scored", facts)

    def explanation(self, explained: Explained, *, chinese: bool) -> None:
        """Draw one observation's reasons with bars, and what would lower its tier."""
        self._progress.stop()
        rows = explained.contributions
        title = (
            f"{explained.observation_id}: probability {explained.probability:.4f}, "
            f"tier {explained.tier} {explained.tier_zh}"
        )
        table = Table(title=title, title_justify="left")
        table.add_column("reason")
        table.add_column("log-odds", justify="right")
        table.add_column("share", justify="right")
        table.add_column("", width=_BAR)
        largest = rows["contribution"].abs().max()
        for row in rows.to_dict("records"):
            contribution = row["contribution"]
            length = round(_BAR * abs(contribution) / largest) if largest else 0
            table.add_row(
                str(row["text_zh" if chinese else "text"]),
                f"{contribution:+.3f}",
                f"{row['share']:.1%}",
                Text("█" * length, style="red" if contribution > 0 else "blue"),
            )
        self._out.print(table)
        rest = explained.margin - explained.base_value - rows["contribution"].sum()
        self._out.print(
            f"base {explained.base_value:+.3f} + these + all others {rest:+.3f} = margin "
            f"{explained.margin:+.3f} (log-odds); internal only, not to be disclosed"
        )
        self._out.print(_tier_path(explained.score))
        self._out.print("what would lower the tier:")
        for english, said_zh in explained.lowering.lines:
            self._out.print(f"  - {said_zh if chinese else english}")
        self._out.print(f"  {explained.lowering.note}")
        if explained.sheet is not None:
            self._out.print(f"case sheet: {explained.sheet}")

    def told(self, told: Told, *, chinese: bool) -> None:
        """Print what a customer may be told, and nothing else."""
        self._progress.stop()
        names = ["fact_zh", "value_zh"] if chinese else ["fact", "value"]
        facts = dict(told.facts[names].itertuples(index=False, name=None))
        self.summary(f"on record for {told.observation_id}", facts or {"": "nothing to be told"})

    def features(self, specs: Sequence[FeatureSpec]) -> None:
        """Print one line a feature, family after family."""
        table = Table(title=f"{len(specs)} features", title_justify="left")
        for column in ("family", "feature", "meaning", "unit", "for"):
            table.add_column(column, overflow="fold")
        for spec in specs:
            units = ", ".join(spec.units)
            table.add_row(spec.family, spec.name, spec.description, spec.unit, units)
        self._out.print(table)

    def feature(self, spec: FeatureSpec, definition: str, columns: Mapping[str, str]) -> None:
        """Print everything there is to know of one feature."""
        direction = {1: "risk may only rise with it", -1: "risk may only fall with it", 0: "either"}
        facts = {
            "meaning": spec.description,
            "含义": spec.description_zh,
            "family": spec.family,
            "unit": spec.unit,
            "describes": ", ".join(spec.units),
            "definition": definition,
            **{f"with {name}": text for name, text in columns.items()},
            "typology": spec.typology or "none in particular",
            "direction": direction[spec.monotone],
            "source": spec.source,
        }
        self.summary(spec.name, facts)

    def audit(self, result: AuditResult) -> None:
        """Draw what each check found, the features that moved, and the verdict."""
        self._progress.stop()
        audit, labels = result.features, result.labels
        self._out.print(
            _drawn("point in time: values compared and features moved", audit.summary())
        )
        if not audit.passed:
            self._out.print(_drawn("features that moved", audit.moved))
        if not labels.alarms.empty:
            self._out.print(_drawn("features that know the label alone", labels.alarms))
        facts: dict[str, object] = {
            "decision times": ", ".join(f"{each:%Y-%m-%d %H:%M}" for each in audit.decision_times),
            "observations": f"{audit.observations:,}",
            "features": f"{audit.features['feature'].nunique():,}, left out {len(audit.left_out)}",
        }
        if labels.rows:
            best = labels.single.iloc[0]
            facts["labels"] = f"{labels.rows:,} probed, {labels.positives:,} positives"
            facts["highest single AUC"] = f"{best['auc']:.3f} ({best['feature']})"
        if labels.shuffled is not None:
            shuffled = labels.shuffled
            interval = _with_interval(shuffled.auc, shuffled.low, shuffled.high)
            facts["AUC of shuffled labels"] = f"{interval}{'' if shuffled.passed else ': NOT 0.5'}"
        if labels.not_run:
            facts["label probes not run"] = labels.not_run
        facts |= {stage: f"{spent:.1f} s" for stage, spent in result.seconds.items()}
        if result.path is not None:
            facts["written to"] = result.path
        verdict = "passed" if result.passed else "FAILED"
        self.summary(f"audit of {result.name}: {verdict}", facts)

    def demo(self, result: DemoResult) -> None:
        """Sum up the demo: counts, quality, tiers, examples, and the page."""
        self._progress.stop()
        counts = result.tables.quality.tables
        for training, _, story in result.models.values():
            self._out.print(_quality(story.figures, f"{story.title}: quality on the test period"))
            self._out.print(story.added_sentence)
            self._out.print(_drawn(f"{story.name}: tiers on the test period", training.tiers))
            for example in story.examples:
                self._out.print(
                    f"  {example.observation_id}: probability {example.probability:.4f}, tier "
                    f"{example.tier} {example.tier_zh}, outcome {example.outcome}"
                )
                for line in example.reasons:
                    self._out.print(f"    {line.contribution:+.2f}  {line.text}")
                    self._out.print(f"           {line.text_zh}")
        self.summary(
            "demo",
            {
                "rows read": f"{sum(table.read for table in counts):,}",
                "rows quarantined": f"{sum(table.quarantined for table in counts):,}",
                **{
                    f"{name} scored": f"{scoring.rows:,} -> {scoring.path}"
                    for name, (_, scoring, _) in result.models.items()
                },
                **{
                    f"{name} model": training.registered.uri
                    for name, (training, _, _) in result.models.items()
                },
                "page to open": result.page,
                **{
                    f"{name} runs side by side": training.registered.runs
                    for name, (training, _, _) in result.models.items()
                },
                "time": f"{result.seconds:.0f} s",
            },
        )


class JsonLines(Terminal):
    """A terminal that nobody watches: one JSON object a line on standard error.

    Each has time (ISO, UTC), level (info, warning, error) and event (step, note, table,
    summary, error). The last summary is printed as text too, on standard output.
    """

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def step(self, stage: str, done: int, total: int) -> None:
        """Log the end of a stage."""
        if done == total:
            self._log("info", "step", stage=stage, done=done)

    def say(self, line: str) -> None:
        """Log one line."""
        level = "warning" if line.startswith(_WARNINGS) else "info"
        self._log(level, "note", text=line)

    def show(self, title: str, table: pd.DataFrame) -> None:
        """Log a table, row by row."""
        rows = json.loads(table.to_json(orient="records", date_format="iso"))
        self._log("info", "table", title=title, rows=rows)

    def summary(self, title: str, facts: Mapping[str, object]) -> None:
        """Log the summary, and draw it."""
        self._log("info", "summary", title=title, facts={k: str(v) for k, v in facts.items()})
        super().summary(title, facts)

    def failed(self, message: str) -> None:
        """Log why a job ended without its result."""
        self._log("error", "error", text=message)

    def crashed(self, trace: str) -> None:
        """Log the traceback of a defect."""
        self._log("error", "error", text="unexpected error, please report it", traceback=trace)

    def stopped(self) -> None:
        """Log that a person stopped the job."""
        self._log("error", "error", text="stopped")

    def _log(self, level: str, event: str, **content: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": now, "level": level, "event": event, **content}
        typer.echo(json.dumps(entry, ensure_ascii=False), err=True)


def _tier_path(score: Mapping[str, Any]) -> str:
    """Say how a tier came about, from the probability alone to the overrides in force."""
    return (
        f"tier by the model {score['tier_of_model']}, with the expert rating "
        f"({score['expert_grade'] or 'none'}) {score['tier_of_score']}, with history "
        f"{score['tier_before_overrides']}, after overrides ({score['override_code'] or 'none'}) "
        f"{score['tier']}; held against {score['reason_peers']}"
        + ("; decided before the policy was valid" if score["policy_in_force"] is False else "")
    )


def _quality(figures: pd.DataFrame, title: str) -> Table:
    """Draw the figures of model, baseline and prevalence, AUC with its interval."""
    table = Table(title=title, title_justify="left")
    columns = ["who", "AUC (95 %)", "average precision", "recall at 5 % FPR"]
    for name in (*columns, "Brier", "calibration error", "observed / expected (95 %)"):
        table.add_column(name, justify="left" if name == "who" else "right")
    for row in figures.to_dict("records"):
        table.add_row(
            str(row["who"]),
            _with_interval(row["auc"], row["auc_low"], row["auc_high"]),
            *(_figure(row[name]) for name in _SHOWN[1:]),
            _with_interval(
                row["observed_over_expected"],
                row["observed_over_expected_low"],
                row["observed_over_expected_high"],
            ),
        )
    first = figures.iloc[0]
    table.caption = (
        f"{int(first['rows']):,} rows, {int(first['positives']):,} positives, "
        f"prevalence {first['prevalence']:.4f}"
    )
    return table


def _drawn(title: str, frame: pd.DataFrame) -> Table:
    table = Table(title=title, title_justify="left")
    for name in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        table.add_column(str(name).replace("_", " "), justify="right" if numeric else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None or isinstance(value, NaTType):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, float):
        return _figure(value)
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def _with_interval(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if math.isnan(low) else f"{value:.3f} ({low:.3f}–{high:.3f})"
