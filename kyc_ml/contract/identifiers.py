"""The form of identifiers: how they are read, which are refused, which look alike, and a search.

All of it is SQL, so that tables and files that name customers go through the very same form.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import reduce
from typing import Final

import duckdb
import pyarrow as pa

from kyc_ml.config import IdentifierForm
from kyc_ml.storage import connect, quote_list, quote_name, quote_text

# Unicode's separators, and what has no glyph: soft hyphen, zero-width, byte-order and
# direction marks. A no-break space is as invisible in a spreadsheet as a trailing blank, and
# fixed-width exports pad with zero bytes.
_BLANK: Final = r"[\s\pZ\x{00}-\x{1F}\x{7F}\x{85}]"
_UNSEEN: Final = (
    r"[\x{AD}\x{61C}\x{180E}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}]"
)
_QUOTE: Final = "[\"'“”‘’„«»＂＇]"
_FULL: Final = "".join(chr(code) for code in range(0xFF01, 0xFF5F))
_HALF: Final = "".join(chr(code) for code in range(0x21, 0x7F))

SCIENTIFIC: Final = r"[+-]?\d+([.,]\d+)?[eE]\+\d+|[+-]?\d+[.,]\d+[eE]\d+"
"""1.1E+17 of a spreadsheet, 1.1E17 of Java; 12E45 may be an identifier and is not one of them."""
FLOAT: Final = r"[+-]?\d+\.0+"
"""12345.0: a whole number that was a float, as in a pandas column with missing values."""
_EXACT_DIGITS: Final = 15
"""A whole number of up to this many digits is exact as a float."""

NOTHING: Final = (
    *("null", "(null)", "<null>", "\\n", "nan", "<na>", "#n/a", "n/a", "na", "nat", "none", "nil"),
    *("undefined", "unknown", "missing", "empty", "-", "--", "?", "/", ".", "无", "空", "未知"),
    *("不详", "暂无"),
)
"""Words that exports and people write for a missing value, in lower case."""
LONGEST_WORD: Final = max(len(word.encode()) for word in NOTHING)

TRIMMED: Final = IdentifierForm()
"""The form of a mapping without the key."""

ALIKE: Final = IdentifierForm(
    quotes="strip", width="half", case="upper", leading_zeros="drop", floats="whole"
)
"""Identifiers that are equal in this form look alike; most have it, so that few are looked at."""


_AS_IT_IS: Final = r"[A-Z1-9_:/#@-][A-Z0-9_:/#@-]*"
"""Identifiers that `ALIKE` cannot change: to see that costs a fifth of putting them into it."""


def alike_sql(identifier: str) -> str:
    """Write an identifier in the form `ALIKE` as SQL."""
    plain = f"regexp_full_match({identifier}, {quote_text(_AS_IT_IS)})"
    return f"CASE WHEN {plain} THEN {identifier} ELSE {form_sql(identifier, ALIKE)} END"


def form_sql(value: str, form: IdentifierForm, *, decimal: bool = False) -> str:
    """Write an identifier in its form as SQL; NULL where nothing is left of it.

    `value`: SQL of type VARCHAR.
    `decimal`: it was a decimal: 12.00 is 12 without a doubt.
    """
    odd = value
    if form.width == "half":
        odd = f"translate({odd}, {quote_text(_FULL)}, {quote_text(_HALF)})"
    if form.trim:
        odd = _bare(f"regexp_replace({odd}, {quote_text(_UNSEEN)}, '', 'g')", _BLANK)
    # most identifiers have nothing of it: RE2 sees that immediately, `translate` is slow
    sql = f"CASE WHEN regexp_matches({value}, '[^!-~]') THEN {odd} ELSE {value} END"
    sql = reduce(lambda inner, word: f"nullif({inner}, {quote_text(word)})", form.nulls, sql)
    if form.quotes == "strip":
        # a formula may be the first part of a made identifier: ="1"@2025-12-31
        sql = f"regexp_replace({sql}, '^=\"([^\"]*)\"', '\\1')"
        sql = _bare(f"regexp_replace({sql}, '^=', '')", f"(?:{_QUOTE}|{_BLANK})")
    if form.case != "keep":
        sql = f"{form.case}({sql})"
    if form.floats == "whole" or decimal:
        digits = r"\d+" if decimal else rf"\d{{1,{_EXACT_DIGITS}}}"
        sql = f"regexp_replace({sql}, '^([+-]?{digits})\\.0+$', '\\1')"
    if form.leading_zeros == "drop":  # one zero stays where no letter or digit comes
        sql = f"regexp_replace({sql}, '^0+([\\pL\\pN])', '\\1')"
    return f"nullif({sql}, '')" if form.trim else f"CASE WHEN trim({sql}) <> '' THEN {sql} END"


def _bare(sql: str, marks: str) -> str:
    """Write SQL that removes marks from both ends."""
    return f"regexp_replace({sql}, {quote_text(f'^{marks}+|{marks}+$')}, '', 'g')"


def put_in_form(identifiers: Sequence[str], form: IdentifierForm) -> list[str | None]:
    """Put identifiers of a file into the form that a source's tables have.

    Examples
    --------
    >>> put_in_form([" c1", "C2", "　"], IdentifierForm(case="upper"))
    ['C1', 'C2', None]
    """
    if not identifiers:
        return []
    with closing(connect(data=None, threads=1, files=[])) as connection:
        rows = connection.execute(
            f"SELECT {form_sql('id', form)} FROM (SELECT unnest(?::VARCHAR[]) AS id, "
            "generate_subscripts(?::VARCHAR[], 1) AS place) ORDER BY place",
            [list(identifiers), list(identifiers)],
        ).fetchall()
    return [row[0] for row in rows]


def is_nothing_sql(value: str) -> str:
    """Write SQL that is true where an identifier is a word for no value."""
    words = quote_list(NOTHING)
    return f"strlen({value}) <= {LONGEST_WORD} AND list_contains({words}, lower({value}))"


# Looking for a mark costs half of what a pattern costs, and most identifiers have none of them.
def was_scientific_sql(value: str) -> str:
    """Write SQL that is true of a number in scientific notation."""
    marked = " OR ".join(f"contains({value}, '{mark}')" for mark in ".,+")
    return f"({marked}) AND regexp_full_match({value}, {quote_text(SCIENTIFIC)})"


def was_float_sql(value: str) -> str:
    """Write SQL that is true of a whole number that is written as a float."""
    return f"contains({value}, '.') AND regexp_full_match({value}, {quote_text(FLOAT)})"


def single_forms() -> Iterator[tuple[str, IdentifierForm]]:
    """Return each key of `ALIKE` by itself: as a mapping writes it, and the form."""
    for key in ("case", "leading_zeros", "quotes", "width", "floats"):
        value = getattr(ALIKE, key)
        yield f"{key}: {value}", IdentifierForm.model_validate({key: value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What was found of an identifier."""

    there: bool
    alike: int
    """Others that are equal to it in the form `ALIKE`. They are customers' values, and only
    counted."""

    def say_alike(self) -> str:
        """Return how many look like it; nothing where none does."""
        if not self.alike:
            return ""
        others = "1 differs" if self.alike == 1 else f"{self.alike:,} differ"
        return f"; {others} from it by case, blanks, quotes, width or leading zeros only"


def seek(connection: duckdb.DuckDBPyConnection, ids: str, identifier: str) -> Sought:
    """Look for an identifier in the column ``id`` of a SQL query."""
    [(there,)] = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM ({ids}) WHERE id = ?)", [identifier]
    ).fetchall()
    if there:
        return Sought(there=True, alike=0)
    [(alike,)] = connection.execute(
        f"SELECT count(DISTINCT id) FROM ({ids}) WHERE {alike_sql('id')} = {alike_sql('$1')}",
        [identifier],
    ).fetchall()
    return Sought(there=False, alike=alike)


def seek_in(column: pa.ChunkedArray, identifier: str) -> Sought:
    """Look for an identifier in a column of a table in memory."""
    ids = pa.table({"id": column})
    with closing(connect(data=None, files=[])) as connection:
        connection.register("ids", ids)
        return seek(connection, f"SELECT id FROM {quote_name('ids')}", identifier)
