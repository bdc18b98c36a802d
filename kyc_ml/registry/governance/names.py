"""Compare names of people, so that one person is not taken for two.

Names are claims, and a false one is not found. What is found is one person whose name is
written in several ways.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_LOOK_ALIKES: Final = str.maketrans(
    "АВЕКМНОРСТУХІЈЅавекмнорстухіјѕһӏԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧανορτυχικ01ı",
    "ABEKMHOPCTYXIJSabekmhopctyxijshldqwABEZHIKMNOPTYXavoptuxikoli",
)
"""Cyrillic and Greek letters, and digits, that are read as Latin letters."""


def is_named(name: str) -> bool:
    """Return whether a text has a name in it: blanks and invisible characters do not.

    Examples
    --------
    >>> is_named("\u200b ."), is_named("李华")
    (False, True)
    """
    return bool(_plain(name))


def is_among(name: str, others: Iterable[str]) -> bool:
    """Return whether a name is one of several, however it is written.

    Case, accents, blanks, separators, the order of words, the part of an address after @,
    invisible characters and letters of other scripts that look alike make no difference.

    Examples
    --------
    >>> is_among(" Lin.Hua", ["lin hua"]), is_among("lin.hua@bank.example", ["Hua, Lin"])
    (True, True)
    >>> is_among("Lin", ["lin hua"]), is_among("", [""])
    (False, False)
    """
    plain = _plain(name)
    return bool(plain) and plain in map(_plain, others)


def _plain(name: str) -> tuple[str, ...]:
    """Return the words of a name in one form, sorted."""
    person = unicodedata.normalize("NFKC", name).partition("@")[0].translate(_LOOK_ALIKES)
    apart = unicodedata.normalize("NFKD", person.casefold())
    shown = "".join(
        each for each in apart if unicodedata.category(each) not in {"Mn", "Cf", "Cc", "Me"}
    )
    return tuple(sorted(re.findall(r"[^\W_]+", shown)))
