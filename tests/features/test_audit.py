"""The audit passes honest features, and catches and names every planted leak."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kyc_ml.config import DatasetConfig, FeatureConfig, ModelConfig
from kyc_ml.dataset import make_observations
from kyc_ml.errors import DatasetError
from kyc_ml.features import audit_features, build_features, choose_features
from kyc_ml.features.audit.movement import CHECKS, CROWDED, DELETED, SHUFFLED
from kyc_ml.features.audit.tampering import (
    corrupt_rows,
    crowd_rows,
    delete_rows,
    out_of_reach,
    shuffle_ties,
)
from kyc_ml.validation.probes import (
    HIGHEST_AUC,
    shuffle_labels,
    shuffled_label_auc,
    single_feature_auc,
)

NOW = pd.Timestamp("2024-04-20", tz="UTC")
NOW_US = NOW.value // 1000
MICROSECOND = pa.scalar(1, pa.duration("us"))


def observations_of(source, unit, end=NOW):
    return make_observations(source, unit=unit, start=None, end=end, config=DatasetConfig())


@pytest.fixture(scope="module")
def payments(source):
    return observations_of(source, "fraud")


@pytest.fixture(scope="module")
def specs():
    """Some families of each kind of reading, so that an audit takes less than a second."""
    families = ("velocity", "novelty", "label_history", "profile")
    return choose_features(FeatureConfig(families=families), unit="fraud")


def named_in(specs, *names):
    return [spec for spec in specs if spec.name in names]


def audit(source, observations, specs, *, build=build_features, times=2):
    return audit_features(source, observations, specs=specs, times=times, seed=5, build=build)


def with_column(table, name, values):
    return table.set_column(table.column_names.index(name), table.field(name), values)


def with_table(source, name, table):
    return replace(source, tables={**source.tables, name: table})


# --- honest features --------------------------------------------------------------------


@pytest.mark.parametrize("unit", [pytest.param("fraud", marks=pytest.mark.slow), "risk"])
def test_no_feature_of_the_synthetic_bank_moves(source, fraud_specs, risk_specs, unit):
    specs = fraud_specs if unit == "fraud" else risk_specs
    seen = []
    found = audit_features(
        source,
        observations_of(source, unit),
        specs=specs,
        times=3,
        seed=0,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert found.moved.to_dict("records") == []
    assert found.passed
    assert seen == [(step, 11) for step in range(1, 12)]
    names = {spec.name for spec in specs if not spec.intermediate} - set(found.unavailable)
    assert set(found.features["feature"]) == names
    assert len(found.features) == len(names) * len(CHECKS)
    summary = found.summary().set_index("check")
    assert list(summary.index) == list(CHECKS)
    assert (summary["values"] == found.observations * len(names)).all()
    # the bank has no two rows of equal times, and the audit says that it proved nothing there
    assert summary["verdict"].to_dict() == {
        **dict.fromkeys(CHECKS, "passed"),
        SHUFFLED: "nothing to do",
    }


def test_the_same_seed_makes_the_same_audit(source, payments, specs):
    few = named_in(specs, "customer_count_7d", "customer_count_30d")
    first, again = (audit(source, payments, few) for _ in range(2))
    pd.testing.assert_frame_equal(first.features, again.features)
    assert first.decision_times == again.decision_times
    other = audit_features(source, payments, specs=few, times=2, seed=6)
    assert other.decision_times != first.decision_times


def test_decision_times_are_spread_over_the_period(source, payments, specs):
    few = named_in(specs, "customer_count_7d")
    found = audit(source, payments, few, times=4)
    decided = payments["decision_time"].to_pandas().sort_values().reset_index(drop=True)
    place = decided.searchsorted(pd.Series(found.decision_times)) / len(decided)
    assert [int(4 * share) for share in place] == [0, 1, 2, 3]
    assert found.observations > 4 * 100


def test_absent_features_are_said_to_be_unaudited(source, payments, specs):
    lean = replace(source, tables={"transactions": source.tables["transactions"]})
    found = audit(lean, payments, specs, times=1)
    assert found.unavailable["profile_age_years"].endswith("customers")
    assert "profile_age_years" not in set(found.features["feature"])
    assert found.passed


# --- planted leaks ----------------------------------------------------------------------


def families_of(found, specs):
    family = {spec.name: spec.family for spec in specs}
    return {family[name] for name in found.moved["feature"]}


def test_a_window_closed_at_its_right_end_is_caught(source, payments, specs):
    def closed(source, observations, **rest):
        late = pc.add(observations["decision_time"], MICROSECOND)
        return build_features(source, with_column(observations, "decision_time", late), **rest)

    found = audit(source, payments, specs, build=closed)
    assert not found.passed
    moved = found.moved[found.moved["check"] == CROWDED].set_index("feature")
    for name in ("customer_count_7d", "customer_amount_sum_1d", "first_with_counterparty"):
        assert moved.loc[name, "moved"] > 100
        assert moved.loc[name, "first_moved"] in found.decision_times
    deleted = found.moved[found.moved["check"] == DELETED]
    assert "customer_count_7d" in set(deleted["feature"])
    # what is read off the payment itself knows nothing else
    assert not found.moved["feature"].str.startswith("transaction_").any()


def test_a_label_without_its_delay_is_caught_and_only_label_features_are_named(
    source, payments, specs
):
    def prompt(source, observations, **rest):
        cases = source.tables["cases"]
        cases = with_column(cases, "known_at", cases["event_time"])
        return build_features(with_table(source, "cases", cases), observations, **rest)

    found = audit(source, payments, specs, build=prompt)
    assert families_of(found, specs) == {"label_history"}
    assert "customer_adverse_known_30d" in set(found.moved["feature"])


def test_a_profile_version_of_the_future_is_caught_and_only_profiles_are_named(
    source, payments, specs
):
    def newest(source, observations, **rest):
        customers = source.tables["customers"].to_pandas()
        by_customer = customers.groupby("customer_id")
        last = by_customer.tail(1).drop(columns=["event_time", "known_at"])
        first = by_customer[["event_time", "known_at"]].min().reset_index()
        flat = last.merge(first, on="customer_id").sort_values("event_time")
        schema = source.tables["customers"].schema
        arrays = [
            pa.array(flat[name].dt.tz_convert(None), pa.timestamp("us")).cast(field.type)
            if pa.types.is_timestamp(field.type)
            else pa.array(flat[name], field.type, from_pandas=True)
            for name, field in zip(schema.names, schema, strict=True)
        ]
        customers = pa.table(arrays, schema=schema)
        return build_features(with_table(source, "customers", customers), observations, **rest)

    found = audit(source, payments, specs, build=newest)
    assert families_of(found, specs) == {"profile"}
    assert {"profile_declared_income", "profile_segment"} <= set(found.moved["feature"])


def test_a_feature_that_hangs_on_the_order_of_ties_is_caught_by_name(source, payments, specs):
    """The first row of the customer's day: which is first among equals is chance."""
    transactions = source.tables["transactions"]
    for name in ("event_time", "known_at"):
        day = pc.floor_temporal(transactions[name], unit="day")
        transactions = with_column(transactions, name, day)
    coarse = with_table(
        source,
        "transactions",
        transactions.sort_by([("event_time", "ascending"), ("known_at", "ascending")]),
    )
    few = named_in(specs, "customer_count_7d", "customer_amount_sum_7d")

    def first_amount(source, observations, **rest):
        table = build_features(source, observations, **rest)
        rows = source.tables["transactions"].to_pandas().drop_duplicates("customer_id")
        amounts = rows.set_index("customer_id")["amount"]
        first = amounts.reindex(observations["customer_id"].to_pandas()).to_numpy()
        odd = replace(few[0], name="first_amount")
        numbers = np.column_stack([table.numbers, first])
        return replace(table, specs=(*table.specs, odd), numbers=numbers)

    assert audit(coarse, payments, few).passed
    found = audit(coarse, payments, few, build=first_amount)
    shuffled = found.moved[found.moved["check"] == SHUFFLED]
    assert shuffled["feature"].tolist() == ["first_amount"]
    assert found.rows[SHUFFLED] > 0


def test_a_feature_that_reads_the_rest_of_its_batch_is_caught(source, payments, specs):
    few = named_in(specs, "customer_count_7d")

    def centred(source, observations, **rest):
        table = build_features(source, observations, **rest)
        return replace(table, numbers=table.numbers - table.numbers.mean(axis=0))

    assert audit(source, payments, few, build=centred).moved["feature"].unique().tolist() == [
        "customer_count_7d"
    ]


def test_changes_are_measured_and_rounding_is_none(source, payments, specs):
    names = ("customer_count_7d", "transaction_channel", "customer_count_30d")
    few = named_in(specs, *names)
    calls = []

    def drifting(source, observations, **rest):
        table = build_features(source, observations, **rest)
        calls.append(table)
        if len(calls) != 2:  # the second build is that of the shuffled rows
            return table
        numbers = table.numbers * (1 + 1e-12)
        numbers[0, table.names.index("customer_count_7d")] = 1e6
        numbers[1, table.names.index("customer_count_30d")] = np.nan
        channel = pa.array(["elsewhere", *table.categories["transaction_channel"].to_pylist()[1:]])
        return replace(table, numbers=numbers, categories={"transaction_channel": channel})

    found = audit(source, payments, few, build=drifting, times=1)
    moved = found.moved.set_index("feature")
    assert moved["moved"].to_dict() == dict.fromkeys(names, 1)
    assert moved.loc["customer_count_7d", "largest_change"] == pytest.approx(1.0, abs=1e-3)
    assert moved.loc["transaction_channel", "largest_change"] == 1.0
    assert moved.loc["customer_count_30d", "largest_change"] == 1.0
    assert (moved["check"] == SHUFFLED).all()


def test_a_feature_that_disappears_has_moved(source, payments, specs):
    few = named_in(specs, "customer_count_7d", "customer_count_30d")
    calls = []

    def forgetful(source, observations, **rest):
        table = build_features(source, observations, **rest)
        calls.append(table)
        return table if len(calls) == 1 else replace(
            table, specs=table.specs[:1], numbers=table.numbers[:, :1]
        )  # fmt: skip

    found = audit(source, payments, few, build=forgetful, times=1)
    assert set(found.moved["feature"]) == {"customer_count_30d"}
    assert set(found.moved["check"]) == set(CHECKS)


# --- what is tampered with --------------------------------------------------------------


@pytest.fixture(params=["customers", "accounts", "transactions", "events", "third_party", "cases"])
def named(request, source):
    return request.param, source.tables[request.param]


def reach_of(table):
    return table.filter(pa.array(~out_of_reach(table, NOW_US)))


def test_tampering_leaves_what_is_in_reach_as_it_is(named, payments):
    name, table = named
    rng = np.random.default_rng(0)
    audited = payments.slice(payments.num_rows - 20)
    for tampered, touched in (
        delete_rows(table, NOW_US),
        corrupt_rows(name, table, NOW_US, rng=rng),
        crowd_rows(name, table, NOW_US, audited=audited, rng=rng),
    ):
        assert reach_of(tampered).equals(reach_of(table))
        assert tampered.schema.equals(table.schema)
        times = tampered.select(["event_time", "known_at"]).to_pandas()
        assert times["event_time"].is_monotonic_increasing
        assert touched == table.num_rows - reach_of(table).num_rows or touched > 20


def test_corruption_changes_every_value_that_is_no_key(named):
    name, table = named
    corrupted, touched = corrupt_rows(name, table, NOW_US, rng=np.random.default_rng(0))
    wrong = pa.array(out_of_reach(table, NOW_US))
    before, after = table.filter(wrong), corrupted.filter(wrong)
    assert touched == before.num_rows > 0
    kept = {"event_time", "known_at", "transaction_id", "event_id", "report_id", "case_id"}
    for column in table.column_names:
        same = pc.equal(before[column], after[column])
        if column in kept and not (name == "cases" and column == "transaction_id"):
            assert after[column].equals(before[column])
        elif column.endswith("_id"):
            assert sorted(map(str, after[column].to_pylist())) == sorted(
                map(str, before[column].to_pylist())
            )
        else:
            assert not pc.any(same.drop_null()).as_py(), column
            assert after[column].null_count == 0


def test_added_rows_carry_the_keys_of_the_audited_and_are_all_out_of_reach(named, payments):
    name, table = named
    audited = payments.slice(payments.num_rows - 5)
    rng = np.random.default_rng(0)
    crowded, added = crowd_rows(name, table, NOW_US, audited=audited, rng=rng)
    assert crowded.num_rows == table.num_rows + added
    now = NOW.to_pydatetime()
    frame = crowded.filter(pa.array(out_of_reach(crowded, NOW_US))).to_pandas()
    people = set(audited["customer_id"].to_pylist())
    mine = frame[frame["customer_id"].isin(people)]
    assert set(mine["customer_id"]) == people
    just_late = NOW + pd.Timedelta(microseconds=1)
    assert ((mine["event_time"] == now) & (mine["known_at"] == now)).any()
    assert ((mine["event_time"] < now) & (mine["known_at"] == just_late)).any()
    assert (mine["event_time"] > now).any()
    planned = ((frame["event_time"] >= now) & (frame["known_at"] < now)).any()
    assert planned == (name in {"customers", "accounts"})
    if name == "cases":
        about = set(frame["transaction_id"].dropna())
        assert set(audited["observation_id"].to_pylist()) <= about
        assert not frame.duplicated(["case_id", "known_at"]).any()


def test_ties_change_places_and_nothing_else_does():
    when = pd.to_datetime(["2024-01-01"] * 50 + ["2024-01-02"], utc=True).as_unit("us")
    when = pa.array(when.tz_localize(None)).cast(pa.timestamp("us", "UTC"))
    table = pa.table({"event_time": when, "known_at": when, "event_id": list(map(str, range(51)))})
    shuffled, moved = shuffle_ties(table, rng=np.random.default_rng(0))
    ids = shuffled["event_id"].to_pylist()
    assert moved > 40
    assert ids != table["event_id"].to_pylist()
    assert sorted(ids[:50], key=int) == table["event_id"].to_pylist()[:50]
    assert ids[50] == "50"


# --- nothing to audit -------------------------------------------------------------------


def test_no_observation_is_an_error(source, payments, specs):
    with pytest.raises(DatasetError, match="observation"):
        audit(source, payments.slice(0, 0), specs)


def test_no_row_after_any_decision_is_an_error(source, payments, specs):
    end = pa.scalar(pd.Timestamp("2030-01-01", tz="UTC"), pa.timestamp("us", "UTC"))
    late = with_column(payments, "decision_time", pa.repeat(end, payments.num_rows))
    with pytest.raises(DatasetError, match=r"table.*\b1\b"):
        audit(source, late, specs)


def test_no_decision_time_is_an_error(source, payments, specs):
    with pytest.raises(DatasetError, match=r"times.*\b1\b.*\b0\b"):
        audit(source, payments, specs, times=0)


# --- label probes -----------------------------------------------------------------------


@pytest.fixture
def labelled(small):
    """Customers of ten rows each; the outcome depends on `signal` and `channel` a little."""
    customers = np.array([f"c{row // 10}" for row in range(len(small.features))], dtype=object)
    features = small.features.take(np.arange(len(small.features)))
    return features, small.target.copy(), customers


def test_honest_features_raise_no_alarm(labelled):
    features, target, customers = labelled
    table = single_feature_auc(features, target, customers=customers).set_index("feature")["auc"]
    assert set(table.index) == set(features.names)
    assert table.max() < HIGHEST_AUC
    assert table["signal"] > 0.7
    assert table["channel"] > 0.5
    assert table["constant"] == table["all_missing"] == 0.5


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_feature_that_is_the_label_raises_an_alarm(labelled, sign):
    features, target, customers = labelled
    features.numbers[:, 0] = sign * target
    table = single_feature_auc(features, target, customers=customers)
    assert table.loc[0].to_dict() == {"feature": "signal", "auc": 1.0}
    assert (table["auc"] > HIGHEST_AUC).sum() == 1


def test_a_feature_missing_only_for_positives_raises_an_alarm(labelled):
    features, target, customers = labelled
    features.numbers[target == 1, 1] = np.nan
    features.numbers[target == 0, 1] = 0.0
    table = single_feature_auc(features, target, customers=customers)
    assert table.loc[0].to_dict() == {"feature": "noise", "auc": 1.0}


def test_a_category_that_is_the_label_raises_an_alarm(labelled):
    features, target, customers = labelled
    channel = pa.array(["bad" if positive else "good" for positive in target])
    leaky = replace(features, categories={"channel": channel})
    table = single_feature_auc(leaky, target, customers=customers)
    assert table.loc[0, "feature"] == "channel"
    assert table.loc[0, "auc"] == 1.0


def test_a_category_of_its_own_for_each_row_knows_nothing(labelled):
    features, target, customers = labelled
    own = pa.array([f"v{row}" for row in range(target.size)])
    table = single_feature_auc(
        replace(features, categories={"channel": own}), target, customers=customers
    )
    assert table.set_index("feature").loc["channel", "auc"] < 0.6


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_labels_teach_nothing(labelled, small, seed):
    features, target, customers = labelled
    found = shuffled_label_auc(features, target, customers=customers, config=small.quick, seed=seed)
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 0.4
    assert found.passed


def test_a_feature_that_knows_where_the_labels_went_is_caught(labelled, small):
    features, target, customers = labelled
    features.numbers[:, 0] = shuffle_labels(target, seed=3)
    found = shuffled_label_auc(features, target, customers=customers, config=small.quick, seed=3)
    assert found.auc > 0.99
    assert not found.passed


def test_without_both_classes_in_a_half_the_labels_are_not_probed(labelled):
    features, target, customers = labelled
    target[:] = 0
    target[0] = 1
    config = ModelConfig(n_estimators=1)
    assert shuffled_label_auc(features, target, customers=customers, config=config, seed=0) is None
