"""What monitoring reports: one signal for one finding about one subject on one night."""

import math
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any


class Severity(IntEnum):
    """How urgent a signal is; the order is the order of urgency."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One finding."""

    code: str
    """Kind of finding, such as 'level.tier' or 'drift.feature'; alert rules name it."""
    model: str
    """Name of the model; empty for a finding about tables or jobs."""
    day: str
    """Night that raised it, an ISO date in the time zone of the source."""
    subject: str = ""
    """What it is about: a tier, a feature, a table; empty for the whole."""
    severity: Severity
    value: float
    limit: float
    """`value` and `limit`: what was found, and the value at which it became a finding; NaN where
    none applies."""
    text: str
    text_zh: str
    """`text` and `text_zh`: one whole sentence with the figures."""
    guarantee: str = ""
    guarantee_zh: str = ""
    """`guarantee` and `guarantee_zh`: what is known of false alarms of this signal and on what
    assumption; empty for a plain rule."""
    cause: str = ""
    """Signals with one cause raise one alert: by default code, model and subject."""

    @property
    def key(self) -> str:
        """Identifier under which alerts of the same cause are one."""
        return self.cause or "|".join((self.code, self.model, self.subject))

    def to_plain(self) -> dict[str, Any]:
        """Return the signal as values of JSON, which has no NaN: None instead."""
        found = {**asdict(self), "severity": self.severity.name.lower(), "key": self.key}
        unknown = {name for name in ("value", "limit") if not math.isfinite(found[name])}
        return found | dict.fromkeys(unknown)
