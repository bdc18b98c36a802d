"""What a job asks of a cluster whose machines were checked."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pyspark.sql import SparkSession

from kyc_ml.config import SourceMapping
from kyc_ml.contract import StoredTables, find_files
from kyc_ml.engines.spark.features import BuiltOnSpark, build_features_on_spark
from kyc_ml.engines.spark.landing import land
from kyc_ml.engines.spark.sources import digest_on_workers
from kyc_ml.engines.spark.tasks import Item, Report, run_each
from kyc_ml.errors import Faults, OutputError, SourceError

__all__ = ["Cluster", "SparkSession"]

_Shared = TypeVar("_Shared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A Spark session, and what jobs do with it."""

    session: SparkSession

    @property
    def slots(self) -> int:
        """Number of tasks that run at the same time."""
        return int(self.session.sparkContext.defaultParallelism)

    def require_shared(self, folder: Path) -> None:
        """Raise OutputError unless all workers read and write this very folder."""
        folder, name = folder.absolute(), f"shared-{uuid.uuid4().hex}"
        (folder / name).write_text(name, encoding="utf-8")

        def task(number: int) -> Report:
            there = folder / name
            seen = there.is_file() and there.read_text(encoding="utf-8") == name
            if seen:
                (folder / f"{name}-{number}").write_text(name, encoding="utf-8")
            return {"seen": seen}

        try:
            items = range(2 * self.slots)
            seen = [report["seen"] for report in run_each(self.session, task, items)]
            back = all((folder / f"{name}-{number}").is_file() for number in items)
        finally:
            for left in folder.glob(f"{name}*"):
                left.unlink()
        if not (all(seen) and back):
            raise OutputError(
                f"{folder.parent} is not the same folder on all workers: name a folder of a file "
                "system that all machines share, under the same path and for the same user"
            )

    def digest(self, mapping: SourceMapping, *, data: Path) -> dict[str, str]:
        """Return what `digest_source` does, read by the workers.

        Raises SourceError if a file is missing, or a table of the catalogue is read: it has no
        digest by which a run could be recognised.
        """
        faults = Faults(f"source {mapping.name!r}", SourceError)
        faults.extend(
            f"file {name!r}: a table of the catalogue has no digest by which a run is recognised "
            "and resumed: write it as Parquet for `score`"
            for name, file in mapping.files.items()
            if file.format == "catalogue"
        )
        found = find_files(
            {name: file for name, file in mapping.files.items() if file.format != "catalogue"},
            data=data,
            faults=faults,
        )
        faults.raise_if_any()
        return digest_on_workers(self.session, found)[0]

    def store(
        self,
        mapping: SourceMapping,
        *,
        data: Path | None,
        folder: Path,
        quarantine: Path,
        **_: Any,  # noqa: ANN401  memory and scratch of one machine
    ) -> StoredTables:
        """Land a source as `store_source` does; each table is a folder of parts."""
        try:
            landed = land(self.session, mapping, folder=folder, data=data)
        finally:
            refused = folder / "quarantine"
            if refused.is_dir():
                refused.replace(quarantine)
        return StoredTables(
            files={name: folder / name for name in landed.parts},
            timezone=mapping.timezone,
            base_currency=mapping.base_currency,
            digests=landed.digests,
            quality=landed.quality,
            attributes=mapping.attributes,
        )

    def build(self, *args: Any, **kwargs: Any) -> BuiltOnSpark:  # noqa: ANN401
        """Compute features; takes the arguments of `build_features_on_spark` after the session."""
        return build_features_on_spark(self.session, *args, **kwargs)

    def each(
        self, task: Callable[[_Shared, Item], Report], items: Sequence[Item], *, shared: _Shared
    ) -> list[Report]:
        """Run a task for each item; `shared` goes to every worker process once."""
        held = self.session.sparkContext.broadcast(shared)
        try:
            return run_each(self.session, lambda item: task(held.value, item), items)
        finally:
            held.unpersist()
