"""How codes become the contract's words; what nobody can know stays the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kyc_ml.engine.local import quote_name, quote_text
from kyc_ml.proposal.looking import ColumnLook, Desk, FileLook, quoted_codes
from kyc_ml.proposal.vocabulary import (
    ALLEGATIONS,
    ENTITIES,
    GRADES,
    INSTRUMENTS,
    INTO,
    NEGATING_SIGNS,
    NEGATIONS,
    OUT_OF,
    OUTCOMES,
    PERSONS,
    STATUSES,
    UNPROVEN,
    means,
    normalise,
)

TODO: Final = "TODO"
_TRUE: Final = frozenset({"1", "true", "t", "y", "yes", "是", "1.0"})
_FALSE: Final = frozenset({"0", "false", "f", "n", "no", "否", "0.0", "-1"})

_ADVERSE: Final = frozenset(OUTCOMES) - {"cleared", "open"}
_PINYIN: Final = frozenset({"j", "d"})
"""借 (jie) and 贷 (dai): together they turn the meaning of a lone D."""

_MEANINGS: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "direction": {"in": INTO, "out": OUT_OF},
    "customer_type": {"person": PERSONS, "entity": ENTITIES},
    "status": {word: frozenset(codes.split()) for word, codes in STATUSES.items()},
    "outcome": {word: frozenset(codes.split()) for word, codes in OUTCOMES.items()},
    "instrument": {word: frozenset(codes.split()) for word, codes in INSTRUMENTS.items()},
}


def are_grades(codes: tuple[str, ...]) -> bool:
    """Tell whether codes are grades of loans: 可疑 among them is no suspicion of a crime.

    Examples
    --------
    >>> are_grades(("正常", "关注", "可疑")), are_grades(("正常", "可疑"))
    (True, False)
    """
    low = {code.lower() for code in codes}
    telling = {"关注", "次级", "损失", "substandard", "doubtful", "special mention"}
    return bool(low & telling) and low <= set(GRADES)


def translate(contracted: str, codes: tuple[str, ...]) -> dict[str, str]:
    """Find the contract's word for each code that has one.

    Examples
    --------
    >>> translate("direction", ("credit", "withdrawal", "VYDAJ"))
    {'credit': 'in', 'withdrawal': 'out'}
    """
    if contracted == "direction" and {code.lower() for code in codes} == _PINYIN:
        return {code: "out" if code.lower() == "j" else "in" for code in codes}
    if contracted == "outcome" and are_grades(codes):
        return {code: GRADES[code.lower()] for code in codes}
    if contracted == "outcome":
        meant = {code: _outcome_of(code) for code in codes}
        return {code: word for code, word in meant.items() if word is not None}
    found = {}
    for code in codes:
        for word, known in _MEANINGS[contracted].items():
            # a means of payment may stand anywhere: "withdrawal in cash"
            anywhere = contracted == "instrument" and known & {*normalise(code).split("_")}
            if code.lower() == word or anywhere or means(code, known):
                found[code] = word
                break
    return found


def _outcome_of(code: str) -> str | None:
    """Say what a code of an outcome means; None where its words contradict each other.

    "NOT FRAUD" is no fraud, and neither is "CONFIRMED GENUINE": a wrong label is worse than a
    question.

    Examples
    --------
    >>> [_outcome_of(code) for code in ("FRAUD", "NOT FRAUD", "非欺诈", "not paid")]
    ['confirmed_fraud', 'cleared', 'cleared', None]
    """
    text = normalise(code)
    meanings = _MEANINGS["outcome"]
    for word, known in meanings.items():
        if text == word or text in known:
            return word
    parts = {*text.split("_")}
    told = {word for word, known in meanings.items() if any(means(part, known) for part in parts)}
    if parts & UNPROVEN or (told & _ADVERSE and told - _ADVERSE):
        return None
    if parts & NEGATIONS or any(sign in text for sign in NEGATING_SIGNS):
        # "not confirmed" may yet be confirmed
        alleged = any(means(part, ALLEGATIONS) for part in parts)
        return "cleared" if alleged and not ("confirmed" in parts or "确认" in text) else None
    return next((word for word, known in meanings.items() if means(code, known)), None)


def case_sql(column: ColumnLook, words: Mapping[str, str], *, others: str) -> str:
    """Write a CASE over codes, those of one meaning together; the bare column if all agree."""
    if words and all(code == word for code, word in words.items()) and others == column.sql:
        return column.sql
    lines = ["CASE"]
    for word in dict.fromkeys(words.values()):
        same = [code for code, other in words.items() if other == word]
        lines.append(f"WHEN {column.text} IN {quoted_codes(same)} THEN {quote_text(word)}")
    lines.append(f"ELSE {others} END")
    return "\n".join(lines)


def positives(column: ColumnLook) -> str | None:
    """Give SQL that is true where a two-valued column says yes; None if it is none."""
    if column.type == "BOOLEAN":
        return column.sql
    low = {code.lower() for code in column.codes}
    if not low or len(low) > 3 or not low <= (_TRUE | _FALSE) or not low & _TRUE:
        return None
    return f"{column.text} IN {quoted_codes([c for c in column.codes if c.lower() in _TRUE])}"


def share_of(desk: Desk, look: FileLook, condition: str) -> float:
    """Share of the rows looked at for which SQL is true."""
    share = desk.one(
        f"SELECT count(*) FILTER ({condition}) / count(*) FROM {quote_name(look.name)}"
    )[0]
    return float(share or 0.0)  # type: ignore[arg-type]
