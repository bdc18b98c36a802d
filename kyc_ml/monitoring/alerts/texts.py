"""The texts of alerts in both languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from kyc_ml.config import read_packaged

LANGUAGES: Final = ("en", "zh")


def say(*keys: str, **facts: object) -> tuple[str, str]:
    """Return a text of `texts.yaml` in English and Chinese, with its facts put in."""
    entry: Any = _texts()
    for key in keys:
        entry = entry[key]
    return entry["en"].format(**facts), entry["zh"].format(**facts)


def say_subject(message: Mapping[str, Any], *, languages: Sequence[str]) -> str:
    """Return the subject of an e-mail, in one line."""
    about = " ".join(filter(None, (message["model"], message["subject"])))
    return " / ".join(
        " ".join(
            _texts()["subject"][language]
            .format(**_named(message, language), code=message["code"], about=about)
            .split()
        )
        for language in languages
    )


def say_body(message: Mapping[str, Any], *, languages: Sequence[str]) -> str:
    """Return the text of an e-mail, one language after the other."""
    bodies = []
    for language in languages:
        own = "_zh" if language == "zh" else ""
        none, incident = _texts()["none"][language], message.get("incident")
        follow = _texts()["next"]["incident" if incident else "alert"][language]
        facts = {
            **message,
            **_named(message, language),
            "text": message[f"text{own}"],
            "guarantee": message[f"guarantee{own}"],
            "model": message["model"] or none,
            "incident": _texts()["incident"][language].format(incident=incident or none),
            "next": follow.format(**message),
        }
        bodies.append(_texts()["body"][language].format(**facts))
    return "\n\n".join(bodies) + "\n"


def _named(message: Mapping[str, Any], language: str) -> dict[str, str]:
    return {name: _texts()[name][message[name]][language] for name in ("severity", "what")}


@cache
def _texts() -> dict[str, Any]:
    return read_packaged(Path(__file__).with_name("texts.yaml"))
