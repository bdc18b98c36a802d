"""The checksums of Parquet pages: whether a file holds what was written into it.

A page's header may carry the CRC-32 of the bytes that follow it. DuckDB does not compare them,
and a changed byte often decodes to another value without an error. Only headers are parsed
here, and pages are neither decompressed nor decoded.

Source: Apache Parquet format, `parquet.thrift` (PageHeader) and Checksumming; Apache Thrift
compact protocol.
"""

import mmap
import zlib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from kyc_ml.contract.folder import FoundFiles
from kyc_ml.errors import Faults

_COMPRESSED_SIZE, _CRC = 3, 4
"""Numbers of the fields of a page header that are needed."""
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 7, 8, 12
_WIDTHS: Final = {_BYTE: 1, _DOUBLE: 8}
_INTEGERS: Final = (4, 5, 6)
_LISTS: Final = (9, 10)
_LONGEST_HEADER: Final = 1 << 20
"""Convention: the statistics in a header are a few values."""


class PageChecks(Enum):
    """Result of comparing the pages of a file with their checksums."""

    SOUND = "sound"
    ABSENT = "absent"
    WRONG = "wrong"


def check_pages(path: Path) -> PageChecks:
    """Compare every page of a Parquet file with its checksum.

    `ABSENT` if a page has none; `WRONG` also if headers of a file with checksums are damaged.
    Raises OSError or pyarrow.ArrowException if the file cannot be opened as Parquet.
    """
    results: set[bool | None] = set()
    broken = False
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as held:
        view = memoryview(held)
        try:
            for start, end in _chunks(path):
                try:
                    results.update(_pages(view[start:end]))
                except (IndexError, ValueError, RecursionError):
                    broken = True
        finally:
            view.release()
    # no writer leaves out the checksums of single pages: there a header has changed
    if False in results or (True in results and (broken or None in results)):
        return PageChecks.WRONG
    # without any checksum, unusual or encrypted headers are accepted
    return PageChecks.ABSENT if broken or None in results else PageChecks.SOUND


def note_wrong_pages(name: str, files: FoundFiles, faults: Faults) -> list[str]:
    """Note the files of a source with a changed byte; return those without checksums."""
    found = {shown: check_pages(path) for shown, path in zip(files.names, files.paths, strict=True)}
    faults.extend(
        f"file {name!r}: {shown!r} holds a page that does not match its checksum: its bytes have "
        "changed since it was written: send it again"
        for shown, result in found.items()
        if result is PageChecks.WRONG
    )
    return [shown for shown, result in found.items() if result is PageChecks.ABSENT]


def _chunks(path: Path) -> Iterator[tuple[int, int]]:
    """Yield where the pages of each column of each row group begin and end."""
    metadata = pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for position in range(metadata.num_columns):
            column = row_group.column(position)
            first = column.data_page_offset
            if column.has_dictionary_page and column.dictionary_page_offset:
                first = min(first, column.dictionary_page_offset)
            yield first, first + column.total_compressed_size


def _pages(chunk: memoryview) -> Iterator[bool | None]:
    """Yield whether each page has the bytes of its checksum; None without one."""
    at = 0
    while at < len(chunk):
        header = _Header(chunk[at : at + _LONGEST_HEADER])
        size, crc = header.read()
        at += header.at
        if size is None or not 0 <= size <= len(chunk) - at:
            raise ValueError("no page header")
        body = chunk[at : at + size]
        yield None if crc is None else crc & 0xFFFFFFFF == zlib.crc32(body)
        body.release()
        at += size


class _Header:
    """A page header in Thrift's compact protocol."""

    def __init__(self, held: memoryview) -> None:
        self._held = held
        self.at = 0

    def read(self) -> tuple[int | None, int | None]:
        """Return size and checksum; None for what is absent."""
        found: dict[int, int] = {}
        field = 0
        while kind := self._byte():
            field, kind = self._field(field, kind)
            if kind in _INTEGERS:
                found[field] = self._integer()
            else:
                self._skip(kind)
        return found.get(_COMPRESSED_SIZE), found.get(_CRC)

    def _field(self, last: int, byte: int) -> tuple[int, int]:
        step, kind = byte >> 4, byte & 15
        return (last + step if step else self._integer()), kind

    def _byte(self) -> int:
        value = self._held[self.at]
        self.at += 1
        return value

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 64, 7):  # no number of a header is longer
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number is too long for Thrift")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _skip(self, kind: int) -> None:
        if kind in {_TRUE, _FALSE}:
            return
        if kind in _WIDTHS:
            self.at += _WIDTHS[kind]
        elif kind in _INTEGERS:
            self._varint()
        elif kind == _BINARY:
            size = self._varint()  # which moves `at` itself
            self.at += size
        elif kind in _LISTS:
            self._skip_list()
        elif kind == _STRUCT:
            field = 0
            while byte := self._byte():
                field, inner = self._field(field, byte)
                self._skip(inner)
        else:
            raise ValueError("no type of Thrift")

    def _skip_list(self) -> None:
        byte = self._byte()
        size, kind = byte >> 4, byte & 15
        number = self._varint() if size == 15 else size
        if kind in {_TRUE, _FALSE, *_WIDTHS}:  # in a list a truth value takes one byte
            self.at += number * _WIDTHS.get(kind, 1)
        else:
            for _ in range(number):
                self._skip(kind)  # reads a byte at least: the end of the header ends this too
