"""A team reviews each day's highest scores, and no more than it can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.metrics import ReviewQueue, pays
from kyc_ml.metrics.capacity import CapturedPositives


@st.composite
def queues(draw):
    """Draw days, tied scores and how often each row is there."""
    n = draw(st.integers(1, 25))

    def numbers(low, high):
        return np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)))

    return numbers(0, 6), numbers(0, 4) / 4, numbers(0, 3), draw(st.integers(0, 9)) / 2


def reviewed_by_hand(day, score, per_day, end):
    """Fill each day's reviews from the highest score down."""
    shares, days = np.zeros(day.size), sorted(set(day.tolist()))
    for place, today in enumerate(days):
        until = days[place + 1] if place + 1 < len(days) else max(end, today + 1)
        left = per_day * (until - today)
        for level in sorted(set(score[day == today]), reverse=True):
            here = (day == today) & (score == level)
            shares[here] = min(1.0, left / here.sum())
            left = max(0.0, left - here.sum())
    return shares


@given(drawn=queues(), end=st.integers(0, 9))
def test_reviews_are_those_of_a_queue_by_hand(drawn, end):
    day, score, _, per_day = drawn
    queue = ReviewQueue.of(score, day, end_day=end)
    expected = reviewed_by_hand(day, score, per_day, end)
    np.testing.assert_allclose(queue.reviewed(per_day), expected, atol=1e-12)


@given(drawn=queues())
def test_counted_rows_are_reviewed_as_repeated_rows_are(drawn):
    day, score, times, per_day = drawn
    times[0] = max(times[0], 1)
    # every day of decisions stays, so that both queues have the same days
    for today in set(day.tolist()):
        times[np.flatnonzero(day == today)[0]] += 1
    shares = ReviewQueue.of(score, day, end_day=9).reviewed(per_day, times)
    rows = np.repeat(np.arange(day.size), times)
    repeated = ReviewQueue.of(score[rows], day[rows], end_day=9).reviewed(per_day)
    np.testing.assert_allclose(shares[rows], repeated, atol=1e-12)


@given(drawn=queues())
def test_more_reviews_never_review_a_row_less(drawn):
    day, score, _, per_day = drawn
    queue = ReviewQueue.of(score, day, end_day=9)
    assert (queue.reviewed(per_day) <= queue.reviewed(per_day + 1) + 1e-12).all()
    assert queue.reviewed(per_day).sum() <= per_day * max(9, day.max() + 1) + 1e-9


def test_no_rows_need_no_review():
    queue = ReviewQueue.of(np.zeros(0), np.zeros(0, np.int64), end_day=3)
    assert queue.reviewed(5.0).size == 0


@pytest.mark.parametrize(("proba", "worth"), [(0.0499, False), (0.05, True)])
def test_a_row_whose_loss_equals_the_review_is_reviewed(proba, worth):
    assert pays(np.array([proba]), review_cost=1.0, miss_cost=20.0).tolist() == [worth]


@given(drawn=queues(), labels=st.lists(st.sampled_from([0.0, 1.0]), min_size=25, max_size=25))
def test_catches_are_counted_as_the_queue_reviews(drawn, labels):
    day, score, times, per_day = drawn
    target = np.array(labels[: day.size])
    queue = ReviewQueue.of(score, day, end_day=9)
    capacities = np.array([per_day, per_day + 1.5, 100.0])
    reviewed, caught = CapturedPositives.of(queue, target).found(capacities, times)
    for place, capacity in enumerate(capacities):
        shares = queue.reviewed(capacity, times)
        assert reviewed[place] == pytest.approx((shares * times).sum())
        assert caught[place] == pytest.approx((shares * times * target).sum())
