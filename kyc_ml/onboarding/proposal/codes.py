"""Translation of codes into the contract's words; unknown codes are left to the user."""

from collections.abc import Mapping
from typing import Final

from kyc_ml.onboarding.proposal.samples import ColumnSample, FileSample, quoted_codes
from kyc_ml.onboarding.proposal.vocabulary import CODES, GRADES, means, normalise, phrases, words
from kyc_ml.storage import quote_name, quote_text

TODO: Final = "TODO"
_TRUE: Final = words("yes_words")
_FALSE: Final = words("no_words")
_ADVERSE: Final = frozenset(CODES["outcome"]) - {"cleared", "open"}


def are_grades(codes: tuple[str, ...]) -> bool:
    """Return whether codes are grades of loans, in which 可疑 does not mean a suspicion of crime.

    Examples
    --------
    >>> are_grades(("正常", "关注", "可疑")), are_grades(("正常", "可疑"))
    (True, False)
    """
    low = {code.lower() for code in codes}
    return bool(low & {*phrases("telling_grades")}) and low <= set(GRADES)


def translate(contracted: str, codes: tuple[str, ...]) -> dict[str, str]:
    """Return the contract's word for each code that has one.

    Examples
    --------
    >>> translate("direction", ("credit", "withdrawal", "VYDAJ"))
    {'credit': 'in', 'withdrawal': 'out'}
    """
    if contracted == "direction" and {code.lower() for code in codes} == {"j", "d"}:
        # 借 (jie) and 贷 (dai): together they reverse the meaning of a lone D
        return {code: "out" if code.lower() == "j" else "in" for code in codes}
    if contracted == "outcome" and are_grades(codes):
        return {code: GRADES[code.lower()] for code in codes}
    if contracted == "outcome":
        meant = {code: _outcome_of(code) for code in codes}
        return {code: word for code, word in meant.items() if word is not None}
    found = {}
    for code in codes:
        for word, known in CODES[contracted].items():
            # a means of payment may stand anywhere: "withdrawal in cash"
            anywhere = contracted == "instrument" and known & {*normalise(code).split("_")}
            if code.lower() == word or anywhere or means(code, known):
                found[code] = word
                break
    return found


def _outcome_of(code: str) -> str | None:
    """Return the outcome that a code means; None where its words contradict each other.

    "NOT FRAUD" and "CONFIRMED GENUINE" must not become frauds: a wrong label is worse than a
    question to the user.

    Examples
    --------
    >>> [_outcome_of(code) for code in ("FRAUD", "NOT FRAUD", "非欺诈", "not paid")]
    ['confirmed_fraud', 'cleared', 'cleared', None]
    """
    text = normalise(code)
    meanings = CODES["outcome"]
    for word, known in meanings.items():
        if text == word or text in known:
            return word
    parts = {*text.split("_")}
    named = {word for word, known in meanings.items() if any(means(part, known) for part in parts)}
    if parts & words("unproven") or (named & _ADVERSE and named - _ADVERSE):
        return None
    if parts & words("negations") or any(sign in text for sign in words("negating_signs")):
        # "not confirmed" may be confirmed later
        alleged = any(means(part, words("allegations")) for part in parts)
        return "cleared" if alleged and not ("confirmed" in parts or "确认" in text) else None
    return next((word for word, known in meanings.items() if means(code, known)), None)


def case_sql(column: ColumnSample, meanings: Mapping[str, str], *, others: str) -> str:
    """Write a CASE over codes, those of one meaning together; the bare column if all agree."""
    if meanings and all(code == word for code, word in meanings.items()) and others == column.sql:
        return column.sql
    lines = ["CASE"]
    for word in dict.fromkeys(meanings.values()):
        same = [code for code, other in meanings.items() if other == word]
        lines.append(f"WHEN {column.text} IN {quoted_codes(same)} THEN {quote_text(word)}")
    return "\n".join((*lines, f"ELSE {others} END"))


def positives(column: ColumnSample) -> str | None:
    """Return SQL that is true where a column of two values says yes; None for another column."""
    if column.type == "BOOLEAN":
        return column.sql
    low = {code.lower() for code in column.codes}
    if not low or len(low) > 3 or not low <= (_TRUE | _FALSE) or not low & _TRUE:
        return None
    return f"{column.text} IN {quoted_codes([c for c in column.codes if c.lower() in _TRUE])}"


def share_of(sample: FileSample, condition: str) -> float:
    """Return the share of a sample's rows for which SQL is true, in [0, 1]."""
    share = sample.engine.one(
        f"SELECT count(*) FILTER ({condition}) / count(*) FROM {quote_name(sample.name)}"
    )[0]
    return float(share or 0.0)  # type: ignore[arg-type]
