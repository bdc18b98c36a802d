"""Rows as bytes: numbers of as few bytes as they need, the same byte of all rows together.

A chunk is some rows of one key: a bit for each column that is not zero throughout, and for each of
these how it is written, its smallest value, then the lowest byte of the differences from that, the
next byte, and so on. So constant bytes lie side by side and compress to almost nothing.
"""

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


_BYTE: Final = np.uint64(255)


@kernel()
def _width(value: np.uint64) -> int:
    """Return how many bytes a number needs."""
    width = 0
    while width < 8 and value >> np.uint64(8 * width):
        width += 1
    return width


@kernel()
def _way(values: Words) -> tuple[np.uint64, int, bool]:
    """Choose how to write a column: from which value, bytes of each, as steps from row to row."""
    lowest, highest, step = values[0], values[0], np.uint64(0)
    rises = True
    for row in range(1, values.size):
        lowest, highest = min(lowest, values[row]), max(highest, values[row])
        rises = rises and values[row] >= values[row - 1]
        step = max(step, values[row] - values[row - 1]) if rises else step
    width, plain = _width(highest - lowest), _width(highest)
    if rises and _width(step) < width:
        return lowest, _width(step), True
    if _width(lowest) + values.size * width >= values.size * plain:
        return np.uint64(0), plain, False
    return lowest, width, False


@kernel()
def _pack(words: Words, bounds: Counts, out: Bytes, starts: Counts) -> None:
    """Write the chunks into `out`, and their first bytes and the end into `starts`."""
    columns = words.shape[0]
    at = 0
    for chunk in range(bounds.size - 1):
        head = at
        at += (columns + 7) >> 3
        out[head:at] = 0
        for column in range(columns):
            values = words[column, bounds[chunk] : bounds[chunk + 1]]
            lowest, width, steps = _way(values)
            base = _width(lowest)
            if not base + width:
                continue
            out[head + (column >> 3)] |= 1 << (column & 7)
            out[at] = width + 9 * (base + 9 * steps)
            at += 1
            for byte in range(base):
                out[at] = (lowest >> np.uint64(8 * byte)) & _BYTE
                at += 1
            for row in range(values.size if width else 0):
                value = values[row] - (values[row - 1] if steps and row else lowest)
                for byte in range(width):
                    out[at + byte * values.size + row] = (value >> np.uint64(8 * byte)) & _BYTE
            at += width * values.size
        starts[chunk + 1] = at


@kernel()
def _unpack(packed: Bytes, starts: Counts, rows: Counts, place: Counts, out: Words) -> None:
    """Read columns of chunks into `out`, of zeros.

    `place`: shape (n_columns,); the row of `out` of each column, -1 for one that is not wanted.
    """
    first = 0
    for chunk in range(rows.size):
        at = starts[chunk] + ((place.size + 7) >> 3)
        for column in range(place.size):
            if not (packed[starts[chunk] + (column >> 3)] >> (column & 7)) & 1:
                continue
            steps, base, width = packed[at] // 81, (packed[at] // 9) % 9, packed[at] % 9
            start = at + 1 + base
            at = start + width * rows[chunk]
            if place[column] < 0:
                continue
            lowest = np.uint64(0)
            for byte in range(base):
                lowest |= np.uint64(packed[start - base + byte]) << np.uint64(8 * byte)
            values = out[place[column], first : first + rows[chunk]]
            for byte in range(width):
                for row in range(rows[chunk]):
                    shifted = np.uint64(packed[start + byte * rows[chunk] + row])
                    values[row] |= shifted << np.uint64(8 * byte)
            for row in range(rows[chunk] if base or steps else 0):
                values[row] += values[row - 1] if steps and row else lowest
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
    out = np.empty(words.nbytes + 10 * words.shape[0] * bounds.size, np.uint8)
    _pack(words, bounds, out, starts)
    ends = starts.tolist()
    return [
        _seal(out[start:end].tobytes(), seed)
        for start, end, seed in zip(ends[:-1], ends[1:], seeds, strict=True)
    ]


def _seal(body: bytes, seed: int) -> bytes:
    """Write a checksum, and the size of a body where that is compressed, in front of it."""
    small = _CODEC.compress(body, asbytes=True) if len(body) >= _WORTH else body
    sealed = b"\0" + body
    if len(small) < len(body):
        sealed = b"\4" + len(body).to_bytes(4, "little") + small
    return zlib.crc32(sealed, seed & 0xFFFFFFFF).to_bytes(4, "little") + sealed


def _open(chunk: bytes, seed: int) -> bytes:
    whole = memoryview(chunk)
    if zlib.crc32(whole[4:], seed & 0xFFFFFFFF) != int.from_bytes(whole[:4], "little"):
        raise CorruptChunkError
    if not chunk[4]:
        return chunk[5:]
    size = int.from_bytes(whole[5:9], "little")
    opened: bytes = _CODEC.decompress(whole[9:], size, asbytes=True)
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
