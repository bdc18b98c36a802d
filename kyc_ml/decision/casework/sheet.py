"""The case sheet: one self-contained page about one scored observation, for analysts only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.config import Unit
from kyc_ml.decision.casework.recent import RECENT, WEEKS, RecentMeasure
from kyc_ml.decision.wording import WORDING, Language, Pair, name_value, write_text
from kyc_ml.display import template_environment
from kyc_ml.storage import write_whole

_TEMPLATE: Final = "case_sheet.html.j2"
_WIDTH: Final = 520.0
_HEIGHT: Final = 110.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonRow:
    """One reason: all features of one reason code.

    Attributes
    ----------
    value, peer_median : str
        With unit, in the language of the sheet.
    percentile : float or None
        Place of the value among the peers, 0 to 1.
    contribution : float
        Log-odds.
    share : float
        Size of the contribution divided by the sum of all sizes, 0 to 1.
    """

    code: str
    family: str
    text: str
    text_zh: str
    value: str
    peer_median: str
    percentile: float | None
    contribution: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterfactual:
    """What would lower the tier: the changes and a note, or why nothing does; both languages."""

    lines: tuple[Pair, ...]
    note: Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSheet:
    """The content of the sheet.

    Attributes
    ----------
    language : {'en', 'zh'}
        Language of the page; an English page also has the Chinese sentences of the reasons.
    unit : {'fraud', 'risk'}
        What the tier is about.
    tiers : tuple of (name, name in Chinese)
        The policy's, lowest first.
    score : mapping
        The row of the score table.
    expert_grade : str
        Grade of the expert rating, in the language of the sheet; empty if there is none.
    peers : str
        Whose values the customer's are compared with, in the language of the sheet.
    reasons : tuple of ReasonRow
        The strongest first; those not listed are summed up as the rest.
    overrides : tuple of mapping
        In force: code, gives, reason, source, until, approver, in the language of the sheet.
    history : tuple of (Timestamp, tier before overrides, tier of the score)
        Earlier reviews, the oldest first.
    """

    language: Language
    unit: Unit
    model: str
    tiers: tuple[Pair, ...]
    score: Mapping[str, Any]
    expert_grade: str
    peers: str
    reasons: tuple[ReasonRow, ...]
    lowering: Counterfactual
    measures: tuple[RecentMeasure, ...]
    overrides: tuple[Mapping[str, str], ...]
    history: tuple[tuple[pd.Timestamp, str, str], ...]

    @property
    def rest(self) -> float:
        """Sum of the contributions of all reasons that are not listed."""
        listed = sum(reason.contribution for reason in self.reasons)
        return float(self.score["margin"]) - self.start - listed

    @property
    def start(self) -> float:
        """Margin of comparable rows, from which reasons differ; the base value in older models."""
        reference = self.score.get("reference_margin")
        return float(self.score["base_value"] if reference is None else reference)

    def place_of(self, tier: str) -> int:
        """Return the place of a tier, 0 for the lowest."""
        return [name for name, _ in self.tiers].index(tier)


def render_sheet(sheet: CaseSheet) -> str:
    """Write the sheet as HTML; every value is escaped, and nothing is fetched."""
    language = sheet.language

    def write(key: str, **values: object) -> str:
        return write_text("sheet", key, language, **values)

    return (
        template_environment()
        .get_template(_TEMPLATE)
        .render(
            sheet=sheet,
            running=f"{write('internal_short')} · {sheet.model} · {sheet.score['observation_id']}",
            page=write("page"),
            score=sheet.score,
            chinese=language == "zh",
            write=write,
            word={key: each[language] for key, each in WORDING["sheet"].items()},
            internal=WORDING["sheet"]["internal"],
            name=lambda group, value: name_value(group, value, language),
            unchecked=_unchecked(sheet.score["policy_unchecked"], language),
            bars=list(_waterfall(sheet)),
            drawings=[_draw(measure) for measure in sheet.measures],
            size=(_WIDTH, _HEIGHT),
            recent=RECENT,
            weeks=WEEKS,
        )
    )


def _unchecked(parts: str | None, language: Language) -> str:
    """Name the parts of a policy that could not be applied; see `Grades.unchecked`."""
    if parts is None:
        return ""
    named = []
    for part in parts.split("; "):
        kind = next((each for each in WORDING["unchecked"] if part.startswith(each)), "")
        named.append(name_value("unchecked", kind, language) + part.removeprefix(kind))
    return ("；" if language == "zh" else "; ").join(named)


def save_sheet(sheet: CaseSheet, path: Path) -> None:
    """Write the sheet to `path`, readable by its owner alone.

    Raises
    ------
    OutputError
        If the disk refuses; a file that was there before is untouched.
    """
    content = render_sheet(sheet).encode()
    write_whole(path, content)


def _waterfall(sheet: CaseSheet) -> Iterator[dict[str, Any]]:
    """Place each step from base to margin, in per cent of the drawing's width."""
    chinese = sheet.language == "zh"
    steps = [
        (
            reason.text_zh.split("：")[0] if chinese else reason.text.split(": ")[0],
            reason.contribution,
        )
        for reason in sheet.reasons
    ]
    steps.append((write_text("sheet", "rest", sheet.language), sheet.rest))
    base = sheet.start
    ends = list(accumulate((step for _, step in steps), initial=base))
    low, high = min(ends), max(ends)
    # a case without any contribution has no width to divide by
    scale = 100.0 / ((high - low) or 1.0)

    def at(value: float) -> float:
        return (value - low) * scale

    yield {"name": write_text("sheet", "start", sheet.language), "at": at(base), "total": base}
    for (name, step), before, after in zip(steps, ends[:-1], ends[1:], strict=True):
        left, right = sorted((at(before), at(after)))
        yield {"name": name, "left": left, "width": right - left, "step": step}
    yield {
        "name": write_text("sheet", "total", sheet.language),
        "at": at(ends[-1]),
        "total": float(sheet.score["margin"]),
    }


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:,.1f}" if value < 1000.0 else f"{value:,.0f}"


def _draw(measure: RecentMeasure) -> dict[str, Any]:
    """Place the bars, the peers' band and the line of the earlier weeks in the drawing."""
    known = np.nan_to_num(measure.weekly)
    others = [v for v in (measure.peers_high, measure.before) if not np.isnan(v)]
    top = max([float(known.max()), *others]) or 1.0
    step = _WIDTH / WEEKS

    def height(value: float) -> float:
        return _HEIGHT * value / top

    band = None
    if not np.isnan(measure.peers_high):
        band = (
            _HEIGHT - height(measure.peers_high),
            height(measure.peers_high - measure.peers_low),
        )
    return {
        "measure": measure,
        "bars": [
            {
                "x": number * step + 1.0,
                "y": _HEIGHT - height(value),
                "width": step - 2.0,
                "height": height(value),
                "recent": number >= WEEKS - RECENT,
                "start": measure.starts[number],
                "value": value,
            }
            for number, value in enumerate(measure.weekly)
            if not np.isnan(value)
        ],
        "band": band,
        "line": None if np.isnan(measure.before) else _HEIGHT - height(measure.before),
        "top": _number(top),
        "written": {
            name: _number(getattr(measure, name))
            for name in ("recent", "before", "peers_low", "peers_high")
        },
    }
