"""Pieces of the sentences that define features: numbers, lists, words and calls."""

import re
from collections.abc import Iterable
from typing import Any, Final, get_args

from kyc_ml.errors import ConfigError, hint

CALL: Final = re.compile(r"(?P<operation>\w+)\((?P<inputs>[\w, ]*)(?:; (?P<extra>[^;()]+))?\)")
"""A call such as ``ratio(a, b; 0.5)``."""


def number(text: str) -> float:
    """Return the number that a text holds, such as ``0.9*50000.0`` or ``1/24``.

    Products and quotients are taken from left to right, as Python takes them.
    """
    first, *rest = re.split(r"([*/])", text)
    value = float(first)
    for sign, each in zip(rest[::2], rest[1::2], strict=True):
        value = value * float(each) if sign == "*" else value / float(each)
    return value


def write_number(value: float) -> str:
    """Write a number so that reading it returns the same one."""
    # the short form only where it is the same number
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def listed(text: str | None) -> tuple[str, ...]:
    """Split names at commas; none without a text."""
    return tuple(text.split(", ")) if text else ()


def one_of(word: str, kind: Any) -> Any:  # noqa: ANN401  a member of a Literal
    """Return a word that must be a member of a Literal.

    Raises ConfigError if it is not; the nearest member is suggested.
    """
    known = get_args(kind)
    if word not in known:
        raise ConfigError(f"{word!r} is not one of {', '.join(known)}{hint(word, known)}")
    return word


def write_call(operation: str, inputs: Iterable[str], extra: str) -> str:
    """Write a call that `CALL` matches."""
    return f"{operation}({', '.join(inputs)}{f'; {extra}' if extra else ''})"
