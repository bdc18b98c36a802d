"""Where a run writes: a folder of its own, held by one job, published by one rename.

Everything is made in a hidden folder beside the goal. Each file appears there whole, on
disk and under its name, or not at all; so what a killed run leaves behind is a number of
complete files and at most a few temporary ones, which the next start removes.
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
"""Folder of the notes of what is done: a work without one is nothing to go on from."""

_SCRATCH: Final = "scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    """One run's goal, and the folder that becomes it.

    Attributes
    ----------
    goal : Path
        Appears by one rename, complete.
    work : Path
        Beside it, on the same file system; readable by its owner alone.
    failed : Path
        What a run leaves that was refused by its own limits.
    """

    goal: Path
    work: Path
    failed: Path

    @property
    def scratch(self) -> Path:
        """A folder for what is needed only while a step runs; emptied at every start."""
        return self.work / _SCRATCH

    def keep(self, names: Collection[str]) -> None:
        """Remove everything from the work but these files and folders.

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
        """Remove everything from the work, and make an empty scratch folder.

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
        """Remove these files and folders from the work, where they are there.

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
            sync_folder(self.work)
        except OSError as error:
            raise _refused(self.work, error) from None

    def publish(self) -> None:
        """Make the work the goal.

        Raises
        ------
        OutputError
            If the goal exists, or the rename is refused; the work stays then.
        """
        if self.goal.exists():
            msg = f"{self.goal} exists already: name another --out, or remove it"
            raise OutputError(msg)
        self._rename(self.goal)

    def put_aside(self) -> None:
        """Move the work to where refused runs lie; an earlier one there is removed.

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
    """Hold a goal: no other job can until the block ends, or the process does.

    The lock is one of the kernel's: it cannot outlive the job that holds it.

    Parameters
    ----------
    known_as : Path, optional
        What a second job is told that it may not write, where the operator has never named
        the goal itself.

    Raises
    ------
    OutputError
        If another job holds it, or its folder cannot be written.
    """
    if not goal.name:
        msg = f"{goal} is no name of a new folder: name one to publish, such as scores/2025-06-24"
        raise OutputError(msg)
    require_place(goal)
    place = RunDirectory(
        goal=goal,
        work=goal.with_name(f".{goal.name}.work"),
        failed=goal.with_name(f"{goal.name}.failed"),
    )
    lock = goal.with_name(f".{goal.name}.lock")
    made = [folder for folder in goal.absolute().parents if not folder.exists()]
    number = _locked(lock, goal, known_as=known_as or goal)
    try:
        _clean(place)
        yield place
    finally:
        if not any((place.work / name).exists() for name in (NOTES, MANIFEST)):
            # nothing to go on from, and nothing complete
            shutil.rmtree(place.work, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(number)
        with suppress(OSError):  # what is not empty, or gone already, is not ours to remove
            for folder in made:
                folder.rmdir()


def _locked(lock: Path, goal: Path, *, known_as: Path) -> int:
    """Open and lock a file; gives its number, to be closed by whoever holds it."""
    try:
        while True:
            goal.parent.mkdir(parents=True, exist_ok=True)
            try:
                number = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:
                continue  # another job has just removed the folder that it had made
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _names(lock, number):
                    return number
            except BaseException:
                os.close(number)
                raise
            os.close(number)  # its last holder has just removed it: make a new one
    except BlockingIOError:
        msg = f"another job is writing {known_as}: wait until it has ended, or name another --out"
        raise OutputError(msg) from None
    except OSError as error:
        raise _refused(goal, error) from None


def _names(path: Path, number: int) -> bool:
    """Tell whether a path still leads to an open file: its last holder may have removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(number))
    except FileNotFoundError:
        return False


def _clean(place: RunDirectory) -> None:
    """Make the work folder, without what a killed run left half done."""
    _remove(place.scratch)
    try:
        place.work.mkdir(mode=0o700, exist_ok=True)
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
    return OutputError(f"{path} cannot be written: {reason}; mend that, then start again")
