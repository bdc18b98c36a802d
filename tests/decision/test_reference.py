"""What is usual: quantiles that occur, whole and by peer group, the same after JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.decision import PeerReference, learn_reference, make_reasons, require_peers
from kyc_ml.decision.explain.reference import FEWEST_PEERS, LEVELS, place_in
from kyc_ml.errors import ConfigError
from kyc_ml.features import Own

VALUES = st.lists(
    st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=300
)
WIDEST = max(b - a for a, b in pairwise(LEVELS))


@pytest.fixture(scope="module")
def bank(make_spec, make_table):
    """Make rows of two large peer groups, a small one and rows without a group."""
    specs = [
        make_spec("amount", Own(reading="value", column="x"), unit="transactions"),
        make_spec("twin", Own(reading="value", column="y"), unit="transactions"),
        make_spec("group", Own(reading="category", column="g"), unit="category", kind="category"),
    ]
    groups = ["a"] * 300 + ["b"] * FEWEST_PEERS + ["c"] * (FEWEST_PEERS - 1) + [None] * 7
    rng = np.random.default_rng(5)
    n = len(groups)
    level = np.array([{"a": 1.0, "b": 50.0}.get(each, 9.0) for each in groups])
    numbers = np.column_stack([rng.poisson(level), rng.normal(size=n), np.full(n, np.nan)])
    numbers[rng.random(n) < 0.1, 0] = np.nan
    return make_table(specs, numbers, {"group": groups})


@given(values=VALUES, own=st.floats(-2e6, 2e6))
def test_a_place_is_the_mid_rank_but_for_the_step_between_two_levels(values, own):
    known = np.sort(np.array(values))
    places = np.maximum(np.ceil(np.array(LEVELS) * known.size - 1e-9).astype(int) - 1, 0)
    got = place_in(known[places], own)
    exact = (np.mean(known < own) + np.mean(known <= own)) / 2.0
    assert 0.0 <= got <= 1.0
    assert abs(got - exact) <= WIDEST + 0.5 / known.size + 1e-9 or known.size < len(LEVELS)


@given(values=VALUES, own=st.lists(st.floats(-2e6, 2e6), min_size=2, max_size=20))
def test_a_place_never_falls_as_the_value_rises(values, own):
    grid = np.quantile(values, LEVELS, method="inverted_cdf")
    placed = [place_in(grid, each) for each in sorted(own)]
    assert (np.diff(placed) >= -1e-12).all()
    ends = [place_in(grid, each) for each in (-np.inf, grid[0] - 1.0, grid[-1] + 1.0, np.inf)]
    assert ends == [0.0, 0.0, 1.0, 1.0]
    assert np.isnan(place_in(grid, np.nan))


def test_quantiles_are_those_of_numpy_and_blind_to_the_order_of_rows(bank):
    everything = np.ones(len(bank), np.bool_)
    learned = learn_reference(bank, everything)
    values = bank.numbers[:, 0]
    expected = np.quantile(values[np.isfinite(values)], LEVELS, method="inverted_cdf")
    assert learned.quantiles["amount"].tolist() == expected.tolist()
    turned = learn_reference(bank.take(np.arange(len(bank))[::-1]), everything)
    assert json.dumps(learned.to_dict()) == json.dumps(turned.to_dict())


def test_each_large_group_has_its_own_and_the_others_borrow_the_whole_and_say_so(bank):
    learned = learn_reference(bank, np.ones(len(bank), np.bool_), peers="group")
    rows = {name: usual.rows for name, usual in learned.groups.items()}
    assert rows == {("a",): 300, ("b",): 200}
    groups = np.array(bank.categories["group"].to_pylist(), dtype=object)
    contributions = np.tile([1.0, 0.0, 0.0], (len(bank), 1))
    columns = make_reasons(bank, contributions, reference=learned, currency="CNY", k=1)
    peers = np.array(columns["reason_peers"].to_pylist(), dtype=object)
    median = columns["reason_1_peer_median"].to_numpy(zero_copy_only=False)
    text = columns["reason_1_text"].to_pylist()
    for value, name, among in (
        ("a", "a", " a: "),
        ("b", "b", " b: "),
        ("c", r"all \(c: .* 200 .*\)", "(usual: "),
        (None, r"all \(group .*\)", "(usual: "),
    ):
        here = np.flatnonzero(groups == value)
        of = groups == value if name in {"a", "b"} else np.ones(len(bank), np.bool_)
        [shown] = set(peers[here])
        assert re.fullmatch(name, shown)
        assert set(median[here]) == {np.nanmedian(bank.numbers[of, 0])}
        assert all(among in text[row] for row in here)


def test_it_comes_back_from_json_to_the_last_bit(bank):
    learned = learn_reference(bank, np.ones(len(bank), np.bool_), peers="group")
    again = PeerReference.from_dict(json.loads(json.dumps(learned.to_dict(), allow_nan=False)))
    assert again.to_dict() == learned.to_dict()


def test_what_another_knows_fills_what_is_unknown_group_by_group_and_changes_nothing_else(bank):
    rows = np.ones(len(bank), np.bool_)
    other = learn_reference(bank, rows, peers="group")
    mine = learn_reference(bank.reorder(["amount", "group"]), np.arange(len(bank)) % 2 == 0)
    grouped = replace(mine, peers=("group",), groups={("a",): mine, ("z",): mine})
    filled = grouped.filled_by(other)
    for usual, before, added in (
        (filled, mine, other),
        (filled.groups[("a",)], mine, other.groups[("a",)]),
        (filled.groups[("z",)], mine, None),  # nobody knows what is usual in it
    ):
        assert usual.rows == before.rows
        assert usual.medians["amount"] == before.medians["amount"]
        assert usual.quantiles["amount"].tolist() == before.quantiles["amount"].tolist()
        if added is None:
            assert "twin" not in {*usual.medians, *usual.quantiles}
            continue
        assert usual.medians["twin"] == added.medians["twin"]
        assert usual.quantiles["twin"].tolist() == added.quantiles["twin"].tolist()
    assert mine.filled_by(other).groups == {}
    assert "twin" not in replace(grouped, peers=("amount",)).filled_by(other).groups[("a",)].medians
    assert other.filled_by(mine).to_dict() == other.to_dict()


def test_what_was_written_before_there_were_quantiles_gives_no_percentile(bank):
    old = PeerReference.from_dict(
        {"medians": {"amount": 2.0, "twin": None}, "modes": {"group": "a"}}
    )
    assert np.isnan(old.medians["twin"])
    columns = make_reasons(
        bank, np.tile([1.0, 0.5, 0.2], (len(bank), 1)), reference=old, currency="CNY", k=3
    )
    assert columns["reason_1_percentile"].null_count == len(bank)
    assert set(columns["reason_1_peer_median"].to_pylist()) == {2.0}
    assert "(usual: 2); raises" in columns["reason_1_text"][0].as_py()


def test_peers_that_no_column_tells_apart_are_refused(bank):
    with pytest.raises(ConfigError, match=r"'group'"):
        require_peers(bank, "groop")
    with pytest.raises(ConfigError, match="customers"):
        learn_reference(bank, np.ones(len(bank), np.bool_), peers="amount")
    require_peers(bank, None)


def test_a_row_alone_has_the_reasons_it_has_among_others(small):
    contributions = small.model.contributions(small.matrix).values
    reference = learn_reference(small.features, np.ones(600, np.bool_), peers="channel")
    batch = make_reasons(small.features, contributions, reference=reference, currency="CNY", k=3)
    for row in (0, 17, 599):
        alone = make_reasons(
            small.features.take([row]),
            contributions[[row]],
            reference=reference,
            currency="CNY",
            k=3,
        )
        assert {n: v[0].as_py() for n, v in alone.items()} == pytest.approx(
            {n: v[row].as_py() for n, v in batch.items()}, nan_ok=True
        )
