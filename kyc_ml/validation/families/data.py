"""Data: quality, completeness and leakage of the data behind the figures."""

from dataclasses import asdict
from functools import partial
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.contract import ContractedTables
from kyc_ml.dataset import IMMATURE, OPEN_CASE, POSITIVE
from kyc_ml.features import audit_features, build_features
from kyc_ml.metrics import Mask, compute_drift, effective_customers, holm, jeffreys_interval
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import largest, most_drifted, smallest
from kyc_ml.validation.outcome import NotApplicable, Outcome, Value, not_applicable
from kyc_ml.validation.perturbing import draw_evaluated
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.probes import FEWEST, probe
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.segments import values_of
from kyc_ml.validation.stand_ins import find_stand_ins
from kyc_ml.validation.text import notice

_NO_TABLES: Final = not_applicable("no_tables")
_NO_FILES: Final = not_applicable("no_files")
_STANDS_IN: Final = 0.95
"""Agreement from which missing values of a feature stand in for a field (convention)."""
_MOST_PROBED: Final = 50_000
"""Most rows to probe for leaks: a leak is visible in few rows (convention)."""


def run_lineage(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Compare the digests of files with those of training."""
    if evidence.tables is None:
        return _NO_TABLES
    now = dict(evidence.tables.digests)
    before: dict[str, str] = dict(evidence.bundle.data.get("files", {}))
    if not now and not before:
        return _NO_FILES
    lines = []
    for name in sorted(now.keys() | before.keys()):
        state = "new" if name not in before else "missing" if name not in now else "unchanged"
        if name in now and name in before and now[name] != before[name]:
            state = "changed"
        lines.append({"file": name, "state": state, "sha256": now.get(name, before.get(name, ""))})
    table = pd.DataFrame(lines)
    return Outcome(
        values={
            "files": len(now),
            "changed": int((table["state"] == "changed").sum()),
            "missing": int((table["state"] == "missing").sum()),
        },
        tables={"files": table},
    )


def run_quarantine(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Count rows that were quarantined while reading."""
    if evidence.tables is None:
        return _NO_TABLES
    quality = evidence.tables.quality
    table = quality.to_frame()
    return Outcome(
        values={
            "highest_share": largest(table, "quarantined_share", named="table"),
            "refused": int(table["quarantined"].sum()),
            "warnings": sum(finding.count for finding in quality.warnings),
        },
        tables={
            "tables": table,
            "findings": quality.findings_frame(),
            "missing": quality.missing_frame(),
        },
    )


def run_representativeness(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compare the shares of segments with those of the training rows."""
    now, train = evidence.current, evidence.train
    features = [
        name
        for name in settings.segments
        if (spec := now.spec(name)) is not None and spec.kind == "category"
    ]
    if train is None or not features or not len(train):
        return not_applicable("no_common_segment")
    lines, drifts, unseen = [], [], np.zeros(len(now), np.bool_)
    for feature in features:
        one, two = values_of(train, feature), values_of(now, feature)
        names = sorted(set(one) | set(two))
        before, after = (
            np.array([int((each == name).sum()) for name in names]) for each in (one, two)
        )
        drift = compute_drift(
            before,
            after,
            n_expected=effective_customers(train.customers),
            n_actual=effective_customers(now.customers),
        )
        drifts.append({"segment": feature, **asdict(drift)})
        unseen |= ~np.isin(two, list(set(one)))
        lines += [
            {
                "segment": feature,
                "value": str(name),
                "training_share": float(b / before.sum()),
                "current_share": float(a / after.sum()),
            }
            for name, b, a in zip(names, before, after, strict=True)
        ]
    shifts = pd.DataFrame(drifts)
    worst = most_drifted(shifts, "psi", named="segment")
    parts = pd.DataFrame(
        {
            "part": shifts["segment"],
            "highest_psi": shifts["psi"],
            "p_value": holm(shifts["p_value"]),
        }
    )
    return Outcome(
        values={
            "highest_psi": worst["drift"],
            "critical_95": worst["critical_95"],
            "p_value": smallest(parts, "p_value", named="part"),
            "unseen": float(unseen.mean()),
        },
        tables={"segments": pd.DataFrame(lines)},
        parts=parts,
        notes=(notice("training_sample", rows=len(train)),),
    )


def run_missingness(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Compare missing shares by feature."""
    before, now = evidence.reference, evidence.current
    sizes = [effective_customers(rows.customers) for rows in (before, now)]
    lines = []
    for place, spec in enumerate(now.features.specs):
        gone = [_missing(rows, place) for rows in (before, now)]
        one, two = (float(each.mean()) for each in gone)
        drift = compute_drift(
            *(np.bincount(each, minlength=2) for each in gone),
            n_expected=sizes[0],
            n_actual=sizes[1],
        )
        lines.append(
            {"feature": spec.name, "family": spec.family, "reference": one, "current": two,
             "rise": two - one, "p_value": drift.p_value}
        )  # fmt: skip
    table = pd.DataFrame(lines).sort_values(
        ["rise", "feature"], ascending=[False, True], ignore_index=True
    )
    parts = pd.DataFrame(
        {
            "part": table["feature"],
            "largest_rise": table["rise"],
            "p_value": holm(table["p_value"]),
        }
    )
    emptied = table[(table["current"] == 1.0) & (table["reference"] < 1.0)]
    stand_ins = None
    if evidence.observations is not None:
        stand_ins = find_stand_ins(now.features, evidence.observations)
        stand_ins = stand_ins[stand_ins["agreement"] >= _STANDS_IN]
    return Outcome(
        values={
            "emptied": Value(value=len(emptied), about=", ".join(emptied["feature"].head(5))),
            "largest_rise": largest(table, "rise", named="feature"),
            "p_value": smallest(parts, "p_value", named="part"),
            "features": len(table),
            "stand_ins": _named(stand_ins),
        },
        tables={"features": table, **({} if stand_ins is None else {"stand_ins": stand_ins})},
        parts=parts,
    )


def _named(stand_ins: pd.DataFrame | None) -> Value:
    """Count the features that stand in for a field; undefined without the observations."""
    if stand_ins is None:
        return Value(np.nan)
    pairs = (f"{feature}: {field}" for feature, field, _ in stand_ins.itertuples(index=False))
    return Value(float(stand_ins["feature"].nunique()), about="; ".join(list(pairs)[:5]))


_KNOWN_BY_DEFINITION: Final = notice("positives_known_by_definition")


def run_label_maturity(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Count outcomes by status, and measure how fast they arrive."""
    rows, before = evidence.current, evidence.reference
    limit = evidence.bundle.config.dataset.label_delay.days
    days = before.arrival_days[np.isfinite(before.arrival_days)]
    by_definition = evidence.bundle.config.unit == "risk"
    known = Value(np.nan)
    if days.size and not by_definition:
        hits = int((days <= limit).sum())
        low, high = jeffreys_interval(hits, days.size)
        known = Value(hits / days.size, float(low), float(high))
    states = pd.Series(rows.status).value_counts()
    table = pd.DataFrame({"state": states.index.astype(str), "rows": states.to_numpy()})
    grid = np.unique(np.linspace(0, max(limit, days.max(initial=0.0)), 41).round(2))
    share = [float((days <= each).mean()) if days.size else np.nan for each in grid]
    curve = pd.DataFrame({"days": grid, "share_known": share})
    return Outcome(
        values={
            "judged": float(rows.evaluated.mean()),
            "immature": float((rows.status == IMMATURE).mean()),
            "open": float((rows.status == OPEN_CASE).mean()),
            "known_at_maturity": known,
            "known_at_maturity_high": known.high,
        },
        tables={"states": table, "arrival": curve},
        notes=(
            notice("arrival", limit=limit, positives=days.size),
            *((_KNOWN_BY_DEFINITION,) if by_definition else ()),
        ),
    )


def run_point_in_time(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Change rows that were not yet known, and compute the features again."""
    if evidence.tables is None or evidence.observations is None:
        return _NO_TABLES
    found = audit_features(
        evidence.tables,
        evidence.observations,
        specs=evidence.bundle.specs,
        times=settings.audit_times,
        seed=settings.seed,
        build=build_features,
        threads=evidence.threads,
        progress=partial(evidence.reporter.progress, "tampering and rebuilding"),
    )
    moved = found.moved
    return Outcome(
        values={
            "moved": Value(
                value=moved["feature"].nunique(),
                about=", ".join(dict.fromkeys(moved["feature"].head(5))),
            ),
            "observations": found.observations,
            "touched": sum(found.rows.values()),
        },
        tables={
            "checks": found.summary(),
            "moved": moved[["check", "feature", "observations", "moved", "largest_change"]],
        },
    )


def run_leakage(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Measure how well single features, and a model of shuffled labels, predict the labels."""
    rows = evidence.current
    positives, negatives = rows.classes
    if min(positives, negatives) < FEWEST:
        return not_applicable("too_few_to_probe", fewest=FEWEST)
    rng = np.random.default_rng([settings.seed, 2])
    places = draw_evaluated(rows, most=_MOST_PROBED, rng=rng)
    features = rows.features.take(places)
    target = np.asarray(rows.status[places] == POSITIVE, dtype=np.float64)
    found = probe(
        features,
        target,
        negatives=int((target == 0).sum()),
        config=evidence.bundle.config.model,
        seed=settings.seed,
        tell=evidence.reporter.progress,
    )
    auc = Value(np.nan)
    miss = p_value = np.nan
    shuffled = found.shuffled
    if shuffled is not None:
        auc, p_value = Value(shuffled.auc, shuffled.low, shuffled.high), shuffled.p_value
        miss = max(0.0, shuffled.low - 0.5, 0.5 - shuffled.high)
    return Outcome(
        values={
            "highest_auc": largest(found.single, "auc", named="feature"),
            "given_away": _given_away(found.pure),
            "shuffled_auc": auc,
            "shuffled_miss": miss,
            "shuffled_p": p_value,
            "doubts": _doubts(evidence.tables),
        },
        tables={"features": found.single, "values": found.pure},
        notes=(notice("rows_probed", rows=places.size),),
    )


def _given_away(pure: pd.DataFrame) -> Value:
    """Return the most positives that one value gives away, and which value it is."""
    if pure.empty:
        return Value(0.0)
    first = pure.iloc[0]
    return Value(float(first["positives"]), about=f"{first['feature']} = {first['value']}")


def _doubts(tables: ContractedTables | None) -> Value:
    """Count the warnings that an outcome may be known too early; undefined without tables."""
    if tables is None:
        return Value(np.nan)
    doubts = tables.quality.doubts
    return Value(float(len(doubts)), about="; ".join(f"{d.table}: {d.rule}" for d in doubts[:3]))


def _missing(rows: ScoredRows, place: int) -> Mask:
    spec = rows.features.specs[place]
    if spec.kind != "category":
        return np.isnan(rows.matrix[:, place])
    values = rows.features.categories[spec.name]
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
