"""The data folder: which of its files a mapping names, and their digests."""

import hashlib
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from kyc_ml.config import FileSource
from kyc_ml.errors import Faults, NotReadyError, hint_path

_NEAR_MISS_FILES: Final = 2_000
_COPIED_SECONDS: Final = 60.0
"""Convention: a file that is incomplete and was written to within this time may still be copied."""
_ABANDONED_SECONDS: Final = 86_400.0
"""Convention: an unfinished copy without a write for a day is left over from a failed one."""
_UNFINISHED: Final = re.compile(
    r"(?P<by_ending>.+)\.(?:part|partial|filepart|tmp|temp|crdownload|inprogress|_COPYING_)"
    r"|\.(?P<by_rsync>.+)\.[A-Za-z0-9]{6}",
)
"""Names of files that are still being copied: of clients of FTP, HDFS and browsers, of rsync."""
_SPARK_WRITES: Final = "_temporary"
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
_TABLE_LOGS: Final = {
    "_delta_log": "Delta Lake",
    ".hoodie": "Hudi",
    "metadata/*.metadata.json": "Iceberg",
}
"""Signs of a folder whose table is not simply all of its files."""
_NOT_DATA: Final = re.compile(
    r"\..*|_SUCCESS|_temporary|_metadata|_common_metadata|(_committed|_started)_.*"
)
"""Files and folders that are not data: hidden ones, and the markers of Spark and Hive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFiles:
    """Paths of one `FileSource`, sorted."""

    source: FileSource
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    """Each file's path relative to the data folder: the name that people know it by."""
    lines_above: tuple[int, ...] = ()
    """Lines of each text file that `paths` no longer have; empty where they have all."""

    @property
    def folder_values(self) -> list[dict[str, str | None]]:
        """Name and value of the folders called `key=value` that each file lies in."""
        return [folder_values(name) for name in self.names]


def folder_values(name: str) -> dict[str, str | None]:
    """Read the folders called `key=value` of a path, as Hive and Spark write them.

    Examples
    --------
    >>> folder_values("tx/dt=2024-01-01/shop=A%2FB/part-0.parquet")
    {'dt': '2024-01-01', 'shop': 'A/B'}
    """
    pairs = [part.split("=", maxsplit=1) for part in Path(name).parent.parts if "=" in part]
    return {unquote(key): None if value == _NO_VALUE else unquote(value) for key, value in pairs}


def find_files(
    sources: Mapping[str, FileSource], *, data: Path, faults: Faults
) -> dict[str, FoundFiles]:
    """Find the files of each source below `data`; note what is missing or empty.

    A pattern must match at least one file. A path that leads outside the folder, by ``..``
    or by a link, is refused. A file that is missing, still being copied, or waits for its marker
    may come later: its fault is `passing`.
    """
    root = data.resolve()
    found = {}
    for name, source in sources.items():
        pattern = source.path
        if source.format == "catalogue":
            faults.add(f"file {name!r}: a table of the catalogue is read by --engine spark alone")
            continue
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            faults.add(f"file {name!r}: path {pattern!r} leads outside the data folder")
            continue
        globbed = any(mark in pattern for mark in "*?[")
        paths = _matched(root, pattern) if globbed else [root / pattern]
        paths = [path for path in paths if path.is_file()]
        before = len(faults)
        if not paths:
            files = (path for path in root.rglob("*") if path.is_file())
            present = [str(path.relative_to(root)) for path in islice(files, _NEAR_MISS_FILES)]
            near = hint_path(pattern, present)
            # what has its name but is a folder, a pipe or a dead link is wrong, not late
            strange = not globbed and os.path.lexists(root / pattern)
            faults.add(
                f"file {name!r}: no file {pattern!r} in the data folder{near}", passing=not strange
            )
        for fault in _unfinished(root, source, paths):
            faults.add(f"file {name!r}: {fault}", passing=True)
        for path in paths:
            shown = str(path.relative_to(root))
            if shown.encode(errors="replace").decode() != shown:
                faults.add(f"file {name!r}: the name {shown!a} is not text in UTF-8: rename it")
            elif not path.resolve().is_relative_to(root):
                faults.add(f"file {name!r}: {shown!r} is a link out of the data folder")
            elif not path.stat().st_size:
                faults.add(
                    f"file {name!r}: {shown!r} is empty (0 bytes): send it again",
                    passing=may_be_copied(path),
                )
        faults.extend(
            f"file {name!r}: {shown!r} is a {kind} table: its files hold rows that were deleted "
            "or replaced; export the table as plain Parquet"
            for shown, kind in _logged_tables(root, paths).items()
        )
        if len(faults) == before:
            names = tuple(str(path.relative_to(root)) for path in paths)
            found[name] = FoundFiles(source=source, paths=tuple(paths), names=names)
    return found


def may_be_copied(path: Path) -> bool:
    """Return whether a file was written to a moment ago: what it lacks may still come."""
    return abs(time.time() - path.stat().st_mtime) < _COPIED_SECONDS


def _unfinished(root: Path, source: FileSource, paths: Iterable[Path]) -> Iterator[str]:
    """Yield what shows that the files of a source are not complete yet."""
    if source.marker is not None and not (root / source.marker).is_file():
        yield f"its marker {source.marker!r} is not in the data folder yet"
    for path, written in _copies(root, source, paths):
        if time.time() - written < _ABANDONED_SECONDS:
            shown = str(path.relative_to(root))
            yield f"{shown!r} is still being written: start again when it is complete"


def _copies(root: Path, source: FileSource, paths: Iterable[Path]) -> Iterator[tuple[Path, float]]:
    """Yield each unfinished copy beside the files of a source, and when it was last written."""
    pattern = Path(source.path)
    folders = {path.parent for path in paths} or {root / pattern.parent}
    beside = (each for folder in sorted(folders) if folder.is_dir() for each in folder.iterdir())
    for path in sorted(beside):
        named = _UNFINISHED.fullmatch(path.name)
        copied = named is not None and fnmatchcase(named[1] or named[2], pattern.name)
        if copied or path.name == _SPARK_WRITES:
            with suppress(FileNotFoundError):  # its copy has just ended
                yield path, path.stat().st_mtime


def watch_files(
    sources: Mapping[str, FileSource], *, data: Path
) -> tuple[dict[str, tuple[int, int]], bool]:
    """Return what shows that files have changed, without reading them, and whether they rest.

    Returns dict of path to size and change time; of the files of a mapping, their markers, and
    unfinished copies beside them.
    Returns bool; False if one of them was written to a moment ago.
    """
    root = data.resolve()
    seen: dict[str, tuple[int, int]] = {}
    for source in sources.values():
        matched = sorted(root.glob(source.path))
        marker = [] if source.marker is None else [root / source.marker]
        copies = [path for path, _ in _copies(root, source, matched)]
        for path in (*matched, *marker, *copies):
            with suppress(FileNotFoundError):
                state = path.stat()
                seen[str(path)] = (state.st_size, state.st_mtime_ns)
    last = max((time_ns for _, time_ns in seen.values()), default=0)
    return seen, abs(time.time() - last / 1e9) >= _COPIED_SECONDS


def _matched(root: Path, pattern: str) -> list[Path]:
    """List the files that match a pattern, without those that are not data."""
    wanted = set(Path(pattern).parts)
    return sorted(
        path
        for path in root.glob(pattern)
        if not any(
            _NOT_DATA.fullmatch(part) and part not in wanted
            for part in path.relative_to(root).parts
        )
    )


def _logged_tables(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Find the folders above some files that are tables of Delta Lake, Hudi or Iceberg."""
    folders = {folder for path in paths for folder in path.parents if folder.is_relative_to(root)}
    return {
        str(folder.relative_to(root)): kind
        for folder in sorted(folders)
        for log, kind in _TABLE_LOGS.items()
        if any(folder.glob(log))
    }


def readable_paths(found: Collection[FoundFiles]) -> list[Path]:
    """List every file the engine must be allowed to read; a DuckDB file brings its log along."""
    paths = [path for each in found for path in each.paths]
    logs = [
        path.with_name(f"{path.name}.wal")
        for each in found
        if each.source.format == "duckdb"
        for path in each.paths
    ]
    return [*paths, *logs]


def digest_files(found: Collection[FoundFiles]) -> dict[str, str]:
    """Return the SHA-256 of every file, keyed by its path relative to the data folder."""
    digests = {}
    for each in found:
        for name, path in zip(each.names, each.paths, strict=True):
            with path.open("rb") as handle:
                digests[name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return dict(sorted(digests.items()))


def file_states(found: Collection[FoundFiles]) -> dict[str, tuple[int, int, int]]:
    """Return size, change time and inode of every file, keyed by its path below the data folder.

    A file that no longer exists is left out.
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
    """Raise if files changed while they were read: the rows may be a mixture of both states.

    Raises NotReadyError: names every such file.
    """
    faults = Faults(subject, NotReadyError)
    faults.extend(
        f"file {name!r} changed while it was read: start again when its delivery is complete"
        for name, state in before.items()
        if after.get(name) != state  # a file that was added is not among those that were read
    )
    faults.raise_if_any()


def digest_together(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of all files together, of names and digests, in any order."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
