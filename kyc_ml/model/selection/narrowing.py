"""A feature set without what was dropped from it."""

from collections.abc import Sequence
from dataclasses import replace

from kyc_ml.features import FeatureSpec, FeatureTable, all_made_of
from kyc_ml.model.selection.choosing import Selection


def narrow_specs(specs: Sequence[FeatureSpec], selection: Selection) -> tuple[FeatureSpec, ...]:
    """Leave out dropped features; those that a kept one reads stay as intermediate features."""
    known = {spec.name: spec for spec in specs}
    needed = {
        name
        for spec in specs
        if spec.name not in selection.dropped and not spec.intermediate
        for name in (spec.name, *all_made_of(spec, known))
    }
    return tuple(
        replace(spec, intermediate=spec.intermediate or spec.name in selection.dropped)
        for spec in specs
        if spec.name in needed
    )


def narrow_table(features: FeatureTable, selection: Selection) -> FeatureTable:
    """Leave out the columns of dropped features."""
    kept = set(selection.kept)
    return replace(
        features.reorder(selection.kept),
        categories={name: v for name, v in features.categories.items() if name in kept},
    )
