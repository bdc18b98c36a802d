"""Features that say nothing, or say something else later, go; each with its reason."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kyc_ml.config import SelectionConfig
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.features import Formula, Own
from kyc_ml.metrics import compute_psi
from kyc_ml.model import narrow_specs, narrow_table, select_features
from kyc_ml.model.selection.over_time import relation_z

OWN = Own(reading="value", column="x")
QUICK = SelectionConfig(
    method="noise", n_estimators=25, repetitions=3, noise_features=20, psi_limit=0.25
)
CUSTOMERS, REVIEWS = 1000, 4
N_NOISE = 20


@pytest.fixture(scope="module")
def rows(make_spec):
    """Draw reviews of customers whose outcomes are alike, and features of known worth."""
    rng = np.random.default_rng(0)
    n = CUSTOMERS * REVIEWS
    customers = np.repeat(np.arange(CUSTOMERS), REVIEWS)
    times = pd.Timestamp("2024-01-31", tz="UTC") + pd.to_timedelta(
        30 * np.tile(np.arange(REVIEWS), CUSTOMERS), unit="D"
    )
    late = np.tile(np.arange(REVIEWS), CUSTOMERS) >= 2
    signal, flip = rng.normal(size=(2, n))
    group = rng.integers(0, 6, n).astype(np.float64)
    logit = 1.2 * signal + np.where(late, -1.2, 1.2) * flip + np.where(group == 2, 1.5, 0.0) - 2.5
    logit += rng.normal(size=CUSTOMERS)[customers]
    target = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    columns = {
        "signal": signal,
        "group": group,
        "flip": flip,
        "drift": signal + late,
        "fading": np.where(late & (rng.random(n) < 0.5), np.nan, signal),
        "constant": np.full(n, 3.0),
        "empty": np.full(n, np.nan),
    }
    for number in range(N_NOISE):
        columns[f"noise {number}"] = (
            rng.normal(size=CUSTOMERS)[customers] if number % 2 else rng.normal(size=n)
        )
    columns["noise flag"] = (rng.random(n) < 0.1).astype(np.float64)
    columns["noise group"] = rng.integers(0, 30, n).astype(np.float64)
    specs = tuple(
        make_spec(name, OWN, kind="category" if "group" in name else "number") for name in columns
    )
    matrix = np.asfortranarray(np.column_stack(list(columns.values())))
    return {
        "matrix": matrix, "target": target, "times": times, "customers": customers, "specs": specs
    }  # fmt: skip


@pytest.fixture(scope="module")
def selection(rows):
    """Select among them."""
    return select_features(**rows, config=QUICK, threads=1)


def test_each_fault_is_found_and_named(selection):
    assert {"signal", "group"} <= set(selection.kept)
    why = selection.table.set_index("feature")["why"]
    assert why[["constant", "empty", "drift", "fading", "flip"]].to_dict() == {
        "constant": "constant",
        "empty": "all missing",
        "drift": "shifting",
        "fading": "shifting",
        "flip": "flipping",
    }
    assert selection.dropped["constant"].startswith("constant")
    assert selection.dropped["drift"].startswith("shifting: PSI ")
    assert "limit 0.25" in selection.dropped["drift"]
    assert "block" in selection.dropped["flip"]


def test_most_noise_goes_and_is_counted(selection):
    kept = [name for name in selection.kept if name.startswith("noise")]
    assert len(kept) <= 4
    assert selection.counts()["useless"] == N_NOISE + 2 - len(kept)
    assert sum(selection.counts().values()) == len(selection.dropped)
    assert len(selection.kept) + len(selection.dropped) == len(selection.table)
    assert set(selection.dropped) == set(selection.table.loc[~selection.table["kept"], "feature"])


def test_one_and_two_threads_select_the_same(rows, selection):
    again = select_features(**rows, config=QUICK, threads=2)
    pd.testing.assert_frame_equal(again.table, selection.table)
    assert (again.kept, again.dropped) == (selection.kept, selection.dropped)


def test_without_a_method_all_stay_and_nothing_is_computed(rows):
    got = select_features(**rows, config=SelectionConfig())
    assert got.kept == tuple(spec.name for spec in rows["specs"])
    assert got.dropped == {} == got.counts()
    assert got.table["gain"].isna().all()
    assert list(got.table.columns) == list(select_columns())


def select_columns():
    return (
        "feature", "family", "kept", "why", "gain", "noise_gain", "hits",
        "psi", "psi_real", "psi_blocks", "z_low", "z_high",
    )  # fmt: skip


def test_the_table_tells_every_figure(selection):
    assert tuple(selection.table.columns) == select_columns()
    signal = selection.table.set_index("feature").loc["signal"]
    assert signal["gain"] > signal["noise_gain"]
    assert signal["hits"] == QUICK.repetitions
    assert signal["z_low"] > 4
    assert abs(signal["psi"]) < 0.05


def test_limits_that_are_none_drop_nothing(rows):
    config = QUICK.model_copy(update={"psi_limit": None, "flip_level": None})
    got = select_features(**rows, config=config, threads=1)
    assert {"flip", "drift", "fading"} <= set(got.kept)


def test_more_rows_than_wanted_are_drawn_from(rows):
    told = []
    got = select_features(
        **rows, config=QUICK.model_copy(update={"most_rows": 1500}), threads=1,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert "signal" in got.kept
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_equal_times_are_one_block_without_shifts(rows):
    got = select_features(**{**rows, "times": np.zeros(len(rows["target"]))}, config=QUICK)
    assert not {"shifting", "flipping"} & set(got.counts())
    assert got.table["psi"].isna().all()


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_is_refused_with_the_counts(rows, label):
    one = np.full(CUSTOMERS * REVIEWS, label)
    with pytest.raises(DatasetError, match=f" {int(label) * 4000} .* 4000 "):
        select_features(**{**rows, "target": one}, config=QUICK)


def test_no_rows_are_refused(rows):
    none = {name: rows[name][:0] for name in ("matrix", "target", "times", "customers")}
    with pytest.raises(DatasetError, match=r"0 .* 0 "):
        select_features(**none, specs=rows["specs"], config=QUICK)


def test_dropping_all_features_is_refused(rows):
    blank = {"matrix": rows["matrix"][:, 5:7], "specs": rows["specs"][5:7]}
    with pytest.raises(DatasetError, match=r"2 features \(1 constant, 1 "):
        select_features(**{**rows, **blank}, config=QUICK)


def test_few_rows_do_not_make_a_shift(make_spec):
    config = QUICK.model_copy(update={"n_estimators": 3, "repetitions": 1})
    beyond = 0
    for seed in range(15):
        rng = np.random.default_rng(seed)
        target = np.tile([0.0, 1.0], 40)
        got = select_features(
            rng.normal(size=(80, 1)), target, np.arange(80), threads=1,
            config=config.model_copy(update={"keep": ("blank",)}),
            specs=(make_spec("blank", OWN),),
        )  # fmt: skip
        assert not got.table["psi_real"].any()
        counts = [np.histogram(rng.normal(size=20), np.linspace(-2, 2, 11))[0] for _ in "12"]
        beyond += compute_psi(*counts) > config.psi_limit
    assert beyond > 7  # what the limit alone would have dropped


def test_a_feature_to_keep_stays_and_one_that_is_not_there_is_refused(rows):
    config = QUICK.model_copy(update={"keep": ("constant", "drift"), "repetitions": 1})
    got = select_features(**rows, config=config, threads=1)
    assert {"constant", "drift"} <= set(got.kept)
    config = QUICK.model_copy(update={"keep": ("signl",)})
    with pytest.raises(ConfigError, match=r"keep: 'signl'.*'signal'"):
        select_features(**rows, config=config, threads=1)


def test_a_narrowed_table_has_the_kept_columns_only(small):
    noise_and_channel = SelectionConfig(method="noise", keep=("noise", "channel"), n_estimators=5)
    got = select_features(
        small.matrix, small.target, np.arange(600), specs=small.features.specs,
        config=noise_and_channel, threads=1,
    )  # fmt: skip
    features = narrow_table(small.features, got)
    assert features.names == got.kept
    assert not {"constant", "all_missing"} & set(features.names)
    assert set(features.categories) == {"channel"}
    assert features.learn_vocabularies(np.ones(600, bool)).keys() == {"channel"}


@given(seed=st.integers(0, 999), ties=st.booleans())
def test_the_relation_has_the_sign_of_the_rank_correlation(seed, ties):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=200)
    values = np.round(values) if ties else values
    target = (rng.random(200) < 0.3).astype(np.float64)
    z = relation_z(values, target, np.arange(200))
    assert np.sign(z) == np.sign(stats.spearmanr(values, target).statistic)
    assert relation_z(-values, target, np.arange(200)) == pytest.approx(-z)
    gappy = np.append(values, [np.nan] * 50)
    more = np.append(target, np.ones(50))
    assert relation_z(gappy, more, np.arange(250)) == pytest.approx(z)


def test_repeated_customers_are_no_further_evidence():
    rng = np.random.default_rng(0)
    values, target = rng.normal(size=300), np.tile([0.0, 0.0, 1.0], 100)
    alone = relation_z(values, target, np.arange(300))
    repeated = np.tile(values, 4), np.tile(target, 4), np.tile(np.arange(300), 4)
    assert relation_z(*repeated) == pytest.approx(alone)


def test_the_relation_of_noise_is_standard_normal():
    rng = np.random.default_rng(0)
    target = np.tile([0.0, 0.0, 1.0], 50)
    z = [relation_z(rng.normal(size=150), target, np.arange(150)) for _ in range(300)]
    assert np.std(z) == pytest.approx(1.0, abs=0.12)
    assert np.mean(z) == pytest.approx(0.0, abs=0.2)


def test_a_perfect_relation_and_few_rows_of_a_class():
    target = np.repeat([0.0, 1.0], 10)
    assert relation_z(target, target, np.arange(20)) == np.inf
    assert relation_z(-target, target, np.arange(20)) == -np.inf
    assert relation_z(np.ones(20), target, np.arange(20)) == 0.0
    assert np.isnan(relation_z(np.arange(13.0), target[:13], np.arange(13)))


def test_dropped_features_that_others_are_made_of_stay_hidden(make_spec, rows, selection):
    made = make_spec("signal", Formula(operation="ratio", inputs=("drift", "constant")))
    specs = (made, *rows["specs"][1:], make_spec("aside", OWN, intermediate=True))
    got = {spec.name: spec.intermediate for spec in narrow_specs(specs, selection)}
    assert {name for name, hidden in got.items() if not hidden} == set(selection.kept)
    assert {name for name, hidden in got.items() if hidden} == {"drift", "constant"}
