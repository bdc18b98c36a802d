"""One contracted column from a column of the user: a tried expression and its evidence."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kyc_ml import contract as c
from kyc_ml.onboarding.proposal import codes
from kyc_ml.onboarding.proposal import vocabulary as v
from kyc_ml.onboarding.proposal.guesses import Guess, certainty_of
from kyc_ml.onboarding.proposal.numbers import read_number
from kyc_ml.onboarding.proposal.roles import RolePart
from kyc_ml.onboarding.proposal.samples import ColumnSample, FileSample, words_held
from kyc_ml.storage import quote_text

_RESIDENT_DIGITS = 18
"""Length of a Chinese resident's number."""
_LEAST_WELL = 0.6
_COUNTRIES = (c.COUNTRY, c.NATIONALITY, c.RESIDENCE_COUNTRY)


def guess_column(  # noqa: PLR0911  one kind of column after the other
    sample: FileSample, table: str, name: str, part: RolePart
) -> Guess | None:
    """Write a contracted column from the column that plays its role."""
    contracted = c.CONTRACT[table].column(name)
    column = part.column
    if part.time is not None:
        return time_guess(name, part)
    if contracted.type == "double":
        return _number(sample, name, part)
    if contracted.type == "boolean":
        yes = codes.positives(column)
        return None if yes is None else _guess(name, yes, part, v.note("two_values"))
    if contracted.allowed or name == "instrument":
        return code_guess(name, part)
    if name in _COUNTRIES:
        return _country(sample, name, part)
    if name == c.DOCUMENT_TYPE:
        return _document(sample, part)
    kind = "numbers" if column.whole == 1.0 else "text"
    widths = " to ".join(str(n) for n in dict.fromkeys((column.shortest, column.longest)))
    return _guess(name, identifier_sql(column), part, v.note("key_shape", kind=kind, widths=widths))


def _country(sample: FileSample, name: str, part: RolePart) -> Guess:
    column = part.column
    two = f"regexp_full_match({column.text}, '[A-Z]{{2}}')"
    if codes.share_of(sample, f"{two} OR {column.sql} IS NULL") >= 1.0:
        return _guess(name, column.sql, part, v.note("two_letters"))
    upper = f"nullif(upper(trim({column.text})), '')"
    known = words_held(column, v.COUNTRY_CODES)
    if not known:
        return _guess(name, upper, part, v.note("two_letters"))
    return _guess(
        name, _case_of_words(column, known, v.COUNTRY_CODES, upper), part, v.note("country")
    )


def _document(sample: FileSample, part: RolePart) -> Guess:
    """Write the kind of an identity document in the contract's words, whose numbers are checked."""
    column = part.column
    kinds = dict(v.DOCUMENTS)
    if any(
        v.name_score(c.DOCUMENT_NUMBER, each.normal) >= _LEAST_WELL
        and each.longest == _RESIDENT_DIGITS
        for each in sample.columns
    ):
        kinds |= dict.fromkeys(v.phrases("any_identity_cards"), "resident_id")
    known = words_held(column, kinds)
    if not known:
        return _guess(c.DOCUMENT_TYPE, column.sql, part, v.note("document_as_it_is"))
    shown = v.note("document", kinds=", ".join(dict.fromkeys(kinds[word] for word in known)))
    return _guess(c.DOCUMENT_TYPE, _case_of_words(column, known, kinds, column.text), part, shown)


def _case_of_words(
    column: ColumnSample, known: Sequence[str], meanings: Mapping[str, str], others: str
) -> str:
    cases = " ".join(f"WHEN {quote_text(w)} THEN {quote_text(meanings[w])}" for w in known)
    return f"CASE lower(trim({column.text})) {cases}\nELSE {others} END"


def todo_guess(name: str, part: RolePart) -> Guess:
    """Leave a column to the user, with the reason why it cannot be read."""
    return Guess(name, quote_text(codes.TODO), "yours", f"column {part.column.name} {part.todo}")


def time_guess(name: str, part: RolePart) -> Guess:
    """Write a time; a doubt of the reading makes it a guess."""
    reading = part.time
    if part.todo or reading is None:
        return todo_guess(name, part)
    # the range of a person's dates is not shown: it could identify a customer
    key = "time_of_person" if name in {"birth_date", "document_expiry"} else "time"
    shown = v.note(key, column=part.column.name, reading=reading) + confirm(reading.doubt)
    return Guess(name, reading.sql, "guess" if reading.doubt else certainty_of(part.score), shown)


def confirm(doubt: str) -> str:
    """Append a doubt to a sentence, if there is one."""
    return f"; {doubt}: please confirm" if doubt else ""


def code_guess(name: str, part: RolePart) -> Guess:  # noqa: PLR0911  one kind of codes after the other
    """Translate codes; unknown ones become a word that `check` refuses."""
    column = part.column
    allowed = next((t.column(name).allowed for t in c.CONTRACT.values() if name in t.names), ())
    if column.codes and set(column.codes) <= set(allowed):
        return _guess(name, column.text, part, v.note("own_codes"))
    if name == "pep_status":
        yes = codes.positives(column)
        if yes is None:
            return _guess(name, column.text, part, v.note("codes_as_they_are"))
        sql = f"CASE WHEN {yes} THEN 'domestic' ELSE 'none' END"
        return Guess(name, sql, "guess", v.note("pep_flag", column=column.name))
    meanings = codes.translate(name, column.codes)
    known = codes.case_sql(column, meanings, others=column.text)
    counts = {"column": column.name, "all": len(column.codes)}
    if name == "instrument":
        shown = v.note("codes_known", known=len(meanings), **counts) if column.codes else "as it is"
        return _guess(name, known if meanings else column.text, part, shown)
    if name == c.OUTCOME and codes.are_grades(column.codes):
        return Guess(name, known, "guess", v.note("grades", column=column.name))
    unknown = [code for code in column.codes if code not in meanings]
    if not unknown:
        return _guess(name, known, part, v.note("all_codes_known"))
    sql = codes.case_sql(
        column, {**meanings, **dict.fromkeys(unknown, codes.TODO)}, others=column.text
    )
    shown = v.note("codes_unknown", unknown=len(unknown), allowed=", ".join(allowed), **counts)
    return Guess(name, sql, "yours", shown)


def _number(sample: FileSample, name: str, part: RolePart) -> Guess | None:
    reading = read_number(part.column, money=name != "value")
    if reading is None:
        return None
    if name == c.DECLARED_INCOME and re.search(r"month|^月|月收入|月薪", part.column.normal):
        reading = replace(reading, sql=f"{reading.numeric} * 12", doubt=v.note("monthly"))
    return Guess(
        name,
        reading.sql,
        "guess" if reading.doubt else certainty_of(part.score),
        v.note("column", column=part.column.name, form=reading.form) + confirm(reading.doubt),
        reading.alternatives,
    )


def identifier_sql(column: ColumnSample) -> str:
    """Write an identifier; remove the ``.0`` of one that was stored as a float."""
    if column.family == "float":
        return f"CAST({column.sql} AS BIGINT)"
    # every whole number has one decimal if the longest is two characters longer than its digits
    if (
        column.family == "text"
        and column.whole == 1.0
        and column.longest == len(f"{int(column.high)}") + 2
    ):
        return f"regexp_replace({column.sql}, '\\.0$', '')"
    return column.sql


def _guess(name: str, sql: str, part: RolePart, shown: str) -> Guess:
    filled = "" if part.column.filled >= 0.995 else f", {part.column.filled:.0%} filled"
    shown = v.note("column", column=part.column.name, form=shown + filled)
    return Guess(name, sql, certainty_of(part.score), shown)


def constant(name: str, text: str, evidence: str) -> Guess:
    """Propose one word for all rows, to be confirmed."""
    return Guess(name, quote_text(text), "guess", evidence)
