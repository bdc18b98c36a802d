"""What moves with time alone: clock, countdowns, all history, the level of the whole bank."""

import pytest

from kyc_ml.features import EVER, Formula, Latest, Own, Window, find_time_bound
from kyc_ml.features.how import ALL_HISTORY, BANK_LEVEL, CLOCK, COUNTDOWN
from kyc_ml.features.periods import period_of


def window(period, key=("customer_id",)):
    return Window(table="transactions", key=key, statistic="count", period=period)


def latest(reading, column=None):
    return Latest(table="customers", key=("customer_id",), reading=reading, column=column)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (Own(reading="hour"), CLOCK),
        (Own(reading="weekday"), CLOCK),
        (Own(reading="night"), CLOCK),
        (Own(reading="value", column="amount"), None),
        (window(EVER), ALL_HISTORY),
        (window(period_of("7d")), None),
        (latest("age_hours"), ALL_HISTORY),
        (latest("years_since", "birth_date"), ALL_HISTORY),
        (latest("days_until", "document_expiry"), COUNTDOWN),
        (window(period_of("7d"), key=()), BANK_LEVEL),
        (latest("category", "country"), None),
    ],
)
def test_a_formula_is_what_it_is_made_of(make_spec, how, why):
    specs = [
        make_spec("plain", window(period_of("7d"))),
        make_spec("one", how),
        make_spec("two", Formula(operation="ratio", inputs=("plain", "one"))),
        make_spec("three", Formula(operation="scaled", inputs=("two",), parameter=2.0)),
    ]
    names = () if why is None else ("one", "two", "three")
    assert find_time_bound(specs) == dict.fromkeys(names, why)
    assert find_time_bound(reversed(specs)) == dict.fromkeys(names, why)
