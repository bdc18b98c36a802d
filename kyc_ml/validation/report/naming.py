"""Name the values of a report for readers: tiers, segments, categories, and features."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kyc_ml.validation.result import Report
from kyc_ml.validation.text import Language, Text, name_value, say

_CODE: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """The language of a page, and the descriptions of the model's features.

    Attributes
    ----------
    features : mapping of feature to its description in English and Chinese
        Empty for a report of an older version, whose page shows the names of the columns.
    """

    language: Language
    features: Mapping[str, tuple[str, str]] = field(default_factory=dict)

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
        """
        return self._described(self.say(name_value(value)).replace("<=", "≤"))

    def text(self, text: Text) -> str:
        """Return a text in the language of the page, with descriptions instead of features."""
        return self._described(self.say(text))

    def say(self, text: Text) -> str:
        """Return a text in the language of the page, as it is."""
        return say(text, self.language)

    def _described(self, text: str) -> str:
        which = 1 if self.language == "zh" else 0
        return _CODE.sub(
            lambda code: self.features[code[0]][which] if code[0] in self.features else code[0],
            text,
        )
