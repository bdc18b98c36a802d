"""The feature table: one row an observation, one column a declared feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, BinaryIO, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.display import say_in_html, say_plainly, say_span
from kyc_ml.errors import DatasetError
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.metrics import Floats, Ints, Mask, Names, Values
from kyc_ml.storage import remember

OBSERVATION_ID: Final = "observation_id"
DECISION_TIME: Final = "decision_time"

FEW_ROWS: Final = 16
"""Rows up to which plain Python is faster than to start up Arrow or threads for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTable:
    """Features of n observations.

    Attributes
    ----------
    keys : pyarrow.Table of n rows
        observation_id, customer_id, decision_time.
    specs : tuple of FeatureSpec, length p
        The columns, numbers first, then categories.
    numbers : float64 array of shape (n, p), column-major
        Values of the numbers; NaN is missing. Columns of categories are room for the
        codes that `encode` writes. Of a table in files a StoredMatrix, read as an array is.
    categories : mapping of name to pyarrow string array of length n
    unavailable : mapping of name to reason
        Chosen features whose table or column the source does not have.
    notes : tuple of str
        Warnings about how the features were computed.
    """

    keys: pa.Table
    specs: tuple[FeatureSpec, ...]
    numbers: Floats
    categories: Mapping[str, pa.Array]
    unavailable: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in the order of the model's input."""
        return tuple(_places(self.specs))

    @property
    def decided(self) -> pd.DatetimeIndex:
        """Times of the decisions, UTC; NaT where it is missing."""
        times = self.keys[DECISION_TIME].to_numpy(zero_copy_only=False)
        return pd.DatetimeIndex(times, tz="UTC")

    def __len__(self) -> int:
        return int(self.numbers.shape[0])

    def take(self, rows: Sequence[int] | Ints) -> FeatureTable:
        """Return the rows of these numbers, in this order, as a new table."""
        places = pa.array(rows, pa.int64())
        return replace(
            self,
            keys=self.keys.take(places),
            # column after column in memory, as everything reads and writes them
            numbers=np.asfortranarray(self.numbers[np.asarray(rows)]),
            categories={name: values.take(places) for name, values in self.categories.items()},
        )

    def reorder(self, names: Sequence[str]) -> FeatureTable:
        """Return a table with the columns of these names, in this order."""
        if self.names == tuple(names):
            return self
        order, specs = _in_order(self.specs, tuple(names))
        numbers = self.numbers[:, order]
        # a matrix in a file shows other columns without reading them
        if isinstance(numbers, np.ndarray):
            numbers = np.asfortranarray(numbers)
        return replace(self, specs=specs, numbers=numbers)

    def category(self, name: str) -> Names:
        """Return a category's value of each row, shape (n,); None where it is missing."""
        return np.array(self.categories[name].to_pylist(), dtype=object)

    def segment(self, name: str | None) -> Names | None:
        """Return the category that a calibration is segmented by, shape (n,); None for no segments.

        Raises
        ------
        DatasetError
            If the table does not have it.
        """
        if name is None:
            return None
        if name not in self.categories:
            raise DatasetError(
                f"calibration.segment is {name!r}, which is not a category among the features: "
                "choose one of them, or add its family to the features"
            )
        return self.category(name)

    def learn_vocabularies(self, rows: Mask) -> dict[str, tuple[str, ...]]:
        """List the values each category takes in `rows`, sorted."""
        mask = pa.array(rows)
        return {
            name: tuple(sorted(pc.unique(values.filter(mask)).drop_null().to_pylist()))
            for name, values in self.categories.items()
        }

    def encode(self, vocabularies: Mapping[str, tuple[str, ...]]) -> tuple[Floats, dict[str, int]]:
        """Write each category's place in its vocabulary into its column of the matrix.

        Returns
        -------
        matrix : float64 array of shape (n, p)
            The table's own memory. A value outside the vocabulary is missing, NaN.
        unknown : mapping of feature name to count
            How many values were not in the vocabulary; only names with any.
        """
        unknown: dict[str, int] = {}
        for column, spec in category_places(self.specs):
            values, words = self.categories[spec.name], vocabularies[spec.name]
            # LightGBM takes a category as a number: its place in the vocabulary of the training
            if len(values) <= FEW_ROWS:
                found = [
                    words.index(each) if each in words else None for each in values.to_pylist()
                ]
                codes = np.array(found, np.float64)
            else:
                place = pc.index_in(values, value_set=pa.array(list(words), pa.string()))
                codes = place.cast(pa.float64()).to_numpy(zero_copy_only=False)
            missing = int(np.isnan(codes).sum()) - values.null_count
            if missing:
                unknown[spec.name] = missing
            self.numbers[:, column] = codes
        return self.numbers, unknown

    def to_arrow(self) -> pa.Table:
        """Return the keys and all features as an Arrow table; missing values are null."""
        columns = {name: self.keys.column(name) for name in self.keys.column_names}
        for column, spec in enumerate(self.specs):
            columns[spec.name] = (
                self.categories[spec.name]
                if spec.kind == "category"
                # `from_pandas` turns NaN into null
                else pa.array(self.numbers[:, column], from_pandas=True)
            )
        return pa.table(columns)

    @classmethod
    def from_arrow(
        cls, table: pa.Table, specs: Sequence[FeatureSpec], *, unavailable: Mapping[str, str]
    ) -> Self:
        """Read a table of `to_arrow`: keys, then a column for each of the specs."""
        numbers = np.full((table.num_rows, len(specs)), np.nan, order="F")
        categories: dict[str, pa.Array] = {}
        for column, spec in enumerate(specs):
            values = table[spec.name].combine_chunks()
            if spec.kind == "category":
                categories[spec.name] = values
            else:
                numbers[:, column] = values.to_numpy(zero_copy_only=False)
        names = {spec.name for spec in specs}
        keys = table.select([name for name in table.column_names if name not in names])
        return cls(
            keys=keys,
            specs=tuple(specs),
            numbers=numbers,
            categories=categories,
            unavailable=unavailable,
        )

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand `to_arrow` over to any library that speaks Arrow: ``pl.DataFrame(features)``."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def _facts(self) -> dict[str, object]:
        when = self.keys[DECISION_TIME]
        categories = sum(spec.kind == "category" for spec in self.specs)
        customers = pc.count_distinct(self.keys[CUSTOMER_ID]).as_py()
        facts: dict[str, object] = {
            "observations": f"{len(self):,} of {customers:,} customers",
            "decided": say_span(pc.min(when).as_py(), pc.max(when).as_py()),
            "features": f"{len(self.specs):,}, {categories:,} of them categories",
        }
        if self.unavailable:
            facts["unavailable"] = f"{len(self.unavailable):,}, see unavailable"
        return facts

    def families(self) -> pd.DataFrame:
        """One row a family: family, features, missing_share (mean over its cells, 0 to 1)."""
        missing = [
            float(self.categories[spec.name].null_count / max(len(self), 1))
            if spec.kind == "category"
            else float(np.isnan(self.numbers[:, column]).mean())
            if len(self)
            else 0.0
            for column, spec in enumerate(self.specs)
        ]
        table = pd.DataFrame(
            {"family": [spec.family for spec in self.specs], "missing_share": missing}
        )
        grouped = table.groupby("family", sort=False)["missing_share"]
        return grouped.agg(features="size", missing_share="mean").reset_index()

    def __repr__(self) -> str:
        families = self.families()
        listed = ", ".join(f"{name} {count}" for name, count, _ in families.itertuples(index=False))
        return say_plainly("FeatureTable", {**self._facts(), "families": listed})

    def _repr_html_(self) -> str:
        families = self.families()
        shown = families.assign(missing_share=[f"{each:.1%}" for each in families["missing_share"]])
        return say_in_html("FeatureTable", self._facts(), tables=[shown])

    def write(self, handle: BinaryIO) -> None:
        """Write the keys and all features as Parquet; missing values are null."""
        table = self.to_arrow()
        pq.write_table(table, handle, **parquet_options(table.schema))

    def to_pandas(self) -> pd.DataFrame:
        """Return the keys and all features as a data frame; categories have dtype category."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        categories = {spec.name: "category" for spec in self.specs if spec.kind == "category"}
        return frame.astype(categories)


def to_columns(
    columns: Mapping[str, Sequence[object] | Values], kind: pa.DataType
) -> dict[str, pa.Array]:
    """Convert columns of the same length to Arrow; those of few rows together, which is faster.

    None and NaN are null.
    """
    n = len(next(iter(columns.values()), ()))
    if n > FEW_ROWS:
        return {name: pa.array(values, kind, from_pandas=True) for name, values in columns.items()}
    flat = pa.array(chain.from_iterable(columns.values()), kind, from_pandas=True)
    return {name: flat.slice(place * n, n) for place, name in enumerate(columns)}


@remember
def category_places(specs: tuple[FeatureSpec, ...]) -> tuple[tuple[int, FeatureSpec], ...]:
    """Return the columns that are categories, with their places."""
    return tuple((place, spec) for place, spec in enumerate(specs) if spec.kind == "category")


@remember
def _places(specs: tuple[FeatureSpec, ...]) -> dict[str, int]:
    return {spec.name: column for column, spec in enumerate(specs)}


@remember
def _in_order(
    specs: tuple[FeatureSpec, ...], names: tuple[str, ...]
) -> tuple[list[int], tuple[FeatureSpec, ...]]:
    """Return the places of the columns of these names, and their specs."""
    order = [_places(specs)[name] for name in names]
    return order, tuple(specs[column] for column in order)


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return the Parquet options for features.

    A dictionary of a number column's values would cost more than it saves. Plain numbers are
    also what every reader reads: Spark refuses those that are split into their bytes.
    """
    numbers = [field.name for field in schema if pa.types.is_floating(field.type)]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [name for name in schema.names if name not in numbers],
    }
