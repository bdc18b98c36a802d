"""Is the level of the probabilities still right? Evidence that grows as outcomes mature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml import metrics
from kyc_ml.monitoring.outcomes import SENTENCES, KnownOutcomes
from kyc_ml.monitoring.signals import Severity, Signal
from kyc_ml.validation import name_value

_YEAR: Final = 365.0
_ENOUGH: Final = 10.0
"""Expected positives after an alarm from which on a level inside the margin closes it."""
_PATH: Final = (
    "family", "subject", "day", "rows", "positives", "expected", "evidence", "evidence_margin",
    "alarm",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPolicy:
    """When evidence becomes a signal."""

    false_alarms: float = 1.0
    """Mean number of false alarms allowed in 365 days of each family (all, tier, segment)."""
    margin: float = 0.25
    """A level within ``[1 / (1 + margin), 1 + margin]`` times the predicted one does no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFound:
    """Signals of the level, and the evidence of each day."""

    signals: tuple[Signal, ...]
    """Those open at the end, level.all, level.tier and level.segment, with an estimate of the level
    beyond the margin. Warning: evidence that the probabilities are wrong; critical: evidence that
    the level itself is beyond the margin."""
    path: pd.DataFrame
    """One row a family, subject and day on which windows closed: family, subject, day (ISO), rows,
    positives, expected, evidence (over its limit), evidence_margin (the same for a level beyond the
    margin), alarm (whether evidence reached its limit on that day)."""


def level_signals(outcomes: KnownOutcomes, policy: LevelPolicy | None = None) -> LevelFound:
    """Test the probabilities of all rows, each tier and each segment, in order of maturity.

    A row counts on the day its window closes, with what was known then: positives that are
    reported early do not make the evidence grow early, and late ones count as negative. A
    subject's day without rows does not count. Evidence of a subject begins again at an alarm.
    """
    policy = policy or LevelPolicy()
    used = np.flatnonzero(outcomes.closed)
    rows = outcomes.rows.iloc[used]
    frame = pd.DataFrame(
        {
            "day": outcomes.closes.iloc[used].dt.tz_convert(outcomes.timezone).dt.normalize(),
            "target": outcomes.target_at_close[used],
            "proba": rows["probability"],
            "customer": outcomes.customers[used],
            "tier": rows["tier"],
            "segment": rows["segment"],
        }
    )
    found = []
    for family in ("all", "tier", "segment"):
        names = frame[family] if family != "all" else pd.Series("", index=frame.index)
        parts = sorted(names.unique())
        # one segment is the whole: a second alarm of it would say nothing new
        if family == "segment" and len(parts) < 2:
            continue
        limit = len(parts) * _YEAR / policy.false_alarms
        found += [_Subject.of(frame[names == each], family, each, policy, limit) for each in parts]
    signals = [each.signal(outcomes, policy) for each in found]
    paths = [each.path for each in found]
    return LevelFound(
        signals=tuple(each for each in signals if each is not None),
        path=pd.concat(paths, ignore_index=True) if paths else pd.DataFrame(columns=list(_PATH)),
    )


@dataclass(frozen=True, slots=True)
class _Subject:
    """The rows of one subject in order of maturity, and their evidence."""

    family: str
    name: str
    rows: pd.DataFrame
    day: metrics.Ints
    log_values: metrics.Floats
    beyond: metrics.Mask
    path: pd.DataFrame

    @classmethod
    def of(
        cls, rows: pd.DataFrame, family: str, name: str, policy: LevelPolicy, limit: float
    ) -> _Subject:
        day, days = pd.factorize(rows["day"], sort=True)
        target, proba = rows["target"].to_numpy(), rows["proba"].to_numpy(np.float64)
        groups = rows["customer"].to_numpy(np.int64)
        both = [
            metrics.level_evidence(target, proba, day=day, groups=groups, margin=margin)
            for margin in (0.0, policy.margin)
        ]
        changed, beyond = (metrics.detect_change(each, limit=limit) for each in both)
        path = pd.DataFrame(
            {
                "family": family,
                "subject": name,
                "day": pd.DatetimeIndex(days).strftime("%Y-%m-%d"),
                "rows": np.bincount(day),
                "positives": np.bincount(day, weights=target).astype(np.int64),
                "expected": np.bincount(day, weights=proba),
                # evidence of many orders of magnitude is not a number to read
                "evidence": np.exp(np.minimum(changed.evidence, 50.0)),
                "evidence_margin": np.exp(np.minimum(beyond.evidence, 50.0)),
                "alarm": changed.alarm,
            }
        )
        return cls(family, name, rows, day, both[0], beyond.alarm, path)

    def open_alarm(self, margin: float) -> int | None:
        """Return the day of the first alarm since which the level was never right again."""
        positives = self.path["positives"].to_numpy(np.float64)
        expected = self.path["expected"].to_numpy()
        alarm, first = self.path["alarm"].to_numpy(), None
        seen = due = 0.0
        for day in range(alarm.size):
            if first is not None:
                seen, due = seen + positives[day], due + expected[day]
                if due >= _ENOUGH and 1.0 / (1.0 + margin) <= seen / due <= 1.0 + margin:
                    first = None
            if alarm[day] and first is None:
                first, seen, due = day, 0.0, 0.0
        return first

    def signal(self, outcomes: KnownOutcomes, policy: LevelPolicy) -> Signal | None:
        """Return the open signal of the subject, with the present factor; None without one."""
        alarm = self.open_alarm(policy.margin)
        if alarm is None:
            return None
        began = metrics.change_began(self.log_values, alarm=alarm)
        recent = self.rows[self.day >= began]
        _, groups = np.unique(recent["customer"], return_inverse=True)
        found = metrics.observed_over_expected(
            recent["target"].to_numpy(), recent["proba"].to_numpy(np.float64), groups
        )
        if 1.0 / (1.0 + policy.margin) <= found.ratio <= 1.0 + policy.margin:
            return None  # the level has changed, and does no harm
        guarantee = SENTENCES["level_guarantee"].fill(
            false_alarms=policy.false_alarms,
            margin=policy.margin,
            family=SENTENCES[f"family_{self.family}"],
        )
        text = SENTENCES["level_low" if found.ratio > 1.0 else "level_high"].fill(
            subject=SENTENCES[f"subject_{self.family}"].fill(name=name_value(self.name)),
            positives=int(recent["target"].sum()),
            expected=float(recent["proba"].sum()),
            rows=len(recent),
            since=str(self.path["day"].iloc[began]),
            day=str(self.path["day"].iloc[alarm]),
            ratio=found.ratio,
            low=found.low,
            high=found.high,
        )
        return Signal(
            code=f"level.{self.family}",
            model=outcomes.name,
            day=str(self.path["day"].iloc[alarm]),
            subject=self.name,
            severity=Severity.CRITICAL if self.beyond[alarm:].any() else Severity.WARNING,
            value=found.ratio,
            limit=1.0 + policy.margin if found.ratio > 1.0 else 1.0 / (1.0 + policy.margin),
            text=text.en,
            text_zh=text.zh,
            guarantee=guarantee.en,
            guarantee_zh=guarantee.zh,
        )
