"""A rating is the declared sum of declared scores; a direct criterion beats it."""

import math
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import RunConfig, check_section, dump_section, load_section, parse_section
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import make_observations
from kyc_ml.decision import Scorecard, card_features, merge_specs, rate
from kyc_ml.decision.rating.card import EVERYONE
from kyc_ml.errors import ConfigError
from kyc_ml.features import Own, build_features, choose_features, declare_features
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig

SHIPPED = {"customer": "risk", "transaction": "fraud"}
IDENTITY = {"below": 1, "steps": [{"from": score, "score": score} for score in (2, 3, 4, 5)]}
TEXTS = {"english": "words", "chinese": "文字", "source": "convention"}
GRADES = [
    {"name": "low", "name_zh": "低"},
    {"name": "medium_low", "name_zh": "中低", "from_score": 36},
    {"name": "medium", "name_zh": "中", "from_score": 48},
    {"name": "medium_high", "name_zh": "中高", "from_score": 60},
    {"name": "high", "name_zh": "高", "from_score": 80},
]
LISTED = {"code": "listed", "feature": "listed", "at_least": 1, **TEXTS}


def item(name, weight, *, missing=1, family="customer", **rest):
    """Declare a sub-item that reads the feature of its name, 1 to 5 as they are."""
    scale = IDENTITY if "scores" not in rest and "steps" not in rest else {}
    weights = weight if isinstance(weight, dict) else {EVERYONE: weight}
    return {
        "name": name, "family": family, "feature": name, "weights": weights,
        "missing": missing, **TEXTS, **scale, **rest,
    }  # fmt: skip


def card_of(*items, **rest):
    content = {
        "name": "test", "version": 1, "unit": "risk", "source": "convention", "absent": "drop",
        "grades": GRADES, "cut_offs_source": "convention", "sub_items": items, **rest,
    }  # fmt: skip
    return check_section(content, Scorecard, subject="card")


@pytest.fixture(scope="session")
def table(make_table, make_spec):
    """Put named columns into a feature table: numbers, or texts as categories."""

    def make(unavailable=None, **columns):
        texts = {name: v for name, v in columns.items() if any(isinstance(x, str) for x in v)}
        names = [*(name for name in columns if name not in texts), *texts]
        specs = [
            make_spec(name, Own(reading="value"), kind="category" if name in texts else "number")
            for name in names
        ]
        n = len(next(iter(columns.values())))
        blank = [math.nan] * n
        numbers = np.column_stack([blank if name in texts else columns[name] for name in names])
        return replace(make_table(specs, numbers, texts), unavailable=unavailable or {})

    return make


# ---------------------------------------------------------------- laws

COUNT = 3
SCORE = st.integers(1, 5)
ROWS = st.lists(st.tuples(*[SCORE | st.just(math.nan)] * COUNT), min_size=1, max_size=12)
WEIGHTS = st.lists(st.integers(1, 9_999), min_size=2, max_size=2, unique=True).map(
    lambda cuts: [a / 100 for a in np.diff([0, *sorted(cuts), 10_000])]
)
NAMES = ("first", "second", "third")


def columns_of(rows):
    return dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True))


def card_with(weights, **rest):
    return card_of(*(item(n, w, missing=3) for n, w in zip(NAMES, weights, strict=True)), **rest)


@given(weights=WEIGHTS, rows=ROWS)
def test_the_score_is_the_weighted_sum_over_the_number_of_grades(table, weights, rows):
    got = rate(table(**columns_of(rows)), card_with(weights))
    for row, score in zip(rows, got.score, strict=True):
        scores = [3 if math.isnan(value) else value for value in row]
        exact = sum(a * Fraction(str(p)) for a, p in zip(scores, weights, strict=True)) / 5
        assert score == pytest.approx(float(exact), abs=1e-9)
        assert 20 <= score <= 100


@given(weights=WEIGHTS, row=st.tuples(*[SCORE] * COUNT), place=st.integers(0, COUNT - 1))
def test_raising_a_sub_item_never_lowers_score_grade_or_margin(table, weights, row, place):
    rows = [(*row[:place], score, *row[place + 1 :]) for score in range(1, 6)]
    got = rate(table(**columns_of(rows)), card_with(weights))
    assert (np.diff(got.score) > 0).all()
    assert (np.diff(got.margin) > 0).all()
    assert (np.diff(got.grade) >= 0).all()


@given(weights=WEIGHTS, rows=ROWS, seed=st.integers(0, 99))
def test_a_row_is_rated_alike_alone_in_a_batch_and_in_any_order(table, weights, rows, seed):
    features = table(**columns_of(rows))
    card = card_with(weights)
    together = rate(features, card)
    order = np.random.default_rng(seed).permutation(len(rows))
    assert (rate(features.take(order), card).score == together.score[order]).all()
    assert rate(features.take([0]), card).score[0] == together.score[0]


@given(weights=WEIGHTS, rows=ROWS)
def test_a_card_without_a_feature_is_the_card_of_the_others_scaled_to_100(table, weights, rows):
    columns = columns_of(rows)
    del columns["third"]
    got = rate(table(**columns, unavailable={"third": "no column"}), card_with(weights))
    rest = sum(weights[:2])
    scaled = [item(n, w * 100 / rest, missing=3) for n, w in zip(NAMES, weights[:2], strict=False)]
    other = rate(table(**columns), card_of(*scaled))
    np.testing.assert_allclose(got.score, other.score, atol=2e-9)
    assert got.weights.sum() == pytest.approx(100)
    assert got.dropped == {"sub_items.third": "third is left out: no column"}
    assert np.isnan(got.sub_scores[:, 2]).all()


@given(weights=WEIGHTS, rows=ROWS, listed=st.data())
def test_a_direct_criterion_beats_any_score_and_changes_none(table, weights, rows, listed):
    flags = listed.draw(
        st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=len(rows), max_size=len(rows))
    )
    features = table(**columns_of(rows), listed=flags)
    got = rate(features, card_with(weights, direct_highest=[LISTED]))
    plain = rate(features, card_with(weights))
    hit = np.array(flags) == 1.0
    assert (got.score == plain.score).all()
    assert got.direct.tolist() == np.where(hit, "listed", "").tolist()
    assert (got.grade == np.where(hit, 4, plain.grade)).all()
    assert (got.margin[hit] > 100).all()
    assert (got.margin[~hit] <= 100).all()


# ---------------------------------------------------------------- literals


def test_scores_and_grades_by_hand(table):
    card = card_of(item("first", 50), item("second", 30, missing=4), item("third", 20))
    features = table(first=[5, 1, 5, 1], second=[1, 1, 5, math.nan], third=[3, 1, 5, 1])
    got = rate(features, card)
    # (5*50 + 1*30 + 3*20) / 5 = 68; 100 / 5 = 20; 500 / 5 = 100; (50 + 4*30 + 20) / 5 = 38
    assert got.score.tolist() == [68, 20, 100, 38]
    assert got.grade.tolist() == [3, 0, 4, 1]
    assert got.sub_scores[3].tolist() == [1, 4, 1]
    assert got.margin.tolist() == got.score.tolist()
    assert len(got) == 4


def test_three_grades_have_scores_from_a_third_of_100(table):
    grades = [GRADES[0], {**GRADES[2], "from_score": 60}, {**GRADES[4], "from_score": 80}]
    scale = {"below": 1, "steps": [{"from": 2, "score": 2}, {"from": 3, "score": 3}]}
    card = card_of(item("first", 100, **scale), grades=grades)
    got = rate(table(first=[1, 2, 3]), card)
    np.testing.assert_allclose(got.score, [100 / 3, 200 / 3, 100])
    assert got.grade.tolist() == [0, 1, 2]


def test_a_score_equal_to_a_cut_off_belongs_to_the_grade_above_it(table):
    # (2 * 14.9 + 3 * 65.6 + 1 * 19.5) / 5 = 49.22: no binary sum of these weights hits it
    grades = [*GRADES[:2], {**GRADES[2], "from_score": 49.22}, *GRADES[3:]]
    card = card_with([14.9, 65.6, 19.5], grades=grades)
    got = rate(table(first=[2, 2], second=[3, 3], third=[1, 1]), card)
    assert got.score.tolist() == [49.22, 49.22]
    assert got.grade.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("age", "score"),
    [(-1, 5), (15.99, 5), (16, 4), (18, 1), (69.9, 1), (70, 2), (80, 3), (math.inf, 3),
     (-math.inf, 5), (math.nan, 2)],
)  # fmt: skip
def test_a_number_has_the_score_of_the_last_step_it_reaches(table, age, score):
    starts = [(16, 4), (18, 1), (70, 2), (80, 3)]
    steps = [{"from": start, "score": value} for start, value in starts]
    card = card_of(item("age", 100, below=5, steps=steps, missing=2))
    assert rate(table(age=[age]), card).sub_scores.tolist() == [[score]]


def test_a_category_has_its_own_score_any_other_one_and_none_a_third(table):
    card = card_of(item("channel", 100, scores={"branch": 1, "agent": 4}, other=3, missing=2))
    got = rate(table(channel=["branch", "agent", "market", "", None]), card)
    assert got.sub_scores[:, 0].tolist() == [1, 4, 3, 3, 2]


def test_a_segment_has_its_own_weights_and_leaves_out_what_does_not_apply(table):
    segments = {
        "feature": "kind", "by_value": {"person": "person", "entity": "entity"},
        "otherwise": "entity", "source": "convention",
    }  # fmt: skip
    card = card_of(
        item("age", {"person": 40}),
        item("cash", {"person": 60, "entity": 100}),
        segments=segments,
    )
    kinds = ["person", "entity", "trust", None]
    got = rate(table(kind=kinds, age=[5, 5, 5, 5], cash=[1, 1, 2, 3]), card)
    assert [card.segment_names[place] for place in got.segment] == ["person", *["entity"] * 3]
    assert got.score.tolist() == [(5 * 40 + 60) / 5, 20, 40, 60]
    assert np.isnan(got.sub_scores[:, 0]).tolist() == [False, True, True, True]
    without = rate(table(age=[5], cash=[1], unavailable={"kind": "no column"}), card)
    assert without.score.tolist() == [20]
    assert without.dropped == {"segments": "kind is left out: no column"}


def test_the_first_direct_criterion_of_the_card_is_named(table):
    foreign = {"code": "foreign_pep", "feature": "pep", "any_of": ["foreign"], **TEXTS}
    card = card_of(item("first", 100), direct_highest=[LISTED, foreign])
    features = table(
        first=[1] * 4, listed=[0, 1, 1, math.nan], pep=["foreign", "foreign", "none", None]
    )
    got = rate(features, card)
    assert got.direct.tolist() == ["foreign_pep", "listed", "listed", ""]
    assert got.grade.tolist() == [4, 4, 4, 0]
    assert got.margin.tolist() == [120, 120, 120, 20]
    blind = table(first=[1], pep=["none"], unavailable={"listed": "no column"})
    got = rate(blind, card)
    assert got.direct.tolist() == [""]
    assert got.dropped == {"direct_highest.listed": "listed is left out: no column"}


def test_no_rows_have_no_ratings(table):
    got = rate(table(first=[1.0], listed=[0]).take(np.array([], int)), card_of(item("first", 100)))
    assert (len(got), got.sub_scores.shape, got.grade.size) == (0, (0, 1), 0)


# ---------------------------------------------------------------- what is refused


def test_every_fault_of_a_card_is_told_at_once():
    crooked = {"below": 0, "steps": [{"from": 5, "score": 9}, {"from": 5, "score": 2}]}
    with pytest.raises(ConfigError) as caught:
        card_of(
            item("first", 70, **crooked),
            item("second", -1),
            item("second", {"persons": 5}, scores={"a": 1}, other=1, below=1),
            item("third", {}, scores={"a": 1}),
            grades=[{**GRADES[0], "from_score": 10}, {**GRADES[1], "from_score": 101}],
            direct_highest=[{**LISTED, "any_of": ["yes"]}, {**LISTED, "at_least": None}],
        )
    told = str(caught.value)
    for fault in (
        "3 grades",
        "10.0",
        "[101.0]",
        "0, got -1",
        "'persons'",
        "'third'",
        "100, got 69",
        "[5.0, 5.0]",
        "'second'",
        "direct_highest.0: ",
        "direct_highest.1: ",
    ):
        assert fault in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"grades": [GRADES[0], GRADES[2], GRADES[1]]}, "from_score"),
        ({"grades": [GRADES[0], {**GRADES[1], "from_score": 20.0}, *GRADES[2:]]}, "above 100 / 5"),
        ({"grades": [*GRADES[:4], {"name": "high", "name_zh": "高"}]}, "from_score"),
        ({"grades": [*GRADES, {**GRADES[4], "from_score": 90}]}, "'high'"),
        ({"sub_items": []}, "100, got 0"),
        ({"sub_items": [item("first", math.nan)]}, "nan"),
        ({"sub_items": [item("", 100)]}, "sub_items.0.name: "),
        ({"sub_items": [item("first", 100, source=" ")]}, "sub_items.0.source: "),
        ({"direct_highest": [LISTED, LISTED]}, "'listed'"),
        (
            {"sub_items": [item("first", 100, below=0, steps=[{"from": 5, "score": 9}])]},
            "got 0, 9",
        ),
        ({"cut_offs_source": ""}, "cut_offs_source"),
        ({"absent": "zero"}, "absent: "),
        ({"sub_item": []}, "sub_item"),
    ],
)
def test_what_no_card_may_say_is_refused(change, told):
    with pytest.raises(ConfigError) as caught:
        card_of(*change.pop("sub_items", [item("first", 100)]), **change)
    assert told in str(caught.value)


def test_every_segment_has_weights_that_sum_to_100():
    segments = {"feature": "kind", "by_value": {"a": "x"}, "otherwise": "y", "source": "convention"}
    with pytest.raises(ConfigError, match=r"'y'.*\b100\b.*\b90\b"):
        card_of(item("first", {"x": 100, "y": 90}), segments=segments)


def test_a_table_that_does_not_fit_is_refused_with_every_fault(table):
    card = card_of(
        item("first", 40), item("second", 30), item("third", 30),
        direct_highest=[LISTED], absent="refuse",
    )  # fmt: skip
    features = table(
        first=["a"], second=[1], unavailable={"third": "the source has no table cases"}
    )
    with pytest.raises(ConfigError) as caught:
        rate(features, card)
    assert "sub_items.first: 'first'" in str(caught.value)
    assert "'third'" in str(caught.value)
    assert re.search(r"direct_highest\.listed.*'listed'", str(caught.value))
    assert "sub_items.second" not in str(caught.value)


def test_a_card_that_keeps_no_sub_item_rates_nobody(table):
    features = table(other=[1], unavailable={"first": "no column"})
    with pytest.raises(ConfigError, match="'all'"):
        rate(features, card_of(item("first", 100)))


def test_a_card_is_held_against_the_catalogue(make_spec):
    declared = {
        "first": make_spec("first", Own(reading="value")),
        "second": make_spec("second", Own(reading="category"), kind="category"),
        "third": make_spec("third", Own(reading="value"), observation_units=("fraud",)),
    }
    card = card_of(item("frist", 20), item("second", 20), item("third", 20), item("first", 40))
    with pytest.raises(ConfigError, match="3 faults") as caught:
        card_features(card, declared)
    assert "sub_items.frist: 'frist'" in str(caught.value)
    assert "'second'" in str(caught.value)
    assert "'third'" in str(caught.value)


# ---------------------------------------------------------------- the shipped cards


@pytest.fixture(scope="module")
def source():
    tables = dict(make_bank(BankConfig(transactions=8_000, days=150, seed=3)).tables)
    return contract_tables(tables, timezone="Asia/Shanghai", base_currency="CNY").accepted


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request, configs):
    """A shipped card, and the run configuration of its unit with all it needs."""
    card = load_section(configs / "rating" / f"{request.param}.yaml", Scorecard)
    return card, load_section(configs / f"{SHIPPED[request.param]}.yaml", RunConfig)


def observed(source, config):
    return make_observations(
        source,
        unit=config.unit,
        start=pd.Timestamp("2024-04-01", tz="UTC"),
        end=pd.Timestamp("2024-05-05", tz="UTC"),
        config=config.dataset,
    )


def test_a_shipped_card_has_five_grades_and_reads_declared_features(shipped):
    card, config = shipped
    assert [each.name_zh for each in card.grades] == ["低", "中低", "中", "中高", "高"]
    assert card.unit == config.unit
    card_features(card, declare_features(config.features))
    assert parse_section(dump_section(card), Scorecard, subject="card") == card


def test_the_card_of_customers_has_the_families_of_the_guideline(configs):
    card = load_section(configs / "rating" / "customer.yaml", Scorecard)
    for segment in card.segment_names:
        families = {each.family for each in card.sub_items if segment in each.weights}
        assert families == {"customer", "geography", "product", "industry"}
    assert {"list_hit", "foreign_pep"} <= {rule.code for rule in card.direct_highest}


def plain_score(card, row):
    """Rate one row in plain Python: what the card says, in fractions."""
    segment = EVERYONE
    if card.segments is not None:
        kind = row[card.segments.feature]
        segment = card.segments.by_value.get(kind, card.segments.otherwise)
    total = Fraction(0)
    for each in card.sub_items:
        value = row[each.feature]
        if pd.isna(value):
            score = each.missing
        elif each.steps:
            reached = [step.score for step in each.steps if step.from_ <= value]
            score = reached[-1] if reached else each.below
        else:
            score = each.scores.get(value, each.other)
        total += score * Fraction(str(each.weights.get(segment, 0)))
    return float(total / len(card.grades))


def test_a_shipped_card_rates_the_synthetic_bank_as_plain_python_does(source, shipped):
    card, config = shipped
    specs = card_features(card, declare_features(config.features))
    features = build_features(source, observed(source, config), specs=specs)
    got = rate(features, card)
    assert not got.dropped
    assert len(np.unique(got.score)) > 10
    assert np.unique(got.grade).size >= 3
    rows = features.to_pandas().astype(object).to_dict("records")[:500]
    expected = [plain_score(card, row) for row in rows]
    np.testing.assert_allclose(got.score[:500], expected, atol=1e-9)


def test_features_of_a_card_leave_the_columns_of_a_model_as_they_were(source, shipped):
    card, config = shipped
    families = ("timing", "geography", "third_party")
    chosen = config.features.model_copy(update={"families": families})
    specs = choose_features(chosen, unit=config.unit)
    rows = observed(source, config).slice(0, 50)
    alone = build_features(source, rows, specs=specs)
    both = merge_specs(specs, card_features(card, declare_features(config.features)))
    assert len({spec.name for spec in both}) == len(both)
    together = build_features(source, rows, specs=both)
    assert together.reorder(alone.names).to_arrow().equals(alone.to_arrow().select(
        [*together.keys.column_names, *alone.names]
    ))  # fmt: skip
    assert not rate(together, card).dropped


def test_a_bank_without_third_parties_and_cases_is_rated_without_them(source, configs):
    card = load_section(configs / "rating" / "customer.yaml", Scorecard)
    config = load_section(configs / "risk.yaml", RunConfig)
    kept = {n: t for n, t in source.tables.items() if n not in {"third_party", "cases"}}
    poorer = replace(source, tables=kept)
    specs = card_features(card, declare_features(config.features))
    got = rate(build_features(poorer, observed(source, config), specs=specs), card)
    assert set(got.dropped) == {
        "sub_items.adverse_media", "sub_items.due_diligence", "sub_items.monitoring_history",
    }  # fmt: skip
    np.testing.assert_allclose(got.weights.sum(axis=1), 100)
    refusing = card.model_copy(update={"absent": "refuse"})
    with pytest.raises(ConfigError, match="3 faults"):
        rate(build_features(poorer, observed(source, config), specs=specs), refusing)
