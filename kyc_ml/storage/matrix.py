"""A matrix in a file, of which only the rows and columns that are asked for come into memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from kyc_ml.storage.writing import written_whole

_AT_ONCE: Final = 1 << 25
"""Values that are read together where all rows are needed: 256 MiB."""


class StoredMatrix:
    """Float64 matrix in a file, column after column, indexed as an array.

    ``[rows]`` and ``[rows, column]`` read an array, ``[:, list of columns]`` is the same file. It
    is read and not mapped: mapped pages would count as memory of the process.
    """

    def __init__(self, path: Path, rows: int, columns: npt.NDArray[np.int64]) -> None:
        self._path, self._columns, self.shape = path, columns, (rows, columns.size)

    @classmethod
    def write(cls, path: Path, columns: Iterable[npt.NDArray[np.float64]], *, rows: int) -> Self:
        """Write columns one after the other; OutputError if the file cannot be written."""
        with written_whole(path) as file:
            sizes = [file.write(np.ascontiguousarray(each, np.float64).data) for each in columns]
        return cls(path, rows, np.arange(len(sizes)))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401  as an array's
        rows, column = key if isinstance(key, tuple) else (key, None)
        if isinstance(column, list):
            return StoredMatrix(self._path, len(self), self._columns[column])
        numbers = np.arange(len(self))[rows]
        first, end = numbers.min(initial=len(self)), numbers.max(initial=-1) + 1
        count, within = max(0, end - first), numbers - first
        columns = self._columns if column is None else self._columns[[column]]
        out = np.empty((numbers.size, columns.size), order="F")
        for place, each in enumerate(columns):
            offset = 8 * (len(self) * each + first)
            out[:, place] = np.fromfile(self._path, count=count, offset=offset)[within]
        return out if column is None else out[:, 0]

    def __setitem__(self, key: tuple[slice, int], values: npt.NDArray[np.float64]) -> None:
        with self._path.open("r+b") as file:
            file.seek(8 * len(self) * int(self._columns[key[1]]))
            file.write(np.ascontiguousarray(values, np.float64).data)

    def parts(self, rows: npt.NDArray[np.int64] | None = None) -> Iterator[npt.NDArray[np.float64]]:
        """Yield all rows, or these, in arrays of bounded size."""
        rows = np.arange(len(self)) if rows is None else rows
        number = max(1, rows.size * self.shape[1] // _AT_ONCE)
        return (self[part] for part in np.array_split(rows, number))
