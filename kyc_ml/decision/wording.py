"""Text of tiers, reasons and case sheets in English and Chinese, kept in ``wording.yaml``."""

from pathlib import Path
from typing import Final, Literal

from kyc_ml.config import read_packaged

Language = Literal["en", "zh"]
Pair = tuple[str, str]
"""A text in English and in Chinese."""

WORDING: Final[dict[str, dict[str, dict[Language, str]]]] = read_packaged(
    Path(__file__).with_name("wording.yaml")
)
"""Text by group, key and language."""


def write_text(group: str, key: str, language: Language, /, **values: object) -> str:
    """Return one text in one language, with values in its braces."""
    return WORDING[group][key][language].format(**values)


def write_both(group: str, key: str, /, **values: object) -> Pair:
    """Return one text in both languages; a value that is a `Pair` is used by language."""
    texts = WORDING[group][key]
    chinese = dict(values)
    for name, value in values.items():
        if isinstance(value, tuple):
            values[name], chinese[name] = value
    return texts["en"].format_map(values), texts["zh"].format_map(chinese)


def join_both(first: Pair, second: Pair) -> Pair:
    """Join two texts, each language by itself."""
    return first[0] + second[0], first[1] + second[1]


def name_value(group: str, value: str, language: Language, *, otherwise: str | None = None) -> str:
    """Return the name of a value, such as a feature family; else `otherwise`, or the value."""
    return WORDING[group].get(value, {}).get(language, value if otherwise is None else otherwise)


def name_both(group: str, value: str, otherwise: str | None = None) -> Pair:
    """Return the name of a value in both languages, as `name_value`."""
    english = name_value(group, value, "en", otherwise=otherwise)
    return english, name_value(group, value, "zh", otherwise=otherwise)


def say_entered(text: str, language: Language) -> str:
    """Return a text that people entered in a policy, in the language of a page.

    Parts between semicolons that the shipped policies have are translated; a text in the other
    language is kept as it was entered, with a mark of its language.

    Examples
    --------
    >>> say_entered("银发〔2013〕2号", "en"), say_entered("screening", "en")
    ('银发〔2013〕2号 (entered in Chinese)', 'screening')
    """
    named = [name_value("entered", part, language, otherwise="") for part in text.split("; ")]
    if all(named):
        return write_text("sheet", "semicolon", language).join(named)
    chinese = any("\u4e00" <= sign <= "\u9fff" for sign in text)
    if chinese == (language == "zh"):
        return text
    return write_text("sheet", "entered_zh" if chinese else "entered_en", language, text=text)


def name_grade(name: str) -> str:
    """Write the English name of a tier or grade for people.

    Examples
    --------
    >>> name_grade("medium_high")
    'Medium-high'
    """
    return name.replace("_", "-").capitalize()
