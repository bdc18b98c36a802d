"""A reason says the customer's own number, what is usual, and which way it pushes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from kyc_ml.config import FeatureConfig
from kyc_ml.decision import PeerReference, learn_reference, make_reasons, rank_reasons
from kyc_ml.decision.explain.reference import Usual
from kyc_ml.decision.explain.sentences import say_usual
from kyc_ml.features import FAMILIES, Own, declare_features

TABLES = nps.arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]),
)


@pytest.fixture(scope="module")
def say(make_spec, make_table):
    """Say one number, or one category, in both languages."""

    def said(value, usual, *, unit, contribution=1.0, kind="number"):
        spec = make_spec("x", Own(reading="value", column="x"), unit=unit, kind=kind)
        category = kind == "category"
        features = make_table(
            [spec], [[np.nan if category else value]], {"x": [value]} if category else {}
        )
        reference = PeerReference(
            medians={} if category else {"x": usual}, modes={"x": usual} if category else {}
        )
        columns = make_reasons(
            features, np.array([[contribution]]), reference=reference, currency="CNY", k=1
        )
        return columns["reason_1_text"][0].as_py(), columns["reason_1_text_zh"][0].as_py()

    return said


@given(contributions=TABLES, k=st.integers(1, 8))
def test_reasons_are_the_largest_contributions_and_ties_keep_the_order(contributions, k):
    ranked = rank_reasons(contributions, k=k)
    assert ranked.shape == (len(contributions), min(k, contributions.shape[1]))
    for row, chosen in zip(contributions, ranked, strict=True):
        by_hand = sorted(range(row.size), key=lambda column: (-abs(row[column]), column))
        assert chosen.tolist() == by_hand[:k]


@given(contributions=TABLES, data=st.data())
def test_the_rank_of_a_row_does_not_depend_on_the_other_rows(contributions, data):
    order = data.draw(st.permutations(range(len(contributions))))
    ranked = rank_reasons(contributions, k=3)
    assert np.array_equal(rank_reasons(contributions[order], k=3), ranked[order])


@pytest.mark.parametrize(
    ("unit", "values", "english", "chinese"),
    [
        ("base currency", (12345.0, 1000.5), "12,345 CNY (usual: 1,000.50 CNY)", "12,345 CNY"),
        ("base currency a year", (2e6, 1e5), "2,000,000 CNY a year", "2,000,000 CNY/年"),
        ("transactions", (7.0, 2.0), "7 (usual: 2)", "7笔（通常：2笔）"),
        ("hours", (0.25, 30.0), "15 minutes (usual: 30 hours)", "15分钟（通常：30小时）"),
        ("days", (-3.0, 400.0), "-3 days (usual: 400 days)", "-3天（通常：400天）"),
        ("years", (41.5, 38.123), "41.50 years (usual: 38.12 years)", "41.50年（通常：38.12年）"),
        ("times", (8.0, 1.0), "8 times (usual: 1 times)", "8倍（通常：1倍）"),
        ("ratio", (0.012345, 1.5), "0.0123 (usual: 1.50)", "0.0123（通常：1.50）"),
        ("standard deviations", (4.256, 0.0), "4.26 ", "4.26个标准差"),
        ("item's own unit", (600.0, 710.0), "600 (usual: 710)", "600（通常：710）"),
        ("share", (0.1234, 0.0), "12.3% (usual: 0.0%)", "12.3%（通常：0.0%）"),
        ("share", (1.0, 0.5), "100.0% (usual: 50.0%)", "100.0%（通常：50.0%）"),
        ("0 or 1", (1.0, 0.0), "yes (usual: no)", "是（通常：否）"),
        ("0 or 1", (0.0, 0.5), "no (usual: 0.50)", "否（通常：0.50）"),
        ("day of week", (0.0, 6.0), "Monday (usual: Sunday)", "星期一（通常：星期日）"),
        ("hour of day", (3.0, 13.5), "03:00 (usual: 13:00)", "03:00（通常：13:00）"),
        ("days", (np.nan, 2.0), "not known (usual: 2 days)", "未知（通常：2天）"),
        ("days", (2.0, np.nan), "2 days (usual: not known)", "2天（通常：未知）"),
        ("share", (np.nan, np.nan), "not known (usual: not known)", "未知（通常：未知）"),
        ("ratio", (np.inf, 1.0), "∞ (usual: 1)", "∞（通常：1）"),
        ("ratio", (-np.inf, 1.0), "-∞ (usual: 1)", "-∞（通常：1）"),
        ("base currency", (1e14, 0.0), "100,000,000,000,000 CNY (usual: 0 CNY)", "0 CNY"),
    ],
)
def test_a_sentence_says_the_number_with_its_unit(say, unit, values, english, chinese):
    text, text_zh = say(*values, unit=unit)
    assert text.partition(": ")[2].startswith(english)
    assert chinese in text_zh
    assert text_zh.startswith("x的说明：")


@pytest.mark.parametrize(
    ("unit", "quartiles", "english", "chinese"),
    [
        ("standard deviations", (-0.612, 0.913),
         "usual: -0.612 to 0.913 standard deviations", "通常：-0.612至0.913个标准差"),
        ("base currency", (5.0, 70.0), "usual: 5 to 70 CNY", "通常：5至70 CNY"),
        ("days", (2.0, 2.0), "usual: 2 days", "通常：2天"),
        ("hours", (0.5, 96.0), "usual: 30 minutes to 4 days", "通常：30分钟至4天"),
        ("share", (0.1, 0.2), "usual: 10.0% to 20.0%", "通常：10.0%至20.0%"),
        ("ratio", (1.5, 2.5), "usual: 1.50 to 2.50", "通常：1.50至2.50"),
    ],
)  # fmt: skip
def test_the_middle_half_has_its_unit_once(make_spec, unit, quartiles, english, chinese):
    spec = make_spec("x", Own(reading="value", column="x"), unit=unit)
    grid = np.repeat(quartiles, (10, 11))
    usual = Usual(medians={}, modes={}, quantiles={"x": grid})
    assert say_usual(spec, usual, group=None, currency="CNY") == (english, chinese)


@pytest.mark.parametrize(
    ("contribution", "english", "chinese"),
    [
        (0.3, "raises", "；使风险升高"),
        (-0.3, "lowers", "；使风险降低"),
        (0.0, "change", "；不改变风险"),
        (-0.0, "change", "；不改变风险"),
    ],
)
def test_a_sentence_says_which_way_it_pushes(say, contribution, english, chinese):
    text, text_zh = say(1.0, 2.0, unit="days", contribution=contribution)
    assert english in text.rpartition("; ")[2]
    assert text_zh.endswith(chinese)


@pytest.mark.parametrize(
    ("value", "usual", "english", "chinese"),
    [
        ("web", "app", "web (usual: app)", "web（通常：app）"),
        (None, "app", "app", "未知（通常：app）"),
        ("web", None, "web", "web（通常：未知）"),
    ],
)
def test_a_category_is_said_by_name(say, value, usual, english, chinese):
    text, text_zh = say(value, usual, unit="category", kind="category")
    assert english in text
    assert chinese in text_zh


def test_every_declared_feature_can_be_said_in_both_languages(make_table):
    config = FeatureConfig(families=tuple(FAMILIES), third_party_items=("x",))
    declared = declare_features(config).values()
    numbers = [spec for spec in declared if spec.kind == "number"]
    features = make_table(numbers, np.ones((1, len(numbers))), {})
    reference = PeerReference(medians=dict.fromkeys(features.names, 1.0), modes={})
    columns = make_reasons(
        features,
        np.arange(1.0, len(numbers) + 1)[None, ::-1],
        reference=reference,
        currency="CNY",
        k=len(numbers),
    )
    for place, spec in enumerate(numbers, start=1):
        assert columns[f"reason_{place}_code"][0].as_py() == f"{spec.family}.{spec.name}"
        assert columns[f"reason_{place}_text"][0].as_py().startswith(f"{spec.description}: ")
        assert columns[f"reason_{place}_text_zh"][0].as_py().startswith(f"{spec.description_zh}：")


def test_columns_hold_the_reasons_of_each_row(small):
    contributions = small.model.contributions(small.matrix).values
    reference = learn_reference(small.features, np.ones(600, bool))
    columns = make_reasons(small.features, contributions, reference=reference, currency="CNY", k=20)
    assert len(columns) == 2 + 10 * 5  # as many reasons as there are features
    names = small.features.names
    for row in (0, 17, 599):
        for place, column in enumerate(rank_reasons(contributions[[row]], k=5)[0], start=1):
            spec = small.features.specs[column]
            assert columns[f"reason_{place}_code"][row].as_py() == spec.code
            assert columns[f"reason_{place}_feature"][row].as_py() == spec.name
            assert (
                columns[f"reason_{place}_contribution"][row].as_py() == contributions[row, column]
            )
            value = columns[f"reason_{place}_value"][row].as_py()
            number = small.matrix[row, names.index(spec.name)]
            missing = spec.kind == "category" or np.isnan(number)
            assert value is None if missing else value == number


def test_the_reference_is_the_median_and_the_commonest_of_the_given_rows(make_spec, make_table):
    own = Own(reading="value", column="a")
    specs = [make_spec("a", own), make_spec("b", own), make_spec("c", own, kind="category")]
    numbers = [[1.0, np.nan, np.nan], [3.0, np.nan, np.nan], [8.0, 5.0, np.nan], [99.0, 7.0, 0.0]]
    features = make_table(specs, numbers, {"c": ["y", "x", None, "z"]})
    rows = np.array([True, True, True, False])
    reference = learn_reference(features, rows)
    assert reference.medians == {"a": 3.0, "b": 5.0}
    assert reference.modes == {"c": "x"}  # as often as y: the first of the alphabet
    early = learn_reference(features, np.array([True, False, False, False]))
    assert np.isnan(early.medians["b"])
    assert learn_reference(features, np.array([False, False, True, False])).modes == {"c": None}


def test_the_reference_is_a_finite_number_or_unknown(make_spec, make_table):
    specs = [make_spec(name, Own(reading="value", column=name)) for name in "ab"]
    numbers = [[np.inf, np.inf], [np.inf, -np.inf], [2.0, np.inf]]
    reference = learn_reference(make_table(specs, numbers, {}), np.ones(3, bool))
    assert reference.medians["a"] == 2.0
    assert np.isnan(reference.medians["b"])
