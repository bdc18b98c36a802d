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
"""Bytes from which compression is worth the 10 microseconds that it takes to begin."""
_CODEC: Final = pa.Codec("zstd", 1)


class CorruptChunkError(Exception):
    """The bytes of a chunk are not those that were written."""


@kernel()
def _pack(words: Words, bounds: Counts, out: Bytes, starts: Counts) -> None:
    """Write the chunks into `out`, and their first bytes and the end into `starts`."""
    columns = words.shape[0]
    at = 0
    for chunk in range(bounds.size - 1):
        head = at
        at += (columns + 1) >> 1
        out[head:at] = 0
        for column in range(columns):
            every = np.uint64(0)
            for row in range(bounds[chunk], bounds[chunk + 1]):
                every |= words[column, row]
            width = 0
            while every >> np.uint64(8 * width) and width < 8:
                for row in range(bounds[chunk], bounds[chunk + 1]):
                    out[at] = (words[column, row] >> np.uint64(8 * width)) & np.uint64(255)
                    at += 1
                width += 1
            out[head + (column >> 1)] |= width << (4 * (column & 1))
        starts[chunk + 1] = at


@kernel()
def _unpack(packed: Bytes, starts: Counts, rows: Counts, place: Counts, out: Words) -> None:
    """Read columns of chunks into `out`, of zeros.

    `place`: shape (n_columns,); the row of `out` of each column, -1 for one that is not wanted.
    """
    first = 0
    for chunk in range(rows.size):
        at = starts[chunk] + ((place.size + 1) >> 1)
        for column in range(place.size):
            width = (packed[starts[chunk] + (column >> 1)] >> (4 * (column & 1))) & 15
            for byte in range(width if place[column] >= 0 else 0):
                for row in range(rows[chunk]):
                    shifted = np.uint64(packed[at + byte * rows[chunk] + row])
                    out[place[column], first + row] |= shifted << np.uint64(8 * byte)
            at += width * rows[chunk]
        first += rows[chunk]


def digest_words(words: Words) -> int:
    """Return the sum of a 64-bit hash of each row: the same in any order of the rows.

    Source of the mixing: Steele et al. 2014, "Fast splittable pseudorandom number generators".
    """
    state = np.zeros(words.shape[1], np.uint64)
    for column in words:
        state += column + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return int(state.sum())


def pack_chunks(words: Words, bounds: Counts, seeds: Sequence[int]) -> list[bytes]:
    """Pack rows into sealed chunks.

    `bounds`: shape (n_chunks + 1,); the first row of each chunk, and the number of rows.
    `seeds`: a number of each chunk, such as its place, that is sealed with it.
    """
    starts = np.zeros(bounds.size, np.int64)
    out = np.empty(words.nbytes + words.shape[0] * bounds.size, np.uint8)
    _pack(words, bounds, out, starts)
    ends = starts.tolist()
    return [
        _seal(out[start:end].tobytes(), seed)
        for start, end, seed in zip(ends[:-1], ends[1:], seeds, strict=True)
    ]


def _seal(body: bytes, seed: int) -> bytes:
    """Write the size of a body where that is compressed, and a checksum in front."""
    small = _CODEC.compress(body, asbytes=True) if len(body) >= _WORTH else body
    size, body = (len(body), small) if len(small) < len(body) else (0, body)
    sealed = size.to_bytes(4, "little") + body
    return zlib.crc32(sealed, seed & 0xFFFFFFFF).to_bytes(4, "little") + sealed


def _open(chunk: bytes, seed: int) -> bytes:
    whole = memoryview(chunk)
    if zlib.crc32(whole[4:], seed & 0xFFFFFFFF) != int.from_bytes(whole[:4], "little"):
        raise CorruptChunkError
    size = int.from_bytes(whole[4:8], "little")
    opened: bytes = _CODEC.decompress(whole[8:], size, asbytes=True) if size else chunk[8:]
    return opened


def unpack_chunks(
    chunks: Sequence[bytes], seeds: Sequence[int], rows: Counts, columns: int, wanted: Sequence[int]
) -> Words:
    """Return some columns of sealed chunks, of shape (n_wanted, n_rows).

    Raises CorruptChunkError if a chunk is not what was written under its seed.
    """
    bodies = [_open(chunk, seed) for chunk, seed in zip(chunks, seeds, strict=True)]
    starts = np.cumsum([0, *map(len, bodies)])
    place = np.full(columns, -1, np.int64)
    place[list(wanted)] = np.arange(len(wanted))
    out = np.zeros((len(wanted), int(rows.sum())), np.uint64)
    _unpack(np.frombuffer(b"".join(bodies), np.uint8), starts, rows, place, out)
    return out
