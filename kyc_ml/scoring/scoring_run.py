"""The stages of a scoring run, each noted when it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.config import LimitsConfig
from kyc_ml.contract import CUSTOMER_ID, QUARANTINE, StoredTables
from kyc_ml.dataset import ChosenObservations, count_not_scored, store_observations
from kyc_ml.decision import confidentiality
from kyc_ml.display import ProgressReporter, say_count
from kyc_ml.features import FeatureSpec, build_features_in_buckets, find_time_bound
from kyc_ml.metrics import effective_size
from kyc_ml.model import PROBABILITY, DriftFound, compare_profiles
from kyc_ml.registry import require_own, trained_until
from kyc_ml.scoring.by_model import ModelScorer
from kyc_ml.scoring.by_rating import RatingScorer
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.exports import CSV, DUCKDB, export_csv, export_duckdb
from kyc_ml.scoring.fallback import Fallback, hand_over, handed_over
from kyc_ml.scoring.identity import run_id
from kyc_ml.scoring.limits import Judged, check_limits, refuse
from kyc_ml.scoring.manifest import Manifest, digest_published
from kyc_ml.scoring.parts import CONTRIBUTIONS, SCORES, PartScorer, score_parts
from kyc_ml.scoring.schema import SCHEMA_VERSION, with_meanings
from kyc_ml.scoring.stopwatch import Stopwatch
from kyc_ml.storage import MANIFEST, Checkpoints, RunDirectory
from kyc_ml.training import is_cross_validated

KEPT: Final = (SCORES, CONTRIBUTIONS, QUARANTINE, CSV, DUCKDB, MANIFEST)
"""What a published folder may hold."""

KEPT_OF_REFUSED: Final = (QUARANTINE, MANIFEST)
"""What the folder of a refused run holds: no scores."""

_OBSERVATIONS: Final = "observations"
_COLUMNS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What to write beside the scores, and how many rows to hold at once."""

    csv: bool
    duckdb: bool
    part_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRun:
    """One scoring run in its place.

    Attributes
    ----------
    identity : mapping
        All that the result depends on.
    model : ModelScorer or None
        None where it could not be loaded; `no_model` says why then.
    rating : RatingScorer or None
        What stands in; None where nothing does.
    """

    identity: Mapping[str, str]
    model: ModelScorer | None
    no_model: str
    rating: RatingScorer | None
    outputs: Outputs
    limits: LimitsConfig
    place: RunDirectory
    steps: Checkpoints
    stopwatch: Stopwatch
    reporter: ProgressReporter

    def run(self, tables: StoredTables, chosen: ChosenObservations) -> Manifest:
        """Do every stage that is not done, and leave the account of all in the work folder.

        Raises
        ------
        GateError
            If a limit is passed and nothing stands in.
        """
        observed = self._observe(tables, chosen)
        handed = handed_over(self.steps)
        if self.model is not None and handed is None:
            judged = self._score(self.model, tables, observed, chosen)
            faults = check_limits(judged, self.limits)
            if not faults:
                return self._finish(judged, observed, chosen, scorer=self.model)
            if self.rating is None:
                self._account(
                    judged, observed, chosen, scorer=self.model, faults=faults, kept=(QUARANTINE,)
                )
                refuse(faults, subject=f"scores of {self.model.label}")
            self.place.remove((SCORES, CONTRIBUTIONS))
            handed = hand_over(self.steps, faults, judged.drift_table)
        if self.rating is None:
            raise AssertionError  # without a model and without a rating no run begins
        handed = handed or Fallback(reason=self.no_model)
        self.reporter.warning(f"the expert rating scores every row, because: {handed.reason}")
        judged = self._score(self.rating, tables, observed, chosen)
        return self._finish(judged, observed, chosen, scorer=self.rating, handed=handed)

    def _observe(self, tables: StoredTables, chosen: ChosenObservations) -> dict[str, Any]:
        """Write what is to be scored."""
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
    ) -> Judged:
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

        def finish(scores: pa.Table) -> pa.Table:
            named = scores.append_column("run_id", pa.array([run] * len(scores), pa.string()))
            return with_meanings(named, about)

        parts = score_parts(
            features,
            specs,
            unavailable=unavailable,
            scorer=scorer,
            finish=finish,
            work=self.place.work,
            steps=self.steps,
            tell=lambda done, total: self.reporter.progress("scoring and explaining", done, total),
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
        return Judged(quality=tables.quality, counts=counts, drift=drift)

    def _build(
        self, scorer: PartScorer, tables: StoredTables
    ) -> tuple[Path, tuple[FeatureSpec, ...], dict[str, str]]:
        """Compute features into a file whose row groups are the parts."""
        path = self.place.work / f"features-{scorer.who}.parquet"
        specs = scorer.specs
        done = self.steps.done(path.stem)
        if done is None:
            built = build_features_in_buckets(
                tables.files,
                self.place.work / f"{_OBSERVATIONS}.parquet",
                specs=specs,
                timezone=tables.timezone,
                out=path,
                scratch=self.place.scratch,
                group_rows=self.outputs.part_rows,
                progress=lambda done, total: self.reporter.progress(
                    "building features", done, total
                ),
            )
            require_own(scorer.own, built.unavailable, model="the model")
            columns = [spec.name for spec in built.specs]
            facts = {
                "columns": columns,
                "left_out": dict(built.unavailable),
                "notes": list(built.notes),
            }
            done = self.steps.note(path.stem, [path], facts)
        for note in done["notes"]:
            self.reporter.info(note)
        declared = {spec.name: spec for spec in specs}
        return path, tuple(declared[name] for name in done["columns"]), done["left_out"]

    def _drift(
        self, counts: Counts, chosen: ChosenObservations, *, effective_customers: float
    ) -> DriftFound | None:
        if self.model is None or (profile := self.model.bundle.profile) is None:
            return None
        bundle = self.model.bundle
        not_counted = find_time_bound(bundle.specs)
        if is_cross_validated(bundle) and chosen.as_of <= trained_until(bundle):
            # the profile's probabilities are out of fold, those of learned rows more extreme
            not_counted[PROBABILITY] = "rows of the training"
        found = compare_profiles(
            profile,
            counts.profile,
            effective_customers=effective_customers,
            limits=self.limits.drift,
            not_counted=not_counted,
        )
        title = "drift against the rows that judged the model"
        self.reporter.show(title, found.table.head(_COLUMNS_SHOWN))
        if found.drifted:
            self.reporter.warning(
                f"drift: {len(found.drifted)} feature(s) moved beyond "
                f"{self.limits.drift.feature:g} and beyond chance: {found.drifted_text}"
            )
        return found

    def _finish(
        self,
        judged: Judged,
        observed: Mapping[str, Any],
        chosen: ChosenObservations,
        *,
        scorer: PartScorer,
        handed: Fallback | None = None,
    ) -> Manifest:
        """Write what was asked for beside the scores, then the account, and clear up."""
        work = self.place.work
        parts = sorted((work / SCORES).glob("part-*.parquet"))
        written = sum(pq.read_metadata(part).num_rows for part in parts)
        if written != judged.counts.rows:
            msg = f"{judged.counts.rows} rows scored, but {written} written: report this defect"
            raise AssertionError(msg)
        if self.outputs.csv:
            export_csv(parts, work / CSV)
        if self.outputs.duckdb:
            export_duckdb(parts, work / DUCKDB, scratch=self.place.scratch)
        faults = () if handed is None else handed.faults
        manifest = self._account(
            judged, observed, chosen, scorer=scorer, faults=faults, handed=handed
        )
        self.stopwatch.note("publishing")
        return manifest

    def _account(
        self,
        judged: Judged,
        observed: Mapping[str, Any],
        chosen: ChosenObservations,
        *,
        scorer: PartScorer,
        faults: Sequence[str],
        handed: Fallback | None = None,
        kept: Sequence[str] = (SCORES, CONTRIBUTIONS, QUARANTINE, CSV),
    ) -> Manifest:
        """Write the account of the run and of the files that are kept of it."""
        manifest = Manifest(
            identity=self.identity,
            as_of=chosen.as_of.isoformat(),
            scored_by=scorer.who,
            reason="" if handed is None else handed.reason,
            observations=observed["rows"],
            customers=observed["customers"],
            not_scored=observed["not_scored"],
            quality=judged.quality,
            counts=judged.counts,
            drift=judged.drift_table if handed is None else handed.drift,
            faults=tuple(faults),
            files=digest_published(self.place.work, kept),
        )
        manifest.write(self.place.work)
        return manifest
