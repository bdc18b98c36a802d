"""A configuration on a source: its attributes, and the features named outside `features`."""

from collections.abc import Sequence

from kyc_ml.config import RunConfig, TableAttribute
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.features.catalog import choose_features, declare_features
from kyc_ml.features.families.attributes import with_attributes
from kyc_ml.features.spec import FeatureSpec


def on_source(config: RunConfig, attributes: Sequence[TableAttribute]) -> RunConfig:
    """Return a run with the attributes of its source, so that every feature it names is declared.

    Raises ConfigError if it chooses the family `attributes` and the source declares none.
    """
    features = with_attributes(config.features, attributes)
    return config.model_copy(update={"features": features})


def require_named_features(config: RunConfig) -> None:
    """Refuse a run that names features it will not have, before anything is read.

    Raises ConfigError if `selection.keep`, `calibration.segment` or `explain.peers` names no chosen
    feature, or the latter two a number; all faults are listed, each with its cure.
    """
    chosen = {
        spec.name: spec
        for spec in choose_features(config.features, unit=config.unit)
        if not spec.intermediate
    }
    categories = {name: spec for name, spec in chosen.items() if spec.kind == "category"}
    faults = Faults(f"configuration {config.name!r}", ConfigError)
    for place, name in (
        ("calibration.segment", config.calibration.segment),
        *(("explain.peers", each) for each in config.explain.comparable),
    ):
        if name in chosen and name not in categories:
            faults.add(f"{place}: {name!r} is a number; {_choose(categories)}")
        elif name is not None and name not in chosen and not _may_lack(name, config):
            faults.add(f"{place}: {_say_absent(name, categories, config)}; {_choose(categories)}")
    faults.extend(
        f"selection.keep: {_say_absent(name, chosen, config)}"
        for name in config.selection.keep
        if name not in chosen
    )
    faults.raise_if_any()


def _may_lack(name: str, config: RunConfig) -> bool:
    """Return whether a run may do without a feature: one of several fields of `explain.peers`."""
    if isinstance(config.explain.peers, str) or name not in config.explain.comparable:
        return False
    spec = declare_features(config.features).get(name)
    return spec is not None and spec.kind == "category" and config.unit in spec.observation_units


def _say_absent(name: str, chosen: dict[str, FeatureSpec], config: RunConfig) -> str:
    """Return why a run has no feature of that name, and what would add it."""
    spec = declare_features(config.features).get(name)
    if spec is None:
        return f"{name!r} is not a declared feature{hint(name, chosen)}; see kyc-ml features list"
    if config.unit not in spec.observation_units:
        units = " and ".join(spec.observation_units)
        return f"{name!r} is a feature of {units} observations, not of {config.unit}"
    if name in config.features.exclude:
        return f"{name!r} is taken out by features.exclude: remove it there"
    return (
        f"{name!r} is a feature of family {spec.family!r}, which features does not choose: add it "
        "to features.include, or the family to features.families"
    )


def _choose(categories: dict[str, FeatureSpec]) -> str:
    """Name the categories that may be chosen instead."""
    return f"categories of this run: {', '.join(categories) or 'none'}"
