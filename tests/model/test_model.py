"""Contributions add up, rows do not disturb one another, the same rows give the same model."""

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.config import FeatureConfig, ModelConfig
from kyc_ml.errors import BundleError, DatasetError
from kyc_ml.features import Own, declare_features
from kyc_ml.metrics import auc_interval, compute_metrics, sample_rows
from kyc_ml.model import Model, fit_fixed, fit_model

OWN = Own(reading="value", column="x")


@pytest.fixture(scope="module")
def two(make_spec):
    """Declare a number and a category."""
    return (make_spec("number", OWN), make_spec("group", OWN, kind="category"))


def drawn(seed, n=120):
    """Draw a number with gaps, a category of five with gaps, and outcomes of both classes."""
    rng = np.random.default_rng(seed)
    number = np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))
    group = np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 5, n))
    logit = np.nan_to_num(number) + np.where(group == 2, 2.0, 0.0)
    target = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    target[:2] = 0.0, 1.0
    return np.column_stack([number, group]), target


@given(seed=st.integers(0, 10_000), leaves=st.integers(2, 15))
def test_contributions_and_base_add_up_to_the_margin(two, small, seed, leaves):
    matrix, target = drawn(seed)
    config = small.quick.model_copy(update={"num_leaves": leaves})
    model = fit_fixed(matrix, target, specs=two, config=config)
    unseen = np.vstack([drawn(seed + 1)[0], [[np.inf, 99.0], [-np.inf, -1.0], [np.nan, np.nan]]])
    got = model.contributions(unseen)
    np.testing.assert_allclose(got.base + got.values.sum(axis=1), model.margin(unseen), atol=1e-9)
    assert got.values.shape == unseen.shape
    assert np.unique(got.base).size == 1


@settings(max_examples=2 * settings.default.max_examples)
@given(data=st.data())
def test_a_row_scores_the_same_alone_in_a_batch_and_in_any_order(small, data):
    rows = data.draw(st.lists(st.integers(0, 599), min_size=1, max_size=30))
    everything = small.model.margin(small.matrix)
    np.testing.assert_array_equal(small.model.margin(small.matrix[rows]), everything[rows])
    alone = small.model.margin(small.matrix[rows[:1]], threads=1)
    assert alone[0] == everything[rows[0]]
    contributions = small.model.contributions(small.matrix).values
    np.testing.assert_array_equal(
        small.model.contributions(small.matrix[rows]).values, contributions[rows]
    )


def test_no_rows_have_no_margins_and_no_contributions(small):
    none = small.matrix[:0]
    assert small.model.margin(none).shape == (0,)
    got = small.model.contributions(none)
    assert (got.values.shape, got.base.shape) == ((0, 5), (0,))


def test_two_fits_of_the_same_rows_give_the_same_text(small):
    specs = small.features.specs
    config = small.quick.model_copy(update={"subsample": 0.6, "colsample_bytree": 0.6})
    one, two = (fit_fixed(small.matrix, small.target, specs=specs, config=config) for _ in "12")
    assert one.text == two.text
    other = config.model_copy(update={"seed": 1})
    assert fit_fixed(small.matrix, small.target, specs=specs, config=other).text != one.text


def test_the_text_is_read_back_bit_equal(small):
    again = Model(small.model.text)
    assert again.text == small.model.text
    assert again.margin(small.matrix).tobytes() == small.model.margin(small.matrix).tobytes()
    assert again.feature_names == small.model.feature_names
    assert Model(again.text).n_trees == small.model.n_trees == 12


@pytest.mark.parametrize("text", ["", "no model", "tree\nversion=v4\n"])
def test_text_that_is_no_model_is_refused(text, capfd):
    with pytest.raises(BundleError, match="LightGBM"):
        Model(text)


def test_constant_and_all_missing_features_survive_without_a_say(small):
    assert small.model.feature_names == small.features.names
    gain = dict(zip(small.features.names, small.model.importance(), strict=True))
    assert gain["constant"] == gain["all_missing"] == 0.0
    assert gain["signal"] > gain["noise"]
    changed = small.matrix.copy()
    changed[:, 2:4] = 7.0
    np.testing.assert_array_equal(small.model.margin(changed), small.model.margin(small.matrix))


@pytest.mark.parametrize("fill", [1.0, np.nan])
def test_features_that_say_nothing_leave_the_prevalence(two, small, fill):
    target = np.repeat([1.0, 0.0], [30, 90])
    blank = np.full((120, 2), fill)
    fixed = fit_fixed(blank, target, specs=two, config=small.quick)
    stopped = fit_model(
        blank, target, stopping_matrix=blank, stopping_target=target, specs=two, config=small.quick
    ).model
    for model in (fixed, stopped):
        np.testing.assert_allclose(model.margin(blank), np.log(30 / 90), atol=1e-6)
        assert (model.contributions(blank).values == 0).all()


def test_fitting_that_stops_early_ends_at_as_many_trees_as_there_are(two, small):
    matrix, target = drawn(0)
    heard = []
    fit_model(
        matrix, target, stopping_matrix=matrix, stopping_target=1 - target, specs=two,
        config=small.quick.model_copy(update={"n_estimators": 500, "stopping_rounds": 2}),
        progress=lambda done, total: heard.append((done, total)),
    )  # fmt: skip
    assert heard[0] == (1, 500)
    assert heard[-1][0] == heard[-1][1] < 500


@pytest.mark.parametrize("part", ["train", "early_stopping"])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_is_refused_with_the_part_and_the_counts(two, small, part, label):
    matrix, target = drawn(0)
    same = np.full(target.size, label)
    train, stopping = (same, target) if part == "train" else (target, same)
    told = f"'{part}'.*{int(label) * 120} positives of 120 rows"
    with pytest.raises(DatasetError, match=told):
        fit_model(
            matrix, train, stopping_matrix=matrix, stopping_target=stopping,
            specs=two, config=small.quick,
        )  # fmt: skip
    if part == "train":
        with pytest.raises(DatasetError, match=told):
            fit_fixed(matrix, same, specs=two, config=small.quick)


def test_no_rows_cannot_be_fitted(two, small):
    with pytest.raises(DatasetError, match=r"0 .* 0 "):
        fit_fixed(np.empty((0, 2)), np.empty(0), specs=two, config=small.quick)


def wavy(seed):
    """Draw outcomes that rise and fall with the first of two numbers."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(400, 2))
    logit = 2 * np.sin(2 * matrix[:, 0]) + matrix[:, 1]
    return matrix, (rng.random(400) < 1 / (1 + np.exp(-logit))).astype(np.float64)


def steps_along(model, column):
    """Give the change of the margin along a grid of one number, for several of the other."""
    grid = np.linspace(-3, 3, 61)
    lines = []
    for other in (-1.0, 0.0, 1.0, np.nan):
        rows = np.full((61, 2), other)
        rows[:, column] = grid
        lines.append(np.diff(model.margin(rows)))
    return np.concatenate(lines)


@settings(max_examples=settings.default.max_examples // 2)
@given(seed=st.integers(0, 999), direction=st.sampled_from([-1, 1]))
def test_a_declared_direction_is_kept_where_the_config_asks_for_it(
    make_spec, small, seed, direction
):
    specs = (make_spec("first", OWN, monotone=direction), make_spec("second", OWN))
    config = small.quick.model_copy(update={"monotone": True})
    model = fit_fixed(*wavy(seed), specs=specs, config=config)
    assert (direction * steps_along(model, 0) >= -1e-12).all()


def test_without_asking_a_direction_is_only_declared(make_spec, small):
    specs = (make_spec("first", OWN, monotone=1), make_spec("second", OWN))
    steps = steps_along(fit_fixed(*wavy(0), specs=specs, config=small.quick), 0)
    assert steps.min() < -0.1
    assert steps.max() > 0.1


def test_fitting_stops_when_later_rows_no_longer_gain(two, small):
    matrix, target = drawn(0, n=400)
    config = small.quick.model_copy(
        update={"n_estimators": 200, "stopping_rounds": 5, "metric": "binary_logloss"}
    )
    later, later_target = drawn(1, n=400)
    told = []
    fit = fit_model(
        matrix, target, stopping_matrix=later, stopping_target=later_target,
        specs=two, config=config, progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert fit.best_round == fit.model.n_trees < 200
    assert told[0] == (1, 200)
    assert len(told) <= fit.best_round + 5 + 1  # the rounds waited for, and the end
    proba = 1 / (1 + np.exp(-fit.model.margin(later)))
    loss = -np.mean(np.log(np.where(later_target == 1, proba, 1 - proba)))
    assert fit.early_stopping_score == pytest.approx(loss, abs=1e-6)


def test_the_signal_is_found_and_shuffled_labels_teach_nothing(small):
    half = np.arange(600) < 300
    specs, config = small.features.specs, small.quick
    model = fit_fixed(small.matrix[half], small.target[half], specs=specs, config=config)
    auc, _, _ = auc_interval(small.target[~half], model.margin(small.matrix[~half]))
    assert auc > 0.75
    inside = 0
    for seed in range(20):
        shuffled = np.random.default_rng(seed).permutation(small.target)
        blind = fit_fixed(small.matrix[half], shuffled[half], specs=specs, config=config)
        _, low, high = auc_interval(shuffled[~half], blind.margin(small.matrix[~half]))
        inside += low <= 0.5 <= high
    assert inside >= 16


@pytest.mark.parametrize(
    "name", ["third_party_credit score", "a:b", 'quo"te', "[x]{y}", "50%", "名称", "a,b"]
)
def test_any_name_of_a_users_own_item_is_kept(make_spec, small, name):
    specs = (make_spec(name, OWN, kind="category"), make_spec("plain", OWN))
    matrix, target = drawn(0)
    model = fit_fixed(matrix[:, ::-1], target, specs=specs, config=small.quick)
    assert model.feature_names == (name, "plain")
    assert Model(model.text).feature_names == (name, "plain")


def wide(n=20_000, p=60):
    """Draw many numbers, with gaps, zeros and a category, and rare outcomes."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(n, p))
    matrix[:, 10:30][rng.random((n, 20)) < 0.8] = 0.0
    matrix[rng.random((n, p)) < 0.1] = np.nan
    matrix[:, 0] = rng.integers(0, 12, n)
    logit = np.nan_to_num(matrix[:, 1:9]).sum(axis=1) - 4
    return np.asfortranarray(matrix), (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float64)


@pytest.mark.parametrize(
    ("share", "metric"), [(1.0, "average_precision"), (0.3, "binary_logloss"), (1.0, "auc")]
)
def test_one_and_two_threads_give_the_same_text_and_margins(make_spec, share, metric):
    matrix, target = wide()
    specs = [make_spec("group", OWN, kind="category")]
    specs += [make_spec(f"number {place}", OWN) for place in range(59)]
    early = np.arange(target.size) < 15_000
    fits = [
        fit_model(
            matrix[early], target[early], stopping_matrix=matrix[~early],
            stopping_target=target[~early], specs=specs,
            config=ModelConfig(
                n_estimators=12, subsample=0.7, n_jobs=threads, negative_share=share,
                metric=metric,
            ),
        )
        for threads in (1, 2)
    ]  # fmt: skip
    one, two = (fit.model for fit in fits)
    assert one.text == two.text
    assert fits[0].early_stopping_score == fits[1].early_stopping_score
    assert "[num_threads: 0]" in one.text
    assert one.margin(matrix, threads=1).tobytes() == two.margin(matrix, threads=2).tobytes()


@settings(max_examples=2 * settings.default.max_examples)
@given(seed=st.integers(0, 99), order=st.randoms(), count=st.integers(0, 90), few=st.booleans())
def test_the_rows_drawn_hang_on_what_rows_hold_not_on_their_order(seed, order, count, few):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 2 if few else 1000, (80, 2)).astype(np.float64)
    matrix[rng.random((80, 2)) < 0.1] = np.nan
    matrix[matrix == 0] = rng.choice([0.0, -0.0], (matrix == 0).sum())
    moved = matrix[order.sample(range(80), 80)]
    one, other = (
        table[sample_rows(table, np.arange(80), count=count, seed=seed)] + 0.0
        for table in (matrix, moved)
    )
    np.testing.assert_array_equal(one, other)
    assert len(one) == min(count, 80)


def test_equal_rows_are_drawn_in_proportion_and_seeds_draw_others():
    matrix = np.repeat([[1.0], [2.0], [np.nan]], [6000, 3000, 1000], axis=0)
    every = np.arange(10_000)
    rows = sample_rows(matrix, every, count=2000, seed=0)
    assert np.unique(rows).size == 2000
    _, counts = np.unique(matrix[rows], return_counts=True)
    np.testing.assert_allclose(counts, [1200, 600, 200], atol=80)
    assert set(rows) != set(sample_rows(matrix, every, count=2000, seed=1))


SAMPLED = [
    {"negative_share": 0.2},
    {"positive_weight": 10.0},
    {"negative_share": 0.2, "positive_weight": 0.5},
]


def known(seed, n=40_000):
    """Draw rows whose probability of a positive is known, about 1 in 11."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, 2))
    proba = 1 / (1 + np.exp(3 - matrix[:, 0] - 0.5 * matrix[:, 1]))
    return matrix, (rng.random(n) < proba).astype(np.float64), proba


@pytest.mark.parametrize("how", SAMPLED, ids=str)
def test_sampled_or_weighted_fits_give_the_probabilities_of_a_full_fit(make_spec, how):
    specs = (make_spec("first", OWN), make_spec("second", OWN))
    full = ModelConfig(n_estimators=80, num_leaves=6, learning_rate=0.1, n_jobs=1)
    matrix, target, _ = known(0)
    later, outcome, proba = known(1, n=10_000)
    errors = []
    for config in (full, full.model_copy(update=how)):
        model = fit_fixed(matrix, target, specs=specs, config=config)
        margin = model.margin(later)
        got = 1 / (1 + np.exp(-margin))
        errors.append(np.sqrt(np.mean((got - proba) ** 2)))
        quality = compute_metrics(outcome, margin, got)
        assert quality.observed_over_expected_low <= 1 <= quality.observed_over_expected_high
    assert errors[0] < 0.02
    assert errors[1] < 0.03
    uncorrected = 1 / (1 + np.exp(-(margin - np.log(0.2 if "negative_share" in how else 0.1))))
    assert np.sqrt(np.mean((uncorrected - proba) ** 2)) > 0.1


@pytest.mark.parametrize("how", [*SAMPLED, {"negatives_kept": 0.5}], ids=str)
def test_the_correction_is_a_shift_of_the_margin_and_of_the_base_only(two, small, how):
    matrix, target = drawn(0, n=2000)
    rare = (target == 1) & (np.arange(2000) % 4 > 0)
    matrix, target = matrix[~rare], target[~rare]
    stopping = {"stopping_matrix": matrix, "stopping_target": target}
    config = small.quick.model_copy(update=how)
    fit = fit_model(matrix, target, **stopping, specs=two, config=config)
    negatives = int((target == 0).sum())
    kept = max(1, round(config.negative_share * negatives))
    assert fit.fitted_rows == int(target.sum()) + kept
    before = np.log(config.negatives_kept) - np.log(config.positive_weight)
    assert fit.margin_shift == np.log(kept / negatives) + before
    got = fit.model.contributions(matrix)
    margin = fit.model.margin(matrix)
    np.testing.assert_allclose(got.base + got.values.sum(axis=1), margin, atol=1e-12)
    plain = lgb.Booster(model_str=fit.model.text)  # any reader of the text agrees
    assert plain.predict(matrix, raw_score=True).tobytes() == margin.tobytes()
    assert Model(fit.model.text).margin(matrix).tobytes() == margin.tobytes()
    root = plain.dump_model()["tree_info"][0]["tree_structure"]["internal_value"]
    real = negatives / config.negatives_kept
    assert root == pytest.approx(np.log(target.sum() / real), abs=0.1)
    moved = np.random.default_rng(0).permutation(target.size)
    again = fit_model(matrix[moved], target[moved], **stopping, specs=two, config=config)
    if config.negative_share < 1:
        assert again.model.text == fit.model.text


@pytest.mark.parametrize("how", SAMPLED, ids=str)
@pytest.mark.parametrize("fill", [1.0, np.nan])
def test_a_model_without_a_split_is_corrected_too(two, small, how, fill):
    target = np.repeat([1.0, 0.0], [30, 900])
    blank = np.full((930, 2), fill)
    model = fit_fixed(blank, target, specs=two, config=small.quick.model_copy(update=how))
    np.testing.assert_allclose(model.margin(blank), np.log(30 / 900), atol=1e-6)
    got = model.contributions(blank)
    np.testing.assert_allclose(got.base, np.log(30 / 900), atol=1e-6)


@pytest.mark.parametrize("how", SAMPLED, ids=str)
def test_log_loss_on_the_rows_to_stop_on_is_that_of_the_corrected_model(two, small, how):
    matrix, target = drawn(0, n=400)
    config = small.quick.model_copy(update={"metric": "binary_logloss", **how})
    fit = fit_model(
        matrix, target, stopping_matrix=matrix, stopping_target=target, specs=two, config=config
    )
    proba = 1 / (1 + np.exp(-fit.model.margin(matrix)))
    loss = -np.mean(np.log(np.where(target == 1, proba, 1 - proba)))
    assert fit.early_stopping_score == pytest.approx(loss, abs=1e-6)


def test_some_negative_is_always_kept(two, small):
    matrix, target = drawn(0)
    config = small.quick.model_copy(update={"negative_share": 1e-9, "min_child_samples": 1})
    fit = fit_model(
        matrix, target, stopping_matrix=matrix, stopping_target=target, specs=two, config=config
    )
    assert fit.fitted_rows == target.sum() + 1


def test_the_catalogue_declares_directions_of_numbers_only():
    directed = [
        spec
        for spec in declare_features(FeatureConfig(families=("velocity",))).values()
        if spec.monotone
    ]
    assert len(directed) > 20
    assert {spec.kind for spec in directed} == {"number"}


def test_directions_are_kept_under_sampling_and_early_stopping(make_spec, small):
    specs = (make_spec("first", OWN, monotone=1), make_spec("second", OWN, monotone=-1))
    update = {"monotone": True, "negative_share": 0.5, "positive_weight": 3.0}
    matrix, target = wavy(0)
    later, later_target = wavy(1)
    model = fit_model(
        matrix, target, stopping_matrix=later, stopping_target=later_target, specs=specs,
        config=small.quick.model_copy(update=update),
    ).model  # fmt: skip
    assert (steps_along(model, 0) >= -1e-12).all()
    assert (steps_along(model, 1) <= 1e-12).all()
