"""Drift: the rows that were learned from have not moved; shifted ones have."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import DriftLimits
from kyc_ml.model import (
    DRIFT_COLUMNS,
    PROBABILITY,
    DriftFound,
    Profile,
    compare_profiles,
    learn_profile,
    sum_counts,
    summarise_drift,
)

LIMITS = DriftLimits(features_drifted=0.0)


def learned(features, proba):
    """Learn a profile, as if every row were a customer's only one."""
    return replace(learn_profile(features, proba), effective_customers=len(features))


@pytest.fixture(scope="module")
def rows(make_table, make_spec):
    """Rows of many customers, by a shift of the numbers."""
    from kyc_ml.features import Own  # noqa: PLC0415  only here

    specs = [
        make_spec("number", Own(reading="night")),
        make_spec("kind", Own(reading="category", column="channel"), kind="category"),
    ]

    def make(*, shift=0.0, kinds=("app", "web", None), n=2000, seed=0):
        rng = np.random.default_rng(seed)
        numbers = rng.normal(shift, 1, n)
        numbers[::10] = np.nan
        table = make_table(
            specs,
            np.column_stack([numbers, np.full(n, np.nan)]),
            {"kind": list(rng.choice(np.array(kinds, object), n))},
        )
        return table, 1 / (1 + np.exp(-np.nan_to_num(numbers)))

    return make


def test_a_profile_reads_back_exactly(rows):
    profile = learned(*rows())
    again = Profile.from_dict(json.loads(json.dumps(profile.to_dict())))
    assert again.to_dict() == profile.to_dict()
    assert again.bins == profile.bins
    assert again.count(*rows(seed=1)) == profile.count(*rows(seed=1))


def test_the_same_rows_have_not_moved(rows):
    profile = learned(*rows())
    found = compare_profiles(
        profile, profile.count(*rows()), effective_customers=2000, limits=LIMITS
    )
    assert found.table["psi"].tolist() == [0.0, 0.0, 0.0]
    assert (found.faults, found.drifted) == ((), [])
    assert found.table["column"].iloc[0] == PROBABILITY


def test_shifted_rows_have_moved(rows):
    profile = learned(*rows())
    counts = profile.count(*rows(shift=2.0, seed=1))
    found = compare_profiles(profile, counts, effective_customers=2000, limits=LIMITS)
    assert found.drifted == ["number"]
    assert [fault.split(":")[0] for fault in found.faults] == [
        "drift.score", "drift.features_drifted"
    ]  # fmt: skip


def test_a_probability_with_a_reason_is_shown_and_passes_no_limit(rows):
    profile = learned(*rows())
    counts = profile.count(*rows(shift=2.0, seed=1))
    found = compare_profiles(
        profile,
        counts,
        effective_customers=2000,
        limits=LIMITS,
        not_counted={PROBABILITY: "rows of the training"},
    )
    assert found.table["not_counted"].iloc[0]  # says why
    assert found.table["psi"].iloc[0] > 0.25
    (fault,) = found.faults
    assert fault.startswith("drift.features_drifted: 1 of 2 features")


def test_of_many_features_hardly_a_healthy_night_names_one():
    rng = np.random.default_rng(3)
    features = [f"f{n}" for n in range(120)]
    months = {name: rng.multinomial(4000, [0.1] * 10).tolist() for name in features}
    profile = SimpleNamespace(counts=months, effective_customers=4000)
    limits = DriftLimits(feature=1e-9, features_drifted=None)
    nights = []
    for _ in range(40):
        counts = {name: rng.multinomial(200, [0.1] * 10).tolist() for name in features}
        found = compare_profiles(profile, counts, effective_customers=200, limits=limits)
        nights.append(len(found.drifted))
    # each on its own would be exceeded by one of the 120 in every night
    assert sum(number > 0 for number in nights) <= 4


def test_without_rows_nothing_is_said_of_drift(rows):
    profile = learned(*rows())
    counts = {name: [0] * len(each) for name, each in profile.counts.items()}
    found = compare_profiles(profile, counts, effective_customers=0, limits=LIMITS)
    assert found.table["psi"].isna().all()
    assert not found.drifted


def test_drift_in_figures_is_that_of_the_table(rows):
    profile = learned(*rows())
    counts = profile.count(*rows(shift=2.0, seed=1))
    found = compare_profiles(profile, counts, effective_customers=2000, limits=LIMITS)
    psi = found.table.set_index("column")["psi"]
    assert summarise_drift(found.table) == {
        "drift/score_psi": psi[PROBABILITY],
        "drift/highest_feature_psi": psi["number"],
        "drift/features_drifted": 1.0,
    }
    assert psi["number"] == psi.drop(PROBABILITY).max() > 0.25


def test_what_is_undefined_is_no_figure():
    table = pd.DataFrame([(PROBABILITY, np.nan, 0.1, False, "")], columns=list(DRIFT_COLUMNS))
    assert summarise_drift(table) == {"drift/features_drifted": 0.0}


@given(excused=st.sets(st.sampled_from(["number", "kind"])))
def test_what_moves_with_time_is_shown_and_not_counted(rows, excused):
    profile = learned(*rows(n=200))
    counts = profile.count(*rows(shift=9.0, kinds=("new",), n=200, seed=1))
    found = compare_profiles(
        profile, counts, effective_customers=200, limits=LIMITS,
        not_counted=dict.fromkeys(excused, "clock"),
    )  # fmt: skip
    assert set(found.drifted) == {"number", "kind"} - excused
    assert set(found.table["column"]) == {PROBABILITY, "number", "kind"}
    assert set(found.table["column"][found.table["not_counted"] == "clock"]) == excused
    assert list(found.table["not_counted"] != "") == sorted(found.table["not_counted"] != "")
    assert summarise_drift(found.table)["drift/features_drifted"] == 2 - len(excused)
    share = [fault for fault in found.faults if "features_drifted" in fault]
    counted = 2 - len(excused)
    assert all(f"{counted} of {counted} features" in fault for fault in share)
    assert len(share) == min(counted, 1)


@pytest.mark.parametrize(("n", "end"), [(10, "f9"), (11, "f9 and 1 more"), (12, "f9 and 2 more")])
def test_features_beyond_ten_are_told_as_a_number(n, end):
    table = pd.DataFrame(
        [(f"f{i}", 1.0, 0.1, True, "") for i in range(n)], columns=list(DRIFT_COLUMNS)
    )
    said = DriftFound(table=table, faults=()).drifted_text
    assert said.startswith("f0, f1, ")
    assert said.endswith(end)


def test_new_categories_have_moved(rows):
    profile = learned(*rows())
    counts = profile.count(*rows(kinds=("new", "newer"), seed=1))
    assert (
        "kind" in compare_profiles(profile, counts, effective_customers=2000, limits=LIMITS).drifted
    )


def test_few_customers_prove_no_drift(rows):
    profile = learned(*rows())
    counts = profile.count(*rows(shift=2.0, seed=1))
    assert compare_profiles(profile, counts, effective_customers=2, limits=LIMITS).faults == ()


def test_without_limits_drift_is_only_told(rows):
    profile = learned(*rows())
    counts = profile.count(*rows(shift=2.0, seed=1))
    none = DriftLimits(score=None, features_drifted=None)
    found = compare_profiles(profile, counts, effective_customers=2000, limits=none)
    assert (found.faults, found.drifted) == ((), ["number"])


@given(order=st.permutations(["number", "kind", PROBABILITY]))
def test_the_order_of_counts_does_not_matter(rows, order):
    profile = learned(*rows(n=200))
    counts = profile.count(*rows(n=200))  # equal indices: nothing else decides their order
    got = compare_profiles(
        profile, {name: counts[name] for name in order}, effective_customers=9, limits=LIMITS
    )
    expected = compare_profiles(profile, counts, effective_customers=9, limits=LIMITS)
    assert got.table.to_dict("records") == expected.table.to_dict("records")


@given(parts=st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), max_size=5))
def test_counts_sum_bin_by_bin(parts):
    total = sum_counts({"a": counts} for counts in parts)
    assert total == ({"a": np.sum(parts, axis=0).tolist()} if parts else {})


def test_rows_without_a_probability_are_counted_without(rows):
    profile = learned(*rows())
    table, _ = rows()
    assert profile.count(table, None).keys() == {"number", "kind"}


def test_a_few_busy_customers_prove_little(rows):
    """Kish: nine rows of one customer and one of another are worth 1.2 customers."""
    features, proba = rows()
    owners = ["busy"] * (len(features) * 9 // 10)
    owners += ["quiet"] * (len(features) - len(owners))
    at = features.keys.column_names.index("customer_id")
    keys = features.keys.set_column(at, "customer_id", pa.array(owners))
    learnt = learn_profile(replace(features, keys=keys), proba)
    assert learnt.customers == 2
    assert learnt.effective_customers == pytest.approx(1 / (0.9**2 + 0.1**2))
    assert Profile.from_dict(learnt.to_dict()).effective_customers == learnt.effective_customers
