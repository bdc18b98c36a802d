"""Features from a store: those of `build_features` on all rows, however these were appended."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kyc_ml.dataset import as_observations
from kyc_ml.errors import ConfigError, ContractError
from kyc_ml.features import (
    EVER,
    LatestValue,
    Matched,
    RowColumn,
    Window,
    build_features,
    not_in_time,
)
from kyc_ml.features.periods import period_of
from kyc_ml.history import HistoryStore
from kyc_ml.history.append import append_tables
from kyc_ml.history.reading import History, create_history
from kyc_ml.serving.live import LiveHistory

SEEDS = range(max(1, int(os.environ.get("KYC_ML_EXAMPLES", "20")) // 20))


def divided(source, seed, parts):
    """Divide the rows of a bank among appends, whatever their times."""
    rng = np.random.default_rng(seed)
    number = {name: rng.integers(parts, size=len(t)) for name, t in source.tables.items()}
    if seed % 2:  # mostly in order of time, as nights come
        for name, table in source.tables.items():
            share = np.arange(len(table)) * parts // max(len(table), 1)
            number[name] = np.where(rng.random(len(table)) < 0.9, share, number[name])
    for part in range(parts):
        yield replace(
            source,
            tables={n: t.filter(pa.array(number[n] == part)) for n, t in source.tables.items()},
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_any_division_into_appends_gives_the_bits_of_all_rows(tmp_path, banks, seed):
    bank, parts = banks.disturbed(seed), 3 - seed % 2
    # one store for both kinds of observations
    with create_history(tmp_path / "store", bank, list(banks.specs.values())) as store:
        for some in divided(bank, seed, parts):
            done = append_tables(store, some, note={})
            assert done.appended == done.read
        for unit, specs in banks.specs.items():
            rows = banks.observed_of(bank, unit, seed, 60)
            expected = build_features(bank, rows, specs=specs)
            banks.assert_equal_bits(History(store, keep=True).features(rows, specs), expected)
            # figures of peers are now read, not measured
            banks.assert_equal_bits(History(store).features(rows, specs), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_served_sees_what_a_batch_sees(tmp_path, banks, seed):
    bank, rng = banks.disturbed(seed), np.random.default_rng(seed)
    later = not_in_time({spec.name: spec for spec in banks.specs["fraud"]})
    specs = [spec for spec in banks.specs["fraud"] if spec.name not in later]
    paid = bank["transactions"]
    free = pc.invert(pc.is_in(paid["transaction_id"], bank["cases"]["transaction_id"]))
    last = np.flatnonzero(free)
    served = np.zeros(len(paid), np.bool_)
    served[rng.choice(last[last.size * 3 // 4 :], 40, replace=False)] = True
    rest = {**bank.tables, "transactions": paid.filter(pa.array(~served))}
    with create_history(tmp_path / "store", bank, [specs]) as store:
        # rows of all tables are there that happened after what is served, and before a month
        append_tables(store, replace(bank, tables=rest), note={})
    live = LiveHistory(HistoryStore.open(tmp_path / "store"), specs)
    latest, rows, found = live.latest_us, [], []
    at = paid.column_names.index("known_at")
    for row in paid.filter(pa.array(served)).to_batches(max_chunksize=1):
        event = row["event_time"].cast(pa.int64())[0].as_py()
        known = event if event + 1 > latest else latest + 1
        latest, table = max(latest, event), pa.Table.from_batches([row])
        times = pa.array([known]).cast(paid["known_at"].type)
        rows.append(table.set_column(at, paid.schema.field(at), times))
        found.append(live.compute(as_observations(rows[-1], "transaction_id")))
        live.add("transactions", rows[-1])
    order = [(name, "ascending") for name in ("event_time", "known_at", "transaction_id")]
    whole = pa.concat_tables([rest["transactions"], *rows]).sort_by(order)
    observed = as_observations(pa.concat_tables(rows), "transaction_id")
    batch = build_features(
        replace(bank, tables={**rest, "transactions": whole}), observed, specs=specs
    )
    for place, each in enumerate(found):
        banks.assert_equal_bits(each.reorder(batch.names), batch.take(np.array([place])))
    live.close()


def test_columns_that_one_key_gives_to_another_are_computed_at_the_append(
    tmp_path, banks, make_spec
):
    month = period_of("30d")
    by = {"table": "transactions", "period": month}
    spent = RowColumn(
        name="spent_before",
        how=LatestValue(how=Window(**by, key=("customer_id",), statistic="sum", value="amount")),
    )
    most = RowColumn(
        name="most_of_device",
        how=LatestValue(how=Window(**by, key=("device_id",), statistic="max", value=spent)),
    )
    passed = RowColumn(name="passed_on", how=Matched(reading="matched", within_us=month.us))
    known = RowColumn(
        name="bad_before",
        how=LatestValue(
            how=Window(
                table="outcomes",
                key=("counterparty_id",),
                statistic="sum",
                value="adverse",
                period=EVER,
            )
        ),
    )
    specs = [
        make_spec(f"{column.name}_{key}", Window(**by, key=(key,), statistic="sum", value=column))
        for column in (spent, most, passed, known)
        for key in ("counterparty_id", "device_id", "customer_id")
    ]
    bank = banks.disturbed(9)
    rows = banks.observed_of(bank, "fraud", 9, 400)
    expected = build_features(bank, rows, specs=specs)
    assert (np.nan_to_num(expected.numbers) != 0).any(axis=0).sum() >= 10
    with create_history(tmp_path / "store", bank, [specs]) as store:
        for some in divided(bank, 5, 3):
            append_tables(store, some, note={})
        banks.assert_equal_bits(History(store).features(rows, specs), expected)
        digest = store.digest()
    # not only features: every partition, made table and fact
    with create_history(tmp_path / "at once", bank, [specs]) as store:
        append_tables(store, bank, note={})
        assert store.digest() == digest


@pytest.fixture
def stored(source, fraud_specs, tmp_path):
    """A store of a whole bank for few features."""
    with create_history(tmp_path / "store", source, [fraud_specs[:3]]) as store:
        append_tables(store, source, note={})
        yield store


def test_rows_that_are_there_are_skipped_and_other_content_is_refused(stored, source):
    tables = {name: table.slice(0, 40) for name, table in source.tables.items()}
    paid = tables["transactions"]
    amount = pa.array([1.5, *paid["amount"].to_pylist()[1:]])
    tables["transactions"] = paid.set_column(paid.column_names.index("amount"), "amount", amount)
    before = stored.digest()
    done = append_tables(stored, replace(source, tables=tables), note={})
    assert done.read == {name: len(table) for name, table in tables.items()}
    assert done.refused == {name: int(name == "transactions") for name in tables}
    assert set(done.appended.values()) == {0}
    for name in tables:
        assert done.read[name] == sum(
            each[name] for each in (done.appended, done.repeated, done.refused)
        )
    assert done.quarantine["row_id"].to_pylist() == paid["transaction_id"].to_pylist()[:1]
    assert stored.digest() == before


def test_a_payment_that_was_served_before_its_file_came_stays_known_since_then(stored, source):
    paid = source.tables["transactions"].slice(0, 5)
    moment = pa.scalar(7, pa.duration("us"))
    place = paid.column_names.index("known_at")
    for move, refused in ((pc.subtract, 0), (pc.add, 5)):
        again = {"transactions": paid.set_column(place, "known_at", move(paid["known_at"], moment))}
        done = append_tables(stored, replace(source, tables=again), note={})
        assert done.refused == {"transactions": refused}
        assert done.repeated == {"transactions": 5 - refused}


def test_rows_of_customers_and_payments_are_those_of_the_source(stored, source):
    history = History(stored)
    customers = source.tables["customers"]["customer_id"].unique().to_pylist()[:3]
    found = history.tables_of(customers)
    for name, table in source.tables.items():
        mine = table.filter(pc.is_in(table["customer_id"], pa.array(customers)))
        assert found[name].cast(mine.schema).equals(mine), name
    ids = source.tables["transactions"]["transaction_id"].to_pylist()[5:8]
    assert sorted(history.payments([*ids, "nobody"])["transaction_id"].to_pylist()) == sorted(ids)


def test_what_a_store_does_not_keep_is_named(stored, source, fraud_specs):
    with pytest.raises(ConfigError, match=r"\baccount_id\b"):
        History(stored).features(source.tables["transactions"], fraud_specs)
    paid = source.tables["transactions"]
    strange = {
        "transactions": paid.append_column("attr_mood", paid["channel"]),
        "reviews": pa.table({"event_time": paid["event_time"].slice(0, 0)}),
    }
    before = stored.digest()
    with pytest.raises(ContractError, match=r"(?s)attr_mood.*reviews.*timezone"):
        append_tables(stored, replace(source, tables=strange, timezone="UTC"), note={})
    assert stored.digest() == before
