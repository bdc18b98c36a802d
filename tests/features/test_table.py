"""A feature table: every reader of Parquet reads its file, and few rows are coded as many are."""

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kyc_ml.features import FEW_ROWS, to_columns

READ_BY_ALL = {"PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}


def test_the_file_has_only_encodings_that_every_reader_knows(small, tmp_path):
    path = tmp_path / "features.parquet"
    with path.open("wb") as handle:
        small.features.write(handle)
    metadata = pq.read_metadata(path)
    used = {
        encoding
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
        for encoding in metadata.row_group(group).column(column).encodings
    }
    assert used <= READ_BY_ALL


def test_few_rows_become_what_they_are_among_many(small):
    # a category that the model does not have stays in the table, and is no column
    kept = [each for each in small.features.names if each != next(iter(small.vocabularies))]
    assert small.features.reorder(kept).encode(small.vocabularies)[0].shape[1] == len(kept)
    known = {name: words[1:] for name, words in small.vocabularies.items()}
    rows = np.arange(5 * FEW_ROWS).reshape(5, FEW_ROWS)
    whole, unknown = small.features.take(rows.ravel()).encode(known)
    parts = [small.features.take(few).encode(known) for few in rows]
    np.testing.assert_array_equal(np.vstack([matrix for matrix, _ in parts]), whole)
    assert unknown
    assert dict(sum((Counter(missed) for _, missed in parts), Counter())) == unknown


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["a", None, "银"], pa.string()), ([1.5, np.nan, -0.0], pa.float64()), ([], pa.string())],
)
def test_few_rows_are_converted_as_many_are(values, kind):
    columns = {"one": np.array(values, object), "other": values[::-1]}
    few, many = to_columns(columns, kind), {name: list(each) * 9 for name, each in columns.items()}
    for name, column in to_columns(many, kind).items():
        assert few[name].to_pylist() == column.to_pylist()[: len(values)]
        assert few[name].null_count == sum(pd.isna(each) for each in values)
