"""The page of many nights: what each user asks first, then every night and figure."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pandas as pd

from kyc_ml.decision import Language
from kyc_ml.display import draw_distributions, template_environment
from kyc_ml.features import FeatureSpec
from kyc_ml.monitoring.alerts.book import Alert
from kyc_ml.monitoring.found import GUARANTEE
from kyc_ml.monitoring.level import LevelPolicy
from kyc_ml.monitoring.nights import SUFFIX
from kyc_ml.monitoring.outcomes import SENTENCES
from kyc_ml.monitoring.pictures import YEAR, Pictures
from kyc_ml.monitoring.signals import Severity, Signal
from kyc_ml.monitoring.watched import SWAPPED, Challenger, Watched
from kyc_ml.storage import write_whole

PAGES: Final[Mapping[Language, str]] = {"en": "monitor.html", "zh": "monitor.zh.html"}
_SIGNALS: Final = 200
_GROUPS: Final = 20
_MOVED: Final = 15
_DASH: Final = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorStory:
    """All content of the page."""

    out: Path
    """Folder of the nights."""
    models: tuple[Watched, ...]
    raised: tuple[Signal, ...]
    """All of the record, the newest first."""
    signals: tuple[Signal, ...]
    """Those open now, the worst first."""
    alerts: tuple[Alert, ...] = ()
    outcomes_until: str = ""
    """ISO time; '' without outcomes."""
    customers: pd.DataFrame | None = None
    """See `customer_data`."""


def save_pages(story: MonitorStory, folder: Path) -> dict[Language, Path]:
    """Write the page in both languages; each links to the other.

    Raises OutputError if the disk refuses; a page that was there before is untouched.
    """
    found: dict[Language, Path] = {}
    for language, name in PAGES.items():
        found[language] = folder / name
        write_whole(folder / name, render(story, language, folder=folder).encode())
    return found


def render(story: MonitorStory, language: Language, *, folder: Path) -> str:
    """Write the page as HTML in one language; every value is escaped."""
    page = _Page(language, folder)
    others = {"en": PAGES["zh"], "zh": PAGES["en"]}
    template = template_environment().get_template("monitor.html.j2")
    return template.render(
        t=page.words,
        say=page.say,
        tier=page.tier,
        zh=language == "zh",
        running=f"Internal only 内部资料 · {page.words['title']}",
        page="页" if language == "zh" else "page",
        story={**page.of(story), "other": others[language]},
    )


class _Page(Pictures):
    """The page in one language."""

    def __init__(self, language: Language, folder: Path) -> None:
        super().__init__(language)
        self.folder = folder

    def text_of(self, signal: Signal) -> str:
        """Return what a signal found."""
        return signal.text_zh if self.language == "zh" else signal.text

    def of(self, story: MonitorStory) -> dict[str, Any]:
        """Return the content of the template."""
        days = sorted({each.day for each in story.models} - {""})
        raised, now = story.raised[:_SIGNALS], {id(each) for each in story.signals}
        return {
            "last": days[-1] if days else _DASH,
            "out": story.out,
            "outcomes_until": story.outcomes_until,
            "models": [self._model(each, story.out) for each in story.models],
            "todo": list(self._todo(story.signals)),
            "trust": list(self._trust(story)),
            "raised": [(each, id(each) in now, self.text_of(each)) for each in raised],
            "every": len(story.raised),
            "alerts": story.alerts,
            "customers": _faults(story.customers),
        }

    def _model(self, each: Watched, out: Path) -> dict[str, Any]:
        plots = [plot for plot in self.plots(each) if plot is not None]
        titles = {self.words["o_e"], self.words["evidence"], self.words["scored"]}
        specs = {} if each.bundle is None else {spec.name: spec for spec in each.bundle.specs}
        drift = [self._moved(row, specs) for row in _records(each.moved.head(_MOVED))]
        last = each.last
        return {
            "name": each.name,
            "status": "missing" if last is None else last["status"],
            "watched": each,
            "right": list(self._right(each)),
            "shown": next((plot for plot in plots if plot.title in titles), None),
            "drift": drift,
            "covered": []
            if each.estimates is None
            else each.estimates["covered"].dropna().tolist(),
            "calendar": self._calendar(each, out),
            "plots": plots,
            "months": [] if each.months is None else _records(each.months[::-1]),
            "challengers": [self._challenger(one, each) for one in each.challengers],
            "remarks": [getattr(remark, self.language) for remark in each.remarks],
        }

    def _right(self, each: Watched) -> Iterator[str]:
        if each.level is None:
            yield self.words["no_source"]
            return
        if each.level.path.empty:
            yield self.words["no_mature"]
        alarms = [signal for signal in each.signals if signal.code.startswith("level.")]
        if alarms:
            yield self.say("level_wrong", count=len(alarms))
            yield from (self.text_of(signal) for signal in alarms[:2])
        elif not each.level.path.empty:
            newest = each.level.path.groupby(["family", "subject"], sort=False).tail(1)
            most = newest.sort_values("evidence").iloc[-1]
            subject = self.say(f"subject_{most['family']}", name=self.tier(each, most["subject"]))
            yield self.say("level_right", subject=subject, share=most["evidence"])
        guesses = each.estimates
        if guesses is not None:
            guesses = guesses[(guesses["figure"] == "auc") & guesses["truth"].isna()]
        figures = (
            ("month_now", "o_e", each.months),
            ("auc_now", "auc", each.months),
            ("auc_estimated", "estimate", guesses),
        )
        for key, column, table in figures:
            for row in [] if table is None else _records(table.dropna(subset=column).tail(1)):
                yield self.say(key, **row)

    def _todo(self, signals: Sequence[Signal]) -> Iterator[tuple[str, str, str]]:
        """Yield one line for each cause: what it explains needs no further work."""
        causes: dict[str, list[Signal]] = {}
        for each in signals:
            if each.severity > Severity.INFO:
                causes.setdefault(each.key, []).append(each)
        for group in causes.values():
            first = next((each for each in group if not each.cause), group[0])
            worst = max(each.severity for each in group).name.lower()
            explains = self.say("explains", count=len(group) - 1) if len(group) > 1 else ""
            text = self.text_of(first)
            model = "" if first.model in text else first.model
            yield worst, model, f"{text} {explains}".strip()

    def _trust(self, story: MonitorStory) -> Iterator[dict[str, str]]:
        """Yield the guarantee of each kind of signal, and how many were raised in a year."""
        level = SENTENCES["level_guarantee"].fill(
            family=SENTENCES["family_tier"], false_alarms=LevelPolicy().false_alarms,
            margin=LevelPolicy().margin,
        )  # fmt: skip
        kinds = {"level": level, "drift": GUARANTEE, "night": None}
        for kind, guarantee in kinds.items():
            mine = [each for each in story.raised if _kind(each) == kind]
            now = sum(_kind(each) == kind for each in story.signals)
            yield {
                "family": self.words[f"guarantee_{kind}"],
                "raised": self.say("raised", count=len(mine), day=mine[0].day, open=now)
                if mine
                else self.words["none_raised"],
                "guarantee": self.words["plain_rule"]
                if guarantee is None
                else getattr(guarantee, self.language),
            }

    def _calendar(self, each: Watched, out: Path) -> list[dict[str, Any]]:
        """List the cells of the last year, from the Monday of its first week."""
        if each.nights.empty:
            return []
        nights = {str(night["day"]): night for night in _records(each.nights)}
        first, end = (date.fromisoformat(pick(nights)) for pick in (min, max))
        start = max(first, end - timedelta(days=YEAR - 1))
        cells: list[dict[str, Any]] = [{"role": "before"}] * start.weekday()
        for number in range((end - start).days + 1):
            day = (start + timedelta(days=number)).isoformat()
            night = nights.get(day, {"status": "missing", "scored": 0, "scored_by": ""})
            rated = " rating" if night["scored_by"] == "rating" else ""
            said = f"{day}: {self.words['status'][night['status']]}, {night['scored']:,}"
            href = self._manifest(night, each, out)
            cells.append({"role": night["status"] + rated, "href": href, "title": said})
        return cells

    def _manifest(self, night: Mapping[Any, Any], each: Watched, out: Path) -> str:
        """Return the address of a night's manifest as the page reaches it; '' without one."""
        if night["status"] not in {"published", "refused"}:
            return ""
        name = f"{each.name}{SUFFIX.get(night['status'], '')}"
        path = out / night["day"] / name / "manifest.json"
        return quote(os.path.relpath(path, self.folder))

    def _moved(self, row: Mapping[Any, Any], specs: Mapping[str, FeatureSpec]) -> dict[str, Any]:
        spec = specs.get(row["feature"])
        said = ("", "") if spec is None else (spec.description, spec.description_zh)
        return {
            "name": row["feature"],
            "said": said[self.language == "zh"] or row["feature"],
            "drawing": draw_distributions(row["before"], row["after"], labels=row["labels"]),
            "moved": row["moved"],
            "effect": row["effect"],
        }

    def _challenger(self, one: Challenger, each: Watched) -> dict[str, Any]:
        swap, evidence = one.swap, one.evidence
        added = (swap["challenger"] - swap["champion"])[::-1].cumsum()
        rows = swap.assign(added=added, tier=[self.tier(each, name) for name in swap["tier"]])
        plot = None
        if evidence is not None and len(evidence.path):
            path = evidence.path
            values = {
                self.words[name]: path[f"evidence_{side}"].to_numpy(np.float64)
                for name, side in (("challenger", "better"), ("champion", "worse"))
            }
            plot = self.evidence(list(path["day"]), values)
        said = self.words["no_challenger_outcomes"]
        return {
            "label": one.label,
            "said": said if evidence is None else getattr(evidence.text, self.language),
            "nights": min(one.nights, SWAPPED),
            "swap": _records(rows[::-1]),
            "plot": plot,
        }


def _kind(signal: Signal) -> str:
    """Return the kind of guarantee of a signal: 'level', 'drift' or 'night'."""
    family = signal.code.partition(".")[0]
    if family in {"level", "estimate"}:
        return "level"
    return "drift" if signal.guarantee else "night"


def _faults(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """List the faults of customer information, of all and of the worst groups."""
    if table is None:
        return []
    found = table[table["faults"] > 0].sort_values("share", ascending=False, kind="stable")
    whole = found["by"] == "all"
    return _records(pd.concat([found[whole], found[~whole].head(_GROUPS)]))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
