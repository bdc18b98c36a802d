"""Text in English and Chinese, read from YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Final, Literal

from kyc_ml.config import read_packaged


class _Wording(Formatter):
    """Formats values; a form of two words chooses by number."""

    def format_field(self, value: object, format_spec: str) -> str:
        one, bar, many = format_spec.partition("|")
        if bar:
            return one if value in (1, "1") else many
        return str(super().format_field(value, format_spec))


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages."""

    en: str
    zh: str

    def fill(self, **values: object) -> Text:
        """Put values into the braces of both languages; a value may be a `Text` itself.

        ``{count:row|rows}`` is the first word for 1 and the second for any other value.
        """

        def filled(language: Language) -> str:
            named = {n: say(v, language) if isinstance(v, Text) else v for n, v in values.items()}
            return _Wording().vformat(say(self, language), (), named)

        return Text(filled("en"), filled("zh"))


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

    A value without a translation, such as a name that only this bank uses, is kept.

    Examples
    --------
    >>> name_value("high below medium_high")
    Text(en='High below Medium-high', zh='高 低于 中高')
    """
    if value in _VALUES:
        return _VALUES[value]
    split = _JOINTS.split(value)
    parts = [_VALUES.get(part, Text(part, _chinese(part))) for part in split]
    if any(" " in part.zh.strip() and part.zh.isascii() for part in parts):
        return Text(value, value)  # a sentence: single words of it would mix the languages
    return Text(*("".join(getattr(part, which) for part in parts) for which in ("en", "zh")))


def _chinese(part: str) -> str:
    for pattern, written in _NUMBERS:
        part = pattern.sub(written, part)
    return _CHINESE_JOINTS.get(part, part)


_CHINESE_JOINTS: Final = {
    " below ": " 低于 ", " to ": " → ", " against ": " 对比 ", ": ": "：", ", ": "、", " = ": " = ",
}  # fmt: skip
_NUMBERS: Final = (
    (re.compile(r"([\d.]+) or more"), r"\1 及以上"),
    (re.compile(r"^below ([\d.]+)"), r"低于 \1"),
    (re.compile(r"^([\d.]+) to ([\d.]+)"), r"\1 至 \2"),
)
_JOINTS: Final = re.compile(
    # ' to ' between numbers belongs to a range
    f"({'|'.join(joint.replace(' to ', '(?<![0-9]) to ') for joint in _CHINESE_JOINTS)})"
)


def _name(value: str, names: str | Mapping[str, str]) -> Text:
    if isinstance(names, str):
        return Text(value.replace("_", " "), names)
    return Text(names["en"], names["zh"])


_VALUES: Final = {
    value: _name(value, names)
    for value, names in read_packaged(Path(__file__).with_name("values.yaml")).items()
}
