"""Refits on the same later rows tell chance from finding."""

from functools import partial

import numpy as np
import pytest
from pydantic import ValidationError

from kyc_ml.config import StabilityConfig
from kyc_ml.decision import rank_reasons
from kyc_ml.errors import DatasetError
from kyc_ml.training.stability import (
    METRICS,
    OVERLAPS,
    LabelledRows,
    measure_stability,
)

seed_stability = partial(measure_stability, "seed")
bootstrap_stability = partial(measure_stability, "bootstrap")

CONFIG = StabilityConfig(
    seed_refits=3, bootstrap_refits=4, top_features=2, top_reasons=2, explained_rows=100
)


@pytest.fixture(scope="module")
def parts(small):
    """Cut the small rows into train, stopping and later rows, 60 customers in all."""
    customers = np.array([f"c{row % 60}" for row in range(600)], dtype=object)

    def part(rows):
        return LabelledRows(
            matrix=small.matrix[rows], target=small.target[rows], customers=customers[rows]
        )

    def reasons(model, rows):
        found = model.contributions(small.matrix[450:][rows]).values
        return rank_reasons(found, k=2)

    return {"reasons": reasons, "train": part(slice(300)), "stopping": part(slice(300, 450)),
            "later": part(slice(450, 600)), "specs": small.features.specs,
            "model": small.quick.model_copy(update={"colsample_bytree": 0.6})}  # fmt: skip


@pytest.mark.parametrize("compute", [seed_stability, bootstrap_stability])
@pytest.mark.parametrize("stops", [True, False])
def test_tables_are_tidy_and_bounded(parts, compute, stops):
    told = []
    got = compute(
        **{**parts, "stopping": parts["stopping"] if stops else None},
        config=CONFIG, progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    refits = 3 if compute is seed_stability else 4
    assert told == [(number + 1, refits) for number in range(refits)]
    assert got.skipped == 0
    assert got.runs["run"].tolist() == list(range(1, refits + 1))
    assert got.metrics["metric"].tolist() == list(METRICS)
    assert (got.metrics["refits"] == refits).all()
    assert len(got.pairs) == refits * (refits - 1) // 2 == got.overlaps["pairs"].iloc[0]
    assert got.overlaps["overlap"].tolist() == list(OVERLAPS)
    for table in (got.metrics, got.overlaps):
        assert (table["min"] <= table["mean"] + 1e-12).all()
        assert (table["mean"] <= table["max"] + 1e-12).all()
        assert (table["sd"] >= 0).all()
    assert got.pairs[["top_features", "reasons", "reasons_of_the_head"]].to_numpy().max() <= 1
    assert got.pairs[["top_features", "reasons", "reasons_of_the_head"]].to_numpy().min() >= 0
    np.testing.assert_allclose(got.metrics["sd"], [got.runs[name].std(ddof=1) for name in METRICS])
    assert got.metrics.set_index("metric").loc["auc", "mean"] > 0.7


def test_the_strongest_feature_is_found_by_every_refit(parts):
    got = bootstrap_stability(**parts, config=CONFIG.model_copy(update={"top_features": 1}))
    assert (got.pairs["top_features"] == 1).all()
    assert got.pairs["rank_correlation"].min() > 0.5


def test_a_seed_that_draws_nothing_changes_nothing(parts):
    model = parts["model"].model_copy(update={"colsample_bytree": 1.0})
    got = seed_stability(**{**parts, "model": model}, config=CONFIG)
    assert (got.metrics["min"] == got.metrics["max"]).all()
    assert got.metrics["sd"].max() < 1e-15
    assert (got.pairs[["top_features", "reasons", "reasons_of_the_head"]] == 1).all(axis=None)
    assert got.runs["seed"].tolist() == [0, 1, 2]
    assert seed_stability(**parts, config=CONFIG).metrics["sd"].max() > 0


def test_the_bootstrap_draws_customers_whole(parts):
    got = bootstrap_stability(**parts, config=CONFIG)
    assert (got.runs["rows"] == 300).all()  # every customer has 5 rows
    assert got.runs["customers"].between(25, 50).all()  # 1 - 1 / e of 60 are expected
    assert got.runs["customers"].nunique() > 1


@pytest.mark.parametrize("compute", [seed_stability, bootstrap_stability])
def test_the_same_call_and_any_threads_give_the_same(parts, compute):
    one = compute(**parts, config=CONFIG)
    two = compute(
        **{**parts, "model": parts["model"].model_copy(update={"n_jobs": 2})}, config=CONFIG
    )
    assert one.runs.equals(two.runs)
    assert one.pairs.equals(two.pairs)


def test_rows_without_customers_are_drawn_alone(parts):
    train = LabelledRows(matrix=parts["train"].matrix, target=parts["train"].target)
    got = bootstrap_stability(**{**parts, "train": train}, config=CONFIG)
    assert got.runs["customers"].between(150, 230).all()


def test_samples_of_one_class_are_counted_and_too_many_are_refused(parts):
    train = parts["train"]
    rare = np.zeros(300)
    rare[0] = 1.0
    one = LabelledRows(matrix=train.matrix, target=rare, customers=train.customers)
    config = CONFIG.model_copy(update={"bootstrap_refits": 12})
    got = bootstrap_stability(**{**parts, "train": one, "stopping": None}, config=config)
    assert 0 < got.skipped == 12 - len(got.runs)
    none = LabelledRows(matrix=train.matrix, target=np.zeros(300), customers=train.customers)
    with pytest.raises(DatasetError, match=r"\b0\b.*\b4\b.*\b300\b"):
        bootstrap_stability(**{**parts, "train": none}, config=CONFIG)


@pytest.mark.parametrize("compute", [seed_stability, bootstrap_stability])
def test_later_rows_of_one_class_are_refused(parts, compute):
    later = LabelledRows(matrix=parts["later"].matrix, target=np.zeros(150))
    with pytest.raises(DatasetError, match=r"\b0\b.*\b150\b"):
        compute(**{**parts, "later": later}, config=CONFIG)


@pytest.mark.parametrize("compute", [seed_stability, bootstrap_stability])
def test_no_refits_is_refused(parts, compute):
    with pytest.raises(ValueError, match=r"\b2\b.*\b0\b"):
        compute(**parts, config=StabilityConfig())


@pytest.mark.parametrize("name", ["seed_refits", "bootstrap_refits"])
def test_one_refit_has_no_spread(name):
    with pytest.raises(ValidationError, match=r"\b0\b.*least \b2\b"):
        StabilityConfig(**{name: 1})


def test_reasons_of_the_model_itself_are_compared_with_those_of_its_refits(parts):
    asked = []

    def reasons(model, rows):
        asked.append((model, rows))
        return parts["reasons"](model, rows)

    got = seed_stability(**{**parts, "reasons": reasons}, config=CONFIG)
    assert np.isnan(got.same_reasons)
    first, head = asked[0][0], asked[1][1]
    again = seed_stability(**parts, config=CONFIG, fitted=first)
    assert again.runs["same_reasons"].iloc[0] == 1.0  # the first seed is the model's own
    one, *others = [parts["reasons"](model, head) for model, _ in asked[1::2]]
    for found, other in zip(again.runs["same_reasons"].iloc[1:], others, strict=True):
        overlaps = [
            len({*a} & {*b}) / len({*a} | {*b})
            for a, b in zip(one.tolist(), other.tolist(), strict=True)
        ]
        assert found == pytest.approx(np.mean(overlaps))
    assert again.same_reasons == pytest.approx(again.runs["same_reasons"].mean())


def test_refits_of_an_averaged_model_are_averaged_too(parts):
    several = parts["model"].model_copy(update={"averaged": 3})
    rows = {name: parts[name] for name in ("train", "later", "stopping", "specs", "reasons")}
    once = seed_stability(**rows, model=parts["model"], config=CONFIG)
    mean = seed_stability(**rows, model=several, config=CONFIG)
    assert (mean.runs["trees"] == 3 * once.runs["trees"]).all()
    closer = [found.pairs["rank_correlation"].mean() for found in (once, mean)]
    assert closer[0] < closer[1]
