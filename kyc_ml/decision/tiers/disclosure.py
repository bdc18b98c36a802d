"""What may be disclosed to a customer: plain facts about them, never that they are monitored.

Tiers, probabilities, overrides and what raises a risk are internal only (银发〔2013〕2号:
保密原则). The code lists what may be disclosed, not what may not, so that a new family or a
new table stays internal until it is reviewed.
"""

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
from kyc_ml.decision.tiers.policy_rules import DISCLOSABLE_FAMILIES
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
"""Tables of what customers stated or did themselves: no cases, no reports of others."""

_OWN_KEYS: Final = frozenset({CUSTOMER_ID, ACCOUNT_ID})
"""Keys whose rows belong to the customer; rows of other keys belong to other people."""

_SECRET_COLUMNS: Final = frozenset({LIST_HIT, PEP_STATUS})


def confidentiality(policy: TierPolicy) -> dict[str, str]:
    """Return who may see a score table and how long it is kept, as metadata of its files."""
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
    """List the features whose disclosure tips no customer off, by name.

    A feature qualifies if its family is in `families` and in `DISCLOSABLE_FAMILIES`, it is not
    meant to show a typology, it reads only rows of the customer in tables about the customer,
    not by a list of countries or by list and PEP status, and all this is true of every feature
    it is made of.

    `specs`: mapping of name to FeatureSpec; declared features, with the features that they are made
    of.
    `families`: what the policy allows (`tellable_families`).
    """
    return {
        spec.name: spec
        for spec in specs.values()
        if spec.family in families
        and spec.family in DISCLOSABLE_FAMILIES
        and _is_harmless(spec, specs)
    }


def customer_safe(scores: pa.Table, allowed: Mapping[str, FeatureSpec]) -> pa.Table:
    """Keep the columns of a score table that may be disclosed to its customers.

    `scores`: with columns reason_1_feature, reason_1_value and so on.
    `allowed`: mapping of feature to FeatureSpec; as `disclosable` returns it.
    Returns pyarrow.Table of as many rows; observation_id, customer_id, decision_time, and for each
    disclosable reason of a row, in order: fact_i, fact_i_zh (what the value is, not its effect),
    fact_i_value (null for a category) and fact_i_code; null where a row has fewer. It never
    contains probability, margin, tier, contribution or direction.
    """
    k = sum(name.startswith("reason_") and name.endswith("_code") for name in scores.column_names)
    facts = [
        [
            (spec.description, spec.description_zh, row[f"reason_{i}_value"], spec.code)
            for i in range(1, k + 1)
            if (spec := allowed.get(row[f"reason_{i}_feature"])) is not None
        ]
        for row in scores.to_pylist()
    ]
    columns: dict[str, pa.Array] = {
        name: scores[name] for name in (OBSERVATION_ID, CUSTOMER_ID, DECISION_TIME)
    }
    for i in range(k):
        for place, suffix in enumerate(("", "_zh", "_value", "_code")):
            cells = [row[i][place] if i < len(row) else None for row in facts]
            kind = pa.float64() if suffix == "_value" else pa.string()
            columns[f"fact_{i + 1}{suffix}"] = pa.array(cells, kind)
    return pa.table(columns)


def _is_harmless(spec: FeatureSpec, specs: Mapping[str, FeatureSpec]) -> bool:
    """Return whether a feature, and all it is made of, reads harmless data only."""
    if spec.typology is not None:
        return False
    match spec.how:
        case Window() | Latest() as how:
            return _reads_own(how)
        case Own(column=column):
            return column is None or _is_plain(column)
        case Formula(inputs=inputs):
            return all(name in specs and _is_harmless(specs[name], specs) for name in inputs)
        case _:  # a comparison with peers reveals data about others
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
    """Return whether a column, and all it is computed from, holds nothing secret."""
    if isinstance(column, str):
        return column not in _SECRET_COLUMNS
    match column.how:
        case RowFunction(listing=listing) if listing:
            return False
        case LatestValue(how=how):
            return _reads_own(how)
        case Matched():
            return False  # following money through an account would reveal the monitoring
    return all(_is_plain(each) for _, each in column.how.columns(""))
