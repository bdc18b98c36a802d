"""Plots only draw: each gives a figure of its own whose SVG stays small."""

import re
from io import StringIO

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from kyc_ml import display as plots
from kyc_ml.dataset import CustomerDisjointSplit, OutOfTimeCustomerSplit, PrequentialSplit
from kyc_ml.display.plots.ranking import _thin
from kyc_ml.display.plots.style import LOWERS, RAISES
from kyc_ml.metrics import (
    compute_precision_recall,
    compute_reliability,
    compute_roc,
    compute_score_distribution,
)

LIMIT = 60_000


def svg_of(figure):
    stream = StringIO()
    with mpl.rc_context({"svg.hashsalt": "test", "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def assert_small(figure, *, limit=LIMIT):
    assert isinstance(figure, Figure)
    svg = svg_of(figure)
    assert len(svg.encode()) < limit
    assert svg == svg_of(figure)
    return svg


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    proba = rng.beta(0.4, 60, size=60_000)
    return (rng.random(proba.size) < proba).astype(float), proba


@pytest.fixture(scope="module")
def tiers():
    return pd.DataFrame(
        {
            "tier": ["low", "medium", "high", "empty"],
            "tier_zh": ["低", "中", "高", "空"],
            "from_probability": [0.0, 0.01, 0.1, 0.9],
            "rows": [90_000, 900, 10, 0],
            "share": [0.99, 0.0099, 0.0001, 0.0],
            "expected_rate": [0.001, 0.03, 0.2, np.nan],
            "positives": [90, 30, 0, 0],
            "observed_rate": [0.001, 0.033, 0.0, np.nan],
            "ci_low": [0.0008, 0.02, 0.0, np.nan],
            "ci_high": [0.0012, 0.04, 0.22, np.nan],
        }
    )


def parts_table(start="2023-01-01"):
    return pd.DataFrame(
        {
            "part": ["train", "test", "left out"],
            "start": pd.to_datetime([start, "2024-02-01", None], utc=True),
            "end": pd.to_datetime(["2024-01-01", "2024-03-01", None], utc=True),
            "used": [1000, 100, 0],
            "positives": [10, 1, 0],
        }
    )


def test_roc_of_many_points_stays_small(scored):
    curve = compute_roc(*scored)
    svg = assert_small(plots.plot_roc({"LightGBM": curve, "logistic regression": curve}))
    assert "LightGBM" in svg
    assert "logistic" in svg


def test_precision_recall_of_many_points_stays_small(scored):
    curve = compute_precision_recall(*scored)
    assert len(curve) > 50_000
    figure = plots.plot_precision_recall({"LightGBM": curve, "other": curve}, prevalence=0.006)
    assert "prevalence 0.60" in assert_small(figure)


def test_thinning_keeps_ends_and_extremes():
    x = np.linspace(0, 1, 60_000)
    y = np.sin(700 * x)
    y[31_234], y[47_111] = 5.0, -5.0
    across, up = _thin(x, y)
    assert across.size <= 4 * 201
    assert (across[0], across[-1], up.max(), up.min()) == (0.0, 1.0, 5.0, -5.0)
    assert (np.diff(across) > 0).all()


def test_few_points_are_not_thinned():
    x = np.linspace(0, 1, 50)
    assert _thin(x, x)[0].size == 50


def test_bins_without_a_positive_are_drawn_and_named(scored):
    target, proba = scored
    bins = compute_reliability(target, proba)
    assert (bins["event_rate"] == 0).any()
    figure = plots.plot_reliability(bins)
    assert "positive" in assert_small(figure)
    assert figure.axes[0].get_yscale() == "log"
    floor, _ = figure.axes[0].get_ylim()
    hollow = next(line for line in figure.axes[0].lines if "positive" in str(line.get_label()))
    assert len(hollow.get_ydata()) == (bins["event_rate"] == 0).sum()
    assert (np.asarray(hollow.get_ydata()) > floor).all()


def test_large_rates_are_drawn_on_linear_axes():
    proba = np.linspace(0.1, 0.9, 400)
    target = (np.arange(400) % 3 == 0).astype(float)
    figure = plots.plot_reliability(compute_reliability(target, proba, n_bins=5))
    assert_small(figure)
    assert figure.axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("proba", [np.zeros(5), np.full(5, 0.01)])
def test_reliability_without_any_positive_is_drawn(proba):
    assert_small(plots.plot_reliability(compute_reliability(np.zeros(5), proba, n_bins=2)))


def test_score_distribution_sums_to_one_by_label(scored):
    bins = compute_score_distribution(*scored, n_bins=30)
    assert bins.groupby("label")["share"].sum().to_numpy() == pytest.approx([1.0, 1.0])
    assert (bins["low"] < bins["high"]).all()
    assert bins["low"].min() == pytest.approx(1e-5)
    assert bins["high"].max() == pytest.approx(scored[1].max())
    svg = assert_small(plots.plot_score_distribution(bins))
    assert "negative" in svg


def test_score_distribution_by_hand():
    bins = compute_score_distribution(
        np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.0, 0.1, 0.6, 1.0]), n_bins=2, floor=0.1
    )
    assert bins["low"].tolist() == pytest.approx([0.1, 0.5] * 2)  # odds of 1/9, 1 and 9
    assert bins["high"].tolist() == pytest.approx([0.5, 0.9] * 2)
    assert bins["label"].tolist() == ["negative", "negative", "positive", "positive"]
    assert bins["share"].tolist() == pytest.approx([2 / 3, 1 / 3, 0, 1])


@pytest.mark.parametrize("proba", [[], [0.0, 0.0], [0.2, 0.2], [1.0, 1.0]])
def test_score_distribution_of_one_probability_or_none(proba):
    proba = np.array(proba, dtype=float)
    bins = compute_score_distribution(np.zeros(proba.size), proba)
    assert bins["share"].sum() == pytest.approx(1.0 if proba.size else 0.0)
    assert_small(plots.plot_score_distribution(bins))


def test_cut_offs_of_tiers_stand_where_they_are_and_widen_the_axis(scored):
    bins = compute_score_distribution(*scored)
    cut_offs = {"low": 0.0, "medium_high": 0.01, "high": 0.9, "never": 1.0}
    figure = plots.plot_score_distribution(bins, cut_offs=cut_offs)
    svg = assert_small(figure)
    dashed = [line.get_xdata()[0] for line in figure.axes[0].lines]
    assert dashed == pytest.approx(np.log([0.01 / 0.99, 0.9 / 0.1]))
    assert figure.axes[0].get_xlim()[1] > np.log(0.9 / 0.1) > np.log(scored[1].max())
    assert "medium" in svg
    assert "never" not in svg


def swarm(rows=400, features=3):
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "feature": f"feature_with_a_name_that_is_rather_long_{number}d",
                "contribution": rng.normal(size=rows) / (number + 1),
                "level": np.where(rng.random(rows) < 0.2, np.nan, rng.random(rows)),
            }
        )
        for number in range(features)
    ]
    return pd.concat(parts)


def test_a_beeswarm_has_a_dot_for_each_row_and_stays_within_its_line():
    figure = plots.plot_beeswarm(swarm())
    svg = assert_small(figure, limit=500_000)
    assert svg.count("<image") >= 1
    dots = [np.asarray(each.get_offsets()) for each in figure.axes[0].collections]
    assert sum(len(each) for each in dots) == 3 * 400
    for number in range(3):
        heights = np.concatenate([each[:, 1] for each in dots[2 * number : 2 * number + 2]])
        assert np.abs(heights + number).max() < 0.5
    placed = np.concatenate([each[:, 0] for each in dots])
    assert np.sort(placed) == pytest.approx(np.sort(swarm()["contribution"]))


@pytest.mark.parametrize("table", [swarm(rows=1, features=1), swarm().iloc[:0]])
def test_a_beeswarm_of_one_row_or_none(table):
    assert_small(plots.plot_beeswarm(table), limit=500_000)


def test_tiers_with_empty_tier_and_rate_of_zero(tiers):
    svg = assert_small(plots.plot_tiers(tiers))
    for text in ("90,000", "Medium", "observed", "expected"):
        assert text in svg


def test_tiers_without_outcomes(tiers):
    figure = plots.plot_tiers(
        tiers.drop(columns=["positives", "observed_rate", "ci_low", "ci_high"])
    )
    assert "observed" not in assert_small(figure)


def test_importance_draws_the_strongest_fifteen():
    share = np.linspace(0.1, 0.01, 40)
    table = pd.DataFrame(
        {
            "feature": [f"a_feature_with_a_name_that_is_rather_long_{i}d" for i in range(40)],
            "family": [f"family_{i % 12}" for i in range(40)],
            "share": share,
        }
    )
    figure = plots.plot_importance(table.sample(frac=1, random_state=1))
    svg = assert_small(figure)
    assert len(figure.axes[0].get_yticklabels()) == 15
    assert "_0d" in svg
    assert "_15d" not in svg


@pytest.mark.parametrize("start", ["2023-01-01", None])
def test_parts_show_both_days_on_which_labels_were_read(start):
    figure = plots.plot_parts(
        parts_table(start),
        development_cutoff=pd.Timestamp("2024-01-25", tz="UTC"),
        as_of=pd.Timestamp("2024-05-01", tz="UTC"),
    )
    svg = assert_small(figure)
    assert "2024-01-25" in svg
    assert "2024-05-01" in svg
    assert ("beginning" in svg) == (start is None)


@pytest.mark.parametrize("kind", ["prequential", "customers", "both", "untold"])
def test_periods_show_every_fold_with_its_positives(kind):
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=500, freq="6h", tz="UTC")
    target, customers = (rng.random(500) < 0.3).astype(float), np.arange(500) % 40
    splitter = {
        "customers": CustomerDisjointSplit(n_splits=3, seed=0),
        "both": OutOfTimeCustomerSplit(n_splits=3, seed=0, delay_days=5, embargo_days=2),
    }.get(kind, PrequentialSplit(n_splits=3, train_days=20, delay_days=5, test_days=20))
    table = splitter.describe(times, None if kind == "untold" else target, customers)
    figure = plots.plot_periods(table)
    svg = assert_small(figure)
    drawn = [bar for bar in figure.axes[0].patches if bar.get_width()]
    assert len(drawn) == len(table) == 6
    assert [f"fold {number}" in svg for number in (1, 2, 3, 4)] == [True, True, True, False]
    told = {text.get_text() for text in figure.axes[0].texts}
    assert told == ({f"{count}" for count in table["positives"]} if kind != "untold" else set())
    assert ("labels" in svg) == (kind != "customers")


def test_a_split_without_times_is_an_empty_figure():
    table = CustomerDisjointSplit(n_splits=2, seed=0).describe(np.zeros(4), groups=list("abcd"))
    figure = plots.plot_periods(table)
    assert_small(figure)
    assert not figure.axes[0].patches


def test_plots_leave_the_global_state_alone(tiers):
    before = dict(mpl.rcParams)
    plots.plot_tiers(tiers)
    assert dict(mpl.rcParams) == before


# --- two models on one picture --------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_reliabilities_of_two_models_name_both(scored, scale):
    target, proba = scored
    proba = np.minimum(proba * scale, 1.0)
    tables = {"champion": proba**0.9, "challenger": proba}
    bins = pd.concat(
        [compute_reliability(target, said).assign(model=who) for who, said in tables.items()]
    )
    svg = assert_small(plots.plot_reliabilities(bins))
    assert "champion" in svg
    assert "challenger" in svg


def test_reliabilities_without_a_positive_are_drawn():
    proba = np.linspace(0, 0.01, 100)
    bins = compute_reliability(np.zeros(100), proba).assign(model="champion")
    assert_small(plots.plot_reliabilities(bins))


@pytest.mark.parametrize("rows", [0, 1, 12_345])
def test_tier_moves_count_who_rises_and_who_falls(rows):
    names = ["low", "medium_low", "high"]
    table = pd.DataFrame(
        {
            "champion_tier": np.repeat(names, 3),
            "challenger_tier": names * 3,
            "rows": [900, rows, 0, 2, 30, 0, 0, 1, 5],
            "observed_rate": [0.001, 0.0, np.nan, np.nan, 0.1, np.nan, np.nan, 1.0, 0.5],
        }
    )
    svg = assert_small(plots.plot_tier_moves(table))
    assert re.search(f"{rows:,} .* 3 ", svg)
    assert "medium" in svg


def _differences():
    return pd.DataFrame(
        {
            "figure": ["auc", "log_loss", "brier", "same"],
            "difference": [0.02, 0.5, -0.001, 0.0],
            "low": [0.01, 0.2, -0.003, 0.0],
            "high": [0.03, 0.8, 0.001, 0.0],
            "better": ["higher", "lower", "lower", "higher"],
        }
    )


def test_differences_stand_on_the_better_side_and_are_coloured_only_if_shown():
    axes = plots.plot_differences(_differences()).axes[0]
    [dots] = [each for each in axes.collections if each.get_offsets().shape == (3, 2)]
    places = dict(zip(("auc", "log loss", "brier"), dots.get_offsets()[:, 0], strict=True))
    assert places["auc"] > 1.0 > places["brier"] > -1.0 > places["log loss"]
    colours = [mpl.colors.to_hex(each) for each in dots.get_facecolors()]
    assert colours[:2] == [LOWERS, RAISES]
    assert colours[2] not in {LOWERS, RAISES}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["auc", "log loss", "brier"]


def test_differences_without_any_interval_are_an_empty_figure():
    assert isinstance(plots.plot_differences(_differences().tail(1)), Figure)


def test_a_notebook_is_shown_a_picture_of_twice_the_pixels(tiers):
    picture, shown = plots.plot_tiers(tiers)._repr_png_()
    assert picture.startswith(b"\x89PNG")
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert shown == {"width": width // 2, "height": height // 2}
