"""Every error that kyc_ml raises on purpose.

A message names the subject, the rule, what came instead and the cure. It has counts and column
names, never a customer's value.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import SequenceMatcher, get_close_matches
from pathlib import PurePath
from typing import Any, ClassVar, Final, Self

_PATHS_ALIKE: Final = 0.75
"""Smallest similarity of two file names (convention): one letter of four may differ."""


class KycMlError(Exception):
    """Base class of all errors raised on purpose by kyc_ml.

    The command line prints the message in one block.

    Attributes
    ----------
    exit_code : int
        2; 1 if a limit was exceeded; 4 if a service is not available; 5 if the input has not
        arrived yet.
    """

    exit_code: ClassVar[int] = 2


class ConfigError(KycMlError, ValueError):
    """A configuration file is absent, malformed or contradicts itself."""


class SourceError(KycMlError, ValueError):
    """A source mapping does not fit the user's files."""


class NotReadyError(SourceError):
    """The input has not arrived yet: late, still being copied or in use.

    The same job may succeed later without a change by anyone here. Input that only its sender
    can correct is a `SourceError`.
    """

    exit_code = 5


class ContractError(KycMlError, ValueError):
    """Too many rows of a table break the data contract."""

    quarantine: Any = None
    """The refused rows, if any, so that a job can still save them."""
    quality: Any = None
    """The counts of every table, so that a job can still show them."""


class LeakageError(KycMlError, ValueError):
    """A computation could use what happened after its decision time."""


class DatasetError(KycMlError, ValueError):
    """The labelled observations are not enough for a model."""


class BundleError(KycMlError, ValueError):
    """A bundle is missing, incomplete, changed or of another format."""


class RegistryError(KycMlError, LookupError):
    """A model, a version or an alias is not in the registry."""


class UnreachableError(RegistryError):
    """The model store does not answer now but may later."""

    exit_code = 4


class AuditError(KycMlError, ValueError):
    """The audit log was changed, truncated or exchanged: nothing is added to it."""

    @classmethod
    def absent(cls, *, path: str) -> Self:
        """Return the error for a missing log, with the ways to name another place."""
        return cls(
            f"audit log {path} does not exist: name it with --log (score, explain and nightly.py: "
            "--audit-log) or KYC_ML_AUDIT_LOG, or go to "
            "the folder where kyc-ml validate, sign-off and promote ran (the first creates it); "
            "if it is lost, restore it from the backup"
        )

    @classmethod
    def unsound(cls, *, path: str, faults: Iterable[str]) -> Self:
        """Return the error that lists every fault and what to do."""
        lines = [
            f"audit log {path} cannot be trusted:",
            *(f"  - {fault}" for fault in faults),
            "keep a copy as it is, find out who changed it, and restore it from a backup that "
            "kyc-ml audit-log verify accepts",
        ]
        return cls("\n".join(lines))


class GateError(KycMlError):
    """A result exceeds its limits and is not published."""

    exit_code = 1


class RouteError(KycMlError):
    """An alert could not be delivered; it is kept, and the next run tries again."""

    exit_code = 4


class OutputError(KycMlError, OSError):
    """A result could not be written; no incomplete file remains."""


class CapacityError(KycMlError, MemoryError):
    """Memory, or disk space for intermediate results, is too small for the work."""


def some_of(names: Sequence[str], *, most: int = 5, separator: str = ", ") -> str:
    """Join the first names, and write how many more there are.

    Examples
    --------
    >>> some_of(["a", "b", "c"], most=2), some_of(["a", "b"])
    ('a, b and 1 more', 'a, b')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return separator.join(names[:most]) + more


def hint(name: str, known: Collection[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest of `known`, or nothing.

    Examples
    --------
    >>> hint("amout", ["amount", "channel"])
    " (did you mean 'amount'?)"
    >>> hint("zzz", ["amount"])
    ''
    """
    lowered = {item.lower(): item for item in known}
    near = get_close_matches(name.lower(), lowered, n=1)
    return f" (did you mean {lowered[near[0]]!r}?)" if near else ""


def hint_path(name: str, known: Collection[str]) -> str:
    """Return `hint` for a file or folder, by the names without their endings.

    Examples
    --------
    >>> hint_path("fruad.yaml", ["fraud.yaml", "handbook.yaml"])
    " (did you mean 'fraud.yaml'?)"
    >>> hint_path("nope.yaml", ["handbook.yaml"])
    ''
    """

    def alike(one: str, other: str) -> float:
        return SequenceMatcher(a=one.lower(), b=other.lower()).ratio()

    bare = _without_ending(name)
    near = [each for each in known if alike(bare, _without_ending(each)) >= _PATHS_ALIKE]
    return f" (did you mean {max(near, key=lambda each: alike(name, each))!r}?)" if near else ""


def _without_ending(path: str) -> str:
    name = PurePath(path).name
    return name[:1] + name[1:].partition(".")[0]


def require_both_classes(
    subject: str, positives: int, rows: int, *, cure: str, fewest: int = 1
) -> None:
    """Raise unless there are enough rows of each class to train or evaluate a model.

    `subject`: what needs them: the start of the message.
    `fewest`: rows of each class that are needed.
    Raises DatasetError with both counts.
    """
    if min(positives, rows - positives) >= fewest:
        return
    each = "" if fewest == 1 else f", at least {fewest} of each"
    msg = (
        f"{subject} needs rows of both classes{each}, got {positives} positives of {rows} "
        f"rows: {cure}"
    )
    raise DatasetError(msg)


class TooFewRowsWarning(UserWarning):
    """There are too few rows for a step, which is left out; the result names it."""


class RowOrderWarning(UserWarning):
    """Rows are sorted by class and not by time; the message has what was done instead."""


class Faults:
    """Collects every fault of one subject, so that a user can fix them together.

    Examples
    --------
    >>> faults = Faults("mapping 'x'", SourceError)
    >>> faults.add("table 'cases' is not contracted")
    >>> faults.raise_if_any()
    Traceback (most recent call last):
    ...
    kyc_ml.errors.SourceError: mapping 'x': 1 fault
      - table 'cases' is not contracted
    """

    def __init__(self, subject: str, error: type[KycMlError]) -> None:
        self._subject = subject
        self._error = error
        self._found: list[str] = []
        self._passing = 0

    def add(self, fault: str, *, passing: bool = False) -> None:
        """Add a fault; one that is `passing` may disappear without a fix."""
        self._found.append(fault)
        self._passing += passing

    def extend(self, faults: Iterable[str]) -> Self:
        """Add several faults."""
        self._found.extend(faults)
        return self

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def raise_if_any(self) -> None:
        """Raise one error that lists all faults, if there are any.

        It is a `NotReadyError` if all of them are `passing`.
        """
        if not self._found:
            return
        count = len(self._found)
        error = NotReadyError if self._passing == count else self._error
        head = f"{self._subject}: {count} fault{'s' if count > 1 else ''}"
        raise error("\n".join([head, *(f"  - {fault}" for fault in self._found)]))
