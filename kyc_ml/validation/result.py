"""The results of a validation: figures, tables, verdicts, and the report with all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from kyc_ml.display import say_count, say_in_html, say_plainly
from kyc_ml.validation.check import Check, FigureText
from kyc_ml.validation.text import NOTHING, Text

Severity = Literal["amber", "red"]
"""Severity of a gate: amber (warning) gives a finding to fix, red (critical) fails the model."""

_SEVERITIES: Final[dict[Severity, str]] = {"amber": "warning", "red": "critical"}

Verdict = Literal["pass", "finding", "fail", "not_judged", "information", "not_applicable"]
"""Verdict of one check. `information`: no figure has a gate. `not_judged`: every figure with a
gate is undefined, for example because there are too few rows."""

Conclusion = Literal["pass", "pass_with_findings", "fail"]
"""Verdict of the whole report."""

PlotKind = Literal["line", "step", "bar", "interval", "heatmap", "histogram"]
"""`interval` draws points with whiskers from `low` to `high`; `heatmap` a value for x and y."""

GateSource = Literal["none", "diagonal", "zero", "one"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number."""

    measure: FigureText
    value: float | None
    """None if it is undefined, such as an AUC of one class."""
    low: float | None = None
    high: float | None = None
    """`low` and `high`: 95% interval; None if there is no interval."""
    about: str = ""
    """Name of the tier, segment or feature that the figure belongs to; '' for all rows."""

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None and not np.isfinite(number):
                msg = f"figure {self.measure.name!r}: {name} must be finite or None, got {number}"
                raise ValueError(msg)

    @property
    def name(self) -> str:
        """Name of the measure."""
        return self.measure.name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A tidy table of figures; counts and shares, never a single customer.

    The name is unique within its check; the Parquet file is named after check and table.
    """

    name: str
    title: Text
    frame: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """How to draw a table of the same check; it contains no numbers."""

    name: str
    kind: PlotKind
    title: Text
    table: str
    x: str
    y: str
    """`x` and `y`: its columns; for 'histogram' x is the lower edge of each bin."""
    x_label: Text
    y_label: Text
    group: str = ""
    """Column that splits the rows into separate lines or bars; '' for none."""
    low: str = ""
    high: str = ""
    """`low` and `high`: columns of the interval; '' for none."""
    value: str = ""
    """Column that colours a 'heatmap'; for 'interval' a mark to compare y with; '' for none."""
    reference: GateSource = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedGate:
    """A gate of the policy, applied to a figure."""

    figure: str
    value: float | None
    at_least: float | None
    at_most: float | None
    """`at_least` and `at_most`: the thresholds, after `or_figure` of the policy; an equal figure
    passes."""
    severity: Severity
    source: str
    broken: bool
    """False also if the figure is undefined or the gate's condition is not met; then `note` gives
    the reason."""
    about: str = ""
    note: Text = NOTHING
    source_zh: str = ""


def say_figure(value: float | None) -> str:
    """Write a figure without a unit: whole numbers in full, others with four digits."""
    if value is None:
        return "undefined"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckResult:
    """The result of one check.

    Attributes
    ----------
    notes : tuple of Text
        Further information on the figures: rows used, rows left out.
    reason : Text
        Why the check does not apply; empty if it applies.
    command : str
        Command that reruns only this check.
    seconds : float
        Duration; not part of `content_digest`.
    """

    check: Check
    verdict: Verdict
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    gates: tuple[AppliedGate, ...] = ()
    notes: tuple[Text, ...] = ()
    reason: Text = NOTHING
    command: str = ""
    seconds: float = 0.0

    def figure(self, name: str) -> Figure:
        """Return the figure called `name`; KeyError if the check has none."""
        return {figure.name: figure for figure in self.figures}[name]

    def table(self, name: str) -> pd.DataFrame:
        """Return the table called `name`; KeyError if the check has none."""
        return {table.name: table.frame for table in self.tables}[name]

    def to_frame(self) -> pd.DataFrame:
        """One row a figure: figure, value, low, high (interval at 95 %), about."""
        columns = ["figure", "value", "low", "high", "about"]
        rows = [(each.name, each.value, each.low, each.high, each.about) for each in self.figures]
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[1:4], "float64"))

    def _facts(self) -> dict[str, object]:
        gates = {
            f"{_SEVERITIES[gate.severity]} on {gate.figure}": "BROKEN" if gate.broken else "met"
            for gate in self.gates
        }
        notes = {f"note {place}": note.en for place, note in enumerate(self.notes, start=1)}
        reason = {"reason": self.reason.en} if self.reason.en else {}
        return {"verdict": self.verdict.replace("_", " "), **reason, **gates, **notes}

    def __repr__(self) -> str:
        figures = {
            each.name: say_figure(each.value) for each in self.figures if each.value is not None
        }
        return say_plainly(f"Check {self.check.id}", {**self._facts(), **figures})

    def _repr_html_(self) -> str:
        return say_in_html(f"Check {self.check.id}", self._facts(), tables=[self.to_frame()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A broken gate in a sentence. The sign-off gives it an owner and a due date.

    The id has check, figure and severity: 'calibration.jeffreys/lowest_p/amber'. The same defect
    has the same id in the next report.
    """

    id: str
    check: str
    severity: Severity
    text: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model was validated."""

    name: str
    version: str
    """`name` and `version`: version is the registry's number; '' for a bundle's folder."""
    address: str
    """Address that the user named: models:/NAME@ALIAS, models:/NAME/VERSION or a folder."""
    digest: str
    """SHA-256 of the bundle's manifest."""
    unit: str
    trainer: str
    """Person who started the training run; '' if not recorded."""
    trained_at: str
    """Start of the training run, ISO; '' if not recorded."""
    known_until: str
    """Training date, ISO: the model learned from what was known then."""
    policy: str
    features: int
    trees: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsUsed:
    """Which rows the figures come from."""

    role: Literal["current", "reference", "train"]
    """'current', 'reference' or 'train'; evaluated, compared with, and learned from."""
    origin: Text
    since: str
    until: str
    rows: int
    judged: int
    positives: int
    customers: int
    """`rows`, `judged`, `positives` and `customers`: all rows, those with a mature outcome, and
    positives and customers among these."""
    amount: float | None = None
    """Sum of the amounts of all rows, in the currency of the source; None if rows have none, or an
    older version wrote the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyIdentity:
    """Which validation policy the gates come from."""

    name: str
    version: int
    digest: str
    """SHA-256 of all its settings and gates."""
    report_valid_days: int
    """A report older than this promotes no model."""
    finding_due_days: int
    """Days from the report to the due date of a finding, unless the sign-off names a date."""
    default_gates: int = 0
    """Gates of the policy that comes with kyc_ml; 0 in older reports, which did not compare."""
    left_out: tuple[str, ...] = ()
    """Those of them that this policy lacks or bounds less strictly, as check/figure/severity."""
    weaker: tuple[str, ...] = ()
    """Settings with which the checks see less than with the default's, each with both values."""
    changed: bool = False
    """True if it has the name of the default, but other gates or settings."""
    relaxed: tuple[str, ...] = ()
    """Rules of promotion that are less strict than by default."""

    @property
    def label(self) -> str:
        """Name and version, marked if the name is the default's and the content is not."""
        return f"{self.name} v{self.version}" + (" (changed)" if self.changed else "")

    @property
    def critical_left_out(self) -> tuple[str, ...]:
        """Those of `left_out` that would fail a model."""
        return tuple(each for each in self.left_out if each.endswith("/red"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataIdentity:
    """Which data was read."""

    source: str
    mapping_digest: str
    """`source` and `mapping_digest`: name of the source mapping and SHA-256 of its content."""
    files: Mapping[str, str]
    """Mapping of file name to SHA-256."""
    digest: str
    """Digest of all files together."""
    timezone: str = "UTC"
    """Time zone of the source, in which a report writes days and times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPlace:
    """Where a report is kept."""

    report: Path
    page: Path
    mlflow_run: str
    receipt: str
    """``COUNT:HASH`` of the entry in the audit log; '' for a report of some checks only."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """A whole validation.

    Attributes
    ----------
    as_of : str
        What was known then was used, ISO.
    complete : bool
        False where only some checks were run: such a report approves nothing.
    headline : tuple of (check id, figure name)
        Key figures, for the first screen.
    created_at : str
        ISO, UTC. With `seconds`, here and in results, the only thing that differs from run
        to run on the same model, data, policy and code.
    features : mapping of feature to its description in English and Chinese
        Of the model's features; empty in a report of an older version.
    place : ReportPlace or None
        None where nothing was written. It is not part of ``report.json``.
    """

    model: ModelIdentity
    validator: str
    as_of: str
    data: DataIdentity
    policy: PolicyIdentity
    rows: tuple[RowsUsed, ...]
    verdict: Conclusion
    complete: bool
    findings: tuple[Finding, ...]
    results: tuple[CheckResult, ...]
    headline: tuple[tuple[str, str], ...]
    command: str
    environment: Mapping[str, object]
    created_at: str
    seconds: Mapping[str, float]
    features: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    place: ReportPlace | None = None

    @property
    def passed(self) -> bool:
        """True unless the verdict is fail."""
        return self.verdict != "fail"

    @property
    def current(self) -> RowsUsed:
        """The evaluated rows."""
        return next(rows for rows in self.rows if rows.role == "current")

    def result(self, check: str) -> CheckResult:
        """Return the result of the check with this id; KeyError if it was not run."""
        return {result.check.id: result for result in self.results}[check]

    def find_figure(self, check: str, name: str) -> Figure | None:
        """Return a figure of a check; None if it was not computed."""
        figures = (each.figures for each in self.results if each.check.id == check)
        return next((each for each in next(figures, ()) if each.name == name), None)

    def find_table(self, check: str, name: str) -> pd.DataFrame | None:
        """Return a table of a check; None if it was not made."""
        tables = (each.tables for each in self.results if each.check.id == check)
        return next((each.frame for each in next(tables, ()) if each.name == name), None)

    def to_frame(self) -> pd.DataFrame:
        """One row a check: check, family, verdict, broken (gates), reason (why not applicable)."""
        return pd.DataFrame(
            [
                {
                    "check": result.check.id,
                    "family": result.check.family,
                    "verdict": result.verdict,
                    "broken": ", ".join(g.figure for g in result.gates if g.broken),
                    "reason": result.reason.en,
                }
                for result in self.results
            ],
            columns=["check", "family", "verdict", "broken", "reason"],
        )

    def facts(self) -> dict[str, object]:
        """Return the summary: verdict, model, rows, checks, and where the report is kept."""
        counts = self.to_frame()["verdict"].value_counts()
        current, model, place = self.current, self.model, self.place
        kept = () if place is None else (
            ("report", place.report), ("page", place.page), ("MLflow run", place.mlflow_run),
            ("audit log", place.receipt),
        )  # fmt: skip
        return {
            "verdict": self.verdict.replace("_", " ")
            + ("" if self.complete else " (some checks only: this approves nothing)"),
            "model": f"{model.name} {'v' + model.version if model.version else model.digest[:12]}",
            "evaluated": f"{say_count(current.judged, 'row')}, "
            f"{say_count(current.positives, 'positive')}, "
            f"{say_count(current.customers, 'customer')}; {current.origin.en}",
            "checks": ", ".join(f"{n} {str(name).replace('_', ' ')}" for name, n in counts.items()),
            "policy": self.policy.label,
            "default gates left out": f"{len(self.policy.left_out)} of {self.policy.default_gates}",
            "validator": self.validator,
            **{finding.id: finding.text.en for finding in self.findings},
            **{stage: f"{spent:.1f} s" for stage, spent in self.seconds.items()},
            **dict(kept),
        }

    def __repr__(self) -> str:
        return say_plainly(f"Validation of {self.model.name!r}", self.facts())

    def _repr_html_(self) -> str:
        known = {finding.id for finding in self.findings}
        found = pd.DataFrame(
            [(each.severity, each.check, each.text.en) for each in self.findings],
            columns=["severity", "check", "finding"],
        )
        facts = {name: fact for name, fact in self.facts().items() if name not in known}
        tables = [] if found.empty else [found]
        return say_in_html(f"Validation of {self.model.name!r}", facts, tables=tables)


def conclude(results: tuple[CheckResult, ...], findings: tuple[Finding, ...] = ()) -> Conclusion:
    """Return the verdict of the report: one failed check fails it, one finding leaves a finding.

    Checks that are not applicable have no effect on it.
    """
    verdicts = {result.verdict for result in results}
    if "fail" in verdicts:
        return "fail"
    return "pass_with_findings" if findings or "finding" in verdicts else "pass"
