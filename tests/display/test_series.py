"""Pictures of figures over time: every figure has its place, and what is unknown has none."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.display import Series, draw_distributions, draw_series

FIGURES = st.lists(
    st.one_of(st.just(np.nan), st.floats(-1e12, 1e12, allow_subnormal=False)),
    min_size=1,
    max_size=20,
)


def draw(values, **options):
    one = Series(name="a", role="r0", values=np.array(values), **options.pop("ends", {}))
    labels = [str(place) for place in range(len(values))]
    return draw_series(labels, [one], write=str, **options)


def places(drawing):
    """Return x and y of every figure of a picture."""
    found = []
    for shape in drawing.shapes:
        if "d" in shape.attributes:
            found += re.findall(r"([-\d.e+]+),([-\d.e+]+)", shape.attributes["d"])
        elif shape.tag == "circle":
            found.append((shape.attributes["cx"], shape.attributes["cy"]))
    return np.array(found, dtype=np.float64).reshape(-1, 2)


@pytest.mark.parametrize("logarithmic", [False, True])
@given(values=FIGURES)
def test_every_known_figure_is_inside_the_picture_and_no_other(logarithmic, values):
    known = [each for each in values if np.isfinite(each) and (each > 0 or not logarithmic)]
    drawing = draw(values, logarithmic=logarithmic)
    assert (drawing is None) is (not known)
    if drawing is not None:
        at = places(drawing)
        assert len(at) == len(known)
        assert (at >= 0).all()
        assert (at <= [drawing.width, drawing.height]).all()


@given(values=FIGURES)
def test_a_higher_figure_is_higher(values):
    drawing = draw(values)
    if drawing is not None:
        known = np.array([each for each in values if np.isfinite(each)])
        order = np.argsort(known, kind="stable")
        assert (np.diff(places(drawing)[order, 1]) <= 0.11).all()  # rounded to 0.1


def test_a_line_has_a_gap_where_a_figure_is_unknown():
    drawing = draw([1.0, 2.0, np.nan, 3.0, np.nan, 4.0, 5.0])
    roles = [shape.role for shape in drawing.shapes]
    assert roles.count("curve r0") == 2
    assert roles.count("dot r0") == 1  # a single figure is a point


def test_an_interval_is_a_band_or_a_whisker():
    ends = {"low": np.array([0.0, 1.0]), "high": np.array([2.0, np.nan])}
    assert "band r0" not in {shape.role for shape in draw([1.0, 2.0], ends=ends).shapes}
    whole = {"low": np.array([0.0, 1.0]), "high": np.array([2.0, 3.0])}
    assert "band r0" in {shape.role for shape in draw([1.0, 2.0], ends=whole).shapes}
    dots = draw([1.0, 2.0], ends={**whole, "dots": True})
    assert [shape.role for shape in dots.shapes].count("whisker r0") == 2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_bars_of_two_distributions_stand_on_the_axis(shares):
    drawing = draw_distributions(shares, shares[::-1])
    bars = [shape for shape in drawing.shapes if shape.tag == "rect"]
    assert len(bars) == 2 * len(shares)
    for bar in bars:
        y, tall = bar.attributes["y"], bar.attributes["height"]
        assert y + tall == pytest.approx(drawing.height - 1)
        assert 0 <= tall <= drawing.height


@given(times=st.integers(1, 400))
def test_labels_of_times_never_overlap(times):
    drawing = draw([1.0] * times)
    labels = [each.attributes for each in drawing.shapes if each.tag == "text"]
    along = [each for each in labels if float(each["y"]) == drawing.height - 6]
    before = {"start": 0.0, "middle": 0.5, "end": 1.0}
    day = 80.0  # ten digits and hyphens
    starts = sorted(float(each["x"]) - day * before[each["text-anchor"]] for each in along)
    assert starts
    assert all(after - start >= day for start, after in itertools.pairwise(starts))
