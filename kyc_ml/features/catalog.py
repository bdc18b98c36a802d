"""The catalogue: every declared feature, and the choice a configuration makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from kyc_ml.config import FeatureConfig, TableAttribute
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.features.families.attributes import ATTRIBUTES, declare, with_attributes
from kyc_ml.features.families.tables import read_families
from kyc_ml.features.made import PATTERNS
from kyc_ml.features.spec import FeatureSpec, all_made_of

_TABLES: Final = (
    *("velocity", "amounts", "timing", "counterparties", "novelty", "dormancy", "devices"),
    *("label_history", "profile", "geography", "instruments", "structuring", "flow_through"),
    *("network", "peers", "third_party"),
)
FAMILIES: Final = (*_TABLES, ATTRIBUTES)
"""Families of features, in the order of their features in a model."""


def declare_features(config: FeatureConfig) -> dict[str, FeatureSpec]:
    """Declare every feature there is under a configuration's items, lists and amounts.

    Raises ConfigError if two attributes, items or lists give features of the same name.
    """
    declared: dict[str, FeatureSpec] = {}
    faults = Faults("features", ConfigError)
    read = read_families(_TABLES, config.amounts, config.country_lists, config.third_party_items)
    for spec in (*read, *declare(config.attributes)):
        if spec.name in declared:
            faults.add(
                "attributes, third_party_items or country_lists: two give a feature named "
                f"{spec.name!r}: rename one of them, or leave it out"
            )
        declared[spec.name] = spec
    faults.raise_if_any()
    return declared


def choose_features(
    config: FeatureConfig, *, unit: str, attributes: Sequence[TableAttribute] | None = None
) -> tuple[FeatureSpec, ...]:
    """List the features of the chosen families that a unit of observation has.

    A formula may need a feature that was not chosen: it becomes an intermediate feature.

    Parameters
    ----------
    attributes : sequence of TableAttribute, optional
        Of the tables that the features will be built from; see `ContractedTables.attributes`.
        None takes those that the configuration holds.

    Raises
    ------
    ConfigError
        If a family, an included or an excluded feature does not exist, or an included one
        is not of this unit; all faults are listed. If the family `attributes` is chosen for
        tables that have none.
    """
    if attributes is not None:
        config = with_attributes(config, attributes)
    declared = declare_features(config)
    _check_names(config, declared, unit=unit)
    late = not_in_time(declared) if config.real_time else ()
    chosen = {
        spec.name: spec
        for spec in declared.values()
        if spec.name in config.include
        or (
            spec.family in config.families
            and spec.name not in config.exclude
            and spec.name not in late
            and unit in spec.observation_units
        )
    }
    # a feature that is asked for by name is visible, even if it is declared as intermediate
    for name in config.include:
        chosen[name] = replace(chosen[name], intermediate=False)
    # a copy: the dictionary grows in the loop
    for spec in tuple(chosen.values()):
        for name in all_made_of(spec, declared):
            chosen.setdefault(name, replace(declared[name], intermediate=True))
    return tuple(chosen.values())


def not_in_time(known: Mapping[str, FeatureSpec]) -> list[str]:
    """Return the names of features that no single request can wait for.

    They read money-flow patterns, for which the whole bank is searched.
    """
    searched = {name for name, spec in known.items() if PATTERNS in spec.how.tables()}
    return [n for n, spec in known.items() if searched & {n, *all_made_of(spec, known)}]


def _check_names(config: FeatureConfig, declared: dict[str, FeatureSpec], *, unit: str) -> None:
    faults = Faults("features", ConfigError)
    faults.extend(
        f"families: {name!r} is not a feature family{hint(name, FAMILIES)}; "
        f"known: {', '.join(FAMILIES)}"
        for name in config.families
        if name not in FAMILIES
    )
    for key, names in (("include", config.include), ("exclude", config.exclude)):
        faults.extend(
            f"{key}: {name!r} is not a declared feature{hint(name, declared)}"
            for name in names
            if name not in declared
        )
    faults.extend(
        f"include: {name!r} is a feature of {' and '.join(declared[name].observation_units)} "
        f"observations, not of {unit}"
        for name in config.include
        if name in declared and unit not in declared[name].observation_units
    )
    late = set(config.include) & set(declared) if config.real_time else set()
    faults.extend(
        f"include: {name!r} with real_time: no request can wait for it; leave out one of them"
        for name in sorted(late.intersection(not_in_time(declared)))
    )
    if config.third_party_items and "third_party" not in config.families:
        faults.add("third_party_items are listed, but families lacks third_party: add it")
    faults.raise_if_any()
