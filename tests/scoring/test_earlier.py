"""What earlier runs say of who is not due again."""

from types import SimpleNamespace

import pandas as pd
import pytest

from kyc_ml.decision import Hysteresis
from kyc_ml.errors import ConfigError
from kyc_ml.scoring.earlier import customers_not_due, last_as_of, nights_before

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
    assert customers_not_due([path], as_of=AS_OF, zone="UTC") == ({"b"} if due else {"a", "b"})


@pytest.mark.parametrize("order", [1, -1])
def test_the_latest_review_counts(reviews, order):
    runs = [reviews(("a", "2024-01-01", "2030-01-01")), reviews(("a", "2024-02-01", "2024-05-01"))]
    assert customers_not_due(runs[::order], as_of=AS_OF, zone="UTC") == frozenset()


def test_scores_that_cannot_be_read_are_one_error(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no Parquet")
    pd.DataFrame({"customer_id": ["a"]}).to_parquet(tmp_path / "b.parquet")
    for name in ("a.parquet", "b.parquet", "absent.parquet"):
        with pytest.raises(ConfigError, match=name):
            customers_not_due([tmp_path / name], as_of=AS_OF, zone="UTC")


def test_a_first_run_has_nothing_to_go_on_from():
    with pytest.raises(ConfigError, match="--previous"):
        last_as_of([])
    with pytest.raises(ConfigError, match="--previous"):
        customers_not_due([], as_of=AS_OF, zone="UTC")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Publish nights of models by day; gives the days of those that are history."""
    monkeypatch.setattr(
        "kyc_ml.scoring.earlier.read_manifest",
        lambda path: SimpleNamespace(as_of=f"{path.parent.name}T00:00:00+00:00"),
    )

    def make(*days, model="risk", as_of="2024-06-10", **rule):
        for day in days:
            (tmp_path / day / model).mkdir(parents=True)
            (tmp_path / day / model / "manifest.json").touch()
        instant = pd.Timestamp(as_of, tz="UTC")
        found = nights_before(tmp_path, "risk", as_of=instant, rule=Hysteresis(**rule))
        assert {path.name for path in found} <= {"risk"}
        return [path.parent.name for path in found]

    return make


WEEK = [f"2024-06-{day:02}" for day in range(3, 10)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"margin": 0.2}, WEEK[-1:]),
        ({"reviews": 1}, WEEK[-1:]),
        ({"reviews": 3}, WEEK[-2:]),
        ({"margin": 0.2, "cool_down_days": 1}, WEEK[-1:]),
        ({"margin": 0.2, "cool_down_days": 3}, WEEK[-3:]),
        ({"reviews": 6, "cool_down_days": 3}, WEEK[-5:]),
        ({"margin": 0.2, "cool_down_days": 90}, WEEK),
    ],
)
def test_history_goes_back_as_far_as_the_policy_looks(published, rule, expected):
    assert published(*WEEK, **rule) == expected[::-1]


def test_a_gap_reaches_back_to_the_night_before_it(published):
    """A rise within the cool-down is seen only beside the tier before it."""
    nights = ("2024-05-01", "2024-05-20", "2024-06-08")
    assert published(*nights, margin=0.2, cool_down_days=7) == ["2024-06-08", "2024-05-20"]


def test_neither_the_same_night_nor_a_later_one_is_history(published):
    nights = ("2024-06-09", "2024-06-10", "2024-06-11")
    assert published(*nights, margin=0.2, cool_down_days=30) == ["2024-06-09"]


def test_only_published_nights_of_this_model_are_history(published, tmp_path):
    assert published("2024-06-08", model="fraud", margin=0.2) == []
    (tmp_path / "2024-06-09" / "risk").mkdir(parents=True)  # without a manifest
    (tmp_path / "standby" / "risk").mkdir(parents=True)
    (tmp_path / "standby" / "risk" / "manifest.json").touch()
    assert published(margin=0.2) == []


def test_a_policy_without_hysteresis_needs_no_history(tmp_path):
    assert nights_before(tmp_path, "risk", as_of=AS_OF, rule=None) == ()
