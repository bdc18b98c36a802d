"""The ways in which times are written: formats, and the shapes of the texts that they read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

CENTURY: Final = "years of two digits: the century is a guess"
_YEAR_FIRST: Final = {
    "%Y-%m-%d": "yyyy-mm-dd",
    "%Y/%m/%d": "yyyy/mm/dd",
    "%Y.%m.%d": "yyyy.mm.dd",
    "%Y年%m月%d日": "yyyy年mm月dd日",
    "%d-%b-%Y": "dd-Mon-yyyy",
    "%d %b %Y": "dd Mon yyyy",
    "%d/%b/%Y": "dd/Mon/yyyy",
    "%b %d, %Y": "Mon dd, yyyy",
    "%d %B %Y": "dd Month yyyy",
    "%B %d, %Y": "Month dd, yyyy",
}
"""Days that are written in one order only."""
_SHORT_YEAR: Final = {"%d-%b-%y": "dd-Mon-yy", "%d %b %y": "dd Mon yy"}
_SIGNS: Final = ("/", "-", ".")
_ORDERS: Final = (("%d", "%m", "%Y"), ("%m", "%d", "%Y"))
_SHORT_ORDERS: Final = (("%d", "%m", "%y"), ("%m", "%d", "%y"), ("%y", "%m", "%d"))
_CLOCKS: Final = {
    "": "",
    " %H:%M": " hh:mm",
    " %H:%M:%S": " hh:mm:ss",
    " %H:%M:%S.%f": " hh:mm:ss.f",
    "T%H:%M:%S": "Thh:mm:ss",
    "T%H:%M:%S.%f": "Thh:mm:ss.f",
    " %I:%M %p": " hh:mm AM",
    " %I:%M:%S %p": " hh:mm:ss AM",
    " %I:%M%p": " hh:mmAM",
    " %I:%M:%S%p": " hh:mm:ssAM",
    " %I.%M.%S.%f %p": " hh.mm.ss.f AM",
    ", %I:%M %p": ", hh:mm AM",
    " %p%I:%M": " AMhh:mm",
    " %p%I:%M:%S": " AMhh:mm:ss",
    " %H时%M分": " hh时mm分",
    " %H时%M分%S秒": " hh时mm分ss秒",
    "%H时%M分": "hh时mm分",
    "%H时%M分%S秒": "hh时mm分ss秒",
    " %H.%M.%S": " hh.mm.ss",
    "-%H.%M.%S.%f": "-hh.mm.ss.f",
    " %H%M%S": " hhmmss",
    "T%H%M%S": "Thhmmss",
}
_DIGITS: Final = {
    "%Y%m%d": "yyyymmdd",
    "%Y%m%d%H": "yyyymmddhh",
    "%Y%m%d%H%M": "yyyymmddhhmm",
    "%Y%m%d%H%M%S": "yyyymmddhhmmss",
    "%Y%m%d%H%M%S%g": "yyyymmddhhmmssfff",
    "%d%m%Y": "ddmmyyyy",
    "%m%d%Y": "mmddyyyy",
}
_PARTS: Final = {
    "%Y": "9{4}", "%y": "9{2}", "%m": "9{1,2}", "%d": "9{1,2}", "%H": "9{1,2}", "%I": "9{1,2}",
    "%M": "9{1,2}", "%S": "9{1,2}", "%f": "9{1,9}", "%g": "9{3}", "%p": "[AaPp][Mm]",
    "%b": "[A-Za-z]{3}", "%B": "[A-Za-z]{3,9}", "%a": "[A-Za-z]{3}",
}  # fmt: skip
_HALVES: Final[Mapping[str, str]] = {
    "上午": "AM", "下午": "PM", "a.m.": "AM", "p.m.": "PM", "A.M.": "AM", "P.M.": "PM"
}  # fmt: skip
"""How the halves of a day are written where the engine does not know them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A way to write a time.

    Attributes
    ----------
    format : str
        As `strptime` takes it.
    shown : str
        The form as people write it down, such as dd/mm/yyyy.
    shape : Pattern
        Fits the shapes of what it may read.
    order : str
        The order of day, month and year where they can be exchanged; empty where not.
    doubt : str
        What is unsure even where every value is read.
    digits : int
        How many digits it has where it has nothing else; 0 where it has marks.
    """

    format: str
    shown: str
    shape: re.Pattern[str]
    order: str = ""
    doubt: str = ""
    digits: int = 0


@cache
def list_forms() -> tuple[Form, ...]:
    """List the forms in use, the safest first."""
    found = [_form(each, shown) for each, shown in _DIGITS.items()]
    for (day, shown), (clock, hour) in product(_YEAR_FIRST.items(), _CLOCKS.items()):
        found.append(_form(day + clock, shown + hour))
    for (day, shown), (clock, hour) in product(_SHORT_YEAR.items(), _CLOCKS.items()):
        found.append(_form(day + clock, shown + hour, doubt=CENTURY))
    for sign, (clock, hour) in product(_SIGNS, _CLOCKS.items()):
        # halves of the day are written where the month comes first
        orders = reversed(_ORDERS) if "%p" in clock else _ORDERS
        found += [_ordered(sign, clock, hour, order) for order in orders]
    for sign, (clock, hour), order in product(_SIGNS, _CLOCKS.items(), _SHORT_ORDERS):
        found.append(_ordered(sign, clock, hour, order, doubt=CENTURY))
    found.append(_form("%a %b %d %H:%M:%S %Y", "Day Mon dd hh:mm:ss yyyy"))
    for day, shown in (("%Y%m%d", "yyyymmdd"), ("%y%m%d", "yymmdd")):
        found += [_form(day + clock, shown + hour) for clock, hour in _CLOCKS.items() if clock]
    return tuple(found)


def _ordered(sign: str, clock: str, hour: str, order: tuple[str, ...], *, doubt: str = "") -> Form:
    day = sign.join(order)
    for part, shown in (("%d", "dd"), ("%m", "mm"), ("%Y", "yyyy"), ("%y", "yy")):
        day = day.replace(part, shown)
    return _form(sign.join(order) + clock, day + hour, order="".join(order), doubt=doubt)


def _form(format_: str, shown: str, *, order: str = "", doubt: str = "") -> Form:
    # digits without a mark between them have to be all there
    tight = format_ in _DIGITS
    parts = {part: each.replace("1,", "") if tight else each for part, each in _PARTS.items()}
    if format_ in {"%d%m%Y", "%m%d%Y"}:
        order = format_
    pieces = re.split(r"(%[A-Za-z])", format_)
    pattern = "".join(parts.get(piece, re.escape(piece)) for piece in pieces)
    for run in (p for p in ("%Y%m%d", "%y%m%d", "%H%M%S") if p in format_ and not tight):
        loose = "".join(parts[piece] for piece in re.findall("%[A-Za-z]", run))
        pattern = pattern.replace(loose, loose.replace("1,", ""))
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
