"""Written forms of times: formats, and the shapes of the texts that they read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

from kyc_ml.onboarding.proposal.vocabulary import content, note

CENTURY: Final = note("century")
_FORMS: Final = content("time_forms")
_PARTS: Final[Mapping[str, list[str]]] = _FORMS["parts"]
_HALVES: Final[Mapping[str, str]] = _FORMS["halves"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A way to write a time."""

    format: str
    shown: str
    """The form as people write it down, such as dd/mm/yyyy."""
    shape: re.Pattern[str]
    """Fits the shapes of what it may read."""
    order: str = ""
    """The order of day, month and year where they can be exchanged; empty where not."""
    doubt: str = ""
    """What remains uncertain even if every value is read."""
    digits: int = 0
    """Number of digits of a form without other characters; otherwise 0."""


@cache
def list_forms() -> tuple[Form, ...]:
    """List the forms in use, the safest first."""
    clocks = _FORMS["clocks"]
    found = [_form(each) for each in _FORMS["digits"]]
    found += [_form(day + clock) for day, clock in product(_FORMS["year_first"], clocks)]
    found += [
        _form(day + clock, doubt=CENTURY) for day, clock in product(_FORMS["short_year"], clocks)
    ]
    for sign, clock in product(_FORMS["signs"], clocks):
        # halves of the day are written where the month comes first
        orders = reversed(_FORMS["orders"]) if "%p" in clock else _FORMS["orders"]
        found += [_form(sign.join(order) + clock, order="".join(order)) for order in orders]
    for sign, clock, order in product(_FORMS["signs"], clocks, _FORMS["short_orders"]):
        found.append(_form(sign.join(order) + clock, order="".join(order), doubt=CENTURY))
    found.append(_form(_FORMS["ctime"]))
    found += [_form(day + clock) for day, clock in product(("%Y%m%d", "%y%m%d"), clocks) if clock]
    return tuple(found)


def _form(format_: str, *, order: str = "", doubt: str = "") -> Form:
    # digits without a mark between them have to be all present
    tight = format_ in _FORMS["digits"]
    parts = {part: each.replace("1,", "") if tight else each for part, (each, _) in _PARTS.items()}
    if format_ in {"%d%m%Y", "%m%d%Y"}:
        order = format_
    pieces = re.split(r"(%[A-Za-z])", format_)
    pattern = "".join(parts.get(piece, re.escape(piece)) for piece in pieces)
    for run in (p for p in ("%Y%m%d", "%y%m%d", "%H%M%S") if p in format_ and not tight):
        loose = "".join(parts[piece] for piece in re.findall("%[A-Za-z]", run))
        pattern = pattern.replace(loose, loose.replace("1,", ""))
    shown = "".join(_PARTS[piece][1] if piece in _PARTS else piece for piece in pieces)
    return Form(
        format=format_,
        shown=shown,
        shape=re.compile(pattern),
        order=order,
        doubt=doubt,
        digits=len(shown) if tight else 0,
    )


def plain_halves(text: str, shapes: Mapping[str, int]) -> tuple[str, dict[str, int]]:
    """Write the halves of the day as AM and PM, in SQL and in the shapes."""
    used = {word: short for word, short in _HALVES.items() if any(word in s for s in shapes)}
    for word, short in used.items():
        text = f"replace({text}, '{word}', '{short}')"
    plain: dict[str, int] = {}
    for shape, n in shapes.items():
        for word, short in used.items():
            shape = shape.replace(word, short)  # noqa: PLW2901  each word in turn
        plain[shape] = plain.get(shape, 0) + n
    if any(re.search("[AP]M +9", shape) for shape in plain):
        text = f"regexp_replace({text}, '([AP]M) +([0-9])', '\\1\\2')"
        plain = {re.sub("([AP]M) +(?=9)", r"\1", shape): n for shape, n in plain.items()}
    return text, plain
