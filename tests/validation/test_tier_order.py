"""The order of tiers by customers: neighbours share the dependence of their rows."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from kyc_ml.validation.families.tiers import _pairs, _rates

NAMES = ("low", "high")
DRAWS = 250


def p_of(rng, customers, rates, *, rows, dependence):
    """Draw two tiers of customers whose rows depend on each other, and test their order."""
    weight = (1.0 - dependence) / dependence
    target, groups, tier = [], [], []
    for place, (many, rate) in enumerate(zip(customers, rates, strict=True)):
        own = rng.beta(rate * weight, (1.0 - rate) * weight, many)
        who = np.repeat(np.arange(many), rng.poisson(rows - 1, many) + 1)
        target.append((rng.random(who.size) < own[who]).astype(float))
        groups.append(who + place * customers[0])
        tier.append(np.full(who.size, place))
    scored = SimpleNamespace(
        target=np.concatenate(target), evaluated_customers=np.concatenate(groups)
    )
    return _pairs(_rates(np.concatenate(tier), scored, NAMES), NAMES)["p_holm"].iloc[0]


@pytest.mark.parametrize(
    ("customers", "rate"), [((500, 500), 0.01), ((2000, 100), 0.002), ((200, 2000), 0.005)]
)
def test_equal_rates_are_seldom_an_inversion(customers, rate):
    """With each tier divided apart and rounded up, 2,000 against 100 were one in four times."""
    rng = np.random.default_rng(1)
    found = [p_of(rng, customers, (rate, rate), rows=12, dependence=0.4) for _ in range(DRAWS)]
    assert np.mean(np.array(found) < 0.05) < 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / DRAWS)


def test_an_inversion_is_found():
    rng = np.random.default_rng(2)
    found = [p_of(rng, (1000, 500), (0.03, 0.01), rows=12, dependence=0.2) for _ in range(100)]
    assert np.mean(np.array(found) < 0.05) > 0.8


def test_without_several_rows_a_customer_it_is_fishers_test():
    scored = SimpleNamespace(
        target=np.repeat([1.0, 0.0, 1.0, 0.0], [9, 91, 3, 97]), evaluated_customers=np.arange(200)
    )
    table = _pairs(_rates(np.repeat([0, 1], 100), scored, NAMES), NAMES)
    law = stats.hypergeom(200, 12, 100)
    assert table["p_value"].iloc[0] == pytest.approx(law.sf(9) + law.pmf(9) / 2)


def test_rows_that_all_lie_in_one_tier_make_no_pair():
    scored = SimpleNamespace(
        target=np.repeat([1.0, 0.0], [9, 191]), evaluated_customers=np.arange(200)
    )
    table = _pairs(_rates(np.full(200, 1), scored, NAMES), NAMES)
    assert len(table) == 0
