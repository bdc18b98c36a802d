"""Contributions are LightGBM's own, add up to the margin, and hang on their row only."""

import itertools
import math
import re
import warnings

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kyc_ml.errors import BundleError, DatasetError
from kyc_ml.model.contributions import compiled
from kyc_ml.model.contributions.compiled import compile_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # shap calls what matplotlib is about to drop
    import shap

CATEGORY = 2
EDGES = (
    *(np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-36, 1e-35, -1e-35, 2e-35, -2e-35),
    *(-1.0, -0.5, 0.5, 2.7, 39.0, 40.0, 999.0, 2.0**31 - 1, 2.0**31, -(2.0**31), 1e300),
)


def drawn(seed, n=300):
    """Draw gaps, a lattice with zeros, categories with negative codes, a heavy tail, a copy."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, 6))
    matrix[:, 1] = rng.integers(-2, 3, n)
    matrix[:, CATEGORY] = rng.integers(-1, 40, n)
    matrix[:, 3] = np.exp(3 * matrix[:, 3])
    matrix[:, 4] = matrix[:, 0] + rng.normal(scale=0.1, size=n)
    matrix[:, 5] = 1.0
    matrix[rng.random((n, 6)) < 0.1] = np.nan
    signal = np.nan_to_num(matrix)
    target = signal[:, 0] * signal[:, 1] + np.isin(matrix[:, CATEGORY], [3, 7, 35])
    return matrix, target + np.log1p(signal[:, 3]) + rng.normal(scale=0.3, size=n)


def trained(matrix, target, *, trees=6, categories=(), **parameters):
    """Train quietly and return the text form."""
    settings_ = {"objective": "regression", "num_threads": 1, "verbosity": -1, "seed": 1}
    data = lgb.Dataset(
        matrix, target, categorical_feature=list(categories), params={"verbosity": -1}
    )
    return lgb.train({**settings_, **parameters}, data, trees).model_to_string()


def with_edges(matrix, text):
    """Add a row of every edge value in every column, and of every threshold."""
    width = matrix.shape[1]
    cuts = re.findall(r"^threshold=(.*)$", text, flags=re.MULTILINE)
    values = [*EDGES, *{float(cut) for line in cuts for cut in line.split()}]
    rows = matrix[np.arange(len(values) * width) % len(matrix)].copy()
    for at, (value, column) in enumerate(itertools.product(values, range(width))):
        rows[at, column] = value
    return np.vstack([matrix, rows])


def require_lightgbms_own(text, rows, *, close=1e-9):
    booster = lgb.Booster(model_str=text)
    table = booster.predict(rows, pred_contrib=True, num_threads=1)
    values, base = compile_model(text).explain(rows)
    np.testing.assert_allclose(values, table[:, :-1], rtol=0, atol=close)
    np.testing.assert_allclose(base, table[:, -1], rtol=0, atol=close)
    margin = booster.predict(rows, raw_score=True, num_threads=1)
    np.testing.assert_allclose(base + values.sum(axis=1), margin, rtol=0, atol=1e-9)


models = st.fixed_dictionaries(
    {
        "num_leaves": st.integers(2, 40),
        "max_depth": st.sampled_from([-1, 1, 3, 6]),
        "min_data_in_leaf": st.sampled_from([1, 5, 20, 200]),
        "zero_as_missing": st.booleans(),
        "use_missing": st.booleans(),
        "max_bin": st.sampled_from([4, 255]),
        "min_data_per_group": st.sampled_from([2, 20]),
        "cat_smooth": st.sampled_from([0.0, 10.0]),
        "max_cat_to_onehot": st.sampled_from([1, 50]),
        "monotone_constraints": st.sampled_from([[0] * 6, [1, 0, 0, -1, 0, 0]]),
        "boosting": st.sampled_from(["gbdt", "dart"]),
    }
)


@settings(max_examples=3 * settings.default.max_examples)
@given(
    seed=st.integers(0, 10_000),
    parameters=models,
    categories=st.sampled_from([(), (CATEGORY,)]),
)
def test_any_model_is_explained_as_lightgbm_explains_it(seed, parameters, categories):
    matrix, target = drawn(seed)
    text = trained(matrix, target, categories=categories, **parameters)
    require_lightgbms_own(text, with_edges(matrix[:50], text))


@pytest.fixture(scope="module")
def chain():
    """Train one deep tree that splits a few rows off at a time, by a feature of its own."""
    rng = np.random.default_rng(3)
    matrix = rng.integers(0, 2, size=(3000, 40)) * (rng.random((3000, 40)) < 0.4)
    matrix = matrix.astype(np.float64)
    first = np.where(matrix.any(axis=1), matrix.argmax(axis=1), 40)
    target = 1.1**first + rng.normal(scale=0.01, size=3000)
    text = trained(matrix, target, trees=3, num_leaves=60, min_data_in_leaf=1, learning_rate=0.3)
    return text, matrix


def depth_of(text):
    """Count the splits on the longest path of any tree."""

    def below(node):
        children = [node[side] for side in ("left_child", "right_child") if side in node]
        return 1 + max(map(below, children)) if children else 0

    dump = lgb.Booster(model_str=text).dump_model()
    return max(below(tree["tree_structure"]) for tree in dump["tree_info"])


def test_a_deep_unbalanced_tree_is_integrated_exactly(chain):
    text, matrix = chain
    assert depth_of(text) > 15
    assert compile_model(text).tables.n_points.max() > 5
    require_lightgbms_own(text, matrix[:300])


@settings(max_examples=settings.default.max_examples // 2)
@given(seed=st.integers(0, 10_000), leaves=st.integers(2, 40))
def test_tables_keep_within_their_memory_and_nothing_changes(seed, leaves):
    matrix, target = drawn(seed)
    text = trained(matrix, target, num_leaves=leaves, min_data_in_leaf=3, categories=(CATEGORY,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "MOST_TABLE_BYTES", 0)
        small = compile_model(text)
        require_lightgbms_own(text, matrix[:50])
    assert small.table_bytes <= 1.05 * compile_model(text).table_bytes
    assert sum(column.nbytes for column in small.tables) == small.table_bytes


def test_a_budget_of_memory_is_kept(monkeypatch):
    matrix, target = drawn(1, n=2000)
    text = trained(matrix, target, trees=40, num_leaves=31)
    wanted = compile_model(text).table_bytes
    monkeypatch.setattr(compiled, "MOST_TABLE_BYTES", wanted // 2)
    assert compile_model(text).table_bytes < 0.6 * wanted


@pytest.fixture(scope="module")
def batch(chain):
    """Explain 2,500 rows, three blocks, by tables and by integration."""
    text, matrix = chain
    explained = compile_model(text)
    return explained, matrix[:2500], explained.explain(matrix[:2500], threads=2)[0]


@given(rows=st.lists(st.integers(0, 2499), min_size=1, max_size=40), threads=st.integers(1, 3))
@example(rows=list(range(2499, -1, -1)), threads=3)
@example(rows=list(range(1000, 2100)), threads=1)
def test_a_row_is_explained_the_same_alone_in_any_batch_and_order(batch, rows, threads):
    explained, matrix, together = batch
    np.testing.assert_array_equal(
        explained.explain(matrix[rows], threads=threads)[0], together[rows]
    )
    np.testing.assert_array_equal(explained.explain(matrix[rows[:1]])[0], together[rows[:1]])


def test_the_layout_of_the_matrix_changes_nothing(batch):
    explained, matrix, together = batch
    np.testing.assert_array_equal(explained.explain(np.asfortranarray(matrix))[0], together)
    wide = np.repeat(matrix, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(explained.explain(wide)[0], together)


def test_one_split_gives_the_distance_from_the_mean():
    matrix = np.repeat([[0.0, 7.0], [1.0, 7.0]], [75, 25], axis=0)
    text = trained(matrix, matrix[:, 0], trees=1, learning_rate=1.0, num_leaves=2)
    values, base = compile_model(text).explain(np.array([[0.0, 7.0], [1.0, 8.0]]))
    np.testing.assert_allclose(base, 0.25)
    np.testing.assert_allclose(values, [[-0.25, 0.0], [0.75, 0.0]])


def test_trees_of_one_leaf_have_a_base_only():
    matrix, target = drawn(5)
    text = trained(matrix, target, min_data_in_leaf=5000)
    values, base = compile_model(text).explain(matrix[:3])
    np.testing.assert_array_equal(values, np.zeros((3, 6)))
    np.testing.assert_allclose(base, target.mean())
    require_lightgbms_own(text, matrix[:3])


def test_no_rows_have_no_contributions():
    matrix, target = drawn(5)
    values, base = compile_model(trained(matrix, target)).explain(matrix[:0])
    assert values.shape == (0, 6)
    assert base.shape == (0,)


def expected_given(node, row, known):
    """Follow what is known of a row, and average over the covers where it is not."""
    if "leaf_value" in node:
        return node["leaf_value"]
    children = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        goes_right = int(row[node["split_feature"]] > node["threshold"])
        return expected_given(children[goes_right], row, known)
    covers = [child.get("internal_count", child.get("leaf_count")) for child in children]
    parts = [expected_given(child, row, known) for child in children]
    return np.average(parts, weights=covers)


def test_brute_force_over_all_coalitions_agrees():
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(400, 4))
    text = trained(matrix, matrix[:, 0] * matrix[:, 1] + matrix[:, 2], trees=3, num_leaves=12)
    trees = [t["tree_structure"] for t in lgb.Booster(model_str=text).dump_model()["tree_info"]]
    want = np.zeros((5, 4))
    for row, feature in itertools.product(range(5), range(4)):
        others = [each for each in range(4) if each != feature]
        for size in range(4):
            weight = math.factorial(size) * math.factorial(3 - size) / math.factorial(4)
            for known in map(set, itertools.combinations(others, size)):
                want[row, feature] += weight * sum(
                    expected_given(tree, matrix[row], known | {feature})
                    - expected_given(tree, matrix[row], known)
                    for tree in trees
                )
    np.testing.assert_allclose(compile_model(text).explain(matrix[:5])[0], want, atol=1e-12)


def test_shaps_own_algorithm_agrees():
    matrix, target = drawn(6)
    text = trained(matrix, target, num_leaves=20, min_data_in_leaf=3)
    explainer = shap.TreeExplainer(lgb.Booster(model_str=text))
    explainer.model.model_type = "internal"  # else it asks LightGBM
    want = explainer.shap_values(matrix[:40], check_additivity=False)
    np.testing.assert_allclose(compile_model(text).explain(matrix[:40])[0], want, atol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"linear_tree": True}, "linear_tree=false"),
        (
            {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
            "boosting=gbdt",
        ),
        ({"objective": "multiclass", "num_class": 3}, "margins"),
    ],
)
def test_what_has_no_exact_contributions_is_refused(parameters, said):
    matrix, target = drawn(7)
    matrix = np.nan_to_num(matrix)
    text = trained(matrix, np.digitize(target, [-1.0, 1.0]), **parameters)
    with pytest.raises(BundleError, match=said):
        compile_model(text)


def test_nodes_without_rows_are_refused_all_faults_at_once():
    matrix, target = drawn(7)
    text = trained(matrix, target)
    empty = re.sub(r"^leaf_count=\d+", "leaf_count=0", text, count=2, flags=re.MULTILINE)
    with pytest.raises(BundleError, match=r"\b2\b.*trees"):
        compile_model(empty)
    absent = re.sub(r"^internal_count=.*$", "internal_count=", text, flags=re.MULTILINE)
    with pytest.raises(BundleError, match=r"\b6\b.*trees"):
        compile_model(absent.replace("is_linear=0", "is_linear=1"))
    with pytest.raises(BundleError, match=r"leaves.*\b6\b"):
        compile_model(absent.replace("is_linear=0", "is_linear=1"))


def test_a_feature_that_is_both_number_and_category_is_refused():
    matrix, target = drawn(8)
    number = trained(matrix[:, [CATEGORY]], target, trees=1)
    few = {"min_data_per_group": 2, "cat_smooth": 0.0}
    category = trained(matrix[:, [CATEGORY]], target, trees=1, categories=(0,), **few)
    assert "num_cat=0" not in category
    tree = category.split("\nTree=0\n")[1].split("\n\n")[0]
    both = number.replace("\nend of trees", f"\nTree=1\n{tree}\n\n\nend of trees")
    with pytest.raises(BundleError, match=r"feature \b0\b"):
        compile_model(both)


def test_more_thresholds_than_codes_are_refused(monkeypatch):
    matrix, target = drawn(8)
    text = trained(matrix, target)
    monkeypatch.setattr("kyc_ml.model.contributions.codes._MOST_CODES", 4)
    with pytest.raises(BundleError, match=r"1 .*max_bin"):
        compile_model(text)


@pytest.mark.parametrize("shape", [(3, 5), (3, 7), (6,)])
def test_rows_of_other_columns_are_refused(shape):
    matrix, target = drawn(9)
    with pytest.raises(DatasetError, match=r"\b6\b columns"):
        compile_model(trained(matrix, target)).explain(np.zeros(shape))
