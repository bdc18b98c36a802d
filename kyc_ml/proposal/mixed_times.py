"""A column that writes its times in several forms: which they are, and whether they agree.

Forms with the year first, or a month in letters, exclude each other: a value is read by one
alone. Day and month can be exchanged, so there a value has to rule one order out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

from kyc_ml.engine.local import quote_name, quote_text
from kyc_ml.proposal.looking import ColumnLook, Desk, FileLook

_MOST_FORMS: Final = 6
_TRIED_ROWS: Final = 20_000
_HALF: Final = 0.5
"""Share of the values read below which a column is none of times (convention)."""
_NAMED: Final = 0.4
"""Evidence a name must give where all values are numbers: they may be identifiers."""
_CLOCKS: Final = {
    "": "",
    " %H:%M": " hh:mm",
    " %H:%M:%S": " hh:mm:ss",
    " %H:%M:%S.%f": " hh:mm:ss.f",
    "T%H:%M:%S": "Thh:mm:ss",
}
_YEAR_FIRST: Final = {
    "%Y-%m-%d": "yyyy-mm-dd",
    "%Y/%m/%d": "yyyy/mm/dd",
    "%Y.%m.%d": "yyyy.mm.dd",
    "%Y年%m月%d日": "yyyy年mm月dd日",
    "%d-%b-%Y": "dd-Mon-yyyy",
    "%d %b %Y": "dd Mon yyyy",
}
_DIGITS: Final = {
    "%Y%m%d": ("yyyymmdd", 8),
    "%Y%m%d%H%M": ("yyyymmddhhmm", 12),
    "%Y%m%d%H%M%S": ("yyyymmddhhmmss", 14),
}
_SIGNS: Final = ("/", "-", ".")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """A way to write a time; `length` is how long its values are, where digits alone tell."""

    format: str
    shown: str
    length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedTimes:
    """The forms in which a column writes its times.

    Attributes
    ----------
    sql : str
        The first form that reads a value; empty where that would be a mere guess.
    form : str
        Each form, and its share of the values.
    doubt : str
        Why a value may be read wrongly, or why none is; never empty.
    """

    sql: str
    form: str
    doubt: str


def _forms() -> list[_Form]:
    """List the forms in use; day before month and month before day are neighbours."""
    found = [_Form(format=each, shown=shown, length=n) for each, (shown, n) in _DIGITS.items()]
    for (day, shown), (clock, hour) in product(_YEAR_FIRST.items(), _CLOCKS.items()):
        found.append(_Form(format=day + clock, shown=shown + hour))
    for sign, (clock, hour) in product(_SIGNS, _CLOCKS.items()):
        for first, second in (("d", "m"), ("m", "d")):
            shown = f"{first * 2}{sign}{second * 2}{sign}yyyy{hour}"
            found.append(_Form(format=f"%{first}{sign}%{second}{sign}%Y{clock}", shown=shown))
    return found


_FORMS: Final = _forms()
_YEAR_KNOWN: Final = len(_DIGITS) + len(_YEAR_FIRST) * len(_CLOCKS)
"""How many of the forms leave no doubt which number is the month."""


def find_mixed(
    desk: Desk, look: FileLook, column: ColumnLook, *, named: float
) -> MixedTimes | None:
    """Say in which forms a column writes its times; None where it holds none, or one form.

    Parameters
    ----------
    named : float
        How well the column's name speaks for a time, in [0, 1].
    """
    if column.family != "text" or not 6 <= column.shortest <= column.longest <= 40:
        return None
    if column.number == 1.0 and named < _NAMED:
        return None
    reads = ", ".join(f"{_read(each)} AS f{n}" for n, each in enumerate(_FORMS))
    rows = (
        f"(SELECT {reads} FROM (SELECT {column.text} AS t FROM {quote_name(look.name)} "
        f"WHERE nullif(trim({column.text}), '') IS NOT NULL LIMIT {_TRIED_ROWS}))"
    )
    counts = _counts(desk, rows, [f"count(f{n})" for n in range(len(_FORMS))])
    used = [n for n, count in enumerate(counts) if count]
    if not used:
        return None
    every, read = _counts(desk, rows, ["count(*)", f"count({_first([f'f{n}' for n in used])})"])
    if read < _HALF * every:
        return None
    kept, doubts, torn = _choose(desk, rows, used)
    shares = [f"{_FORMS[n].shown} {counts[n] / every:.0%}" for n in kept]
    shares += [f"none of them {1 - read / every:.0%}"] if read < every else []
    if len(kept) < 2 and not torn and read == every:
        return None
    sound = read == every and not torn and len(kept) <= _MOST_FORMS
    return MixedTimes(
        sql=_first([f"try_strptime({column.text}, '{_FORMS[n].format}')" for n in kept])
        if sound
        else "",
        form=", ".join(shares),
        doubt="; ".join(["the column mixes forms", *doubts, *torn]),
    )


def _read(form: _Form) -> str:
    time = f"try_strptime(t, {quote_text(form.format)})"
    length = "" if form.length is None else f" AND length(trim(t)) = {form.length}"
    return f"CASE WHEN year({time}) BETWEEN 1900 AND 2100{length} THEN {time} END"


def _first(reads: list[str]) -> str:
    return "COALESCE(\n" + ",\n".join(reads) + ")"


def _counts(desk: Desk, rows: str, sums: list[str]) -> list[int]:
    row = desk.one(f"SELECT {', '.join(sums)} FROM {rows}")
    return [int(number or 0) for number in row]  # type: ignore[call-overload]


def _choose(desk: Desk, rows: str, used: list[int]) -> tuple[list[int], list[str], list[str]]:
    """Choose between orders of day and month by the values that only one of them reads.

    Returns
    -------
    kept : list of int
        Forms to read by.
    doubts, torn : list of str
        Orders that no value decides; orders that values decide both ways.
    """
    kept = [n for n in used if n < _YEAR_KNOWN]
    doubts, torn = [], []
    for n in range(_YEAR_KNOWN, len(_FORMS), 2):
        if not {n, n + 1} & set(used):
            continue
        day, month = _counts(
            desk,
            rows,
            [
                f"count(*) FILTER (f{n} IS NOT NULL AND f{n + 1} IS NULL)",
                f"count(*) FILTER (f{n + 1} IS NOT NULL AND f{n} IS NULL)",
            ],
        )
        if day and month:
            kept += [n, n + 1]
            torn.append(f"{_FORMS[n].shown} and {_FORMS[n + 1].shown} contradict each other")
            continue
        kept.append(n + 1 if month else n)
        if not day and not month:
            doubts.append(f"day and month can be exchanged: {_FORMS[n + 1].shown} fits as well")
    return kept, doubts, torn
