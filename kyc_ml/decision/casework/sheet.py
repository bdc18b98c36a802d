"""The case sheet: one self-contained page on one scored observation, for the analyst alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.decision.casework.recent import RECENT, WEEKS, RecentMeasure
from kyc_ml.display import template_environment
from kyc_ml.storage import written_whole

_TEMPLATE: Final = "case_sheet.html.j2"
_WIDTH: Final = 520.0
_HEIGHT: Final = 110.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonRow:
    """One reason: all features of one code.

    Attributes
    ----------
    value, peer_median : str
        In words, with unit.
    percentile : float or None
        Place of the value among the peers, 0 to 1.
    contribution : float
        Log-odds.
    share : float
        Of the sum of all reasons' sizes, 0 to 1.
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
    """What would lower the tier: lines in both languages, or why nothing does."""

    lines: tuple[tuple[str, str], ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSheet:
    """All that the sheet tells.

    Attributes
    ----------
    tiers : tuple of (name, name in Chinese)
        The policy's, lowest first.
    score : mapping
        The row of the score table.
    peers : str
        Whose values the customer's are held against.
    reasons : tuple of ReasonRow
        The strongest first; what is not listed is summed up as the rest.
    overrides : tuple of mapping
        In force: code, gives, reason, source, until, approver.
    history : tuple of (Timestamp, tier before overrides, tier of the score)
        Earlier reviews, the oldest first.
    """

    model: str
    tiers: tuple[tuple[str, str], ...]
    score: Mapping[str, Any]
    peers: str
    reasons: tuple[ReasonRow, ...]
    lowering: Counterfactual
    measures: tuple[RecentMeasure, ...]
    overrides: tuple[Mapping[str, str], ...]
    history: tuple[tuple[pd.Timestamp, str, str], ...]

    @property
    def rest(self) -> float:
        """Sum of the contributions of all reasons not listed."""
        listed = sum(reason.contribution for reason in self.reasons)
        return float(self.score["margin"] - self.score["base_value"] - listed)

    def place_of(self, tier: str) -> int:
        """Place of a tier, 0 for the lowest."""
        return [name for name, _ in self.tiers].index(tier)


def render_sheet(sheet: CaseSheet) -> str:
    """Write the sheet as HTML; every value is escaped, and nothing is fetched."""
    template = template_environment().get_template(_TEMPLATE)
    return template.render(
        sheet=sheet,
        score=sheet.score,
        bars=list(_waterfall(sheet)),
        drawings=[_draw(measure) for measure in sheet.measures],
        size=(_WIDTH, _HEIGHT),
        recent=RECENT,
        weeks=WEEKS,
    )


def save_sheet(sheet: CaseSheet, path: Path) -> None:
    """Write the sheet to `path`, readable by its owner alone.

    Raises
    ------
    OutputError
        If the disk refuses; a file that was there before is untouched.
    """
    content = render_sheet(sheet).encode()
    with written_whole(path) as handle:
        handle.write(content)


def _waterfall(sheet: CaseSheet) -> Iterator[dict[str, Any]]:
    """Give each step from base to margin its place, in per cent of the drawing's width."""
    steps = [(reason.text.split(": ")[0], reason.contribution) for reason in sheet.reasons]
    steps.append(("all other reasons together", sheet.rest))
    base = float(sheet.score["base_value"])
    ends = list(accumulate((step for _, step in steps), initial=base))
    low, high = min(ends), max(ends)
    scale = 100.0 / ((high - low) or 1.0)

    def at(value: float) -> float:
        return (value - low) * scale

    yield {"name": "start: what the model expects of anybody", "at": at(base), "total": base}
    for (name, step), before, after in zip(steps, ends[:-1], ends[1:], strict=True):
        left, right = sorted((at(before), at(after)))
        yield {"name": name, "left": left, "width": right - left, "step": step}
    yield {"name": "log-odds in all", "at": at(ends[-1]), "total": float(sheet.score["margin"])}


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:,.1f}" if value < 1000.0 else f"{value:,.0f}"


def _draw(measure: RecentMeasure) -> dict[str, Any]:
    """Give the bars, the peers' band and the line of the weeks before their places."""
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
        "said": {
            name: _number(getattr(measure, name))
            for name in ("recent", "before", "peers_low", "peers_high")
        },
    }
