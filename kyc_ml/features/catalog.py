"""The catalogue: every declared feature, and the choice a configuration makes of it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from kyc_ml.config import FeatureConfig
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.features.families import (
    amounts,
    counterparties,
    devices,
    label_history,
    novelty,
    profile,
    third_party,
    timing,
    velocity,
)
from kyc_ml.features.spec import FeatureSpec, Formula

FAMILIES: Final = MappingProxyType(
    {
        "velocity": velocity.FEATURES,
        "amounts": amounts.FEATURES,
        "timing": timing.FEATURES,
        "counterparties": counterparties.FEATURES,
        "novelty": novelty.FEATURES,
        "devices": devices.FEATURES,
        "label_history": label_history.FEATURES,
        "profile": profile.FEATURES,
        "third_party": (),  # declared from the items a configuration lists
    }
)


def choose_features(config: FeatureConfig, *, unit: str) -> tuple[FeatureSpec, ...]:
    """List the features of the chosen families that a unit of observation has.

    A formula may need a feature that was not chosen: it is computed, but hidden.

    Raises
    ------
    ConfigError
        If a family or an excluded feature does not exist; all faults are listed.
    """
    declared = _declared(config)
    _check_names(config, declared)
    chosen = {
        spec.name: spec
        for spec in declared.values()
        if spec.family in config.families and spec.name not in config.exclude and unit in spec.units
    }
    for spec in tuple(chosen.values()):
        for name in _inputs(spec, declared):
            chosen.setdefault(name, replace(declared[name], hidden=True))
    return tuple(chosen.values())


def _declared(config: FeatureConfig) -> dict[str, FeatureSpec]:
    third = third_party.features_of(config.third_party_items)
    declared: dict[str, FeatureSpec] = {}
    faults = Faults("features.third_party_items", ConfigError)
    for spec in (spec for specs in (*FAMILIES.values(), third) for spec in specs):
        if spec.name in declared:
            faults.add(f"two items give a feature named {spec.name!r}: leave one of them out")
        declared[spec.name] = spec
    faults.raise_if_any()
    return declared


def _check_names(config: FeatureConfig, declared: dict[str, FeatureSpec]) -> None:
    faults = Faults("features", ConfigError)
    faults.extend(
        f"families: {name!r} is no feature family{hint(name, FAMILIES)}; "
        f"known: {', '.join(FAMILIES)}"
        for name in config.families
        if name not in FAMILIES
    )
    faults.extend(
        f"exclude: {name!r} is no declared feature{hint(name, declared)}"
        for name in config.exclude
        if name not in declared
    )
    if config.third_party_items and "third_party" not in config.families:
        faults.add("third_party_items are listed, but families lacks third_party: add it")
    faults.raise_if_any()


def _inputs(spec: FeatureSpec, declared: dict[str, FeatureSpec]) -> list[str]:
    """Names a feature is computed from, inputs of inputs included."""
    if not isinstance(spec.how, Formula):
        return []
    return [name for item in spec.how.inputs for name in (item, *_inputs(declared[item], declared))]
