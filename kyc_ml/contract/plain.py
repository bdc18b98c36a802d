"""Make files readable for DuckDB: UTF-8, packed simply; copies only if it cannot read them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from kyc_ml.config import FileSource
from kyc_ml.contract.encoding import as_utf8, encoding_fault, looks_like, marked_encoding
from kyc_ml.contract.folder import FoundFiles, may_be_copied
from kyc_ml.contract.packing import FileFaultError, Packing, open_layers, stranger
from kyc_ml.errors import Faults, OutputError

_HEAD: Final = 1 << 20
_BLOCK: Final = 1 << 24
_UNPACKED_BY_NAME: Final[dict[str, tuple[Packing, ...]]] = {".gz": ("gzip",), ".zst": ("zstd",)}
"""Endings of a name by which DuckDB unpacks a text file, and what it must be packed as then."""
_SEPARATOR_LINE: Final = re.compile(rb'"?sep=([^"]{1,4}?)"?[;,\t|]*', re.IGNORECASE)
"""First line by which Excel names the delimiter of what follows."""


def make_plain(
    found: Mapping[str, FoundFiles], *, copies: Path, faults: Faults
) -> dict[str, FoundFiles]:
    """Make every file one that the engine reads: UTF-8, packed simply, nothing above the table.

    A file that is so already stays where it is; of another the bytes that matter are copied.
    What cannot be read is noted, and its source left out.

    `copies`: an empty folder for the copies; they hold customers' data.
    Raises OutputError if a copy cannot be written.
    """
    plain = {}
    for number, (name, files) in enumerate(found.items()):
        before = len(faults)
        paths, above = [], []
        for place, (shown, path) in enumerate(zip(files.names, files.paths, strict=True)):
            try:
                copy, skipped = _plain_file(files.source, path, copies / f"{number}-{place}")
            except OutputError:
                raise
            except OSError as error:
                cut_off = isinstance(error, FileFaultError) and error.cut_off
                faults.add(
                    f"file {name!r}: {shown!r} {say_os_error(error)}",
                    passing=cut_off and may_be_copied(path),
                )
                continue
            paths.append(copy)
            above.append(skipped)
        if len(faults) == before:
            plain[name] = replace(files, paths=tuple(paths), lines_above=tuple(above))
    return plain


def say_os_error(error: OSError) -> str:
    """Return why a file could not be read, to write after its name."""
    if isinstance(error, FileFaultError):
        return str(error.strerror)
    return f"cannot be read: {error.strerror or type(error).__name__}"


def _plain_file(source: FileSource, path: Path, copy: Path) -> tuple[Path, int]:
    """Return the file to read, and how many lines of `path` are above its first line."""
    handle, layers = open_layers(path)
    with handle:
        if source.format in {"parquet", "duckdb"}:
            blocks = iter(lambda: handle.read(_BLOCK), b"")
            return (_write(blocks, copy) if layers else path), 0
        head = handle.read(_HEAD)
    encoding = _encoding_of(head, source)
    above = source.skip
    if not above and source.format == "csv":
        above = _separator_lines(head, encoding, source.delimiter)
    as_named = layers == _UNPACKED_BY_NAME.get(path.suffix.lower(), ())
    if encoding == "utf-8" and not above and as_named:
        return path, 0
    with open_layers(path)[0] as handle:
        blocks = as_utf8(handle, encoding)
        return _write(_below(blocks, above) if above else blocks, copy), above


def _encoding_of(head: bytes, source: FileSource) -> str:
    """Return the encoding of a text file; FileFaultError if it is not declared and not UTF-8."""
    fault = stranger(head) or encoding_fault(head, source.encoding)
    if fault is not None:
        raise FileFaultError(reason=fault)
    encoding = source.encoding or marked_encoding(head)
    if encoding is not None:
        return "utf-8" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding
    # a bad letter further down costs its own line of a csv file, and is named when that is read
    start = _first_lines(head, source.skip + 1) if source.format == "csv" else head
    if b"\x00" in start or not _begins_as_utf8(start):
        raise FileFaultError(reason=f"is not UTF-8; it {looks_like(head)}")
    return "utf-8"


def _begins_as_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:  # the head may end within a letter
        return error.reason == "unexpected end of data" and error.end == len(text)
    return True


def _first_lines(head: bytes, count: int) -> bytes:
    return b"".join(head.splitlines(keepends=True)[:count])


def _separator_lines(head: bytes, encoding: str, delimiter: str) -> int:
    """Count Excel's lines that name the delimiter, 0 or 1; FileFaultError if it is another."""
    if encoding != "utf-8":
        head = head.decode(encoding, errors="ignore").encode()
    line = _first_lines(head.removeprefix(b"\xef\xbb\xbf"), 1).rstrip(b"\r\n")
    found = _SEPARATOR_LINE.fullmatch(line)
    if found is None:
        return 0
    named = found[1].decode(errors="replace")
    if named != delimiter:
        shown = '"\\t"' if named == "\t" else f"'{named}'"
        msg = f"names another delimiter in its first line: set delimiter: {shown}"
        raise FileFaultError(reason=msg)
    return 1


def _below(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yield the bytes below the first `count` lines; FileFaultError without a further line."""
    lines = re.compile(rb"(?:[^\r\n]*(?:\r\n|\n|\r)){%d}" % count)
    start = b""
    for block in blocks:
        start += block
        found = lines.match(start)
        if found is not None and found.end() < len(start):
            yield start[found.end() :]
            yield from blocks
            return
    raise FileFaultError(reason=f"has no line below the {count} to skip")


def _write(blocks: Iterator[bytes], copy: Path) -> Path:
    """Write a copy; an error of reading stays one, an error of writing is an OutputError."""
    try:
        out = copy.open("xb")
    except OSError as error:
        raise _unwritable(copy, error) from None
    with out:
        for block in blocks:
            try:
                out.write(block)
                # flushed here: a full disk would otherwise show at closing, outside this `try`
                out.flush()
            except OSError as error:
                raise _unwritable(copy, error) from None
    return copy


def _unwritable(copy: Path, error: OSError) -> OutputError:
    return OutputError(
        f"scratch folder {copy.parent} cannot be written: {error.strerror}; free space there"
    )
