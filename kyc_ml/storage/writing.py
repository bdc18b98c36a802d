"""Files that appear whole or not at all."""

import errno
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from kyc_ml.errors import OutputError

_LONGER: Final = 16
"""Bytes that the name of an unfinished file or folder has more than the name it will have."""


def require_place(path: Path) -> None:
    """Raise early if a file or folder could not be written later, after hours of work.

    Raises OutputError if it would lie below a file, or below a folder that may not be written.
    """
    above = path.absolute().parents
    nearest = next((folder for folder in above if folder.exists()), Path.cwd())
    if not nearest.is_dir():
        raise _refused(path, OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    longest = os.statvfs(nearest).f_namemax
    # of a temporary file or folder beside it
    too_long = 0 < longest < len(os.fsencode(path.name)) + _LONGER
    refusal = errno.ENAMETOOLONG if too_long else why_unwritable(nearest)
    if refusal:
        raise _refused(path, OSError(refusal, os.strerror(refusal)))


def why_unwritable(place: Path) -> int:
    """Return the error number of writing a file, or into a folder; 0 if it is possible."""
    if os.access(place, os.W_OK | os.X_OK if place.is_dir() else os.W_OK):
        return 0
    return errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES


def make_private(folder: Path) -> None:
    """Make a folder that only this user can read; an existing one stays as it is.

    Raises OutputError if it cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
    except OSError as error:
        raise _refused(folder, error) from None


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file next to `path`, and rename it once it is complete and on disk.

    A missing folder is made. The file is readable by its owner alone: it may hold customers' data.

    Raises OutputError if it cannot be written; an earlier file at `path` stays as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # in the same folder: a rename is atomic only inside one file system
        number, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _refused(path, error) from None
    half = Path(temporary)
    try:
        with os.fdopen(number, "wb") as handle:
            yield handle
            # fsync does not know Python's buffer: flush it first
            handle.flush()
            os.fsync(handle.fileno())
        # only after fsync: otherwise a loss of power could leave the name with an empty file
        half.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _refused(path, error) from None
    finally:
        with suppress(OSError):  # the first error of a broken device is raised already
            half.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file as `written_whole` does.

    Raises OutputError if it cannot be written; an earlier file at `path` stays as it was.
    """
    with written_whole(path) as handle:
        handle.write(content)


def dump_json(content: object) -> str:
    """Return content as readable JSON, the same text for the same content; no NaN or infinity."""
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def load_json(content: str | bytes) -> Any:  # noqa: ANN401  what JSON holds
    """Read JSON as `dump_json` writes it, of a file that may have been changed.

    Raises json.JSONDecodeError or UnicodeDecodeError if it is not JSON, holds a number that is not
    finite, or is nested too deeply to read.
    """
    try:
        return json.loads(content, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        msg = "JSON is nested too deeply"
        raise json.JSONDecodeError(msg, "", 0) from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        msg = "JSON holds a number that is not finite"
        raise json.JSONDecodeError(msg, "", 0)
    return number


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk, so that a rename survives a loss of power."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _refused(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or "the device refused"
    return OutputError(f"{path} cannot be written: {reason}; free space, or name another place")
