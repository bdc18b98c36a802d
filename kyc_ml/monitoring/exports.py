"""Figures of monitoring for programs: values of JSON, and gauges of Prometheus."""

import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.monitoring.nights import PUBLISHED, SERVED
from kyc_ml.monitoring.page import MonitorStory
from kyc_ml.monitoring.signals import Severity
from kyc_ml.monitoring.watched import FIGURES, Watched

_FORMAT: Final = 1
_HELP: Final = {
    "run_timestamp_seconds": "Time of monitoring, in seconds since 1970.",
    "last_night_timestamp_seconds": "Day of the last night recorded, in seconds since 1970.",
    "published": "1 if the last night was published.",
    "rows": "Rows of the last night.",
    "tier_rows": "Rows of the last night by tier.",
    "signals": "Open signals; without a model: of tables and jobs.",
    "performance": "Figures of the newest month that determines them.",
}
_Samples = list[tuple[Mapping[str, str], float | None]]


def to_plain(story: MonitorStory) -> dict[str, Any]:
    """Return everything on the page as values of JSON; what is undefined is null."""
    found = {
        "format_version": _FORMAT,
        "out": story.out,
        "outcomes_until": story.outcomes_until,
        "open": [each.to_plain() for each in story.signals],
        "raised": [each.to_plain() for each in story.raised],
        "models": {each.name: _model(each) for each in story.models},
        "customers": story.customers,
    }
    return dict(_plain(found))


def metrics_of(story: MonitorStory) -> list[tuple[str, str, _Samples]]:
    """Return the families of `write_metrics`: the last night and the signals of each model."""
    found: dict[str, _Samples] = {name: [] for name in _HELP}
    found["run_timestamp_seconds"].append(({}, time.time()))
    for each in story.models:
        model, last = {"model": each.name}, each.last
        if last is None:
            continue
        day = pd.Timestamp(each.day, tz="UTC").timestamp()
        found["last_night_timestamp_seconds"].append((model, day))
        found["published"].append((model, int(last["status"] in {PUBLISHED, SERVED})))
        for kind in ("rows_read", "quarantined", "scored"):
            found["rows"].append(({**model, "rows": kind}, int(last[kind])))
        for tier, count in last["detail"].get("tiers", {}).items():
            found["tier_rows"].append(({**model, "tier": tier}, count))
        for figure, value in newest_figures(each).items():
            found["performance"].append(({**model, "figure": figure}, value))
    for name in (*(each.name for each in story.models), ""):
        for level in Severity:
            labels = {"model": name, "severity": level.name.lower()}
            mine = [each for each in story.signals if each.model == name]
            found["signals"].append((labels, sum(each.severity is level for each in mine)))
    return [(f"kyc_ml_monitor_{name}", _HELP[name], found[name]) for name in _HELP]


def newest_figures(each: Watched) -> dict[str, float]:
    """Return each figure of the newest month that determines it."""
    months = {} if each.months is None else {name: each.months[name].dropna() for name in FIGURES}
    return {name: float(known.iloc[-1]) for name, known in months.items() if len(known)}


def _model(each: Watched) -> dict[str, Any]:
    last = {} if each.last is None else each.last.to_dict()
    return {
        "nights": len(each.nights),
        "days_without": each.days_without(),
        "last": {name: value for name, value in last.items() if name != "detail"},
        "tiers": last.get("detail", {}).get("tiers", {}),
        "months": each.months,
        "estimates": each.estimates,
        "moved": each.moved[["feature", "moved", "effect"]] if len(each.moved) else None,
        "evidence": None if each.level is None else each.level.path,
        "challengers": {
            one.label: {
                "nights": one.nights,
                "swap": one.swap,
                "verdict": one.evidence and one.evidence.verdict,
                "positives_needed": one.evidence and one.evidence.positives_needed,
                "text": one.evidence and one.evidence.text.en,
            }
            for one in each.challengers
        },
        "remarks": [remark.en for remark in each.remarks],
    }


def _plain(value: Any) -> Any:  # noqa: ANN401  what the page holds
    if isinstance(value, pd.DataFrame):
        value = value.to_dict("records")
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)
