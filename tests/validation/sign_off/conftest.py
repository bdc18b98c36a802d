"""A report with every kind of verdict, figure, table and plot, made by hand."""

from dataclasses import asdict, replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from kyc_ml.registry import Environment
from kyc_ml.validation import CheckResult, DataIdentity, Report
from kyc_ml.validation.check import Check, FigureText
from kyc_ml.validation.result import (
    AppliedGate,
    Figure,
    Finding,
    ModelIdentity,
    Plot,
    PolicyIdentity,
    RowsUsed,
    Table,
)
from kyc_ml.validation.text import Text

EVIL = "<script>alert('x')</script>"
PERIODS = pd.date_range("2026-01-01", periods=4, freq="MS", tz="UTC")


def both(text):
    return Text(text, f"{text}的中文")


def declare(name, *, family="stability", measures=("psi",)):
    return Check(
        id=f"{family}.{name}",
        family=family,
        title=both(f"{name} title"),
        purpose=both("purpose"),
        method=both("method"),
        signs=both("signs"),
        limits=both("limits"),
        source="Author 1999",
        measures=tuple(FigureText(name=each, label=both(each), unit="index") for each in measures),
    )


def figure(check, place=0, value=0.2, **rest):
    return Figure(measure=check.measures[place], value=value, **rest)


def plot(name, kind, table, x, y, **rest):
    return Plot(
        name=name, kind=kind, title=both(f"{name} plot"), table=table, x=x, y=y,
        x_label=both("across"), y_label=both("up"), **rest,
    )  # fmt: skip


def result_with_findings():
    check = declare("psi")
    gate = AppliedGate(
        figure="psi", value=0.2, at_least=None, at_most=0.1, severity="amber",
        source="convention", broken=True,
    )  # fmt: skip
    return CheckResult(
        check=check,
        verdict="finding",
        figures=(figure(check, low=0.15, high=0.25),),
        gates=(gate,),
        notes=(both("a note"),),
        command="kyc-ml validate --only stability.psi",
        seconds=1.25,
    )


def result_with_plots():
    check = declare("auc", family="discrimination", measures=("auc", "gini"))
    curve = pd.DataFrame({"x": np.linspace(0, 1, 9), "y": np.linspace(0, 1, 9) ** 0.5})
    rates = pd.DataFrame(
        {
            "tier": ["low", "high"] * 2,
            "who": ["expected", "expected", "observed", "observed"],
            "observed_rate": [0.01, 0.1, 0.012, np.nan],
            "ci_low": [0.008, 0.08, 0.009, np.nan],
            "ci_high": [0.02, 0.12, 0.015, np.nan],
            "rows": [1200, 30, 1200, 30],
        }
    )
    bins = pd.DataFrame(
        {"predicted": [0.001, 0.01, 0.03], "observed": [0.0, 0.012, 0.02],
         "low": [0.0, 0.005, 0.01], "high": [0.002, 0.02, 0.05]}
    )  # fmt: skip
    many = pd.DataFrame(
        {"feature": [f"feature_with_a_long_name_{n}" for n in range(90)], "psi": np.arange(90) / 90}
    )
    when = pd.DataFrame({"period": PERIODS, "auc": [0.8, 0.81, 0.79, 0.8]})
    cells = pd.DataFrame(
        {"from": ["low", "low", "high"], "to": ["low", "high", "high"], "share": [0.9, 0.1, 1.0]}
    )
    tables = {
        "curve": curve, "rates": rates, "bins": bins, "many": many, "when": when, "cells": cells,
        "nothing": curve.head(0),
    }  # fmt: skip
    whiskers = {"low": "ci_low", "high": "ci_high"}
    return CheckResult(
        check=check,
        verdict="pass",
        figures=(figure(check, value=0.84, low=0.82, high=0.86), figure(check, 1, value=None)),
        tables=tuple(Table(name=n, title=both(f"{n} table"), frame=f) for n, f in tables.items()),
        plots=(
            plot("line", "line", "curve", "x", "y", reference="diagonal"),
            plot("step", "step", "curve", "x", "y", reference="one"),
            plot("histogram", "histogram", "curve", "x", "y"),
            plot("bar", "bar", "rates", "tier", "observed_rate", group="who", **whiskers),
            plot("interval", "interval", "rates", "tier", "observed_rate", group="who", **whiskers),
            plot("reliability", "interval", "bins", "predicted", "observed", low="low",
                 high="high", reference="diagonal"),
            plot("lying", "bar", "many", "feature", "psi", reference="zero"),
            plot("dots", "interval", "many", "feature", "psi"),
            plot("time", "line", "when", "period", "auc"),
            plot("heat", "heatmap", "cells", "to", "from", value="share"),
            plot("empty", "line", "nothing", "x", "y"),
        ),
        command="kyc-ml validate --only discrimination.auc",
    )  # fmt: skip


@pytest.fixture(scope="session")
def base_report():
    results = (
        result_with_plots(),
        result_with_findings(),
        CheckResult(
            check=declare("groups", family="fairness"), verdict="not_applicable",
            reason=both("no group is declared"),
        ),
        CheckResult(
            check=declare("noise", family="robustness"), verdict="information",
            figures=(figure(declare("noise", family="robustness"), about=EVIL),),
        ),
    )  # fmt: skip
    return Report(
        model=ModelIdentity(
            name="fraud", version="3", address="models:/fraud/3", digest="d" * 64, unit="fraud",
            trainer="svc-train, wang", trained_at="", known_until="2026-06-01T00:00:00+00:00",
            policy="fraud v1", features=220, trees=341,
        ),
        validator="Lin Hua",
        as_of="2026-11-01T00:00:00+00:00",
        data=DataIdentity(
            source="synthetic", mapping_digest="m" * 64, files={"cases.parquet": "c" * 64},
            digest="a" * 64,
        ),
        policy=PolicyIdentity(
            name="default", version=1, digest="p" * 64, report_valid_days=90, finding_due_days=90
        ),
        rows=(
            RowsUsed(
                role="current", origin=both("later rows"), since="2026-06-01T00:00:00+00:00",
                until="2026-09-01T00:00:00+00:00", rows=12_345, judged=12_000, positives=321,
                customers=900,
            ),
        ),
        verdict="pass_with_findings",
        complete=True,
        findings=(
            Finding(id="stability.psi/psi/amber", check="stability.psi", severity="amber",
                    text=both(f"PSI is 0.2 {EVIL}")),
        ),
        results=results,
        headline=(("discrimination.auc", "auc"), ("stability.psi", "psi"), ("data.gone", "x")),
        command="kyc-ml validate models:/fraud/3",
        environment=asdict(Environment.current()),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds={"reading": 2.0, "checks": 3.0},
    )  # fmt: skip


@pytest.fixture(scope="session")
def passing(undrawn):
    """The same without a finding."""
    kept = tuple(result for result in undrawn.results if result.verdict != "finding")
    return replace(undrawn, verdict="pass", findings=(), results=kept)


@pytest.fixture(scope="session")
def undrawn(base_report):
    """The report with a finding, without tables and plots: these take most of the time."""
    return replace(
        base_report,
        results=tuple(replace(each, plots=(), tables=()) for each in base_report.results),
    )
