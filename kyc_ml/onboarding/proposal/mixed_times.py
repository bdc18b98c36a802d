"""Columns with times in several forms: which forms they are, and whether they agree.

Forms with the year first or with a month in letters exclude each other: only one of them reads a
value. Day and month can be exchanged: there, a value must exclude one order.
"""

from dataclasses import dataclass
from typing import Final

from kyc_ml.onboarding.proposal.forms import Form, list_forms, plain_halves
from kyc_ml.onboarding.proposal.samples import ColumnSample, Engine
from kyc_ml.onboarding.proposal.shapes import TRIED_ROWS, shapes_of
from kyc_ml.onboarding.proposal.vocabulary import note
from kyc_ml.storage import quote_name, quote_text

_MOST_FORMS: Final = 6
_HALF: Final = 0.5
"""Share of the values read below which a column holds no times (convention)."""
_NAMED: Final = 0.4
"""Evidence a name must give where all values are numbers: they may be identifiers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedTimes:
    """The forms in which a column writes its times."""

    sql: str
    """The first form that reads a value; empty where that would be a mere guess."""
    form: str
    """Each form, and its share of the values."""
    doubt: str
    """Why a value may be read wrongly, or why no value is read; never empty."""


def find_mixed(column: ColumnSample, *, named: float) -> MixedTimes | None:
    """Find the forms in which a column writes its times; None where it holds none, or one form.

    `named` is how well the column's name fits a time, in [0, 1].
    """
    sized = column.family == "text" and 6 <= column.shortest <= column.longest <= 40
    shapes = shapes_of(column)
    text, counts = plain_halves(shapes.text, shapes.counts)
    forms = [f for f in list_forms() if any(f.shape.fullmatch(s) for s in counts)]
    forms.sort(key=lambda form: bool(form.order))  # exchangeable day and month: after all others
    if not sized or not forms or (column.number == 1.0 and named < _NAMED):
        return None
    reads = ", ".join(f"{_read(each)} AS f{n}" for n, each in enumerate(forms))
    rows = (
        f"(SELECT {reads} FROM (SELECT {text} AS t FROM {quote_name(column.table)} "
        f"WHERE nullif(trim({column.text}), '') IS NOT NULL LIMIT {TRIED_ROWS}))"
    )
    found = column.engine.counts(rows, *(f"count(f{n})" for n in range(len(forms))))
    used = [n for n, count in enumerate(found) if count]
    every = shapes.values
    read = column.engine.counts(rows, f"count({_first([f'f{n}' for n in used])})")[0] if used else 0
    if read < _HALF * every:
        return None
    kept, doubts, torn = _choose(column.engine, rows, forms, used)
    shown = [f"{forms[n].shown} {found[n] / every:.0%}" for n in kept]
    shown += [f"none of them {1 - read / every:.0%}"] if read < every else []
    if len(kept) < 2 and not torn and read == every:
        return None
    sound = read == every and not torn and len(kept) <= _MOST_FORMS
    doubts += dict.fromkeys(forms[n].doubt for n in kept if forms[n].doubt)
    return MixedTimes(
        sql=_first([f"try_strptime({text}, '{forms[n].format}')" for n in kept]) if sound else "",
        form=", ".join(shown),
        doubt="; ".join(["the column mixes forms", *doubts, *torn]),
    )


def _read(form: Form) -> str:
    time = f"try_strptime(t, {quote_text(form.format)})"
    # the number of digits decides: 202411 is not a day
    length = f" AND length(trim(t)) = {form.digits}" if form.digits else ""
    return f"CASE WHEN year({time}) BETWEEN 1900 AND 2100{length} THEN {time} END"


def _first(reads: list[str]) -> str:
    return "COALESCE(\n" + ",\n".join(reads) + ")"


def _choose(
    engine: Engine, rows: str, forms: list[Form], used: list[int]
) -> tuple[list[int], list[str], list[str]]:
    """Return forms to read by, orders that no value decides, and orders decided both ways."""
    kept = [n for n in used if not forms[n].order]
    doubts, torn, open_ = [], [], []
    orders = set()
    for together in _exchanged(forms, used):
        own = engine.counts(rows, *(_read_by_none_but(n, together) for n in together))
        decided = [n for n, count in zip(together, own, strict=True) if count]
        orders |= {forms[n].order for n in decided}
        if len(decided) > 1:
            torn.append(f"{' and '.join(forms[n].shown for n in decided)} contradict each other")
        if decided:
            kept += decided
        else:
            open_.append(together)
    for together in open_:
        same = [n for n in together if forms[n].order in orders]
        kept.append((same or together)[0])
        if len(same) != 1 and len(together) > 1:
            names = ", ".join(forms[n].shown for n in together[1:])
            doubts.append(note("exchanged", forms=names))
    return kept, doubts, torn


def _exchanged(forms: list[Form], used: list[int]) -> list[list[int]]:
    """Group the forms that differ in the order of day, month and year alone."""
    groups: dict[str, list[int]] = {}
    for n in used:
        if forms[n].order:
            groups.setdefault(forms[n].shape.pattern.replace("9{2}", "9{1,2}"), []).append(n)
    return list(groups.values())


def _read_by_none_but(form: int, together: list[int]) -> str:
    others = "".join(f" AND f{n} IS NULL" for n in together if n != form)
    return f"count(*) FILTER (f{form} IS NOT NULL{others})"
