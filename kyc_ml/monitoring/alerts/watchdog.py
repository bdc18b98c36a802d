"""The watchdog: finds nights that did not arrive, from the folders alone."""

import math
from collections.abc import Collection, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from kyc_ml.monitoring.alerts.texts import WATCHDOG_TEXTS
from kyc_ml.monitoring.nights import SUFFIX, is_day
from kyc_ml.monitoring.signals import Severity, Signal
from kyc_ml.storage import MANIFEST

WATCHDOG: Final = "watchdog"
_RECENT: Final = 30
"""Newest nights whose models are expected again (convention)."""
_ENDINGS: Final = {**{how: f"{{}}{end}" for how, end in SUFFIX.items()}, "unfinished": ".{}.work"}
"""Folders that a night leaves in place of its scores."""


def find_missing(
    folder: Path,
    *,
    by: time,
    zone: str,
    models: Collection[str] = (),
    holidays: Collection[date] = (),
    now: datetime,
) -> tuple[tuple[Signal, ...], dict[str, str]]:
    """Find the nights that are due and not published; needs neither the record nor MLflow.

    `folder`: the folder of the nights, ``FOLDER/DAY/NAME``.
    `by`: time; time of the day in `zone` at which the night of this day is due.
    `models`: names of the models that are expected; by default those of the newest nights.
    `holidays`: days without rows: after them no night is due, and the one before is looked at.
    Returns `signals`: 'night.missing', 'night.refused', 'night.unfinished', 'night.held',
    'night.clock'.
    Returns `evaluated`: mapping of model to ISO date; see `run_alerts`.
    """
    local = now.astimezone(ZoneInfo(zone))
    due = local.date() if local.time() >= by else local.date() - timedelta(days=1)
    while due - timedelta(days=1) in holidays:
        due -= timedelta(days=1)
    nights = sorted(each for each in folder.glob("????-??-??") if is_day(each.name))
    names = sorted(models or _names(nights[-_RECENT:]))
    facts = {"day": due, "by": f"{by:%H:%M}", "zone": zone, "folder": folder}
    signals = [] if names else [_signal("missing", "nothing", day=due, facts=facts)]
    if nights and (newest := nights[-1].name) > local.date().isoformat():
        clock: dict[str, object] = {**facts, "day": newest, "today": local.date()}
        signals.append(_signal("clock", "clock", day=due, facts=clock))
    for name in names:
        night = folder / due.isoformat()
        if (night / name / MANIFEST).is_file():
            continue
        ended = (what for what, place in _ENDINGS.items() if (night / place.format(name)).is_dir())
        what = next(ended, "missing")
        signals.append(_signal(what, what, day=due, model=name, facts={**facts, "model": name}))
    return tuple(signals), {"": due.isoformat(), **dict.fromkeys(names, due.isoformat())}


def _signal(
    what: str, text: str, *, day: date, facts: Mapping[str, object], model: str = ""
) -> Signal:
    said = WATCHDOG_TEXTS[text].fill(**facts)
    return Signal(
        code=f"night.{what}",
        model=model,
        day=day.isoformat(),
        severity=Severity.WARNING if what == "held" else Severity.CRITICAL,
        value=math.nan,
        limit=math.nan,
        text=said.en,
        text_zh=said.zh,
        # whatever became of the night, it is one alert
        cause="night|clock" if what == "clock" else f"night|{model}",
    )


def _names(nights: Collection[Path]) -> set[str]:
    """List the models of some nights; `tables` is not one."""
    found = {path.parent.name for night in nights for path in night.glob(f"*/{MANIFEST}")}
    for end in SUFFIX.values():
        found = {name.removesuffix(end) for name in found}
    return found - {"tables"}
