"""Checkpoints of a run on disk, from which the next start resumes.

A step is one or more files and the facts about them. Its checkpoint is written after its files
are complete, with their digests; a checkpoint whose files differ does not count.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kyc_ml.errors import OutputError
from kyc_ml.storage.run_directory import NOTES
from kyc_ml.storage.writing import dump_json, load_json, write_whole

_IDENTITY: Final = "identity.json"


class Checkpoints:
    """The checkpoints of a work folder.

    Parameters
    ----------
    work : Path
        The folder; the files of all steps are below it.
    """

    def __init__(self, work: Path) -> None:
        self._work = work
        self._notes = work / NOTES

    def identity(self) -> dict[str, str] | None:
        """Read the identity of the run in this folder; None if none has begun, or it is damaged."""
        return _read(self._notes / _IDENTITY)

    def begin(self, identity: Mapping[str, str]) -> None:
        """Write the identity of the run, before anything that depends on it."""
        _write(self._notes / _IDENTITY, dict(identity))

    def done(self, name: str) -> dict[str, Any] | None:
        """Return the facts of a step; None if it is not done, or its files differ."""
        note = _read(self._notes / f"{name}.json")
        if note is None:
            return None
        whole = all(
            (self._work / file).is_file() and digest_file(self._work / file) == digest
            for file, digest in note["files"].items()
        )
        facts: dict[str, Any] | None = note["facts"] if whole else None
        return facts

    def note(self, name: str, files: Sequence[Path], facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the checkpoint of a step.

        The facts as `done` returns them, in the same order: what follows must not depend on whether
        the run was interrupted.
        Raises OutputError if the checkpoint cannot be written.
        """
        digests = {str(path.relative_to(self._work)): digest_file(path) for path in files}
        # the files are complete before the checkpoint that names them is written
        text = _write(self._notes / f"{name}.json", {"files": digests, "facts": dict(facts)})
        # read back from the text: a resumed run then sees equal facts (a tuple has become a list)
        noted: dict[str, Any] = json.loads(text)["facts"]
        return noted


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file; OutputError if it cannot be read."""
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}; correct its permissions, then start again"
        raise OutputError(msg) from None


def _write(path: Path, content: object) -> str:
    text = dump_json(content)
    write_whole(path, text.encode())
    return text


def _read(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint; None for a damaged one, so that its step is done again."""
    try:
        found = load_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}; correct its permissions, then start again"
        raise OutputError(msg) from None
    return found if isinstance(found, dict) else None
