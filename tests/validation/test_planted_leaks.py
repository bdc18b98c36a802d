"""Values that only positives have, and doubts about dates, fail a model or are findings."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.contract import ContractedTables, DataQualityReport
from kyc_ml.contract.quality import RuleFinding
from kyc_ml.validation.probes import pure_values


def with_code(small, code):
    """Put a code on some rows of a table with few positives; `code` takes the target."""
    features = small.features
    target = np.zeros(len(features))
    target[::12] = 1.0  # 50 of 600, on 50 customers
    values = pa.array(code(target), pa.string())
    return replace(features, categories={"channel": values}), target


def some(mask, most):
    """Return the first `most` places of a mask."""
    return mask & (np.cumsum(mask) <= most)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (lambda y: np.where(y == 1, "batch", "app"), [("batch", 50, 50)]),
        (lambda y: np.where(some(y == 1, 20), "batch", "app"), [("batch", 20, 20)]),
        (lambda y: np.where(some(y == 1, 19), "batch", "app"), []),
        (lambda y: np.where(some(y == 1, 20), None, "app"), [("missing", 20, 20)]),
        # two of 22 are negative, three of 23 are too many
        (
            lambda y: np.where(some(y == 1, 20) | some(y == 0, 2), "batch", "app"),
            [("batch", 22, 20)],
        ),
        (lambda y: np.where(some(y == 1, 20) | some(y == 0, 3), "batch", "app"), []),
    ],
)
def test_a_value_that_only_positives_have_is_found_however_few_have_it(small, code, found):
    features, target = with_code(small, code)
    own = np.array([f"c{row}" for row in range(target.size)], dtype=object)
    table = pure_values(features, target, customers=own, negatives=550)
    assert list(zip(table["value"], table["rows"], table["positives"], strict=True)) == found
    assert set(table["feature"]) <= {"channel"}
    # a sample of the negatives: those that were not drawn may have the value too
    more = pure_values(features, target, customers=own, negatives=550 * 100)
    assert [each[1:] for each in found] == [(n, n) for n in more["rows"]] or not len(more)
    # the positives of one customer are one piece of evidence
    few = np.array([f"c{row % 14}" for row in range(target.size)], dtype=object)
    assert pure_values(features, target, customers=few, negatives=550).empty
    assert pure_values(features, target, customers=own, negatives=449).empty  # not rare


def test_a_flag_that_only_positives_have_is_found_and_past_cases_are_not(small):
    features, target = with_code(small, lambda y: np.full(y.size, "app"))
    customers = np.array([f"c{row}" for row in range(target.size)], dtype=object)
    numbers = features.numbers.copy(order="F")
    numbers[:, 2] = some(target == 1, 25)
    leaky = replace(features, numbers=numbers)
    table = pure_values(leaky, target, customers=customers, negatives=550)
    assert table.iloc[0].to_dict() == {
        "feature": "constant", "value": "1", "rows": 25, "positives": 25, "customers": 25,
        "of_all": 0.5,
    }  # fmt: skip
    specs = tuple(
        replace(spec, family="label_history") if spec.name == "constant" else spec
        for spec in leaky.specs
    )
    past = replace(leaky, specs=specs)
    assert pure_values(past, target, customers=customers, negatives=550).empty


@given(seed=st.integers(0, 10_000), rate=st.floats(0.0, 0.5))
def test_a_strong_value_that_half_of_the_time_is_honest_raises_no_alarm(small, seed, rate):
    rng = np.random.default_rng(seed)
    features = small.features
    strong = rng.random(len(features)) < 0.08
    target = (rng.random(len(features)) < np.where(strong, rate, 0.02)).astype(np.float64)
    customers = np.array([f"c{row}" for row in range(target.size)], dtype=object)
    values = pa.array(np.where(strong, "strong", "other"), pa.string())
    table = pure_values(
        replace(features, categories={"channel": values}),
        target,
        customers=customers,
        negatives=int((target == 0).sum()),
    )
    assert table.empty


def test_validate_fails_a_value_that_only_positives_have(world, score, evidence, check):
    """The value is on two of five positives: the AUC of its feature is far from suspicious."""
    features, target = world.draw(12_000, seed=4, first_day=160, days=60, base=-4.5)
    some_of_them = (target == 1) & (np.random.default_rng(0).random(target.size) < 0.4)
    codes = np.array(features.categories["segment"].to_pylist(), dtype=object)
    codes[some_of_them] = "batch"
    leaky = replace(features, categories={"segment": pa.array(codes, pa.string())})
    planted = replace(evidence, current=score((leaky, target)))
    result, findings = check("data.leakage", planted)
    assert "data.leakage/given_away/red" in {finding.id for finding in findings}
    assert result.figure("given_away").about == "segment = batch"
    assert result.figure("highest_auc").value < 0.95
    honest = replace(evidence, current=score((features, target)))
    assert check("data.leakage", honest)[0].figure("given_away").value == 0


@pytest.mark.parametrize("doubted", [True, False])
def test_validate_finds_doubts(evidence, check, doubted):
    about = {"hours": 1.0, "share": 0.8}
    doubt = RuleFinding.of("known early", "cases", "known_at", count=80, **about)
    other = RuleFinding.of("no row", "events")
    warnings = (doubt, other) if doubted else (other,)
    tables = ContractedTables(
        tables={},
        timezone="UTC",
        base_currency="CNY",
        digests={},
        quality=DataQualityReport(tables=(), warnings=warnings),
    )
    result, findings = check("data.leakage", replace(evidence, tables=tables))
    assert result.figure("doubts").value == int(doubted)
    assert ("data.leakage/doubts/amber" in {f.id for f in findings}) == doubted
    assert ("cases" in result.figure("doubts").about) == doubted
