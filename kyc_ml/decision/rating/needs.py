"""Which declared features a card reads, and whether they are what it takes them for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kyc_ml.config import Unit
from kyc_ml.decision.rating.card import Scorecard
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.features import FeatureSpec, Kind, all_made_of


def check_card(card: Scorecard, declared: Mapping[str, FeatureSpec]) -> None:
    """Hold a card against the declared features of a configuration.

    Parameters
    ----------
    declared : mapping of name to FeatureSpec
        What `kyc_ml.features.catalog.declare_features` gives. Features of country lists
        and of third-party items are declared only where the configuration names them.

    Raises
    ------
    ConfigError
        If the card reads a feature that is not declared, is of another kind or is not of
        the card's unit; all faults are listed.
    """
    check_reads(card.reads, declared, unit=card.unit, subject=f"rating card {card.name!r}")


def check_reads(
    reads: Mapping[str, tuple[str, Kind]],
    declared: Mapping[str, FeatureSpec],
    *,
    unit: Unit,
    subject: str,
) -> None:
    """Hold what a file reads, feature and kind by place in the file, against what is declared.

    Raises
    ------
    ConfigError
        As `check_card` does; `subject` names the file.
    """
    faults = Faults(subject, ConfigError)
    for where, (name, kind) in reads.items():
        spec = declared.get(name)
        if spec is None:
            faults.add(
                f"{where}: {name!r} is no declared feature{hint(name, declared)}; those of "
                "country_lists and third_party_items need the list or item in the configuration"
            )
            continue
        if spec.kind != kind:
            faults.add(f"{where}: {name!r} is a {spec.kind}, but is read as a {kind}")
        if unit not in spec.observation_units:
            faults.add(
                f"{where}: {name!r} is a feature of {' and '.join(spec.observation_units)} "
                f"observations, not of {unit}"
            )
    faults.raise_if_any()


def card_features(card: Scorecard, declared: Mapping[str, FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """List the features a card reads and the intermediate features they are made of.

    The features read are not intermediate: a feature table has no such columns. The list is
    enough to build a table for `rate`.

    Raises
    ------
    ConfigError
        As `check_card` does.
    """
    check_card(card, declared)
    return specs_of([name for name, _ in card.reads.values()], declared)


def specs_of(names: Sequence[str], declared: Mapping[str, FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """Declare features by name, with the intermediate features they are made of."""
    needed = {name: replace(declared[name], intermediate=False) for name in dict.fromkeys(names)}
    for name in tuple(needed):
        for part in all_made_of(declared[name], declared):
            needed.setdefault(part, replace(declared[part], intermediate=True))
    return tuple(needed.values())


def add_needed(
    specs: Sequence[FeatureSpec], card: Scorecard, declared: Mapping[str, FeatureSpec]
) -> tuple[FeatureSpec, ...]:
    """Add what a card reads to the features of a run, so that one table serves both.

    An intermediate feature that the card reads is no longer intermediate: the model's own
    columns are ``table.reorder`` of the names it had before.
    """
    both = {spec.name: spec for spec in specs}
    for spec in card_features(card, declared):
        if not spec.intermediate or spec.name not in both:
            both[spec.name] = spec
    return tuple(both.values())
