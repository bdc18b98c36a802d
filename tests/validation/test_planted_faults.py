"""Each planted fault is caught by the check meant for it, and honest rows by none."""

from dataclasses import replace

import numpy as np
import pytest

from kyc_ml.registry import REFITS
from kyc_ml.validation.catalogue import PROCEDURES

LATER = {"first_day": 160, "days": 60}
N = 12_000


def with_column(drawn, place, values):
    """Put other values into a column of drawn rows."""
    features, target = drawn
    numbers = features.numbers.copy(order="F")
    numbers[:, place] = values
    return replace(features, numbers=numbers), target


def shifted_prior(world, score, evidence):
    return replace(evidence, current=score(world.draw(N, seed=4, base=-2.2, **LATER)))


def dropped_feature(world, score, evidence):
    drawn = with_column(world.draw(N, seed=4, **LATER), 0, np.nan)
    return replace(evidence, current=score(drawn))


def permuted_tiers(world, score, evidence):
    """Swap the two highest tiers that hold rows, as a wrong mapping would."""
    rows = score(world.draw(N, seed=4, **LATER))
    place = np.arange(5)
    place[[2, 3]] = [3, 2]
    grades = replace(rows.grades, model=place[rows.grades.model])
    return replace(evidence, current=replace(rows, grades=grades))


def drifted_segment(world, score, evidence):
    return replace(evidence, current=score(world.draw(N, seed=4, segment_shift=1.2, **LATER)))


def drifted_feature(world, score, evidence):
    features, target = world.draw(N, seed=4, **LATER)
    drawn = with_column((features, target), 1, features.numbers[:, 1] + 0.8)
    return replace(evidence, current=score(drawn))


def leaked_label(world, score, evidence):
    features, target = world.draw(N, seed=4, **LATER)
    noise = np.random.default_rng(0).normal(size=N)
    drawn = with_column((features, target), 2, target * 4 + noise)
    return replace(evidence, current=score(drawn))


def worn_out_signal(world, score, evidence):
    """Shuffle half of a feature's values: it says less than it did, and is spread the same."""
    features, target = world.draw(N, seed=4, **LATER)
    values = features.numbers[:, 0].copy()
    here = np.arange(N // 2)
    values[here] = np.random.default_rng(0).permutation(values[here])
    return replace(evidence, current=score(with_column((features, target), 0, values)))


def flattered_figures(world, score, evidence):
    metrics = {"test": {**evidence.bundle.metrics["test"], "auc": 0.9}}
    return replace(evidence, bundle=replace(evidence.bundle, metrics=metrics))


def late_labels(world, score, evidence):
    rows = evidence.reference
    return replace(evidence, reference=replace(rows, arrival_days=rows.arrival_days * 4))


def with_reference(evidence, **changed):
    """Let the bundle give its reasons by another reference."""
    bundle = evidence.bundle
    reference = replace(bundle.reference, **changed)
    return replace(evidence, bundle=replace(bundle, reference=reference))


def reasons_all_alike(world, score, evidence):
    """A reference by which only the signal is ever unusual, and always."""
    ends = {name: np.linspace(-99, 99, grid.size) for name, grid in usual(evidence)}
    ends["signal"] = np.zeros(ends["signal"].size)
    return with_reference(
        evidence, quantiles=ends, common={"segment": ("retail", "private", "corporate")}
    )


def reasons_beside_the_point(world, score, evidence):
    """A reference by which only the segment is ever unusual."""
    ends = {name: np.linspace(-99, 99, grid.size) for name, grid in usual(evidence)}
    return with_reference(evidence, quantiles=ends, common={"segment": ()})


def reasons_inside_the_range(world, score, evidence):
    """A reference of other rows: every value of these is unusual there."""
    narrow = {name: np.full(grid.size, 50.0) for name, grid in usual(evidence)}
    return with_reference(evidence, quantiles=narrow)


def reasons_without_contrast(world, score, evidence):
    """The reasons of bundles of formats 1 to 3: the largest contributions."""
    return with_reference(evidence, by_reason={}, contributions={})


def reasons_of_chance(world, score, evidence):
    """Reasons of which refits repeat less than one of three."""
    metrics = {**evidence.bundle.metrics, REFITS: {"number": 2, "same_reasons": 0.19}}
    return replace(evidence, bundle=replace(evidence.bundle, metrics=metrics))


def usual(evidence):
    return evidence.bundle.reference.quantiles.items()


CAUGHT = [
    (reasons_all_alike, "explanation.reasons", "commonest_first", "amber", "signal"),
    (reasons_all_alike, "explanation.reasons", "commonest_first_of_all", "amber", "signal"),
    (reasons_beside_the_point, "explanation.reasons", "covered", "amber", ""),
    (reasons_inside_the_range, "explanation.reasons", "usual", "amber", ""),
    (reasons_without_contrast, "explanation.reasons", "usual", "amber", ""),
    (reasons_of_chance, "explanation.reasons", "of_refits", "red", ""),
    (shifted_prior, "calibration.overall", "missed_share", "red", ""),
    (shifted_prior, "calibration.jeffreys", "missed_share", "red", ""),
    (dropped_feature, "data.missingness", "emptied", "red", "signal"),
    (dropped_feature, "stability.feature_csi", "highest", "red", "signal"),
    (permuted_tiers, "tiers.ordering", "lowest_p", "red", "medium_high below medium"),
    (drifted_segment, "calibration.segments", "missed_share", "red", "segment = corporate"),
    (drifted_segment, "fairness.calibration", "highest_low", "amber", "segment = corporate"),
    (drifted_feature, "stability.feature_csi", "highest", "red", "other"),
    (drifted_feature, "robustness.weak_spots", "lowest_high", "amber", ""),
    (leaked_label, "data.leakage", "highest_auc", "red", "plain"),
    (worn_out_signal, "discrimination.auc_decline", "drop", "red", ""),
    (flattered_figures, "implementation.recorded_figures", "largest_difference", "red", "auc"),
    (late_labels, "data.label_maturity", "known_at_maturity_high", "amber", ""),
]


@pytest.fixture
def plant(world, score, evidence):
    """Plant a fault into the honest evidence."""
    return lambda fault: fault(world, score, evidence)


@pytest.mark.parametrize(
    "case", CAUGHT, ids=[f"{plant.__name__}-{name}" for plant, name, *_ in CAUGHT]
)
def test_a_planted_fault_is_caught(case, plant, check):
    fault, name, figure, severity, about = case
    result, findings = check(name, plant(fault))
    assert f"{name}/{figure}/{severity}" in {finding.id for finding in findings}
    assert result.verdict == ("fail" if severity == "red" else "finding")
    assert about in result.figure(figure).about


@pytest.mark.parametrize(
    "name", sorted({name for _, name, *_ in CAUGHT} - {"calibration.jeffreys"})
)
def test_honest_rows_pass_where_faults_are_caught(name, evidence, check):
    result, findings = check(name, evidence)
    assert result.verdict == "pass", findings


def test_no_honest_check_fails(evidence, check):
    verdicts = {name: check(name, evidence, compared_rows=5)[0].verdict for name in PROCEDURES}
    assert "fail" not in verdicts.values()
    # one signal carries the small model, and Platt's line is not the true one everywhere
    assert {name for name, verdict in verdicts.items() if verdict == "finding"} <= {
        "robustness.missing_columns",
        "calibration.jeffreys",
    }


def test_findings_speak_both_languages_and_name_the_bound(plant, check):
    _, findings = check("calibration.overall", plant(shifted_prior))
    said = {finding.id: finding.text for finding in findings}[
        "calibration.overall/missed_share/red"
    ]
    assert "positives" in said.en
    assert "0.2" in said.en
    assert "正样本" in said.zh
    assert "0.2" in said.zh


def test_red_takes_the_place_of_amber(plant, check):
    _, findings = check("calibration.jeffreys", plant(shifted_prior))
    assert [finding.severity for finding in findings if "/missed_share/" in finding.id] == ["red"]
