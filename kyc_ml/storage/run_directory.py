"""Where a run writes: a folder that one job locks and publishes by one rename.

Everything is written into a hidden folder next to the goal. Each file appears there whole or
not at all; so a killed run leaves complete files and at most a few temporary ones, which the
next start removes.

Other users may be able to write next to the goal. So the hidden folder is opened once, only if it
is a folder that this user made and no other user could write; what is removed is removed through
that descriptor, and a link inside is never followed.
"""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
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
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_ANYONE: Final = stat.S_IRWXG | stat.S_IRWXO
_SUPERUSER: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    """The goal of a run, and the folder that becomes it."""

    goal: Path
    """The published folder; it appears complete, by one rename."""
    work: Path
    """Next to it, on the same file system; readable by its owner alone."""
    failed: Path
    """What is left of a run that exceeded its limits."""
    number: int
    """Descriptor of the work folder, open while the goal is held."""

    @property
    def scratch(self) -> Path:
        """Folder for what is needed only while a step runs; emptied at every start."""
        return self.work / _SCRATCH

    def keep(self, names: Collection[str]) -> None:
        """Remove everything from the work folder except these files and folders.

        Raises OutputError if something cannot be removed.
        """
        try:
            found = os.listdir(self.number)  # noqa: PTH208  a descriptor has no path
        except OSError as error:
            raise _refused(self.work, error) from None
        self.remove([name for name in found if name not in names])

    def clear(self) -> None:
        """Remove everything from the work folder, and make an empty scratch folder.

        Raises OutputError if that is not possible.
        """
        self.keep(())
        try:
            os.mkdir(_SCRATCH, 0o700, dir_fd=self.number)
        except OSError as error:
            raise _refused(self.scratch, error) from None

    def remove(self, names: Collection[str]) -> None:
        """Remove these files and folders from the work folder; missing ones are ignored.

        Raises OutputError if something cannot be removed.
        """
        try:
            for name in names:
                self._remove(name)
            # without this the removed names could return after a loss of power
            os.fsync(self.number)
        except OSError as error:
            raise _refused(self.work, error) from None

    def _remove(self, name: str) -> None:
        try:
            kind = os.stat(name, dir_fd=self.number, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(kind):
            shutil.rmtree(name, dir_fd=self.number)
        else:
            os.unlink(name, dir_fd=self.number)

    def publish(self) -> None:
        """Rename the work folder to the goal.

        Raises OutputError if the goal exists, or the rename fails; the work folder stays.
        """
        # `replace` would overwrite an empty folder without an error
        if os.path.lexists(self.goal):
            raise OutputError(f"{self.goal} exists already: name another --out, or remove it")
        self._rename(self.goal)

    def put_aside(self) -> None:
        """Rename the work folder to `failed`; an earlier one there is removed.

        Raises OutputError if that is not possible.
        """
        _remove(self.failed)
        self._rename(self.failed)

    def _rename(self, target: Path) -> None:
        self._require_at(self.work)
        try:
            self.work.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            raise _refused(target, error) from None
        self._require_at(target)

    def _require_at(self, path: Path) -> None:
        if not _names(path, self.number):
            raise _strange(path, "was exchanged for something else while this job ran")


@contextmanager
def hold(goal: Path, *, known_as: Path | None = None) -> Iterator[RunDirectory]:
    """Lock a goal against other jobs until the block or the process ends.

    The lock is a lock of the kernel: it cannot outlive the job that holds it.

    `known_as`: path for the message to a second job, if the user did not name the goal itself.
    Raises OutputError if another job holds it, its folder cannot be written, or what lies there
    under the goal's names was not made by this user.
    """
    if not goal.name:
        msg = f"{goal} cannot be the name of a new folder: name one, such as scores/2025-06-24"
        raise OutputError(msg)
    require_place(goal)
    lock = goal.with_name(f".{goal.name}.lock")
    made = [folder for folder in goal.absolute().parents if not folder.exists()]
    # first the lock: cleaning the folder of a running job would destroy its work
    number = _locked(lock, goal, known_as=known_as or goal)
    try:
        with _opened(goal) as place:
            yield place
    finally:
        # removed while it is locked: after closing, the name could belong to another job
        lock.unlink(missing_ok=True)
        os.close(number)
        with suppress(OSError):  # a folder that is not empty belongs to another job too
            for folder in made:
                folder.rmdir()


@contextmanager
def _opened(goal: Path) -> Iterator[RunDirectory]:
    """Open the work folder of a locked goal, and remove it at the end if it holds nothing."""
    work = goal.with_name(f".{goal.name}.work")
    _require_own_goal(goal)
    try:
        number = _open_own(work)
    except OutputError:
        raise
    except OSError as error:
        raise _refused(work, error) from None
    place = RunDirectory(
        goal=goal, work=work, failed=goal.with_name(f"{goal.name}.failed"), number=number
    )
    try:
        _clean(place)
        yield place
    finally:
        held = os.listdir(number)  # noqa: PTH208  a descriptor has no path
        if _names(work, number) and not {NOTES, MANIFEST}.intersection(held):
            # nothing to resume, and nothing complete
            shutil.rmtree(work, ignore_errors=True)
        os.close(number)


def _require_own_goal(goal: Path) -> None:
    """Raise if another user made the goal: its manifest could claim that the run is published."""
    if goal.exists() and goal.stat().st_uid not in {_made_in(goal.parent).st_uid, _SUPERUSER}:
        raise _strange(goal, "belongs to another user")


def _open_own(work: Path) -> int:
    """Make or open a work folder for this user alone; return its descriptor."""
    with suppress(FileExistsError):
        work.mkdir(mode=0o700)
    try:
        number = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise _strange(work, "is a link or a file") from None
        raise
    found, ours = os.fstat(number), _made_in(work.parent)
    # a file system without permissions shows one mode for all files: also for ours
    wider = found.st_mode & _OTHERS & ~ours.st_mode
    if found.st_uid != ours.st_uid or wider:
        os.close(number)
        raise _strange(
            work, "can be written by other users" if wider else "belongs to another user"
        )
    if found.st_mode & _ANYONE & ~ours.st_mode:
        os.fchmod(number, 0o700)
    return number


def _made_in(folder: Path) -> os.stat_result:
    """Return the owner and mode that a private file of this user has in a folder.

    A mounted share may show another owner than the user of the process.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno())


def _locked(lock: Path, goal: Path, *, known_as: Path) -> int:
    """Open and lock a file; return its descriptor, which the caller closes."""
    try:
        while True:
            goal.parent.mkdir(parents=True, exist_ok=True)
            try:
                number = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            except FileNotFoundError:
                continue  # another job has just removed the folder: make it again
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _names(lock, number):
                    _require_own_lock(lock, number)
                    return number
            # also an interruption by the user must not leave the descriptor open
            except BaseException:
                os.close(number)
                raise
            os.close(number)  # another job has just removed the file: make a new one
    except BlockingIOError:
        msg = f"another job is writing {known_as}: wait until it has ended, or name another --out"
        raise OutputError(msg) from None
    except OutputError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP and lock.is_symlink():
            raise _strange(lock, "is a link") from None
        raise _refused(goal, error) from None


def _require_own_lock(lock: Path, number: int) -> None:
    """Raise unless this user made the lock: whoever did could hold it for ever."""
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != _made_in(lock.parent).st_uid:
        raise _strange(lock, "belongs to another user")


def _names(path: Path, number: int) -> bool:
    """Return whether a path still is the open file or folder, and no link to it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(number))
    except FileNotFoundError:
        return False


def _clean(place: RunDirectory) -> None:
    """Make an empty scratch folder, and remove the temporary files of a killed run."""
    place.remove((_SCRATCH,))
    try:
        # names that begin with a dot are the unfinished files of `written_whole`
        for _, folders, files, number in os.fwalk(dir_fd=place.number):
            for half in [name for name in (*folders, *files) if name.startswith(".")]:
                os.unlink(half, dir_fd=number)
        os.mkdir(_SCRATCH, 0o700, dir_fd=place.number)
    except OSError as error:
        raise _refused(place.work, error) from None


def _remove(folder: Path) -> None:
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):  # opening a pipe would never end
            raise _strange(folder, "is a link or a file")
        if found.st_uid != _made_in(folder.parent).st_uid:
            raise _strange(folder, "belongs to another user")
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refused(folder, error) from None


def _strange(path: Path, why: str) -> OutputError:
    return OutputError(
        f"{path} {why}: nothing in it was read or removed; find out who made it and move it away, "
        "or write to a folder that only you can write"
    )


def _refused(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or "the device refused"
    return OutputError(f"{path} cannot be written: {reason}; correct that, then start again")
