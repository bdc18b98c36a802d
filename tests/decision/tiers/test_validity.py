"""No run grades before its policy is valid; what was decided before it is marked."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.decision import grade, require_in_force
from kyc_ml.errors import ConfigError

SHANGHAI = {"timezone": "Asia/Shanghai", "working_days": "weekdays"}


@pytest.mark.parametrize(
    ("now", "refused"),
    [
        ("2023-12-31 15:59:59", True),  # still the last day of the year in Shanghai
        ("2023-12-31 16:00:00", False),
        ("2024-01-01 00:00:00", False),
        ("2020-01-01 00:00:00", True),
    ],
)
def test_a_run_is_refused_until_the_first_local_day(make_policy, now, refused):
    policy = make_policy(calendar=SHANGHAI)
    moment = pd.Timestamp(now, tz="UTC")
    if not refused:
        require_in_force(policy, moment)
        return
    with pytest.raises(ConfigError, match=r"'p v1' .*2024-01-01.* 20") as e:
        require_in_force(policy, moment)
    assert "force" in str(e.value)


def test_a_policy_without_a_first_day_refuses_no_run_and_marks_nothing(make_policy, make_facts):
    policy = make_policy(valid_from=None)
    require_in_force(policy, pd.Timestamp("1990-01-01", tz="UTC"))
    got = grade(np.array([0.5]), make_facts(1), policy=policy)
    assert got.columns()["policy_in_force"].to_pylist() == [None]


@given(st.lists(st.integers(-400, 400), max_size=8))
def test_exactly_the_rows_decided_before_it_are_marked_and_graded_alike(
    make_policy, make_facts, offsets
):
    days = [pd.Timestamp("2024-01-01") + pd.Timedelta(days=offset) for offset in offsets]
    facts, proba = make_facts(len(days), days=days), np.full(len(days), 0.05)
    got = grade(proba, facts, policy=make_policy())
    assert got.columns()["policy_in_force"].to_pylist() == [offset >= 0 for offset in offsets]
    early = sum(offset < 0 for offset in offsets)
    assert [n for what, n in got.counts.items() if "valid" in what] == [early][: bool(early)]
    undated = grade(proba, facts, policy=make_policy(valid_from=None))
    np.testing.assert_array_equal(got.tier, undated.tier)


def test_a_row_without_a_decision_time_is_neither(make_policy, make_facts):
    got = grade(np.array([0.5]), make_facts(1, days=[None]), policy=make_policy())
    assert got.columns()["policy_in_force"].to_pylist() == [None]
    assert not any("valid" in what for what in got.counts)
