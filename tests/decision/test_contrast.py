"""Reasons by contrast: differences that add up, unusual values only, an independent computation."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.decision import (
    NOTHING_STANDS_OUT,
    PeerReference,
    find_reasons,
    find_unusual,
    learn_reference,
    make_reasons,
)
from kyc_ml.decision.explain.contrast import LEAST, SMALLEST
from kyc_ml.decision.explain.learning import SHRINKAGE
from kyc_ml.decision.explain.reference import FEWEST_PEERS, RARE
from kyc_ml.features import Latest, Own, Where

ROWS = 1_000
NUMBERS = ("sum_1d", "sum_7d", "flag", "age")
PEERS = ("way", "channel")


@pytest.fixture(scope="module")
def bank(make_spec, make_table):
    """Payments in and out by some channels; `sum_1d` and `sum_7d` are one group."""
    specs = [make_spec(name, Own(reading="value", column=name)) for name in NUMBERS]
    specs = [replace(s, group="test.sums") if "sum" in s.name else s for s in specs]
    specs += [
        make_spec(name, Own(reading="category", column=name), unit="category", kind="category")
        for name in PEERS
    ]
    rng = np.random.default_rng(3)
    ways = rng.choice(["in", "out"], ROWS, p=[0.4, 0.6])
    channels = np.where(rng.random(ROWS) < 0.03, "rare", np.where(ways == "in", "a", "b"))
    channels = np.where(rng.random(ROWS) < 0.5, channels, "c").astype(object)
    channels[rng.random(ROWS) < 0.02] = None
    numbers = np.column_stack(
        [
            rng.poisson(2.0, ROWS) + (ways == "out"),
            rng.normal(0.0, 1.0, ROWS),
            rng.random(ROWS) < 0.03,
            np.where(rng.random(ROWS) < 0.97, np.nan, rng.normal(0.0, 1.0, ROWS)),
            np.full((ROWS, 2), np.nan),
        ]
    )
    numbers[rng.random(ROWS) < 0.02, 1] = np.nan
    return make_table(specs, numbers, {"way": ways.tolist(), "channel": channels.tolist()})


def contributions_of(bank, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, 1.0, bank.numbers.shape) * rng.choice(
        [0.0, 0.1, 2.0], bank.numbers.shape
    )


def learn(bank, contributions, rows=None):
    everything = np.ones(len(bank), np.bool_)
    return learn_reference(
        bank,
        everything if rows is None else rows,
        peers=PEERS,
        contributions=lambda drawn: contributions[drawn],
    )


def shrunk(values, nested):
    """Median of the innermost cell, each cell's mixed with that of the cell around it."""
    usual = np.median(values)
    for cell in nested[1:]:
        n = cell.sum()
        usual = (n * np.median(values[cell]) + SHRINKAGE * usual) / (n + SHRINKAGE)
    return usual


def is_unusual(bank, column, row, here):
    spec = bank.specs[column]
    if spec.kind == "category":
        values = bank.category(spec.name)
        alike = np.array([each == values[row] for each in values])
        return (alike & here).sum() / here.sum() < RARE
    values, own = bank.numbers[:, column], bank.numbers[row, column]
    missing = np.isnan(values[here]).mean()
    if np.isnan(own):
        return missing < RARE
    among = values[here & ~np.isnan(values)]
    return missing > 1 - RARE or (among <= own).mean() < RARE or (among >= own).mean() <= RARE


def by_hand(bank, contributions, row):
    """Return one row's differences by code and its reasons, code and member, by plain counting."""
    ways, channels = bank.category("way"), bank.category("channel")
    nested = [np.ones(len(bank), np.bool_), ways == ways[row]]
    if channels[row] is not None:
        nested.append((ways == ways[row]) & (channels == channels[row]))
    nested = [cell for cell in nested if cell.sum() >= FEWEST_PEERS]
    codes = {}
    for column, spec in enumerate(bank.specs):
        codes.setdefault(spec.reason_code, []).append(column)
    differences, reasons = {}, []
    for code, columns in codes.items():
        sums = contributions[:, columns].sum(axis=1)
        differences[code] = sums[row] - shrunk(sums, nested)
        moved = {
            column: contributions[row, column] - shrunk(contributions[:, column], nested)
            for column in columns
            if is_unusual(bank, column, row, nested[-1])
        }
        along = {column: each * np.sign(differences[code]) for column, each in moved.items()}
        best = max(along, key=along.get, default=None)
        if best is not None and along[best] > 0.0:
            reasons.append((code, bank.specs[best].name))
    least = max(SMALLEST * max(abs(each) for each in differences.values()), LEAST)
    reasons = [each for each in reasons if abs(differences[each[0]]) >= least]
    way = np.sign(sum(differences.values()))
    reasons.sort(key=lambda r: (np.sign(differences[r[0]]) != way, -abs(differences[r[0]])))
    return differences, reasons


@given(seed=st.integers(0, 10**6))
def test_differences_add_up_to_the_margin_less_the_reference_margin(bank, seed):
    contributions = contributions_of(bank, seed)
    reference = learn(bank, contributions)
    base = np.random.default_rng(seed).normal(size=len(bank))
    found = find_reasons(bank, contributions, reference=reference, k=3)
    columns = make_reasons(bank, contributions, reference=reference, currency="CNY", k=3, base=base)
    margin = base + contributions.sum(axis=1)
    gap = margin - columns["reference_margin"].to_numpy()
    assert found.differences.sum(axis=1) == pytest.approx(gap, abs=1e-9)


@given(seed=st.integers(0, 10**6), row=st.integers(0, ROWS - 1))
def test_an_independent_computation_finds_the_same_reasons(bank, seed, row):
    contributions = contributions_of(bank, seed)
    reference = learn(bank, contributions)
    found = find_reasons(bank, contributions, reference=reference, k=4)
    differences, reasons = by_hand(bank, contributions, row)
    assert dict(zip(found.codes, found.differences[row], strict=True)) == pytest.approx(differences)
    listed = [
        (found.codes[group], bank.specs[member].name)
        for group, member in zip(found.groups[row], found.members[row], strict=True)
        if group >= 0
    ]
    assert listed == reasons[:4]


@pytest.mark.parametrize(
    ("share", "unusual"), [(0.04, True), (0.049, True), (0.05, False), (0.2, False)]
)
def test_a_value_is_unusual_if_less_than_one_row_in_twenty_shares_it(
    make_spec, make_table, share, unusual
):
    few = round(1_000 * share)
    high = np.repeat([1.0, 0.0], [few, 1_000 - few])
    words = ["x"] * few + ["y"] * (1_000 - few)
    numbers = np.column_stack(
        [high, 1.0 - high, np.where(high == 1.0, np.nan, 1.0), np.where(high == 1.0, 1.0, np.nan)]
    )
    specs = [make_spec(name, Own(reading="value", column=name)) for name in ("h", "l", "m", "k")]
    specs.append(
        make_spec("w", Own(reading="category", column="w"), unit="category", kind="category")
    )
    table = make_table(specs, np.column_stack([numbers, np.full(1_000, np.nan)]), {"w": words})
    reference = learn_reference(
        table, np.ones(1_000, np.bool_), contributions=lambda rows: np.zeros((rows.size, 5))
    )
    found = find_unusual(table, reference, np.zeros(1_000, np.int64))
    if share == RARE:  # exactly one in twenty at the upper end: as rare as the limit
        unusual = np.array([True, False, False, False, False])
    assert (found[0] == unusual).all()
    assert not found[-1].any()


FIRST = Where(column="is_first", values=("1",))


@pytest.mark.parametrize(
    ("rows", "grows"),
    [
        (("transactions", ("customer_id",), None), False),  # silence: each payment ends it
        (("transactions", ("customer_id", "country"), None), True),
        (("transactions", ("customer_id",), FIRST), True),
        (("labels", ("customer_id",), None), True),
    ],
)
def test_an_age_that_grows_with_the_data_is_unusual_only_if_it_is_short(
    make_spec, make_table, rows, grows
):
    table, key, where = rows
    how = Latest(table=table, key=key, reading="age_hours", where=where)
    ages = make_table([make_spec("age", how)], np.arange(1.0, 401.0)[:, None], {})
    reference = learn_reference(ages, np.ones(400, np.bool_))
    later = replace(ages, numbers=ages.numbers * 2.0 - 1.0)  # 1 to 799 hours
    found = find_unusual(later, reference, np.zeros(400, np.int64))[:, 0]
    value = later.numbers[:, 0]
    assert found.tolist() == ((value < 20.0) | (not grows) & (value > 380.0)).tolist()


def test_a_row_of_usual_values_says_so_and_a_reason_is_null_where_there_are_fewer(bank):
    contributions = contributions_of(bank, 1)
    reference = learn(bank, contributions)
    columns = make_reasons(bank, contributions, reference=reference, currency="CNY", k=3)
    strange = find_unusual(bank, reference, reference.group_of(bank)).sum(axis=1)
    first = np.array(columns["reason_1_code"].to_pylist())
    assert (first[strange == 0] == NOTHING_STANDS_OUT).all()
    assert (first[strange > 0] != NOTHING_STANDS_OUT).any()
    assert (first == NOTHING_STANDS_OUT).any()
    for row in np.flatnonzero(first == NOTHING_STANDS_OUT)[:5]:
        for name, values in columns.items():
            if name.startswith("reason_") and name not in {
                "reason_peers", "reason_1_code", "reason_1_text", "reason_1_text_zh",
            }:  # fmt: skip
                assert values[row].as_py() is None, name
        assert columns["reason_1_text"][row].is_valid
        assert columns["reason_1_text_zh"][row].is_valid
    second = columns["reason_2_code"].to_pylist()
    assert None in second
    assert NOTHING_STANDS_OUT not in second


def test_of_a_group_the_member_that_differs_most_in_its_direction_is_shown(make_spec, make_table):
    names = ("a", "b", "c")
    specs = [
        replace(make_spec(name, Own(reading="value", column=name)), group="test.all")
        for name in names
    ]
    rows = np.zeros((400, 3))
    rows[0] = [9.0, 9.0, 0.0]  # c is usual
    table = make_table(specs, rows, {})
    contributions = np.zeros((400, 3))
    contributions[0] = [0.4, 0.7, 5.0]
    reference = learn_reference(
        table, np.ones(400, np.bool_), contributions=lambda drawn: contributions[drawn]
    )
    found = find_reasons(table, contributions, reference=reference, k=2)
    assert found.codes == ("test.all",)
    assert found.groups[0].tolist() == [0, -1]
    assert found.members[0].tolist() == [1, -1]
    assert found.differences[0] == pytest.approx([6.1])
    contributions[0] = [0.4, 0.7, -5.0]  # the group lowers, and nothing unusual lowers
    found = find_reasons(table, contributions, reference=reference, k=2)
    assert found.groups[0].tolist() == [-1, -1]


def test_reasons_in_the_direction_of_the_row_come_first(make_spec, make_table):
    specs = [make_spec(name, Own(reading="value", column=name)) for name in ("a", "b", "c")]
    rows = np.zeros((400, 3))
    rows[:2] = 9.0
    table = make_table(specs, rows, {})
    contributions = np.zeros((400, 3))
    contributions[:2] = [[-2.0, 1.0, 1.5], [2.0, -1.0, -1.5]]
    reference = learn_reference(
        table, np.ones(400, np.bool_), contributions=lambda drawn: contributions[drawn]
    )
    found = find_reasons(table, contributions, reference=reference, k=3)
    assert found.members[:2].tolist() == [[2, 1, 0], [2, 1, 0]]


def test_cells_are_nested_and_a_small_or_unknown_one_uses_the_cell_around_it(bank):
    reference = learn(bank, contributions_of(bank, 1))
    ways, channels = bank.category("way"), bank.category("channel")
    for cell, usual in reference.groups.items():
        own = ways == cell[0]
        own &= channels == cell[1] if len(cell) > 1 else True
        assert usual.rows == own.sum() >= FEWEST_PEERS
    names = reference.name_groups(bank, reference.group_of(bank))
    for row in range(len(bank)):
        cell = (ways[row], channels[row])
        cell = cell if cell in reference.groups else cell[:1]
        words = {"in": "received", "out": "sent"}
        assert names[row] == ", ".join(words.get(each, each) for each in cell)
    assert {(way, "rare") for way in ("in", "out")}.isdisjoint(reference.groups)


def test_it_comes_back_from_json_and_the_former_form_has_no_contrast(bank):
    reference = learn(bank, contributions_of(bank, 1))
    again = PeerReference.from_dict(json.loads(json.dumps(reference.to_dict(), allow_nan=False)))
    assert again.to_dict() == reference.to_dict()
    assert again.contrasts
    single = learn_reference(bank, np.ones(len(bank), np.bool_), peers="way")
    former = PeerReference.from_dict(json.loads(json.dumps(single.to_dict(former=True))))
    assert former.peers == ("way",)
    assert set(former.groups) == {("in",), ("out",)}
    assert not former.contrasts
    assert not reference.without_contrast().contrasts


def test_a_field_that_the_source_lacks_is_passed_over(bank):
    lacking = replace(bank, unavailable={"instrument": "no column"})
    everything = np.ones(len(bank), np.bool_)
    learned = learn_reference(lacking, everything, peers=("way", "instrument", "channel"))
    assert learned.peers == PEERS
    plain = learn_reference(bank, everything, peers=PEERS)
    assert learned.to_dict() == plain.to_dict()
