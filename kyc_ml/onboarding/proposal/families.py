"""Features that a proposed source allows, by family, and data that would allow more."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from kyc_ml import contract as c
from kyc_ml import features as f
from kyc_ml.config import FeatureConfig, TableAttribute, Unit, attribute_column

_MOST_ITEMS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFamily:
    """Features of one family that a source allows."""

    name: str
    available: int
    declared: int
    missing: tuple[str, ...]
    """Why the others are left out, the commonest reason first."""


def items_of(tables: Mapping[str, pa.Table]) -> tuple[str, ...]:
    """List the items of third parties, if they are few and named like columns."""
    if c.THIRD_PARTY not in tables:
        return ()
    items = sorted(set(tables[c.THIRD_PARTY]["item"].to_pylist()))
    named = [item for item in items if re.fullmatch(r"[a-z][a-z0-9_]*", item)]
    return tuple(named) if len(named) <= _MOST_ITEMS else ()


def weigh_families(
    columns: Mapping[str, tuple[str, ...]],
    *,
    unit: Unit,
    items: tuple[str, ...] = (),
    attributes: Sequence[TableAttribute] = (),
) -> tuple[ColumnFamily, ...]:
    """Count the features of each family for a source with these tables and columns."""
    observed = [f.OBSERVATION_ID, c.CUSTOMER_ID, f.DECISION_TIME]
    if unit == "fraud":
        own = set(columns.get(c.TRANSACTIONS, ())) - {c.TRANSACTION_ID, c.EVENT_TIME, c.KNOWN_AT}
        observed = list(dict.fromkeys([*observed, *sorted(own)]))
    else:
        observed += [
            name for name in columns.get(c.REVIEWS, ()) if name.startswith(attribute_column(""))
        ]
    config = FeatureConfig(families=tuple(f.FAMILIES), third_party_items=items)
    specs = f.choose_features(config, unit=unit, attributes=attributes or None)
    available, unavailable = f.split_available(specs, f.with_made(columns), observed)
    shown = [spec for spec in specs if not spec.intermediate]
    given = Counter(spec.family for spec in available if not spec.intermediate)
    found = []
    for family in f.FAMILIES:
        members = [spec.name for spec in shown if spec.family == family]
        reasons = Counter(unavailable[name] for name in members if name in unavailable)
        found.append(
            ColumnFamily(
                name=family,
                available=given[family],
                declared=len(members),
                missing=tuple(reason for reason, _ in reasons.most_common(3)),
            )
        )
    return tuple(found)
