"""Challengers in the shadow of a published run: the same rows and features, never published."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kyc_ml import features as f
from kyc_ml.errors import ConfigError
from kyc_ml.registry import load_model
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.storage import MANIFEST, written_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesAtHand:
    """Features that a run has computed, for others that score the same rows."""

    path: Path
    """Parquet file with the columns of `FeatureTable.to_arrow`."""
    specs: tuple[f.FeatureSpec, ...]
    """Its feature columns, intermediate ones and those that the source does not have."""
    unavailable: Mapping[str, str]
    """Mapping of name to reason; of what the source does not have."""


def features_beside(out: Path) -> Path:
    """Return where a run with challengers keeps its features until these are scored."""
    return out.with_name(f".{out.name}.features.work")


def shadow_folder(out: Path, label: str) -> Path:
    """Return where the scores of a challenger are, beside those of the published run.

    `label`: name and version of the challenger, such as 'fraud v4'.
    """
    return out.with_name(f"{out.name}.shadow") / label.replace("/", "_").replace(" ", "_")


def champion_of(uri: str, units: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Find the run whose rows a challenger scores, and return its place and the label.

    `units`: sequence of (name, unit); of the published runs: a run of the challenger's name comes
    first, then the only one of its unit.
    Raises KycMlError if the challenger cannot be loaded, or no run or several are of its unit.
    """
    bundle, label = load_model(uri)
    unit = bundle.config.unit
    same = [place for place, (_, each) in enumerate(units) if each == unit]
    own = [place for place in same if units[place][0] == bundle.config.name]
    found = own or same
    if len(found) != 1:
        raise ConfigError(
            f"--shadow {uri} is of unit {unit}, and {len(found)} published run(s) of this start "
            "are: give one --model of the challenger's name or unit"
        )
    return found[0], label


def as_shadow(request: ScoringRequest, uri: str, label: str) -> ScoringRequest:
    """Return the request that scores a challenger on the rows of a published run."""
    return replace(
        request,
        model=uri,
        out=shadow_folder(request.out, label),
        fallback=None,
        config=None,
        contributions=False,
        csv=False,
        duckdb=False,
        wait=None,
        stands=True,
        shadow=True,
    )


def extend_features(
    given: FeaturesAtHand,
    specs: Sequence[f.FeatureSpec],
    *,
    build: Callable[..., f.BucketedFeatures],
    out: Path,
) -> f.BucketedFeatures:
    """Write features to a file, those of an earlier run taken from its own; only others are built.

    `given`: features of the same observations.
    `build`: `build_features_in_buckets` of the observations, but for ``specs`` and ``out``.
    Raises ConfigError if the observations are not the same.
    """
    had = {spec.name: spec for spec in given.specs}
    here = {spec.name for spec in f.in_table_order(given.specs)} - given.unavailable.keys()
    known = {spec.name: spec for spec in specs}
    lacking = [spec for spec in specs if not spec.intermediate and had.get(spec.name) != spec]
    same = {name for name, spec in known.items() if had.get(name) == spec}
    found = [spec for spec in specs if spec.name in same & here]
    unavailable = {name: why for name, why in given.unavailable.items() if name in same}
    notes: tuple[str, ...] = ()
    added = None
    if lacking:
        needed = {name for spec in lacking for name in (spec.name, *f.all_made_of(spec, known))}
        own = out.with_suffix(".own")
        built = build(specs=[spec for spec in specs if spec.name in needed], out=own)
        wanted = {spec.name for spec in lacking}
        found += [spec for spec in built.specs if spec.name in wanted]
        added = pq.read_table(own).select(
            [f.OBSERVATION_ID, *wanted & {s.name for s in built.specs}]
        )
        unavailable |= {name: why for name, why in built.unavailable.items() if name in wanted}
        notes = built.notes
        own.unlink()
    ordered = f.in_table_order(found)
    with pq.ParquetFile(given.path) as file, written_whole(out) as handle, ExitStack() as open_:
        keys = [name for name in file.schema_arrow.names if name not in here]
        writer = None
        for number in range(file.num_row_groups):
            rows = _with_added(file.read_row_group(number), added)
            rows = rows.select([*keys, *(spec.name for spec in ordered)])
            writer = writer or open_.enter_context(pq.ParquetWriter(handle, rows.schema))
            writer.write_table(rows)
        total = file.metadata.num_rows
    return f.BucketedFeatures(rows=total, specs=ordered, unavailable=unavailable, notes=notes)


def _with_added(rows: pa.Table, added: pa.Table | None) -> pa.Table:
    """Return rows with the added columns of the same observations; columns of one name replaced."""
    if added is None:
        return rows
    at = pc.index_in(rows[f.OBSERVATION_ID], added[f.OBSERVATION_ID])
    if at.null_count:
        msg = "the challenger's rows are not those of the published run: score it alone"
        raise ConfigError(msg)
    own = added.drop_columns([f.OBSERVATION_ID]).take(at)
    rows = rows.drop_columns([name for name in own.column_names if name in rows.column_names])
    for name in own.column_names:
        rows = rows.append_column(name, own[name])
    return rows


def shadows_of(out: Path, name: str) -> dict[str, list[tuple[Path, Path]]]:
    """List the nights that each challenger scored in the shadow of a published model.

    Returns dict of label to list of (published folder, challenger's folder), the earliest night
    first.
    """
    found: dict[str, list[tuple[Path, Path]]] = {}
    for folder in sorted(out.glob(f"????-??-??/{name}.shadow/*")):
        published = folder.parent.with_name(name)
        if (folder / MANIFEST).is_file() and (published / MANIFEST).is_file():
            found.setdefault(folder.name, []).append((published, folder))
    return found
