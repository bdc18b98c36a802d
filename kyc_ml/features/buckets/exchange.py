"""Rows exchanged by key through files: each bucket holds all rows of its keys, in order.

A bucket is a file of Arrow batches below a private folder. Every row carries its number,
its place in the file it came from, so that columns computed elsewhere find their rows again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.errors import OutputError
from kyc_ml.metrics import Bytes, Codes, Ints
from kyc_ml.storage import kernel

ROW: Final = "row number"
"""Column of every exchanged row: its place in the file it came from."""

_BATCH_ROWS: Final = 1 << 18
"""Rows read from a file in one batch."""

_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4")
_FNV_OFFSET: Final = np.uint64(14695981039346656037)
_FNV_PRIME: Final = np.uint64(1099511628211)


def bucket_of(values: pa.Array, n_buckets: int) -> Codes:
    """Return the bucket of each value: equal values share one, missing values are in 0.

    The hash is FNV-1a of 64 bits with its upper half folded in, of the value as UTF-8 text.
    Source: Fowler, Noll, Vo and Eastlake, The FNV Non-Cryptographic Hash Algorithm.
    """
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    # 64-bit offsets, whatever the type was: they are read as such below
    texts = flat.cast(pa.large_string())
    _, offsets, content = texts.buffers()
    if n_buckets == 1 or content is None:
        return np.zeros(len(texts), np.uint16)
    # a slice shares the buffers of its parent and begins at its offset
    first = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    numbers = _fold(first, np.frombuffer(content, np.uint8), np.uint64(n_buckets))
    # the bytes of a missing value are not defined
    numbers[np.asarray(texts.is_null())] = 0
    return numbers


@kernel()
def _fold(offsets: Ints, content: Bytes, n_buckets: np.uint64) -> Codes:
    numbers = np.empty(offsets.size - 1, np.uint16)
    for row in range(numbers.size):
        digest = _FNV_OFFSET
        for at in range(offsets[row], offsets[row + 1]):
            digest = (digest ^ np.uint64(content[at])) * _FNV_PRIME
        # xor-folding: the digest has more bits than are used
        numbers[row] = np.uint16((digest ^ (digest >> np.uint64(32))) % n_buckets)
    return numbers


class BucketWriter:
    """Appends rows to the files of their buckets.

    Parameters
    ----------
    folder : Path
        Created if needed; a bucket without rows has no file.
    name : str
        Of this writer's files: several writers may fill the buckets of one folder.
    """

    def __init__(self, folder: Path, *, name: str) -> None:
        self._folder = folder
        self._name = name
        self._open: dict[int, Any] = {}
        self._files = ExitStack()

    def __enter__(self) -> BucketWriter:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._files.close()
        except OSError as error:
            raise _refused(self._folder, error) from None

    def write(self, rows: pa.Table, numbers: Codes) -> None:
        """Append rows to the buckets of these numbers, keeping their order.

        Raises OutputError if the disk is full or refuses.
        """
        # stable: rows of a bucket stay in the order of the file, which is that of time
        order = np.argsort(numbers, kind="stable")
        # all in bucket 0: their order is already right
        ordered = rows.take(pa.array(order)) if numbers.any() else rows
        sizes = np.bincount(numbers)
        start = 0
        try:
            for number in np.flatnonzero(sizes):
                part = ordered.slice(start, int(sizes[number]))
                self._opened(int(number), rows.schema).write_table(part)
                start += int(sizes[number])
        except OSError as error:
            raise _refused(self._folder, error) from None

    def _opened(self, number: int, schema: pa.Schema) -> Any:  # noqa: ANN401  an Arrow writer
        if number not in self._open:
            path = _file(self._folder, self._name, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            sink = self._files.enter_context(pa.OSFile(str(path), "wb"))
            writer = pa.ipc.new_stream(sink, schema, options=_OPTIONS)
            self._open[number] = self._files.enter_context(writer)
        return self._open[number]


def read_bucket(folder: Path, number: int, *, schema: pa.Schema) -> pa.Table:
    """Read columns of a bucket's rows, writer after writer; an empty table if it has none."""
    found = [table.select(schema.names) for table in read_sent(folder, number)]
    return pa.concat_tables([schema.empty_table(), *found]).combine_chunks()


def read_sent(folder: Path, number: int) -> Iterator[pa.Table]:
    """Read what each writer has sent to a bucket."""
    # sorted: a folder lists its files in no defined order
    for path in sorted((folder / str(number)).glob("*.arrow")):
        with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
            yield stream.read_all()


def read_handed(sent: Iterable[pa.Table], rows: Ints) -> Iterator[tuple[str, pa.Array]]:
    """Read values that were sent to a bucket, in the order of its rows; null where none was sent.

    `rows`: int64 array of shape (n,); the numbers of the bucket's rows, ascending.
    Yields `values`: Arrow array of length n.
    """
    for table in sent:
        handed = table[ROW].to_numpy()
        # a row after the last one would index outside: it is compared below and dropped
        place = np.minimum(np.searchsorted(rows, handed), max(rows.size - 1, 0))
        here = rows[place] == handed if rows.size else np.zeros(handed.size, np.bool_)
        order = np.full(rows.size, -1)
        order[place[here]] = np.flatnonzero(here)
        wanted = pa.array(order, mask=order < 0)
        for name in table.column_names:
            if name != ROW:
                yield name, table[name].combine_chunks().take(wanted)


def scan(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Read columns of a Parquet file in batches, with the rows' numbers."""
    start = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns)):
            numbers = pa.array(np.arange(start, start + batch.num_rows))
            start += batch.num_rows
            yield pa.Table.from_batches([batch]).append_column(ROW, numbers)


def exchange(
    batches: Iterable[pa.Table],
    folder: Path,
    *,
    key: str,
    n_buckets: int,
    keyless: bool = False,
) -> None:
    """Divide rows into buckets by a column; rows without a key are dropped, or in bucket 0."""
    with BucketWriter(folder, name="rows") as writer:
        for batch in batches:
            kept = keyed_rows(batch, key, keyless=keyless)
            if kept.num_rows:
                writer.write(kept, bucket_of(kept[key], n_buckets))


def keyed_rows(rows: pa.Table, key: str, *, keyless: bool) -> pa.Table:
    """Leave out the rows without a key, which match no observation, unless they are wanted."""
    return rows if keyless or not rows[key].null_count else rows.filter(rows[key].is_valid())


def _file(folder: Path, name: str, number: int) -> Path:
    return folder / str(number) / f"{name}.arrow"


def _refused(place: Path, error: OSError) -> OutputError:
    reason = error.strerror or "the device refused"
    return OutputError(
        f"scratch files below {place} cannot be written: {reason}; free space, or name another "
        "scratch folder: it needs about the size of the tables as CSV"
    )
