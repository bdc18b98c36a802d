"""What would lower a tier: nothing but a customer's own conduct, and nothing nearer is enough."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from kyc_ml.config import ModelConfig, RunConfig, load_section
from kyc_ml.decision import (
    OverrideBook,
    TierPolicy,
    find_change,
    grade,
    held_by,
    limits_of,
    splits_of,
)
from kyc_ml.decision.explain.directions import RISING, direction_of
from kyc_ml.decision.tiers.sections import EnteredOverride
from kyc_ml.features import EVER, Formula, Latest, Own, Window, choose_features, declare_features
from kyc_ml.features.periods import period_of
from kyc_ml.model import fit_fixed

CONFIGS = Path(__file__).parents[2] / "configs"
ROWS = Window(table="transactions", key=("customer_id",), statistic="count", period=period_of("7d"))


@pytest.fixture(scope="module")
def moving(make_spec):
    """Fit a model on four counts and shares of conduct, and one that nobody can move."""
    counted = replace(make_spec("count", ROWS, unit="transactions"), family="velocity", monotone=1)
    specs = (
        counted,
        replace(counted, name="share", unit="share", family="structuring"),
        replace(counted, name="balance", unit="base currency", family="amounts", monotone=-1),
        replace(
            counted, name="free", how=replace(ROWS, statistic="mean", value="amount"), monotone=0
        ),
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
        n_estimators=12, learning_rate=0.3, num_leaves=4, max_bin=12, min_child_samples=20, n_jobs=1
    )
    return fit_fixed(matrix, target, specs=specs, config=config), specs, matrix


def nearest(moving, row, lowers, *, limits=None):
    """Find the nearest change of a row that is all the model reads."""
    model, specs, _ = moving
    return find_change(
        row,
        specs,
        specs={spec.name: spec for spec in specs},
        splits=splits_of(model),
        limits=limits or {},
        lowers=lowers,
    )


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
    margins = model.margin(matrix, threads=1)
    sizes = []
    for number, (row, margin) in enumerate(zip(matrix[:40], margins[:40], strict=True)):
        cut = margin - (0.3, 0.9, 1.5, 2.5)[number % 4]
        found = nearest(moving, row, lambda m, cut=cut: model.margin(m, threads=1) <= cut)
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
        np.testing.assert_array_equal(found.values, moved)
        assert model.margin(moved[None], threads=1)[0] <= cut
    assert {0, 1, 2} <= set(sizes)  # all that can happen did


def test_no_nearer_change_of_the_same_feature_is_enough(moving):
    model, _, matrix = moving
    checked = 0
    for row in matrix[:60]:
        cut = model.margin(row[None], threads=1)[0] - 0.4
        found = nearest(moving, row, lambda m, cut=cut: model.margin(m, threads=1) <= cut)
        if len(found.steps) != 1 or found.steps[0].spec.unit != "transactions":
            continue
        checked += 1
        for nearer in np.arange(found.steps[0].then + 1.0, row[0]):
            less = row.copy()
            less[0] = nearer
            assert model.margin(less[None], threads=1)[0] > cut
    assert checked > 3


def test_a_missing_value_is_not_moved_and_no_change_gives_none(moving):
    row = np.full(5, np.nan)
    row[3:] = 6.0, 40.0
    found = nearest(moving, row, lambda rows: np.full(len(rows), fill_value=True))
    assert found.steps == ()
    np.testing.assert_array_equal(found.values, row)


@pytest.mark.parametrize(
    ("column", "limit", "now", "then"),
    [
        (0, 3.0, 5.0, 2.0),  # what counts is whole
        (0, 2.5, 5.0, 2.0),
        (1, 0.5, 0.6, 0.495),  # below it, in words too
        (1, 0.0001, 0.6, 0.0),  # any at all
        (2, 700.0, 300.0, 700.0),  # less is more risk: from the limit on is enough
    ],
)
def test_a_limit_of_the_policy_is_passed_where_the_model_sees_no_difference(
    moving, column, limit, now, then
):
    _, specs, _ = moving
    row = np.full(5, np.nan)
    row[column] = now

    def lowers(rows):
        values = rows[:, column]
        return values < limit if specs[column].monotone > 0 else values >= limit

    found = nearest(moving, row, lowers, limits={specs[column].name: (limit,)})
    assert [(step.now, step.then) for step in found.steps] == [(now, then)]


@pytest.mark.parametrize(
    ("change", "direction"),
    [
        ({}, 1),
        ({"monotone": -1}, -1),
        ({"monotone": 0}, 1),  # counts of transactions are listed
        ({"monotone": 0, "how": replace(ROWS, statistic="mean", value="amount")}, 0),
        ({"monotone": 0, "unit": "share"}, 0),
        ({"family": "profile"}, 0),
        ({"family": "label_history"}, 0),
        ({"family": "peers"}, 0),
        ({"how": replace(ROWS, period=EVER)}, 0),
        ({"how": replace(ROWS, period=period_of("365d"))}, 0),
        ({"how": replace(ROWS, key=("device_id",))}, 0),
        ({"how": replace(ROWS, at=("counterparty_id",))}, 0),
        ({"how": Own(reading="value", column="amount")}, 0),
        ({"how": Formula(operation="ratio", inputs=("part", "whole"))}, 1),
        ({"how": Formula(operation="ratio", inputs=("part", "ever"))}, 0),
        ({"how": Formula(operation="ratio", inputs=("part", "unheard_of"))}, 0),
    ],
)
def test_only_ones_own_conduct_of_a_limited_time_has_a_direction(make_spec, change, direction):
    spec = replace(make_spec("x", ROWS, unit="transactions"), family="velocity", monotone=1)
    others = {
        "part": make_spec("part", ROWS, unit="transactions"),
        "whole": make_spec("whole", ROWS, unit="transactions"),
        "ever": make_spec("ever", replace(ROWS, period=EVER), unit="transactions"),
    }
    assert direction_of(replace(spec, **change), others) == direction


def directions_of(name):
    """Give the direction of every feature a configuration offers to a model."""
    config = load_section(CONFIGS / f"{name}.yaml", RunConfig)
    declared = declare_features(config.features)
    offered = choose_features(config.features, unit=config.unit)
    return {spec: direction_of(spec, declared) for spec in offered}


@pytest.mark.parametrize("name", ["risk", "fraud"])
def test_nothing_of_age_nationality_or_the_past_in_the_catalogue_is_moved(name):
    moved = {spec.name for spec, direction in directions_of(name).items() if direction}
    assert len(moved) > 50
    for word in (
        *("age", "nationality", "birth", "residence", "ever", "adverse", "list_hit", "pep"),
        *("365d", "entropy", "mean_hours", "min"),
    ):
        assert not [each for each in moved if word in each]


def test_every_entry_is_some_features_and_what_is_listed_is_an_amount_of_conduct():
    found = {**directions_of("risk"), **directions_of("fraud")}
    listed = {
        (spec.family, reading, spec.unit): spec
        for spec, direction in found.items()
        if direction == 1
        for reading in [getattr(spec.how, "statistic", None) or spec.how.operation]
        if (reading, spec.unit) in RISING[spec.family]
    }
    assert set(listed) == {(family, *entry) for family in RISING for entry in RISING[family]}
    for spec, direction in found.items():
        if direction and spec.typology is None:  # plain volume: how much, and with how many
            assert spec.family in {"velocity", "amounts", "counterparties"}
            assert spec.how.statistic in {"count", "sum", "max", "distinct", "mean"}


def test_limits_are_all_that_a_policy_reads_of_numbers():
    policy = load_section(CONFIGS / "tiers" / "risk.yaml", TierPolicy)
    limits = limits_of(policy)
    assert limits["customer_reports_filed_ever"] == (2.0,)
    assert limits["customer_cash_share_90d"] == (0.1, 0.3, 0.5, 0.8)
    assert "profile_pep_status" not in limits


def test_the_lowest_tier_and_a_probability_are_held_by_nothing(small, policy):
    facts = small.features.take([0])
    assert held_by(0.0, facts, policy=policy) == ("", "")
    assert grade(np.array([0.9]), facts, policy=policy).tier[0] > 0
    assert held_by(0.9, facts, policy=policy) == ("", "")


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
    book = OverrideBook(overrides=(entry,))
    assert held_by(0.9, facts, policy=policy, book=book) == (
        "override BANK-1",
        "等级调整BANK-1",
    )
