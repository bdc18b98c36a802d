"""Features of observations on a cluster: the values of one machine, to the last bit."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyc_ml.engines.spark.executor import SparkParts
from kyc_ml.engines.spark.made import make_on_workers
from kyc_ml.engines.spark.parts import LandedTables
from kyc_ml.engines.spark.tasks import exchanging
from kyc_ml.errors import CapacityError, ConfigError, OutputError, SourceError
from kyc_ml.features import (
    OBSERVED,
    FeatureSpec,
    FeatureTable,
    Populations,
    carry_out,
    chosen_unavailable,
    default_buckets,
    in_table_order,
    made_for,
    peer_rounds,
    plan_everything,
    split_available,
    with_made,
    work_of,
)
from kyc_ml.storage import private_folder, require_place

_MOST_BUCKETS: Final = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltOnSpark:
    """What `build_features_on_spark` wrote."""

    files: tuple[Path, ...]
    """Parquet files with the columns of `FeatureTable.to_arrow`, one a bucket or more: together
    they are the rows of one machine's file, in the same order."""
    rows: int
    specs: tuple[FeatureSpec, ...]
    """The columns after the keys, numbers first, then categories."""
    unavailable: Mapping[str, str]
    """Mapping of name to reason; chosen features whose table or column the source does not have."""
    notes: tuple[str, ...]
    """Warnings about how the features were computed."""


def build_features_on_spark(
    spark: SparkSession,
    tables: Mapping[str, Sequence[Path]],
    observations: Sequence[Path],
    *,
    specs: Sequence[FeatureSpec],
    timezone: str,
    out: Path,
    buckets: int | None = None,
) -> BuiltOnSpark:
    """Compute declared features of observations on a cluster, as `build_features_in_buckets`.

    Parameters
    ----------
    tables : mapping of contracted table to Parquet files
        Accepted rows, together in the order of the table, as `land` and `ContractedTables.store`
        write them. All workers see these files, and `out`, under the same paths.
    observations : sequence of Path
        Parquet files of observation_id, customer_id, decision_time and own fields, in any order;
        in order of time, a customer with very many rows is divided.
    timezone : str
        Zone of the hours that customers live by.
    out : Path
        New folder for the features; it appears when it is complete. What workers write meanwhile
        is in a folder beside it.
    buckets : int, optional
        By default one for each 500,000 rows of the longest table, and more for many features: a
        worker holds one of them.

    Raises
    ------
    ConfigError
        If the number of buckets is not between 1 and 32768.
    SourceError
        If a file does not exist, or has other columns than the first of its table.
    OutputError
        If `out` exists, or cannot be written.
    CapacityError
        If a task fails again and again.
    """
    given = {
        # workers have other working folders
        name: [path.absolute() for path in paths]
        for name, paths in {**tables, OBSERVED: observations}.items()
    }
    _check(buckets, given, out)
    # beside the result, in which it can be renamed
    with private_folder(out.absolute().parent) as work, exchanging(spark) as session:
        landed = LandedTables.survey(session, given)
        columns = with_made({name: landed.schemas[name].names for name in tables})
        available, unavailable = split_available(specs, columns, landed.schemas[OBSERVED].names)
        plan = plan_everything(available)
        made, notes = make_on_workers(session, landed, made_for(plan), work)
        landed = landed.joined(LandedTables.survey(session, made))
        populations = _populations(available, landed)
        by_default = default_buckets(
            {name: sum(part.rows for part in landed.parts[name]) for name in given},
            n_features=len(available),
            n_months=populations.months.size,
            most=_MOST_BUCKETS,
        )
        computing = work_of(
            plan,
            landed.schemas,
            rounds=populations.rounds,
            n_buckets=buckets or by_default,
            timezone=timezone,
            threads=1,
        )
        parts = SparkParts(session, computing, landed, specs=available, folder=work)
        with closing(parts), _explained():
            reports = carry_out(plan, parts, populations)
        (work / "features").mkdir()
        # moved out: a task that runs twice may still be writing there
        for at, report in enumerate(reports):
            Path(report["path"]).rename(work / "features" / _name(at))
        (work / "features").rename(out)
    return BuiltOnSpark(
        files=tuple(out / _name(at) for at in range(len(reports))),
        rows=sum(report["rows"] for report in reports),
        specs=in_table_order(available),
        unavailable=chosen_unavailable(specs, unavailable),
        notes=tuple(notes),
    )


def read_features(built: BuiltOnSpark) -> FeatureTable:
    """Read all features into memory, as of a sample for training."""
    rows = pa.concat_tables(map(pq.read_table, built.files))
    return FeatureTable.from_arrow(rows, built.specs, unavailable=built.unavailable)


def _populations(specs: Sequence[FeatureSpec], landed: LandedTables) -> Populations:
    """Return the peers to compare with, in the months of the decisions."""
    rounds = peer_rounds(specs)
    months = {month for part in landed.parts[OBSERVED] for month in part.months}
    return Populations(rounds, months=np.array(sorted(months) if rounds else [], np.int64))


def _name(at: int) -> str:
    return f"part-{at:05d}.parquet"


def _check(buckets: int | None, files: Mapping[str, Sequence[Path]], out: Path) -> None:
    """Check what is given before any work."""
    if buckets is not None and not 1 <= buckets <= _MOST_BUCKETS:
        raise ConfigError(f"buckets must be from 1 to {_MOST_BUCKETS}, got {buckets}")
    absent = [
        name or "observations"
        for name, paths in files.items()
        if not paths or not all(path.is_file() for path in paths)
    ]
    if absent:
        raise SourceError(f"no file of {', '.join(sorted(absent))} exists: land the tables first")
    require_place(out)
    if out.exists():
        raise OutputError(f"{out} exists: give a new folder for the features")


@contextmanager
def _explained() -> Iterator[None]:
    """Raise what says the cure where a task fails again and again; its own text may hold values."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise CapacityError(
            f"Spark gave up ({type(error).__name__}): a task failed several times, most often "
            "because its Python worker lacks memory: take more buckets, or give more memory "
            "(spark.executor.memoryOverhead); the logs of the executors have the error"
        ) from None
