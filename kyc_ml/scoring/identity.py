"""What a run is: everything that its result depends on, as digests and dates.

Two runs of one identity write the same bytes. A run that was interrupted is resumed only under
the identity it began with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kyc_ml.config import parse_time
from kyc_ml.errors import ConfigError, OutputError
from kyc_ml.registry import DISTRIBUTION, digest_distributions, needed_distributions
from kyc_ml.storage import MANIFEST, digest_file, dump_json

_TIMES: Final = ("as of", "since")


def identify_code() -> dict[str, str]:
    """Return the version of kyc_ml and a digest of all distributions that it needs."""
    return {
        "code version": needed_distributions()[DISTRIBUTION],
        "distributions": digest_distributions(),
    }


def identify_file(path: Path) -> str:
    """Digest a file, or what a published folder says of itself.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    found = path / MANIFEST if path.is_dir() else path
    if not found.is_file():
        msg = f"{path} is neither a file nor the folder of a scoring run: name another"
        raise ConfigError(msg)
    return digest_file(found)


def run_id(identity: Mapping[str, str]) -> str:
    """Name a run by its identity: the same for the same, 16 hexadecimal digits."""
    return hashlib.sha256(dump_json(dict(identity)).encode()).hexdigest()[:16]


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """List what differs between two identities, one line each."""
    lines = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, "absent"), after.get(name, "absent")
        if old != new and not (name in _TIMES and _is_same_time(old, new)):
            lines.append(f"{name}: {_short(old)} then, {_short(new)} now")
    return lines


def require_same(before: Mapping[str, str], after: Mapping[str, str], *, goal: Path) -> None:
    """Check that an interrupted run, which is to be resumed, is about the same.

    Raises
    ------
    OutputError
        Naming all that changed.
    """
    differing = changes(before, after)
    if differing:
        lines = "\n".join(f"  - {line}" for line in differing)
        msg = (
            f"an interrupted run to {goal} cannot go on, because something changed: restore it, "
            f"or begin anew with --restart, which discards what the run has done\n{lines}"
        )
        raise OutputError(msg)


def _is_same_time(one: str, other: str) -> bool:
    """Compare dates as times: runs of before December 2026 note them as they were typed."""
    try:
        return parse_time(one, name="date") == parse_time(other, name="date")
    except ConfigError:  # a run without the date notes in words what it takes instead
        return False


def _short(text: str) -> str:
    """Shorten a digest."""
    return text[:12] if len(text) == 64 and not text.strip("0123456789abcdef") else text
