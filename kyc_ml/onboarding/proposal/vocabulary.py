"""Banks' names of columns, files and codes: English, Chinese and pinyin.

The words are data: ``roles.yaml`` (names of columns and files), ``words.yaml`` (codes, units,
currencies, countries), ``time_forms.yaml`` and ``sentences.yaml`` (texts of a proposal). A name is
only evidence: the values must agree with it.
"""

import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from kyc_ml.config import read_packaged
from kyc_ml.contract import CONTRACT

# Roles that are not contracted columns, but help to make one.
PAYER: Final = "payer"
PAYEE: Final = "payee"
DEBIT: Final = "debit_amount"
CREDIT: Final = "credit_amount"
CURRENCY: Final = "currency"
CLOCK: Final = "clock"
LABEL: Final = "label"
LABEL_TIME: Final = "label_time"
DURATION: Final = "duration"
CONFIRMED: Final = "confirmed"
HOLDER: Final = "holder"


@cache
def content(name: str) -> dict[str, Any]:
    """Read one of this package's files of words."""
    return read_packaged(Path(__file__).with_name(f"{name}.yaml"))


def note(key: str, **values: object) -> str:
    """Return a sentence of ``sentences.yaml`` with its placeholders filled in.

    Examples
    --------
    >>> note("column", column="amt", form="type DOUBLE")
    'column amt: type DOUBLE'
    """
    text: str = content("sentences")[key]
    return text.format(**values)


_WORDS: Final = content("words")
_ROLES: Final[Mapping[str, Mapping[str, Any]]] = content("roles")["roles"]
ROLES: Final = {role: tuple(each["words"].split()) for role, each in _ROLES.items()}
"""Names of each role, the clearest first."""
HOLDS: Final = {role: str(each.get("holds", "category")) for role, each in _ROLES.items()}
"""What the values of each role must be."""
ALSO: Final[Mapping[str, Mapping[str, list[str]]]] = content("roles")["also"]
"""Roles whose words name another role too, by table and that other role."""
FILE_WORDS: Final = {
    table: tuple(text.split()) for table, text in content("roles")["files"].items()
}
CODES: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    column: {word: frozenset(codes.split()) for word, codes in meanings.items()}
    for column, meanings in _WORDS["codes"].items()
}
"""Codes by contracted column and by the contract's word for them."""
GRADES: Final = {grade: word for word, grades in _WORDS["grades"].items() for grade in grades}
"""Five grades of loans, as they become outcomes."""
DOCUMENTS: Final = {
    word.replace("_", " "): kind
    for kind, words in _WORDS["documents"].items()
    for word in words.split()
}
COUNTRY_CODES: Final = {
    name.replace("_", " ").lower(): line.split()[0]
    for line in _WORDS["countries"].splitlines()
    for name in line.split()[1:]
}
"""Code of two letters by a name or code of three letters, in small letters."""
UNITS: Final[Mapping[str, float]] = {unit: float(n) for unit, n in _WORDS["units"].items()}
NAMED_UNITS: Final[Mapping[str, float]] = {
    unit: float(n) for unit, n in _WORDS["named_units"].items()
}
CURRENCY_SIGNS: Final = {
    sign: code
    for code, signs in _WORDS["currency_signs"].items()
    for sign in (code, *signs.split())
} | {code: code for code in _WORDS["bare_currencies"].split()}
CURRENCY_CODES: Final[Mapping[str, str]] = {
    name.lower(): code
    for code, names in _WORDS["currency_names"].items()
    for name in (code, *names)
} | {sign.lower(): code for sign, code in CURRENCY_SIGNS.items()}
"""ISO 4217 codes of currencies by code, sign or name, in small letters."""
KINDS: Final = re.compile(
    r"类别|类型|种类|分类|行业|城市|(^|_)(category|type|class|mcc|city|state|country|zip)($|_)"
)
"""Words of a name that describe a kind or a place of a party, and not the party."""


def words(key: str) -> frozenset[str]:
    """Return a list of ``words.yaml`` that is separated by blanks."""
    return frozenset(_WORDS[key].split())


def phrases(key: str) -> tuple[str, ...]:
    """Return a list of ``words.yaml`` whose entries may hold blanks."""
    return tuple(_WORDS[key])


def helping_roles(table: str) -> list[str]:
    """List the roles that help to make a table without being a column of it."""
    return [role for role, each in _ROLES.items() if table in each.get("helps", ())]


def currency_code(word: str) -> str:
    """Return the ISO 4217 code of a currency's code, sign or name; the word itself if unknown."""
    return CURRENCY_CODES.get(word.lower(), word)


def normalise(name: str) -> str:
    """Write a column's name in small letters, words separated by ``_``.

    Examples
    --------
    >>> normalise("sourceNodeId"), normalise("TX_DATETIME"), normalise("交易金额(元)")
    ('source_node_id', 'tx_datetime', '交易金额_元')
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"\W+|_+", "_", parted).strip("_").lower()


def names_key(name: str) -> bool:
    """Return whether a normalised name ends as those of identifiers do.

    Examples
    --------
    >>> names_key("nodeid"), names_key("amount_paid")
    (True, False)
    """
    return name.endswith("id") and not name.endswith(("paid", "valid", "bid"))


def name_score(role: str, name: str) -> float:
    """Score how well a normalised name fits a role, in [0, 1].

    1 is the contract's own word, 0.9 a usual one, less where the word is only a part.
    """
    if name == role and any(role in table.names for table in CONTRACT.values()):
        return 1.0
    best = 0.0
    latin = "_" + re.sub(r"[^\x00-\x7f]+", "_", name) + "_"
    for place, written in enumerate(ROLES[role]):
        usual = 0.95 - 0.2 * place / len(ROLES[role])
        word = written.removeprefix("=")
        if word not in {written, name}:
            continue
        # an identifier may lack its ending, and words may be written together
        if name in {word, word.replace("_", ""), f"{word}_id", f"{word}id"}:
            best = max(best, usual)
        elif f"_{word}_" in latin:
            best = max(best, usual - (0.15 if "_" in word else 0.25))
        elif not word.isascii() and word in name:
            best = max(best, usual - 0.3 * (1 - len(word) / len(name)))
    return best


def file_score(table: str, name: str) -> float:
    """Return 1 where a file's normalised name holds a word of a contracted table, else 0."""
    parts = f"_{name}_"
    return float(
        any(
            f"_{word}_" in parts or (not word.isascii() and word in name)
            for word in FILE_WORDS[table]
        )
    )


def means(code: str, known: Collection[str]) -> bool:
    """Return whether a code is, or begins with, one of the words; Chinese ones count anywhere.

    Examples
    --------
    >>> known = CODES["direction"]
    >>> means("Withdrawal in cash", known["out"]), means("PRIJEM", known["in"])
    (True, False)
    """
    text = normalise(code)
    if text in known or text.split("_")[0] in known:
        return True
    return any(not word.isascii() and len(word) > 1 and word in text for word in known)
