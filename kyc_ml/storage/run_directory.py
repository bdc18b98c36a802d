"""Where a run writes: a folder that one job locks and publishes by one rename.

Everything is written into a hidden folder next to the goal. Each file appears there whole or
not at all; so a killed run leaves complete files and at most a few temporary ones, which the
next start removes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kyc_ml.errors import OutputError
from kyc_ml.storage.writing import require_place, sync_folder

MANIFEST: Final = "manifest.json"
"""Written last: a folder that holds one is complete."""

NOTES: Final = "steps"
"""Folder of the checkpoints: without it a run cannot be resumed."""

_SCRATCH: Final = "scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    """The goal of a run, and the folder that becomes it.

    Attributes
    ----------
    goal : Path
        The published folder; it appears complete, by one rename.
    work : Path
        Next to it, on the same file system; readable by its owner alone.
    failed : Path
        What is left of a run that exceeded its limits.
    """

    goal: Path
    work: Path
    failed: Path

    @property
    def scratch(self) -> Path:
        """Folder for what is needed only while a step runs; emptied at every start."""
        return self.work / _SCRATCH

    def keep(self, names: Collection[str]) -> None:
        """Remove everything from the work folder except these files and folders.

        Raises
        ------
        OutputError
            If something cannot be removed.
        """
        try:
            found = [path.name for path in self.work.iterdir()]
        except OSError as error:
            raise _refused(self.work, error) from None
        self.remove([name for name in found if name not in names])

    def clear(self) -> None:
        """Remove everything from the work folder, and make an empty scratch folder.

        Raises
        ------
        OutputError
            If that is not possible.
        """
        self.keep(())
        try:
            self.scratch.mkdir()
        except OSError as error:
            raise _refused(self.scratch, error) from None

    def remove(self, names: Collection[str]) -> None:
        """Remove these files and folders from the work folder; missing ones are ignored.

        Raises
        ------
        OutputError
            If something cannot be removed.
        """
        try:
            for path in (self.work / name for name in names):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            # without this the removed names could return after a loss of power
            sync_folder(self.work)
        except OSError as error:
            raise _refused(self.work, error) from None

    def publish(self) -> None:
        """Rename the work folder to the goal.

        Raises
        ------
        OutputError
            If the goal exists, or the rename fails; the work folder stays.
        """
        # `replace` would overwrite an empty folder without an error
        if self.goal.exists():
            msg = f"{self.goal} exists already: name another --out, or remove it"
            raise OutputError(msg)
        self._rename(self.goal)

    def put_aside(self) -> None:
        """Rename the work folder to `failed`; an earlier one there is removed.

        Raises
        ------
        OutputError
            If that is not possible.
        """
        _remove(self.failed)
        self._rename(self.failed)

    def _rename(self, target: Path) -> None:
        try:
            self.work.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            raise _refused(target, error) from None


@contextmanager
def hold(goal: Path, *, known_as: Path | None = None) -> Iterator[RunDirectory]:
    """Lock a goal against other jobs until the block or the process ends.

    The lock is a lock of the kernel: it cannot outlive the job that holds it.

    Parameters
    ----------
    known_as : Path, optional
        Path for the message to a second job, if the user did not name the goal itself.

    Raises
    ------
    OutputError
        If another job holds it, or its folder cannot be written.
    """
    if not goal.name:
        msg = f"{goal} cannot be the name of a new folder: name one, such as scores/2025-06-24"
        raise OutputError(msg)
    require_place(goal)
    place = RunDirectory(
        goal=goal,
        work=goal.with_name(f".{goal.name}.work"),
        failed=goal.with_name(f"{goal.name}.failed"),
    )
    lock = goal.with_name(f".{goal.name}.lock")
    made = [folder for folder in goal.absolute().parents if not folder.exists()]
    # first the lock: cleaning the folder of a running job would destroy its work
    number = _locked(lock, goal, known_as=known_as or goal)
    try:
        _clean(place)
        yield place
    finally:
        if not any((place.work / name).exists() for name in (NOTES, MANIFEST)):
            # nothing to resume, and nothing complete
            shutil.rmtree(place.work, ignore_errors=True)
        # removed while it is locked: after closing, the name could belong to another job
        lock.unlink(missing_ok=True)
        os.close(number)
        with suppress(OSError):  # a folder that is not empty belongs to another job too
            for folder in made:
                folder.rmdir()


def _locked(lock: Path, goal: Path, *, known_as: Path) -> int:
    """Open and lock a file; return its descriptor, which the caller closes."""
    try:
        while True:
            goal.parent.mkdir(parents=True, exist_ok=True)
            try:
                number = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:
                continue  # another job has just removed the folder: make it again
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _names(lock, number):
                    return number
            # also an interruption by the user must not leave the descriptor open
            except BaseException:
                os.close(number)
                raise
            os.close(number)  # another job has just removed the file: make a new one
    except BlockingIOError:
        msg = f"another job is writing {known_as}: wait until it has ended, or name another --out"
        raise OutputError(msg) from None
    except OSError as error:
        raise _refused(goal, error) from None


def _names(path: Path, number: int) -> bool:
    """Return whether a path still is the open file: another job may have removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(number))
    except FileNotFoundError:
        return False


def _clean(place: RunDirectory) -> None:
    """Make the work folder, and remove the temporary files of a killed run."""
    _remove(place.scratch)
    try:
        place.work.mkdir(mode=0o700, exist_ok=True)
        # names that begin with a dot are the unfinished files of `written_whole`
        for half in place.work.rglob(".*"):
            half.unlink()
        place.scratch.mkdir()
    except OSError as error:
        raise _refused(place.work, error) from None


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refused(folder, error) from None


def _refused(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or "the device refused"
    return OutputError(f"{path} cannot be written: {reason}; correct that, then start again")
