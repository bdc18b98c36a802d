"""The declared patterns: names, rules and sentences, read from ``patterns.yaml``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kyc_ml.config import read_packaged
from kyc_ml.decision.wording import Language
from kyc_ml.features import DAY_US

DECLARED: Final[dict[str, Any]] = read_packaged(Path(__file__).with_name("patterns.yaml"))
"""The content of ``patterns.yaml``."""

WINDOW_US: Final[int] = DECLARED["window_days"] * DAY_US
LOOKBACK_US: Final[int] = DECLARED["lookback_days"] * DAY_US
NEW_US: Final[int] = DECLARED["new_days"] * DAY_US
HISTORY_US: Final[int] = DECLARED["history_days"] * DAY_US


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternRule:
    """One pattern of ``patterns.yaml``; a number that its rule does not give is 0."""

    name: dict[Language, str]
    text: dict[Language, str]
    """`name` and `text`: dict of language to text; the braces of the text stand for values."""
    source: str
    """Where the rule comes from."""
    rule: dict[str, float]
    """dict of name to number."""

    def __getitem__(self, name: str) -> float:
        return self.rule.get(name, 0.0)

    def days(self, name: str) -> int:
        """Return a number of days as microseconds."""
        return round(self[f"{name}_days"] * DAY_US)


PATTERNS: Final = {code: PatternRule(**each) for code, each in DECLARED["patterns"].items()}
"""Every pattern by its code, in the order of the file."""

EARLIEST_US: Final[int] = WINDOW_US + PATTERNS["cycle"].days("span")
"""How long before a decision the payments of its cycles may have begun to matter: a shorter cycle
that began before the window keeps a longer one from being found, whoever else is asked about."""
