"""Name the values of a report for readers: tiers, segments, categories, and features."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kyc_ml.validation.result import Report
from kyc_ml.validation.text import Language, Text, name_value, say

_BIN: Final = re.compile(r"^\((?P<low>-?[\w.+-]+), (?P<high>-?[\w.+-]+)\]$")
_CODE: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """The language of a page, and the descriptions of the model's features."""

    language: Language
    features: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Mapping of feature to its description in English and Chinese; empty for a report of an older
    version, whose page shows the names of the columns."""

    @classmethod
    def of(cls, report: Report, language: Language) -> Naming:
        """Return the naming of a report."""
        return cls(language=language, features=report.features)

    def value(self, value: str) -> str:
        """Name a value of a table: a category or a tier, a feature, or a phrase of several.

        Examples
        --------
        >>> naming = Naming(language="en", features={"amount_sum_7d": ("amount of 7 days", "")})
        >>> naming.value("1.5 <= amount_sum_7d"), naming.value("segment = medium_high")
        ('1.5 ≤ amount of 7 days', 'segment = Medium-high')
        >>> naming.value("(-inf, -5.3312]"), naming.value("(-5.3312, 0.5]")
        ('≤ −5.331', '−5.331 … 0.5')
        """
        return self._described(self.say(name_value(_BIN.sub(_between, value))))

    def text(self, text: Text) -> str:
        """Return a text in the language of the page, with descriptions instead of features."""
        return self._described(self.say(text))

    def say(self, text: Text) -> str:
        """Return a text in the language of the page, as it is."""
        return say(text, self.language)

    def _described(self, text: str) -> str:
        which = 1 if self.language == "zh" else 0
        found = _CODE.sub(
            lambda code: self.features[code[0]][which] if code[0] in self.features else code[0],
            text.replace("<=", "≤"),
        )
        if which and found != text:  # the bounds of a region
            found = found.replace(" and ", " 且 ").replace(" or missing", " 或缺失")
        return found


def _between(found: re.Match[str]) -> str:
    """Write the bin of a score, which pandas names with brackets."""
    low, high = (float(found[end]) for end in ("low", "high"))
    written = [f"{end:.4g}".replace("-", "−") for end in (low, high)]
    if math.isinf(low):
        return f"≤ {written[1]}"
    return f"> {written[0]}" if math.isinf(high) else f"{written[0]} … {written[1]}"
