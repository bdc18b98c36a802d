"""run_score: read, score, grade, explain and publish, going on wherever it was killed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from kyc_ml.config import LimitsConfig, SourceMapping, load_section
from kyc_ml.contract import QUARANTINE, SourceOnDisk, StoredTables
from kyc_ml.decision import require_known_customers
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import (
    ConfigError,
    GateError,
    KycMlError,
    OutputError,
    RegistryError,
    UnreachableError,
)
from kyc_ml.model import summarise_drift
from kyc_ml.registry import NIGHTLY, NIGHTS, log_scoring, reach_store
from kyc_ml.scoring.exports import DUCKDB
from kyc_ml.scoring.identity import changes, require_same
from kyc_ml.scoring.manifest import Manifest, damaged, read_manifest
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.scoring.schema import MODEL
from kyc_ml.scoring.scorers import Scorers, choose, identify_run, load_scorers
from kyc_ml.scoring.scoring_run import KEPT, KEPT_OF_REFUSED, Outputs, ScoringRun
from kyc_ml.scoring.stopwatch import Stopwatch
from kyc_ml.storage import MANIFEST, Checkpoints, RunDirectory, hold
from kyc_ml.training import warn_of_odd_tiers


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringResult:
    """What a scoring run did.

    Attributes
    ----------
    path : Path
        The published folder.
    was_there : bool
        True where an earlier start had published it.
    seconds : dict of stage to seconds
        Of this start alone; a stage that was done before takes none.
    """

    path: Path
    manifest: Manifest
    tiers: pd.DataFrame
    was_there: bool
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """Rows read, of all tables."""
        return self.manifest.read

    @property
    def quarantined(self) -> int:
        """Rows refused, of all tables."""
        return self.manifest.quarantined

    @property
    def rows(self) -> int:
        """Observations scored."""
        return self.manifest.counts.rows


def run_score(
    request: ScoringRequest, *, reporter: ProgressReporter, tables: StoredTables | None = None
) -> ScoringResult:
    """Score, grade and explain what arrived, and publish it by one rename.

    Killed at any instant and started again with the same request it goes on; the result is
    the same to the byte. Started again after it was published it does nothing.

    Parameters
    ----------
    tables : StoredTables, optional
        The source's tables where they are on disk already; they are read otherwise.

    Raises
    ------
    GateError
        If a limit was passed; nothing is published, and OUT.failed says why.
    OutputError
        If another job writes there; if an interrupted run was about something else; if the
        folder exists and holds another run; if a file cannot be written.
    KycMlError
        If the model, the source or a configuration is at fault.
    """
    asked = None if request.as_of is None else request.as_of.isoformat()
    reporter.about(model=request.model, as_of=asked)
    began = time.time()
    reach_store(request.model)
    _tell_of_refused_writing(request, reporter)
    limits = load_limits(request.limits)
    mapping = load_section(request.source, SourceMapping)
    stopwatch = Stopwatch()
    source = SourceOnDisk(mapping=mapping, data=request.data, memory=request.memory, given=tables)
    scorers = load_scorers(request, mapping=mapping, reporter=reporter)
    reporter.about(model=scorers.label)
    inputs = source.digests()
    identity = identify_run(request, scorers, mapping=mapping, limits=limits, inputs=inputs)
    with hold(request.out) as place:
        manifest = _published(place, identity, request)
        was_there = manifest is not None
        if manifest is None:
            steps = _begin(place, identity, restart=request.restart, reporter=reporter)
            # what is scored already bears the run's id, which hangs on how its dates were noted
            identity = steps.identity() or identity
            night = ScoringRun(
                identity=identity,
                model=scorers.model,
                no_model=scorers.no_model,
                rating=scorers.rating,
                outputs=Outputs(
                    csv=request.csv, duckdb=request.duckdb, part_rows=request.part_rows
                ),
                limits=limits,
                place=place,
                steps=steps,
                stopwatch=stopwatch,
                reporter=reporter,
            )
            manifest = _finished(place, identity, request) or _run(
                night, request, source, scorers, inputs=inputs
            )
            place.keep(KEPT)
            place.publish()
    reporter.about(as_of=manifest.as_of)
    if was_there:
        reporter.info(f"{place.goal} holds this very run already: nothing to do")
    result = ScoringResult(
        path=place.goal,
        manifest=manifest,
        tiers=manifest.counts.tier_table(scorers.policy_of(manifest.scored_by)),
        was_there=was_there,
        seconds=stopwatch.seconds,
    )
    warn_of_odd_tiers(result.tiers, reporter)
    if not was_there:
        try:
            _log(result, scorers, began=began)
        except RegistryError as error:  # the scores are out: a scheduler must not score again
            reporter.warning(f"published, but MLflow holds no run of it: {error}")
    return result


def load_limits(path: Path | None) -> LimitsConfig:
    """Read a file of limits; without one, give those of `LimitsConfig`.

    Raises
    ------
    ConfigError
        If the file is at fault.
    """
    return LimitsConfig() if path is None else load_section(path, LimitsConfig)


def _published(
    place: RunDirectory, identity: Mapping[str, str], request: ScoringRequest
) -> Manifest | None:
    """Give the account of this very run, if it is published already, under whatever limits.

    A fallback's limits count: under others the model's own scores might have been published.

    Raises
    ------
    OutputError
        If the folder holds another run, or one that was damaged.
    """
    if not place.goal.exists():
        return None
    manifest = read_manifest(place.goal) if (place.goal / MANIFEST).is_file() else None
    if manifest is None:
        msg = f"{place.goal} exists and is no folder of a scoring run: name another --out"
        raise OutputError(msg)
    before = dict(manifest.identity)
    if manifest.scored_by == MODEL:  # published within the limits of then; they move no score
        before["limits"] = identity["limits"]
    differing = changes(before, identity)
    if differing:
        lines = "\n".join(f"  - {line}" for line in differing)
        msg = f"{place.goal} holds another run: name another --out for this one\n{lines}"
        raise OutputError(msg)
    broken = _broken(place.goal, manifest, request)
    if broken:
        msg = (
            f"{place.goal} holds this run, but {', '.join(broken)} is not as it was published: "
            "find out who changed it; move the folder away, as evidence, to score again"
        )
        raise OutputError(msg)
    return manifest


def _begin(
    place: RunDirectory, identity: Mapping[str, str], *, restart: bool, reporter: ProgressReporter
) -> Checkpoints:
    """Go on with an interrupted run of this identity, or begin one.

    Raises
    ------
    OutputError
        If the interrupted run was about something else.
    """
    steps = Checkpoints(place.work)
    if restart:
        place.clear()
    noted = steps.identity()
    complete = _account(place)
    before = complete.identity if noted is None and complete is not None else noted
    if before is None:
        place.clear()
    else:
        require_same(before, identity, goal=place.goal)
        reporter.info(f"going on with the interrupted run to {place.goal}")
    if noted is None:  # or its notes were cleared up before it was published
        steps.begin(identity)
    return steps


def _account(place: RunDirectory) -> Manifest | None:
    """Read the account that an interrupted run has left; None where it has none."""
    try:
        return read_manifest(place.work)
    except ConfigError:  # none, or damaged: it is made again
        return None


def _finished(
    place: RunDirectory, identity: Mapping[str, str], request: ScoringRequest
) -> Manifest | None:
    """Give the account of a run that was killed between its last file and its publication."""
    manifest = _account(place)
    if manifest is not None:
        refused = bool(manifest.faults) and manifest.scored_by == MODEL
        if (
            not changes(manifest.identity, identity)
            and not refused
            and not _broken(place.work, manifest, request)
        ):
            return manifest
    place.remove((MANIFEST,))
    return None


def _broken(folder: Path, manifest: Manifest, request: ScoringRequest) -> list[str]:
    """Name the files that are not as they were written; of the DuckDB file, only its absence."""
    lacking = [DUCKDB] if request.duckdb and not (folder / DUCKDB).is_file() else []
    return [*damaged(folder, manifest.files), *lacking]


def _run(
    night: ScoringRun,
    request: ScoringRequest,
    source: SourceOnDisk,
    scorers: Scorers,
    *,
    inputs: Mapping[str, str],
) -> Manifest:
    """Run the stages; what is refused by its limits is put aside, without its scores."""
    place = night.place
    try:
        tables = source.stored(place, night.steps, night.reporter, digests=inputs)
        night.stopwatch.note("reading")
        chosen = choose(request, scorers, tables, limits=night.limits)
        night.reporter.about(as_of=chosen.as_of.isoformat())
        require_known_customers(
            scorers.book,
            tables,
            chosen,
            most=night.limits.unmatched_overrides,
            reporter=night.reporter,
        )
        return night.run(tables, chosen)
    except OutputError:
        raise  # what is done so far is good: the next start goes on
    except GateError as error:
        place.keep(KEPT_OF_REFUSED)
        place.put_aside()
        msg = f"{error}\n{_say_left(place.failed)}"
        raise GateError(msg) from None
    except KycMlError:
        place.keep(())  # the input is at fault: with other input nothing of this can be used
        raise


def _say_left(failed: Path) -> str:
    """Say what a refused run has left, and where; tables of several runs keep their own rows."""
    kept = {MANIFEST: "what was counted", QUARANTINE: "the refused rows, with their reasons"}
    there = [said for name, said in kept.items() if (failed / name).exists()]
    return f"in {failed}: {' and '.join(there)}"


def _tell_of_refused_writing(request: ScoringRequest, reporter: ProgressReporter) -> None:
    """Say before the work that its run will not be kept: scores matter more, and go out."""
    try:
        reach_store(request.model, writes_to=NIGHTLY, view=NIGHTS)
    except UnreachableError:
        raise
    except RegistryError as error:
        reporter.warning(f"MLflow can be read, but will hold no run of this night: {error}")


def _log(result: ScoringResult, scorers: Scorers, *, began: float) -> None:
    """Log the counts and the drift of a run to MLflow."""
    manifest = result.manifest
    tiers = {f"tier/{name}": float(rows) for name, rows in manifest.counts.tiers.items()}
    log_scoring(
        model=scorers.label,
        day=manifest.as_of[:10],
        metrics={
            "rows/read": manifest.read,
            "rows/quarantined": manifest.quarantined,
            "rows/scored": manifest.counts.rows,
            **tiers,
            **({} if manifest.drift is None else summarise_drift(manifest.drift)),
            **{f"seconds/{stage}": spent for stage, spent in result.seconds.items()},
        },
        tags={
            "job": "score",
            "unit": scorers.unit,
            "model": scorers.label,
            "bundle_digest": manifest.identity["bundle"],
            "as_of": manifest.as_of,
            "run_id": manifest.run_id,
            "out": str(result.path),
            "scored_by": manifest.scored_by,
        },
        began=began,
    )
