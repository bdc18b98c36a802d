"""The validation policy: what is refused, and what its digest covers."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from kyc_ml.errors import ConfigError
from kyc_ml.registry import PromotionPolicy
from kyc_ml.validation import CHECKS, load_policy
from kyc_ml.validation import policy as policy_module
from kyc_ml.validation.check import FAMILIES
from kyc_ml.validation.policy import GateCondition, Group, spent_budget


@pytest.fixture
def shipped(configs):
    return load_policy(configs / "validation.yaml", checks=CHECKS)


@pytest.fixture
def load(configs, tmp_path):
    content = yaml.safe_load((configs / "validation.yaml").read_text())

    def make(**changes):
        path = tmp_path / "validation.yaml"
        path.write_text(yaml.safe_dump({**content, **changes}))
        return load_policy(path, checks=CHECKS)

    return make


def test_the_shipped_policy_has_gates_in_every_family(shipped):
    assert {gate.check.partition(".")[0] for gate in shipped.gates} == set(FAMILIES)


def test_every_shipped_gate_says_where_its_bound_comes_from(shipped):
    assert all(gate.source for gate in shipped.gates)


def test_the_shipped_headline_is_of_figures_that_are_computed(shipped):
    assert shipped.headline


def test_all_faults_are_told_at_once(load):
    gates = [
        {"check": "stability.score_psy", "figure": "psi", "at_most": 1, "severity": "red",
         "source": "x"},
        {"check": "calibration.overall", "figure": "o_f", "at_most": 1, "severity": "red",
         "source": "x"},
        {"check": "calibration.overall", "figure": "o_e", "at_most": 1, "severity": "red",
         "source": "x", "only_if": {"figure": "slop", "at_most": 1}},
    ]  # fmt: skip
    with pytest.raises(ConfigError) as refused:
        load(gates=gates, headline=[["data.nothing", "x"]])
    said = str(refused.value)
    assert "'stability.score_psi'" in said
    assert "'o_e'" in said
    assert "'slope'" in said
    assert "headline.1" in said


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({}, "at_least, at_most"),
        ({"at_least": 1, "or_figure": "slope"}, "or_figure needs at_most"),
        ({"at_most": 1, "severity": "yellow"}, "'amber' or 'red'"),
        ({"at_most": 1, "source": ""}, "source"),
        ({"at_most": float("inf")}, "finite"),
    ],
)
def test_a_gate_that_bounds_nothing_is_refused(load, broken, said):
    gate = {"check": "calibration.overall", "figure": "o_e", "severity": "red", "source": "x"}
    with pytest.raises(ConfigError, match=said):
        load(gates=[{**gate, **broken}])


def test_one_gate_a_figure_and_severity(load):
    gate = {"check": "calibration.overall", "figure": "o_e", "at_most": 2, "severity": "red",
            "source": "x"}  # fmt: skip
    with pytest.raises(ConfigError, match=r"\b2\b"):
        load(gates=[gate, {**gate, "at_most": 3}])


def test_cuts_of_a_group_must_rise(load):
    with pytest.raises(ConfigError, match=r"\[40.*25"):
        load(settings={"groups": [{"feature": "profile_age_years", "cuts": [40, 25]}]})


def test_the_digest_covers_gates_and_settings_but_not_who_may_promote(shipped):
    other = shipped.model_copy(update={"promotion": PromotionPolicy(allow_findings=False)})
    assert other.identity().digest == shipped.identity().digest
    gates = shipped.gates[1:]
    assert shipped.model_copy(update={"gates": gates}).identity().digest != (
        shipped.identity().digest
    )
    settings = shipped.settings.model_copy(update={"seed": 1})
    assert shipped.model_copy(update={"settings": settings}).identity().digest != (
        shipped.identity().digest
    )


def test_the_policy_in_configs_is_the_one_that_others_are_compared_with(configs, shipped):
    """After a change of configs/validation.yaml copy it to kyc_ml/validation/default.yaml."""
    packaged = Path(policy_module.__file__).with_name("default.yaml")
    assert packaged.read_bytes() == (configs / "validation.yaml").read_bytes()
    same = shipped.identity()
    assert (same.left_out, same.weaker, same.changed, same.relaxed) == ((), (), False, ())
    assert same.default_gates == len(shipped.gates)


def first(shipped, **wanted):
    """Find the first default gate that has bounds of these kinds."""
    return next(
        gate for gate in shipped.gates
        if all((getattr(gate, name) is not None) == has for name, has in wanted.items())
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "changes", "covers"),
    [
        ({"at_most": True}, {"at_most": 1e308}, False),
        ({"at_least": True, "at_most": False}, {"at_least": -1e308}, False),
        ({"at_least": True, "at_most": False}, {"at_least": 0.999}, True),
        ({"or_figure": False, "at_most": True}, {"severity": "amber"}, None),
        ({"only_if": True}, {"only_if": GateCondition(figure="under_p", at_most=0.5)}, True),
        ({"only_if": True}, {"only_if": GateCondition(figure="under_p", at_most=1e-9)}, False),
        ({"only_if": True}, {"only_if": None}, True),
    ],
)
def test_a_gate_covers_the_default_if_it_breaks_wherever_that_one_does(
    shipped, kept, changes, covers
):
    tested = [each for each in shipped.gates if each.check == "calibration.overall"]
    gate = first(shipped if "only_if" not in kept else SimpleNamespace(gates=tested), **kept)
    if covers is None:
        gate, covers = next(each for each in shipped.gates if each.severity == "red"), False
    gates = tuple(
        each.model_copy(update=changes) if each is gate else each for each in shipped.gates
    )
    found = shipped.model_copy(update={"version": 2, "gates": gates}).identity()
    name = f"{gate.check}/{gate.figure}/{gate.severity}"
    assert (found.left_out == ()) if covers else (name in found.left_out)


def test_conditions_and_critical_values_that_widen_a_gate_are_seen(shipped):
    never = GateCondition(figure="x", at_least=9e9)
    for widened in ({"only_if": never}, {"or_figure": "x"}):
        gates = tuple(each.model_copy(update=widened) for each in shipped.gates)
        found = shipped.model_copy(update={"gates": gates}).identity()
        assert len(found.left_out) == len(shipped.gates)
        assert found.changed


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"fewest": 100_000}, "settings.fewest"),
        ({"noise": 0.0}, "settings.noise"),
        ({"audit_times": 1}, "settings.audit_times"),
        ({"compared_rows": 1}, "settings.compared_rows"),
        ({"slices": 2}, "settings.slices"),
        ({"segments": ()}, "settings.segments"),
        ({"groups": ()}, "settings.groups"),
        ({"segments": ("profile_of_one_value",)}, "settings.segments"),
        ({"groups": (Group(feature="profile_age_years", cuts=(900,)),)}, "settings.groups"),
        ({"draws": 100}, "settings.draws"),
        ({"period": "day"}, "settings.period"),
    ],
)
def test_settings_that_hollow_out_the_checks_are_named(shipped, changes, key):
    settings = shipped.settings.model_copy(update=changes)
    found = shipped.model_copy(update={"settings": settings}).identity()
    assert [each.partition(":")[0] for each in found.weaker] == [key]


@pytest.mark.parametrize("key", ["report_valid_days", "finding_due_days"])
def test_longer_periods_are_named_and_shorter_ones_not(shipped, key):
    assert shipped.model_copy(update={key: 36_500}).identity().weaker != ()
    assert shipped.model_copy(update={key: 30}).identity().weaker == ()


@pytest.mark.parametrize(
    ("name", "version", "changed"),
    [("default", 1, True), (" Default", 2, True), ("default", 9, True), ("mine", 1, False)],
)
def test_only_the_default_itself_may_have_its_name(shipped, name, version, changed):
    update = {"name": name, "version": version, "gates": shipped.gates[:1]}
    found = shipped.model_copy(update=update).identity()
    assert found.changed == changed
    assert len(found.left_out) == len(shipped.gates) - 1
    assert found.label.startswith(f"{name} v{version}")
    assert (found.label != f"{name} v{version}") == changed


def test_the_gates_may_not_spend_more_than_the_budget(load, shipped):
    spent = spent_budget(shipped, checks=CHECKS)
    assert shipped.budget is not None
    assert spent["amber"] <= shipped.budget.amber * (1 + 1e-9)
    assert spent["red"] <= shipped.budget.red * (1 + 1e-9)
    assert load(budget={"amber": 1.0, "red": 0.01}).budget.amber == 1.0
    assert load(budget=None).budget is None
    with pytest.raises(ConfigError, match=r"budget\.amber.*0\.01[^.].*lower") as refused:
        load(budget={"amber": 0.01, "red": 0.001})
    assert "budget.red" in str(refused.value)


def test_further_segments_and_groups_weaken_nothing(shipped):
    more = {
        "segments": (*shipped.settings.segments, "x"),
        "groups": (*shipped.settings.groups, Group(feature="x")),
    }
    settings = shipped.settings.model_copy(update=more)
    assert shipped.model_copy(update={"settings": settings}).identity().weaker == ()


def test_the_budget_is_spent_by_p_values_alone(load):
    gates = [
        {"check": "calibration.overall", "figure": "missed_share", "at_most": 0.2,
         "severity": "red", "source": "x", "only_if": {"figure": "under_p", "at_most": 0.03}},
        {"check": "tiers.ordering", "figure": "lowest_p", "at_least": 0.02, "severity": "red",
         "source": "x"},
        {"check": "stability.score_psi", "figure": "psi", "at_most": 0.3, "severity": "amber",
         "source": "x"},
    ]  # fmt: skip
    spent = spent_budget(load(gates=gates, budget=None), checks=CHECKS)
    assert spent == {"red": pytest.approx(0.05), "amber": 0.0}
