"""What earlier runs say of who is not due again."""

import pandas as pd
import pytest

from kyc_ml.errors import ConfigError
from kyc_ml.jobs.earlier import customers_not_due, last_as_of

AS_OF = pd.Timestamp("2024-06-01 12:00", tz="UTC")


@pytest.fixture
def reviews(tmp_path):
    """Write a score file of customer, day of the review, day of the next one."""

    def write(*rows):
        path = tmp_path / f"scores-{len(list(tmp_path.iterdir()))}.parquet"
        frame = pd.DataFrame(rows, columns=["customer_id", "decision_time", "next_review"])
        frame["decision_time"] = pd.to_datetime(frame["decision_time"], utc=True)
        frame["next_review"] = pd.to_datetime(frame["next_review"]).dt.date
        frame.to_parquet(path)
        return path

    return write


@pytest.mark.parametrize(
    ("following", "due"),
    [("2024-05-31", True), ("2024-06-01", True), ("2024-06-02", False), (None, True)],
)
def test_a_customer_is_due_on_the_day_of_the_next_review(reviews, following, due):
    path = reviews(("a", "2024-01-01", following), ("b", "2024-01-01", "2030-01-01"))
    assert customers_not_due([path], as_of=AS_OF) == ({"b"} if due else {"a", "b"})


@pytest.mark.parametrize("order", [1, -1])
def test_the_latest_review_counts(reviews, order):
    runs = [reviews(("a", "2024-01-01", "2030-01-01")), reviews(("a", "2024-02-01", "2024-05-01"))]
    assert customers_not_due(runs[::order], as_of=AS_OF) == frozenset()


def test_scores_that_cannot_be_read_are_one_error(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no Parquet")
    pd.DataFrame({"customer_id": ["a"]}).to_parquet(tmp_path / "b.parquet")
    for name in ("a.parquet", "b.parquet", "absent.parquet"):
        with pytest.raises(ConfigError, match="cannot be read, or lack one of customer_id"):
            customers_not_due([tmp_path / name], as_of=AS_OF)


def test_a_first_run_has_nothing_to_go_on_from():
    with pytest.raises(ConfigError, match="--previous"):
        last_as_of([])
    with pytest.raises(ConfigError, match="--previous"):
        customers_not_due([], as_of=AS_OF)
