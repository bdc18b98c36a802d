"""run_features: write the features that a configuration chooses into a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
import pyarrow.parquet as pq

from kyc_ml import features as f
from kyc_ml.config import RunConfig, SourceMapping, load_section
from kyc_ml.contract import Tables, end_of_data, parts_of, require_fresh
from kyc_ml.dataset.chosen import ChosenObservations, choose_observations, store_observations
from kyc_ml.display import ProgressReporter
from kyc_ml.engines import landed, require_no_master
from kyc_ml.history import read_tables
from kyc_ml.storage import private_folder, require_place, written_whole

if TYPE_CHECKING:
    from kyc_ml.engines import BuiltOnSpark


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesBuilt:
    """Result of `run_features`: number of rows and columns, and why features were left out."""

    rows: int
    columns: int
    unavailable: Mapping[str, str]


def run_features(
    *,
    config: Path,
    source: Path,
    data: Path,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp | None,
    out: Path,
    buckets: int | None,
    quarantine: Path | None,
    engine: Literal["local", "spark"] = "local",
    master: str | None = None,
    reporter: ProgressReporter,
) -> FeaturesBuilt:
    """Compute the features that a configuration chooses, and write them into a file.

    `buckets`: number of customer partitions to build one after the other, on disk next to `out`,
    for tables whose features do not fit into memory; None builds all together in memory.
    `engine`, `master`: 'spark' builds on a cluster, with the same values, into a folder of Parquet
    files beside which the workers write meanwhile; see `open_cluster`.
    """
    run = load_section(config, RunConfig)
    declared = load_section(source, SourceMapping).attributes
    specs = f.choose_features(run.features, unit=run.unit, attributes=declared)
    require_place(out)

    def choose(tables: Tables) -> ChosenObservations:
        moment = end_of_data(tables) if as_of is None else as_of
        require_fresh(moment, tables)
        return ChosenObservations.by_default(
            run.unit, since=since, as_of=moment, zone=tables.timezone
        )

    if engine == "spark":
        with landed(
            source, data, work=out, quarantine=quarantine, master=master, reporter=reporter
        ) as (cluster, stored, work):
            decided = work / "observations.parquet"
            rows = store_observations(stored, choose(stored), decided)
            files = {name: parts_of(path.absolute()) for name, path in stored.files.items()}
            zone = stored.timezone
            found = cluster.build(
                files, [decided.absolute()], specs=specs, timezone=zone, out=out, buckets=buckets
            )
        return _report(found, rows, reporter)
    require_no_master(master)
    tables, _ = read_tables(source, data, quarantine=quarantine, reporter=reporter)
    observations = choose_observations(tables, choose(tables))
    tell = partial(reporter.progress, "building features")
    threads = run.model.n_jobs
    built: f.FeatureTable | f.BucketedFeatures
    if buckets is None:
        built = f.build_features(tables, observations, specs=specs, threads=threads, progress=tell)
        with written_whole(out) as handle:
            built.write(handle)
    else:
        with private_folder(out.absolute().parent) as scratch:
            decided = scratch / "observations.parquet"
            pq.write_table(observations, decided)
            built = f.build_features_in_buckets(
                tables.store(scratch / "tables").files,
                decided,
                specs=specs,
                timezone=tables.timezone,
                out=out,
                scratch=scratch,
                buckets=buckets,
                threads=threads,
                progress=tell,
            )
    return _report(built, observations.num_rows, reporter)


def _report(
    built: "f.FeatureTable | f.BucketedFeatures | BuiltOnSpark",
    rows: int,
    reporter: ProgressReporter,
) -> FeaturesBuilt:
    """Log what was left out, and return the counts."""
    f.report_unavailable(built.unavailable, reporter)
    for note in built.notes:
        reporter.info(note)
    return FeaturesBuilt(rows=rows, columns=len(built.specs), unavailable=built.unavailable)
