import pandas as pd
import pytest

DAY = pd.Timedelta(days=1)


@pytest.fixture
def cases(bank):
    return bank.tables["cases"].to_pandas()


def test_labels_come_late(cases):
    delay = (cases["known_at"] - cases["event_time"]).groupby(cases["outcome"]).median()
    assert 6 * DAY < delay["confirmed_fraud"] < 16 * DAY
    assert 25 * DAY < delay["str_filed"] < 90 * DAY


def test_some_labels_come_after_the_period(cases, rows):
    assert (cases["known_at"] > rows["event_time"].max()).any()


def test_confirmed_frauds_are_true_but_not_all_are_found(cases, rows):
    frauds = set(rows.loc[rows["true_fraud"], "transaction_id"])
    found = set(cases.loc[cases["outcome"] == "confirmed_fraud", "transaction_id"])
    assert found < frauds
    assert 0.85 < len(found) / len(frauds) < 0.99


def test_reported_customers_launder_but_not_all_are_reported(cases, bank):
    people = bank.answer_key["customers"].to_pandas()
    guilty = set(people.loc[people["true_launderer"], "customer_id"])
    reported = set(cases.loc[cases["outcome"] == "str_filed", "customer_id"])
    assert reported < guilty
    assert len(reported) > 0.3 * len(guilty)


def test_cleared_alerts_concern_the_innocent(cases, rows, bank):
    cleared = cases[cases["outcome"] == "cleared"]
    frauds = set(rows.loc[rows["true_fraud"], "transaction_id"])
    people = bank.answer_key["customers"].to_pandas()
    guilty = set(people.loc[people["true_launderer"], "customer_id"])
    about_customers = cleared[cleared["transaction_id"].isna()]
    assert not frauds & set(cleared["transaction_id"])
    assert not guilty & set(about_customers["customer_id"])
    assert len(cleared) > 50


def test_an_open_case_is_followed_by_its_end(cases):
    last = cases.sort_values("known_at").groupby("case_id")["outcome"].last()
    assert (last != "open").all()
    opened = cases[cases["outcome"] == "open"]
    assert 0.2 < len(opened) / last.size < 0.45
    assert opened["typology"].isna().all()
    assert cases.groupby("case_id").size().max() == 2


def test_a_case_about_a_payment_is_known_no_earlier_than_the_payment(cases, rows):
    about = cases.dropna(subset="transaction_id")
    paid = rows.set_index("transaction_id").loc[about["transaction_id"]]
    assert (about["known_at"].to_numpy() >= paid["known_at"].to_numpy()).all()
    assert (about["event_time"].to_numpy() == paid["event_time"].to_numpy()).all()
    assert about["customer_id"].tolist() == paid["customer_id"].tolist()
