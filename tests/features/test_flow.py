"""Money out is matched to the oldest money in that was known, and never to the future."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from kyc_ml.features.kernels.flow import GONE, SETTLED, match_flow
from kyc_ml.features.periods import HOUR_US

WITHIN_H = (2, 5, 1_000)
AMOUNTS = st.one_of(st.integers(0, 5).map(float), st.floats(0, 1e9), st.just(0.1))
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3),  # key
        st.integers(0, 12),  # event time, in hours
        st.integers(-1, 6),  # delay until known, in hours
        st.booleans(),  # whether it goes out
        AMOUNTS,
    ),
    max_size=30,
)


def match(rows, *, within_h=WITHIN_H, n_keys=5):
    """Result of rows (key, event, delay, is_out, amount), which are in order."""
    starts = np.searchsorted([row[0] for row in rows], np.arange(n_keys + 1))
    event = np.array([row[1] for row in rows], np.int64) * HOUR_US
    known = event + np.array([row[2] for row in rows], np.int64) * HOUR_US
    return match_flow(
        starts.astype(np.int64),
        event,
        known,
        np.array([row[3] for row in rows], np.bool_),
        np.array([row[4] for row in rows], np.float64),
        np.array(within_h, np.int64) * HOUR_US,
    )


def ordered(rows):
    return sorted(rows, key=lambda row: row[:2])


def entry(row):
    return max(row[1], row[1] + row[2])


def chunks_of(rows):
    """For each booking out the (age in hours, amount) it consumes, from the definition."""
    left = [row[4] for row in rows]
    consumed = {}
    outs = [place for place, row in enumerate(rows) if row[3]]
    for out in sorted(outs, key=lambda place: (entry(rows[place]), rows[place][1], place)):
        wanted = rows[out][4]
        consumed[out] = []
        for source, row in enumerate(rows):
            available = (
                row[0] == rows[out][0]
                and not row[3]
                and row[1] < rows[out][1]
                and entry(row) <= entry(rows[out])
                and left[source] > GONE * row[4]
            )
            if available and wanted > SETTLED * rows[out][4]:
                taken = min(wanted, left[source])
                wanted -= taken
                left[source] -= taken
                consumed[out].append((rows[out][1] - row[1], taken))
    return consumed


@given(rows=ROWS)
def test_the_match_is_its_definition(rows):
    rows = ordered(rows)
    matched, dwell = match(rows)
    expected = np.full((len(rows), len(WITHIN_H)), np.nan)
    expected_dwell = np.full(len(rows), np.nan)
    chunks = chunks_of(rows)
    for out in chunks:
        instant = (rows[out][:2], entry(rows[out]))
        together = [each for each in chunks if (rows[each][:2], entry(rows[each])) == instant]
        met = [chunk for each in together for chunk in chunks[each]]
        total = sum(rows[each][4] for each in together)
        share = rows[out][4] / total if total else 0.0
        for column, limit in enumerate(WITHIN_H):
            expected[out, column] = share * sum(taken for age, taken in met if age <= limit)
        if met and (len(together) > 1 or chunks[out]):
            ages, weights = zip(*met, strict=True)
            expected_dwell[out] = np.average(ages, weights=np.array(weights) / max(weights))
    np.testing.assert_allclose(matched, expected, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(dwell, expected_dwell, rtol=1e-9)


@given(rows=ROWS)
def test_no_more_goes_out_than_came_in_before(rows):
    rows = ordered(rows)
    matched, _ = match(rows)
    for key, now in {(row[0], entry(row)) for row in rows}:
        seen = [place for place, row in enumerate(rows) if row[0] == key and entry(row) <= now]
        came = sum(rows[place][4] for place in seen if not rows[place][3])
        went = sum(matched[place, -1] for place in seen if rows[place][3])
        assert went <= came * (1 + 1e-12)
    for place, row in enumerate(rows):
        if row[3]:
            assert matched[place, 0] <= matched[place, 1] <= matched[place, 2]
            assert matched[place, 2] <= row[4] * (1 + 1e-12)


@given(rows=ROWS, now=st.integers(-1, 20))
def test_rows_of_the_future_change_nothing(rows, now):
    rows = ordered(rows)
    kept = [n for n, row in enumerate(rows) if row[1] < now and row[1] + row[2] <= now]
    matched, dwell = match(rows)
    past_matched, past_dwell = match([rows[place] for place in kept])
    np.testing.assert_array_equal(past_matched, matched[kept])
    np.testing.assert_array_equal(past_dwell, dwell[kept])


@given(rows=ROWS, data=st.data())
def test_the_order_of_simultaneous_rows_does_not_change_totals(rows, data):
    shuffled = ordered(data.draw(st.permutations(rows)))
    rows = ordered(rows)

    def totals(rows):
        matched, dwell = match(rows)
        found = {}
        for place, row in enumerate(rows):
            if row[3]:
                mass = np.nan_to_num(dwell[place]) * matched[place, -1]
                sums = found.setdefault((row[0], entry(row), row[1]), np.zeros(4))
                sums += [*matched[place], mass]
        return found

    first, second = totals(rows), totals(shuffled)
    assert first.keys() == second.keys()
    # A remainder that is taken for rounding in one order may be money in the other.
    dust = len(rows) * GONE * max((row[4] for row in rows), default=0.0)
    for when, sums in first.items():
        np.testing.assert_allclose(sums, second[when], rtol=1e-9, atol=12 * dust)


@pytest.mark.parametrize(
    ("rows", "matched", "dwell"),
    [
        # Money that comes at the same instant has not arrived yet.
        ([(0, 1, 0, False, 5.0), (0, 1, 0, True, 5.0)], 0.0, np.nan),
        # Exactly at the limit of two hours is within; the next hour is not.
        ([(0, 1, 0, False, 5.0), (0, 3, 0, True, 5.0)], 5.0, 2.0),
        ([(0, 1, 0, False, 5.0), (0, 4, 0, True, 5.0)], 0.0, 3.0),
        # The oldest money goes first, whatever its age.
        ([(0, 0, 0, False, 1.0), (0, 8, 0, False, 4.0), (0, 9, 0, True, 4.0)], 3.0, 3.0),
        # Money known at the very entry of the booking out is there; known later is not.
        ([(0, 1, 2, False, 5.0), (0, 3, 0, True, 5.0)], 5.0, 2.0),
        ([(0, 1, 3, False, 5.0), (0, 3, 0, True, 5.0)], 0.0, np.nan),
        # A late booking out meets money that entered meanwhile but happened before it.
        ([(0, 1, 3, False, 5.0), (0, 3, 1, True, 5.0)], 5.0, 2.0),
        # Late money takes its place before younger money.
        ([(0, 1, 1, False, 5.0), (0, 2, 0, False, 5.0), (0, 3, 0, True, 6.0)], 6.0, 11 / 6),
        # Money known before it happened is there only once it happened.
        ([(0, 1, -1, False, 5.0), (0, 2, -1, True, 2.0)], 2.0, 1.0),
        # Nothing is taken by nothing, and other keys' money is theirs.
        ([(0, 1, 0, False, 5.0), (0, 3, 0, True, 0.0)], 0.0, np.nan),
        ([(0, 1, 0, False, 0.0), (0, 3, 0, True, 5.0)], 0.0, np.nan),
        ([(0, 1, 0, False, 5.0), (1, 3, 0, True, 5.0)], 0.0, np.nan),
        ([(2, 3, 0, True, 5.0)], 0.0, np.nan),
    ],
)
def test_edges(rows, matched, dwell):
    got_matched, got_dwell = match(rows, within_h=(2,))
    assert got_matched[-1, 0] == matched
    np.testing.assert_allclose(got_dwell[-1], dwell, rtol=1e-15)
    assert np.isnan(got_matched[:-1]).all()
    assert np.isnan(got_dwell[:-1]).all()


def test_what_rounding_leaves_is_no_money():
    spent = [(0, 2, 0, True, 0.1)] * 3
    matched, dwell = match([(0, 1, 0, False, 0.3), *spent, (0, 9, 0, True, 1.0)])
    assert matched[1:, 2].tolist() == [*[pytest.approx(0.1)] * 3, 0.0]
    assert np.isnan(dwell[-1])


def test_no_rows_and_no_limits():
    matched, dwell = match([])
    assert matched.shape == (0, 3)
    assert dwell.shape == (0,)
    matched, dwell = match([(0, 1, 0, False, 5.0), (0, 3, 0, True, 5.0)], within_h=())
    assert matched.shape == (2, 0)
    assert dwell[1] == 2.0


@pytest.mark.parametrize("reverse", [False, True])
def test_late_money_agrees_with_the_definition_at_length(reverse):
    rng = np.random.default_rng(0)
    rows = []
    for hour in range(400):
        delay = 400 - hour if reverse else int(rng.integers(0, 100))
        is_out = bool(rng.random() < 0.4)
        rows.append((0, hour, delay, is_out, float(rng.integers(1, 9))))
    matched, dwell = match(rows)
    for out, chunks in chunks_of(rows).items():
        assert matched[out, 2] == sum(taken for _, taken in chunks)
        if chunks:
            mean = sum(age * taken for age, taken in chunks) / matched[out, 2]
            assert dwell[out] == pytest.approx(mean, rel=1e-12)
