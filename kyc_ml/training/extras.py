"""Optional steps of a training: selection, the inputs of a scorecard, refits."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from kyc_ml.config import EARLY_STOPPING, TEST, TRAIN, RunConfig
from kyc_ml.dataset import customers_of
from kyc_ml.decision import Scorecard, card_features, merge_specs
from kyc_ml.display import StageProgress
from kyc_ml.features import DECISION_TIME, FeatureSpec, FeatureTable, declare_features, microseconds
from kyc_ml.metrics import Floats, Mask
from kyc_ml.model import Model, Selection, narrow_specs, narrow_table, select_features
from kyc_ml.training.stability import FindReasons, LabelledRows, Stability, measure_stability

Specs = tuple[FeatureSpec, ...]


def with_card(specs: Specs, card: Scorecard | None, *, config: RunConfig) -> Specs:
    """Add the features that a scorecard reads to those of a run."""
    if card is None:
        return specs
    return merge_specs(specs, card_features(card, declare_features(config.features)))


def own_columns(built: FeatureTable, chosen: Specs) -> FeatureTable:
    """Select the run's own columns from a table that may also have those of a scorecard."""
    names = {spec.name for spec in chosen if not spec.intermediate}
    return built.reorder([name for name in built.names if name in names])


def select(
    specs: Specs,
    features: FeatureTable,
    fitted: Mask,
    target: Floats,
    *,
    config: RunConfig,
    tell: StageProgress,
) -> tuple[Specs, FeatureTable, Selection | None]:
    """Drop the features that the training rows show to be useless or unstable.

    Returns specs, features; those that are kept; dropped inputs of kept formulas become hidden.
    Returns `selection`: None without a selection.
    """
    if config.selection.method == "none":
        return specs, features, None
    matrix, _ = features.encode(features.learn_vocabularies(fitted))
    # reasons compare rows by these fields, whether or not they help to predict
    compared = [name for name in config.explain.comparable if name in features.names]
    keep = tuple(dict.fromkeys((*config.selection.keep, *compared)))
    selection = select_features(
        matrix[fitted],
        target[fitted],
        microseconds(features.keys[DECISION_TIME])[fitted],
        specs=features.specs,
        config=config.selection.model_copy(update={"keep": keep}),
        customers=customers_of(features.keys)[fitted],
        threads=config.model.n_jobs,
        progress=lambda done, total: tell("selecting features", done, total),
    )
    return narrow_specs(specs, selection), narrow_table(features, selection), selection


def refit(
    take: Callable[[str], LabelledRows],
    specs: Specs,
    *,
    fitted: Model,
    reasons: Callable[[], FindReasons],
    config: RunConfig,
    tell: StageProgress,
) -> tuple[Stability, ...]:
    """Refit with other seeds and on bootstrap samples, as often as the configuration says.

    `take` returns the rows of a part: they are copied only if a refit needs them. `reasons`
    makes what finds the reasons of refits.
    """
    stages: dict[Literal["seed", "bootstrap"], str] = {
        "seed": "refitting with other seeds",
        "bootstrap": "refitting on samples",
    }
    return tuple(
        measure_stability(
            kind,
            take(TRAIN),
            take(TEST),
            stopping=take(EARLY_STOPPING),
            specs=specs,
            model=config.model,
            config=config.stability,
            reasons=reasons(),
            fitted=fitted,
            progress=partial(tell, stage),
        )
        for kind, stage in stages.items()
        if getattr(config.stability, f"{kind}_refits")
    )
