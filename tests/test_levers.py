"""What would lower a tier: nothing but a customer's own conduct, and nothing nearer is enough."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from kyc_ml.config import ModelConfig, RunConfig, load_section
from kyc_ml.explain import find_change, is_actionable
from kyc_ml.features.catalog import choose_features, declare_features
from kyc_ml.features.spec import D7, EVER, Formula, Latest, Own, Window
from kyc_ml.model import fit_fixed
from kyc_ml.tiers import EnteredOverride, OverrideBook, find_lowering, grade

CONFIGS = Path(__file__).parents[1] / "configs"
ROWS = Window(table="transactions", key=("customer_id",), statistic="count", period=D7)


@pytest.fixture(scope="module")
def moving(make_spec):
    """Fit a model on four counts and shares of conduct, and one that nobody can move."""
    counted = replace(make_spec("count", ROWS, unit="transactions"), family="velocity", monotone=1)
    specs = (
        counted,
        replace(counted, name="share", unit="share", family="structuring"),
        replace(counted, name="balance", unit="base currency", family="amounts", monotone=-1),
        replace(counted, name="free", family="velocity", monotone=0),
        replace(
            counted,
            name="age",
            family="profile",
            how=Latest(
                table="customers", key=("customer_id",), reading="years_since", column="birth_date"
            ),
        ),
    )
    rng = np.random.default_rng(3)
    matrix = np.column_stack(
        [
            rng.poisson(3.0, 1500).astype(float),
            rng.beta(1.0, 3.0, 1500),
            rng.gamma(2.0, 400.0, 1500),
            rng.poisson(4.0, 1500).astype(float),
            rng.uniform(18.0, 90.0, 1500),
        ]
    )
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    score = np.nan_to_num(matrix[:, 0]) * 0.5 + np.nan_to_num(matrix[:, 1]) * 4.0
    score -= np.nan_to_num(matrix[:, 2]) / 500.0
    target = (rng.random(1500) < 1.0 / (1.0 + np.exp(2.0 - score))).astype(float)
    config = ModelConfig(
        rounds=12, learning_rate=0.3, num_leaves=4, max_bin=12, min_data_in_leaf=20, num_threads=1
    )
    return fit_fixed(matrix, target, specs=specs, config=config), specs, matrix


def brute_force(model, row, specs, cut):
    """Try every value on a fine grid for each actionable feature, one and two at a time."""
    grids = {}
    for column, spec in enumerate(specs[:3]):
        if np.isnan(row[column]):
            continue
        top = {"transactions": 20, "share": 1.0, "base currency": 6000.0}[spec.unit]
        grid = np.arange(0, 21.0) if spec.unit == "transactions" else np.linspace(0, top, 301)
        ahead = grid < row[column] if spec.monotone > 0 else grid > row[column]
        grids[column] = grid[ahead]

    def enough(*columns):
        values = np.array(list(product(*(grids[column] for column in columns))))
        if not values.size:
            return False
        tried = np.tile(row, (len(values), 1))
        tried[:, list(columns)] = values
        return bool((model.margin(tried, threads=1) <= cut).any())

    if any(enough(column) for column in grids):
        return 1
    pairs = [(0, 1), (0, 2)]  # 1 and 2 on fine grids would be slow
    if any(enough(*pair) for pair in pairs if set(pair) <= set(grids)):
        return 2
    return None


def test_the_nearest_change_is_enough_and_brute_force_finds_none_with_fewer_features(moving):
    model, specs, matrix = moving
    known = {spec.name: spec for spec in specs}
    margins = model.margin(matrix, threads=1)
    sizes = []
    for number, (row, margin) in enumerate(zip(matrix[:40], margins[:40], strict=True)):
        cut = margin - (0.3, 0.9, 1.5, 2.5)[number % 4]
        found = find_change(model, row, specs=known, lowers=lambda m, cut=cut: m <= cut)
        fewest = brute_force(model, row, specs, cut)
        sizes.append(len(found.steps))
        assert found.complete
        if fewest == 1:
            assert len(found.steps) == 1
        elif fewest == 2 or found.steps:  # else: of the pair left out
            assert len(found.steps) == 2
        if not found.steps:
            assert fewest is None
            continue
        moved = row.copy()
        for step in found.steps:
            column = [spec.name for spec in specs].index(step.spec.name)
            assert step.now == row[column]
            assert np.sign(step.now - step.then) == step.spec.monotone
            assert 0.0 < step.distance <= 1.0
            assert step.spec.unit != "transactions" or step.then == int(step.then) >= 0
            moved[column] = step.then
        assert model.margin(moved[None], threads=1)[0] == found.margin <= cut
    assert {0, 1, 2} <= set(sizes)  # all that can happen did


def test_no_nearer_change_of_the_same_feature_is_enough(moving):
    model, specs, matrix = moving
    known = {spec.name: spec for spec in specs}
    checked = 0
    for row in matrix[:60]:
        cut = model.margin(row[None], threads=1)[0] - 0.4
        found = find_change(model, row, specs=known, lowers=lambda m, cut=cut: m <= cut)
        if len(found.steps) != 1 or found.steps[0].spec.unit != "transactions":
            continue
        checked += 1
        for nearer in np.arange(found.steps[0].then + 1.0, row[0]):
            less = row.copy()
            less[0] = nearer
            assert model.margin(less[None], threads=1)[0] > cut
    assert checked > 3


def test_a_missing_value_is_not_moved_and_no_change_gives_none(moving):
    model, specs, _ = moving
    known = {spec.name: spec for spec in specs}
    row = np.full(5, np.nan)
    row[3:] = 6.0, 40.0
    found = find_change(model, row, specs=known, lowers=lambda m: m < np.inf)
    assert found.steps == ()
    assert np.isnan(found.margin)


@pytest.mark.parametrize(
    ("change", "actionable"),
    [
        ({}, True),
        ({"monotone": 0}, False),
        ({"family": "profile"}, False),
        ({"family": "label_history"}, False),
        ({"family": "peers"}, False),
        ({"how": replace(ROWS, period=EVER)}, False),
        ({"how": replace(ROWS, key=("device_id",))}, False),
        ({"how": replace(ROWS, at=("counterparty_id",))}, False),
        ({"how": Own(reading="value", column="amount")}, False),
        ({"how": Formula(operation="ratio", inputs=("part", "whole"))}, True),
        ({"how": Formula(operation="ratio", inputs=("part", "ever"))}, False),
        ({"how": Formula(operation="ratio", inputs=("part", "unheard_of"))}, False),
    ],
)
def test_only_ones_own_conduct_of_a_limited_time_in_a_declared_direction(
    make_spec, change, actionable
):
    spec = replace(make_spec("x", ROWS, unit="share"), family="velocity", monotone=1)
    others = {
        "part": make_spec("part", ROWS, unit="transactions"),
        "whole": make_spec("whole", ROWS, unit="transactions"),
        "ever": make_spec("ever", replace(ROWS, period=EVER), unit="transactions"),
    }
    assert is_actionable(replace(spec, **change), others) is actionable


@pytest.mark.parametrize("name", ["risk", "fraud"])
def test_nothing_of_age_nationality_or_the_past_in_the_catalogue_is_actionable(name):
    config = load_section(CONFIGS / f"{name}.yaml", RunConfig)
    declared = declare_features(config.features)
    offered = choose_features(config.features, unit=config.unit)
    actionable = {spec.name for spec in offered if is_actionable(spec, declared)}
    assert actionable
    for word in ("age", "nationality", "birth", "residence", "ever", "adverse", "list_hit", "pep"):
        assert not [each for each in actionable if word in each.split("_") or each == word]


def test_a_lowering_is_the_last_probability_of_a_lower_tier(small, policy):
    facts = small.features.take([0])
    for proba in (0.0, 1e-9, 0.003, 0.2, 0.9, 1.0):
        here = grade(np.array([proba]), facts, policy=policy).tier[0]
        found = find_lowering(proba, facts, policy=policy)
        if here == 0:
            assert found.highest is None
            assert found.held_by == "it is the lowest tier"
            continue
        ends = np.array([found.highest, np.nextafter(found.highest, 1.0)])
        below, above = grade(ends, facts.take([0, 0]), policy=policy).tier
        assert below < here == above
        assert policy.tier_names[below] == found.tier


def test_what_an_override_holds_no_probability_lowers(small, policy):
    facts = small.features.take([0])
    entry = EnteredOverride(
        customer_id=facts.keys["customer_id"][0].as_py(),
        code="BANK-1",
        reason="list hit",
        source="test",
        floor=policy.tier_names[-1],
        start="2000-01-01",
        expiry="2199-01-01",
        approved_on="2000-01-01",
        requester="a",
        approver="b",
    )
    found = find_lowering(0.9, facts, policy=policy, book=OverrideBook(overrides=(entry,)))
    assert found.highest is None
    assert found.held_by == "override BANK-1"


def test_features_without_a_split_are_no_levers(moving):
    model, specs, matrix = moving
    known = {spec.name: replace(spec, monotone=0) for spec in specs}
    assert find_change(model, matrix[0], specs=known, lowers=lambda m: m < np.inf).steps == ()
