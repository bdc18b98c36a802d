"""Observations chosen from files and from memory, however the rows are cut."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import DatasetConfig
from kyc_ml.contract import StoredTables, sinks
from kyc_ml.contract.memory import contract_tables
from kyc_ml.dataset import (
    ChosenObservations,
    count_not_scored,
    make_observations,
    make_reviews_at,
    store_observations,
)
from kyc_ml.dataset import chosen as chosen_module
from kyc_ml.dataset.chosen import choose_observations
from kyc_ml.errors import ConfigError, DatasetError

DAY = pd.Timestamp("2024-01-01", tz="UTC")
DAYS = st.integers(0, 6)
ROWS = st.lists(st.tuples(st.sampled_from("abc"), DAYS, st.integers(0, 3)), min_size=1, max_size=12)


def at(day):
    return DAY + pd.Timedelta(days=day)


def accepted_of(rows, *, reviews=()):
    payments = pd.DataFrame(
        {
            "transaction_id": [f"t{n}" for n in range(len(rows))],
            "customer_id": [customer for customer, _, _ in rows],
            "event_time": [at(day) for _, day, _ in rows],
            "known_at": [at(day + late) for _, day, late in rows],
            "amount": 1.0,
            "direction": "in",
        }
    )
    frames = {"transactions": payments}
    if reviews:
        frames["reviews"] = pd.DataFrame(
            {
                "review_id": [f"r{n}" for n in range(len(reviews))],
                "customer_id": [customer for customer, _, _ in reviews],
                "event_time": [at(day) for _, day, _ in reviews],
            }
        )
    return contract_tables(frames, base_currency="CNY").accepted


@pytest.fixture(scope="module")
def keep(tmp_path_factory):
    """Put tables into files of small row groups."""
    folder = tmp_path_factory.mktemp("stored")

    def keep(source):
        for name, table in source.tables.items():
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=2)
        return StoredTables(
            files={name: folder / f"{name}.parquet" for name in source.tables},
            timezone=source.timezone,
            base_currency=source.base_currency,
            digests={},
            quality=source.quality,
        )

    return keep


@pytest.fixture(scope="module", autouse=True)
def small_pieces():
    """Read and write a few rows at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sinks, "_GROUP_ROWS", 2)
        patch.setattr(chosen_module, "_CUSTOMERS_AT_ONCE", 2)
        yield


def written(stored, folder, **chosen):
    """Give what is written, or None where nothing is chosen."""
    path = folder / "observations.parquet"
    try:
        rows = store_observations(stored, ChosenObservations(**chosen), path)
    except DatasetError:
        assert not path.exists()
        return None
    table = pq.read_table(path)
    assert table.num_rows == rows > 0
    return table


def made(make, *args, **kwargs):
    try:
        found = make(*args, **kwargs)
    except DatasetError:
        return None
    return found if found.num_rows else None


def same(got, expected):
    if expected is None or got is None:
        assert got is expected
        return
    assert got.column_names == expected.column_names
    assert got.to_pylist() == expected.to_pylist()


@given(rows=ROWS, since=DAYS, length=st.integers(1, 5))
def test_arrivals_become_known_in_the_period(keep, tmp_path_factory, rows, since, length):
    source, folder = accepted_of(rows), tmp_path_factory.getbasetemp()
    chosen = {"unit": "fraud", "since": at(since), "as_of": at(since + length)}
    got = written(keep(source), folder, **chosen)
    same(got, made(choose_observations, source, ChosenObservations(**chosen)))
    names = set() if got is None else set(got["observation_id"].to_pylist())
    assert names == {
        f"t{n}" for n, (_, day, late) in enumerate(rows) if since <= day + late < since + length
    }


@given(rows=ROWS, as_of=DAYS, not_due=st.sets(st.sampled_from("abc")))
def test_reviews_are_those_of_memory(keep, tmp_path_factory, rows, as_of, not_due):
    source, folder = accepted_of(rows), tmp_path_factory.getbasetemp()
    chosen = {"unit": "risk", "since": None, "as_of": at(as_of)}
    same(written(keep(source), folder, **chosen), made(make_reviews_at, source, at=at(as_of)))
    due = written(keep(source), folder, **chosen, not_due=not_due)
    expected = made(make_reviews_at, source, at=at(as_of))
    if expected is not None:
        kept = [row for row in expected.to_pylist() if row["customer_id"] not in not_due]
        assert ([] if due is None else due.to_pylist()) == kept


@given(rows=ROWS, reviews=ROWS, span=st.tuples(DAYS, st.integers(1, 5)))
def test_planned_reviews_are_those_of_memory(keep, tmp_path_factory, rows, reviews, span):
    source, folder = accepted_of(rows, reviews=reviews), tmp_path_factory.getbasetemp()
    start, end = at(span[0]), at(sum(span))
    expected = made(
        make_observations, source, unit="risk", config=DatasetConfig(), start=start, end=end
    )
    chosen = {"unit": "risk", "since": start, "as_of": end}
    same(written(keep(source), folder, **chosen), expected)


@given(rows=ROWS, cut=DAYS)
def test_consecutive_periods_hold_each_payment_once(keep, tmp_path_factory, rows, cut):
    stored, folder = keep(accepted_of(rows)), tmp_path_factory.getbasetemp()
    first = written(stored, folder, unit="fraud", since=None, as_of=at(cut))
    second = written(stored, folder, unit="fraud", since=at(cut), as_of=at(20))
    parts = [part["observation_id"] for part in (first, second) if part is not None]
    names = pa.chunked_array([c for part in parts for c in part.chunks], pa.string()).to_pylist()
    assert sorted(names) == sorted(f"t{n}" for n in range(len(rows)))


@given(
    rows=ROWS,
    reviews=ROWS,
    as_of=DAYS,
    review=st.fixed_dictionaries(
        {"planned": st.booleans(), "not_due": st.sets(st.sampled_from("abc"))}
    ),
)
def test_every_customer_is_scored_or_counted_with_a_reason(
    keep, tmp_path_factory, *, rows, reviews, as_of, review
):
    planned, not_due = review["planned"], review["not_due"]
    stored = keep(accepted_of(rows, reviews=[(f"{who}'", day, 0) for who, day, _ in reviews]))
    chosen = {"unit": "risk", "since": None, "as_of": at(as_of), "planned": planned}
    chosen["not_due"] = () if planned else not_due
    got = written(stored, tmp_path_factory.getbasetemp(), **chosen)
    scored = set() if got is None else set(got["customer_id"].to_pylist())
    counted = count_not_scored(stored, ChosenObservations(**chosen), scored)
    assert not planned or set(counted) <= {"known only later", "no review planned in the period"}
    everybody = {who for who, _, _ in rows} | {f"{who}'" for who, _, _ in reviews}
    assert len(scored) + sum(counted.values()) == len(everybody)
    assert scored <= everybody
    assert count_not_scored(stored, ChosenObservations(**{**chosen, "unit": "fraud"}), scored) == {}


def test_planned_reviews_that_come_later_are_counted_and_dated(keep, tmp_path):
    stored = keep(accepted_of([("a", 0, 0)], reviews=[("a", 5, 0), ("b", 6, 0)]))
    chosen = ChosenObservations(unit="risk", since=None, as_of=at(5), planned=True)
    with pytest.raises(DatasetError, match=r"\b2\b.*2024-01-06"):
        store_observations(stored, chosen, tmp_path / "observations.parquet")


def test_planned_reviews_need_their_table(keep, tmp_path):
    stored = keep(accepted_of([("a", 0, 0)]))
    with pytest.raises(ConfigError, match=r"--since.* reviews\b"):
        written(stored, tmp_path, unit="risk", since=None, as_of=at(5), planned=True)
