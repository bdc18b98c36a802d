"""run_score: read, score, grade, explain and publish; an interrupted run is resumed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from kyc_ml import errors
from kyc_ml.config import LimitsConfig, SourceMapping, Unit, load_section, parse_wait
from kyc_ml.contract import CONTRACT, QUARANTINE, SourceOnDisk, StoredTables, wait_for_input
from kyc_ml.decision import require_known_customers
from kyc_ml.display import ProgressReporter
from kyc_ml.engines import open_cluster, require_no_master
from kyc_ml.history import store_tables
from kyc_ml.registry import NIGHTLY, NIGHTS, reach_store
from kyc_ml.scoring.exports import DUCKDB
from kyc_ml.scoring.from_history import NightHistory, rows_of_history
from kyc_ml.scoring.identity import INPUT, changes, identify_run, require_same
from kyc_ml.scoring.manifest import Manifest, damaged, read_manifest
from kyc_ml.scoring.recording import keep_record, log_kept, log_refusal, make_record
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.scoring.schema import MODEL
from kyc_ml.scoring.scorers import choose, load_scorers
from kyc_ml.scoring.scoring_run import KEPT, KEPT_OF_REFUSED, ScoringRun, Stopwatch
from kyc_ml.scoring.shadow import (
    FeaturesAtHand,
    as_shadow,
    champion_of,
    features_beside,
)
from kyc_ml.storage import MANIFEST, Checkpoints, RunDirectory, hold
from kyc_ml.training import warn_of_odd_tiers

if TYPE_CHECKING:
    from kyc_ml.engines import Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringResult:
    """The result of a scoring run; its counts are in the manifest."""

    path: Path
    """The published folder."""
    manifest: Manifest
    tiers: pd.DataFrame
    """See `Counts.tier_table`."""
    was_there: bool
    """True if an earlier start had published it."""
    seconds: dict[str, float] = field(default_factory=dict)
    """dict of stage to seconds; of this start alone; a stage that an earlier start has done is
    absent."""
    unit: Unit = "risk"
    """{'fraud', 'risk'}."""
    features: FeaturesAtHand | None = None
    """What `keep_features` of `run_score` asked for."""

    @property
    def rows(self) -> int:
        """Number of observations scored."""
        return self.manifest.counts.rows


def run_score(
    request: ScoringRequest,
    *,
    reporter: ProgressReporter,
    tables: StoredTables | None = None,
    at_hand: FeaturesAtHand | None = None,
    keep_features: Path | None = None,
) -> ScoringResult:
    """Score, grade and explain new data, and publish the result by one rename.

    A run that was killed at any instant is resumed by the same request; the result is the same
    to the byte. Once a run is published, the same request does nothing.

    `tables`: the source's tables if they are on disk already; otherwise they are read.
    `at_hand`: features of the same rows, which are not computed again.
    `keep_features`: where to keep the features of the model for its challengers; see `run_shadows`.
    Raises NotReadyError if the input has not arrived yet, at the end of `ScoringRequest.wait`;
    GateError if a limit is exceeded; nothing is published, and OUT.failed holds the reasons;
    OutputError if another job writes there; if an interrupted run has another identity; if the
    folder exists and holds another run; if a file cannot be written; KycMlError if the model, the
    source or a configuration is faulty.
    """
    asked = None if request.as_of is None else request.as_of.isoformat()
    reporter.about(model=request.model, as_of=asked)
    mapping, began = load_section(request.source, SourceMapping), time.time()
    try:
        return wait_for_input(
            lambda: _score(
                request,
                mapping,
                reporter=reporter,
                tables=tables,
                at_hand=at_hand,
                keep_features=keep_features,
            ),
            mapping=mapping,
            data=request.data,
            until=end_of_waiting(request.wait, mapping),
            reporter=reporter,
        )
    except (errors.KycMlError, KeyboardInterrupt, SystemExit) as error:
        # who gives the tables may wait for them, and try again
        if tables is None or not isinstance(error, errors.NotReadyError):
            log_refusal(request, error, zone=mapping.timezone, began=began, reporter=reporter)
        raise


def run_shadows(
    champions: Sequence[tuple[ScoringRequest, ScoringResult]],
    challengers: Sequence[str],
    *,
    reporter: ProgressReporter,
    tables: StoredTables | None = None,
) -> list[ScoringResult]:
    """Score challengers on the rows and features of published runs; they are never published.

    The scores are in ``OUT.shadow/LABEL`` beside those of the champion, where no later run reads
    them. They are graded with the history of the champion, as if the challenger had been promoted
    that night. The same limits apply. Whatever fails is a warning: the published runs stand.

    Parameters
    ----------
    champions : sequence of (ScoringRequest, ScoringResult)
        Published runs, with the features they kept; see `run_score`.
    challengers : sequence of str
        Registry addresses or folders of bundles.

    Returns
    -------
    list of ScoringResult
        Of the challengers that were scored.
    """
    found = []
    try:
        for uri in challengers:
            try:
                units = [(request.out.name, result.unit) for request, result in champions]
                place, label = champion_of(uri, units)
                request, result = champions[place]
                shadow = as_shadow(request, uri, label)
                found.append(
                    run_score(shadow, reporter=reporter, tables=tables, at_hand=result.features)
                )
            except Exception as error:  # noqa: BLE001  a challenger never harms the night
                reporter.warning(f"no scores of the challenger {uri} in the shadow: {error}")
    finally:
        for request, _ in champions:
            features_beside(request.out).unlink(missing_ok=True)
    return found


def end_of_waiting(wait: str | None, mapping: SourceMapping) -> pd.Timestamp | None:
    """Return the time until which a job waits for its input; None does not wait.

    Raises
    ------
    ConfigError
        If `wait` is neither a duration nor a time; see `ScoringRequest`.
    """
    if wait is None:
        return None
    now = pd.Timestamp.now(tz="UTC")
    return parse_wait(wait, name="--wait", zone=mapping.timezone, now=now)


def _score(
    request: ScoringRequest,
    mapping: SourceMapping,
    *,
    reporter: ProgressReporter,
    tables: StoredTables | None,
    at_hand: FeaturesAtHand | None,
    keep_features: Path | None,
) -> ScoringResult:
    """Score once; see `run_score`."""
    began = time.time()
    reach_store(request.model)
    _warn_if_not_logged(request, reporter)
    limits = load_limits(request.limits)
    stopwatch = Stopwatch()
    source = SourceOnDisk(mapping=mapping, data=request.data, memory=request.memory, given=tables)
    scorers = load_scorers(request, mapping=mapping, reporter=reporter)
    reporter.about(model=scorers.label)
    night = kept = None
    with ExitStack() as opened:
        cluster = opened.enter_context(_cluster_of(request, keep_features))
        if cluster is not None:
            source = replace(source, digest=cluster.digest, store=cluster.store)
        files = inputs = source.digests()
        store = opened.enter_context(rows_of_history(request, write=True))
        if store is not None:
            night = NightHistory(store=store, files=files)
            inputs = night.inputs(published=request.out.exists())
        identity = identify_run(request, scorers, mapping=mapping, limits=limits, inputs=inputs)
        place = opened.enter_context(hold(request.out))
        if cluster is not None:
            cluster.require_shared(place.work)
        manifest = _published(place, identity, request, reporter)
        was_there = manifest is not None
        if manifest is None:
            steps = _begin(place, identity, restart=request.restart, reporter=reporter)
            # the rows scored so far bear a run id that depends on how their start wrote its dates
            identity = steps.identity() or identity
            run = ScoringRun(
                request=request,
                scorers=scorers,
                identity=identity,
                limits=limits,
                place=place,
                steps=steps,
                reporter=reporter,
                stopwatch=stopwatch,
                at_hand=at_hand,
                night=night,
                cluster=cluster,
            )
            manifest = _complete(run) or _run(run, source, files=files)
            kept = None if keep_features is None else run.hand_over(keep_features)
            place.keep(KEPT)
            record = make_record(
                manifest,
                scorers,
                out=place.goal,
                zone=mapping.timezone,
                seconds=stopwatch.seconds,
                began=began,
                shadow=request.shadow,
            )
            keep_record(record, place.goal)
            place.publish()
    reporter.about(as_of=manifest.as_of)
    if was_there:
        reporter.info(f"{place.goal} already holds this run: nothing to do")
    result = ScoringResult(
        path=place.goal,
        manifest=manifest,
        tiers=manifest.counts.tier_table(scorers.policy_of(manifest.scored_by)),
        was_there=was_there,
        seconds=stopwatch.seconds,
        unit=scorers.unit,
        features=kept,
    )
    warn_of_odd_tiers(result.tiers, reporter)
    try:
        log_kept(place.goal, reporter)
    except errors.RegistryError as error:
        # the scores are published: a scheduler must not repeat it
        reporter.warning(f"published, but MLflow has no record of the run: {error}")
    return result


@contextmanager
def _cluster_of(request: ScoringRequest, kept: Path | None) -> "Iterator[Cluster | None]":
    """Open the cluster that a request names; None for this machine.

    Raises ConfigError for what a cluster does not do.
    """
    if request.engine == "local":
        require_no_master(request.master)
        yield None
        return
    if request.history is not None or request.shadow or kept is not None:
        what = "a history store" if request.history is not None else "a challenger in the shadow"
        raise errors.ConfigError(
            f"--engine spark does not score with {what}, whose rows are kept on one machine: "
            "leave it out, or score without --engine spark"
        )
    with open_cluster(request.master) as cluster:
        yield cluster


def load_limits(path: Path | None) -> LimitsConfig:
    """Read a file of limits; None gives the defaults of `LimitsConfig`.

    Raises
    ------
    ConfigError
        If the file is faulty.
    """
    limits = LimitsConfig() if path is None else load_section(path, LimitsConfig)
    strange = sorted(limits.tables.keys() - CONTRACT.keys())
    if strange:
        msg = f"{path}: tables: {', '.join(strange)}: not contracted: name {', '.join(CONTRACT)}"
        raise errors.ConfigError(msg)
    return limits


def _published(
    place: RunDirectory,
    identity: Mapping[str, str],
    request: ScoringRequest,
    reporter: ProgressReporter,
) -> Manifest | None:
    """Return the manifest of this run if it is published already; None if not.

    Raises OutputError if the folder holds another run, or one that was damaged.
    """
    if not place.goal.exists():
        return None
    manifest = read_manifest(place.goal) if (place.goal / MANIFEST).is_file() else None
    if manifest is None:
        msg = f"{place.goal} exists and is not the folder of a scoring run: name another --out"
        raise errors.OutputError(msg)
    before = dict(manifest.identity)
    if manifest.scored_by == MODEL:
        # other limits change no score of the model; but they may have caused a fallback
        before["limits"] = identity["limits"]
    differing = changes(before, identity)
    lines = "\n".join(f"  - {line}" for line in differing)
    if differing and request.stands and all(line.startswith(INPUT) for line in differing):
        reporter.warning(
            f"{place.goal} is published and stands, but its input has changed since: score it to "
            f"another --out to see what the change does, or move it away to replace it\n{lines}"
        )
    elif differing:
        msg = f"{place.goal} holds another run: name another --out for this one\n{lines}"
        raise errors.OutputError(msg)
    broken = _broken(place.goal, manifest, request)
    if broken:
        raise errors.OutputError(
            f"{place.goal} holds this run, but {', '.join(broken)} differs from what was "
            "published: find out who changed it; to score again, move the folder away as evidence"
        )
    return manifest


def _begin(
    place: RunDirectory, identity: Mapping[str, str], *, restart: bool, reporter: ProgressReporter
) -> Checkpoints:
    """Resume the interrupted run of this identity, or begin one.

    Raises OutputError if the interrupted run has another identity.
    """
    steps = Checkpoints(place.work)
    if restart:
        place.clear()
    noted = steps.identity()
    complete = _read_manifest(place)
    before = complete.identity if noted is None and complete is not None else noted
    if before is None:
        place.clear()
    else:
        require_same(before, identity, goal=place.goal)
        reporter.info(f"resuming the interrupted run to {place.goal}")
    if noted is None:  # or the checkpoints were removed just before publication
        steps.begin(identity)
    return steps


def _read_manifest(place: RunDirectory) -> Manifest | None:
    """Read the manifest that an interrupted run has left; None without a sound one."""
    try:
        return read_manifest(place.work)
    except errors.ConfigError:  # it is written again
        return None


def _complete(run: ScoringRun) -> Manifest | None:
    """Return the manifest of a run that was killed between its last file and its publication."""
    manifest = _read_manifest(run.place)
    if manifest is not None:
        refused = bool(manifest.faults) and manifest.scored_by == MODEL
        if (
            not changes(manifest.identity, run.identity)
            and not refused
            and not _broken(run.place.work, manifest, run.request)
        ):
            return manifest
    run.place.remove((MANIFEST,))
    return None


def _broken(folder: Path, manifest: Manifest, request: ScoringRequest) -> list[str]:
    """List the files that differ from the manifest; of the DuckDB file, only its absence."""
    # DuckDB writes other bytes for the same rows, so its file has no digest in the manifest
    lacking = [DUCKDB] if request.duckdb and not (folder / DUCKDB).is_file() else []
    return [*damaged(folder, manifest.files), *lacking]


def _run(run: ScoringRun, source: SourceOnDisk, *, files: Mapping[str, str]) -> Manifest:
    """Run the stages; a run beyond its limits is moved aside, without its scores."""
    place, night = run.place, run.night
    try:
        if night is not None:
            source = replace(source, history=night.store)
        tables = source.stored(place, run.steps, run.reporter, digests=files)
        run.stopwatch.note("reading")
        if night is not None:
            night.append(tables, place, run.reporter)
            tables = store_tables(night.store, None)
            run.stopwatch.note("appending")
        chosen = choose(run.request, run.scorers, tables, limits=run.limits)
        run.reporter.about(as_of=chosen.as_of.isoformat())
        if night is not None:
            folder = place.scratch / "rows of the history"
            tables = store_tables(night.store, folder, since_us=night.since_us(chosen))
            run.stopwatch.note("finding recent rows")
        require_known_customers(
            run.scorers.book,
            tables,
            chosen,
            most=run.limits.unmatched_overrides,
            reporter=run.reporter,
        )
        return run.run(tables, chosen)
    except errors.OutputError:
        raise  # what is done so far is sound: the next start resumes
    except errors.GateError as error:
        place.keep(KEPT_OF_REFUSED)
        place.put_aside()
        left = {MANIFEST: "the counts", QUARANTINE: "the refused rows, with their reasons"}
        # tables that several runs share keep their own refused rows
        present = [text for name, text in left.items() if (place.failed / name).exists()]
        raise errors.GateError(f"{error}\nin {place.failed}: {' and '.join(present)}") from None
    except errors.KycMlError:
        place.keep(())  # the input is faulty: with other input nothing of this can be used
        raise


def _warn_if_not_logged(request: ScoringRequest, reporter: ProgressReporter) -> None:
    """Warn before the work if MLflow cannot record the run; the scores are published anyway."""
    try:
        reach_store(request.model, writes_to=NIGHTLY, view=NIGHTS)
    except errors.UnreachableError:
        raise
    except errors.RegistryError as error:
        reporter.warning(f"MLflow can be read, but will not record this run: {error}")
