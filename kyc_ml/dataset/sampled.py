"""Choose on Spark what a model is trained on: few enough rows for one machine."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kyc_ml.config import TRAIN, RunConfig, SplitConfig
from kyc_ml.contract import (
    CASES,
    CONTRACT,
    CUSTOMER_ID,
    EVENT_TIME,
    KNOWN_AT,
    REVIEW_ID,
    REVIEWS,
    TRANSACTION_ID,
    TRANSACTIONS,
    ContractedTables,
    end_of_data,
)
from kyc_ml.dataset.labels import NEGATIVE, POSITIVE
from kyc_ml.dataset.parted import label_parts
from kyc_ml.dataset.splits.parts import plan_out_of_time
from kyc_ml.engines import LandedSource, Report, run_each
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.features import OBSERVATION_ID, bucket_of
from kyc_ml.storage import written_whole

if TYPE_CHECKING:
    from kyc_ml.engines import SparkSession

_SHARES: Final = 1 << 16
"""A share of the negatives is a whole number of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledRows:
    """Observations to train, calibrate and test a model on."""

    files: tuple[Path, ...]
    """Parquet files of observations with their own fields, in order of time: what
    `build_features_on_spark` takes."""
    source: ContractedTables
    """What `train` takes: their keys and times, and all cases."""
    as_of: pd.Timestamp
    negatives: int
    kept: int
    """`negatives` and `kept`: usable negatives of the train part, and how many are chosen."""

    @property
    def negatives_kept(self) -> float:
        """Share of the negatives that are chosen, for `ModelConfig.negatives_kept`; in (0, 1]."""
        return self.kept / self.negatives


def sample_on_spark(
    spark: SparkSession,
    landed: LandedSource,
    *,
    run: RunConfig,
    share: float,
    folder: Path,
    as_of: pd.Timestamp | None = None,
) -> SampledRows:
    """Choose the observations of a run: all of its parts, and a share of the train negatives.

    Rows whose outcome may not be used are left out, as in training. Which negatives are chosen
    depends on their id alone, by kyc_ml's own hash: not on the order or the number of files. The
    parts after train keep all rows, so that probabilities and figures are those of the bank; their
    days are set in ``splits``.

    Parameters
    ----------
    share : float
        Of the negatives of the train part, about; in (0, 1].
    folder : Path
        New folder for the observations, which all workers see under this path.
    as_of : Timestamp, optional
        What was known then is used; None is the end of the data.

    Raises
    ------
    ConfigError
        If the run is validated by customer, has ``refit``, which would mix rows of parts that are
        sampled differently, or is of unit `risk` without the table reviews; or `share` is outside
        (0, 1].
    DatasetError
        If no negative is left to train on.
    """
    place, identifier = (
        (TRANSACTIONS, TRANSACTION_ID) if run.unit == "fraud" else (REVIEWS, REVIEW_ID)
    )
    splits = _splits(run, share)
    if place not in landed.parts:
        raise ConfigError(
            f"on Spark the observations of unit {run.unit} are rows of the table {place}: map it"
        )
    tables = landed.tables(CASES)
    moment = end_of_data(tables) if as_of is None else as_of
    boundaries = plan_out_of_time(as_of=moment, splits=splits, dataset=run.dataset)
    cases = {CASES: landed.parts[CASES]} if CASES in landed.parts else {}
    bare = replace(tables, tables={})
    tasks = folder / "tasks"  # apart: a task that runs twice may write late
    names = [identifier, CUSTOMER_ID, EVENT_TIME, KNOWN_AT]

    def task(path: str) -> Report:
        files = {place: (Path(path),), **cases}
        held = {name: pa.concat_tables(map(pq.read_table, paths)) for name, paths in files.items()}
        try:
            rows, part, status = label_parts(
                replace(bare, tables=held), config=run, boundaries=boundaries
            )
        except DatasetError:  # no observation in this part of the table
            return {"path": None, "negatives": 0, "kept": 0}
        negative = (part == TRAIN) & (status == NEGATIVE)
        low = bucket_of(rows[OBSERVATION_ID], _SHARES) < max(1, round(share * _SHARES))
        chosen = (part != "") & np.isin(status, [POSITIVE, NEGATIVE]) & (low | ~negative)
        rows = rows.filter(pa.array(chosen))
        keys = held[place].select(names)
        keys = keys.filter(pc.is_in(keys[identifier], rows[OBSERVATION_ID].combine_chunks()))
        unique = uuid.uuid4().hex
        out, of_keys = (tasks / f"{kind}-{unique}.parquet" for kind in ("rows", "keys"))
        for to, table in ((out, rows), (of_keys, keys)):
            with written_whole(to) as handle:
                pq.write_table(table, handle, compression="lz4")
        kept = int((negative & chosen).sum())
        return {
            "path": str(out),
            "keys": str(of_keys),
            "negatives": int(negative.sum()),
            "kept": kept,
        }

    reports = run_each(spark, task, [str(path) for path in landed.parts[place]])
    kept = sum(report["kept"] for report in reports)
    if not kept:
        raise DatasetError("no negative is left in the train part: raise the share, or widen train")
    found = [report for report in reports if report["path"] is not None]
    keys = pa.concat_tables(pq.read_table(report["keys"]) for report in found)
    files: list[Path] = []
    for report in found:
        files.append(folder / f"part-{len(files):05d}.parquet")
        Path(report["path"]).replace(files[-1])
    shutil.rmtree(tasks)
    own = {place: keys, **tables.tables}
    return SampledRows(
        files=tuple(files),
        source=replace(tables, tables={name: own[name] for name in CONTRACT if name in own}),
        as_of=moment,
        negatives=sum(report["negatives"] for report in reports),
        kept=kept,
    )


def _splits(run: RunConfig, share: float) -> SplitConfig:
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"share must be above 0 and at most 1, got {share:g}")
    if not isinstance(run.splits, SplitConfig):
        raise ConfigError(
            "only parts in order of time are sampled, not splits.method customer_folds"
        )
    if run.model.refit != "none" and share < 1.0:
        raise ConfigError("model.refit mixes parts that are sampled with others: set refit: none")
    return run.splits
