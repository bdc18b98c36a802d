"""Two extracts of one source give the same past: rows and values added to it later are named."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kyc_ml.config import DatasetConfig, FeatureConfig
from kyc_ml.contract import contract_tables
from kyc_ml.dataset import make_observations
from kyc_ml.errors import DatasetError
from kyc_ml.features import choose_features, compare_extracts

END = pd.Timestamp("2024-04-01", tz="UTC")


def contracted(frames):
    read = contract_tables(
        frames, timezone="Asia/Shanghai", base_currency="CNY", max_orphan_share=1.0
    )
    return read.accepted


def observed(source, end):
    return make_observations(source, unit="risk", start=None, end=end, config=DatasetConfig())


@pytest.fixture(scope="module")
def early(bank):
    """The bank as an extract of `END` has it."""
    limit = pa.scalar(END.to_pydatetime(), pa.timestamp("us", "UTC"))
    return contracted(
        {name: frame.filter(pc.less(frame["known_at"], limit)) for name, frame in bank.items()}
    )


@pytest.fixture(scope="module")
def compare(early):
    families = ("velocity", "profile", "third_party", "label_history", "devices")
    features = FeatureConfig(families=families, third_party_items=("adverse_media",))
    specs = tuple(choose_features(features, unit="risk"))

    def run(frames):
        now = contracted(frames)
        rows, known = observed(now, END), observed(early, END)
        return compare_extracts(now, early, rows, known=known, specs=specs)

    return run


def new_cases(bank):
    """Return first customers and days of conduct of the cases that were known after `END`."""
    cases = bank["cases"].to_pandas()
    adverse = cases[(cases["known_at"] > END) & cases["outcome"].isin(["confirmed_fraud"])]
    return adverse.drop_duplicates("customer_id")


def test_the_past_of_an_honest_bank_is_the_same_in_both(bank, compare):
    count, moved = compare(bank)
    assert count > 500
    assert moved.empty


def test_reports_that_were_dated_back_are_named(bank, compare):
    cases = new_cases(bank)
    assert len(cases) > 10
    reports = bank["third_party"].to_pandas()
    day = cases["event_time"] - pd.Timedelta(60, "D")
    more = pd.DataFrame(
        {"report_id": "x" + cases["case_id"], "customer_id": cases["customer_id"],
         "event_time": day, "known_at": day, "provider": "media", "item": "adverse_media",
         "value": 3.0}
    )  # fmt: skip
    _, moved = compare({**bank, "third_party": pd.concat([reports, more])})
    assert set(moved["feature"]) == {name for name in moved["feature"] if "adverse_media" in name}
    assert moved["moved"].max() >= 10


def test_a_profile_that_was_overwritten_without_history_is_named(bank, compare):
    customers = bank["customers"].to_pandas()
    met = customers["customer_id"].isin(new_cases(bank)["customer_id"])
    customers.loc[met, "segment"] = "exit"
    _, moved = compare({**bank, "customers": customers})
    assert moved["feature"].tolist() == ["profile_segment"]
    assert moved["largest_change"].tolist() == [1.0]


def test_extracts_without_a_common_observation_are_refused(bank, early):
    now = contracted(bank)
    rows = observed(now, END)
    with pytest.raises(DatasetError):
        compare_extracts(now, early, rows, known=rows.slice(0, 0), specs=())
