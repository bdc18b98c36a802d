"""run_audit: test on the user's own data that features and labels are point in time."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.config import RunConfig, SourceMapping, load_section
from kyc_ml.contract import ContractedTables, end_of_data, known_until
from kyc_ml.dataset import EvaluationRows, observations_of
from kyc_ml.display import ProgressReporter
from kyc_ml.features import (
    FeatureAudit,
    FeatureSpec,
    audit_features,
    build_features,
    choose_features,
    compare_extracts,
    report_unavailable,
)
from kyc_ml.history import read_tables
from kyc_ml.metrics import Floats, Ints
from kyc_ml.storage import require_place, write_whole
from kyc_ml.validation.probes import CONFIDENCE, FEWEST, HIGHEST_AUC, ShuffledLabels, probe

MOST_LABELLED: Final = 200_000
"""Most labelled observations to probe: all positives, a sample of negatives (convention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelProbes:
    """Results of both label probes."""

    rows: int
    positives: int
    """`rows` and `positives`: observations probed; negatives are a sample where there are many."""
    single: pd.DataFrame
    """feature, auc; the highest first. Empty where the probe was not run."""
    pure: pd.DataFrame
    """Values that nearly only positives have; see `pure_values`."""
    shuffled: ShuffledLabels | None
    """None if the probe was not run."""
    not_run: str = ""

    @property
    def alarms(self) -> pd.DataFrame:
        """Features whose AUC alone is above `HIGHEST_AUC`."""
        return self.single[self.single["auc"] > HIGHEST_AUC]

    @property
    def passed(self) -> bool:
        """True if no probe raised an alarm; a probe that was not run does not raise one."""
        quiet = self.alarms.empty and self.pure.empty
        return quiet and (self.shuffled is None or self.shuffled.passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Features whose past values are different in an earlier extract; see `compare_extracts`."""

    data: Path
    observations: int
    moved: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult:
    """The whole audit of one configuration on one source."""

    name: str
    as_of: pd.Timestamp
    features: FeatureAudit
    labels: LabelProbes
    seconds: dict[str, float]
    path: Path | None
    earlier: Earlier | None = None
    """Comparison with an earlier extract; None if none was given."""
    unseen: str = ""
    """Doubts about the times of cases that no test can settle; '' if there are no doubts."""

    @property
    def passed(self) -> bool:
        """True if no feature changed and no probe raised an alarm."""
        same = self.earlier is None or self.earlier.moved.empty
        return self.features.passed and self.labels.passed and same


def run_audit(
    *,
    config: Path,
    source: Path,
    data: Path,
    as_of: pd.Timestamp | None,
    times: int,
    seed: int,
    out: Path | None,
    quarantine: Path | None,
    reporter: ProgressReporter,
    earlier: Path | None = None,
) -> AuditResult:
    """Audit the features that a configuration chooses, and their mature labels.

    Parameters
    ----------
    as_of : Timestamp or None
        Observations before it are audited, with the labels known then; later rows are the
        future. None is the end of the data: see `end_of_data`.
    times : int
        Decision times to sample.
    out : Path or None
        JSON file to write.
    earlier : Path or None
        Data folder of an earlier extract: features of the past must have the same values in both.
    """
    run = load_section(config, RunConfig)
    declared = load_section(source, SourceMapping).attributes
    specs = choose_features(run.features, unit=run.unit, attributes=declared)
    if out is not None:
        require_place(out)
    tables, _ = read_tables(source, data, quarantine=quarantine, reporter=reporter)
    moment = known_until(tables, as_of)
    observations = observations_of(tables, run, until=moment)
    start = time.perf_counter()
    features = audit_features(
        tables,
        observations,
        specs=specs,
        times=times,
        seed=seed,
        build=build_features,
        threads=run.model.n_jobs,
        progress=lambda done, total: reporter.progress("tampering and rebuilding", done, total),
    )
    seconds = {"tampering and rebuilding": time.perf_counter() - start}
    report_unavailable(features.unavailable, reporter, and_so=", not audited")
    start = time.perf_counter()
    labels = probe_labels(
        tables, observations, specs, run=run, as_of=moment, seed=seed, reporter=reporter
    )
    seconds["probing labels"] = time.perf_counter() - start
    start = time.perf_counter()
    compared = None
    if earlier is not None:
        before, _ = read_tables(source, earlier, quarantine=quarantine, reporter=reporter)
        compared = _compare(tables, before, observations, specs, run=run, data=earlier, seed=seed)
        seconds["comparing extracts"] = time.perf_counter() - start
    result = AuditResult(
        name=run.name,
        as_of=moment,
        features=features,
        labels=labels,
        seconds=seconds,
        path=out,
        earlier=compared,
        unseen="; ".join(map(str, tables.quality.doubts)),
    )
    if out is not None:
        write_whole(out, json.dumps(_as_json(result), indent=2).encode())
    return result


def _compare(
    now: ContractedTables,
    before: ContractedTables,
    observations: pa.Table,
    specs: Sequence[FeatureSpec],
    *,
    run: RunConfig,
    data: Path,
    seed: int,
) -> Earlier:
    """Compare features of the observations that an earlier extract has too."""
    known = observations_of(before, run, until=end_of_data(before))
    count, moved = compare_extracts(
        now,
        before,
        observations,
        known=known,
        specs=tuple(specs),
        seed=seed,
        threads=run.model.n_jobs,
    )
    return Earlier(data=data, observations=count, moved=moved)


def probe_labels(
    tables: ContractedTables,
    observations: pa.Table,
    specs: Sequence[FeatureSpec],
    *,
    run: RunConfig,
    as_of: pd.Timestamp,
    seed: int,
    reporter: ProgressReporter,
) -> LabelProbes:
    """Probe the labels that are mature at `as_of`."""
    target = EvaluationRows.of(tables, observations, run, as_of=as_of).target
    positives, negatives = int((target == 1).sum()), int((target == 0).sum())
    if min(positives, negatives) < FEWEST:
        why = (
            f"at least {FEWEST} mature labels of each class are needed, got {positives:,} "
            f"positives and {negatives:,} negatives"
        )
        empty = pd.DataFrame({"feature": [], "auc": np.zeros(0), "value": []})
        return LabelProbes(
            rows=0,
            positives=positives,
            single=empty[["feature", "auc"]],
            pure=empty[["feature", "value"]],
            shuffled=None,
            not_run=why,
        )
    rows = _sample_labelled(target, seed=seed)
    features = build_features(
        tables,
        observations.take(pa.array(rows)),
        specs=specs,
        threads=run.model.n_jobs,
        progress=lambda done, total: reporter.progress("building labelled features", done, total),
    )
    found = probe(
        features,
        target[rows],
        negatives=negatives,
        config=run.model,
        seed=seed,
        tell=reporter.progress,
    )
    return LabelProbes(
        rows=rows.size,
        positives=positives,
        single=found.single,
        pure=found.pure,
        shuffled=found.shuffled,
        not_run=""
        if found.shuffled
        else "shuffled labels: half of the customers have one class only",
    )


def _sample_labelled(target: Floats, *, seed: int) -> Ints:
    """Take all positives, and negatives until there are `MOST_LABELLED` rows."""
    # a stream different from those of other draws with the same seed
    rng = np.random.default_rng([seed, 2])
    positives, negatives = np.flatnonzero(target == 1), np.flatnonzero(target == 0)
    # at least half of the rows may be negatives, however many positives there are
    room = max(MOST_LABELLED - positives.size, MOST_LABELLED // 2)
    if negatives.size > room:
        negatives = rng.choice(negatives, room, replace=False)
    return np.sort(np.concatenate([positives, negatives]))


def _as_json(result: AuditResult) -> dict[str, Any]:
    """Return every result: counts, figures and names, but no value of a customer."""
    audit, labels = result.features, result.labels
    shuffled = labels.shuffled
    return {
        "name": result.name,
        "passed": result.passed,
        "as_of": result.as_of.isoformat(),
        "decision_times": [each.isoformat() for each in audit.decision_times],
        "observations": audit.observations,
        "checks": audit.summary().to_dict("records"),
        "features": json.loads(audit.features.to_json(orient="records", date_format="iso")),
        "left_out": dict(audit.unavailable),
        "earlier_extract": None
        if result.earlier is None
        else {
            "data": str(result.earlier.data),
            "observations": result.earlier.observations,
            "moved": result.earlier.moved.to_dict("records"),
        },
        "unseen": result.unseen,
        "labels": {
            "not_run": labels.not_run,
            "rows": labels.rows,
            "positives": labels.positives,
            "highest_auc_allowed": HIGHEST_AUC,
            "single_feature_auc": labels.single.to_dict("records"),
            "values_of_positives_alone": labels.pure.to_dict("records"),
            "shuffled_labels": None
            if shuffled is None
            else {
                "auc": shuffled.auc,
                "low": shuffled.low,
                "high": shuffled.high,
                "confidence": CONFIDENCE,
            },
        },
        "seconds": result.seconds,
    }
