"""The texts of incidents in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kyc_ml.config import read_packaged

Said = tuple[str, str]
"""A sentence in English and Chinese."""


def say_effect(action: str, **facts: object) -> Said:
    """Return the effect of a step; a fact may be a pair of both languages."""
    entry: Mapping[str, str] = read_texts()["effects"][action]
    english = {name: fact[0] if isinstance(fact, tuple) else fact for name, fact in facts.items()}
    chinese = {name: fact[1] if isinstance(fact, tuple) else fact for name, fact in facts.items()}
    return entry["en"].format(**english), entry["zh"].format(**chinese)


def name_model(model: str) -> Said:
    """Return the name of a model; an empty one means all."""
    return (model, model) if model else (read_texts()["all"]["en"], read_texts()["all"]["zh"])


@cache
def read_texts() -> dict[str, Any]:
    """Read the file of texts."""
    return read_packaged(Path(__file__).with_name("texts.yaml"))
