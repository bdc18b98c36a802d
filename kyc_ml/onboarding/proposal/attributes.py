"""Columns that match no contracted column: proposed as attributes, or listed as unused."""

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from kyc_ml.contract import ACCOUNTS, CUSTOMERS, REVIEWS, TRANSACTIONS
from kyc_ml.onboarding.proposal import vocabulary as v
from kyc_ml.onboarding.proposal.codes import positives
from kyc_ml.onboarding.proposal.guesses import AttributeGuess, AttributeKind, TableProposal
from kyc_ml.onboarding.proposal.numbers import read_number
from kyc_ml.onboarding.proposal.samples import ColumnSample, Engine, FileSample
from kyc_ml.onboarding.proposal.times import read_time
from kyc_ml.storage import quote_name

TAKING: Final = (TRANSACTIONS, CUSTOMERS, ACCOUNTS, REVIEWS)
"""Tables that take attributes."""
_MOST_CATEGORIES: Final = 60
_LEAST_ROWS: Final = 4
"""Rows per category below which a text is a name and not a category (convention)."""
_APART: Final = 0.8
"""Difference of filled shares between both labels above which a column reveals the label."""
_FEW_LATER: Final = 0.01
"""Share of rows with a later date that may be wrong clocks (convention)."""
_LABELS: Final = (v.LABEL, v.LABEL_TIME, "outcome", "typology")


def add_attributes(
    made: TableProposal,
    sample: FileSample,
    tables: Collection[TableProposal],
    *,
    label: str = "",
    over_time: tuple[str, ...] = (),
) -> None:
    """Propose the other columns of a table's file as attributes; list those that cannot be used.

    `tables`: all tables: a column that any of them reads is in use.
    `label`: SQL that is true for rows with a bad outcome; empty without a label.
    `over_time`: how numbers are read over time, where a customer has many rows.
    """
    texts = [
        sql
        for table in tables
        if sample.name in table.files
        for sql in (table.rows, table.where or "", *(g.sql for g in table.columns.values()))
    ]
    taken: set[str] = set()
    for place, column in enumerate(sample.columns):
        if _is_read(column, texts) or not column.distinct:
            continue
        guess = _guess(made, sample, column, place, label=label) if made.name in TAKING else None
        if guess is None or guess.name in taken:
            made.unused.append(column.name)
            continue
        taken.add(guess.name)
        reads = over_time if guess.kind == "number" else ()
        made.attributes[guess.name] = replace(guess, over_time=reads)


def _is_read(column: ColumnSample, texts: Collection[str]) -> bool:
    name = column.sql
    bare = re.compile(rf"(?<![\w\"'.]){re.escape(name)}(?![\w\"'])", re.IGNORECASE)
    return any(name in text if name.startswith('"') else bare.search(text) for text in texts)


def _guess(
    made: TableProposal, sample: FileSample, column: ColumnSample, place: int, *, label: str
) -> AttributeGuess | None:
    found = _kind(column)
    if found is None:
        return None
    kind, sql = found
    english, chinese = _names(column)
    name = re.sub(r"\W+", "_", english.lower()).strip("_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name, re.ASCII):
        name = f"column_{place + 1}"
    return AttributeGuess(
        name=name,
        column=column.name,
        sql=sql,
        kind=kind,
        unit=_unit(column, sql) if kind == "number" else "",
        description=english.replace("_", " "),
        description_zh=chinese,
        doubt=_doubt(sample, column, label)
        or (_later(sample.engine, made, sql) if kind == "date" else ""),
    )


def _kind(column: ColumnSample) -> tuple[AttributeKind, str] | None:
    """Return the kind of a column and its expression; None for identifiers, names and constants."""
    if column.distinct < 2 or _is_identifier(column):
        return None
    yes = positives(column)
    if yes is not None:
        return "boolean", yes
    when = read_time(column, named=0.3)
    if when is not None and not when.doubt:
        return "date", f"CAST({when.sql} AS DATE)"
    code = v.words("attribute_codes") & {*column.normal.split("_")} or column.normal.endswith("码")
    number = None if code else read_number(column)
    if number is not None and not number.doubt:
        return "number", number.sql
    few = column.distinct <= min(_MOST_CATEGORIES, column.filled * column.rows / _LEAST_ROWS)
    return ("text", column.text) if few else None


def _is_identifier(column: ColumnSample) -> bool:
    ids = any(
        v.name_score(role, column.normal) >= 0.6
        for role in (*(each for each in v.ROLES if each.endswith("_id")), "document_number")
    )
    named = re.search(r"(^|_)(id|no|name|phone|address|email|uuid|key)$", column.normal)
    chinese = re.search(r"姓名|名称|地址|电话|手机|邮箱|编号$|号$|号码$", column.normal)
    who = (ids and v.KINDS.search(column.normal) is None) or bool(named) or bool(chinese)
    return who and column.distinct > 2


def _names(column: ColumnSample) -> tuple[str, str]:
    """Return a noun phrase in English, and one in Chinese where the words are known."""
    known: dict[str, str] = v.content("words")["attribute_names"]
    if column.normal.isascii():
        chinese = {english: word for word, english in known.items()}
        return column.normal, chinese.get(column.normal, "")
    return known.get(column.normal) or f"{column.name} of the source", column.name


def _unit(column: ColumnSample, sql: str) -> str:
    parts = {*column.normal.split("_")}

    def named(key: str) -> bool:
        known = v.words(f"attribute_{key}")
        return any(w in parts or (not w.isascii() and w in column.normal) for w in known)

    if named("days"):
        return "days"
    if named("years"):
        return "years"
    if "WHEN '%' THEN" in sql or (named("shares") and column.low >= 0 and column.high <= 10):
        return "share"
    if named("counts"):
        return "events"
    if named("income"):
        return "base currency a year" if named("annual") else "base currency"
    return "base currency" if named("money") else "number"


def _doubt(sample: FileSample, column: ColumnSample, label: str) -> str:
    """Explain why a column may reveal the label: by its name or by its missing values."""
    named = any(v.name_score(role, column.normal) >= 0.6 for role in _LABELS)
    if named or any(v.means(word, v.words("known_later")) for word in column.normal.split("_")):
        return v.note("later_by_name")
    if label:
        filled = f"nullif(trim({column.text}), '') IS NOT NULL"
        bad, good = sample.engine.one(
            f"SELECT avg(CASE WHEN {filled} THEN 1 ELSE 0 END) FILTER ({label}), "
            f"avg(CASE WHEN {filled} THEN 1 ELSE 0 END) FILTER (NOT coalesce({label}, false)) "
            f"FROM {quote_name(sample.name)}"
        )
        if abs(float(bad or 0.0) - float(good or 0.0)) >= _APART:  # type: ignore[arg-type]
            return v.note("filled_with_label")
    return ""


def _later(engine: Engine, made: TableProposal, sql: str) -> str:
    """Explain in how many rows a date is later than its row, so that it may not be known yet."""
    own = made.columns.get("event_time")
    if own is None:
        return ""
    later = engine.one(
        f"SELECT avg(CASE WHEN {sql} > TRY_CAST(TRY_CAST({own.sql} AS TIMESTAMP) AS DATE) "
        f"THEN 1 ELSE 0 END) FROM {made.rows}"
    )[0]
    share = float(later or 0.0)  # type: ignore[arg-type]
    if share <= _FEW_LATER:
        return ""
    return v.note("later_than_row", share=share)
