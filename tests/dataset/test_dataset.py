"""A label is what was known at a date; nothing that became known later may touch it."""

import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.config import DatasetConfig, RunConfig
from kyc_ml.contract import observable_until
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import (
    ChosenObservations,
    Labels,
    label_parts,
    make_observations,
    make_reviews_at,
    mature_labels,
    plan_out_of_time,
)
from kyc_ml.dataset.chosen import choose_observations
from kyc_ml.errors import DatasetError
from kyc_ml.features.prepare import known_labels

# each example reads tables through the contract twice
QUICK = settings(max_examples=settings.default.max_examples // 2)
SHORT = DatasetConfig(label_maturity_days=10)
RISK = DatasetConfig(label_maturity_days=10, horizon_days=30)


def day(text):
    return pd.Timestamp(text, tz="UTC")


def on(number):
    """Give the day of this number, counted from 2024-01-01."""
    return str(day("2024-01-01") + pd.Timedelta(days=number))[:19]


def transaction(name, when, *, customer="c", known=None):
    return {
        "transaction_id": name,
        "customer_id": customer,
        "event_time": when,
        "known_at": known or when,
        "amount": 1.0,
    }


def case(outcome, known, *, name="k", about=None, review=None, happened=None, customer="c"):
    return {
        "case_id": name,
        "customer_id": customer,
        "event_time": happened or known,
        "known_at": known,
        "outcome": outcome,
        "transaction_id": about,
        "review_id": review,
    }


def source_of(**tables):
    schemas = {
        "cases": [(name, pa.string()) for name in case("", "")],
        "reviews": [(name, pa.string()) for name in ("review_id", "customer_id", "event_time")],
    }
    frames = {
        name: pa.Table.from_pylist(rows, pa.schema(schemas[name]) if name in schemas else None)
        for name, rows in tables.items()
    }
    read = contract_tables(
        frames, base_currency="CNY", max_quarantined_share=0.0, max_orphan_share=1.0
    )
    return read.accepted


def fraud_labels(cases, *, as_of, when="2024-01-01", config=SHORT):
    """Label one transaction `t` of a day with these cases."""
    tables = {"transactions": [transaction("t", when)]} | ({"cases": cases} if cases else {})
    source = source_of(**tables)
    seen = make_observations(source, unit="fraud", start=None, end=day("2030-01-01"), config=config)
    labels = mature_labels(source, seen, unit="fraud", as_of=day(as_of), config=config)
    return labels.status.tolist()


def risk_labels(cases, *, as_of="2025-01-01", config=RISK, review="2024-03-01"):
    """Label one review `r` of customer `c` with these cases."""
    reviews = [{"review_id": "r", "customer_id": "c", "event_time": review}]
    source = source_of(reviews=reviews, cases=cases)
    seen = make_observations(source, unit="risk", start=None, end=day("2030-01-01"), config=config)
    labels = mature_labels(source, seen, unit="risk", as_of=day(as_of), config=config)
    return labels.status.tolist()


@st.composite
def cases_of_ten(draw):
    """Draw life cycles of cases about the transactions t0 to t9 and reviews r0 to r9."""
    rows = {}
    for _ in range(draw(st.integers(0, 12))):
        number = draw(st.integers(0, 5))
        known = draw(st.integers(0, 60))
        about = number if draw(st.booleans()) else None
        rows[number, known] = case(
            draw(st.sampled_from(["open", "cleared", "confirmed_fraud", "str_filed", "default"])),
            on(known),
            name=f"k{number}",
            about=None if about is None else f"t{about}",
            review=None if about is None else f"r{about}",
            happened=on(draw(st.integers(0, known))),
            customer=f"c{number % 3}",
        )
    return list(rows.values())


@pytest.mark.parametrize("unit", ["fraud", "risk"])
@QUICK
@given(cases=cases_of_ten(), cut=st.integers(0, 70))
def test_cases_known_later_change_no_label(unit, cases, cut):
    config = SHORT if unit == "fraud" else RISK
    as_of = day(on(cut))
    known = [each for each in cases if day(each["known_at"]) <= as_of]

    def status(rows):
        rows_of = [transaction(f"t{n}", on(4 * n), customer=f"c{n % 3}") for n in range(10)]
        reviews = [
            {"review_id": f"r{n}", "customer_id": f"c{n % 3}", "event_time": on(4 * n)}
            for n in range(10)
        ]
        source = source_of(transactions=rows_of, reviews=reviews, cases=rows)
        seen = make_observations(source, unit=unit, start=None, end=day(on(99)), config=config)
        labels = mature_labels(source, seen, unit=unit, as_of=as_of, config=config)
        return dict(zip(seen["observation_id"].to_pylist(), labels.status, strict=True))

    got = status(cases)
    assert got == status(known)
    states = {"positive", "negative", "immature", "open_case"}
    assert set(got.values()) <= states | ({"already_adverse"} if unit == "risk" else set())


@pytest.mark.parametrize(
    ("as_of", "status"),
    [
        ("2024-01-10 23:59:59", "immature"),
        ("2024-01-11 00:00:00", "negative"),
        ("2024-01-01", "immature"),
    ],
)
def test_without_a_case_a_transaction_is_negative_once_it_is_ripe(as_of, status):
    assert fraud_labels([], as_of=as_of) == [status]


@pytest.mark.parametrize(
    ("as_of", "status"),
    [
        ("2024-01-04 23:59:59", "immature"),
        ("2024-01-05 00:00:00", "positive"),
        ("2024-06-01 00:00:00", "positive"),
    ],
)
def test_a_fraud_is_positive_from_the_instant_it_is_known(as_of, status):
    cases = [case("confirmed_fraud", "2024-01-05", about="t", happened="2024-01-01")]
    assert fraud_labels(cases, as_of=as_of) == [status]


def test_a_fraud_that_came_to_light_late_was_negative_until_then():
    cases = [case("confirmed_fraud", "2024-03-01", about="t", happened="2024-01-01")]
    assert fraud_labels(cases, as_of="2024-02-01") == ["negative"]
    assert fraud_labels(cases, as_of="2024-03-01") == ["positive"]


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (["open"], "open_case"),
        (["cleared"], "negative"),
        (["open", "cleared"], "negative"),
        (["open", "confirmed_fraud"], "positive"),
        (["confirmed_fraud", "cleared"], "negative"),
        (["cleared", "open"], "open_case"),
        (["open", "cleared", "default"], "positive"),
    ],
)
def test_the_latest_state_of_a_case_decides(outcomes, status):
    cases = [case(outcome, on(n), about="t") for n, outcome in enumerate(outcomes, start=1)]
    assert fraud_labels(cases, as_of=on(5)) == [status]
    assert fraud_labels(cases, as_of=on(400)) == [status]


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (["cleared", "open"], "open_case"),
        (["open", "str_filed"], "positive"),
        (["str_filed", "cleared"], "positive"),
    ],
)
def test_of_several_cases_the_gravest_decides(outcomes, status):
    cases = [case(outcome, on(n), name=f"k{n}", about="t") for n, outcome in enumerate(outcomes, 1)]
    assert fraud_labels(cases, as_of=on(5)) == [status]


def test_any_adverse_outcome_is_history_whichever_make_a_label_positive():
    """Two notions: labels follow `adverse_outcomes`, label-history features count them all."""
    cases = [
        case("confirmed_fraud", "2024-01-02", about="t"),
        case("str_filed", "2024-01-02", name="s"),
    ]
    narrow = DatasetConfig(label_maturity_days=10, adverse_outcomes=("str_filed",))
    assert fraud_labels(cases[:1], as_of="2024-03-01", config=narrow) == ["negative"]
    source = source_of(transactions=[transaction("t", "2024-01-01")], cases=cases)
    known = known_labels(source.tables["cases"], source.tables["transactions"])
    assert known.num_rows == 2


def test_an_outcome_that_does_not_count_as_adverse_is_negative():
    config = DatasetConfig(label_maturity_days=10, adverse_outcomes=("confirmed_fraud",))
    cases = [case("default", on(1), about="t")]
    assert fraud_labels(cases, as_of=on(5), config=config) == ["negative"]
    assert fraud_labels(cases, as_of=on(5)) == ["positive"]


@pytest.mark.parametrize("about", ["another", None])
def test_a_case_about_something_else_says_nothing_of_a_transaction(about):
    cases = [case("confirmed_fraud", on(1), about=about)]
    assert fraud_labels(cases, as_of=on(2)) == ["immature"]
    assert fraud_labels(cases, as_of=on(20)) == ["negative"]


def test_targets_exist_where_the_outcome_may_be_used():
    states = ["positive", "immature", "negative", "open_case", "already_adverse"]
    labels = Labels(status=np.array(states, object), settled=np.ones(5, np.bool_))
    np.testing.assert_array_equal(labels.target, [1.0, np.nan, 0.0, np.nan, np.nan])
    assert labels.usable.tolist() == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ("2024-02-20", "already_adverse"),
        ("2024-03-01 00:00:00", "already_adverse"),  # known at the review
        ("2024-03-01 00:00:01", "positive"),
        ("2024-03-31 00:00:00", "positive"),  # the last instant of the horizon
        ("2024-03-31 00:00:01", "negative"),
        ("2025-02-01", "negative"),  # not known at the training date
    ],
)
@pytest.mark.parametrize("happened", ["2023-06-01", "2024-02-19"])
def test_a_review_is_positive_for_an_outcome_learned_in_its_horizon(happened, known, status):
    assert risk_labels([case("str_filed", known, happened=happened)]) == [status]


def test_a_label_does_not_change_once_the_horizon_is_over():
    cases = [case("str_filed", "2024-09-01", happened="2024-02-01")]
    assert risk_labels(cases, as_of="2024-05-01") == ["negative"]
    assert risk_labels(cases, as_of="2025-05-01") == ["negative"]


def test_an_open_case_cannot_change_a_review_whose_horizon_is_over():
    cases = [case("open", "2024-03-05", happened="2024-02-01")]
    assert risk_labels(cases, as_of="2024-03-20") == ["immature"]
    assert risk_labels(cases, as_of="2024-05-01") == ["negative"]


def test_conduct_of_another_customer_is_not_held_against_this_one():
    cases = [case("str_filed", "2024-04-01", happened="2024-03-15", customer="d")]
    assert risk_labels(cases) == ["negative"]


@pytest.mark.parametrize(
    ("as_of", "status"), [("2024-04-09 23:59:59", "immature"), ("2024-04-10", "negative")]
)
def test_a_review_ripens_after_horizon_and_maturity(as_of, status):
    assert risk_labels([], as_of=as_of) == [status]


def test_a_review_is_positive_before_it_is_ripe():
    cases = [case("str_filed", "2024-03-05", happened="2024-03-03")]
    assert risk_labels(cases, as_of="2024-03-05") == ["positive"]
    assert risk_labels(cases, as_of="2024-03-04") == ["immature"]


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (["open", "str_filed"], "positive"),  # an open case is no known misconduct
        (["cleared", "str_filed"], "positive"),
        (["str_filed", "cleared"], "negative"),
        (["confirmed_fraud", "str_filed"], "already_adverse"),
        (["str_filed", "str_filed"], "already_adverse"),
    ],
)
def test_what_was_adverse_at_the_review_is_not_found_out_again(outcomes, status):
    known = ("2024-02-01", "2024-03-20")  # before and after the review
    cases = [
        case(outcome, when, happened="2024-01-15")
        for outcome, when in zip(outcomes, known, strict=True)
    ]
    assert risk_labels(cases) == [status]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("str_filed", "positive"), ("cleared", "negative"), ("open", "open_case")],
)
def test_a_case_that_names_the_review_decides_it(outcome, status):
    cases = [case(outcome, "2024-03-02", review="r")]
    assert risk_labels(cases, as_of="2024-03-03") == [status]


def test_observations_are_the_transactions_of_the_period_in_order_of_time():
    rows = [transaction(f"t{n}", on(n), known=on(n + 3)) for n in (5, 1, 3, 2, 4)]
    seen = make_observations(
        source_of(transactions=rows), unit="fraud", start=day(on(2)), end=day(on(4)), config=SHORT
    )
    assert seen["observation_id"].to_pylist() == ["t2", "t3"]
    assert seen["decision_time"].to_pylist() == [datetime(2024, 1, d, tzinfo=UTC) for d in (3, 4)]
    assert "known_at" not in seen.column_names
    assert seen["amount"].to_pylist() == [1.0, 1.0]


def test_every_transaction_arrives_in_exactly_one_of_consecutive_nights():
    rows = [transaction(f"t{n}", on(n % 5), known=on(n % 5 + n % 3)) for n in range(12)]
    source = source_of(transactions=rows)
    nights = []
    for number in range(8):
        try:
            arrived = choose_observations(
                source,
                ChosenObservations(unit="fraud", since=day(on(number)), as_of=day(on(number + 1))),
            )
        except DatasetError:
            continue  # a night without arrivals
        nights += arrived["observation_id"].to_pylist()
        assert all(
            on(int(name[1:]) % 5 + int(name[1:]) % 3)[:10] == on(number)[:10]
            for name in arrived["observation_id"].to_pylist()
        )
    assert sorted(nights) == sorted(row["transaction_id"] for row in rows)


def test_planned_reviews_are_the_observations_where_there_are_any():
    rows = [{"review_id": f"r{n}", "customer_id": "c", "event_time": on(n)} for n in (1, 2, 3)]
    seen = make_observations(
        source_of(reviews=rows), unit="risk", start=day(on(2)), end=day(on(9)), config=RISK
    )
    assert seen["observation_id"].to_pylist() == ["r2", "r3"]


def calendar(*, start, end, months=1):
    rows = [
        transaction("t1", "2024-01-10", customer="a"),
        transaction("t2", "2024-03-01", customer="b"),
        transaction("t3", "2024-03-02", customer="a"),
        transaction("t4", "2024-01-05", customer="late", known="2024-03-15"),
        transaction("t5", "2024-05-31", customer="new"),
    ]
    config = RISK.model_copy(update={"review_every_months": months})
    return make_observations(
        source_of(transactions=rows),
        unit="risk",
        start=None if start is None else day(start),
        end=day(end),
        config=config,
    )


@pytest.mark.parametrize(
    ("start", "end", "months", "reviews"),
    [
        (None, "2024-02-01", 1, None),
        (None, "2024-02-02", 1, ["a@2024-02-01"]),
        ("2024-02-01", "2024-03-01", 1, ["a@2024-02-01"]),
        ("2024-02-01 00:00:01", "2024-03-01", 1, None),
        ("2024-03-01", "2024-03-09", 1, ["a@2024-03-01"]),  # b is known only from then on
        (
            "2024-02-15",
            "2024-04-30",
            1,
            ["a@2024-03-01", "a@2024-04-01", "b@2024-04-01", "late@2024-04-01"],
        ),
        (
            None,
            "2024-05-01",
            2,
            ["a@2024-02-01", "a@2024-04-01", "b@2024-04-01", "late@2024-04-01"],
        ),
    ],
)
def test_without_reviews_everyone_known_is_reviewed_at_each_date_of_the_calendar(
    start, end, months, reviews
):
    if reviews is None:
        with pytest.raises(DatasetError, match=r"(review|observation)"):
            calendar(start=start, end=end, months=months)
        return
    seen = calendar(start=start, end=end, months=months)
    assert seen["observation_id"].to_pylist() == reviews
    moments = [str(moment)[:10] for moment in seen["decision_time"].to_pylist()]
    assert [review.split("@")[1] for review in reviews] == moments


def test_the_customers_table_says_who_is_known_if_there_is_one():
    customers = [
        {"customer_id": "a", "event_time": "2024-01-01", "known_at": "2024-01-05"},
        {"customer_id": "b", "event_time": "2024-02-01", "known_at": "2024-01-05"},
        {"customer_id": "a", "event_time": "2024-03-01", "known_at": "2024-03-01"},
    ]
    source = source_of(customers=customers, transactions=[transaction("t", on(1), customer="z")])
    assert make_reviews_at(source, at=day("2024-01-05")).num_rows == 0
    reviews = make_reviews_at(source, at=day("2024-01-06"))
    assert reviews["observation_id"].to_pylist() == ["a@2024-01-06"]
    reviews = make_reviews_at(source, at=day("2024-02-01 12:00:00"))
    assert reviews["customer_id"].to_pylist() == ["a", "b"]
    assert reviews["decision_time"][0].as_py() == datetime(2024, 2, 1, 12, tzinfo=UTC)


def test_reviews_of_the_calendar_ripen_like_planned_ones():
    rows = [transaction("t", "2024-01-10"), transaction("u", "2024-05-01")]
    cases = [case("str_filed", "2024-03-20", happened="2024-02-20")]
    source = source_of(transactions=rows, cases=cases)
    seen = make_observations(source, unit="risk", start=None, end=day("2024-05-02"), config=RISK)
    labels = mature_labels(source, seen, unit="risk", as_of=day("2024-04-30"), config=RISK)
    # learned after the horizon of 1 February, in that of 1 March, and before 1 April
    assert dict(zip(seen["observation_id"].to_pylist(), labels.status, strict=True)) == {
        "c@2024-02-01": "negative",
        "c@2024-03-01": "positive",
        "c@2024-04-01": "already_adverse",
        "c@2024-05-01": "already_adverse",
    }


def test_no_review_of_the_calendar_lies_after_the_last_transaction_or_event():
    rows = [transaction("t", "2024-01-10"), transaction("u", "2024-03-31")]
    late = [case("str_filed", "2025-03-20", happened="2024-02-20")]
    source = source_of(transactions=rows, cases=late)
    seen = make_observations(source, unit="risk", start=None, end=day("2025-03-20"), config=RISK)
    assert seen["observation_id"].to_pylist() == ["c@2024-02-01", "c@2024-03-01"]


def planned(*dates, zone="UTC"):
    """Plan reviews at local midnights of a zone."""
    return [
        {
            "review_id": f"r{n}",
            "customer_id": "c",
            "event_time": pd.Timestamp(date, tz=zone).isoformat(),
        }
        for n, date in enumerate(dates)
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York", "Europe/Prague"])
def test_a_review_planned_at_the_midnight_that_ends_the_data_sees_all_of_it(zone):
    # days without hours, as in step-numbered data: the last booking is of 2024-03-30
    last = pd.Timestamp("2024-03-30", tz=zone).tz_convert("UTC").isoformat()
    source = contract_tables(
        {
            "transactions": pa.Table.from_pylist([transaction("t", last)]),
            "reviews": pa.Table.from_pylist(
                planned("2024-03-30", "2024-03-31", "2024-04-02", "2025-03-31", zone=zone)
            ),
        },
        timezone=zone,
        base_currency="CNY",
    ).accepted
    moment = day("2026-01-01")
    end = observable_until(source, moment)
    seen = make_observations(source, unit="risk", start=None, end=end, config=RISK)
    assert seen["observation_id"].to_pylist() == ["r0", "r1"]
    assert observable_until(source, day("2024-03-30")) == day("2024-03-30")


def test_reviews_long_after_the_data_are_counted_where_no_other_is_left():
    source = source_of(
        transactions=[transaction("t", "2024-03-30")], reviews=planned("2024-05-01", "2024-06-01")
    )
    with pytest.raises(
        DatasetError,
        match=r"\b2\b.*2024-05-01 00:00.*2024-03-30",
    ):
        make_observations(
            source,
            unit="risk",
            start=None,
            end=observable_until(source, day("2026-01-01")),
            config=RISK,
        )


def test_without_behaviour_there_is_no_silence_to_misread():
    source = source_of(reviews=planned("2024-03-31", "2030-01-01"))
    assert observable_until(source, day("2026-01-01")) == day("2026-01-01")


@pytest.mark.parametrize("table", ["accounts", "events", "third_party", "reviews"])
def test_a_customer_without_a_booking_is_reviewed(table):
    ids = {
        "accounts": {"account_id": "a"},
        "events": {"event_id": "e", "event_type": "login"},
        "third_party": {"report_id": "q", "provider": "p", "item": "i", "value": 1.0},
        "reviews": {"review_id": "r"},
    }
    row = {"customer_id": "quiet", "event_time": "2024-01-10", **ids[table]}
    source = source_of(transactions=[transaction("t", "2024-01-05")], **{table: [row]})
    for at in ("2024-01-06", "2024-01-11"):
        who = make_reviews_at(source, at=day(at))["customer_id"].to_pylist()
        assert who == (["c"] if at == "2024-01-06" else ["c", "quiet"])
    at_once = make_reviews_at(source, at=day("2024-01-10"))["customer_id"].to_pylist()
    assert at_once == (["c", "quiet"] if table == "reviews" else ["c"])


def test_a_case_alone_makes_nobody_a_customer():
    source = source_of(
        transactions=[transaction("t", "2024-01-05")],
        cases=[case("str_filed", "2024-01-05") | {"customer_id": "an account"}],
    )
    assert make_reviews_at(source, at=day("2024-02-01"))["customer_id"].to_pylist() == ["c"]


def test_no_observation_in_the_period_is_refused_with_the_dates():
    source = source_of(transactions=[transaction("t", "2024-01-10")])
    with pytest.raises(DatasetError) as caught:
        make_observations(
            source, unit="fraud", start=day("2024-02-01"), end=day("2024-03-01"), config=SHORT
        )
    assert re.search("2024-02-01.*2024-03-01", str(caught.value))


def test_an_end_that_nobody_gave_is_told_by_what_was_given():
    source = source_of(transactions=[transaction("t", "2024-01-10")])
    config = RunConfig.model_validate(
        {"name": "x", "unit": "fraud", "features": {"families": ["amounts"]}, "tiers": "t.yaml",
         "dataset": {"label_maturity_days": 45}}
    )  # fmt: skip
    plan = plan_out_of_time(as_of=day("2024-02-01"), splits=config.splits, dataset=config.dataset)
    with pytest.raises(DatasetError) as caught:
        label_parts(source, config=config, boundaries=plan)
    told = str(caught.value)
    assert re.search(r"2023-12-18 \(as_of 2024-02-01 .*45 days", told)


@pytest.mark.parametrize(("unit", "table"), [("fraud", "transactions"), ("risk", "transactions")])
def test_a_table_that_is_needed_is_named(unit, table):
    source = source_of(cases=[case("open", on(1))])
    with pytest.raises(DatasetError, match=f"unit '{unit}' .*{table}"):
        make_observations(source, unit=unit, start=None, end=day("2030-01-01"), config=SHORT)


def test_the_training_date_may_be_told_in_any_zone():
    source = source_of(transactions=[transaction("t", "2024-01-01 00:00:00")])
    seen = make_observations(source, unit="fraud", start=None, end=day(on(9)), config=SHORT)
    for hour, status in ((7, "immature"), (8, "negative")):
        as_of = pd.Timestamp(f"2024-01-11 0{hour}:00", tz="Asia/Shanghai")
        labels = mature_labels(source, seen, unit="fraud", as_of=as_of, config=SHORT)
        assert labels.status.tolist() == [status]
