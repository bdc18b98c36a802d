"""Rows of the record of nights: from published folders, refusals and served requests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from kyc_ml import scoring
from kyc_ml.config import SourceMapping, day_of, load_section
from kyc_ml.contract import StoredTables
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, DatasetError, GateError, KycMlError, NotReadyError, some_of
from kyc_ml.model import PROBABILITY, summarise_drift
from kyc_ml.monitoring.nights import (
    FAILED,
    HELD,
    LATE,
    PUBLISHED,
    REFUSED,
    SERVED,
    SUFFIX,
    Night,
    NightsRecord,
    is_day,
    record_beside,
)
from kyc_ml.registry import Bundle
from kyc_ml.serving import ReplayRequest, run_replay
from kyc_ml.storage import MANIFEST

_ARRIVALS: Final = 7
_REPLAYED: Final = 200
"""Served transactions that a night scores again. Convention."""
_VALUES: Final = 50
"""Values of a column that are kept, the commonest ones: others do not move a night. Convention."""
_LONGEST_REASON: Final = 2_000


def run_recorded(
    request: scoring.ScoringRequest,
    *,
    reporter: ProgressReporter,
    tables: StoredTables | None = None,
    keep_features: Path | None = None,
) -> scoring.ScoringResult:
    """Score as `run_score` does, and add the night to the record beside the folder, if any.

    `tables`, `keep_features`: as in `run_score`.
    Raises KycMlError: what `run_score` raises. A fault of the record itself is a warning only.
    """
    try:
        result = scoring.run_score(
            request, reporter=reporter, tables=tables, keep_features=keep_features
        )
    except (KycMlError, KeyboardInterrupt, SystemExit) as error:
        note_refused(request, error, reporter=reporter)
        raise
    record = record_beside(result.path)
    if record is not None and not result.was_there:
        try:
            zone = load_section(request.source, SourceMapping).timezone
            night = night_of(result.path, zone=zone, seconds=result.seconds)
            NightsRecord.open(record, create=True).add(night)
        except (KycMlError, OSError) as error:
            reporter.warning(
                f"published, but the record of nights lacks this night: {error}; kyc-ml monitor "
                f"record {record.parent} adds it"
            )
    return result


def replay_recorded(
    history: Path, *, out: Path, day: str, models: Sequence[str], reporter: ProgressReporter
) -> None:
    """Score a sample of what was served since the last night again, and record what differs.

    Before the rows of the night are appended: they may claim to have been known before. A night
    that starts again keeps what its first start found. A fault is a warning only.

    `out`: folder of all nights.
    `models`: addresses of bundles that may have served, beside those of the registry.
    """
    try:
        record = NightsRecord.open(out, create=True)
        if any(replayed == day for replayed, *_ in record.replays(since=day)):
            return
        request = ReplayRequest(history=history, model=models, pending=True, sample=_REPLAYED)
        found = run_replay(request, reporter=reporter)
        for model, compared in found.models.items():
            differ = found.by_model.get(model, {})
            record.add_replay(day, model, compared, differ)
            if differ:
                reporter.warning(
                    f"{model}: of {compared} served transactions, {len(differ)} features or fields "
                    f"differ in batch: {some_of(sorted(differ))}; see kyc-ml replay"
                )
    except (KycMlError, OSError) as error:
        reporter.warning(f"what was served was not scored again in batch: {error}")


def note_refused(
    request: scoring.ScoringRequest, error: BaseException, *, reporter: ProgressReporter
) -> None:
    """Add a night that was not published, with its reason, to the record beside its folder."""
    record = record_beside(request.out)
    if record is None:
        return
    try:
        zone = load_section(request.source, SourceMapping).timezone
        NightsRecord.open(record, create=True).add(_refused(request, error, zone=zone))
    except (KycMlError, OSError) as fault:
        reporter.warning(f"the record of nights lacks this refusal: {fault}")


def record_folder(out: Path, *, zone: str | None = None) -> int:
    """Add the nights below a folder that its record does not have; return how many were added.

    `out`: folder of nights: ``OUT/DAY/NAME`` or ``OUT/DAY``; refused runs end with ``.failed``.
    `zone`: zone of the source, for folders whose name is not a day; by default the folder's day
    counts.
    Raises ConfigError if `out` is not a folder, or holds no night.
    """
    if not out.is_dir():
        msg = f"{out} is not a folder: name that of all nights, the --out of pipelines/nightly.py"
        raise ConfigError(msg)
    found = [night_of(folder, zone=zone) for folder in _folders(out)]
    # the time of recording is not that of scoring
    nights = [replace(each, detail={**each.detail, "added_later": True}) for each in found]
    if not nights:
        raise ConfigError(f"{out} holds no night: expected DAY/NAME/{MANIFEST} below it")
    record = NightsRecord.open(out, create=True)
    frame = record.nights(every_run=True)
    there = set(zip(frame["model"], frame["day"], frame["run"], frame["status"], strict=True))
    new = [each for each in nights if (each.model, each.day, each.run, each.status) not in there]
    return record.add(*new) if new else 0


def _folders(out: Path) -> Iterator[Path]:
    """Yield the folders of runs below the folder of all nights, the earliest first."""
    for day in sorted(
        path for path in out.iterdir() if is_day(path.name.removesuffix(SUFFIX[REFUSED]))
    ):
        for folder in (day, *sorted(day.iterdir())) if day.is_dir() else ():
            if (folder / MANIFEST).is_file() and not folder.name.startswith("."):
                yield folder


def night_of(
    folder: Path, *, zone: str | None = None, seconds: Mapping[str, float] | None = None
) -> Night:
    """Return the row of a published or refused run from its manifest.

    `zone`: zone of the source: it decides the day where no folder is named by one.
    `seconds`: mapping of stage to seconds; unknown to a manifest.
    Raises ConfigError if the folder has no manifest that can be read.
    """
    manifest = scoring.read_manifest(folder)
    goal, status = _ended(folder)
    return Night(
        model=_name(goal, manifest.identity["model"]),
        day=_day(goal, pd.Timestamp(manifest.as_of), zone),
        run=manifest.run_id,
        status=status,
        as_of=manifest.as_of,
        version=manifest.identity["model"],
        digest=manifest.identity["bundle"],
        policy=manifest.identity.get("policy", "")[:12]
        if status == REFUSED
        else _policy(folder, manifest),
        scored_by=manifest.scored_by,
        rows_read=manifest.read,
        quarantined=manifest.quarantined,
        scored=manifest.counts.rows,
        customers=manifest.customers,
        profile=manifest.counts.profile,
        detail={
            "folder": str(folder),
            "reason": manifest.reason,
            "faults": list(manifest.faults),
            "tiers": dict(manifest.counts.tiers),
            "expected": dict(manifest.counts.expected),
            "unknown": dict(manifest.counts.unknown_categories),
            "not_scored": dict(manifest.not_scored),
            "drift": {} if manifest.drift is None else summarise_drift(manifest.drift),
            "tables": describe_tables(manifest),
            "seconds": {stage: round(spent, 3) for stage, spent in (seconds or {}).items()},
            "bytes": _sizes(folder, manifest),
        },
    )


def describe_tables(manifest: scoring.Manifest) -> dict[str, dict[str, Any]]:
    """Return what the tables of a run held, shortened for the record.

    Returns dict of table to figures; read, quarantined, accepted, late (rows); rows and newest as
    of the night; arrivals of the last 7 days, the last first; described, missing, magnitude and
    shares as in `TableSummary`, of each column the 50 commonest values.
    """
    found = {}
    for quality in manifest.quality.tables:
        told: dict[str, Any] = {
            "read": quality.read,
            "quarantined": quality.quarantined,
            "accepted": quality.accepted,
            "late": quality.late_rows,
            "reasons": {f"{r.column}: {r.rule}": r.count for r in quality.reasons},
        }
        extract = manifest.extract.get(quality.table)
        if extract is not None:
            told |= {
                "rows": extract.rows,
                "newest": extract.newest,
                "arrivals": list(extract.arrivals[:_ARRIVALS]),
                "described": extract.described,
                "missing": dict(extract.missing),
                "magnitude": dict(extract.magnitude),
                "shares": {
                    column: dict(sorted(shares.items(), key=lambda pair: -pair[1])[:_VALUES])
                    for column, shares in extract.shares.items()
                },
            }
        found[quality.table] = told
    return found


def record_scores(
    record: NightsRecord,
    scores: pd.DataFrame,
    *,
    bundle: Bundle,
    day: str,
    features: Mapping[str, list[int]] | None = None,
) -> Night:
    """Add the requests that a model server answered on a day, counted together.

    The same day again replaces nothing: give all answers of a day together, after it has ended.

    `scores`: as the served model answers: probability and tier, and customer_id if known; of one
    model.
    `bundle`: the served model: its bins are those of the counts.
    `day`: ISO date in the zone of the source.
    `features`: mapping of feature to counts; as `Profile.count` returns them.
    Raises DatasetError if a column is absent, or a probability is not between 0 and 1; ConfigError
    if `day` is not an ISO date.
    """
    absent = sorted({PROBABILITY, "tier"} - set(scores.columns))
    if absent:
        msg = f"served scores lack {some_of(absent)}: give the answers as the server returned them"
        raise DatasetError(msg)
    if not is_day(day):
        raise ConfigError(f"day must be an ISO date such as 2026-11-30, got {day}")
    proba = scores[PROBABILITY].to_numpy(dtype=np.float64)
    wrong = int((~((proba >= 0) & (proba <= 1))).sum())
    if wrong:
        msg = f"probability must be between 0 and 1: {wrong} of {proba.size} rows are not"
        raise DatasetError(msg)
    profile = {} if bundle.profile is None else dict(features or {})
    if bundle.profile is not None:
        profile[PROBABILITY] = bundle.profile.bins[PROBABILITY].count(proba).tolist()
    by_tier = scores.assign(**{PROBABILITY: proba}).groupby("tier")[PROBABILITY]
    names = bundle.policy.tier_names
    night = Night(
        model=bundle.config.name,
        day=day,
        status=SERVED,
        version=bundle.config.name,
        digest=bundle.digest,
        policy=bundle.policy.label,
        scored_by="model",
        scored=len(scores),
        customers=int(scores["customer_id"].nunique()) if "customer_id" in scores else 0,
        profile=profile,
        detail={
            "tiers": {name: int(by_tier.size().get(name, 0)) for name in names},
            "expected": {name: float(by_tier.sum().get(name, 0.0)) for name in names},
        },
    )
    record.add(night)
    return night


def _refused(request: scoring.ScoringRequest, error: BaseException, *, zone: str) -> Night:
    """Return the row of a run that published nothing."""
    failed = request.out.with_name(f"{request.out.name}{SUFFIX[REFUSED]}")
    if isinstance(error, GateError) and (failed / MANIFEST).is_file():
        return night_of(failed, zone=zone)
    as_of = request.as_of
    return Night(
        model=_name(_ended(request.out)[0], request.model),
        day=_day(request.out, pd.Timestamp.now(tz="UTC") if as_of is None else as_of, zone),
        status=LATE if isinstance(error, NotReadyError) else FAILED,
        as_of="" if as_of is None else as_of.isoformat(),
        version=request.model,
        detail={
            "reason": (str(error) or type(error).__name__)[:_LONGEST_REASON],
            "error": type(error).__name__,
        },
    )


def _ended(folder: Path) -> tuple[Path, str]:
    """Return the folder that a run was for, and how it ended, from its folder's name."""
    bare = folder.name.removesuffix(SUFFIX[REFUSED])
    goal = folder.with_name(bare.removesuffix(SUFFIX[HELD]))
    if bare != folder.name:
        return goal, REFUSED
    return goal, PUBLISHED if goal == folder else HELD


def _name(goal: Path, label: str) -> str:
    """Return the name of a night's model: of its folder in OUT/DAY/NAME, or else of the label."""
    if is_day(goal.absolute().parent.name):
        return goal.name
    return label.removeprefix("models:/").partition("@")[0].partition("/")[0].partition(" ")[0]


def _day(goal: Path, as_of: pd.Timestamp, zone: str | None) -> str:
    for name in (goal.absolute().parent.name, goal.name):
        if is_day(name):
            return name
    local = zone or "UTC"
    return (day_of(as_of, local) or as_of.tz_convert(local).date()).isoformat()


def _policy(folder: Path, manifest: scoring.Manifest) -> str:
    """Return the label of the policy that graded the rows; the start of its digest without one."""
    for part in scoring.score_files(folder):
        if part.is_file() and "policy" in pq.read_schema(part).names:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(batch_size=1, columns=["policy"]):
                    return str(batch["policy"][0].as_py())
    return manifest.identity.get("policy", "")[:12]


def _sizes(folder: Path, manifest: scoring.Manifest) -> dict[str, int]:
    """Return the bytes of the published files by kind, and of the manifest."""
    found = {MANIFEST: (folder / MANIFEST).stat().st_size}
    for name in manifest.files:
        kind = name.partition("/")[0]
        size = (folder / name).stat().st_size if (folder / name).is_file() else 0
        found[kind] = found.get(kind, 0) + size
    return found
