"""The catalogue: every declared feature, and the choice a configuration makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from kyc_ml.config import FeatureConfig, TableAttribute
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.features.families import (
    amounts,
    attributes,
    counterparties,
    devices,
    dormancy,
    flow_through,
    geography,
    instruments,
    label_history,
    network,
    novelty,
    peers,
    profile,
    structuring,
    third_party,
    timing,
    velocity,
)
from kyc_ml.features.families.attributes import with_attributes
from kyc_ml.features.spec import FeatureSpec, all_made_of

Declare = Callable[[FeatureConfig], tuple[FeatureSpec, ...]]


def _always(specs: tuple[FeatureSpec, ...]) -> Declare:
    """Declare the same features under every configuration."""
    return lambda _: specs


FAMILIES: Final[Mapping[str, Declare]] = MappingProxyType(
    {
        "velocity": _always(velocity.FEATURES),
        "amounts": amounts.features_of,
        "timing": _always(timing.FEATURES),
        "counterparties": _always(counterparties.FEATURES),
        "novelty": _always(novelty.FEATURES),
        "dormancy": dormancy.features_of,
        "devices": _always(devices.FEATURES),
        "label_history": _always(label_history.FEATURES),
        "profile": _always(profile.FEATURES),
        "geography": geography.features_of,
        "instruments": _always(instruments.FEATURES),
        "structuring": structuring.features_of,
        "flow_through": _always(flow_through.FEATURES),
        "network": _always(network.FEATURES),
        "peers": _always(peers.FEATURES),
        "third_party": third_party.features_of,
        attributes.ATTRIBUTES: attributes.features_of,
    }
)


def declare_features(config: FeatureConfig) -> dict[str, FeatureSpec]:
    """Declare every feature there is under a configuration's items, lists and amounts.

    Raises
    ------
    ConfigError
        If two attributes, items or lists give features of the same name.
    """
    declared: dict[str, FeatureSpec] = {}
    faults = Faults("features", ConfigError)
    for spec in (spec for declare in FAMILIES.values() for spec in declare(config)):
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

    A formula may need a feature that was not chosen: it is computed, but hidden.

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
    chosen = {
        spec.name: spec
        for spec in declared.values()
        if spec.name in config.include
        or (
            spec.family in config.families
            and spec.name not in config.exclude
            and unit in spec.units
        )
    }
    for name in config.include:
        chosen[name] = replace(chosen[name], hidden=False)
    for spec in tuple(chosen.values()):
        for name in all_made_of(spec, declared):
            chosen.setdefault(name, replace(declared[name], hidden=True))
    return tuple(chosen.values())


def _check_names(config: FeatureConfig, declared: dict[str, FeatureSpec], *, unit: str) -> None:
    faults = Faults("features", ConfigError)
    faults.extend(
        f"families: {name!r} is no feature family{hint(name, FAMILIES)}; "
        f"known: {', '.join(FAMILIES)}"
        for name in config.families
        if name not in FAMILIES
    )
    for key, names in (("include", config.include), ("exclude", config.exclude)):
        faults.extend(
            f"{key}: {name!r} is no declared feature{hint(name, declared)}"
            for name in names
            if name not in declared
        )
    faults.extend(
        f"include: {name!r} is a feature of {' and '.join(declared[name].units)} observations, "
        f"not of {unit}"
        for name in config.include
        if name in declared and unit not in declared[name].units
    )
    if config.third_party_items and "third_party" not in config.families:
        faults.add("third_party_items are listed, but families lacks third_party: add it")
    faults.raise_if_any()
