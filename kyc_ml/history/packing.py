"""Rows as bytes: numbers of as few bytes as they need, the same byte of all rows together.

A chunk is some rows of one key: the number of bytes of each column, then the lowest byte of its
values, the next byte, and so on. So constant bytes lie side by side and compress to almost nothing,
and a column that is zero throughout takes none.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kyc_ml.storage import kernel

Words = npt.NDArray[np.uint64]
"""Array of shape (n_columns, n_rows); rows as unsigned numbers."""
Counts = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_WORTH: Final = 400
"""Bytes from which compression is worth its time: measured, 16 microseconds a chunk."""
_HEAD: Final = 8
_CODEC: Final = pa.Codec("zstd", 1)


class CorruptChunkError(Exception):
    """The bytes of a chunk are not those that were written."""


@kernel()
def _widths(words: Words, bounds: Counts) -> Bytes:
    """Return how many bytes each column needs in each chunk, of shape (n_chunks, n_columns)."""
    found = np.zeros((bounds.size - 1, words.shape[0]), np.uint8)
    for column in range(words.shape[0]):
        for chunk in range(bounds.size - 1):
            every = np.uint64(0)
            for row in range(bounds[chunk], bounds[chunk + 1]):
                every |= words[column, row]
            while every:
                found[chunk, column] += 1
                every >>= np.uint64(8)
    return found


@kernel()
def _fill(words: Words, bounds: Counts, widths: Bytes, starts: Counts, out: Bytes) -> None:
    """Write the chunks into `out`, each from its start."""
    columns = words.shape[0]
    for chunk in range(bounds.size - 1):
        at = starts[chunk]
        for column in range(columns):
            out[at + (column >> 1)] |= widths[chunk, column] << (4 * (column & 1))
        at += (columns + 1) >> 1
        for column in range(columns):
            for byte in range(widths[chunk, column]):
                for row in range(bounds[chunk], bounds[chunk + 1]):
                    shifted = words[column, row] >> np.uint64(8 * byte)
                    out[at] = shifted & np.uint64(255)
                    at += 1


@kernel()
def _take(packed: Bytes, starts: Counts, rows: Counts, place: Counts, out: Words) -> bool:
    """Read columns of chunks into `out`, of zeros; return whether all chunks have their length.

    `place`: shape (columns,); the row of `out` of each column, -1 for one that is not wanted.
    """
    first, columns = 0, place.size
    for chunk in range(rows.size):
        head = starts[chunk]
        at = head + ((columns + 1) >> 1)
        for column in range(columns):
            if at > starts[chunk + 1]:
                return False
            width = (packed[head + (column >> 1)] >> (4 * (column & 1))) & 15
            end = at + width * rows[chunk]
            if width > 8 or end > starts[chunk + 1]:
                return False
            goal = place[column]
            if goal >= 0:
                for byte in range(width):
                    for row in range(rows[chunk]):
                        shifted = np.uint64(packed[at + row]) << np.uint64(8 * byte)
                        out[goal, first + row] |= shifted
                    at += rows[chunk]
            at = end
        if at != starts[chunk + 1]:
            return False
        first += rows[chunk]
    return True


@kernel()
def digest_words(words: Words) -> np.uint64:
    """Return the sum of a 64-bit hash of each row: the same in any order of the rows.

    Source of the mixing: Steele et al. 2014, "Fast splittable pseudorandom number generators".
    """
    total = np.uint64(0)
    for row in range(words.shape[1]):
        state = np.uint64(0)
        for column in range(words.shape[0]):
            state += words[column, row] + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state ^= state >> np.uint64(31)
        total += state
    return total


def pack_chunks(words: Words, bounds: Counts, seeds: Sequence[int]) -> list[bytes]:
    """Pack rows into sealed chunks.

    `bounds`: shape (n_chunks + 1,); the first row of each chunk, and the number of rows.
    `seeds`: a number of each chunk, such as its place, that is sealed with it.
    """
    widths = _widths(words, bounds)
    sizes = (words.shape[0] + 1) // 2 + widths.sum(axis=1, dtype=np.int64) * np.diff(bounds)
    starts = np.concatenate(([0], np.cumsum(sizes)))
    out = np.zeros(starts[-1], np.uint8)
    _fill(words, bounds, widths, starts, out)
    whole, ends = out.data, starts.tolist()
    return [
        _sealed(whole[start:end], seed)
        for start, end, seed in zip(ends[:-1], ends[1:], seeds, strict=True)
    ]


def _sealed(body: memoryview, seed: int) -> bytes:
    size = 0
    packed = bytes(body)
    if len(body) >= _WORTH:
        small = _CODEC.compress(packed, asbytes=True)
        if len(small) < len(packed):
            size, packed = len(packed), small
    packed = size.to_bytes(4, "little") + packed
    return zlib.crc32(packed, seed & 0xFFFFFFFF).to_bytes(4, "little") + packed


def unpack_chunks(
    chunks: Sequence[bytes], seeds: Sequence[int], rows: Counts, columns: int, wanted: Sequence[int]
) -> Words:
    """Return some columns of sealed chunks, of shape (n_wanted, n_rows).

    Raises CorruptChunkError if a chunk is not what was written under its seed.
    """
    bodies = []
    for chunk, seed in zip(chunks, seeds, strict=True):
        if zlib.crc32(memoryview(chunk)[4:], seed & 0xFFFFFFFF) != int.from_bytes(
            chunk[:4], "little"
        ):
            raise CorruptChunkError
        size = int.from_bytes(chunk[4:_HEAD], "little")
        bodies.append(
            _CODEC.decompress(memoryview(chunk)[_HEAD:], size, asbytes=True)
            if size
            else chunk[_HEAD:]
        )
    starts = np.zeros(len(bodies) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, bodies), np.int64, len(bodies)), out=starts[1:])
    place = np.full(columns, -1, np.int64)
    place[list(wanted)] = np.arange(len(wanted))
    out = np.zeros((len(wanted), int(rows.sum())), np.uint64)
    packed = np.frombuffer(b"".join(bodies), np.uint8)
    if not _take(packed, starts, rows, place, out):
        raise CorruptChunkError
    return out
