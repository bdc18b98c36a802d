"""Text in English and Chinese, read from YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from kyc_ml.config import read_packaged


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages."""

    en: str
    zh: str

    def fill(self, **values: object) -> Text:
        """Put values into the braces of both languages; a value may be a `Text` itself."""
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

Language = Literal["en", "zh"]


def say(text: Text, language: Language) -> str:
    """Return a text in one language."""
    return text.zh if language == "zh" else text.en


def texts_of(content: Mapping[str, Mapping[str, str]]) -> dict[str, Text]:
    """Return a `Text` of ``en`` and ``zh`` for each entry; other keys are ignored."""
    return {name: Text(each["en"], each["zh"]) for name, each in content.items()}


def notice(key: str, **values: object) -> Text:
    """Return a sentence of ``notices.yaml``, with values in its braces."""
    return NOTICES[key].fill(**values)


NOTICES: Final = texts_of(read_packaged(Path(__file__).with_name("notices.yaml")))
"""Notes and reasons of checks, by key; braces are placeholders for values."""


def name_value(value: str) -> Text:
    """Translate a value of a table: a category, tier or segment, or a phrase of several.

    English keeps the value. Chinese keeps a value without a translation, such as a name that
    only this bank uses.

    Examples
    --------
    >>> name_value("high below medium_high").zh
    '高 低于 中高'
    """
    if value in _VALUES:
        return Text(value, _VALUES[value])
    parts = [_chinese(part) for part in _JOINTS.split(value)]
    if any(" " in part.strip() and part.isascii() for part in parts):
        return Text(
            value, value
        )  # a sentence: translating single words of it would mix the languages
    return Text(value, "".join(parts))


def _chinese(part: str) -> str:
    for pattern, written in _NUMBERS:
        part = pattern.sub(written, part)
    return _CHINESE_JOINTS.get(part) or _VALUES.get(part, part)


_CHINESE_JOINTS: Final = {
    " below ": " 低于 ", " to ": " → ", " against ": " 对比 ", ": ": "：", ", ": "、", " = ": " = ",
}  # fmt: skip
_NUMBERS: Final = (
    (re.compile(r"([\d.]+) or more"), r"\1 及以上"),
    (re.compile(r"^below ([\d.]+)"), r"低于 \1"),
)
_JOINTS: Final = re.compile(f"({'|'.join(_CHINESE_JOINTS)})")


_VALUES: Final[dict[str, str]] = read_packaged(Path(__file__).with_name("values.yaml"))
