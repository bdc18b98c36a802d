"""Findings about nights, tables and drift, on their way to signals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kyc_ml.config import read_packaged
from kyc_ml.monitoring.signals import Severity, Signal
from kyc_ml.validation import Text, texts_of

_CONTENT: Final[dict[str, Any]] = read_packaged(Path(__file__).with_name("nights.yaml"))
TEXTS: Final = texts_of(_CONTENT["texts"])
NAMES: Final = texts_of(_CONTENT["names"])
OF_LIMITS: Final[Mapping[str, str]] = _CONTENT["limits"]
GUARANTEE: Final = Text(**_CONTENT["guarantee"]).fill(measured=_CONTENT["measured"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding, with what decides its cause; see `Signal`."""

    code: str
    model: str
    day: str
    since: str
    """First night that it is about, an ISO date."""
    subject: str = ""
    value: float = float("nan")
    limit: float = float("nan")
    words: Mapping[str, Any] = field(default_factory=dict)
    """Further values of the sentence; ``line`` is what a limit of the job says instead."""
    family: str = ""
    """Family of figures that raised it; empty for a plain rule."""
    features: tuple[str, ...] = ()
    """Subjects that changed, the strangest first."""
    cause: str = ""

    @property
    def table(self) -> str:
        """Name of the table that the subject is or is a column of."""
        return self.subject.partition(".")[0]

    @property
    def key(self) -> str:
        """As `Signal.key`."""
        return self.signal().key

    def signal(self) -> Signal:
        """Return the finding as a signal, in words."""
        given = {"model": self.model, "subject": self.subject, "since": self.since, **self.words}
        text = TEXTS["by_limit" if "line" in given else self.code].fill(
            name=NAMES.get(self.code, Text("", "")), **given
        )
        guarantee = GUARANTEE if self.family else Text("", "")
        return Signal(
            code=self.code,
            model=self.model,
            day=self.day,
            subject=self.subject,
            severity=severity_of(self.code),
            value=self.value,
            limit=self.limit,
            text=text.en,
            text_zh=text.zh,
            guarantee=guarantee.en,
            guarantee_zh=guarantee.zh,
            cause=self.cause,
        )


def severity_of(code: str) -> Severity:
    """Return how urgent signals of a code are."""
    levels = _CONTENT["severity"]
    found = (name for name, codes in levels.items() if code in codes)
    return Severity[next(found, "warning").upper()]
