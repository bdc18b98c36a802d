"""The file of a feature table: every reader of Parquet reads it."""

import pyarrow.parquet as pq

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
