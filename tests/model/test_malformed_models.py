"""A model's text is refused, or it predicts as LightGBM does; no text ends or stops the process."""

import re
import subprocess
import sys

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.errors import BundleError
from kyc_ml.model import Model
from kyc_ml.model.contributions.soundness import sound_trees

LAW_SECONDS = 120
VALUES = [
    "-1",
    "0",
    "1",
    "2",
    "7",
    "100000",
    "-100000",
    "2147483648",
    "nan",
    "inf",
    "1e400",
    "",
    "x",
]
VALUES += ["=", "\n", "\n\n", "Tree=1", "1_0", "٣", "1 2", "\0", "99999999999999999999"]


def trained():
    """A model of four trees that split by numbers, by categories and by missing values."""
    rng = np.random.default_rng(0)
    matrix = np.column_stack([rng.normal(size=400), rng.integers(0, 40, 400), rng.normal(size=400)])
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    known = np.nan_to_num(matrix)
    target = known[:, 0] + 2.0 * (known[:, 1] % 5 == 2) + rng.normal(size=400) > 1.0
    parameters = {"num_leaves": 6, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    parameters |= {"objective": "binary", "min_data_per_group": 3, "cat_smooth": 0.0}
    rows = lgb.Dataset(matrix, target, categorical_feature=[1], params=parameters)
    return lgb.train(parameters, rows, 4).model_to_string(), matrix


@pytest.fixture(scope="module")
def text():
    return trained()[0]


def with_line(text, name, value):
    """Change a line of the second tree, and the sizes of the trees with it."""
    place = text.index("\nTree=1\n")
    tree = re.sub(rf"(?<=\n{name}=).*", str(value), text[place:], count=1)
    longer = len(tree) - len(text) + place
    sizes = re.search(r"tree_sizes=(\d+) (\d+)", text)
    head = text[:place].replace(sizes[0], f"tree_sizes={sizes[1]} {int(sizes[2]) + longer}")
    return head + tree


def test_a_text_of_lightgbm_is_kept_whole_and_read_without_its_parameters(text):
    assert Model(text).text == text
    assert "parameters:" in text
    assert "parameters:" not in sound_trees(text)
    assert text.startswith(sound_trees(text))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("split_feature", "3 0 0 0 2"),
        ("split_feature", "-1 0 0 0 2"),
        ("left_child", "1 -1 -3 -4 0"),  # a circle: prediction would never end
        ("left_child", "100000 2 3 4 5"),
        ("right_child", "-100000 -2 -3 -4 -5"),
        ("num_leaves", "5"),
        ("num_leaves", "2147483647"),
        ("num_leaves", "0"),
        ("num_cat", "2"),
        ("num_cat", "999999999"),
        ("decision_type", "16 10 8 8 10"),
        ("decision_type", "9 9 9 9 9"),
        ("cat_boundaries", "0 100000"),
        ("cat_boundaries", "1 2"),
        ("cat_threshold", "4294967296 1"),
        ("cat_threshold", "1"),
        ("leaf_value", "inf 0 0 0 0 0"),
        ("leaf_value", "nan 0 0 0 0 0"),
        ("leaf_value", "1e400 0 0 0 0 0"),
        ("leaf_value", "0 0 0"),
        ("threshold", "nan 0 0 0 0"),
        ("is_linear", "1"),
        ("shrinkage", ""),
        ("split_gain", ""),
        ("leaf_weight", "1_0 1 1 1 1 1"),
    ],
)
def test_a_malformed_tree_is_refused_with_its_number_and_line(text, name, value):
    changed = with_line(text, name, value)
    assert changed != text
    with pytest.raises(BundleError, match=r"tree 1: "):
        sound_trees(changed)
    assert sound_trees(with_line(text, "split_gain", "1 1 1 1 1"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_tree_per_iteration=1", "num_tree_per_iteration=0"),
        ("num_class=1", "num_class=3"),
        ("objective=binary sigmoid:1", "objective="),
        ("max_feature_idx=2", "max_feature_idx=1000000"),
        ("label_index=0", "label_index=0\naverage_output"),
        ("version=v4", "version=v4\nversion=v4"),
        ("\nTree=2\n", "\nTree=3\n"),
        ("tree_sizes=", "tree_sizes=9"),
        ("version=v4", "version=v4\r"),
        ("Tree=1", "Tree\x001"),
        ("end of trees", "end of tree"),
    ],
)
def test_a_malformed_header_is_refused(text, old, new):
    with pytest.raises(BundleError):
        sound_trees(text.replace(old, new, 1))


@st.composite
def mutated(draw, tokens):
    changed = list(tokens)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(changed) - 1))
        changed[place] = draw(st.sampled_from([*VALUES, *tokens[:200]]))
    return "".join(changed)


def law(examples):
    """Any text is refused, or margins are those of LightGBM and contributions add up to them."""
    text, matrix = trained()
    tokens = re.split(r"([ \n=:\[\]])", text)

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True)
    @given(mutated(tokens))
    def check(changed):
        try:
            model = Model(changed)
        except BundleError:
            return
        margin = model.margin(matrix, threads=1)
        direct = lgb.Booster(model_str=sound_trees(changed))
        np.testing.assert_array_equal(margin, direct.predict(matrix, raw_score=True, num_threads=1))
        try:
            found = model.contributions(matrix, threads=1)
        except BundleError:
            return
        total = found.base + found.values.sum(axis=1)
        np.testing.assert_allclose(total, margin, rtol=1e-6, atol=1e-6)

    check()


def test_no_mutated_text_ends_or_stops_the_process():
    run = subprocess.run(  # noqa: S603  our own file
        [sys.executable, "-W", "ignore", __file__, "300"],
        capture_output=True,
        timeout=LAW_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]


if __name__ == "__main__":
    law(int(sys.argv[1]))
