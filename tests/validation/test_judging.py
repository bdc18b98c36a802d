"""Gates at their edges."""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.validation.check import Check, FigureText
from kyc_ml.validation.policy import Gate, GateCondition
from kyc_ml.validation.result import Figure
from kyc_ml.validation.run.gates import apply_gates, evaluate_gate, find_findings
from kyc_ml.validation.text import Text

SAID = Text("words", "文字")
MEASURES = tuple(
    FigureText(name=name, label=Text(name, name), unit="index") for name in ("psi", "critical", "p")
)
CHECK = Check(
    id="stability.drift",
    family="stability",
    title=SAID,
    purpose=SAID,
    method=SAID,
    signs=SAID,
    limits=SAID,
    source="convention",
    measures=MEASURES,
)


def figures(**values):
    return {m.name: Figure(measure=m, value=values.get(m.name)) for m in MEASURES}


def gate(**rest):
    rest = {"figure": "psi", "severity": "amber", "source": "convention", **rest}
    return Gate(check=CHECK.id, **rest)


@pytest.mark.parametrize(
    ("bounds", "value", "broken"),
    [
        ({"at_most": 0.1}, 0.1, False),
        ({"at_most": 0.1}, 0.1000001, True),
        ({"at_least": 0.1}, 0.1, False),
        ({"at_least": 0.1}, 0.0999999, True),
        ({"at_least": 0.1, "at_most": 0.2}, 0.15, False),
        ({"at_least": 0.1, "at_most": 0.2}, 0.25, True),
    ],
)
def test_a_value_equal_to_a_bound_passes(bounds, value, broken):
    (found,) = apply_gates([gate(**bounds)], figures(psi=value))
    assert found.broken == broken


@pytest.mark.parametrize(("critical", "broken"), [(0.3, False), (0.05, True), (None, True)])
def test_the_larger_of_bound_and_critical_value_counts(critical, broken):
    (found,) = apply_gates(
        [gate(at_most=0.1, or_figure="critical")], figures(psi=0.2, critical=critical)
    )
    assert found.broken == broken
    assert found.at_most == (0.3 if critical == 0.3 else 0.1)


@pytest.mark.parametrize(("p", "broken"), [(0.05, True), (0.06, False), (None, False)])
def test_a_condition_must_hold_for_a_gate_to_count(p, broken):
    rule = gate(at_most=0.1, only_if=GateCondition(figure="p", at_most=0.05))
    (found,) = apply_gates([rule], figures(psi=0.2, p=p))
    assert found.broken == broken
    assert "0.05" in found.note.en
    assert "0.05" in found.note.zh


PARTS = st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=6)


@given(PARTS)
def test_size_and_evidence_must_be_of_the_same_part(parts):
    table = pd.DataFrame(
        [(f"part {at}", psi, p) for at, (psi, p) in enumerate(parts)], columns=["part", "psi", "p"]
    )
    largest, least = table["psi"].max(), table["p"].min()
    rule = gate(at_most=0.1, only_if=GateCondition(figure="p", at_most=0.05))
    (found,) = apply_gates([rule], figures(psi=largest, p=least), parts=table)
    both = table[(table["psi"] > 0.1) & (table["p"] <= 0.05)]
    assert found.broken == (not both.empty)
    if found.broken:
        worst = both.loc[both["psi"].idxmax()]
        assert found.value == worst["psi"]
        assert table.set_index("part")["psi"][found.about] == worst["psi"]


@given(PARTS, st.integers(0, 5), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_more_of_it_or_better_evidence_never_mends_a_gate(parts, at, more, surer):
    rule = gate(at_most=0.1, only_if=GateCondition(figure="p", at_most=0.05))
    table = pd.DataFrame(parts, columns=["psi", "p"]).assign(part="x")
    worse = table.copy()
    row = at % len(table)
    worse.loc[row, "psi"] = max(more, table.loc[row, "psi"])
    worse.loc[row, "p"] = min(surer, table.loc[row, "p"])
    before, after = (
        apply_gates([rule], figures(psi=0.0, p=1.0), parts=each)[0] for each in (table, worse)
    )
    assert after.broken >= before.broken


def test_an_undefined_figure_breaks_no_gate_and_says_so():
    (found,) = apply_gates([gate(at_most=0.1)], figures())
    assert not found.broken
    assert "undefined" in found.note.en


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [([], "pass"), (["amber"], "finding"), (["red"], "fail"), (["amber", "red"], "fail")],
)
def test_the_worst_broken_gate_is_the_verdict(severities, verdict):
    rules = [gate(at_most=9.0)] + [gate(at_most=0.1, severity=each) for each in severities]
    assert evaluate_gate(apply_gates(rules, figures(psi=0.2))) == verdict


def test_a_check_without_a_gate_that_could_be_held_informs():
    assert evaluate_gate(()) == "information"
    assert evaluate_gate(apply_gates([gate(at_most=0.1)], figures())) == "not_judged"


def test_a_finding_is_named_after_check_figure_and_severity():
    gates = apply_gates([gate(at_most=0.1)], figures(psi=0.2))
    (found,) = find_findings(CHECK, gates)
    assert found.id == "stability.drift/psi/amber"
    for value in ("words", "psi", "0.2", "0.1"):
        assert value in found.text.en
    for value in ("文字", "psi 为 0.2", "0.1"):
        assert value in found.text.zh


def test_a_tiny_p_value_is_written_as_a_bound():
    check = replace(CHECK, measures=(FigureText(name="p", label=SAID, unit="p-value"),))
    (measure,) = check.measures
    tiny = apply_gates(
        [gate(figure="p", at_least=0.05)], {"p": Figure(measure=measure, value=4e-8)}
    )
    (found,) = find_findings(check, tiny)
    assert "< 0.0001" in found.text.en
    assert "< 0.0001" in found.text.zh
