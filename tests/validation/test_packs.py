"""Whole packs: a perfect model passes without a warning; what is missed decides severity."""

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kyc_ml.validation.catalogue import PROCEDURES
from kyc_ml.validation.run.gates import apply_gates

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def packs():
    """Load the benchmark, which draws the packs."""
    sys.path.insert(0, str(BENCHMARKS))
    yield import_module("packs")
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def draw(packs):
    """Draw later rows of one law, whose probabilities are the truth."""

    def make(positives, *, rows_a_customer=1, seed=1):
        law = packs.Law(positives=positives, rows_a_customer=rows_a_customer)
        return packs.draw_evidence(law, seed=seed)

    return make


def observe(rows, wanted, *, where=None):
    """Give some rows so many positives, the most probable ones first: the count alone matters."""
    here = np.ones(len(rows), np.bool_) if where is None else where
    status = rows.status.copy()
    places = np.flatnonzero(here)
    status[places] = "negative"
    status[places[np.argsort(-rows.probability[places], kind="stable")[:wanted]]] = "positive"
    return replace(rows, status=status)


def severities(packs, evidence, rows, *only):
    """Return the broken gates of some checks with other current rows."""
    found = packs.run_pack(replace(evidence, current=rows), only=only)
    return {
        (result.check.id, gate.figure, gate.severity)
        for result in found
        for gate in result.gates
        if gate.broken
    }


@pytest.mark.parametrize("rows_a_customer", [1, 10])
def test_a_perfect_model_passes_the_whole_pack_without_a_warning(packs, draw, rows_a_customer):
    evidence = draw(280, rows_a_customer=rows_a_customer)
    results = list(packs.run_pack(evidence))
    broken = [
        (each.check.id, gate.figure) for each in results for gate in each.gates if gate.broken
    ]
    assert broken == []
    # the pack is whole: hardly anything but what needs a source is left out
    assert sum(each.verdict == "pass" for each in results) >= 30


def test_ten_customers_are_too_little_data_to_fail_a_perfect_model(packs, draw):
    """A hundred rows a customer: before, a quarter of such packs failed, and some stopped."""
    results = list(packs.run_pack(draw(40, rows_a_customer=100, seed=0)))
    found = {(each.check.id, gate.figure): gate for each in results for gate in each.gates}
    assert not any(gate.broken and gate.severity == "red" for gate in found.values())
    for name in (
        ("calibration.brier", "skill_high"),
        ("calibration.overall", "slope_high"),
        ("discrimination.auc", "auc_low_by_customer"),
        ("discrimination.auc_decline", "drop"),
    ):
        assert not found[name].broken
    assert found["calibration.brier", "skill_high"].value is None
    assert found["calibration.overall", "missed_share"].value is not None


def test_a_portfolio_with_two_fifths_more_positives_than_expected_fails(packs, draw):
    evidence = draw(40)
    rows = evidence.current
    wanted = round(1.41 * rows.probability.sum())
    found = severities(packs, evidence, observe(rows, wanted), "calibration.overall")
    assert ("calibration.overall", "missed_share", "red") in found


def test_a_tier_that_misses_one_per_cent_of_all_positives_is_a_warning(packs, draw):
    evidence = draw(2_000)
    rows = evidence.current
    here = rows.grades.model == 4
    expected, total = rows.probability[here].sum(), rows.target.sum()
    wrong = observe(rows, round(expected + 0.012 * total), where=here)
    found = severities(packs, evidence, wrong, "calibration")
    assert found == {("calibration.jeffreys", "missed_share", "amber")}


def level_of_all(packs, positives, *, expected, rows=200_000):
    """Evaluate the level of rows of one probability: figures, and severities of `missed_share`."""
    evidence = SimpleNamespace(
        current=SimpleNamespace(
            target=(np.arange(rows) < positives).astype(np.float64),
            evaluated_probability=np.full(rows, expected / rows),
            evaluated_customers=np.arange(rows),
        )
    )
    procedure = PROCEDURES["calibration.overall"]
    outcome = procedure.run(evidence, packs.shipped().settings)
    figures = {each.name: each for each in outcome.figures(procedure)}
    gates = [each for each in packs.shipped().gates if each.check == procedure.check.id]
    broken = {
        each.severity
        for each in apply_gates(gates, figures)
        if each.broken and each.figure == "missed_share"
    }
    return figures, broken


@pytest.mark.parametrize(
    ("ratio", "broken"), [(1.03, set()), (1.1, {"amber"}), (1.3, {"amber", "red"})]
)
def test_what_is_missed_decides_where_every_deviation_is_certain(packs, ratio, broken):
    figures, found = level_of_all(packs, round(ratio * 20_000), expected=20_000)
    assert figures["under_p"].value < 1e-5
    assert figures["missed"].value == pytest.approx((ratio - 1) * 20_000)
    assert figures["missed_share"].value == pytest.approx(1 - 1 / ratio)
    assert found == broken


def test_67_positives_where_47_5_were_expected_fail(packs):
    """Of equal small probabilities, where the count varies most."""
    figures, found = level_of_all(packs, 67, expected=47.5)
    assert figures["under_p"].value == pytest.approx(0.0037, abs=1e-4)
    assert found == {"amber", "red"}
