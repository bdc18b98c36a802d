"""What monitoring knows of one model: its nights, outcomes, challengers, and all signals."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.contract import ContractedTables
from kyc_ml.errors import KycMlError
from kyc_ml.features import OBSERVATION_ID
from kyc_ml.monitoring.challenge import ChallengerEvidence, compare_challenger
from kyc_ml.monitoring.estimates import coverage_signals, estimates_by_period
from kyc_ml.monitoring.level import LevelFound, level_signals
from kyc_ml.monitoring.nights import list_days
from kyc_ml.monitoring.outcomes import KnownOutcomes, read_outcomes
from kyc_ml.monitoring.performance import performance_by_month
from kyc_ml.monitoring.signals import Signal
from kyc_ml.registry import Bundle
from kyc_ml.scoring import read_scores, shadows_of
from kyc_ml.validation import Text

FIGURES: Final = ("o_e", "auc", "average_precision", "recall_at_capacity")
"""Figures of performance, as `performance_by_month` names them."""
SWAPPED: Final = 28
"""Newest nights whose swap set is counted. Convention: four weeks."""
_SEEN: Final = (OBSERVATION_ID, "tier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenger:
    """A challenger in the shadow of a model."""

    label: str
    """Name of its folders."""
    nights: int
    """Nights that it scored beside the published model."""
    swap: pd.DataFrame
    """One row a tier, lowest first: tier, champion, challenger (rows), enters, leaves (rows that
    only one of them has there), a night on average over the newest 28 common nights."""
    evidence: ChallengerEvidence | None = None
    """None without outcomes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One model in monitoring."""

    name: str
    nights: pd.DataFrame
    """As `NightsRecord.nights` gives them."""
    bundle: Bundle | None
    """Of the last night; None if it cannot be loaded."""
    signals: tuple[Signal, ...] = ()
    """Of the level and the estimates of this model."""
    months: pd.DataFrame | None = None
    estimates: pd.DataFrame | None = None
    """`months` and `estimates`: see `performance_by_month` and `estimates_by_period`; None without
    outcomes."""
    level: LevelFound | None = None
    moved: pd.DataFrame = field(default_factory=pd.DataFrame)
    """See `feature_moves`."""
    challengers: tuple[Challenger, ...] = ()
    remarks: tuple[Text, ...] = ()
    """What was left out, and why."""

    @property
    def last(self) -> pd.Series | None:
        """The newest night; None without one."""
        return None if self.nights.empty else self.nights.iloc[-1]

    @property
    def day(self) -> str:
        """Day of the newest night; '' without one."""
        return "" if self.last is None else str(self.last["day"])

    @property
    def tiers(self) -> tuple[str, ...]:
        """Names of the tiers, lowest first; without the bundle by their mean probability."""
        if self.bundle is not None:
            return tuple(self.bundle.policy.tier_names)
        known = [each for each in self.nights["detail"] if each.get("tiers")]
        rows: dict[str, int] = known[-1]["tiers"] if known else {}
        expected = known[-1].get("expected", {}) if known else {}
        return tuple(sorted(rows, key=lambda name: expected.get(name, 0.0) / max(rows[name], 1)))

    def days_without(self) -> list[str]:
        """List the days between the first night and the last one that no run has."""
        there = set(self.nights["day"])
        return [day for day in list_days(there) if day not in there]


def with_outcomes(each: Watched, found: KnownOutcomes, *, per_day: float) -> Watched:
    """Add level, performance, estimates and their signals.

    `per_day`: reviews a day, for the recall at capacity.
    """
    level = level_signals(found)
    estimates = estimates_by_period(found, per_day=per_day)
    signals = (*level.signals, *coverage_signals(estimates, model=found.name, day=each.day))
    return replace(
        each,
        level=level,
        estimates=estimates,
        months=performance_by_month(found, per_day=per_day),
        signals=(*each.signals, *signals),
        remarks=(*each.remarks, *found.remarks),
    )


def watch_challengers(
    out: Path,
    name: str,
    *,
    tiers: Sequence[str],
    champion: KnownOutcomes | None,
    tables: ContractedTables | None,
    bundle: Bundle | None,
) -> tuple[Challenger, ...]:
    """Compare each challenger with the model in whose shadow it scored.

    `champion`: outcomes of the published scores; None counts the swap set alone.
    """
    found = []
    for label, pairs in sorted(shadows_of(out, name).items()):
        evidence = None
        if champion is not None and tables is not None and bundle is not None:
            folder = f"{name}.shadow/{label}"
            run, as_of = bundle.config, champion.as_of
            rival = read_outcomes(out, folder, tables=tables, run=run, as_of=as_of)
            evidence = compare_challenger(champion, rival)
        swap = count_swaps(pairs[-SWAPPED:], tiers)
        found.append(Challenger(label=label, nights=len(pairs), swap=swap, evidence=evidence))
    return tuple(found)


def count_swaps(pairs: Sequence[tuple[Path, Path]], tiers: Sequence[str]) -> pd.DataFrame:
    """Count by tier the rows that only one of two models has there; see `Challenger.swap`.

    `pairs`: sequence of (champion's folder, challenger's folder); the same nights.
    """
    count = np.zeros((4, len(tiers)))
    for ours, theirs in pairs:
        old = read_scores(ours, columns=_SEEN).set_index(OBSERVATION_ID)["tier"]
        new = read_scores(theirs, columns=_SEEN).set_index(OBSERVATION_ID)["tier"]
        new = new.reindex(old.index)
        for place, tier in enumerate(tiers):
            was, is_ = (old == tier).to_numpy(), (new == tier).to_numpy()
            count[:, place] += was.sum(), is_.sum(), (is_ & ~was).sum(), (was & ~is_).sum()
    named = ("champion", "challenger", "enters", "leaves")
    nights = max(len(pairs), 1)
    return pd.DataFrame({"tier": list(tiers), **dict(zip(named, count / nights, strict=True))})


def say_fault(error: KycMlError) -> Text:
    """Return the message of an error as a remark; errors are in English alone."""
    first = str(error).partition("\n")[0]
    return Text(en=first, zh=first)
