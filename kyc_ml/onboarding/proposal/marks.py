"""Marks around and inside numbers: signs, currencies, units, separators."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from kyc_ml.onboarding.proposal.shapes import ZERO
from kyc_ml.onboarding.proposal.vocabulary import CURRENCY_SIGNS, UNITS, note, words

_NUMBER: Final = re.compile(r"(?P<before>[^9]*?)(?P<body>\.?9(?:[9.,'’\s]*9)?\.?)(?P<after>[^9]*)")
_BLANKS: Final = re.compile(r"\s+")
_SIGNS: Final = frozenset("+-()")
DEBIT_MARKS: Final = words("debit_marks")
CREDIT_MARKS: Final = words("credit_marks")
_KNOWN: Final = sorted(
    {*_SIGNS, *CURRENCY_SIGNS, *UNITS, *DEBIT_MARKS, *CREDIT_MARKS}, key=len, reverse=True
)
_SEPARATORS: Final = (
    ("", "."),
    ("", ","),
    (",", "."),
    (".", ","),
    ("'", "."),
    ("’", "."),
    ("'", ","),
)
"""Between thousands and before decimals; spaces between thousands are removed before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One shape of a number, taken apart."""

    body: str
    """Digits as 9 and the marks between them, without blanks."""
    before: str
    after: str
    zero: bool
    blank: bool
    currency: str = ""
    unit: str = ""
    entry: str = ""
    """`currency`, `unit` and `entry`: its currency's code, its unit, and its mark of debit or
    credit; empty without one."""
    negative: bool = False


def take_apart(shape: str) -> Written | None:
    """Split the shape of a number into its parts; None where a mark is unknown.

    Examples
    --------
    >>> take_apart("(9,999.99)").negative, take_apart("9.999万元").unit, take_apart("flat 99")
    (True, '万', None)
    """
    found = _NUMBER.fullmatch(shape.replace(ZERO, "9"))
    if found is None:
        return None
    before, body, after = (_BLANKS.sub("", found[name]) for name in ("before", "body", "after"))
    if body.startswith(".") and before[-1:].isalpha():
        before, body = f"{before}.", body[1:]  # as in Rs.
    marked: dict[str, str] = {}
    signs = []
    for side in (before, after):
        for token in _tokens(side):
            kind = _kind(token)
            if kind is None or (kind != "sign" and marked.setdefault(kind, token) != token):
                return None
            signs += [token] if kind == "sign" else []
    if (("(" in before) != (")" in after)) or len(signs) - (")" in after) > 1:
        return None
    entry = marked.get("entry", "")
    return Written(
        body=body,
        before=before,
        after=after,
        zero=ZERO in shape,
        blank=_BLANKS.search(shape) is not None,
        currency=CURRENCY_SIGNS.get(marked.get("currency", ""), ""),
        unit=marked.get("unit", ""),
        entry=entry,
        negative=bool({"-", "("} & set(signs)) or entry in DEBIT_MARKS,
    )


def _tokens(side: str) -> list[str]:
    """Split what is written on one side of a number into known words, the longest first."""
    found = []
    while side:
        # the longest first: DR is not D, and US$ is not U
        word = next((each for each in _KNOWN if side.startswith(each)), side)
        found.append(word)
        side = side[len(word) :]
    return found


def _kind(token: str) -> str | None:
    if token in _SIGNS:
        return "sign"
    if token in UNITS:
        return "unit"
    if token in CURRENCY_SIGNS:
        return "currency"
    return "entry" if token in DEBIT_MARKS or token in CREDIT_MARKS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Separators:
    """Which mark separates thousands, and which decimals."""

    thousands: str
    decimal: str
    doubt: str = ""
    """Why the other reading is also possible; empty where the values exclude it."""
    other: Separators | None = None


def find_separators(bodies: Mapping[tuple[str, bool], int]) -> Separators | None:
    """Find which marks separate thousands and decimals; None where no habit fits nearly all.

    `bodies` maps (body, whether it begins with a zero) to a number of values.

    Examples
    --------
    >>> found = find_separators({("999", False): 5, ("9,999", False): 4})
    >>> found.thousands, found.decimal, bool(found.doubt)
    (',', '.', True)
    >>> find_separators({("9.99", False): 5}).doubt
    ''
    """
    every = sum(bodies.values())
    fits = {
        each: sum(n for (body, zero), n in bodies.items() if _fits(body, *each, zero=zero))
        for each in _SEPARATORS
    }
    best = max(fits.values())
    if best < 0.98 * every:
        return None
    marks = {mark for body, _ in bodies for mark in body if mark not in "9"}
    # of the habits that read most values, the first for each meaning of the marks that occur
    meant: dict[tuple[str, ...], tuple[str, str]] = {}
    for (thousands, decimal), n in fits.items():
        if n == best:
            roles = (*sorted(marks & {thousands}), "|", *sorted(marks & {decimal}))
            meant.setdefault(roles, (thousands, decimal))
    readings = list(meant.values())
    if len(readings) == 1:
        return Separators(thousands=readings[0][0], decimal=readings[0][1])
    (mark,) = marks if len(marks) == 1 else (",",)
    parted = [each for each in readings if each[0] == mark]
    pointed = [each for each in readings if each[1] == mark]
    bare = [len(body) for body, _ in bodies if mark not in body]
    # a file that separates thousands does so in all its numbers
    grouped = bool(parted) and (max(bare) <= 3 if bare else mark == ",")
    first, second = (parted, pointed) if grouped else (pointed, parted)
    if not first or not second:
        return Separators(thousands=readings[0][0], decimal=readings[0][1])
    name = {",": "comma", ".": "point"}.get(mark, "mark")
    return Separators(
        thousands=first[0][0],
        decimal=first[0][1],
        doubt=note("separators", mark=name, meaning="thousands" if grouped else "decimals"),
        other=Separators(thousands=second[0][0], decimal=second[0][1]),
    )


def _fits(body: str, thousands: str, decimal: str, *, zero: bool) -> bool:
    whole, _, fraction = body.partition(decimal)
    if fraction.strip("9"):
        return False
    if not thousands or thousands not in whole:
        return not whole.strip("9")
    first, *rest = whole.split(thousands)
    widths = [len(part) for part in rest]
    # 12,34,567 is how thousands are separated in India
    even = all(width == 3 for width in widths)
    indian = thousands == "," and widths[-1] == 3 and all(width == 2 for width in widths[:-1])
    return (
        not zero
        and 1 <= len(first) <= 3
        and not "".join((first, *rest)).strip("9")
        and (even or (indian and len(first) <= 2))
    )


@dataclass(slots=True, kw_only=True)
class Marks:
    """What was found around the numbers of a column."""

    written: Counter[Written] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)

    @property
    def read(self) -> int:
        """Number of values that are numbers with known marks."""
        return self.written.total()

    def named(self, name: str) -> tuple[str, ...]:
        """List the currencies, units or entries that occur, the commonest first."""
        found: Counter[str] = Counter()
        for each, n in self.written.items():
            found[getattr(each, name)] += n
        return tuple(word for word, _ in found.most_common() if word)


def collect_marks(counts: Mapping[str, int]) -> Marks:
    """Take the shapes of a column apart."""
    found = Marks()
    for shape, n in counts.items():
        written = take_apart(shape)
        if written is not None:
            found.written[written] += n
        else:
            found.unknown[shape] += n
    if "J" in found.named("entry"):  # 借 and 贷 in pinyin: there D is a credit
        found.written = Counter(
            {
                replace(e, negative=False) if e.entry == "D" else e: n
                for e, n in found.written.items()
            }
        )
    return found


def doubtful_units(units: tuple[str, ...]) -> tuple[str, ...]:
    """List the units that may mean something else: m may be a thousand or a million."""
    return tuple(unit for unit in units if unit not in words("sure_units"))
