"""Compare names of people, so that one person is not taken for two.

Names are claims, and a false one is not found. What is found is one person whose name is
written in several ways.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_LOOK_ALIKES: Final = str.maketrans(
    "АВЕКМНОРСТУХІЈЅавекмнорстухіјѕһӏԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧανορτυχικ01ıØøŁłĐđ",
    "ABEKMHOPCTYXIJSabekmhopctyxijshldqwABEZHIKMNOPTYXavoptuxikoliOoLlDd",
)
"""Cyrillic and Greek letters, and digits, that are read as Latin letters, and Latin letters with
a stroke, which Unicode does not count as an accent."""


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

    Case, accents, blanks, separators, the order of words, the part of an address after @, the
    domain of an account before a backslash, invisible characters and letters of other scripts
    that look alike make no difference.

    Examples
    --------
    >>> is_among(" Lin.Hua", ["lin hua"]), is_among("lin.hua@bank.example", ["Hua, Lin"])
    (True, True)
    >>> is_among("Lin", ["lin hua"]), is_among("", [""])
    (False, False)
    """
    plain = _plain(name)
    return any(plain & _plain(other) for other in others)


def _plain(name: str) -> frozenset[str]:
    """Return a name as its different words in order of the alphabet, and in one word."""
    known = unicodedata.normalize("NFKC", name).partition("@")[0].rpartition("\\")[2]
    person = known.translate(_LOOK_ALIKES)
    apart = unicodedata.normalize("NFKD", person.casefold())
    shown = "".join(
        each for each in apart if unicodedata.category(each) not in {"Mn", "Cf", "Cc", "Me"}
    )
    words = re.findall(r"[^\W_]+", shown)
    return frozenset({" ".join(sorted({*words})), "".join(words)} if words else ())
