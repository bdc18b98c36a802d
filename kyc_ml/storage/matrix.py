"""A matrix in a file, of which only the rows and columns that are asked for come into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

_AT_ONCE: Final = 1 << 25
"""Values that are read together where all rows are needed: 256 MiB."""


class StoredMatrix:
    """Float64 matrix of shape (n, p) in a file, column after column.

    Indexed with rows (numbers, a mask or a slice) and optionally one column, it reads these as an
    array; ``[:, numbers of columns]`` are the same rows with other columns, still in the file. The
    file is read and not mapped: mapped pages would count as memory of the process.
    """

    def __init__(self, path: Path, rows: int, columns: npt.NDArray[np.int64]) -> None:
        self._path, self._columns = path, columns
        self.shape = (rows, columns.size)

    @classmethod
    def write(cls, path: Path, columns: Iterable[npt.NDArray[np.float64]], rows: int) -> Self:
        """Write columns of equal length one after the other; OSError if the disk is full."""
        with path.open("wb") as file:
            for column in columns:
                file.write(np.ascontiguousarray(column, np.float64).data)
        return cls(path, rows, np.arange(path.stat().st_size // (8 * max(1, rows))))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401  as an array's
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        if isinstance(columns, list):
            return type(self)(self._path, len(self), self._columns[columns])
        if isinstance(rows, slice):
            first, last, _ = rows.indices(len(self))
            place: Any = slice(None)
        else:
            numbers = np.flatnonzero(rows) if np.asarray(rows).dtype == np.bool_ else rows
            first, last = (numbers.min(), numbers.max() + 1) if len(numbers) else (0, 0)
            place = numbers - first
        if not isinstance(columns, slice):
            return self._read(int(self._columns[columns]), first, last)[place]
        size = last - first if isinstance(place, slice) else place.size
        out = np.empty((size, self._columns.size), order="F")
        for at, column in enumerate(self._columns.tolist()):
            out[:, at] = self._read(column, first, last)[place]
        return out

    def __setitem__(self, key: tuple[slice, int], values: npt.NDArray[np.float64]) -> None:
        with self._path.open("r+b") as file:
            file.seek(8 * len(self) * int(self._columns[key[1]]))
            file.write(np.ascontiguousarray(values, np.float64).data)

    def parts(self, rows: npt.NDArray[np.int64] | None = None) -> Iterator[npt.NDArray[np.float64]]:
        """Yield all rows, or these, in arrays of bounded size."""
        size = max(1, _AT_ONCE // max(1, self.shape[1]))
        for start in range(0, len(self) if rows is None else rows.size, size):
            here = slice(start, start + size)
            yield self[here if rows is None else rows[here]]

    def _read(self, column: int, first: int, last: int) -> npt.NDArray[np.float64]:
        at = 8 * (len(self) * column + int(first))
        return np.fromfile(self._path, np.float64, count=int(last - first), offset=at)
