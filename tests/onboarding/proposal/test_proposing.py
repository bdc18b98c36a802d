"""Folders of strangers: what is guessed, what is left to the user, and what never leaks."""

import re
from datetime import datetime, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from kyc_ml.cli import app
from kyc_ml.config import RunConfig, SourceMapping, load_section
from kyc_ml.contract.source import read_source
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ContractError, OutputError, SourceError
from kyc_ml.onboarding import run_init
from kyc_ml.onboarding.proposal.proposing import propose_source

ROWS = 400
START = datetime(2024, 1, 3, 8, 30)  # noqa: DTZ001  files carry no zone


def bookings(rows=ROWS):
    draw = np.random.default_rng(5)
    times = [START + timedelta(hours=9 * n, minutes=int(draw.integers(60))) for n in range(rows)]
    return pd.DataFrame(
        {
            "id": [f"B{n:05d}" for n in range(rows)],
            "customer": [f"K{n % 37:04d}" for n in range(rows)],
            "time": times,
            "amount": draw.integers(100, 900_000, rows) / 100,
            "into": draw.random(rows) < 0.4,
            "shop": [f"S{n}" for n in draw.integers(0, 60, rows)],
            "fraud": draw.random(rows) < 0.05,
        }
    )


def init(data, out, **rest):
    settings = {"timezone": None, "base_currency": None, "force": False, **rest}
    return run_init(data=data, out=out, reporter=ProgressReporter(), **settings)


def read(result, data):
    mapping = load_section(result.files["source"], SourceMapping)
    return mapping, read_source(mapping, data=data).accepted.tables


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_chinese_columns(data, tmp_path):
    frame = bookings()
    pd.DataFrame(
        {
            "交易流水号": frame["id"],
            "客户号": frame["customer"],
            "交易日期": frame["time"].dt.strftime("%Y%m%d"),
            "交易时间": frame["time"].dt.strftime("%H%M%S"),
            "交易金额(元)": frame["amount"],
            "借贷标志": frame["into"].map({True: "贷", False: "借"}),
            "对方账号": frame["shop"],
            "是否欺诈": frame["fraud"].astype(int),
        }
    ).to_csv(data / "交易明细.csv", index=False)
    result = init(data, tmp_path / "out")
    mapping, tables = read(result, data)
    assert (mapping.timezone, mapping.base_currency) == ("Asia/Shanghai", "CNY")
    got = tables["transactions"].to_pandas().set_index("transaction_id").loc[frame["id"]]
    local = got["event_time"].dt.tz_convert("Asia/Shanghai").dt.tz_localize(None)
    assert (local.to_numpy() == frame["time"].to_numpy()).all()
    assert got["amount"].to_list() == frame["amount"].to_list()
    assert (got["direction"] == "in").to_list() == frame["into"].to_list()
    assert got["counterparty_id"].to_list() == frame["shop"].to_list()
    assert set(tables["cases"]["case_id"].to_pylist()) == set(frame["id"][frame["fraud"]])


def test_semicolons_and_decimal_commas(data, tmp_path):
    frame = bookings()
    signed = frame["amount"].where(frame["into"], -frame["amount"])
    shown = signed.map(lambda x: f"{x:,.2f}".translate(str.maketrans(",.", ".,")))
    pd.DataFrame(
        {
            "Buchung_id": frame["id"],
            "client_id": frame["customer"],
            "booking_date": frame["time"].dt.strftime("%d.%m.%Y %H:%M"),
            "amount": shown,
            "account_to": frame["shop"],
        }
    ).to_csv(data / "bookings.csv", index=False, sep=";")
    result = init(data, tmp_path / "out")
    mapping, tables = read(result, data)
    assert mapping.files["bookings"].delimiter == ";"
    got = tables["transactions"].to_pandas().sort_values("event_time")
    assert got["amount"].to_list() == frame["amount"].to_list()
    assert (got["direction"] == "in").to_list() == frame["into"].to_list()
    assert any(line.startswith("cases") for line in result.proposal.open_points)


def test_two_currencies_are_left_to_the_user(data, tmp_path):
    frame = bookings()
    codes = np.where(np.arange(ROWS) % 4 == 0, "USD", "EUR")
    frame.assign(currency=codes).drop(columns=["into"]).rename(
        columns={"id": "payment_id", "customer": "customer_id"}
    ).to_parquet(data / "payments.parquet")
    result = init(data, tmp_path / "out")
    amount = result.proposal.tables["transactions"].columns["amount"]
    assert amount.certainty == "yours"
    assert result.proposal.base_currency == "EUR"
    with pytest.raises(ContractError, match=r"transactions.amount: empty: 100 row"):
        read(result, data)
    path = result.files["source"]
    path.write_text(path.read_text().replace("* NULL /* TODO rate */", "* 0.5"))
    _, tables = read(result, data)
    got = tables["transactions"].to_pandas().set_index("transaction_id").loc[frame["id"]]
    np.testing.assert_allclose(
        got["amount"], frame["amount"] * np.where(codes == "USD", 0.5, 1.0), rtol=1e-12
    )


def test_one_unusable_file_stops_nothing(data, tmp_path):
    frame = bookings().rename(columns={"customer": "customer_id", "id": "tx_id"})
    frame.to_csv(data / "tx.csv", index=False)
    (data / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    (data / "empty.csv").touch()
    (data / "photo.jpg").write_bytes(b"\xff\xd8")
    result = init(data, tmp_path / "out")
    assert {"broken.parquet", "empty.csv", "photo.jpg"} <= set(result.proposal.unused)
    assert len(read(result, data)[1]["transactions"]) == ROWS


def test_an_empty_folder_is_refused(data, tmp_path):
    with pytest.raises(SourceError, match="file"):
        init(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(app, ["init", "--data", str(data), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2


def test_daily_files_are_one_table(data, tmp_path):
    frame = bookings().rename(columns={"customer": "cust_id", "id": "txn_id"})
    folder = data / "daily"
    folder.mkdir()
    for day, part in frame.groupby(frame["time"].dt.date):
        part.to_csv(folder / f"{day}.csv", index=False)
    result = init(data, tmp_path / "out")
    mapping, tables = read(result, data)
    assert [file.path for file in mapping.files.values()] == ["daily/*.csv"]
    assert len(tables["transactions"]) == ROWS


def test_both_sides_of_a_payment_become_bookings(data, tmp_path):
    draw = np.random.default_rng(3)
    pd.DataFrame(
        {
            "nameOrig": [f"C{n}" for n in draw.integers(0, 40, ROWS)],
            "nameDest": [f"C{n}" for n in draw.integers(0, 40, ROWS)],
            "step": np.sort(draw.integers(1, 90, ROWS)),
            "amount": draw.integers(1, 9_000, ROWS) / 4,
            "isFraud": (draw.random(ROWS) < 0.05).astype(int),
        }
    ).to_csv(data / "transfers.csv", index=False)
    _, tables = read(init(data, tmp_path / "out"), data)
    booked = tables["transactions"].to_pandas()
    assert booked["direction"].value_counts().to_dict() == {"in": ROWS, "out": ROWS}
    out = booked[booked["direction"] == "out"]
    back = booked[booked["direction"] == "in"]
    assert sorted(zip(out["customer_id"], out["counterparty_id"], out["amount"], strict=True)) == (
        sorted(zip(back["counterparty_id"], back["customer_id"], back["amount"], strict=True))
    )
    assert set(tables["cases"]["transaction_id"].to_pylist()) <= set(out["transaction_id"])


def test_an_account_is_its_owners(data, tmp_path):
    frame = bookings()
    con = duckdb.connect(str(data / "core.duckdb"))
    tx = frame.rename(columns={"id": "trans_id", "customer": "account_id"})  # noqa: F841  DuckDB reads it
    held = pd.DataFrame({"account_id": [f"K{n:04d}" for n in range(37)]})
    held["client_id"] = [f"P{n}" for n in range(37)]
    held["type"] = "OWNER"
    second = held.head(9).assign(client_id=lambda x: x["client_id"] + "x", type="USER")
    held_by = pd.concat([held, second])  # noqa: F841  DuckDB reads it
    con.execute("CREATE TABLE tx AS SELECT * FROM tx")
    con.execute("CREATE TABLE holders AS SELECT * FROM held_by")
    con.close()
    _, tables = read(init(data, tmp_path / "out"), data)
    got = tables["transactions"].to_pandas().set_index("transaction_id").loc[frame["id"]]
    assert got["customer_id"].to_list() == [f"P{n % 37}" for n in range(ROWS)]


def test_no_value_of_a_customer_is_written(data, tmp_path):
    frame = bookings().rename(columns={"id": "tx_id", "customer": "customer_id"})
    frame.to_csv(data / "tx.csv", index=False)
    pd.DataFrame(
        {
            "customer_id": [f"K{n:04d}" for n in range(37)],
            "name": [f"Surname{n}" for n in range(37)],
            "date_of_birth": ["1971-02-03"] * 37,
            "id_number": [f"99{n:07d}" for n in range(37)],
            "occupation": [f"trade {n}" for n in range(37)],
        }
    ).to_csv(data / "clients.csv", index=False)
    result = init(data, tmp_path / "out")
    assert {"customers", "transactions"} <= set(result.proposal.tables)
    told = " ".join(path.read_text() for path in result.files.values())
    told += result.columns_frame().to_string() + result.unused_frame().to_string()
    values = {*frame["tx_id"], *frame["customer_id"], "1971-02-03", "Surname1", "trade 1"}
    assert not [value for value in values if value in told]


def test_an_earlier_proposal_is_not_replaced(data, tmp_path):
    bookings().rename(columns={"customer": "customer_id"}).to_csv(data / "tx.csv", index=False)
    first = init(data, tmp_path / "out")
    kept = first.files["source"].read_bytes()
    with pytest.raises(OutputError, match="--force"):
        init(data, tmp_path / "out")
    init(data, tmp_path / "out", force=True, base_currency="EUR")
    assert first.files["source"].read_bytes() != kept


def test_what_is_written_is_complete(data, tmp_path):
    bookings().rename(columns={"customer": "customer_id"}).to_csv(data / "tx.csv", index=False)
    result = init(data, tmp_path / "out", timezone="Europe/Vienna", base_currency="EUR")
    run = load_section(result.files["fraud"], RunConfig)
    assert "velocity" in run.features.families
    assert "devices" not in run.features.families
    frame = result.families_frame("fraud").set_index("family")
    assert "device_id" in frame.loc["devices", "would be enabled by"]
    assert result.next_commands(data)[0].startswith("kyc-ml check --source ")


def test_an_unknown_zone_is_told_before_a_file_is_read(data):
    with pytest.raises(SourceError, match="IANA"):
        propose_source(data, timezone="Europe/Atlantis")


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8-sig"])
def test_files_of_any_encoding_are_read_by_the_entry_that_is_written(data, tmp_path, encoding):
    frame = bookings().rename(columns={"id": "tx_id", "customer": "客户号", "time": "交易时间"})
    frame = frame.assign(摘要=["转账", "消费"] * (ROWS // 2))
    frame.to_csv(data / "tx.csv", index=False, encoding=encoding)
    result = init(data, tmp_path / "out")
    mapping, tables = read(result, data)
    assert len(tables["transactions"]) == ROWS
    assert mapping.files["tx"].encoding == ("gb18030" if encoding == "gb18030" else None)
    marked = [point for point in result.proposal.open_points if point.startswith("files.tx")]
    assert len(marked) == (encoding == "gb18030")


def test_loans_with_codes_of_their_own(data, tmp_path):
    frame = bookings()
    frame.rename(columns={"id": "trans_id", "customer": "client_id"}).drop(
        columns=["fraud"]
    ).to_json(data / "transactions.jsonl", orient="records", lines=True, date_format="iso")
    days = [START + timedelta(days=150 + n) for n in range(37)]
    pd.DataFrame(
        {
            "loan_id": [f"L{n}" for n in range(37)],
            "client_id": [f"K{n:04d}" for n in range(37)],
            "date": [f"{day:%y%m%d}" for day in days],
            "amount": [1000 + 7 * n for n in range(37)],
            "duration": [12 + n % 5 for n in range(37)],
            "status": ["A", "B", "A", "C"] * 9 + ["A"],
        }
    ).to_csv(data / "loan.csv", index=False)
    result = init(data, tmp_path / "out")
    assert result.proposal.tables["cases"].columns["outcome"].certainty == "yours"
    with pytest.raises(SourceError, match=r"'outcome'.*'TODO'"):
        read(result, data)
    path = result.files["source"]
    path.write_text(path.read_text().replace("'TODO'", "'cleared'"))
    _, tables = read(result, data)
    reviewed = tables["reviews"].to_pandas().set_index("review_id").sort_index()
    assert reviewed.loc["L3", "event_time"] == pd.Timestamp(days[3].date(), tz="UTC")
    items = tables["third_party"].to_pandas()
    assert set(items["item"]) == {"loan_amount", "loan_duration"}
    assert items["event_time"].max() < reviewed["event_time"].max()


def test_cases_alone_lack_the_rows_that_they_label_and_not_their_outcomes(data, tmp_path):
    alerts = [
        f"A{n},K{n:03},2024-{n % 9 + 1:02}-10,{'fraud' if n % 3 else 'cleared'}" for n in range(60)
    ]
    (data / "alerts.csv").write_text("\n".join(["case_no,client_no,confirmed_on,verdict", *alerts]))
    found = init(data, tmp_path / "out", base_currency="EUR")
    assert set(found.proposal.tables) == {"cases"}
    assert "outcomes" not in found.held_back
    assert found.held_back.startswith("kyc-ml train")
    assert "transactions" in found.held_back


def test_train_is_named_only_when_nothing_is_left_to_decide(data, tmp_path):
    frame = bookings().rename(columns={"id": "tx_id", "customer": "client_id"})
    frame["fraud"] = np.where(frame["fraud"], "Q", "R")
    frame.drop(columns=["fraud"]).to_csv(data / "tx.csv", index=False)
    none = init(data, tmp_path / "none", base_currency="EUR")
    assert [each.split()[1] for each in none.next_commands(data)] == ["check"]
    assert none.held_back.startswith("kyc-ml train: ")
    found = frame[["tx_id", "client_id", "fraud"]].rename(columns={"fraud": "outcome"})
    found.assign(case_id=range(ROWS)).to_csv(data / "cases.csv", index=False)
    coded = init(data, tmp_path / "coded", base_currency="EUR")
    assert [each.split()[1] for each in coded.next_commands(data)] == ["check"]
    assert re.fullmatch(r"kyc-ml train: .* cases\.outcome", coded.held_back)
    found["outcome"] = found["outcome"].map({"Q": "fraud", "R": "cleared"})
    found.assign(case_id=range(ROWS)).to_csv(data / "cases.csv", index=False)
    poor = init(data, tmp_path / "poor")
    assert re.fullmatch("kyc-ml train: .* base_currency", poor.held_back)
    ready = init(data, tmp_path / "ready", base_currency="EUR")
    trains = [each for each in ready.next_commands(data) if "kyc-ml train" in each]
    assert len(trains) == len(ready.runs)
    assert not ready.held_back


def test_a_flag_of_customers_is_told_after_all_are_reviewed(data, tmp_path):
    bookings().rename(columns={"customer": "party_id"}).drop(columns=["fraud"]).to_csv(
        data / "tx.csv", index=False
    )
    flags = [int(n % 9 == 0) for n in range(37)]
    pd.DataFrame({"party_id": [f"K{n:04d}" for n in range(37)], "is_sar": flags}).to_csv(
        data / "parties.csv", index=False
    )
    result = init(data, tmp_path / "out")
    _, tables = read(result, data)
    assert tables["cases"]["outcome"].unique().to_pylist() == ["str_filed"]
    assert len(tables["cases"]) == sum(flags)
    last = tables["transactions"].to_pandas()["event_time"].max()
    reviewed = tables["reviews"].to_pandas()["event_time"]
    known = tables["cases"].to_pandas()["known_at"]
    assert last < reviewed.min() < known.min()
    assert [run.unit for run in result.runs if run.trainable] == ["risk"]


def an_english_bank(folder, *, time="ValueStamp", frame=None):
    frame = bookings() if frame is None else frame
    pd.DataFrame(
        {
            "PmtRef": frame["id"],
            "ClientRef": frame["customer"],
            time: frame["time"].dt.strftime("%d/%m/%Y %H:%M:%S"),
            "Amt": frame["amount"].map(lambda amount: f"{amount:.2f}".replace(".", ",")),
            "DC": frame["into"].map({True: "C", False: "D"}),
            "Beneficiary": frame["shop"],
            "BenCtry": ["DE", "FR"] * (ROWS // 2),
            "Chan": ["WEB", "BRANCH"] * (ROWS // 2),
        }
    ).to_csv(folder / "ledger.csv", index=False, sep=";")
    return frame


@pytest.mark.parametrize(("time", "certainty"), [("ValueStamp", "likely"), ("Wann", "guess")])
def test_times_are_found_by_their_values_where_no_word_is_known(data, tmp_path, time, certainty):
    frame = an_english_bank(data, time=time)
    result = init(data, tmp_path / "out")
    guess = result.proposal.tables["transactions"].columns["event_time"]
    assert guess.certainty == certainty
    assert ("only" in guess.evidence) == (certainty == "guess")
    _, tables = read(result, data)
    got = tables["transactions"].to_pandas().set_index("transaction_id").loc[frame["id"]]
    assert (got["event_time"].dt.tz_localize(None) == frame["time"].dt.floor("s").array).all()
    assert got["customer_id"].to_list() == frame["customer"].to_list()
    assert set(got["country"]) == {"DE", "FR"}
    assert set(got["channel"]) == {"WEB", "BRANCH"}


def test_two_unnamed_columns_of_times_are_left_to_the_user(data, tmp_path):
    frame = bookings().assign(Dann=lambda x: x["time"] + timedelta(days=1))
    frame = frame.rename(columns={"time": "Wann", "customer": "client_id"})
    frame.to_csv(data / "tx.csv", index=False)
    pd.DataFrame({"shade": ["red", "blue"] * 9}).assign(size=range(18)).to_csv(
        data / "odd.csv", index=False
    )
    with pytest.raises(SourceError) as caught:
        init(data, tmp_path / "out")
    told = str(caught.value)
    assert "(client_id)" in told
    assert "Wann, Dann" in told
    assert "odd.csv" in told
    assert "times" in told


def mixed(frame, *forms):
    return [time.strftime(forms[n % len(forms)]) for n, time in enumerate(frame["time"])]


def test_a_column_that_mixes_forms_of_times_is_read_as_a_guess(data, tmp_path):
    frame = bookings()
    when = mixed(frame, "%Y%m%d", "%Y/%m/%d", "%Y/%-m/%-d %-H:%M")
    frame.assign(time=when).rename(columns={"time": "交易时间", "customer": "客户号"}).to_csv(
        data / "tx.csv", index=False
    )
    result = init(data, tmp_path / "out", timezone="UTC")
    guess = result.proposal.tables["transactions"].columns["event_time"]
    assert guess.certainty == "guess"
    assert "yyyymmdd 34%, yyyy/mm/dd 33%, yyyy/mm/dd hh:mm 33%" in guess.evidence
    _, tables = read(result, data)
    got = tables["transactions"].to_pandas().set_index("transaction_id").loc[frame["id"]]
    days = got["event_time"].dt.tz_localize(None).dt.normalize()
    assert days.to_list() == frame["time"].dt.normalize().to_list()


def test_a_mixture_that_cannot_be_read_is_named_and_left_to_the_user(data, tmp_path):
    frame = bookings()
    frame.assign(time=mixed(frame, "%d/%m/%Y", "%m/%d/%Y")).rename(
        columns={"customer": "client_id"}
    ).to_csv(data / "tx.csv", index=False)
    result = init(data, tmp_path / "out")
    guess = result.proposal.tables["transactions"].columns["event_time"]
    assert guess.certainty == "yours"
    assert "mixes" in guess.evidence
    assert re.search("dd/mm/yyyy.*mm/dd/yyyy", guess.evidence)
    with pytest.raises(SourceError, match=r"'event_time'.*'TODO'"):
        read(result, data)


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("disputes", ("alert_id", "alert_date", "closed_on", "outcome")),
        ("disputes", ("DisputeNo", "Opened", "Resolved", "Verdict")),
        ("extract", ("case_id", "event_date", "closed_on", "result")),
    ],
)
def test_a_file_of_disputes_becomes_cases(data, tmp_path, file, names):
    key, opened, closed, found = names
    frame = an_english_bank(data)
    disputed = frame.iloc[::5].reset_index(drop=True)
    fraud = [n % 3 == 0 for n in range(len(disputed))]
    pd.DataFrame(
        {
            key: [f"D{n}" for n in range(len(disputed))],
            "payment_id": disputed["id"],
            "client_id": disputed["customer"],
            opened: (disputed["time"] + timedelta(days=2)).dt.strftime("%Y-%m-%d"),
            closed: (disputed["time"] + timedelta(days=9)).dt.strftime("%Y-%m-%d"),
            found: ["FRAUD" if each else "NOT FRAUD" for each in fraud],
        }
    ).to_csv(data / f"{file}.csv", index=False, sep=";")
    _, tables = read(init(data, tmp_path / "out"), data)
    got = tables["cases"].to_pandas().set_index("case_id").loc[[f"D{n}" for n in range(len(fraud))]]
    expected = ["confirmed_fraud" if each else "cleared" for each in fraud]
    assert got["outcome"].to_list() == expected
    known = got["known_at"].dt.tz_localize(None)
    assert (known == (disputed["time"] + timedelta(days=9)).dt.floor("D").array).all()
    assert got["transaction_id"].to_list() == disputed["id"].to_list()


def test_a_closed_account_was_known_before_it_was_closed(data, tmp_path):
    an_english_bank(data)
    held = [f"K{n:04d}" for n in range(37)]
    pd.DataFrame(
        {"account_no": [f"A{n}" for n in range(37)], "client_id": held,
         "opened": ["2020-01-02"] * 37, "closed": ["2024-02-03"] * 37}
    ).to_csv(data / "accounts.csv", index=False)  # fmt: skip
    accounts = init(data, tmp_path / "out").proposal.tables["accounts"]
    assert accounts.columns["event_time"].sql == "opened"
    assert "known_at" not in accounts.columns


def test_a_family_without_features_is_not_counted(data, tmp_path):
    bookings().rename(columns={"customer": "customer_id"}).to_csv(data / "tx.csv", index=False)
    frame = init(data, tmp_path / "out").families_frame("fraud").set_index("family")
    assert frame.loc["third_party", "features"] == "none"


@pytest.mark.parametrize(("share", "method"), [(0.45, "noise"), (0.05, "none")])
def test_many_adverse_cases_are_enough_to_select_features(data, tmp_path, share, method):
    frame = bookings(2_000)
    frame["fraud"] = np.random.default_rng(7).random(len(frame)) < share
    frame.to_csv(data / "bookings.csv", index=False)
    result = init(data, tmp_path / "out")
    runs = [load_section(tmp_path / "out" / f"{run.unit}.yaml", RunConfig) for run in result.runs]
    assert {run.selection.method for run in runs if run.splits.method == "out_of_time"} == {method}
