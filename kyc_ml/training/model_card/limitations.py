"""Limitations that follow from the figures of a training run."""

import math
from collections.abc import Iterable
from typing import Final

from kyc_ml.config import CALIBRATION, TRAIN, CustomerFoldsConfig
from kyc_ml.features import choose_features
from kyc_ml.registry import Bundle
from kyc_ml.training.evidence import MODEL, Trained

FEW_POSITIVES: Final = 100
"""Convention: with fewer, an interval of AUC is several points wide."""
_WIDE_GAP: Final = 0.05
"""Convention: an AUC on training rows this far above that of the test indicates overfitting."""


def find_limitations(bundle: Bundle, trained: Trained) -> list[str]:
    """List the limitations that the figures show, in sentences."""
    return [
        *_too_few(trained),
        *_unsure(trained),
        *_not_better(trained),
        *_overfitted(trained),
        *_absent(bundle, trained),
        *_without_time(bundle),
        *filter(None, [say_one_instant(trained)]),
    ]


def _too_few(trained: Trained) -> Iterable[str]:
    for part in dict.fromkeys((CALIBRATION, trained.evidence.part)):
        quality = trained.quality[MODEL].get(part)
        # rows that a last fit learned have no figures, but a number of positives
        counted = trained.parts.loc[trained.parts["part"] == part, "positives"]
        found = counted if quality is None else [quality.positives]
        for positives in (number for number in found if number < FEW_POSITIVES):
            yield (
                f"Part {part.replace('_', ' ')} holds {positives} positives only: its "
                f"figures move by chance (fewer than {FEW_POSITIVES}; convention)."
            )


def _unsure(trained: Trained) -> Iterable[str]:
    seen = trained.quality[MODEL][trained.evidence.part]
    if not math.isnan(seen.auc_low):
        yield (
            f"The interval of AUC is {seen.auc_high - seen.auc_low:.3f} wide: a model whose AUC "
            "differs by less may be as good."
        )
    low, high = seen.observed_over_expected_low, seen.observed_over_expected_high
    if not low <= 1.0 <= high:
        side = "more" if low > 1.0 else "fewer"
        yield (
            f"There were {side} positives than the probabilities say: the interval of observed "
            f"over expected, {low:.3f} to {high:.3f}, is without 1."
        )


def _not_better(trained: Trained) -> Iterable[str]:
    part = trained.evidence.part
    seen = trained.quality[MODEL][part]
    for who, parts in trained.quality.items():
        if who == MODEL or part not in parts:
            continue
        other = parts[part]
        if other.average_precision >= seen.average_precision:
            yield (
                f"The {who} ranks better: average precision {other.average_precision:.4f} "
                f"against {seen.average_precision:.4f}."
            )
        elif other.auc >= seen.auc_low:
            yield (
                f"By AUC the gain on the {who} may be chance: its {other.auc:.3f} lies within "
                "or above the model's interval."
            )


def _overfitted(trained: Trained) -> Iterable[str]:
    fitted, seen = trained.quality[MODEL].get(TRAIN), trained.quality[MODEL][trained.evidence.part]
    if fitted is not None and fitted.auc - seen.auc > _WIDE_GAP:
        yield (
            f"AUC falls from {fitted.auc:.3f} on training rows to {seen.auc:.3f}: what was "
            "learned holds in part only."
        )


def _absent(bundle: Bundle, trained: Trained) -> Iterable[str]:
    """Name the families that lack features, with how many and one of the reasons."""
    run = bundle.config
    family = {spec.name: spec.family for spec in choose_features(run.features, unit=run.unit)}
    missing: dict[str, list[str]] = {}
    for name, reason in trained.left_out.items():
        missing.setdefault(family.get(name, "other"), []).append(reason)
    used = {spec.family for spec in bundle.inputs}
    for name, reasons in missing.items():
        whole = "All" if name not in used else "Some"
        count = f"{len(reasons)} feature{'s' if len(reasons) > 1 else ''}"
        yield f"{whole} of family {name} left out: {count}; such as: {reasons[0]}."


def _without_time(bundle: Bundle) -> Iterable[str]:
    if isinstance(bundle.config.splits, CustomerFoldsConfig):
        yield (
            "Evaluated by cross-validation over customers: its performance on later data is "
            "not known."
        )


def say_one_instant(trained: Trained) -> str | None:
    """Return the limitation of a model trained on one date: it cannot see order or change in time.

    Return None where rows were decided at several times.
    """
    first, last = trained.parts["start"].min(), trained.parts["end"].max()
    if first != last:
        return None
    return (
        f"All rows were decided at one instant, {first:%Y-%m-%d %H:%M} UTC: the model shows what "
        "goes with the outcome on one day. No order in time is proven, the horizon is that of "
        "whoever made the labels, and other days may be different."
    )
