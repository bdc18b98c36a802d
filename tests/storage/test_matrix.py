"""A matrix in a file is read as the array that was written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.errors import OutputError
from kyc_ml.metrics import sample_rows
from kyc_ml.storage import StoredMatrix, matrix

ROWS, COLUMNS = 7, 3
VALUES = np.random.default_rng(3).integers(-1, 2, (ROWS, COLUMNS)) / 2.0
VALUES[2, 1] = np.nan
row = st.integers(0, ROWS - 1)
KEYS = st.one_of(
    st.lists(row, max_size=9).map(lambda rows: np.array(rows, np.int64)),
    st.lists(st.booleans(), min_size=ROWS, max_size=ROWS).map(np.array),
    st.builds(slice, st.none() | row, st.none() | row),
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return StoredMatrix.write(tmp_path_factory.mktemp("m") / "m", iter(VALUES.T), rows=ROWS)


@given(rows=KEYS, columns=st.lists(st.integers(0, COLUMNS - 1), min_size=1))
def test_it_is_indexed_as_an_array_is(stored, rows, columns):
    assert stored.shape == VALUES.shape
    np.testing.assert_array_equal(stored[rows], VALUES[rows])
    np.testing.assert_array_equal(stored[rows, columns[0]], VALUES[rows, columns[0]])
    np.testing.assert_array_equal(stored[:, columns][rows], VALUES[:, columns][rows])


@given(rows=st.lists(row, max_size=9).map(lambda rows: np.array(rows, np.int64)), seed=row)
def test_the_same_rows_are_drawn_from_it_in_parts_of_any_size(stored, rows, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix, "_AT_ONCE", 6)
        parts = list(stored.parts(rows))
        drawn = sample_rows(stored, rows, count=4, seed=seed)
    np.testing.assert_array_equal(np.concatenate(parts), VALUES[rows])
    expected = sample_rows(np.asfortranarray(VALUES), rows, count=4, seed=seed)
    assert drawn.tolist() == expected.tolist()


def test_a_column_is_replaced_in_the_file(tmp_path):
    written = StoredMatrix.write(tmp_path / "m", iter(VALUES.T), rows=ROWS)
    written[:, [2, 0]][:, 1] = np.arange(ROWS)
    np.testing.assert_array_equal(written[:, 0], np.arange(ROWS))
    np.testing.assert_array_equal(written[:, [1, 2]][:], VALUES[:, 1:])


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        StoredMatrix.write(tmp_path / "file" / "m", iter(VALUES.T), rows=ROWS)
