"""The glossary in English and Chinese, read from the YAML beside this file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kyc_ml.config import read_packaged

_PATH: Final = Path(__file__).with_name("glossary.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class GlossaryEntry:
    """A term and its explanation in both languages; `on_page` if a training's page needs it."""

    term: str
    term_zh: str
    text: str
    text_zh: str
    on_page: bool


GLOSSARY: Final = tuple(
    GlossaryEntry(
        term=each["term"]["en"],
        term_zh=each["term"]["zh"],
        text=each["text"]["en"],
        text_zh=each["text"]["zh"],
        on_page=each.get("on_page", False),
    )
    for each in read_packaged(_PATH)["explained"].values()
)
"""Entries in the order of the English alphabet."""
