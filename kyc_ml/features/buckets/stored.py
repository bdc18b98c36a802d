"""Feature tables whose values stay in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.features.buckets.build import BucketedFeatures
from kyc_ml.features.build import KEYS
from kyc_ml.features.table import FeatureTable
from kyc_ml.metrics import Floats
from kyc_ml.storage import StoredMatrix


def open_features(built: BucketedFeatures, path: Path, observations: Path) -> FeatureTable:
    """Return features in the order of their observations, valid as long as their files.

    Numbers are written once more beside `path`, 8 bytes each; memory holds what is asked for.
    Raises OutputError if they cannot be written.
    """
    columns = _Categories(built, path)
    numbers = (
        np.full(built.rows, np.nan)  # room for the codes of a category
        if spec.kind == "category"
        else columns.read(spec.name).to_numpy(zero_copy_only=False)[columns.order]
        for spec in built.specs
    )
    matrix = StoredMatrix.write(path.with_suffix(".matrix"), numbers, rows=built.rows)
    return FeatureTable(
        keys=pq.read_table(observations, columns=list(KEYS)).select(KEYS),
        specs=built.specs,
        numbers=cast("Floats", matrix),
        categories=columns,
        unavailable=built.unavailable,
        notes=built.notes,
    )


class _Categories(Mapping[str, pa.Array]):
    """The categories of a file of features, each read when it is asked for."""

    def __init__(self, built: BucketedFeatures, path: Path) -> None:
        self._names = [spec.name for spec in built.specs if spec.kind == "category"]
        self._file, self.order = pq.ParquetFile(path), np.argsort(built.order)

    def read(self, name: str) -> pa.Array:
        """Read a column in the order of the file."""
        return self._file.read(columns=[name])[name].combine_chunks()

    def __getitem__(self, name: str) -> pa.Array:
        if name not in self._names:
            raise KeyError(name)
        return self.read(name).take(pa.array(self.order))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
