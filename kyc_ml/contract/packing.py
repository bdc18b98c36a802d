"""Unpack files as they are read; the first bytes of a file decide its packing, not its name."""

import bz2
import errno
import gzip
import io
import lzma
import re
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

import pyarrow as pa

Packing = Literal["gzip", "zstd", "bzip2", "xz", "lz4", "zip"]

_MAGIC: Final[dict[Packing, bytes]] = {
    "gzip": rb"\x1f\x8b\x08",
    "zstd": rb"\x28\xb5\x2f\xfd",
    "bzip2": rb"BZh[1-9]1AY&SY",
    "xz": rb"\xfd7zXZ\x00",
    "lz4": rb"\x04\x22\x4d\x18",
    "zip": rb"PK\x03\x04",
}
_STRANGERS: Final = {
    b"7z\xbc\xaf\x27\x1c": "is packed as 7z: unpack it",
    b"Rar!\x1a\x07": "is packed as rar: unpack it",
    b"\x1f\x9d": "is packed by compress (.Z): unpack it",
    b"PK\x05\x06": "is a zip file without a file in it: send it again",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook: save its sheet as CSV UTF-8",
    b"SQLite format 3\x00": "is a SQLite database: export its table as CSV",
    b"Obj\x01": "is an Avro file: export it as Parquet",
    b"ORC": "is an ORC file: export it as Parquet",
    b"%PDF-": "is a PDF: no table can be read from it",
    b"PAR1": "is a Parquet file: write format: parquet",
}
"""First bytes of files that are often sent for a table of text, and what to do with them."""
_LONGEST_MAGIC: Final = 16
_DEEPEST: Final = 3
"""Convention: a file packed twice happens; one packed more often is an attack or a mistake."""
_MOST_TIMES: Final = 200
_ALWAYS_UNPACKED: Final = 1 << 30
"""Convention: tables of text pack to a tenth, hardly ever to a hundredth; this much is always
read. A file that unpacks to more would fill the disk before the first row is read."""


class FileFaultError(OSError):
    """Why a file cannot be read as it is; `strerror` continues its name: "is packed as rar".

    Attributes
    ----------
    cut_off : bool
        Whether the end of the file is missing: it may still be copied.
    """

    def __init__(self, *, reason: str, cut_off: bool = False) -> None:
        super().__init__(errno.EINVAL, reason)
        self.cut_off = cut_off


class _Unpacked(io.RawIOBase):
    """The bytes of a packed stream, no more than `most`; damage is a FileFaultError."""

    def __init__(self, inner: BinaryIO, packed: BinaryIO, *, packing: Packing, most: int) -> None:
        self._inner = inner
        self._packed = packed
        self._packing = packing
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        try:
            part = self._inner.read(len(view))
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile):
            raise _damage(packing=self._packing) from None
        except (NotImplementedError, RuntimeError):
            raise FileFaultError(
                reason=f"is packed as {self._packing} in a way not known: unpack it"
            ) from None
        except OSError as error:  # of bz2 and Arrow: without a reason of the system's
            raise (error if error.errno else _damage(packing=self._packing)) from None
        self._left -= len(part)
        if self._left < 0:
            raise FileFaultError(
                reason=f"unpacks to more than {_MOST_TIMES} times its size: unpack it"
            )
        view[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._inner.close()
        self._packed.close()
        super().close()


def _damage(*, packing: Packing) -> FileFaultError:
    reason = f"is cut off or damaged (packed as {packing}): send it again"
    return FileFaultError(reason=reason, cut_off=True)


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading bytes, unpacked however it is packed.

    Raises FileFaultError now or while reading: damaged, several files in a zip, or far larger when
    unpacked.
    """
    return open_layers(path)[0]


def open_layers(path: Path) -> tuple[BinaryIO, tuple[Packing, ...]]:
    """Open a file as `open_plain` does; also return its packings, the outermost first."""
    handle: BinaryIO = path.open("rb")
    # measured by the file on disk for all layers together
    most = max(_MOST_TIMES * path.stat().st_size, _ALWAYS_UNPACKED)
    layers: list[Packing] = []
    try:
        while (packing := _packing_of(handle)) is not None:
            if len(layers) == _DEEPEST:
                raise FileFaultError(reason=f"is packed more than {_DEEPEST} times: unpack it")
            inner = _unpack(handle, packing, outermost=not layers)
            raw = _Unpacked(inner, handle, packing=packing, most=most)
            handle = cast("BinaryIO", io.BufferedReader(raw, 1 << 20))
            layers.append(packing)
    except OSError:
        handle.close()
        raise
    return handle, tuple(layers)


def stranger(head: bytes) -> str | None:
    """Return what a file is that is not text, by its first bytes; None if it may be text."""
    return next((kind for magic, kind in _STRANGERS.items() if head.startswith(magic)), None)


def _packing_of(handle: BinaryIO) -> Packing | None:
    head = cast("io.BufferedReader", handle).peek(_LONGEST_MAGIC)[:_LONGEST_MAGIC]
    return next((packing for packing, magic in _MAGIC.items() if re.match(magic, head)), None)


def _unpack(handle: BinaryIO, packing: Packing, *, outermost: bool) -> BinaryIO:
    if packing == "zip":
        return _only_member(handle, outermost=outermost)
    if packing in {"zstd", "lz4"}:
        return cast("BinaryIO", pa.CompressedInputStream(pa.PythonFile(handle, "r"), packing))
    if packing == "gzip":
        return cast("BinaryIO", gzip.GzipFile(fileobj=handle))
    return cast("BinaryIO", bz2.BZ2File(handle) if packing == "bzip2" else lzma.LZMAFile(handle))


def _only_member(handle: BinaryIO, *, outermost: bool) -> BinaryIO:
    """Open the one file of a zip file."""
    if not outermost:  # a zip file is read from its end, which a stream has not reached
        raise FileFaultError(reason="is a zip file that is packed again: unpack it")
    try:
        archive = zipfile.ZipFile(handle)
    except zipfile.BadZipFile:
        raise _damage(packing="zip") from None
    names = [each.filename for each in archive.infolist()]
    if "xl/workbook.xml" in names or "xl/workbook.bin" in names:
        raise FileFaultError(reason="is an Excel workbook: save its sheet as CSV UTF-8")
    members = [
        each
        for each in archive.infolist()
        if not each.is_dir() and not each.filename.startswith("__MACOSX/")
    ]
    if len(members) != 1:
        raise FileFaultError(reason=f"is a zip file with {len(members)} files in it: unpack it")
    if members[0].flag_bits & 1:
        raise FileFaultError(reason="is a zip file with a password: unpack it")
    try:
        return cast("BinaryIO", archive.open(members[0]))
    except (zipfile.BadZipFile, NotImplementedError):
        raise FileFaultError(
            reason="is a zip file that cannot be unpacked here: unpack it"
        ) from None
