"""The case sheet: one self-contained page about one scored observation, for analysts only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import pandas as pd

from kyc_ml.config import Unit
from kyc_ml.decision.casework.evidence import DAYS, Evidence
from kyc_ml.decision.casework.known import Fact
from kyc_ml.decision.casework.recent import RECENT, WEEKS, RecentMeasure
from kyc_ml.decision.wording import WORDING, Language, Pair, name_grade, name_value, write_text
from kyc_ml.display import Drawing, template_environment
from kyc_ml.storage import write_whole

_TEMPLATE: Final = "case_sheet.html.j2"
_CASES: Final = 10
"""Cases that are listed; further ones are counted (convention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonRow:
    """One reason: a group of features; its name and its text are in the language of the sheet."""

    code: str
    name: str
    text: str
    percentile: float | None
    """Place of the value among the peers, 0 to 1."""
    contribution: float
    """Log-odds."""
    rows: tuple[Evidence, ...] = ()
    """What the feature of the sentence was computed from."""
    same_rows: int = 0
    """Number of the earlier reason with the same rows; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterfactual:
    """What would lower the tier: the changes and a note, or why nothing does; both languages."""

    lines: tuple[Pair, ...]
    note: Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternPart:
    """A pattern seen in the payments, in the language of the sheet, with its rows."""

    name: str
    text: str
    rows: Evidence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payments:
    """Pictures of the customer's payments, each for a wide and a narrow screen."""

    timeline: tuple[Drawing, ...] = ()
    flow: tuple[Drawing, ...] = ()
    """`timeline` and `flow`: empty without a payment."""
    period: str = ""
    """Which payments the flow shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OddsScale:
    """The scale of log-odds that all cases of a model share."""

    low: float
    high: float
    """`low` and `high`: ends of the scale."""
    cut_offs: tuple[tuple[int, float, float], ...]
    """Tuple of (place of a tier, its least probability, the margin that gives it); ascending, minus
    infinity for one that every margin reaches; a tier that none reaches is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSheet:
    """The content of the sheet; texts are in its language."""

    language: Language
    """{'en', 'zh'}; language of the page."""
    unit: Unit
    """{'fraud', 'risk'}; what the tier is about."""
    model: str
    tiers: tuple[Pair, ...]
    """Tuple of (name, name in Chinese); the policy's, lowest first."""
    score: Mapping[str, Any]
    """The row of the score table."""
    since: date | None
    """Since when the customer has had the tier without interruption; None if this is the first
    decision with it."""
    expert_grade: str
    """Grade of the expert rating; empty without one."""
    rating: tuple[tuple[str, str, float, float], ...]
    """Tuple of (sub-item, value, points, points above the lowest); of the expert rating, if it
    moved the tier: most points above the lowest first."""
    peers: str
    """Whose values the customer's are compared with."""
    payment: tuple[Fact, ...]
    """The payment itself; empty for a review."""
    who: tuple[Fact, ...]
    cases: tuple[Mapping[str, str], ...] | None
    """Tuple of mapping, or None; see `known_cases`."""
    patterns: tuple[PatternPart, ...]
    """Seen in the payments, the published one first."""
    reasons: tuple[ReasonRow, ...]
    """In the order of the score table, empty where nothing stands out; those not listed are summed
    up as the rest."""
    payments: Payments
    scale: OddsScale
    lowering: Counterfactual
    measures: tuple[RecentMeasure, ...]
    measured: str
    """Whom the measures compare the customer with."""
    overrides: tuple[Mapping[str, str], ...]
    """In force: code, gives, reason, source, until, approver."""
    history: tuple[tuple[pd.Timestamp, str, str], ...]
    """Tuple of (Timestamp, tier before overrides, tier of the score); earlier reviews, the oldest
    first."""

    @property
    def start(self) -> float:
        """The margin of comparable observations; the model's base value if it is not known."""
        reference = self.score.get("reference_margin")
        return float(self.score["base_value"] if reference is None else reference)

    @property
    def rest(self) -> float:
        """Sum of the contributions of all reasons that are not listed."""
        listed = sum(reason.contribution for reason in self.reasons)
        return float(self.score["margin"] - self.start - listed)

    def place_of(self, tier: str) -> int:
        """Return the place of a tier, 0 for the lowest."""
        return [name for name, _ in self.tiers].index(tier)

    def name_tier(self, place: int) -> str:
        """Name a tier for people."""
        english, chinese = self.tiers[place]
        return chinese if self.language == "zh" else name_grade(english)


def render_sheet(sheet: CaseSheet) -> str:
    """Write the sheet as HTML; every value is escaped, and nothing is fetched."""
    language, score = sheet.language, sheet.score

    def write(key: str, **values: object) -> str:
        return write_text("sheet", key, language, **values)

    hidden = len(sheet.cases or ()) - _CASES
    subject = score["observation_id" if sheet.unit == "fraud" else "customer_id"]
    return (
        template_environment()
        .get_template(_TEMPLATE)
        .render(
            sheet=sheet,
            score=score,
            subject=subject,
            running=f"{write('internal_short')} · {sheet.model} · {score['observation_id']}",
            page=write("page"),
            set_by=score.get("tier_set_by_text" + ("_zh" if language == "zh" else "")),
            nothing=write_text("reason", "nothing", language),
            write=write,
            word={key: each[language] for key, each in WORDING["sheet"].items()},
            name=lambda group, value: name_value(group, value, language),
            unchecked=_unchecked(score["policy_unchecked"], language),
            steps=list(_steps(sheet)),
            bands=list(_bands(sheet)),
            recent=RECENT,
            weeks=WEEKS - RECENT,
            days=DAYS,
            most_cases=_CASES,
            more_cases=write_text("rows", "more", language, n=hidden) if hidden > 0 else "",
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

    Raises OutputError if the disk refuses; a file that was there before is untouched.
    """
    content = render_sheet(sheet).encode()
    write_whole(path, content)


def _steps(sheet: CaseSheet) -> Iterator[dict[str, Any]]:
    """Place each step from start to margin on the scale, in per cent of its width."""
    language = sheet.language
    named = [(each.name, each.contribution) for each in sheet.reasons]
    named.append((write_text("sheet", "rest", language), sheet.rest))
    ends = list(accumulate((step for _, step in named), initial=sheet.start))
    first = "start" if sheet.score.get("reference_margin") is None else "comparable"
    yield {
        "name": write_text("sheet", first, language, peers=sheet.peers),
        "at": _on_scale(sheet.scale, sheet.start),
        "total": sheet.start,
    }
    for (name, step), before, after in zip(named, ends[:-1], ends[1:], strict=True):
        left, right = sorted(_on_scale(sheet.scale, each) for each in (before, after))
        yield {"name": name, "left": left, "width": right - left, "step": step}
    yield {
        "name": write_text("sheet", "total", language),
        "at": _on_scale(sheet.scale, ends[-1]),
        "total": float(sheet.score["margin"]),
    }


def _on_scale(scale: OddsScale, margin: float) -> float:
    """Return a place in per cent; a margin beyond an end is drawn at it."""
    share = (margin - scale.low) / (scale.high - scale.low)
    return round(100.0 * min(max(share, 0.0), 1.0), 2)


def _bands(sheet: CaseSheet) -> Iterator[dict[str, Any]]:
    """Place the tiers of the probability on the scale."""
    cut_offs = [(0, 0.0, sheet.scale.low), *sheet.scale.cut_offs]
    ends = [*(_on_scale(sheet.scale, margin) for _, _, margin in cut_offs[1:]), 100.0]
    for (place, proba, margin), right in zip(cut_offs, ends, strict=True):
        left = _on_scale(sheet.scale, margin)
        if right <= left:  # no probability is so low
            continue
        yield {
            "left": left,
            "right": right,
            "level": round(4 * place / max(len(sheet.tiers) - 1, 1)),
            "name": sheet.name_tier(place),
            "proba": proba,
            "margin": margin,
        }
