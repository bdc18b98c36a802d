"""What a scoring run leaves in MLflow, also if it is refused, or if MLflow was away.

The record of a run is kept beside its goal until MLflow has it: a later run of the same folder of
nights makes up for what is missing, with the times of the run itself.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from kyc_ml.config import day_of
from kyc_ml.display import ProgressReporter, say_count
from kyc_ml.errors import GateError, KycMlError, RegistryError, UnreachableError
from kyc_ml.model import summarise_drift
from kyc_ml.registry import is_scoring_logged, log_scoring
from kyc_ml.scoring.manifest import Manifest, read_manifest
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.scoring.scorers import Scorers
from kyc_ml.storage import MANIFEST, dump_json, load_json, write_whole

_KEPT: Final = ".{}.unlogged.json"
_OURS: Final = 3_600.0
_LONGEST_TAG: Final = 5_000
_LIMIT: Final = re.compile(r"^  - ([a-z_.]+):", re.MULTILINE)
"""The name of a limit, with which its line in a `GateError` begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRecord:
    """The run of one night in MLflow."""

    model: str
    day: str
    """In the zone of the source."""
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    began: float
    ended: float
    """`began` and `ended`: in seconds since 1970."""


def make_record(
    manifest: Manifest,
    scorers: Scorers,
    *,
    out: Path,
    zone: str,
    seconds: Mapping[str, float],
    began: float,
    shadow: bool = False,
) -> ScoringRecord:
    """Return the counts and the drift of a run that is complete."""
    tiers = {f"tier/{name}": float(rows) for name, rows in manifest.counts.tiers.items()}
    return ScoringRecord(
        model=scorers.label,
        day=_day(pd.Timestamp(manifest.as_of), zone),
        metrics={
            "rows/read": manifest.read,
            "rows/quarantined": manifest.quarantined,
            "rows/scored": manifest.counts.rows,
            **tiers,
            **({} if manifest.drift is None else summarise_drift(manifest.drift)),
            **{f"seconds/{stage}": spent for stage, spent in seconds.items()},
        },
        tags={
            "job": "shadow" if shadow else "score",
            "unit": scorers.unit,
            "model": scorers.label,
            "bundle_digest": manifest.identity["bundle"],
            "as_of": manifest.as_of,
            "run_id": manifest.run_id,
            "out": str(out),
            "scored_by": manifest.scored_by,
            **{f"promotion/{name}": said for name, said in manifest.promotion.items() if said},
        },
        began=began,
        ended=time.time(),
    )


def keep_record(record: ScoringRecord, goal: Path) -> None:
    """Write the record of a run beside its goal, before the run is published."""
    write_whole(_kept(goal), dump_json(asdict(record)).encode())


def log_kept(goal: Path, reporter: ProgressReporter) -> None:
    """Log the record of a published run, and those of earlier nights that MLflow does not have.

    Raises RegistryError if MLflow does not accept one; the records remain.
    """
    own, any_ = _kept(goal), _KEPT.format("*")
    _log_once(own, reporter)
    others = {*goal.parent.glob(any_), *goal.parent.parent.glob(f"*/{any_}")} - {own}
    # a younger one may be of a job that is about to log it itself
    earlier = [path for path in sorted(others) if time.time() - path.stat().st_mtime > _OURS]
    made_up = sum(_log_once(path, reporter) for path in earlier)
    if made_up:
        reporter.info(f"{say_count(made_up, 'earlier run')} logged in MLflow, which had no record")


def _log_once(path: Path, reporter: ProgressReporter) -> bool:
    """Log a kept record and remove it; return whether MLflow did not have it yet."""
    goal = path.with_name(path.name.removeprefix(".").removesuffix(".unlogged.json"))
    try:
        record = ScoringRecord(**load_json(path.read_text(encoding="utf-8")))
        run, out = record.tags["run_id"], record.tags["out"]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, TypeError, KeyError) as error:
        reporter.warning(f"{path} is not the record of a run ({type(error).__name__}): remove it")
        return False
    # a run that was killed before its publication leaves a record of nothing
    if not (goal / MANIFEST).is_file() or read_manifest(goal).run_id != run:
        return False
    new = not is_scoring_logged(run, out=out)
    if new:
        log_scoring(**asdict(record))
    path.unlink(missing_ok=True)
    return new


def log_refusal(
    request: ScoringRequest,
    error: BaseException,
    *,
    zone: str,
    began: float,
    reporter: ProgressReporter,
) -> None:
    """Log a run that was refused, as FAILED, or that a person or a signal ended, as KILLED.

    Nothing is logged where MLflow itself was the reason. If it cannot be logged there is a
    warning, because the error of the run is the one to raise.
    """
    if isinstance(error, UnreachableError):
        return
    refused = isinstance(error, KycMlError)
    as_of = request.as_of
    limits = ", ".join(_LIMIT.findall(str(error))) if isinstance(error, GateError) else ""
    tags = {
        "job": "shadow" if request.shadow else "score",
        "model": request.model,
        "out": str(request.out),
        "reason": (str(error) or type(error).__name__)[:_LONGEST_TAG],
        **({"exit_code": str(error.exit_code)} if isinstance(error, KycMlError) else {}),
        **({"limits": limits} if limits else {}),
        **({} if as_of is None else {"as_of": as_of.isoformat()}),
    }
    try:
        log_scoring(
            model=request.model,
            day="" if as_of is None else _day(as_of, zone),
            metrics={},
            tags=tags,
            began=began,
            ended=time.time(),
            status="FAILED" if refused else "KILLED",
        )
    except RegistryError as fault:
        reporter.warning(f"MLflow has no record of this: {fault}")


def _day(as_of: pd.Timestamp, zone: str) -> str:
    return (day_of(as_of, zone) or as_of.tz_convert(zone).date()).isoformat()


def _kept(goal: Path) -> Path:
    return goal.with_name(_KEPT.format(goal.name))
