"""The page of many nights: what each user asks first, then every night and figure."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pandas as pd

from kyc_ml.decision import Language
from kyc_ml.display import (
    draw_distributions,
    template_environment,
)
from kyc_ml.features import FeatureSpec
from kyc_ml.monitoring.alerts.book import Alert
from kyc_ml.monitoring.found import GUARANTEE
from kyc_ml.monitoring.level import LevelPolicy
from kyc_ml.monitoring.outcomes import SENTENCES
from kyc_ml.monitoring.pictures import YEAR, Pictures, tick
from kyc_ml.monitoring.signals import Severity, Signal
from kyc_ml.monitoring.watched import Challenger, Watched
from kyc_ml.storage import write_whole

PAGES: Final[Mapping[Language, str]] = {"en": "monitor.html", "zh": "monitor.zh.html"}
_TODO: Final = 5
_SIGNALS: Final = 200
_GROUPS: Final = 20
_MOVED: Final = 15
_DASH: Final = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorStory:
    """All content of the page.

    Attributes
    ----------
    out : Path
        Folder of the nights.
    models : tuple of Watched
    raised : tuple of Signal
        All of the record, the newest first.
    signals : tuple of Signal
        Those open now, the worst first.
    alerts : tuple of Alert
    outcomes_until : str
        ISO time; '' without outcomes.
    customers : DataFrame or None
        See `customer_data`.
    """

    out: Path
    models: tuple[Watched, ...]
    raised: tuple[Signal, ...]
    signals: tuple[Signal, ...]
    alerts: tuple[Alert, ...] = ()
    outcomes_until: str = ""
    customers: pd.DataFrame | None = None


def save_pages(story: MonitorStory, folder: Path) -> dict[Language, Path]:
    """Write the page in both languages; each links to the other.

    Raises
    ------
    OutputError
        If the disk refuses; a page that was there before is untouched.
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
        facts = [
            (self.words["nights_of"], str(story.out)),
            (self.words["last_night"], days[-1] if days else _DASH),
            (self.words["models"], ", ".join(each.name for each in story.models) or _DASH),
            (self.words["outcomes_until"], story.outcomes_until or self.words["no_outcomes"]),
        ]
        todo = list(self._todo(story.signals))
        more = len(todo) - _TODO
        raised, now = story.raised[:_SIGNALS], {id(each) for each in story.signals}
        return {
            "last": days[-1] if days else _DASH,
            "facts": facts,
            "models": [self._model(each, story.out) for each in story.models],
            "todo": todo[:_TODO],
            "more": self.say("more_signals", count=more) if more > 0 else "",
            "trust": list(self._trust(story)),
            "raised": [(each, id(each) in now, self.text_of(each)) for each in raised],
            "more_rows": self.say("more_rows", shown=_SIGNALS, count=len(story.raised))
            if len(story.raised) > _SIGNALS
            else "",
            "alerts": story.alerts,
            "customers": _faults(story.customers),
        }

    def _model(self, each: Watched, out: Path) -> dict[str, Any]:
        plots = [plot for plot in self.plots(each) if plot is not None]
        titles = {self.words["o_e"], self.words["evidence"], self.words["scored"]}
        specs = {} if each.bundle is None else {spec.name: spec for spec in each.bundle.specs}
        drift = [self._moved(row, specs) for row in each.moved.head(_MOVED).to_dict("records")]
        last = each.last
        return {
            "name": each.name,
            "status": "missing" if last is None else last["status"],
            "day": each.day or _DASH,
            "label": "" if last is None else f"{last['version']} · {last['policy']}",
            "lines": list(self._night(each)),
            "right": list(self._right(each)),
            "shown": next((plot for plot in plots if plot.title in titles), None),
            "drift": drift,
            "coverage": self._coverage(each.estimates),
            "calendar": self._calendar(each, out),
            "plots": plots,
            "months": [] if each.months is None else each.months.iloc[::-1].to_dict("records"),
            "challengers": [self._challenger(one, each) for one in each.challengers],
            "remarks": [getattr(remark, self.language) for remark in each.remarks],
        }

    def _night(self, each: Watched) -> Iterator[str]:
        last = each.last
        if last is None:
            yield self.words["no_night"]
            return
        detail = last["detail"]
        if detail.get("reason") and last["scored_by"] == "rating":
            yield self.say("by_rating", reason=detail["reason"])
        elif detail.get("reason") or detail.get("faults"):
            yield "; ".join(detail.get("faults") or [detail["reason"]])
        if last["scored"]:
            yield self.say("counts", **last[["scored", "customers", "quarantined", "rows_read"]])
        if detail.get("tiers"):
            rows = detail["tiers"]
            counts = [
                f"{self.tier(each, name)} {rows[name]:,}" for name in each.tiers if name in rows
            ]
            yield f"{self.words['by_tier']}: {', '.join(reversed(counts))}"
        if last["attempts"] > 1:
            yield self.say("twice", count=last["attempts"])
        without = each.days_without()
        if without:
            yield self.say("gaps", count=len(without), day=without[-1])
        if len(each.nights) == 1:
            yield self.words["one_night"]

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
        if each.months is not None:
            for month in each.months.dropna(subset="o_e").iloc[-1:].to_dict("records"):
                yield self.say(
                    "month_now", month=month["month"], value=month["o_e"], low=month["o_e_low"],
                    high=month["o_e_high"], complete=month["complete"],
                )  # fmt: skip
            for month in each.months.dropna(subset="auc").iloc[-1:].to_dict("records"):
                yield self.say("auc_now", month=month["month"], value=month["auc"])
        if each.estimates is not None:
            found = each.estimates[each.estimates["figure"] == "auc"].dropna(subset="estimate")
            for row in found[found["truth"].isna()].iloc[-1:].to_dict("records"):
                yield self.say(
                    "auc_estimated", month=row["month"], value=row["estimate"], low=row["low"],
                    high=row["high"],
                )  # fmt: skip

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

    def _coverage(self, estimates: pd.DataFrame | None) -> str:
        known = [] if estimates is None else estimates["covered"].dropna().astype(bool).tolist()
        if not known:
            return str(self.words["no_coverage"])
        share = sum(known) / len(known)
        return self.say("coverage", covered=sum(known), count=len(known), share=share)

    def _calendar(self, each: Watched, out: Path) -> list[dict[str, Any]]:
        """List the cells of the last year, from the Monday of its first week."""
        if each.nights.empty:
            return []
        nights = {str(night["day"]): night for night in each.nights.to_dict("records")}
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
        name = f"{each.name}.failed" if night["status"] == "refused" else each.name
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
                self.words["challenger"]: path["evidence_better"].to_numpy(np.float64),
                self.words["champion"]: path["evidence_worse"].to_numpy(np.float64),
            }
            plot = self.lines(
                "evidence", list(path["day"]), values, write=tick, reference=1.0,
                logarithmic=True,
            )  # fmt: skip
        said = self.words["no_challenger_outcomes"]
        return {
            "label": one.label,
            "said": said if evidence is None else getattr(evidence.text, self.language),
            "note": self.say("swap_note", nights=min(one.nights, 28)),
            "swap": rows.iloc[::-1].to_dict("records"),
            "plot": plot,
        }


def _kind(signal: Signal) -> str:
    """Return the kind of guarantee of a signal: 'level', 'drift' or 'night'."""
    family = signal.code.partition(".")[0]
    if family in {"level", "estimate"}:
        return "level"
    return "drift" if signal.guarantee else "night"


def _faults(table: pd.DataFrame | None) -> list[dict[Hashable, Any]]:
    """List the faults of customer information, of all and of the worst groups."""
    if table is None:
        return []
    found = table[table["faults"] > 0].sort_values("share", ascending=False, kind="stable")
    whole = found["by"] == "all"
    return pd.concat([found[whole], found[~whole].head(_GROUPS)]).to_dict("records")
