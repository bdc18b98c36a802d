"""Feature tables whose values stay in files."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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
    """
    file, order = pq.ParquetFile(path), pa.array(np.argsort(built.order))

    def read(name: str) -> pa.Array:
        return file.read(columns=[name])[name].combine_chunks().take(order)

    kinds = {spec.name: spec.kind for spec in built.specs}
    numbers = (
        # room for the codes of a category
        np.zeros(built.rows)
        if kinds[name] == "category"
        else read(name).to_numpy(zero_copy_only=False)
        for name in kinds
    )
    matrix = StoredMatrix.write(path.with_suffix(".matrix"), numbers, rows=built.rows)
    return FeatureTable(
        keys=pq.read_table(observations, columns=list(KEYS)).select(KEYS),
        specs=built.specs,
        numbers=cast("Floats", matrix),
        categories=_Lazy(read, {name: None for name in kinds if kinds[name] == "category"}),
        unavailable=built.unavailable,
        notes=built.notes,
    )


@dataclass(frozen=True, slots=True)
class _Lazy(Mapping[str, pa.Array]):
    """Columns that are read when they are asked for."""

    read: Callable[[str], pa.Array]
    names: Mapping[str, None]

    def __getitem__(self, name: str) -> pa.Array:
        return self.names[name] or self.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
