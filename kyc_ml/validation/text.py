"""Text in English and Chinese, kept as YAML beside the code that reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kyc_ml.config.text import read_content


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages.

    Attributes
    ----------
    en, zh : str
    """

    en: str
    zh: str

    def fill(self, **values: object) -> Text:
        """Put values into the braces of both languages; a `Text` goes in by language."""
        return Text(
            *(
                pattern.format(
                    **{
                        name: getattr(value, language) if isinstance(value, Text) else value
                        for name, value in values.items()
                    }
                )
                for language, pattern in (("en", self.en), ("zh", self.zh))
            )
        )


NOTHING: Final = Text("", "")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of this package."""
    return read_content(path.read_text(encoding="utf-8"), subject=path.name, path=path)


def texts_of(content: Mapping[str, Mapping[str, str]]) -> dict[str, Text]:
    """Make a `Text` of each entry's ``en`` and ``zh``; other keys are for other readers."""
    return {name: Text(each["en"], each["zh"]) for name, each in content.items()}


def notice(key: str, **values: object) -> Text:
    """Return a sentence of ``notices.yaml``, with values in its braces."""
    return NOTICES[key].fill(**values)


NOTICES: Final = texts_of(read_yaml(Path(__file__).with_name("notices.yaml")))
"""Notes and reasons of checks, by key; braces stand for values."""


def name_value(value: str) -> Text:
    """Name a value of a table: a category, a tier, a segment, or a few of them in one phrase.

    In English it stays as it is. A value without a Chinese name, such as a name of the bank's
    own, stays too.

    Examples
    --------
    >>> name_value("high below medium_high").zh
    '高 低于 中高'
    """
    known = _VALUES
    parts = [value] if value in known else _JOINTS.split(value)
    if known.keys().isdisjoint(parts):
        return Text(value, value)
    return Text(value, "".join(_CHINESE_JOINTS.get(part, known.get(part, part)) for part in parts))


_CHINESE_JOINTS: Final = {
    " below ": " 低于 ", " to ": " → ", " against ": " 对比 ", ": ": "：", ", ": "、", " = ": " = ",
}  # fmt: skip
_JOINTS: Final = re.compile(f"({'|'.join(_CHINESE_JOINTS)})")


_VALUES: Final[dict[str, str]] = read_yaml(Path(__file__).with_name("values.yaml"))
