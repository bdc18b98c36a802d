"""scikit-learn's conventions hold, contributions are exact, and any library's table will do."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import kyc_ml
from kyc_ml.config import DatasetConfig, FeatureConfig, ModelConfig
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import OutOfTimeSplit, PrequentialSplit, make_observations, mature_labels
from kyc_ml.errors import ConfigError, DatasetError, RowOrderWarning, TooFewRowsWarning
from kyc_ml.features import build_features, choose_features
from kyc_ml.model import Calibrator, fit_model
from kyc_ml.model.estimators.classifier import RiskClassifier
from kyc_ml.model.estimators.feature_builder import FeatureBuilder
from kyc_ml.model.estimators.parts import lay_out, order_of

pytestmark = pytest.mark.slow  # most tests train a model; together they take about a minute


# As it is, on the 10 to 300 rows of the checks. Left out by scikit-learn itself, whatever the
# estimator: check_array_api_input, unless the environment variable SCIPY_ARRAY_API is set.
@pytest.mark.filterwarnings("ignore:labels are text")  # some checks name classes by words
@pytest.mark.filterwarnings("ignore::kyc_ml.errors.TooFewRowsWarning")
@pytest.mark.filterwarnings("ignore::kyc_ml.errors.RowOrderWarning")
@parametrize_with_checks([RiskClassifier(), RiskClassifier(n_estimators=50, n_jobs=None)])
def test_scikit_learn_is_content(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def rows():
    """Give 4,000 rows in order of time: a signal, a category, a column with gaps, noise."""
    rng = np.random.default_rng(3)
    n = 4000
    frame = pd.DataFrame(
        {
            "signal": rng.normal(size=n),
            "channel": pd.Categorical(rng.choice(["app", "branch", "web"], size=n)),
            "gaps": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
            "night": rng.random(n) < 0.2,
        },
        index=pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC", name="decision_time"),
    )
    logit = 1.5 * frame["signal"] - 2.5 + 1.5 * (frame["channel"] == "web")
    target = (rng.random(n) < 1 / (1 + np.exp(-logit))).to_numpy(dtype=np.int64)
    return frame, target


def quick(**others):
    return RiskClassifier(
        **{"n_estimators": 60, "min_child_samples": 20, "calibration": ("platt",), **others}
    )


@pytest.fixture(scope="module")
def fitted(rows):
    return quick().fit(*rows)


def test_contributions_and_base_value_add_up_to_the_margin(fitted, rows):
    shared = fitted.contributions(rows[0])
    assert shared.columns.tolist() == rows[0].columns.tolist()
    assert shared.index.equals(rows[0].index)
    total = fitted.base_value + shared.sum(axis=1)
    np.testing.assert_allclose(total, fitted.decision_function(rows[0]), atol=1e-9)


def test_the_probability_is_the_calibrated_margin(fitted, rows):
    proba = fitted.predict_proba(rows[0])
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    margin = fitted.decision_function(rows[0])
    assert np.array_equal(proba[:, 1], fitted.calibrator_.probability(margin))
    assert fitted.calibrator_.method == "platt"


def test_an_isotonic_map_is_that_of_scikit_learn(rows):
    model = quick(calibration=("isotonic",)).fit(*rows)
    last = slice(-600, None)
    margin = model.decision_function(rows[0])
    least = 0.5 / 600
    reference = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    reference.fit(margin[last], rows[1][last])
    np.testing.assert_allclose(model.predict_proba(rows[0])[:, 1], reference.predict(margin))


def test_fitting_is_the_projects_own(rows):
    frame, target = rows
    frame = frame[["signal", "gaps"]]
    model = quick(calibration_share=0.0, early_stopping_share=0.25).fit(frame, target)
    matrix, outcome = frame.to_numpy(), target.astype(np.float64)
    specs = [type("Input", (), {"name": n, "kind": "number", "monotone": 0}) for n in frame]
    reference = fit_model(
        matrix[:3000],
        outcome[:3000],
        stopping_matrix=matrix[3000:],
        stopping_target=outcome[3000:],
        specs=specs,
        config=ModelConfig(n_estimators=60, min_child_samples=20),
    )
    assert model.model_.text == reference.model.text
    assert model.best_round_ == reference.best_round


def test_rows_of_ones_own_are_as_good_as_rows_held_back(rows):
    frame, target = rows
    held = quick(early_stopping_share=0.25, calibration_share=0.25).fit(frame, target)
    given_apart = quick().fit(
        frame[:2000],
        target[:2000],
        early_stopping=(frame[2000:3000], target[2000:3000]),
        calibration=(frame[3000:], target[3000:]),
    )
    assert np.array_equal(held.predict_proba(frame), given_apart.predict_proba(frame))
    assert held.parts_.equals(given_apart.parts_)
    assert held.parts_["rows"].tolist() == [2000, 1000, 1000]


@given(
    n=st.integers(1, 400),
    stop=st.floats(0, 0.6),
    calibrate=st.floats(0, 0.6),
    own=st.sets(st.sampled_from(["early_stopping", "calibration"])),
)
def test_each_row_has_one_part_and_parts_follow_one_another(n, stop, calibrate, own):
    shares = {"early_stopping": stop, "calibration": calibrate}
    asked = {"early_stopping_share": stop, "calibration_share": calibrate, "given": frozenset(own)}
    if sum(round(n * share) for name, share in shares.items() if name not in own) >= n:
        with pytest.raises(ConfigError, match="none"):
            lay_out(n, **asked)
        return
    parts = lay_out(n, **asked)
    assert np.array_equal(np.concatenate([parts.train, *parts.held.values()]), np.arange(n))
    assert parts.train.size
    assert not own & set(parts.held)


def test_every_library_gives_the_same(fitted, rows):
    frame, target = rows
    plain = frame.reset_index(drop=True)
    polars = pl.DataFrame({name: plain[name].to_numpy() for name in ("signal", "gaps", "night")})
    polars = polars.with_columns(pl.Series("channel", plain["channel"].astype(str).tolist()))
    polars = polars.with_columns(pl.col("channel").cast(pl.Categorical)).select(list(frame))
    expected = fitted.predict_proba(frame)
    for table in (polars, polars.to_arrow(), pa.Table.from_pandas(plain), plain):
        assert np.array_equal(fitted.predict_proba(table), expected)
        again = clone(fitted).fit(table, target)
        assert np.array_equal(again.predict_proba(table), expected)


def test_a_feature_table_is_its_features_without_its_keys(small):
    model = quick().fit(small.features, small.target)
    assert model.feature_names_in_.tolist() == list(small.features.names)
    assert model.vocabularies_ == {"channel": ("app", "branch", "web")}
    shared = model.contributions(small.features)
    assert shared.index.names == ["observation_id", "customer_id", "decision_time"]
    frame = small.features.to_pandas()[list(small.features.names)]
    assert np.array_equal(model.predict_proba(small.features), model.predict_proba(frame))


def test_a_category_is_known_by_its_value_and_an_unseen_one_is_missing(fitted, rows):
    frame = rows[0].head(50)
    other_codes = frame.assign(
        channel=frame["channel"].cat.reorder_categories(["web", "branch", "app"])
    )
    assert np.array_equal(fitted.predict_proba(frame), fitted.predict_proba(other_codes))
    unseen = frame.assign(channel=pd.Categorical(["fax"] * 50, categories=["fax"]))
    missing = frame.assign(channel=pd.Categorical([None] * 50, categories=["app"]))
    with pytest.warns(UserWarning, match=r"'channel'.* 1 "):
        taken = fitted.predict_proba(unseen)
    assert np.array_equal(taken, fitted.predict_proba(missing))


@pytest.mark.parametrize("number", [np.int8, np.float64, bool])
def test_a_category_that_comes_as_numbers_is_not_taken_as_missing(fitted, rows, number):
    codes = rows[0].assign(channel=rows[0]["channel"].cat.codes.astype(number))
    with pytest.raises(DatasetError, match="'channel'") as told:
        fitted.predict_proba(codes)
    assert "dtype" in str(told.value)
    assert "codes" in str(told.value)
    with pytest.raises(DatasetError, match="'channel'"):
        quick().fit(*rows, early_stopping=(codes, rows[1]))


def test_a_number_that_comes_as_a_category_is_refused(fitted, rows):
    binned = rows[0].assign(signal=pd.Categorical(rows[0]["signal"].round()))
    with pytest.raises(DatasetError, match="'signal'"):
        fitted.margin(binned)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_an_array_has_no_category(fitted, rows):
    codes = rows[0].assign(channel=rows[0]["channel"].cat.codes).to_numpy(dtype=np.float64)
    with pytest.raises(DatasetError, match="'channel'"):
        fitted.margin(codes)


def test_columns_of_one_name_are_refused(fitted, rows):
    frame, target = rows
    twice = frame[[*frame.columns, "gaps", "night"]]
    for use in (lambda: quick().fit(twice, target), lambda: fitted.margin(twice)):
        with pytest.raises(DatasetError) as told:
            use()
        assert re.search(r"'gaps'.*\b2\b", str(told.value))
        assert re.search(r"'night'.*\b2\b", str(told.value))
        assert "'signal'" not in str(told.value)


def test_a_direction_is_kept(rows):
    frame, target = rows
    model = quick(monotone={"gaps": -1, "signal": 1}).fit(frame, target)
    ladder = frame.head(1).loc[frame.index[[0] * 200]].assign(signal=np.linspace(-3, 3, 200))
    assert (np.diff(model.decision_function(ladder)) >= 0).all()


@pytest.mark.parametrize(
    ("adverse", "other"), [("fraud", "legit"), ("zzz", "honest"), (0, 1), (True, False)]
)
def test_the_adverse_outcome_may_be_either_class(fitted, rows, adverse, other):
    frame, target = rows
    labels = np.where(target == 1, adverse, other)
    model = quick(positive_label=adverse).fit(frame, labels)
    assert model.classes_.tolist() == sorted([adverse, other])
    assert model.positive_label_ == adverse
    place = model.classes_.tolist().index(adverse)
    proba = model.predict_proba(frame)
    assert np.array_equal(proba[:, place], fitted.predict_proba(frame)[:, 1])
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert np.array_equal(model.predict(frame), model.classes_[proba.argmax(axis=1)])
    assert np.array_equal(model.margin(frame), fitted.margin(frame))
    pd.testing.assert_frame_equal(model.contributions(frame), fitted.contributions(frame))
    # scikit-learn's scorers take both for the class that sorts last
    for scoring in ("roc_auc", "neg_log_loss"):
        ours = get_scorer(scoring)(model, frame, labels)
        assert ours == pytest.approx(get_scorer(scoring)(fitted, frame, target))


def test_text_labels_have_no_adverse_class_until_one_is_named(fitted, rows):
    frame, target = rows
    labels = np.where(target == 1, "bad", "good")
    with pytest.warns(UserWarning, match="'bad', 'good'"):
        model = quick().fit(frame, labels)
    assert model.positive_label_ is None
    assert model.classes_.tolist() == ["bad", "good"]
    assert np.array_equal(
        model.predict(frame), model.classes_[model.predict_proba(frame).argmax(axis=1)]
    )
    assert get_scorer("roc_auc")(model, frame, labels) > 0.8
    for use in (
        lambda: model.margin(frame),
        lambda: model.contributions(frame),
        lambda: model.base_value,
    ):
        with pytest.raises(DatasetError, match="positive_label"):
            use()


@pytest.mark.filterwarnings("ignore:labels are text")
@pytest.mark.parametrize(
    "apart", [{"positive_weight": 2.0}, {"negative_share": 0.5}, {"monotone": {"signal": 1}}]
)
def test_what_treats_the_adverse_class_apart_needs_its_name(rows, apart):
    frame, target = rows
    labels = np.where(target == 1, "bad", "good")
    with pytest.raises(DatasetError, match=next(iter(apart))):
        quick(**apart).fit(frame, labels)
    quick(**apart, positive_label="bad").fit(frame, labels)


def test_an_adverse_outcome_that_is_no_class_is_named(rows):
    frame, target = rows
    labels = np.where(target == 1, "fraud", "legit")
    with pytest.raises(DatasetError, match=r"'Fraud'.*'fraud', 'legit'"):
        quick(positive_label="Fraud").fit(frame, labels)


def test_a_search_over_parameters_goes_through_the_splitters(rows):
    frame, target = rows
    search = GridSearchCV(
        quick(),
        {"num_leaves": [3, 7]},
        cv=PrequentialSplit(n_splits=2, test_days=14),
        scoring="average_precision",
        error_score="raise",
    ).fit(frame, target)
    assert search.best_score_ > 2 * target.mean()


def test_importances_share_out_the_gain(fitted):
    shares = dict(zip(fitted.feature_names_in_, fitted.feature_importances_, strict=True))
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares, key=shares.get) == "signal"


def test_a_section_of_a_configuration_is_taken_over():
    section = ModelConfig(num_leaves=5, n_estimators=7, seed=3, n_jobs=1)
    model = RiskClassifier.from_config(section, calibration_share=0.2, metric="auc")
    told = model.get_params()
    assert told["metric"] == "auc"
    assert (told["num_leaves"], told["n_estimators"], told["random_state"]) == (5, 7, 3)
    assert told["calibration_share"] == 0.2
    assert RiskClassifier().get_params()["reg_lambda"] == ModelConfig().reg_lambda


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"num_leaves": 1}, "num_leaves"),
        ({"early_stopping_share": 1.0}, r"early_stopping_share.*\b0\b.*\b1\b"),
        ({"early_stopping_share": 0.5, "calibration_share": 0.5}, "4000"),
        ({"calibration": ("sigmoid",)}, "1 fault\n  - calibration.0: .* 'platt'"),
        ({"calibration": ("sigmoid",), "calibration_share": 0.0}, "calibration.0: "),
        ({"calibration": ()}, "1 fault\n  - calibration: .* 1"),
        ({"calibration": "plat"}, "1 fault\n  - calibration.0: .* 'platt'"),
        ({"calibration": None}, "1 fault\n  - calibration: "),
        ({"calibration_folds": 1}, "- calibration_folds: "),
        ({"n_jobs": 0}, "n_jobs"),
        ({"n_jobs": "all"}, "n_jobs"),
        ({"min_child_samples": 0}, "- min_child_samples: "),
        ({"random_state": -1}, "- random_state: "),
    ],
)
def test_a_parameter_out_of_range_is_named(rows, parameters, fault):
    with pytest.raises(ConfigError, match=fault):
        quick(**parameters).fit(*rows)


def test_every_poor_part_is_named_with_the_cure(rows):
    """Rows too new for an outcome are no rows of few positives: nothing is made up for them."""
    frame, target = rows
    outcome = np.where(np.arange(target.size) < 2500, target, 0)
    with pytest.raises(DatasetError) as told:
        quick().fit(frame, outcome)
    said = str(told.value)
    assert re.search(r"'early_stopping'.*\b1\b.*\b0\b.*\b600\b", said)
    assert re.search(r"'calibration'.*\b5\b.*\b0\b.*\b600\b", said)
    assert "sort" in said


def test_rows_sorted_by_class_are_held_back_of_each_class(rows):
    frame, target = rows
    order = np.argsort(target, kind="stable")
    with pytest.warns(RowOrderWarning, match="sorted"):
        model = quick().fit(frame.iloc[order], target[order])
    assert model.rows_taken_by_class_
    assert model.parts_["rows"].tolist() == [2800, 600, 600]
    shares = model.parts_["positives"] / model.parts_["rows"]
    np.testing.assert_allclose(shares, target.mean(), atol=2 / 600)
    assert get_scorer("roc_auc")(model, frame, target) > 0.8
    assert not quick().fit(frame, target).rows_taken_by_class_


@given(
    zeros=st.integers(1, 40), ones=st.integers(1, 40), last=st.booleans(), share=st.floats(0, 0.5)
)
def test_each_class_keeps_its_order_where_rows_are_spread_by_class(zeros, ones, last, share):
    target = np.repeat([0.0, 1.0] if last else [1.0, 0.0], [zeros, ones] if last else [ones, zeros])
    order = order_of(target)
    assert sorted(order) == list(range(zeros + ones))
    for label in (0.0, 1.0):
        of_label = [row for row in order if target[row] == label]
        assert of_label == sorted(of_label)
    held = order[target.size - round(share * target.size) :]
    assert abs(target[held].sum() - share * ones) <= 1.5  # as many as its share, but for rounding


@pytest.mark.parametrize(
    ("positives", "not_held"),
    [(200, ()), (20, ("calibration",)), (2, ("early_stopping", "calibration"))],
)
def test_rows_too_few_for_a_part_train_and_the_result_says_so(rows, positives, not_held):
    frame, target = rows
    ones, zeros = (np.flatnonzero(target == label) for label in (1, 0))
    chosen = zeros[:1500]
    evenly = (np.arange(positives) + 0.5) * chosen.size / positives
    chosen = np.insert(chosen, evenly.astype(int), ones[:positives])
    frame, target = frame.iloc[chosen], target[chosen]
    if not not_held:
        model = quick().fit(frame, target)
    else:
        with pytest.warns(TooFewRowsWarning, match="class"):
            model = quick().fit(frame, target)
    assert model.parts_not_held_ == not_held
    assert set(model.parts_["part"]) == {"train", "early_stopping", "calibration"} - set(not_held)
    assert model.parts_["rows"].sum() == target.size
    assert (model.calibration_ is None) == ("calibration" in not_held)
    if "early_stopping" in not_held:
        assert model.best_round_ == model.n_estimators


def test_rows_of_ones_own_that_are_too_few_are_refused(rows):
    frame, target = rows
    few = slice(0, 20)
    with pytest.raises(DatasetError, match=r"'calibration'.*\b5\b"):
        quick().fit(frame, target, calibration=(frame[few], target[few]))


def test_one_map_may_be_named_by_itself(rows):
    one, listed = (quick(calibration=each).fit(*rows) for each in ("isotonic", ("isotonic",)))
    assert one.calibrator_.method == "isotonic"
    assert np.array_equal(one.predict_proba(rows[0]), listed.predict_proba(rows[0]))


@pytest.mark.parametrize("n_jobs", [-1, None, 1, np.int64(3)])
def test_threads_are_counted_as_scikit_learn_does_and_change_no_figure(fitted, rows, n_jobs):
    model = quick(n_jobs=n_jobs).fit(*rows)
    assert model.model_.text == fitted.model_.text
    assert np.array_equal(model.predict_proba(rows[0]), fitted.predict_proba(rows[0]))


def test_leaves_are_small_where_rows_are_few_and_as_configured_where_not(rows):
    frame, target = rows
    whole = {"calibration_share": 0.0, "early_stopping_share": 0.0, "n_estimators": 5}
    for n, least in ((4000, 100), (400, 20)):
        own, asked = (
            RiskClassifier(**whole, min_child_samples=each).fit(frame[:n], target[:n])
            for each in (None, least)
        )
        assert own.model_.text == asked.model_.text


# --- columns ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def codes():
    """Merchant codes as integers, one of them risky."""
    rng = np.random.default_rng(0)
    code = np.array([5411, 5812, 4829, 6011, 7995])[rng.integers(0, 5, 3000)]
    target = (rng.random(3000) < 1 / (1 + np.exp(3 - 2.5 * (code == 7995)))).astype(int)
    frame = pd.DataFrame({"amount": rng.gamma(2, size=3000), "mcc": code})
    return frame.astype({"mcc": "category"}), target


def test_a_whole_number_is_the_same_category_beside_a_gap(codes):
    frame, target = codes
    model = quick().fit(frame, target)
    assert model.vocabularies_["mcc"] == ("4829", "5411", "5812", "6011", "7995")
    gaps = frame["mcc"].astype(float).where(np.arange(len(frame)) % 7 > 0)
    beside = frame.assign(mcc=gaps.astype("category"))
    expected = frame.assign(mcc=frame["mcc"].where(np.arange(len(frame)) % 7 > 0))
    assert beside["mcc"].cat.categories.dtype == np.float64  # as pandas makes it
    assert np.array_equal(model.predict_proba(beside), model.predict_proba(expected))
    assert np.array_equal(
        quick().fit(beside, target).margin(frame), quick().fit(expected, target).margin(frame)
    )
    as_text = frame.assign(mcc=frame["mcc"].astype(str).astype("category"))
    assert np.array_equal(model.predict_proba(as_text), model.predict_proba(frame))


def test_a_category_of_which_no_value_is_known_is_said_aloud(codes):
    frame, target = codes
    model = quick().fit(frame, target)
    strange = frame.assign(mcc=pd.Categorical(["x", None, "y"] * 1000))
    with pytest.warns(UserWarning, match=r"'mcc'.* 2 "):
        taken = model.predict_proba(strange)
    missing = frame.assign(mcc=pd.Categorical([None] * 3000, categories=["x"]))
    assert np.array_equal(taken, model.predict_proba(missing))  # and that is no surprise


def test_columns_without_names_go_by_their_order(codes):
    frame, target = codes
    named = quick().fit(frame, target)
    plain = frame.set_axis([0, 1], axis="columns")
    model = quick().fit(plain, target)
    assert np.array_equal(model.predict_proba(plain), named.predict_proba(frame))
    assert model.contributions(plain).columns.tolist() == ["0", "1"]
    rising = quick(monotone={0: 1}).fit(plain, target)
    ladder = plain.head(1).loc[[0] * 50].set_axis(range(50))
    ladder[0] = np.linspace(0, 9, 50)
    assert (np.diff(rising.margin(ladder)) >= 0).all()
    with pytest.raises(DatasetError, match=r"\[0, 1\] .*\[1, 0\]"):
        model.predict_proba(plain[[1, 0]])


def test_names_that_are_none_are_refused(codes):
    frame, target = codes
    with pytest.raises(DatasetError, match="empty"):
        quick().fit(frame.set_axis(["", "mcc"], axis="columns"), target)
    with pytest.raises(DatasetError, match="int"):
        quick().fit(frame.set_axis([0, "mcc"], axis="columns"), target)


@pytest.mark.parametrize("names", [["a b", "a_b"], ["{x}:[y]", "金额，元"], [" ", "\t"]])
def test_any_other_name_is_a_name(codes, names):
    frame, target = codes
    renamed = frame.set_axis(names, axis="columns")
    model = quick().fit(renamed, target)
    assert model.contributions(renamed).columns.tolist() == names
    assert np.array_equal(model.margin(renamed), quick().fit(frame, target).margin(frame))


def test_text_and_times_are_no_columns_of_a_model(rows):
    frame, target = rows
    wrong = frame.assign(customer_id=[f"c{each}" for each in range(len(frame))], at=frame.index)
    with pytest.raises(DatasetError) as told:
        quick().fit(wrong, target)
    assert "'customer_id'" in str(told.value)
    assert re.search("'at'.*datetime64", str(told.value))
    assert "c17" not in str(told.value)


def test_a_direction_needs_a_column_of_numbers(rows):
    with pytest.raises(DatasetError) as told:
        quick(monotone={"channel": 1, "sginal": 1}).fit(*rows)
    assert "'channel'" in str(told.value)
    assert "'sginal'" in str(told.value)


@pytest.mark.parametrize("asked", [2, -0.5, "up", True, None, [1]])
def test_a_direction_is_one_of_three(rows, asked):
    with pytest.raises(DatasetError, match="'gaps'") as told:
        quick(monotone={"gaps": asked, "signal": 1}).fit(*rows)
    assert repr(asked) in str(told.value)
    assert "'signal'" not in str(told.value)


def test_no_direction_is_as_none_at_all(fitted, rows):
    free = quick(monotone={"gaps": 0}).fit(*rows)
    assert np.array_equal(free.margin(rows[0]), fitted.margin(rows[0]))


def test_directions_without_columns_are_refused(rows):
    with pytest.raises(DatasetError, match="list"):
        quick(monotone=["signal"]).fit(*rows)


def test_rows_to_calibrate_on_have_the_classes_of_training(rows):
    frame, target = rows
    with pytest.raises(DatasetError, match="class"):
        quick().fit(frame, target, calibration=(frame, target + 1))


@pytest.fixture(scope="module")
def bank():
    made = kyc_ml.make_bank(kyc_ml.BankConfig(transactions=12_000, seed=5))
    tables = contract_tables(made.tables, timezone="Asia/Shanghai", base_currency="CNY").accepted
    config = DatasetConfig(label_maturity_days=30)
    observations = make_observations(
        tables,
        unit="fraud",
        start=None,
        end=pd.Timestamp("2024-11-01", tz="UTC"),
        config=config,
    )
    as_of = pd.Timestamp("2024-12-25", tz="UTC")
    labels = mature_labels(tables, observations, unit="fraud", as_of=as_of, config=config)
    usable = labels.usable
    specs = choose_features(FeatureConfig(families=("velocity", "geography")), unit="fraud")
    return tables, observations.filter(pa.array(usable)), labels.target[usable], specs


def test_features_join_a_pipeline_that_is_judged_in_time(bank):
    tables, observations, target, specs = bank
    model = make_pipeline(
        FeatureBuilder(tables, specs), quick(early_stopping_share=0.3, calibration_share=0.0)
    )
    scores = cross_val_score(
        model,
        observations.to_pandas(),
        target,
        cv=OutOfTimeSplit(test_days=60, delay_days=30),
        scoring="roc_auc",
        error_score="raise",
    )
    assert scores.shape == (1,)
    assert scores[0] > 0.6


def test_a_builder_gives_what_build_features_gives_whatever_rows_it_was_fitted_on(bank):
    tables, observations, _, specs = bank
    some = observations.slice(100, 300)
    expected = build_features(tables, some, specs=specs).to_pandas()
    builder = FeatureBuilder(tables, specs).fit(observations.slice(5_000, 10))
    got = builder.transform(some)
    pd.testing.assert_frame_equal(got, expected[list(builder.get_feature_names_out())])
    frame = some.to_pandas().set_index(pd.Index(range(900, 1200)))
    assert builder.transform(frame).index.equals(frame.index)
    assert builder.transform(pl.DataFrame(some)).equals(got)
    assert builder.unavailable_ == {}


def test_a_copy_of_a_builder_shares_the_tables(bank):
    builder = FeatureBuilder(bank[0], bank[3], threads=1)
    copy = clone(make_pipeline(builder, FunctionTransformer()))[0]
    assert copy is not builder
    assert copy.source is builder.source
    assert copy.threads == 1


def test_a_builder_is_one_line_and_a_step_as_any_other(bank):
    tables, observations, _, specs = bank
    builder = FeatureBuilder(tables, specs, threads=3)
    line = f"FeatureBuilder({len(tables.tables)} tables, {len(specs)} features, threads=3)"
    assert repr(builder) == line
    assert repr(clone(builder)) == line
    assert repr(builder.fit(observations)) == line
    assert len(builder._repr_html_()) < 60_000
    assert builder.get_params() == {"source": tables, "specs": specs, "threads": 3}
    assert repr(builder.set_params(threads=1)) == line.replace("3)", "1)")
    assert repr(FeatureBuilder(None, None)).endswith("threads=2)")


def test_what_was_fitted_is_one_line(fitted):
    assert repr(fitted.model_) == f"Model({fitted.best_round_} trees, 4 columns)"
    assert repr(fitted.calibrator_) == "Calibrator(platt)"
    loss = fitted.calibration_.candidates["log_loss"][0]
    assert re.fullmatch(
        rf"CalibrationChoice\(platt .*1 .* {loss:.4g} .* 600 .*\)", repr(fitted.calibration_)
    )
    knots = tuple(float(each) for each in range(300))
    assert repr(Calibrator(method="isotonic", knots=knots)) == "Calibrator(isotonic, 300 knots)"


def test_observations_without_their_keys_are_refused(bank):
    tables, observations, _, specs = bank
    wrong = observations.drop_columns(["decision_time"]).append_column(
        "decision_tme", observations["decision_time"]
    )
    gaps = pa.array([None] * wrong.num_rows, pa.string())
    wrong = wrong.set_column(wrong.column_names.index("customer_id"), "customer_id", gaps)
    with pytest.raises(DatasetError) as told:
        FeatureBuilder(tables, specs).fit(wrong)
    assert "'decision_time'" in str(told.value)
    assert re.search(f"'customer_id' .* {wrong.num_rows:,} ", str(told.value))
