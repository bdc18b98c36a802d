"""Hash-chained entries: each carries the SHA-256 of the one before.

A line is the canonical JSON of an entry, keys sorted and without spaces, so that an entry
has one spelling only and any changed byte is found. An entry's hash covers all of it but
the hash itself, and so the hash of the entry before and, through it, all entries before.

What a chain alone cannot see is that its end was cut off: that needs an `LogAnchor` kept
elsewhere. Nor can it see a chain that was rewritten from the first changed entry by
someone who can also change every place where anchors are kept.

Source: Haber and Stornetta 1991, "How to time-stamp a digital document", linking scheme.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

Kind = Literal[
    "verdict", "sign_off", "promotion", "refusal", "rollback", "withdrawal", "policy_approval",
    "unpromoted_use", "incident",
]  # fmt: skip
"""What an entry records."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
GENESIS: Final = hashlib.sha256(b"kyc_ml audit log, format 1").hexdigest()
"""What the first entry carries in place of the hash of an entry before."""

_FIELDS: Final = (
    "account", "actor", "facts", "hash", "kind", "model", "previous", "sequence", "time", "version",
)  # fmt: skip
_ANCHOR: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the log."""

    sequence: int
    """Place in the log, from 1."""
    time: str
    """When it was written, ISO, UTC, by the clock of the machine that wrote it."""
    kind: Kind
    actor: str
    """Who is answerable, as named on the command line: a claim, not a proof of identity."""
    account: str
    """Account of the operating system that wrote it."""
    model: str
    version: str
    """`model` and `version`: name in the registry, and number; the number is '' for a bundle's
    folder."""
    facts: Mapping[str, Any]
    """What the kind of entry is about: plain values, never a customer's."""
    previous: str
    hash: str = ""
    """`previous` and `hash`: SHA-256 of the entry before, and of this one."""

    def sealed(self) -> Self:
        """Return the same entry with its hash."""
        return type(self)(**{**self.to_dict(), "hash": self.compute_hash()})

    def compute_hash(self) -> str:
        """SHA-256 of the canonical form of all but the hash."""
        content = {name: value for name, value in self.to_dict().items() if name != "hash"}
        return hashlib.sha256(_canonical(content)).hexdigest()

    def line(self) -> bytes:
        """Return the line of the entry in the log, without the line feed."""
        return _canonical(self.to_dict())

    @property
    def anchor(self) -> LogAnchor:
        """Return what to keep elsewhere to prove that this entry existed."""
        return LogAnchor(count=self.sequence, head=self.hash)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {name: getattr(self, name) for name in _FIELDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAnchor:
    """The length of a log and the hash of its last entry, at one moment.

    Examples
    --------
    >>> LogAnchor.parse(f"3:{'0' * 64}").count
    3
    >>> LogAnchor.parse("3") is None
    True
    """

    count: int
    head: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what `str` gives; None if the text is not an anchor."""
        found = _ANCHOR.fullmatch(text.strip())
        return None if found is None else cls(count=int(found[1]), head=found[2])

    def __str__(self) -> str:
        """Write ``COUNT:HASH``."""
        return f"{self.count}:{self.head}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong with a log."""

    line: int
    """From 1; the first line that is wrong."""
    what: str
    """'half_written', 'unreadable', 'edited', 'moved', 'unlinked', 'truncated' or 'rewritten'."""
    text: str
    """The same in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReading:
    """The content of a log."""

    entries: tuple[Entry, ...]
    """Those that can be read, wrong ones included."""
    faults: tuple[Fault, ...]
    """In the order of lines; empty for a chain that holds."""
    whole: int
    """Bytes up to the end of the last whole line."""

    @property
    def head(self) -> str:
        """Hash that the next entry carries as that of the one before."""
        return self.entries[-1].hash if self.entries else GENESIS


def read_chain(content: bytes) -> LogReading:
    """Read a log and check its chain; `check_anchors` then finds a cut or rewritten end."""
    lines = content.split(b"\n")
    # after the last line feed nothing follows unless a write was cut short
    rest = lines.pop()
    entries: list[Entry] = []
    faults: list[Fault] = []
    before = GENESIS
    for place, line in enumerate(lines, start=1):
        entry = _read_line(line)
        if entry is None:
            faults.append(Fault(line=place, what="unreadable", text=_UNREADABLE))
            # the hash of an unreadable line is unknown: the link of the next entry is not checked
            before = ""
            continue
        faults += _faults_of(entry, line, place=place, before=before)
        entries.append(entry)
        before = entry.hash
    if rest:
        faults.append(_half_written(len(lines) + 1, whole=len(content) - len(rest), rest=len(rest)))
    return LogReading(entries=tuple(entries), faults=tuple(faults), whole=len(content) - len(rest))


def check_anchors(
    entries: Sequence[Entry], anchors: Iterable[tuple[str, LogAnchor]]
) -> tuple[Fault, ...]:
    """Compare a log with anchors that are kept elsewhere.

    A log may have grown since; the entry of an anchor must still be in its place.

    `anchors`: iterable of (where it is kept, Anchor).
    """
    faults = []
    for where, anchor in anchors:
        if len(entries) < anchor.count:
            what, text = "truncated", (
                f"{where} records {anchor.count} entries, the log has {len(entries)}: its end "
                "was cut off, or it is another log"
            )  # fmt: skip
        elif entries[anchor.count - 1].hash != anchor.head:
            what, text = "rewritten", (
                f"{where} records another entry {anchor.count} ({anchor.head[:12]}) than the "
                f"log holds ({entries[anchor.count - 1].hash[:12]}): the log was rewritten, "
                "or it is another log"
            )  # fmt: skip
        else:
            continue
        faults.append(Fault(line=min(anchor.count, len(entries) + 1), what=what, text=text))
    return tuple(faults)


_UNREADABLE: Final = "is not an entry: it was edited, or added by something other than kyc-ml"


def _read_line(line: bytes) -> Entry | None:
    try:
        content = json.loads(line.decode())
        _canonical(content)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or a number that JSON has not
        return None
    return Entry(**content) if _is_entry(content) else None


def _is_entry(content: object) -> bool:
    if not isinstance(content, dict) or sorted(content) != list(_FIELDS):
        return False
    # not `isinstance`, which takes True for a number
    numbered = type(content["sequence"]) is int
    texts = all(
        isinstance(content[name], str) for name in _FIELDS if name not in ("facts", "sequence")
    )
    return numbered and texts and isinstance(content["facts"], dict) and content["kind"] in KINDS


def _faults_of(entry: Entry, line: bytes, *, place: int, before: str) -> list[Fault]:
    faults = []
    if entry.compute_hash() != entry.hash or entry.line() != line:
        text = "does not have the hash it carries: it was edited"
        faults.append(Fault(line=place, what="edited", text=text))
    if entry.sequence != place:
        text = f"says it is entry {entry.sequence}: entries were put in, taken out or reordered"
        faults.append(Fault(line=place, what="moved", text=text))
    if entry.previous != before and before:
        text = (
            "does not carry the hash of the entry before: one of the two was edited, or entries "
            "were put in, taken out or reordered between them"
        )
        faults.append(Fault(line=place, what="unlinked", text=text))
    return faults


def _half_written(place: int, *, whole: int, rest: int) -> Fault:
    text = (
        f"ends in the middle of an entry ({rest} bytes after byte {whole}): a write was cut "
        "short, or the end was cut off. All before is as said above: keep a copy of the file, "
        f"then cut it to {whole} bytes and do again what was being done"
    )
    return Fault(line=place, what="half_written", text=text)


def _canonical(content: object) -> bytes:
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    # half a pair of surrogates is not valid text, but an edited line may hold one
    return text.encode(errors="surrogatepass")
