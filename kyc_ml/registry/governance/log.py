"""The audit log: a file of chained entries that is only ever appended to.

One log serves one MLflow store. Who may append can also rewrite the file, so the head of
the chain is kept apart as well: in the tags of the registry's models and versions, in every
signoff.json, and in the receipts that the commands print.

Found are: any changed byte, and any entry put in, taken out or moved (by the chain); a cut
end, another log, and a rewritten log (by the anchors and receipts); a champion that was
set without kyc-ml (by `verify`, which compares the registry with the log).

Not found are: a false name (names are claims; the account beside them is the operating
system's); an entry cut off between its writing and the keeping of its anchor, a moment later;
a log rewritten together with all anchors in the registry, by someone who may write to both,
where no receipt was kept out of their reach; an entry about a bundle's folder while it is
the last one, for the registry keeps no anchor of it.

Locks and accounts are those of POSIX systems.
"""

import fcntl
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from kyc_ml.errors import AuditError, OutputError
from kyc_ml.registry.governance import chain
from kyc_ml.storage import sync_folder

AUDIT_LOG: Final = Path("audit.jsonl")
"""Where the log is by default: in the working folder."""
_NOBODY_ELSE: Final = 0o640  # owner and group; an entry names people


class AuditLog:
    """A log by its path; the file is made with its first entry."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> chain.LogReading:
        """Read all entries and check the chain; a log that does not exist yet is empty.

        Raises AuditError if the file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)  # not in the middle of another's line
                return chain.read_chain(file.read())
        except FileNotFoundError:
            return chain.read_chain(b"")
        except OSError as error:
            msg = f"audit log {self.path} cannot be read: {error.strerror}; check rights"
            raise AuditError(msg) from None

    def require_kept(self) -> Self:
        """Raise if the log does not exist: an empty list would look like good news.

        Raises AuditError.
        """
        if not self.path.exists():
            raise AuditError.absent(path=str(self.path.absolute()))
        return self

    def find_faults(
        self, anchors: Iterable[tuple[str, chain.LogAnchor]] = ()
    ) -> tuple[chain.Fault, ...]:
        """Check the chain, and that it reaches every anchor."""
        found = self.read()
        return (*found.faults, *chain.check_anchors(found.entries, anchors))

    def require_sound(
        self, anchors: Iterable[tuple[str, chain.LogAnchor]] = ()
    ) -> tuple[chain.Entry, ...]:
        """Return the entries of a log whose chain holds; AuditError with every fault."""
        anchors = tuple(anchors)
        if anchors:
            self.require_kept()
        return self._refuse_faults(self.read(), anchors).entries

    def append(
        self,
        kind: chain.Kind,
        *,
        actor: str,
        model: str,
        version: str,
        facts: Mapping[str, Any],
        anchors: Iterable[tuple[str, chain.LogAnchor]] = (),
    ) -> chain.Entry:
        """Write one entry at the end, on disk before this returns.

        Writers wait for each other. Nothing is added to a log that is not sound: the new
        head would cover up what happened to it.

        `anchors`: iterable of (where it is kept, Anchor); what the log must reach.
        Raises AuditError if the chain does not hold or does not reach an anchor; OutputError if the
        entry cannot be written; the log is then as it was.
        """
        anchors = tuple(anchors)
        if anchors:
            self.require_kept()  # before a new one is made in its place
        with self._locked() as file:
            # read under the lock: another process may have written since
            found = self._refuse_faults(chain.read_chain(self.path.read_bytes()), anchors)
            entry = chain.Entry(
                sequence=len(found.entries) + 1,
                time=datetime.now(UTC).isoformat(timespec="seconds"),
                kind=kind,
                actor=actor,
                account=current_account(),
                model=model,
                version=version,
                facts=dict(facts),
                previous=found.head,
            ).sealed()
            self._write(file, entry.line() + b"\n", size=found.whole)
        return entry

    def _write(self, file: int, line: bytes, *, size: int) -> None:
        try:
            done = 0
            # a call may write a part only
            while done < len(line):
                done += os.write(file, line[done:])
            os.fsync(file)
            # a new file also needs its name on disk
            if size == 0:
                sync_folder(self.path.parent)
        except OSError as error:
            os.ftruncate(file, size)  # our own unfinished line, still under the lock
            msg = f"audit log {self.path} cannot be written: {error.strerror}; free space"
            raise OutputError(msg) from None

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Open the log to append, and wait until no other process writes to it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _NOBODY_ELSE)
        except OSError as error:
            msg = f"audit log {self.path} cannot be written: {error.strerror}; check rights"
            raise OutputError(msg) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            # closing releases the lock
            os.close(file)

    def _refuse_faults(
        self, found: chain.LogReading, anchors: Iterable[tuple[str, chain.LogAnchor]]
    ) -> chain.LogReading:
        faults = (*found.faults, *chain.check_anchors(found.entries, anchors))
        if faults:
            raise AuditError.unsound(
                path=str(self.path), faults=[f"line {each.line} {each.text}" for each in faults]
            )
        return found


def current_account() -> str:
    """Return the name of the account of this process, as the operating system knows it.

    Unlike a login name from the environment it cannot be set by a variable; who may become
    another account, or administers the machine, can still choose it.
    """
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # containers run as numbers without a name
        return f"uid {number}"
