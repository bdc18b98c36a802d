"""Words by which a file says that a value is missing, as its mapping lists them."""

from __future__ import annotations

from collections.abc import Collection

from kyc_ml.engine.local import quote_list, quote_name


def present_sql(text: str, nulls: Collection[str], *, name: str) -> str:
    """Write text as SQL under a name, NULL where it is one of the words.

    DuckDB's own option for CSV takes no word that holds a quote, an escape or a delimiter, such as
    MySQL's backslash and N.
    """
    if nulls:
        text = f"CASE WHEN NOT list_contains({quote_list(nulls)}, {text}) THEN {text} END"
    return f"{text} AS {quote_name(name)}"
