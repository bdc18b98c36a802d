"""Shapes of a column's texts: every digit is replaced by 9, so that no value is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kyc_ml.onboarding.proposal.samples import ColumnSample
from kyc_ml.storage import quote_name, quote_text

TRIED_ROWS: Final = 20_000
ZERO: Final = "\N{CIRCLED DIGIT ZERO}"
"""Replaces a zero before a mark, as in 0.250: a number with thousands never starts with one."""
_MOST_SHAPES: Final = 400
_LONGEST: Final = 60
_WIDE: Final = (
    "０１２３４５６７８９．，－＋（）￥％：／　\N{MINUS SIGN}\N{SMALL HYPHEN-MINUS}\N{EN DASH}"
)
_PLAIN: Final = "0123456789.,-+()¥%:/ ---"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """How the values of a column are written."""

    text: str
    """SQL of the column as text, with plain digits for full-width ones and without spaces around
    it."""
    counts: Mapping[str, int]
    """Mapping of shape to number of values; empty where there are too many shapes for numbers or
    times."""

    @property
    def values(self) -> int:
        """Number of values of the sample."""
        return sum(self.counts.values())


def shapes_of(column: ColumnSample) -> Shapes:
    """Count the shapes of a column's values, in its first rows."""
    if column.longest > _LONGEST or not column.distinct:
        return Shapes(text=column.text, counts={})
    plain = f"translate({column.text}, {quote_text(_WIDE)}, {quote_text(_PLAIN)})"
    zeros = f"regexp_replace(p, '(^|[^0-9.,])0([.,])', '\\1{ZERO}\\2')"
    rows = column.engine.all(
        f"SELECT regexp_replace({zeros}, '[0-9]', '9', 'g') AS shape, count(*), bool_or(p <> t), "
        f"bool_or(t <> x) FROM (SELECT {column.text} AS x, trim(x) AS t, trim({plain}) AS p FROM "
        f"{quote_name(column.table)} WHERE nullif(trim({column.text}), '') IS NOT NULL "
        f"LIMIT {TRIED_ROWS}) GROUP BY ALL ORDER BY 2 DESC, 1 LIMIT {_MOST_SHAPES + 1}"
    )
    if len(rows) > _MOST_SHAPES:
        return Shapes(text=column.text, counts={})
    text = plain if any(row[2] for row in rows) else column.text
    return Shapes(
        text=f"trim({text})" if any(row[3] for row in rows) else text,
        counts={str(row[0]): int(row[1]) for row in rows},  # type: ignore[call-overload]
    )
