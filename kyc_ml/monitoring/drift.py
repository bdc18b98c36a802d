"""Drift over nights: what has moved, since when, named by its likeliest cause, ranked by effect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.contract import ACCOUNTS, CASES, CUSTOMERS
from kyc_ml.features import columns_of_spec
from kyc_ml.metrics import ALARM, AnyArray, Change, Changes, Floats
from kyc_ml.model import PROBABILITY
from kyc_ml.monitoring.figures import (
    CATEGORIES,
    FEATURES,
    LATENESS,
    MAGNITUDE,
    MISSING,
    QUARANTINE,
    SCORE,
    SCORED,
    TIERS,
    UNKNOWN,
    VOLUMES,
    Block,
    Figures,
    day_shares,
    figures_of_model,
    figures_of_tables,
)
from kyc_ml.monitoring.found import TEXTS, Finding
from kyc_ml.monitoring.night_signals import (
    find_gaps,
    findings_of_nights,
    findings_of_replays,
    name_mixture,
    name_quarantine,
)
from kyc_ml.monitoring.nights import NightsRecord
from kyc_ml.monitoring.signals import Signal
from kyc_ml.registry import Bundle

_GONE, _ADDED = 0.5, 1.05
"""Times the predicted rows below which a table is not delivered, or above which customers were
added. Conventions."""
_CODES: Final = {
    SCORE: "drift.score", FEATURES: "drift.feature", TIERS: "drift.tier",
    UNKNOWN: "data.new_category", SCORED: "drift.volume", VOLUMES: "drift.volume",
    LATENESS: "data.late", QUARANTINE: "data.quarantine", MAGNITUDE: "data.unit",
}  # fmt: skip
_FIRST: Final = (
    *("labels.stopped", "data.population", "data.stale", "data.repeated", "data.clock"),
    *("data.unit", "data.recoded", "data.new_category", "data.empty", "data.incomplete"),
    *("data.late", "data.quarantine", "drift.missing", "drift.category", "drift.volume"),
    *("score.wave", "drift.score", "drift.feature", "drift.tier"),
)
"""Codes in the order in which one explains another of the same nights."""
_WIDE: Final = {"data.population", "data.clock", "data.repeated", "data.stale"}
"""Codes that move more than their own table."""
_NIGHTS_BACK: Final = 2
_BEFORE, _AFTER = 91, 7
"""Nights of the two distributions that are compared. Convention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightsDrift:
    """What has moved in a record of nights."""

    signals: tuple[Signal, ...]
    """In order of their days; each change once, on the night that raised it."""
    table: pd.DataFrame
    """One row for each of them: day, since, model, code, family, subject, features (tuple, the
    strangest first), value (evidence), key of the signal and of its cause."""


def find_drift(
    record: NightsRecord, bundles: Mapping[str, Bundle], *, since: str = ""
) -> NightsDrift:
    """Find what has moved in the tables and models of a record.

    `bundles`: mapping of model to Bundle; for the effect on the score; a model without one is
    watched too.
    `since`: first night to read, an ISO date. The first 60 nights raise little: they are learned
    from.
    """
    nights = record.nights(since=since)
    found = list(findings_of_nights(nights))
    tables = figures_of_tables(record, since=since)
    changes = tables.changes()
    details: dict[str, list[Mapping[str, Any]]] = {}
    for day, detail in zip(nights["day"], nights["detail"], strict=True):
        if detail.get("tables"):
            details.setdefault(day, []).append(detail["tables"])
    found += [_of_tables(each, tables, changes, details) for each in changes.alarms]
    for model in record.models():
        figures = figures_of_model(record, model, since=since)
        changes = figures.changes()
        bundle = bundles.get(model)
        found += [_of_model(model, bundle, each, figures, changes) for each in changes.alarms]
    linked = [*_linked(found, bundles), *find_gaps(record.nights(since=since, every_run=True))]
    linked += findings_of_replays(record.replays(since=since))
    linked.sort(key=lambda each: (each.day, each.model, each.code, each.subject))
    signals = tuple(each.signal() for each in linked)
    columns = ["day", "since", "model", "code", "family", "subject", "features", "value"]
    rows = [
        [*(getattr(each, name) for name in columns), signal.key, each.cause]
        for each, signal in zip(linked, signals, strict=True)
    ]
    return NightsDrift(
        signals=signals,
        table=pd.DataFrame(rows, columns=[*columns, "key", "cause"]),
    )


def feature_moves(
    record: NightsRecord, model: str, bundle: Bundle | None, *, day: str | None = None
) -> pd.DataFrame:
    """Compare the features of the last nights with the nights before, and rank them.

    `day`: last night to compare; by default the last one of the bundle.
    Returns feature; moved (share of the rows that would need another bin, 0 to 1); effect (mean
    change of the log-odds of a usual row, NaN without a bundle); before and after (float arrays,
    shares by bin of 91 nights and of the last 7); labels of the bins. The largest effect first.
    """
    since = "" if day is None else (pd.Timestamp(day) - pd.Timedelta(days=365)).strftime("%Y-%m-%d")
    profiles = record.profiles(model, since=since)
    last = len(profiles.days) if day is None else sum(each <= day for each in profiles.days)
    rows = []
    for name, counts in profiles.counts.items():
        known = np.where(counts < 0, 0, counts)
        before = known[max(last - _BEFORE - _AFTER, 0) : max(last - _AFTER, 0)].sum(axis=0)
        after = known[max(last - _AFTER, 0) : last].sum(axis=0)
        if name == PROBABILITY or not (before.sum() and after.sum()):
            continue
        one, two = before / before.sum(), after / after.sum()
        effect = np.nan if bundle is None else effect_on_score(bundle, name, one, two)
        bins = None if bundle is None or bundle.profile is None else bundle.profile.bins.get(name)
        labels = () if bins is None else bins.labels
        rows.append((name, 0.5 * np.abs(two - one).sum(), effect, one, two, labels))
    frame = pd.DataFrame(
        rows, columns=["feature", "moved", "effect", "before", "after", "labels"]
    ).astype({"moved": "float64", "effect": "float64"})
    size = frame["effect"].abs().fillna(0.0)
    order = frame.assign(size=size).sort_values(["size", "moved"], ascending=False, kind="stable")
    return order.drop(columns="size").reset_index(drop=True)


def effect_on_score(bundle: Bundle, feature: str, before: Floats, after: Floats) -> float:
    """Return how far moved shares of a feature move the margin of a usual row, in log-odds.

    All other features have their median or commonest value, so effects that depend on two
    features together are left out. NaN if the bundle does not have the feature in its profile.

    `before`, `after`: float64 arrays of shape (bins,); shares in the bins of the bundle's profile,
    the first of them for missing values.
    """
    profile = bundle.profile
    if profile is None or feature not in profile.bins or feature not in bundle.model.feature_names:
        return float("nan")
    bins, usual = profile.bins[feature], _usual_row(bundle)
    place = bundle.model.feature_names.index(feature)
    if bins.category:
        known = bundle.vocabularies.get(feature, ())
        codes = [known.index(cut) if cut in known else np.nan for cut in bins.cuts]
        values = [np.nan, *codes, np.nan]
    else:
        grid = bundle.reference.quantiles.get(feature)
        top = np.nan if grid is None else grid[-1]
        cuts = list(bins.cuts)
        # a bin ends at its cut, which most rows of it are near; the last one has no end
        values = [np.nan, *cuts, max(top, cuts[-1]) if cuts else top]
    if len(values) != before.size:
        return float("nan")
    rows = np.repeat(usual[None, :], len(values), axis=0)
    rows[:, place] = values
    margin = bundle.model.margin(np.asfortranarray(rows), threads=1)
    return float(((after - before) * margin).sum())


def _usual_row(bundle: Bundle) -> Floats:
    """Return the median or commonest value of each column of the model."""
    reference, values = bundle.reference, []
    for spec in bundle.inputs:
        if spec.kind == "category":
            known, mode = bundle.vocabularies.get(spec.name, ()), reference.modes.get(spec.name)
            values.append(float(known.index(mode)) if mode in known else np.nan)
        else:
            values.append(reference.medians.get(spec.name, np.nan))
    return np.array(values, np.float64)


def _of_model(
    model: str, bundle: Bundle | None, change: Change, figures: Figures, changes: Changes
) -> Finding:
    """Return the finding of an alarm about a model's scores, features, tiers or rows."""
    blocks = [figures.blocks[place] for place in change.features]
    moves = [_moved(figures, changes, change, place) for place in change.features]
    family, effects = blocks[0].family, [float("nan")] * len(blocks)
    if family == FEATURES and bundle is not None:
        effects = [
            effect_on_score(bundle, block.subject, *move)
            for block, move in zip(blocks, moves, strict=True)
        ]
    size = [abs(each) if np.isfinite(each) else 0.0 for each in effects]
    top = int(np.argmax(size)) if any(size) else 0
    before, after = moves[top]
    code = _CODES[family]
    words: dict[str, Any] = {
        "count": len(blocks),
        "effect": (
            TEXTS["effect"].fill(effect=f"{effects[top]:+.2f}")
            if np.isfinite(effects[top])
            else TEXTS["effect_unknown"]
        ),
        "after": f"{0.5 * np.abs(after - before).sum():.1%}",
        "before": f"{before[0]:.1%}",
    }
    if family == UNKNOWN:
        words["after"] = f"{after[0]:.1%}"
    if family == SCORED:
        times = float(np.exp(after[0] - before[0]))
        words["times"], code = f"{times:.3g}", "data.population" if times > _ADDED else code
    if family == SCORE and (np.arange(after.size) * (after - before)).sum() > 0:
        code = "score.wave"
    subject = "" if family in {SCORE, TIERS, SCORED} else blocks[top].subject
    ranked = tuple(blocks[place].subject for place in np.argsort([-each for each in size]))
    return _finding(
        code, change, figures, changes, model=model, subject=subject, words=words, features=ranked
    )


def _of_tables(
    change: Change,
    figures: Figures,
    changes: Changes,
    details: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Finding:
    """Return the finding of an alarm about the tables."""
    place = change.features[0]
    block = figures.blocks[place]
    before, after = _moved(figures, changes, change, place)
    family, code = block.family, _CODES.get(block.family, "drift.category")
    words: dict[str, Any] = {
        "before": f"{before[0]:.1%}", "after": f"{after[0]:.1%}", "model": "",
    }  # fmt: skip
    if family == VOLUMES:
        times = float(np.exp(after[0] - before[0]))
        code, words["times"] = _name_volume(block.subject, times), f"{times:.3g}"
    elif family == MAGNITUDE:
        words["times"] = f"{10.0 ** (after[0] - before[0]):.3g}"
    elif family == MISSING:
        code = "data.empty" if after[0] > before[0] else "drift.missing"
    elif family in {CATEGORIES, QUARANTINE}:
        code = _name_rows(block, figures, change, details)
        if family == CATEGORIES:
            words["after"] = f"{0.5 * np.abs(after - before).sum():.1%}"
    ranked = tuple(figures.blocks[each].subject for each in change.features)
    return _finding(
        code,
        change,
        figures,
        changes,
        model="",
        subject=block.subject,
        words=words,
        features=ranked,
    )


def _name_rows(
    block: Block,
    figures: Figures,
    change: Change,
    details: Mapping[str, Sequence[Mapping[str, Any]]],
) -> str:
    """Return the code of moved categories or quarantine: the first night that says why counts."""
    table, _, column = block.subject.partition(".")
    read: list[Mapping[str, Any]] = [
        next((each[table] for each in details.get(day, ()) if table in each), {})
        for day in figures.days.strftime("%Y-%m-%d")
    ]
    codes = [
        name_quarantine(read[night])
        if block.family == QUARANTINE
        else name_mixture(column, *day_shares(read[night], read[max(night - 1, 0)], column))
        for night in range(change.since, change.night + 1)
    ]
    vague = {"drift.category", "data.quarantine"}
    return next((code for code in codes if code not in vague), codes[-1])


def _name_volume(subject: str, times: float) -> str:
    if subject == CASES and times < _GONE:
        return "labels.stopped"
    if subject.endswith(".rows") and subject.partition(".")[0] in {CUSTOMERS, ACCOUNTS}:
        return "data.population" if times > 1.0 else "data.incomplete"
    return "data.stale" if times < _GONE else "drift.volume"


def _finding(
    code: str,
    change: Change,
    figures: Figures,
    changes: Changes,
    **said: Any,  # noqa: ANN401  fields
) -> Finding:
    days = figures.days.strftime("%Y-%m-%d")
    return Finding(
        code=code,
        day=days[change.night],
        since=days[change.since],
        value=float(changes.evidence[change.night, change.family]),
        limit=ALARM,
        family=figures.families[change.family],
        **said,
    )


def _moved(figures: Figures, changes: Changes, change: Change, place: int) -> tuple[Floats, Floats]:
    """Return what was predicted and what came since a change, in the unit of the figure."""
    block: Block = figures.blocks[place]
    nights = slice(change.since, change.night + 1)
    came, left = block.figure[nights], changes.left[nights, figures.columns_of(place)]
    known = np.isfinite(left).all(axis=1)
    if not known.any():
        return np.zeros(came.shape[1]), np.zeros(came.shape[1])
    came, predicted = came[known], came[known] - left[known]
    if block.family in {VOLUMES, SCORED, MAGNITUDE, MISSING, CATEGORIES}:
        return _mean(predicted), _mean(came)
    return _mean(np.sin(predicted) ** 2), _mean(np.sin(came) ** 2)


def _mean(rows: AnyArray) -> Floats:
    mean: Floats = np.asarray(rows, np.float64).mean(axis=0)
    return mean


def _linked(found: Sequence[Finding], bundles: Mapping[str, Bundle]) -> list[Finding]:
    """Return each finding with the cause that another one of the same nights explains it by."""
    place = {code: number for number, code in enumerate(_FIRST)}
    order = sorted(found, key=lambda each: (place.get(each.code, len(place)), each.day))
    reads = {
        name: {spec.name: columns_of_spec(spec, bundle.specs) for spec in bundle.inputs}
        for name, bundle in bundles.items()
    }
    linked: list[Finding] = []
    for finding in order:
        each = finding
        if not each.cause and not each.code.startswith("night."):
            first = next((one for one in linked if _explains(one, each, reads)), None)
            if first is not None:
                code = "drift.score" if each.code == "score.wave" else each.code
                each = replace(each, code=code, cause=first.cause or first.key)
        linked.append(each)
    return linked


def _explains(
    one: Finding, other: Finding, reads: Mapping[str, Mapping[str, frozenset[str]]]
) -> bool:
    """Return whether one finding explains another: an earlier code, of the same nights."""
    begins = pd.Timestamp(other.since) - pd.Timedelta(days=_NIGHTS_BACK)
    same = (one.code, one.model, one.subject) == (other.code, other.model, other.subject)
    together = begins <= pd.Timestamp(one.day) <= pd.Timestamp(other.day)
    if same or not together or one.code.startswith("night.") or one.model not in {"", other.model}:
        return False
    if not other.model:
        return one.table == other.table or one.code in _WIDE
    if other.family == FEATURES and not one.model and one.code not in _WIDE:
        read = reads.get(other.model, {})
        columns = frozenset().union(*(read.get(name, ()) for name in other.features))
        return not read or one.subject in columns
    return True
