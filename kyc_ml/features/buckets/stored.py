"""Feature tables whose values stay in files, in the order of their observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.display import Progress
from kyc_ml.features.buckets.build import build_features_in_buckets
from kyc_ml.features.buckets.exchange import refused
from kyc_ml.features.build import KEYS
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import FeatureTable
from kyc_ml.metrics import Floats, Ints
from kyc_ml.storage import StoredMatrix


def build_stored_features(
    stored: Mapping[str, Path],
    observations: Path,
    *,
    specs: Sequence[FeatureSpec],
    timezone: str,
    folder: Path,
    threads: int,
    progress: Progress,
) -> FeatureTable:
    """Compute the features of observations as `build_features` does, and keep them in files.

    Memory holds one bucket while they are computed, and one column where it is asked for. The
    table is valid as long as `folder`, which takes 8 bytes a value, and as Parquet once more.

    Raises OutputError if the files cannot be written.
    """
    out = folder / "features.parquet"
    built = build_features_in_buckets(
        stored,
        observations,
        specs=specs,
        timezone=timezone,
        out=out,
        scratch=folder,
        threads=threads,
        progress=progress,
    )
    columns = _Columns(out, built.specs, np.argsort(built.order))
    try:
        matrix = StoredMatrix.write(folder / "features.f64", columns.numbers(), built.rows)
    except OSError as error:
        raise refused(folder, error) from None
    return FeatureTable(
        keys=pq.read_table(observations, columns=list(KEYS)).select(KEYS),
        specs=built.specs,
        # it is indexed as an array is
        numbers=cast("Floats", matrix),
        categories=columns,
        unavailable=built.unavailable,
        notes=built.notes,
    )


class _Columns(Mapping[str, pa.Array]):
    """The categories of a file of features, each read when it is asked for."""

    def __init__(self, path: Path, specs: Sequence[FeatureSpec], order: Ints) -> None:
        self._file, self._specs, self._order = pq.ParquetFile(path), specs, order

    def __getitem__(self, name: str) -> pa.Array:
        if name not in list(self):
            raise KeyError(name)
        return self._read(name).take(pa.array(self._order))

    def __iter__(self) -> Iterator[str]:
        return (spec.name for spec in self._specs if spec.kind == "category")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def numbers(self) -> Iterator[Floats]:
        """Yield all columns of the matrix; those of categories are empty."""
        for spec in self._specs:
            if spec.kind == "category":
                yield np.full(self._order.size, np.nan)
            else:
                yield self._read(spec.name).to_numpy(zero_copy_only=False)[self._order]

    def _read(self, name: str) -> pa.Array:
        return self._file.read(columns=[name])[name].combine_chunks()
