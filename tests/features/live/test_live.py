"""Features of one observation at a time are those of the batch, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.contract.memory import contract_tables
from kyc_ml.errors import DatasetError
from kyc_ml.features import FeatureSpec, build_features
from kyc_ml.features.availability import split_available
from kyc_ml.features.how import Names, read_sentence
from kyc_ml.features.kinds import COLUMN_KINDS, KINDS
from kyc_ml.features.live import passes
from kyc_ml.features.live.compute import LiveFeatures
from kyc_ml.features.prepare import columns_of

COLUMNS = {
    "is_small": "between(amount; 0, 1)",
    "hour_text": "hour()",
    "pair_before": "count over transactions by customer_id, counterparty_id, ever",
    "is_first": "equals_zero(pair_before)",
    "first_text": "text(is_first)",
    "mean_before": "mean of amount over transactions by customer_id, 10d",
    "raised": "ratio(amount, mean_before)",
    "payers": "distinct of customer_id over transactions by counterparty_id, 10d",
    "matched": "matched within 2d",
}
OF_AMOUNTS = ("sum", "mean", "std", "max", "min", "median", "trend")
OF_TEXTS = ("distinct", "first_share", "herfindahl", "entropy")
OUTCOMES = (
    "run_rows run_hours run_age_hours rows_after_run adverse_age_hours adverse_share good_age_hours"
)
SENTENCES = [
    *(f"{each} of amount over transactions by customer_id, 3d" for each in OF_AMOUNTS),
    *(f"{each} of amount over transactions by customer_id, ever" for each in OF_AMOUNTS[:5]),
    *(f"{each} of counterparty_id over transactions by customer_id, 3d" for each in OF_TEXTS),
    *(f"{each} of counterparty_id by amount over transactions by customer_id, ever"
      for each in OF_TEXTS[1:]),
    *(f"{each} over transactions by customer_id, 20d" for each in ("count", "gap_mean", "gap_std")),
    "rank of amount below own amount over transactions by customer_id, 20d",
    "count over transactions by customer_id, 2d ending 1d before",
    "count over transactions by customer_id, counterparty_id, ever",
    "sum of amount over transactions by customer_id, counterparty_id where direction in (out), 9d",
    "count over transactions by customer_id, hour_text, ever",
    "decayed_count over transactions by counterparty_id, ever, half-life 2d",
    "decayed_sum of amount over transactions by counterparty_id, ever, half-life 2d",
    "sum of is_first over transactions by counterparty_id, 20d",
    "mean of raised over transactions by customer_id, 20d",
    "max of raised over transactions by customer_id where first_text in (100), ever",
    "mean of payers over transactions by customer_id, 20d",
    "sum of matched over transactions by customer_id, 20d",
    "sum of is_small over transactions by customer_id, ever",
    "amount as value of the latest row of transactions by customer_id",
    "direction as category of the latest row of transactions by customer_id, counterparty_id",
    "age as age_hours of the latest row of transactions by counterparty_id",
    "distinct of transaction_id over labels by counterparty_id, ever",
    "min of adverse over outcomes by counterparty_id, 20d",
    *(f"{each} of adverse over outcomes by counterparty_id, ever, good after 1d"
      for each in OUTCOMES.split()),
    "customer_type as category of the latest row of customers by customer_id",
    "birth_date as years_since of the latest row of customers by customer_id",
    "residence_country as category of the latest row of customers by customer_id"
    " (looked up by counterparty_id)",
    "count over transactions by the whole bank, 9d ending 1d before",
    "own payers", "own amount", "own time as hour", "own direction as category",
]  # fmt: skip


def declare(sentences, columns=COLUMNS):
    """Declare a feature for each sentence, and two formulas of them."""
    names = Names(columns=columns, listings={}, kinds=COLUMN_KINDS)
    specs = []
    for at, sentence in enumerate([*sentences, "ratio(f0, f1)", "log_ratio(f0, f1; 1)"]):
        how = read_sentence(sentence, names, KINDS)
        specs.append(
            FeatureSpec(
                name=f"f{at}", family="x", how=how, unit="", description="", description_zh="",
                kind="category" if how.is_text() else "number",
            )
        )  # fmt: skip
    return specs


SPECS = declare(SENTENCES)
START = pd.Timestamp("2024-03-01", tz="UTC")
MINUTE = pd.Timedelta(minutes=1)

payment = st.fixed_dictionaries(
    {
        "customer_id": st.sampled_from(["a", "b"]),
        "counterparty_id": st.sampled_from(["a", "x", "y", None]),
        "amount": st.sampled_from([0.1, 0.3, 1e9 + 0.01, 33.33, 7.0]),
        "direction": st.sampled_from(["in", "out"]),
        # few different instants, days and moments apart, so that many are equal
        "at": st.sampled_from([0, 1, 1440, 1441, 2881, 5760, 14_400, 28_800, 43_200]),
        "late": st.sampled_from([0, 0, 0, 1, 3000, 50_000]),
        "adverse_after": st.sampled_from([None, None, 10, 5000]),
    }
)


def bank_of(payments):
    """Contract a bank of these payments; a case names some of them."""
    rows = pd.DataFrame(payments)
    when = START + rows["at"] * MINUTE
    transactions = rows[["customer_id", "counterparty_id", "amount", "direction"]].assign(
        transaction_id=[f"t{at:03d}" for at in range(len(rows))],
        event_time=when,
        known_at=when + rows["late"] * MINUTE,
    )
    after = rows["adverse_after"].astype(float)
    named = after.notna()
    cases = transactions.loc[named, ["customer_id", "transaction_id", "event_time"]].assign(
        case_id=lambda each: "c" + each["transaction_id"],
        known_at=(when + after.fillna(0) * MINUTE)[named],
        outcome="confirmed_fraud",
    )
    born = pd.Timestamp("1980-02-03").date()
    customers = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b"],
            "event_time": [START - 400 * MINUTE, START + 1440 * MINUTE, START],
            "customer_type": ["person", "person", "entity"],
            "birth_date": [born, None, born],
            "residence_country": ["CN", "DE", None],
        }
    )
    tables = {"transactions": transactions, "cases": cases, "customers": customers}
    return contract_tables(tables, timezone="Asia/Shanghai", base_currency="CNY").accepted


def some_of(source, n):
    """Keep the first payments by identifier, and the cases that name them."""
    kept = pa.array([f"t{at:03d}" for at in range(n)], pa.string())
    tables = dict(source.tables)
    for name in ("transactions", "cases"):
        named = pc.is_in(tables[name]["transaction_id"], value_set=kept)
        tables[name] = tables[name].filter(named)
    return replace(source, tables=tables)


def observation(transactions, **fields):
    """Make an observation with the fields of a payment."""
    row = transactions.slice(0, 1)
    for name, value in fields.items():
        column = pa.array([value], row.schema.field(name).type)
        row = row.set_column(row.schema.get_field_index(name), name, column)
    return row.append_column("observation_id", row["transaction_id"]).append_column(
        "decision_time", row["event_time"]
    )


def live_over(memory, source, specs, observed, *, whole=None):
    return LiveFeatures(
        specs, keyed=memory, whole=whole, peers=memory, timezone=source.timezone,
        columns=columns_of(source), observed=observed.column_names,
    )  # fmt: skip


def require_equal(got, expected, row=0):
    """Require the same bits; a missing value has many."""
    mine, theirs = got.numbers[0], expected.numbers[row]
    same = (mine.view(np.int64) == theirs.view(np.int64)) | (np.isnan(mine) & np.isnan(theirs))
    assert [got.names[at] for at in np.flatnonzero(~same)] == []
    for name, values in expected.categories.items():
        assert got.categories[name].to_pylist() == values.to_pylist()[row : row + 1], name


@pytest.fixture(scope="module", params=[passes.FEW_ROWS, 2], ids=["anew", "goes_on"])
def few_rows(request):
    """Begin anew at each observation, or go on where the last one stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "FEW_ROWS", request.param)
        yield


@pytest.mark.usefixtures("few_rows")
@settings(max_examples=8, deadline=None)
@given(
    payments=st.lists(payment, min_size=3, max_size=14),
    known=st.integers(0, 12),
    at=st.lists(st.integers(-60, 60_000), max_size=2),
    in_order=st.booleans(),
)
def test_observations_and_added_rows_in_any_order_give_what_the_batch_gives(
    in_memory, payments, known, at, in_order
):
    if in_order:
        payments = sorted(payments, key=lambda each: each["at"] + each["late"])
    whole = bank_of(payments)
    specs, _ = split_available(
        SPECS, columns_of(whole), [*whole.tables["transactions"].column_names, "observation_id"]
    )
    assert len(specs) == len(SPECS)
    n = min(known, len(payments))
    source = some_of(whole, n)
    memory = in_memory(source, specs)
    ask = observation(whole.tables["transactions"])
    # counts of the whole bank are live too, or given
    live = live_over(memory, source, specs, ask, whole=memory if known % 2 else None)
    live.warm(observation(whole.tables["transactions"]) if in_order else ask.slice(0, 0))
    latest = START
    while True:
        asked = [*zip(at, payments, strict=False)]
        # then the payment that comes next, at its own time
        asked += [(each["at"], each) for each in payments[n : n + 1]]
        for minutes, fields in asked:
            when = START + minutes * MINUTE
            names = ("customer_id", "counterparty_id", "amount", "direction")
            ask = observation(
                whole.tables["transactions"],
                event_time=when.to_pydatetime(),
                **{name: fields[name] for name in names},
            )
            require_equal(live.compute(ask), build_features(source, ask, specs=specs))
            latest = max(latest, when)
        if n == len(payments):
            return
        row = some_of(whole, n + 1).tables["transactions"]
        row = row.filter(pc.equal(row["transaction_id"], f"t{n:03d}"))
        source = some_of(whole, n + 1)
        memory.replace(source)
        happened, known_at = (row[name][0].as_py() for name in ("event_time", "known_at"))
        seen_from = max(happened + pd.Timedelta(microseconds=1), known_at)
        others = source.tables["transactions"]["event_time"].to_pylist()
        if payments[n]["adverse_after"] is None and seen_from > max([latest, *others]):
            live.add("transactions", row)
        else:
            live.forget()
        n += 1


def test_every_declared_feature_is_that_of_the_batch(in_memory, source, fraud_specs):
    transactions = source.tables["transactions"]
    asked = transactions.slice(4000, 4)
    asked = asked.append_column("observation_id", asked["transaction_id"])
    asked = asked.append_column("decision_time", asked["event_time"])
    specs, _ = split_available(fraud_specs, columns_of(source), asked.column_names)
    batch = build_features(source, asked, specs=fraud_specs)
    memory = in_memory(source, specs)
    live = live_over(memory, source, fraud_specs, asked, whole=memory)
    live.warm(asked)
    reads = memory.reads
    for row in range(len(asked)):
        got = live.compute(asked.slice(row, 1))
        assert (got.names, got.unavailable) == (batch.names, batch.unavailable)
        require_equal(got, batch, row)
    assert memory.reads == reads


def test_keys_used_least_recently_are_read_again(in_memory):
    fields = {"amount": 1.0, "direction": "in", "at": 0, "late": 0, "adverse_after": None}
    source = bank_of([{"customer_id": c, "counterparty_id": c, **fields} for c in "abab"])
    memory = in_memory(source, declare(["count over transactions by customer_id, ever"] * 2))
    ask = observation(source.tables["transactions"])
    live = live_over(memory, source, memory.specs, ask)
    live.compute(ask)
    reads = memory.reads
    live.compute(ask)
    assert memory.reads == reads
    with pytest.raises(DatasetError, match="2 rows"):
        live.compute(pa.concat_tables([ask, ask]))
