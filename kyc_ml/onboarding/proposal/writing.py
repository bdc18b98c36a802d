"""A proposal as YAML that a person can read, correct and keep."""

import json
import re
import textwrap
from typing import Final

from kyc_ml.contract import CONTRACT
from kyc_ml.display import template_environment
from kyc_ml.onboarding.proposal.guesses import MappingProposal

_WIDTH: Final = 96
_FILE_KEYS: Final = (
    *("encoding", "delimiter", "quote", "escape", "skip"),
    *("header", "columns", "nulls", "partitions"),
)
_OF_SNAPSHOT: Final = ("case_id", "review_id", "event_time", "known_at")
"""Columns that the day of a snapshot fills."""
_YAML_WORDS: Final = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n", "~"})
_SAID: Final = {
    "sure": "",
    "likely": "likely; ",
    "guess": "GUESS; ",
    "yours": "TODO, yours to decide; ",
}


def write_source(proposal: MappingProposal) -> str:
    """Write a source mapping, with the evidence of each guess above it."""
    environment = template_environment().overlay(autoescape=False)
    environment.filters |= {
        "comment": _comment, "entry": _entry, "plain": _plain, "scalar": _scalar,
    }  # fmt: skip
    text = environment.get_template("source.yaml.j2").render(
        proposal=proposal,
        contract=CONTRACT,
        said=_SAID,
        given=_OF_SNAPSHOT if proposal.snapshot is not None else (),
        own_keys=lambda source: {
            key: value
            for key in _FILE_KEYS
            if (value := getattr(source, key)) != type(source).model_fields[key].default
        },
    )
    return text.rstrip() + "\n"


def _comment(text: str, indent: int = 0, first: str = "# ", rest: str = "# ") -> str:
    """Write text as comment lines; what YAML cannot hold becomes a question mark."""
    plain = "".join(mark if mark.isprintable() else "?" for mark in " ".join(text.split()))
    space = " " * indent
    return textwrap.fill(
        plain,
        _WIDTH,
        initial_indent=space + first,
        subsequent_indent=space + rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _entry(value: str, key: str, indent: int) -> str:
    """Write a key with SQL: plain where YAML reads it so, else as a block."""
    space = " " * indent
    if _is_plain(value) and len(value) < _WIDTH - indent - len(key):
        return f"{space}{key}: {value}"
    lines = (f"\n{space}  {line.strip()}" for line in value.splitlines())
    return f"{space}{key}: >-{''.join(lines)}"


def _is_plain(value: str) -> bool:
    safe = re.fullmatch(r"[^\W\d][\w.()+*/ ]*", value) is not None
    return safe and value.lower() not in _YAML_WORDS and value == value.strip()


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(json.dumps(each, ensure_ascii=False) for each in value)}]"
    if isinstance(value, int) or (isinstance(value, str) and _is_plain(value)):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _scalar(value: str) -> str:
    return value if _is_plain(value) else "'" + value.replace("'", "''") + "'"
