"""The data folder: which of its files a mapping names, and their digests."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, cast

from kyc_ml.config import FileSource
from kyc_ml.errors import Faults, SourceError, hint_path

_NEAR_MISS_FILES: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFiles:
    """Paths of one `FileSource`, sorted; `names` are relative to the data folder."""

    source: FileSource
    paths: tuple[Path, ...]
    names: tuple[str, ...]


def find_files(
    sources: Mapping[str, FileSource], *, data: Path, faults: Faults
) -> dict[str, FoundFiles]:
    """Find the files of each source below `data`; note what is missing or empty.

    A pattern must match at least one file. A path that leads outside the folder, by ``..``
    or by a link, is refused.
    """
    root = data.resolve()
    found = {}
    for name, source in sources.items():
        pattern = source.path
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            faults.add(f"file {name!r}: path {pattern!r} leads outside the data folder")
            continue
        globbed = any(mark in pattern for mark in "*?[")
        paths = sorted(root.glob(pattern)) if globbed else [root / pattern]
        paths = [path for path in paths if path.is_file()]
        before = len(faults)
        if not paths:
            present = [str(p.relative_to(root)) for p in islice(_files(root), _NEAR_MISS_FILES)]
            near = hint_path(pattern, present)
            faults.add(f"file {name!r}: no file {pattern!r} in the data folder{near}")
        for path in paths:
            shown = str(path.relative_to(root))
            if not path.resolve().is_relative_to(root):
                faults.add(f"file {name!r}: {shown!r} is a link out of the data folder")
            elif not path.stat().st_size:
                faults.add(f"file {name!r}: {shown!r} is empty (0 bytes): send it again")
        if len(faults) == before:
            names = tuple(str(path.relative_to(root)) for path in paths)
            found[name] = FoundFiles(source=source, paths=tuple(paths), names=names)
    return found


def readable_paths(found: Collection[FoundFiles]) -> list[Path]:
    """Every file the engine must be allowed to read; a DuckDB file brings its log along."""
    paths = [path for each in found for path in each.paths]
    logs = [
        path.with_name(f"{path.name}.wal")
        for each in found
        if each.source.format == "duckdb"
        for path in each.paths
    ]
    return [*paths, *logs]


def digest_files(found: Collection[FoundFiles]) -> dict[str, str]:
    """SHA-256 of every file, keyed by its path relative to the data folder."""
    digests = {}
    for each in found:
        for name, path in zip(each.names, each.paths, strict=True):
            with path.open("rb") as handle:
                digests[name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return dict(sorted(digests.items()))


def file_states(found: Collection[FoundFiles]) -> dict[str, tuple[int, int, int]]:
    """Size, change time and inode of every file, keyed by its path below the data folder.

    A file that is gone is left out.
    """
    states = {}
    for each in found:
        for name, path in zip(each.names, each.paths, strict=True):
            if path.is_file():
                state = path.stat()
                states[name] = (state.st_size, state.st_mtime_ns, state.st_ino)
    return states


def require_unchanged(
    before: Mapping[str, tuple[int, int, int]],
    after: Mapping[str, tuple[int, int, int]],
    *,
    subject: str,
) -> None:
    """Refuse files that changed between two looks: what was read may be half of each.

    Raises
    ------
    SourceError
        Naming every such file.
    """
    faults = Faults(subject, SourceError)
    faults.extend(
        f"file {name!r} changed while it was read: start again when its delivery is complete"
        for name, state in before.items()
        if after.get(name) != state  # a file that came into being is no part of what was read
    )
    faults.raise_if_any()


def digest_together(digests: Mapping[str, str]) -> str:
    """SHA-256 of all files at once: of their names and digests, whatever their order."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading bytes, unpacking what DuckDB unpacks by the name too."""
    return cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
