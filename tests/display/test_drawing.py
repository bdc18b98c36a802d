"""Pictures of a case: every amount has its place, nothing leaves the picture or is lost."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.display import Dot, Link, draw_flow, draw_timeline
from kyc_ml.display.drawing import MOST_NODES, decades

START = pd.Timestamp("2024-03-01", tz="Asia/Shanghai")
END = START + pd.Timedelta(days=90)
AMOUNTS = st.floats(0.01, 1e9)
WIDTHS = (340.0, 1000.0)
DOTS = st.lists(
    st.builds(
        Dot,
        when=st.integers(0, 90 * 24).map(lambda hours: START + pd.Timedelta(hours=hours)),
        incoming=st.booleans(),
        amount=AMOUNTS,
        role=st.sampled_from(["paid", "sought"]),
    ),
    max_size=40,
)
LINKS = st.lists(
    st.builds(Link, name=st.text("abc", min_size=1, max_size=30), incoming=st.booleans(),
              amount=AMOUNTS, first=st.booleans()),
    max_size=60,
    unique_by=lambda link: (link.name, link.incoming),
)  # fmt: skip


def timeline(dots, width=1000.0, **more):
    return draw_timeline(dots, start=START, end=END, width=width, ways=("in", "out"), **more)


def bars(drawing):
    return [each for each in drawing.shapes if each.role in {"paid", "sought"}]


def amount_of(bar):
    return float(bar.text.split()[3].replace(",", ""))


@given(DOTS, st.sampled_from(WIDTHS))
def test_bars_add_up_to_the_payments_and_stay_inside(dots, width):
    drawing = timeline(dots, width)
    shown = bars(drawing)
    for incoming, way in ((True, "in"), (False, "out")):
        drawn = sum(amount_of(bar) for bar in shown if f" {way} " in bar.text)
        paid = sum(dot.amount for dot in dots if dot.incoming == incoming)
        assert drawn == pytest.approx(paid, abs=0.005 * (len(dots) + 1))
    for bar in shown:
        assert 0 <= bar.attributes["x"] <= width
        assert (
            0
            <= bar.attributes["y"]
            <= bar.attributes["y"] + bar.attributes["height"]
            <= drawing.height
        )


@given(DOTS)
def test_a_larger_amount_has_a_taller_bar_and_the_pattern_is_never_hidden(dots):
    shown = bars(timeline(dots))
    for one in shown:
        for other in shown:
            if amount_of(one) > amount_of(other) + 0.01:
                assert one.attributes["height"] >= other.attributes["height"]
    assert any(d.role == "sought" for d in dots) == any(b.role == "sought" for b in shown)


def test_money_in_is_above_the_axis_and_money_out_below():
    day = START + pd.Timedelta(days=3)
    up, down = bars(timeline([Dot(when=day, incoming=True, amount=50.0),
                              Dot(when=day, incoming=False, amount=50.0)]))  # fmt: skip
    assert up.attributes["y"] + up.attributes["height"] == pytest.approx(
        down.attributes["y"], abs=0.1
    )
    assert up.attributes["height"] == pytest.approx(down.attributes["height"])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("day", [0, 45, 90])
def test_the_label_of_a_band_stays_inside(width, day):
    when = START + pd.Timedelta(days=day)
    drawing = timeline([], width, bands=[(when, when, "fan-in, 03-01 – 03-01")])
    (label,) = [each for each in drawing.shapes if each.role == "label"]
    wide = 6.7 * len(label.text)
    left = label.attributes["x"] - (wide if label.attributes["text-anchor"] == "end" else 0)
    assert 0 <= left <= left + wide <= width + 1


@pytest.mark.parametrize(
    ("amounts", "expected"), [([], (1, 3)), ([100.0], (1, 2)), ([0.01], (-3, -2)), ([99], (1, 2))]
)
def test_decades_enclose_the_amounts(amounts, expected):
    assert decades(amounts) == expected


@given(LINKS, st.sampled_from(WIDTHS), st.integers(5, MOST_NODES))
def test_a_flow_has_few_nodes_and_loses_no_money(links, width, most):
    drawing = draw_flow(
        links, customer="C1", width=width, rest=("{n} payers", "{n} payees"), most=most
    )
    circles = [each for each in drawing.shapes if each.tag == "circle"]
    assert len(circles) <= most
    for incoming, way in ((True, "in"), (False, "out")):
        paths = [each for each in drawing.shapes if each.role.startswith(f"link {way}")]
        drawn = sum(float(each.text.rsplit(": ", 1)[1].replace(",", "")) for each in paths)
        paid = sum(link.amount for link in links if link.incoming == incoming)
        assert drawn == pytest.approx(paid, rel=1e-9, abs=0.005 * (len(links) + 1))
    for circle in circles:
        assert 0 <= circle.attributes["cy"] <= drawing.height


def test_the_patterns_counterparties_are_drawn_before_larger_ones():
    links = [Link(name=f"big{n}", incoming=True, amount=1e6 + n) for n in range(40)]
    sought = Link(name="small", incoming=True, amount=1.0, first=True)
    drawing = draw_flow([*links, sought], customer="C1", width=1000.0, rest=("{n}", "{n}"))
    assert any("marked" in each.role for each in drawing.shapes)
    # 26 of the 40 are drawn beside it: 30 nodes less the customer and room for two sums
    assert "14" in {each.text for each in drawing.shapes}
