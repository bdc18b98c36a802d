"""run_features: the features a configuration chooses, as a file."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from kyc_ml.config import RunConfig, load_section
from kyc_ml.engine.writing import require_place, written_whole
from kyc_ml.features.build import build_features
from kyc_ml.features.catalog import choose_features
from kyc_ml.jobs.choosing import choose_observations
from kyc_ml.jobs.reading import end_of_data, parse_moment, read_tables
from kyc_ml.jobs.watch import Watch


def run_features(
    *,
    config: Path,
    source: Path,
    data: Path,
    since: str | None,
    as_of: str | None,
    out: Path,
    quarantine: Path,
    watch: Watch,
) -> tuple[int, int, dict[str, str]]:
    """Compute the features a configuration chooses; returns rows, columns, and left out."""
    run = load_section(config, RunConfig)
    specs = choose_features(run.features, unit=run.unit)
    require_place(out)
    tables, _ = read_tables(source, data, quarantine=quarantine, watch=watch)
    moment = end_of_data(tables) if as_of is None else parse_moment(as_of, name="--as-of")
    observations = choose_observations(
        tables,
        unit=run.unit,
        since=None if since is None else parse_moment(since, name="--since"),
        as_of=moment,
        dataset=run.dataset,
    )
    features = build_features(
        tables,
        observations,
        specs=specs,
        threads=run.model.num_threads,
        progress=lambda done, total: watch.step("building features", done, total),
    )
    for name, reason in features.left_out.items():
        watch.say(f"feature left out: {name}: {reason}")
    with written_whole(out) as handle:
        pq.write_table(features.to_arrow(), handle, compression="zstd")
    return len(features), len(features.specs), dict(features.left_out)
