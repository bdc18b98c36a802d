"""What a customer may be told: plain facts of their own, never that they are watched.

Tiers, probabilities, overrides and what raises a risk are internal only (银发〔2013〕2号:
保密原则). What may be told is listed, not what may not: a family that is new, or a table
that nobody thought of, stays inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from kyc_ml.contract import (
    ACCOUNT_ID,
    ACCOUNTS,
    CUSTOMER_ID,
    CUSTOMERS,
    EVENTS,
    LIST_HIT,
    PEP_STATUS,
    TRANSACTIONS,
)
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.policy_rules import TELLABLE
from kyc_ml.features import (
    DECISION_TIME,
    OBSERVATION_ID,
    FeatureSpec,
    Formula,
    Latest,
    LatestValue,
    Matched,
    Own,
    RowColumn,
    RowFunction,
    Window,
    name_of,
)

_OWN_TABLES: Final = frozenset({ACCOUNTS, CUSTOMERS, EVENTS, TRANSACTIONS})
"""Tables of what customers gave or did themselves: no cases, no reports of others."""

_OWN_KEYS: Final = frozenset({CUSTOMER_ID, ACCOUNT_ID})
"""Keys whose rows are the customer's own; another key's rows are other people's."""

_SECRET_COLUMNS: Final = frozenset({LIST_HIT, PEP_STATUS})


def confidentiality(policy: TierPolicy) -> dict[str, str]:
    """Say who may see a score table and how long it is kept: metadata of every one written."""
    kept = policy.retention
    return {
        "disclosure": policy.disclosure,
        "retention": f"{kept.years} years from the {kept.counted_from}",
        "retention_source": kept.source,
        "policy": policy.label,
    }


def disclosable(
    specs: Mapping[str, FeatureSpec], *, families: tuple[str, ...]
) -> dict[str, FeatureSpec]:
    """List the features that tip nobody off, by reason code.

    A feature qualifies if its family is listed and may be, it is meant to show no typology,
    it reads rows of the customer's own in tables of their own, none of them by a list of
    countries or by list and PEP status, and all of it holds of every feature it is made of.

    Parameters
    ----------
    specs : mapping of name to FeatureSpec
        Declared features, with those that they are made of.
    families : tuple of str
        What the policy allows (`tellable_families`).
    """
    return {
        spec.reason_code: spec
        for spec in specs.values()
        if spec.family in families and spec.family in TELLABLE and _is_harmless(spec, specs)
    }


def customer_safe(scores: pa.Table, told: Mapping[str, FeatureSpec]) -> pa.Table:
    """Keep of a score table what its customers may be told.

    Parameters
    ----------
    scores : pyarrow.Table
        With columns reason_1_code, reason_1_value and so on.
    told : mapping of reason code to FeatureSpec
        As `disclosable` gives it.

    Returns
    -------
    pyarrow.Table of as many rows
        observation_id, customer_id, decision_time, and for each reason of a row that may be
        told, in order: fact_i, fact_i_zh (what the value is, without what follows from it),
        fact_i_value (null for a category) and fact_i_code. Null where fewer may be told.
        Neither probability, margin, tier, contribution nor direction is there.
    """
    k = sum(name.startswith("reason_") and name.endswith("_code") for name in scores.column_names)
    codes = [scores[f"reason_{i}_code"].to_pylist() for i in range(1, k + 1)]
    values = [scores[f"reason_{i}_value"].to_pylist() for i in range(1, k + 1)]
    facts: list[list[tuple[str, str, float | None, str]]] = []
    for row in range(len(scores)):
        named = [(codes[i][row], values[i][row]) for i in range(k)]
        facts.append(
            [
                (told[code].description, told[code].description_zh, value, code)
                for code, value in named
                if code in told
            ]
        )
    columns: dict[str, pa.Array] = {
        name: scores[name] for name in (OBSERVATION_ID, CUSTOMER_ID, DECISION_TIME)
    }
    for i in range(k):
        for place, (suffix, kind) in enumerate(
            (
                ("", pa.string()),
                ("_zh", pa.string()),
                ("_value", pa.float64()),
                ("_code", pa.string()),
            )
        ):
            cells = [row[i][place] if i < len(row) else None for row in facts]
            columns[f"fact_{i + 1}{suffix}"] = pa.array(cells, kind)
    return pa.table(columns)


def _is_harmless(spec: FeatureSpec, specs: Mapping[str, FeatureSpec]) -> bool:
    """Tell whether a feature, and all it is made of, reads harmless things only."""
    if spec.typology is not None:
        return False
    match spec.how:
        case Window() | Latest() as how:
            return _reads_own(how)
        case Own(column=column):
            return column is None or _is_plain(column)
        case Formula(inputs=inputs):
            return all(name in specs and _is_harmless(specs[name], specs) for name in inputs)
        case _:  # a comparison with peers tells of others
            return False


def _reads_own(how: Window | Latest) -> bool:
    columns = [column for _, column in how.columns("")]
    listed = isinstance(how, Latest) and bool(how.listing)
    return (
        how.table in _OWN_TABLES
        and not listed
        and how.at is None
        and any(name_of(column) in _OWN_KEYS for column in how.key)
        and all(_is_plain(column) for column in columns)
    )


def _is_plain(column: str | RowColumn) -> bool:
    """Tell whether a column, and all it is computed from, holds nothing secret."""
    if isinstance(column, str):
        return column not in _SECRET_COLUMNS
    match column.how:
        case RowFunction(listing=listing) if listing:
            return False
        case LatestValue(how=how):
            return _reads_own(how)
        case Matched():
            return False  # following money through an account is what monitoring does
    return all(_is_plain(each) for _, each in column.how.columns(""))
