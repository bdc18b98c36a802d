"""What set each tier: the last step of the grading that changed it, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.decision.rating.rate import Rating, points_above
from kyc_ml.decision.tiers.calendar import decision_days
from kyc_ml.decision.tiers.history import Last
from kyc_ml.decision.tiers.overrides import Found
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import WHOLE, EnteredOverride
from kyc_ml.decision.wording import Pair, write_both
from kyc_ml.metrics import Floats, Ints, Names

STEPS: Final = ("model", "rating", "history", "override")
"""The steps of the grading, in their order."""

_ITEMS_SHOWN: Final = 3
"""Sub-items that a sentence names. Convention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """What the steps of n rows were made from.

    Attributes
    ----------
    proba : float64 array of shape (n,)
    rating : Rating or None
        None without an expert rating.
    last : Last or None
        The last reviews; None without hysteresis.
    found : tuple of (rows, override)
        The overrides in force.
    """

    proba: Floats
    rating: Rating | None
    last: Last | None
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The tiers of n rows after each step, as places in ``policy.tiers``.

    Attributes
    ----------
    model, of_score, before, tier : int64 arrays of shape (n,)
        See `kyc_ml.decision.tiers.grading.Grades`.
    segment : object array of shape (n,)
    rated : bool
        True where there is no model: the expert rating is the first step.
    """

    policy: TierPolicy
    model: Ints
    of_score: Ints
    before: Ints
    tier: Ints
    segment: Names
    causes: Causes
    rated: bool = False

    @property
    def last(self) -> Ints:
        """Return the place in `STEPS` of the last step that changed the tier, shape (n,).

        Where none did, the first step: the model, or the rating where there is no model.
        """
        after = (self.model, self.of_score, self.before, self.tier)
        step = np.full(self.tier.size, int(self.rated))
        for place in range(1 + self.rated, len(STEPS)):
            step[after[place] != after[place - 1]] = place
        return step

    def columns(self) -> dict[str, pa.Array]:
        """Return tier_set_by, and its sentence in English and Chinese, each of length n."""
        step = self.last
        texts = np.empty((2, step.size), dtype=object)
        for place, say in enumerate((self._model, self._rating, self._history, self._override)):
            rows = np.flatnonzero(step == place)
            if rows.size:
                texts[:, rows] = np.array(say(rows), dtype=object).T
        return {
            "tier_set_by": pa.array(np.array(STEPS, dtype=object)[step], pa.string()),
            "tier_set_by_text": pa.array(texts[0], pa.string()),
            "tier_set_by_text_zh": pa.array(texts[1], pa.string()),
        }

    def _name(self, place: int) -> Pair:
        rule = self.policy.tiers[place]
        return rule.name, rule.name_zh

    def _model(self, rows: Ints) -> list[Pair]:
        cuts = {name: self.policy.cut_offs(name) for name in (WHOLE, *self.policy.segment_names)}
        said = []
        for row in rows.tolist():
            segment, proba = self.segment[row], float(self.causes.proba[row])
            # the lowest tier has no cut-off of its own: the next one was not reached
            place = max(int(self.tier[row]), 1)
            cut = cuts[segment][place]
            close = f"{100 * proba:.4g}" == f"{100 * cut:.4g}" and proba != cut
            said.append(
                write_both(
                    "set_by",
                    "model" if self.tier[row] else "model_below",
                    proba=f"{100 * proba:.{17 if close else 4}g}%",
                    cut=f"{100 * cut:.4g}%",
                    tier=self._name(place),
                    segment=""
                    if segment == WHOLE
                    else write_both("set_by", "in_segment", segment=segment),
                )
            )
        return said

    def _rating(self, rows: Ints) -> list[Pair]:
        rating = self.causes.rating
        if rating is None:
            raise AssertionError  # without a rating it has changed no tier
        items, grades = rating.card.sub_items, rating.card.grades
        criteria = {rule.code: (rule.english, rule.chinese) for rule in rating.card.direct_highest}
        above = points_above(rating)
        said = []
        for row in rows.tolist():
            grade = grades[int(rating.grade[row])]
            most = np.argsort(-above[row], kind="stable")[:_ITEMS_SHOWN]
            listed = [(items[at], above[row, at]) for at in most.tolist() if above[row, at] > 0.0]
            named: Pair = (
                ", ".join(f"{item.english} {points:.1f}" for item, points in listed),
                "，".join(f"{item.chinese}{points:.1f}" for item, points in listed),
            )
            values: dict[str, Any] = {
                "grade": (grade.name, grade.name_zh),
                "score": f"{rating.score[row]:.1f}",
                "items": write_both("set_by", "items", items=named) if listed else "",
                "model": ""
                if self.rated
                else write_both("set_by", "model_alone", tier=self._name(int(self.model[row]))),
                "criterion": criteria.get(rating.direct[row], ("", "")),
            }
            said.append(
                write_both("set_by", "direct" if rating.direct[row] else "rating", **values)
            )
        return said

    def _history(self, rows: Ints) -> list[Pair]:
        last = self.causes.last
        if last is None:
            raise AssertionError  # without a history it has changed no tier
        since = pd.DatetimeIndex(last.since.view("datetime64[us]"), tz="UTC")
        days = decision_days(since, self.policy.calendar)
        return [
            write_both(
                "set_by",
                "history",
                tier=self._name(int(self.tier[row])),
                earlier=self._name(int(last.before[row])),
                since=str(days[row]),
                score=self._name(int(self.of_score[row])),
            )
            for row in rows.tolist()
        ]

    def _override(self, rows: Ints) -> list[Pair]:
        """Name the override that gave the tier: a floor of this tier before a fixed one."""
        names = self.policy.tier_names
        texts: dict[int, tuple[int, int]] = {}
        for number, (there, override) in enumerate(self.causes.found):
            given = names.index(str(override.floor or override.tier))
            for row in there[self.tier[there] == given].tolist():
                texts[row] = min(texts.get(row, (2, 0)), (int(override.floor is None), number))
        return [self._say_override(row, texts[row][1]) for row in rows.tolist()]

    def _say_override(self, row: int, number: int) -> Pair:
        override = self.causes.found[number][1]
        reason: Pair | str = (
            override.reason
            if isinstance(override, EnteredOverride)
            else (override.english, override.chinese)
        )
        return write_both(
            "set_by",
            "override_tier" if override.floor is None else "override_floor",
            code=override.code,
            reason=reason,
            tier=self._name(int(self.tier[row])),
            before=self._name(int(self.before[row])),
            source=override.source,
            until=str(override.expiry - timedelta(days=1)),
            approver=override.approver,
        )
