"""Scored rows, segments, groups and periods at their edges."""

import numpy as np
import pytest

from kyc_ml.validation.policy import Group
from kyc_ml.validation.segments import UNKNOWN, group_names, segments


def test_segments_part_the_rows(evidence):
    found = list(segments(evidence.current, ("segment", "absent", "signal")))
    assert {each.feature for each in found} == {"segment"}
    assert (sum(each.rows.astype(int) for each in found) == 1).all()


def test_a_missing_category_is_a_segment_of_its_own(world, score):
    features, target = world.draw(200, seed=9, first_day=160)
    features.categories["segment"] = features.categories["segment"].take([None, *range(199)])
    found = {
        each.value: each.rows.sum() for each in segments(score((features, target)), ("segment",))
    }
    assert found[UNKNOWN] == 1


@pytest.mark.parametrize(
    ("value", "name"),
    [(24.999, "below 25"), (25.0, "25 to 40"), (39.9, "25 to 40"), (40.0, "40 or more"),
     (np.nan, UNKNOWN)],
)  # fmt: skip
def test_a_value_equal_to_a_cut_belongs_above_it(world, score, value, name):
    features, target = world.draw(50, seed=9, first_day=160)
    features.numbers[:, 2] = value
    names = group_names(score((features, target)), Group(feature="plain", cuts=(25, 40)))
    assert set(names) == {name}


def test_rows_without_the_feature_have_no_groups(evidence):
    assert group_names(evidence.current, Group(feature="profile_nationality")) is None


@pytest.mark.parametrize(("length", "form"), [("day", 10), ("week", 10), ("month", 7)])
def test_periods_are_named_by_their_first_day(evidence, length, form):
    names = evidence.current.period(length)
    assert {len(name) for name in names} == {form}
    days = names.astype("datetime64[D]").astype(np.int64)
    assert (days <= evidence.current.day).all()
    assert (evidence.current.day - days < {"day": 1, "week": 7, "month": 31}[length]).all()
    if length == "week":
        assert {np.datetime64(name).astype(object).weekday() for name in set(names)} == {0}


def test_columns_are_found_wherever_they_are(evidence):
    places = np.array([3, 1])
    found = evidence.current.columns(["other", "segment"], places)
    assert found.names == ("other", "segment")
    np.testing.assert_array_equal(found.numbers[:, 0], evidence.current.number("other")[places])


def test_the_report_counts_the_rows(evidence):
    used = evidence.current.used()
    assert used.rows == used.judged == len(evidence.current)
    assert used.positives == evidence.current.target.sum()
    assert 0 < used.customers <= used.judged
