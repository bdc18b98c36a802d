import pandas as pd
import pytest

DAY = pd.Timedelta(days=1)


@pytest.fixture
def cases(bank):
    return bank.tables["cases"].to_pandas()


def test_labels_come_late(cases):
    delay = (cases["known_at"] - cases["event_time"]).groupby(cases["outcome"]).median()
    assert 6 * DAY < delay["confirmed_fraud"] < 16 * DAY
    assert 20 * DAY < delay["str_filed"] < 45 * DAY


def test_some_labels_come_after_the_period(cases, rows):
    assert (cases["known_at"] > rows["event_time"].max()).any()


def test_confirmed_frauds_are_true_but_not_all_are_found(cases, rows):
    frauds = set(rows.loc[rows["true_fraud"], "transaction_id"])
    found = set(cases.loc[cases["outcome"] == "confirmed_fraud", "transaction_id"])
    assert 0.85 < len(found & frauds) / len(frauds) < 0.99
    wrong = set(rows.loc[rows["look_alike"], "transaction_id"])
    assert 0 < len(found - frauds) < 0.1 * len(found)
    assert found - frauds <= wrong


def test_reported_customers_launder_but_not_all_are_reported(cases, bank):
    people = bank.answer_key["customers"].to_pandas()
    guilty = set(people.loc[people["true_launderer"], "customer_id"])
    reported = set(cases.loc[cases["outcome"] == "str_filed", "customer_id"])
    alike = set(people.loc[people["look_alike"], "customer_id"])
    assert 0.6 < len(reported & guilty) / len(guilty) < 0.9
    assert 0 < len(reported - guilty) < 0.1 * len(reported)
    assert reported - guilty <= alike


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
