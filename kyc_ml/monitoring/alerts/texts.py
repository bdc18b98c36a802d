"""The texts of alerts in both languages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kyc_ml.config import read_packaged
from kyc_ml.validation import texts_of

_TEXTS: Final[dict[str, Any]] = read_packaged(Path(__file__).with_name("texts.yaml"))
WATCHDOG_TEXTS: Final = texts_of(_TEXTS["watchdog"])


def say_subject(message: Mapping[str, Any], *, languages: Sequence[str]) -> str:
    """Return the subject of an e-mail, in one line."""
    about = " ".join(filter(None, (message["model"], message["subject"])))
    return " / ".join(
        " ".join(
            _TEXTS["subject"][language]
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
        none, incident = _TEXTS["none"][language], message.get("incident")
        follow = _TEXTS["next"]["incident" if incident else "alert"][language]
        facts = {
            **message,
            **_named(message, language),
            "text": message[f"text{own}"],
            "guarantee": message[f"guarantee{own}"],
            "model": message["model"] or none,
            "incident": _TEXTS["incident"][language].format(incident=incident or none),
            "next": follow.format(**message),
        }
        bodies.append(_TEXTS["body"][language].format(**facts))
    return "\n\n".join(bodies) + "\n"


def _named(message: Mapping[str, Any], language: str) -> dict[str, str]:
    return {name: _TEXTS[name][message[name]][language] for name in ("severity", "what")}
