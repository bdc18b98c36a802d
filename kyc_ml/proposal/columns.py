"""One contracted column from one of the user's: the expression, tried, with its evidence."""

from __future__ import annotations

import re
from dataclasses import replace

from kyc_ml.contract.tables import (
    CONTRACT,
    COUNTRY,
    DECLARED_INCOME,
    DOCUMENT_NUMBER,
    DOCUMENT_TYPE,
    NATIONALITY,
    OUTCOME,
    RESIDENCE_COUNTRY,
)
from kyc_ml.engine.local import quote_text
from kyc_ml.proposal.codes import TODO, are_grades, case_sql, positives, share_of, translate
from kyc_ml.proposal.countries import COUNTRY_CODES
from kyc_ml.proposal.guesses import Certainty, Guess, certainty_of
from kyc_ml.proposal.looking import ColumnLook, Desk, FileLook, words_held
from kyc_ml.proposal.numbers import read_number
from kyc_ml.proposal.roles import Part
from kyc_ml.proposal.vocabulary import ANY_IDENTITY_CARDS, DOCUMENTS, name_score

RESIDENT_DIGITS = 18
"""Length of a Chinese resident's number."""
LEAST_WELL = 0.6
_COUNTRIES = (COUNTRY, NATIONALITY, RESIDENCE_COUNTRY)


def guess_column(desk: Desk, look: FileLook, table: str, name: str, part: Part) -> Guess | None:
    """Write a contracted column from the column that plays its role."""
    contracted = CONTRACT[table].column(name)
    if part.time is not None:
        return time_guess(name, part)
    if contracted.type == "double":
        return _number(desk, look, name, part)
    if contracted.type == "boolean":
        return _flag(name, part)
    return _word(desk, look, name, part, coded=bool(contracted.allowed) or name == "instrument")


def _word(desk: Desk, look: FileLook, name: str, part: Part, *, coded: bool) -> Guess:
    if coded:
        return code_guess(name, part)
    if name in _COUNTRIES:
        return _country(desk, look, name, part)
    if name == DOCUMENT_TYPE:
        return _document(desk, look, part)
    return _guess(name, identifier_sql(part.column), part, _shape(part.column))


def _country(desk: Desk, look: FileLook, name: str, part: Part) -> Guess:
    """Write a country in two letters, translated from names where they are written out."""
    column = part.column
    two = f"regexp_full_match({column.text}, '[A-Z]{{2}}')"
    if share_of(desk, look, f"{two} OR {column.sql} IS NULL") >= 1.0:
        return _guess(name, column.sql, part, "two letters")
    upper = f"nullif(upper(trim({column.text})), '')"
    words = words_held(desk, look, column, COUNTRY_CODES)
    if not words:
        return _guess(name, upper, part, "two letters")
    low = f"lower(trim({column.text}))"
    cases = " ".join(
        f"WHEN {quote_text(word)} THEN {quote_text(COUNTRY_CODES[word])}" for word in words
    )
    shown = "a country's name or three letters become two letters"
    return _guess(name, f"CASE {low} {cases}\nELSE {upper} END", part, shown)


def _document(desk: Desk, look: FileLook, part: Part) -> Guess:
    """Write the kind of an identity document in the words whose numbers are checked."""
    column = part.column
    known = dict(DOCUMENTS)
    if any(
        name_score(DOCUMENT_NUMBER, each.normal) >= LEAST_WELL and each.longest == RESIDENT_DIGITS
        for each in look.columns
    ):
        known |= dict.fromkeys(ANY_IDENTITY_CARDS, "resident_id")
    words = words_held(desk, look, column, known)
    if not words:
        return _guess(DOCUMENT_TYPE, column.sql, part, "kinds as they are: no number is checked")
    low = f"lower(trim({column.text}))"
    cases = " ".join(f"WHEN {quote_text(word)} THEN {quote_text(known[word])}" for word in words)
    sql = f"CASE {low} {cases}\nELSE {column.text} END"
    shown = f"{', '.join(dict.fromkeys(known[word] for word in words))} by its words"
    return _guess(DOCUMENT_TYPE, sql, part, shown)


def todo_guess(name: str, part: Part) -> Guess:
    """Leave a column to the user, with what kept it from being read."""
    return Guess(
        column=name,
        sql=quote_text(TODO),
        certainty="yours",
        evidence=f"column {part.column.name} {part.todo}",
    )


def time_guess(name: str, part: Part) -> Guess:
    """Write a time; a doubt of the reading makes it a guess."""
    if part.todo:
        return todo_guess(name, part)
    reading = part.time
    assert reading is not None  # noqa: S101  the caller has seen it
    certainty: Certainty = "guess" if reading.doubt else certainty_of(part.score)
    doubt = f"; {reading.doubt}: please confirm" if reading.doubt else ""
    return Guess(
        column=name,
        sql=reading.sql,
        certainty=certainty,
        evidence=(
            f"column {part.column.name}: {reading.form}, {reading.share:.0%} of the values read, "
            f"{reading.low:%Y-%m-%d} to {reading.high:%Y-%m-%d}{doubt}"
            if name not in {"birth_date", "document_expiry"}
            else f"column {part.column.name}: {reading.form}, {reading.share:.0%} read{doubt}"
        ),
    )


def code_guess(name: str, part: Part) -> Guess:
    """Translate codes; those without a known meaning become a word that check refuses."""
    column = part.column
    allowed = _allowed(name)
    if column.codes and set(column.codes) <= set(allowed):
        return _guess(name, column.text, part, "the contract's own codes")
    if name == "pep_status":
        return _pep(part)
    words = translate(name, column.codes)
    if name == "instrument":
        sql = case_sql(column, words, others=column.text) if words else column.text
        shown = f"{len(words)} of {len(column.codes)} codes known" if column.codes else "as it is"
        return _guess(name, sql, part, shown)
    unknown = [code for code in column.codes if code not in words]
    if name == OUTCOME and are_grades(column.codes):
        return Guess(
            column=name,
            sql=case_sql(column, words, others=column.text),
            certainty="guess",
            evidence=f"column {column.name}: grades of loans; 次级, 可疑 and 损失 count as "
            "default, the others as cleared: confirm",
        )
    if not unknown:
        return _guess(name, case_sql(column, words, others=column.text), part, "all codes known")
    words = {**words, **dict.fromkeys(unknown, TODO)}
    return Guess(
        column=name,
        sql=case_sql(column, words, others=column.text),
        certainty="yours",
        evidence=(
            f"column {column.name}: {len(unknown)} of {len(column.codes)} codes have no known "
            f"meaning; write one of {', '.join(allowed)} for each {TODO}"
        ),
    )


def _allowed(name: str) -> tuple[str, ...]:
    for table in CONTRACT.values():
        if name in table.names:
            return table.column(name).allowed
    return ()


def _pep(part: Part) -> Guess:
    column = part.column
    yes = positives(column)
    if yes is None:
        return _guess("pep_status", column.text, part, "codes as they are")
    sql = f"CASE WHEN {yes} THEN 'domestic' ELSE 'none' END"
    return Guess(
        column="pep_status",
        sql=sql,
        certainty="guess",
        evidence=f"column {column.name} is a flag; domestic or foreign is not told: confirm",
    )


def _number(desk: Desk, look: FileLook, name: str, part: Part) -> Guess | None:
    reading = read_number(desk, look, part.column, money=name != "value")
    if reading is None:
        return None
    if name == DECLARED_INCOME and re.search(r"month|^月|月收入|月薪", part.column.normal):
        reading = replace(
            reading, sql=f"{reading.numeric} * 12", doubt="of a month by its name, so times 12"
        )
    doubt = f"; {reading.doubt}: please confirm" if reading.doubt else ""
    return Guess(
        column=name,
        sql=reading.sql,
        certainty="guess" if reading.doubt else certainty_of(part.score),
        evidence=f"column {part.column.name}: {reading.form}{doubt}",
        alternatives=reading.alternatives,
    )


def _flag(name: str, part: Part) -> Guess | None:
    yes = positives(part.column)
    return None if yes is None else _guess(name, yes, part, "two values")


def identifier_sql(column: ColumnLook) -> str:
    """Write an identifier; one that went through a float loses its ``.0`` again."""
    if column.family == "float":
        return f"CAST({column.sql} AS BIGINT)"
    if column.family == "text" and column.whole == 1.0 and _ends_in_zero(column):
        return f"regexp_replace({column.sql}, '\\.0$', '')"
    return column.sql


def _ends_in_zero(column: ColumnLook) -> bool:
    """Tell by its length whether every whole number is written with one decimal."""
    return column.longest == len(f"{int(column.high)}") + 2


def _shape(column: ColumnLook) -> str:
    kinds = "numbers" if column.whole == 1.0 else "text"
    widths = dict.fromkeys((column.shortest, column.longest))
    return f"{kinds} of {' to '.join(str(width) for width in widths)} characters"


def _guess(name: str, sql: str, part: Part, shown: str) -> Guess:
    filled = "" if part.column.filled >= 0.995 else f", {part.column.filled:.0%} filled"
    return Guess(
        column=name,
        sql=sql,
        certainty=certainty_of(part.score),
        evidence=f"column {part.column.name}: {shown}{filled}",
    )


def constant(name: str, text: str, evidence: str) -> Guess:
    """Propose one word for all rows, to be confirmed."""
    return Guess(column=name, sql=quote_text(text), certainty="guess", evidence=evidence)
