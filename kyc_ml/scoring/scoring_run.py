"""The stages of a scoring run, with a checkpoint after each."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pandas as pd
import pyarrow.parquet as pq

from kyc_ml.config import LimitsConfig
from kyc_ml.contract import CUSTOMER_ID, QUARANTINE, StoredTables, parts_of
from kyc_ml.dataset import ChosenObservations, count_not_scored, store_observations
from kyc_ml.decision import confidentiality
from kyc_ml.display import ProgressReporter, say_count
from kyc_ml.errors import Faults, GateError, NotReadyError
from kyc_ml.features import FeatureSpec, build_features_in_buckets, find_time_bound
from kyc_ml.metrics import effective_size
from kyc_ml.model import PROBABILITY, DriftFound, compare_profiles
from kyc_ml.registry import require_own, trained_until
from kyc_ml.scoring import extract_limits
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.earlier import tables_before
from kyc_ml.scoring.exports import CSV, DUCKDB, export_csv, export_duckdb
from kyc_ml.scoring.extract_profile import profile_extract
from kyc_ml.scoring.from_history import NightHistory
from kyc_ml.scoring.limits import RunFigures, check_limits
from kyc_ml.scoring.manifest import Manifest, digest_published, read_drift, run_id, write_drift
from kyc_ml.scoring.parts import CONTRIBUTIONS, SCORES, PartScorer, score_on_workers, score_parts
from kyc_ml.scoring.patterns import Finishing
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.scoring.schema import MODEL, SCHEMA_VERSION
from kyc_ml.scoring.scorers import Scorers
from kyc_ml.scoring.shadow import FeaturesAtHand, extend_features
from kyc_ml.storage import MANIFEST, Checkpoints, RunDirectory
from kyc_ml.training import is_cross_validated

if TYPE_CHECKING:
    from kyc_ml.engines import BuiltOnSpark, Cluster

KEPT: Final = (SCORES, CONTRIBUTIONS, QUARANTINE, CSV, DUCKDB, MANIFEST)
"""What a published folder may contain."""

KEPT_OF_REFUSED: Final = (QUARANTINE, MANIFEST)
"""What the folder of a refused run contains: no scores."""

_OBSERVATIONS: Final = "observations"
_FALLBACK: Final = "fallback"
_COLUMNS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Why the rating scores a run instead of the model."""

    reason: str
    faults: tuple[str, ...] = ()
    """Limits that the model's scores exceed; empty if the model could not be loaded."""
    drift: pd.DataFrame | None = None
    """Drift of the model's scores; see `DriftFound.table`."""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Read the facts of a checkpoint."""
        faults = tuple(facts["faults"])
        return cls(reason=facts["reason"], faults=faults, drift=read_drift(facts["drift"]))


class Stopwatch:
    """Measures the time of stages that follow each other.

    Attributes
    ----------
    seconds : dict of stage to seconds
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def note(self, stage: str) -> None:
        """Add the time since the previous call to a stage."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRun:
    """One scoring run in its folder."""

    request: ScoringRequest
    scorers: Scorers
    identity: Mapping[str, str]
    """All that the result depends on."""
    limits: LimitsConfig
    place: RunDirectory
    """Where the run writes."""
    steps: Checkpoints
    """The stages that are done."""
    reporter: ProgressReporter
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    at_hand: FeaturesAtHand | None = None
    """Features of the same rows, for a challenger."""
    night: NightHistory | None = None
    """The history store, where there is one."""
    cluster: "Cluster | None" = None
    """Who reads, builds and scores, if not this machine."""

    def hand_over(self, path: Path) -> FeaturesAtHand | None:
        """Move the features that the model has read to a file; None without any."""
        file = self.place.work / f"features-{MODEL}.parquet"
        done = self.steps.done(file.stem)
        if self.scorers.model is None or done is None:
            return None
        file.replace(path)
        specs = self.scorers.model.specs
        return FeaturesAtHand(path=path, specs=specs, unavailable=done["left_out"])

    def run(self, tables: StoredTables, chosen: ChosenObservations) -> Manifest:
        """Run every stage that is not done, and write the manifest into the work folder.

        Raises GateError if a limit is exceeded and there is no fallback.
        """
        model, rating = self.scorers.model, self.scorers.rating
        extract = self._examine(tables, chosen)
        observed = self._observe(tables, chosen)
        noted = self.steps.done(_FALLBACK)  # an earlier start has exceeded a limit
        if model is not None and noted is None:
            figures = replace(self._score(model, tables, observed, chosen), extract=extract)
            faults = check_limits(figures, self.limits)
            if not faults:
                return self._finish(figures, observed, chosen, scorer=model)
            if rating is None or extract.faults:
                self._refuse(figures, observed, chosen, scorer=model, faults=faults)
            self.place.remove((SCORES, CONTRIBUTIONS))
            facts = {
                "faults": list(faults),
                "reason": "; ".join(faults),
                "drift": write_drift(figures.drift_table),
            }
            noted = self.steps.note(_FALLBACK, [], facts)
        if rating is None:
            raise AssertionError  # load_scorers gives a model or a rating
        # read from the checkpoint, so that the result does not depend on an interruption
        fallback = Fallback(reason=self.scorers.no_model) if noted is None else Fallback.of(noted)
        self.reporter.warning(f"the expert rating scores every row, because: {fallback.reason}")
        figures = replace(self._score(rating, tables, observed, chosen), extract=extract)
        if extract.faults:  # a scorecard reads the same tables
            self._refuse(figures, observed, chosen, scorer=rating, faults=extract.faults)
        return self._finish(figures, observed, chosen, scorer=rating, fallback=fallback)

    def _refuse(
        self,
        figures: RunFigures,
        observed: Mapping[str, Any],
        chosen: ChosenObservations,
        *,
        scorer: PartScorer,
        faults: Sequence[str],
    ) -> None:
        """Write the manifest of a run that exceeds limits, and raise GateError."""
        self._write_manifest(
            figures, observed, chosen, scorer=scorer, faults=faults, kept=(QUARANTINE,)
        )
        refused = Faults(f"scores of {self.scorers.label}: not published", GateError)
        refused.extend(faults).raise_if_any()

    def _examine(
        self, tables: StoredTables, chosen: ChosenObservations
    ) -> extract_limits.ExtractFound:
        """Compare the tables with their own past and with the night before.

        Raises NotReadyError if a table is older than its rhythm explains, or a file than its
        control file says.
        """
        if self.request.shadow:  # the published run has examined them
            return extract_limits.ExtractFound(tables={}, faults=())
        as_of = chosen.as_of.tz_convert(tables.timezone)  # messages have the clock of the source
        profiles = profile_extract(
            tables, chosen.as_of, memory=self.request.memory, scratch=self.place.scratch
        )
        late = Faults("tables that have not landed", NotReadyError)
        late.extend(extract_limits.find_late_tables(profiles, as_of, self.limits))
        late.extend(extract_limits.find_late_files(tables, as_of)).raise_if_any()
        before = tables_before(self.request, as_of=as_of)
        if before is None:
            self.reporter.info(
                "no night before to compare with: the tables are compared with their own past"
            )
        faults = extract_limits.check_extract(
            profiles,
            self.limits,
            as_of=as_of,
            timezone=tables.timezone,
            before=before,
            whole_day=self.request.as_of is not None,
        )
        self.stopwatch.note("examining")
        summaries = {name: each.summary for name, each in profiles.items()}
        return extract_limits.ExtractFound(tables=summaries, faults=tuple(faults))

    def _observe(self, tables: StoredTables, chosen: ChosenObservations) -> dict[str, Any]:
        """Write the observations to score, and count their customers."""
        done = self.steps.done(_OBSERVATIONS)
        if done is None:
            path = self.place.work / f"{_OBSERVATIONS}.parquet"
            rows = store_observations(tables, chosen, path)
            of_customer: Counter[str] = Counter()
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=[CUSTOMER_ID]):
                    counted = batch[CUSTOMER_ID].value_counts()
                    names, times = counted.field("values"), counted.field("counts")
                    of_customer.update(dict(zip(names.to_pylist(), times.to_pylist(), strict=True)))
            facts = {
                "rows": rows,
                "customers": len(of_customer),
                "effective_customers": effective_size(list(of_customer.values())),
                "not_scored": count_not_scored(tables, chosen, of_customer.keys()),
            }
            done = self.steps.note(_OBSERVATIONS, [path], facts)
        for reason, customers in done["not_scored"].items():
            self.reporter.info(f"{say_count(customers, 'customer')} not scored: {reason}")
        self.stopwatch.note("choosing")
        return done

    def _score(
        self,
        scorer: PartScorer,
        tables: StoredTables,
        observed: Mapping[str, Any],
        chosen: ChosenObservations,
    ) -> RunFigures:
        """Compute features, and score them part by part."""
        features, specs, unavailable = self._build(scorer, tables)
        self.stopwatch.note("features")
        run = run_id(self.identity)
        about = {
            **{f"kyc_ml.{name}": said for name, said in confidentiality(scorer.policy).items()},
            "kyc_ml.as_of": chosen.as_of.isoformat(),
            "kyc_ml.schema_version": str(SCHEMA_VERSION),
            "kyc_ml.model": self.identity["model"],
            "kyc_ml.run_id": run,
        }

        finish = Finishing(
            tables=replace(
                tables, files={name: path.absolute() for name, path in tables.files.items()}
            ),
            policy=scorer.policy,
            cash_report=scorer.cash_report,
            run=run,
            about=about,
        )
        score = (
            score_parts
            if self.cluster is None
            else partial(score_on_workers, self.cluster, part_rows=self.request.part_rows)
        )
        parts = score(
            features,
            specs,
            unavailable=unavailable,
            scorer=scorer,
            finish=finish,
            work=self.place.work,
            steps=self.steps,
            progress=lambda done, total: self.reporter.progress(
                "scoring and explaining", done, total
            ),
        )
        self.stopwatch.note("scoring and explaining")
        counts = Counts.total(parts)
        for note in counts.notes(scorer.policy):
            self.reporter.info(note)
        drift = (
            self._drift(counts, chosen, effective_customers=observed["effective_customers"])
            if parts[0].profile
            else None
        )
        return RunFigures(quality=tables.quality, counts=counts, drift=drift)

    def _build(
        self, scorer: PartScorer, tables: StoredTables
    ) -> tuple[Path, tuple[FeatureSpec, ...], dict[str, str]]:
        """Compute features into a file whose row groups are the parts."""
        path = self.place.work / f"features-{scorer.who}.parquet"
        specs = scorer.specs
        done = self.steps.done(path.stem)
        if done is None:
            build = partial(
                self._builder(tables),
                observations=self.place.work / f"{_OBSERVATIONS}.parquet",
                group_rows=self.request.part_rows,
                progress=lambda done, total: self.reporter.progress(
                    "building features", done, total
                ),
            )
            built = (
                build(specs=specs, out=path)
                if self.at_hand is None
                else extend_features(self.at_hand, specs, build=build, out=path)
            )
            require_own(scorer.own, built.unavailable, model="the model")
            columns = [spec.name for spec in built.specs]
            facts = {
                "columns": columns,
                "left_out": dict(built.unavailable),
                "notes": list(built.notes),
            }
            done = self.steps.note(path.stem, parts_of(path), facts)
        for note in done["notes"]:
            self.reporter.info(note)
        declared = {spec.name: spec for spec in specs}
        return path, tuple(declared[name] for name in done["columns"]), done["left_out"]

    def _builder(self, tables: StoredTables) -> Callable[..., Any]:
        """Return who builds features: a cluster, the history store, or buckets of the files."""
        if self.cluster is not None:
            return partial(self._build_on_workers, tables)
        if self.night is not None and tables.whole:  # otherwise all rows are in the files
            return partial(self.night.build, tables)
        return partial(
            build_features_in_buckets,
            tables.files,
            timezone=tables.timezone,
            scratch=self.place.scratch,
        )

    def _build_on_workers(
        self,
        tables: StoredTables,
        *,
        observations: Path,
        specs: Sequence[FeatureSpec],
        out: Path,
        **_: Any,  # noqa: ANN401  what a file of one machine needs
    ) -> "BuiltOnSpark":
        """Compute features on the cluster, into a folder of parts."""
        assert self.cluster is not None  # noqa: S101  only called with one
        self.place.remove((out.name,))  # a start that was killed may have left it unmarked
        files = {name: parts_of(path.absolute()) for name, path in tables.files.items()}
        return self.cluster.build(
            files, [observations.absolute()], specs=specs, timezone=tables.timezone, out=out
        )

    def _drift(
        self, counts: Counts, chosen: ChosenObservations, *, effective_customers: float
    ) -> DriftFound | None:
        model = self.scorers.model
        if model is None or (profile := model.bundle.profile) is None:
            return None
        bundle = model.bundle
        not_counted = find_time_bound(bundle.specs)
        if is_cross_validated(bundle) and chosen.as_of <= trained_until(bundle):
            # the profile holds out-of-fold probabilities; those of training rows are more extreme
            not_counted[PROBABILITY] = "rows of the training"
        found = compare_profiles(
            profile,
            counts.profile,
            effective_customers=effective_customers,
            limits=self.limits.drift,
            not_counted=not_counted,
        )
        title = "drift since the rows that evaluated the model"
        self.reporter.show(title, found.table.head(_COLUMNS_SHOWN))
        if found.drifted:
            self.reporter.warning(
                f"drift: {len(found.drifted)} feature(s) moved significantly, by more than "
                f"{self.limits.drift.feature:g}: {found.drifted_text}"
            )
        return found

    def _finish(
        self,
        figures: RunFigures,
        observed: Mapping[str, Any],
        chosen: ChosenObservations,
        *,
        scorer: PartScorer,
        fallback: Fallback | None = None,
    ) -> Manifest:
        """Write the other outputs of the request, then the manifest."""
        work = self.place.work
        parts = sorted((work / SCORES).glob("part-*.parquet"))
        written = sum(pq.read_metadata(part).num_rows for part in parts)
        if written != figures.counts.rows:
            msg = f"{figures.counts.rows} rows scored, but {written} written: a defect of kyc_ml"
            raise AssertionError(msg)
        if self.request.csv:
            export_csv(parts, work / CSV)
        if self.request.duckdb:
            export_duckdb(parts, work / DUCKDB, scratch=self.place.scratch)
        faults = () if fallback is None else fallback.faults
        manifest = self._write_manifest(
            figures, observed, chosen, scorer=scorer, faults=faults, fallback=fallback
        )
        self.stopwatch.note("publishing")
        return manifest

    def _write_manifest(
        self,
        figures: RunFigures,
        observed: Mapping[str, Any],
        chosen: ChosenObservations,
        *,
        scorer: PartScorer,
        faults: Sequence[str],
        fallback: Fallback | None = None,
        kept: Sequence[str] = (SCORES, CONTRIBUTIONS, QUARANTINE, CSV),
    ) -> Manifest:
        """Write the manifest of the run and of the files that are kept."""
        manifest = Manifest(
            identity=self.identity,
            as_of=chosen.as_of.isoformat(),
            scored_by=scorer.who,
            reason="" if fallback is None else fallback.reason,
            observations=observed["rows"],
            customers=observed["customers"],
            not_scored=observed["not_scored"],
            quality=figures.quality,
            counts=figures.counts,
            drift=figures.drift_table if fallback is None else fallback.drift,
            faults=tuple(faults),
            files=digest_published(self.place.work, kept),
            promotion={} if self.scorers.standing is None else self.scorers.standing.to_dict(),
            extract=figures.extract.tables,
        )
        manifest.write(self.place.work)
        return manifest
