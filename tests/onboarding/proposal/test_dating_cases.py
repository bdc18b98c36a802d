"""When a case happened, and when it came to light: two dates that are easily taken for one."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract.source import read_source
from kyc_ml.display import ProgressReporter
from kyc_ml.onboarding import run_init
from kyc_ml.onboarding.proposal.vocabulary import CONFIRMED, name_score, normalise

ROWS = 200
LABELLED = range(0, ROWS, 4)
START = datetime(2024, 1, 3, 8, 30)  # noqa: DTZ001  files carry no zone
TIMES = [START + timedelta(hours=19 * n) for n in range(ROWS)]


def write_bank(folder):
    draw = np.random.default_rng(5)
    pd.DataFrame(
        {
            "流水号": [f"B{n:05d}" for n in range(ROWS)],
            "客户号": [f"K{n % 37:04d}" for n in range(ROWS)],
            "交易时间": [f"{time:%Y-%m-%d %H:%M:%S}" for time in TIMES],
            "交易金额": draw.integers(100, 900_000, ROWS) / 100,
            "借贷标志": draw.choice(["借", "贷"], ROWS),
        }
    ).to_csv(folder / "tx.csv", index=False)


def write_labels(folder, name, *, days=20, customer=False, key=True):
    """Write a label for every fourth booking, confirmed `days` later to the day."""
    columns = {
        "是否欺诈": [n // 4 % 2 for n in LABELLED],
        name: [f"{TIMES[n] + timedelta(days=days):%Y-%m-%d}" for n in LABELLED],
    }
    if key:
        columns["流水号"] = [f"B{n:05d}" for n in LABELLED]
    if customer:
        columns["客户号"] = [f"K{n % 37:04d}" for n in LABELLED]
    pd.DataFrame(columns).to_csv(folder / "labels.csv", index=False)


def propose(folder, tmp_path):
    """Propose, read, and give the proposed cases with the rows they become."""
    result = run_init(data=folder, out=tmp_path / "out", reporter=ProgressReporter())
    mapping = load_section(result.files["source"], SourceMapping)
    tables = read_source(mapping, data=folder).accepted.tables
    rows = tables["cases"].to_pandas().sort_values("event_time")
    for column in ("event_time", "known_at"):
        rows[column] = rows[column].dt.tz_convert("Asia/Shanghai").dt.tz_localize(None)
    return result.proposal.tables["cases"], rows


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    write_bank(folder)
    return folder


@pytest.mark.parametrize("customer", [False, True])
@pytest.mark.parametrize("name", ["确认日期", "认定日期", "confirmed_on", "queren_riqi"])
def test_a_confirmation_is_known_then_and_happened_when_it_was_booked(
    data, tmp_path, name, customer
):
    write_labels(data, name, customer=customer)
    made, rows = propose(data, tmp_path)
    assert rows["event_time"].to_list() == [TIMES[n] for n in LABELLED]
    confirmed = [pd.Timestamp(TIMES[n] + timedelta(days=20)).normalize() for n in LABELLED]
    assert rows["known_at"].to_list() == confirmed
    assert "booking" in made.columns["event_time"].evidence
    assert f"column {name}" in made.columns["known_at"].evidence


@pytest.mark.parametrize(
    "name",
    ["确认日期", "确认时间", "核实日期", "认定日期", "定性日期", "欺诈确认日期", "confirmed_on",
     "confirmed_at", "confirmation_date", "decided_on", "closed_at", "qrrq", "queren_shijian",
     "fraud_confirmed_date"],
)  # fmt: skip
def test_words_of_a_confirmation_outweigh_those_of_any_date(name):
    known = max(name_score(role, normalise(name)) for role in ("known_at", CONFIRMED, "resolved"))
    assert known > name_score("event_time", normalise(name)) + 0.05
    assert known >= 0.6


def test_a_date_of_unknown_meaning_beside_a_booking_dates_no_conduct(data, tmp_path):
    """The booking tells when it happened; the delay is assumed after the later of the two."""
    write_labels(data, "某日期", days=3)
    made, rows = propose(data, tmp_path)
    assert rows["event_time"].to_list() == [TIMES[n] for n in LABELLED]
    own = [pd.Timestamp(TIMES[n] + timedelta(days=3)).normalize() for n in LABELLED]
    assert rows["known_at"].to_list() == [day + timedelta(days=30) for day in own]
    assert made.columns["known_at"].certainty == "guess"
    assert "某日期" in made.columns["known_at"].evidence


def test_what_is_confirmed_on_its_own_day_is_known_when_the_day_ends(data, tmp_path):
    write_labels(data, "确认日期", days=0)
    made, rows = propose(data, tmp_path)
    assert len(rows) == len(LABELLED)
    midnights = [pd.Timestamp(TIMES[n]).normalize() + timedelta(days=1) for n in LABELLED]
    assert rows["known_at"].to_list() == midnights
    assert "ends" in made.columns["known_at"].evidence


def test_without_a_booking_the_confirmation_dates_the_conduct_as_a_guess(data, tmp_path):
    write_labels(data, "确认日期", customer=True, key=False)
    made, rows = propose(data, tmp_path)
    assert (rows["event_time"] == rows["known_at"]).all()
    assert made.columns["event_time"].certainty == "guess"
    assert "confirm" in made.columns["event_time"].evidence
