"""Compare a report with that of the previous version."""

from collections.abc import Iterator
from dataclasses import dataclass

from kyc_ml.validation.check import Check
from kyc_ml.validation.report.numbers import write_day
from kyc_ml.validation.result import Figure, Finding, Report, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFigure:
    """A figure in both reports."""

    check: Check
    before: Figure
    now: Figure
    beyond_chance: bool
    """Whether each value is outside the other's interval; False if one has no interval."""
    headline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs between two reports."""

    facts: tuple[tuple[str, str, str], ...]
    """Tuple of (key, before, now); changed facts of the model, its data and the policy; keys are
    those of ``words.yaml``."""
    figures: tuple[ChangedFigure, ...]
    """Key figures, and figures with a significant change."""
    verdicts: tuple[tuple[Check, Verdict, Verdict], ...]
    new: tuple[Finding, ...]
    gone: tuple[Finding, ...]
    """`new` and `gone`: findings whose id is only in the later, or only in the earlier report."""
    comparable: bool


def find_changes(before: Report, now: Report) -> Changes:
    """Compare a report with that of the previous version, by the checks that are in both."""
    earlier = {result.check.id: result for result in before.results}
    known = {finding.id for finding in before.findings}
    remaining = {finding.id for finding in now.findings}
    return Changes(
        facts=tuple(_facts(before, now)),
        figures=tuple(_figures(before, now)),
        verdicts=tuple(
            (result.check, earlier[result.check.id].verdict, result.verdict)
            for result in now.results
            if result.check.id in earlier and earlier[result.check.id].verdict != result.verdict
        ),
        new=tuple(finding for finding in now.findings if finding.id not in known),
        gone=tuple(finding for finding in before.findings if finding.id not in remaining),
        comparable=before.policy.digest == now.policy.digest,
    )


def _facts(before: Report, now: Report) -> Iterator[tuple[str, str, str]]:
    pairs = {
        "version": (before.model.version, now.model.version),
        "bundle": (before.model.digest[:12], now.model.digest[:12]),
        "known_until": (
            write_day(before.model.known_until, before),
            write_day(now.model.known_until, now),
        ),
        "features": (str(before.model.features), str(now.model.features)),
        "trees": (str(before.model.trees), str(now.model.trees)),
        "tier_policy": (before.model.policy, now.model.policy),
        "as_of": (write_day(before.as_of, before), write_day(now.as_of, now)),
        "data": (before.data.digest[:12], now.data.digest[:12]),
        "gates": (
            f"{before.policy.name} v{before.policy.version} ({before.policy.digest[:12]})",
            f"{now.policy.name} v{now.policy.version} ({now.policy.digest[:12]})",
        ),
    }
    for key, (was, is_now) in pairs.items():
        if was != is_now:
            yield key, was, is_now


def _figures(before: Report, now: Report) -> Iterator[ChangedFigure]:
    earlier = {
        (result.check.id, figure.name): figure
        for result in before.results
        for figure in result.figures
    }
    for result in now.results:
        for figure in result.figures:
            key = (result.check.id, figure.name)
            was = earlier.get(key)
            if was is None or was.about != figure.about:
                continue
            moved = _outside(was, figure) and _outside(figure, was)
            headline = key in now.headline
            if moved or headline:
                yield ChangedFigure(
                    check=result.check, before=was, now=figure, beyond_chance=moved,
                    headline=headline,
                )  # fmt: skip


def _outside(one: Figure, other: Figure) -> bool:
    if one.value is None or other.low is None or other.high is None:
        return False
    return not other.low <= one.value <= other.high
