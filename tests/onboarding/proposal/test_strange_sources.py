"""Folders as banks have them: what init writes for them is read, or asks."""

import csv
import gzip
import re
import zipfile
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kyc_ml.config import FeatureConfig, RunConfig, SourceMapping, load_section
from kyc_ml.contract.memory import contract_tables
from kyc_ml.contract.source import read_source
from kyc_ml.dataset import make_reviews_at
from kyc_ml.decision import TierPolicy
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import KycMlError, SourceError
from kyc_ml.features import build_features, choose_features
from kyc_ml.onboarding import run_init

ROWS = 120
START = datetime(2024, 1, 3, 8, 30)  # noqa: DTZ001  files carry no zone
TIMES = [START + timedelta(hours=19 * n) for n in range(ROWS)]


def ledger(**columns):
    draw = np.random.default_rng(5)
    frame = {
        "流水号": [f"B{n:05d}" for n in range(ROWS)],
        "客户号": [f"K{n % 23:04d}" for n in range(ROWS)],
        "交易时间": [f"{time:%Y-%m-%d %H:%M:%S}" for time in TIMES],
        "交易金额": [f"{cents / 100:.2f}" for cents in draw.integers(100, 900_000, ROWS)],
        "借贷标志": draw.choice(["借", "贷"], ROWS),
        "对方账号": [f"S{n}" for n in draw.integers(0, 20, ROWS)],
        **columns,
    }
    return pd.DataFrame({name: values for name, values in frame.items() if values is not None})


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def propose(data, tmp_path, **rest):
    return run_init(
        data=data, out=tmp_path / "out", reporter=ProgressReporter(), force=True, **rest
    )


def read(result, data):
    mapping = load_section(result.files["source"], SourceMapping)
    return {
        name: t.to_pandas() for name, t in read_source(mapping, data=data).accepted.tables.items()
    }


# --- files -----------------------------------------------------------------------------------


def as_text(**rest):
    return ledger().to_csv(index=False, **rest)


def zipped(path):
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        archive.writestr("jy.csv", as_text())


def twice_packed(path):
    packed = gzip.compress(gzip.compress(as_text().encode()))
    path.with_name("JY.CSV.GZ").write_bytes(packed)


def folders(path):
    frame = ledger()
    for day, part in frame.groupby(frame["交易时间"].str[:7]):
        place = path.parent / f"month={day}"
        place.mkdir()
        part.to_csv(place / "part-0.csv", index=False)


def more_names(path):
    first, _, rest = as_text().partition("\n")
    path.write_text(f"{first},备注\n{rest}", encoding="utf-8")


WAYS = {
    "sep": lambda path: path.write_text("sep=;\n" + as_text(sep=";"), encoding="utf-8"),
    "gb18030": lambda path: path.write_bytes(as_text().encode("gb18030")),
    "utf-16": lambda path: path.write_bytes(as_text().encode("utf-16")),
    "cr": lambda path: path.write_bytes(as_text().replace("\n", "\r").encode()),
    "title": lambda path: path.write_text("交易明细\n打印,2024\n" + as_text(), encoding="utf-8"),
    "zip": zipped,
    "twice packed": twice_packed,
    "folders": folders,
    "more names": more_names,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_as_people_have_it_is_read_by_the_entry_that_is_written(data, tmp_path, way):
    WAYS[way](data / "jy.csv")
    got = read(propose(data, tmp_path), data)["transactions"].set_index("transaction_id")
    expected = ledger().set_index("流水号")
    assert got["amount"].sort_index().to_list() == expected["交易金额"].astype(float).to_list()


def test_a_file_without_names_is_proposed_under_made_up_ones_to_be_confirmed(data, tmp_path):
    ledger(借贷标志=None).to_csv(data / "jy.csv", index=False, header=False)
    result = propose(data, tmp_path)
    marks = {each.certainty for each in result.proposal.tables["transactions"].columns.values()}
    assert marks == {"guess"}
    assert len(read(result, data)["transactions"]) == ROWS


def test_words_for_missing_are_declared(data, tmp_path):
    frame = ledger()
    frame.loc[::5, "对方账号"] = "NULL"
    frame.to_csv(data / "jy.csv", index=False)
    result = propose(data, tmp_path)
    assert load_section(result.files["source"], SourceMapping).files["jy"].nulls == ("NULL",)
    assert read(result, data)["transactions"]["counterparty_id"].isna().sum() == ROWS / 5
    assert any("NULL" in point for point in result.proposal.open_points)


def test_lines_that_do_not_fit_are_counted(data, tmp_path):
    lines = as_text().splitlines()
    lines[7] += ",more"
    (data / "jy.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert any(re.search(r"\b1\b.*fewer", p) for p in propose(data, tmp_path).proposal.decisions)


# --- columns ---------------------------------------------------------------------------------


def test_the_points_to_confirm_are_the_marks_that_are_written(data, tmp_path):
    ledger(交易金额=[f"{n:,}" for n in range(900, 900 + 40 * ROWS, 40)], 借贷标志=None).to_csv(
        data / "jy.csv", index=False
    )
    result = propose(data, tmp_path)
    text = result.files["source"].read_text(encoding="utf-8")
    marks = len(re.findall("# (GUESS|TODO)", text))
    points = result.proposal.open_points
    assert len(points) == marks + len(result.proposal.decisions)
    assert any(point.startswith("transactions.amount") for point in points)
    assert any(point.startswith("transactions.direction") for point in points)
    assert not [line for line in text.splitlines() if "confirm" in line and "likely;" in line]


def test_signs_that_are_lost_nowhere(data, tmp_path):
    shown = [f"({n}.25)" if n % 3 else f"{n}.25" for n in range(ROWS)]
    ledger(交易金额=shown, 借贷标志=None).to_csv(data / "jy.csv", index=False)
    result = propose(data, tmp_path)
    got = read(result, data)["transactions"].set_index("transaction_id").sort_index()
    assert got["direction"].to_list() == ["out" if n % 3 else "in" for n in range(ROWS)]
    assert got["amount"].to_list() == [n + 0.25 for n in range(ROWS)]
    direction = result.proposal.tables["transactions"].columns["direction"]
    assert direction.certainty == "guess"
    assert "67%" in direction.evidence


def test_a_column_that_cannot_be_read_stops_no_other(data, tmp_path):
    java = [f"{time:%a %b %d %H:%M:%S} CST {time:%Y}" for time in TIMES]
    ledger(交易时间=java).to_csv(data / "jy.csv", index=False)
    result = propose(data, tmp_path)
    guess = result.proposal.tables["transactions"].columns["event_time"]
    assert guess.certainty == "yours"
    assert "CST" in guess.evidence
    with pytest.raises(SourceError, match=r"'event_time'.*'TODO'"):
        read(result, data)
    path = result.files["source"]
    cure = re.search(
        r"try_strptime\(.*?'%Y-%m-%d %H:%M:%S'\)|try_strptime\(.*? %Y'\)", guess.evidence
    )
    path.write_text(path.read_text().replace("'TODO'", cure[0]))
    assert len(read(result, data)["transactions"]) == ROWS


def test_documents_of_customers(data, tmp_path):
    ledger().to_csv(data / "jy.csv", index=False)
    people = 23
    pd.DataFrame(
        {
            "客户号": [f"K{n:04d}" for n in range(people)],
            "出生日期": ["1980年1月1日"] * people,
            "证件类型": ["身份证", "营业执照", "护照", "其他"] * 5 + ["身份证"] * 3,
            "证件号码": [f"1101051980{n:08d}" for n in range(people)],
            "证件有效期": ["长期", "2030-01-01", "9999-12-31"] * 7 + ["永久", "2031-01-01"],
            "国籍": ["中国", "美国", "DE"] * 7 + ["中国", "中国"],
            "是否PEP": ["是", "否"] * 11 + ["否"],
        }
    ).to_csv(data / "kh.csv", index=False)
    result = propose(data, tmp_path)
    got = read(result, data)["customers"].set_index("customer_id").sort_index()
    kinds = {"身份证": "resident_id", "营业执照": "company_code", "护照": "passport"}
    assert set(got["document_type"]) == {*kinds.values(), "其他"}
    assert (
        str(got["document_expiry"].iloc[0]) == str(got["document_expiry"].iloc[2]) == "9999-12-31"
    )
    assert str(got["document_expiry"].iloc[21]) == "9999-12-31"
    assert got["nationality"].head(3).to_list() == ["CN", "US", "DE"]
    assert set(got["pep_status"]) == {"domestic", "none"}


def test_a_document_that_never_expires_has_its_features():
    versions = pd.DataFrame(
        {
            "customer_id": ["a", "b"],
            "event_time": pd.to_datetime(["2024-01-01"] * 2, utc=True),
            "document_expiry": ["9999-12-31", "2024-03-01"],
        }
    )
    read = contract_tables({"customers": versions}, timezone="UTC", base_currency="EUR").accepted
    specs = choose_features(FeatureConfig(families=("profile",)), unit="risk")
    asked = make_reviews_at(read, at=pd.Timestamp("2024-04-01", tz="UTC"))
    built = build_features(read, asked, specs=specs).to_pandas().set_index("customer_id")
    assert built["profile_document_days_left"].to_dict() == {"a": 2913082.0, "b": -31.0}
    assert built["profile_document_expired"].to_dict() == {"a": 0.0, "b": 1.0}


# --- labels, owners, rates -------------------------------------------------------------------


def test_grades_of_loans_become_outcomes(data, tmp_path):
    ledger().to_csv(data / "jy.csv", index=False)
    grades = ["正常", "关注", "次级", "可疑", "损失"] * 4 + ["正常"] * 3
    pd.DataFrame(
        {"客户号": [f"K{n:04d}" for n in range(23)], "五级分类": grades,
         "认定日期": ["2024-03-31"] * 23}
    ).to_csv(data / "贷款分类.csv", index=False)  # fmt: skip
    result = propose(data, tmp_path)
    outcome = result.proposal.tables["cases"].columns["outcome"]
    assert outcome.certainty == "guess"
    got = read(result, data)["cases"].set_index("customer_id").sort_index()
    bad = {"次级", "可疑", "损失"}
    assert got["outcome"].to_list() == ["default" if g in bad else "cleared" for g in grades]


def test_cases_that_name_accounts_are_their_owners(data, tmp_path):
    draw = np.random.default_rng(3)
    pd.DataFrame(
        {
            "step": np.sort(draw.integers(0, 150, ROWS)),
            "nameOrig": draw.integers(0, 20, ROWS),
            "nameDest": draw.integers(0, 20, ROWS),
            "amount": draw.integers(100, 9_000, ROWS) / 4,
            "isSAR": (np.arange(ROWS) % 8 == 0).astype(int),
        }
    ).to_csv(data / "tx_log.csv", index=False)
    pd.DataFrame(
        {"ACCOUNT_ID": range(20), "CUSTOMER_ID": [f"C_{n}" for n in range(20)],
         "SALARY": [1000.5 + n for n in range(20)], "CITY": ["a", "b"] * 10, "AGE": range(20, 40)}
    ).to_csv(data / "accounts.csv", index=False)  # fmt: skip
    got = read(propose(data, tmp_path, base_currency="EUR"), data)
    assert set(got["cases"]["customer_id"]) <= set(got["customers"]["customer_id"])
    assert len(got["cases"]) == ROWS / 8
    assert {"attr_city", "attr_age"} <= set(got["customers"].columns)


@pytest.mark.parametrize("with_rates", [True, False])
def test_amounts_of_several_currencies_take_the_rate_of_their_day_or_wait(
    data, tmp_path, with_rates
):
    currencies = ["CNY", "USD", "EUR"] * (ROWS // 3)
    ledger(币种=currencies, 交易金额=["100.00"] * ROWS).to_csv(data / "jy.csv", index=False)
    days = [f"{START.date() + timedelta(days=n)}" for n in range(-1, 100)]
    rates = pd.DataFrame({"日期": days * 2, "币种": ["USD"] * 101 + ["EUR"] * 101,
                          "汇率": [*(7 + n / 100 for n in range(101)), *[8.0] * 101]})  # fmt: skip
    if with_rates:
        rates.to_csv(data / "汇率.csv", index=False)
    result = propose(data, tmp_path)
    amount = result.proposal.tables["transactions"].columns["amount"]
    if not with_rates:
        assert amount.certainty == "yours"
        assert "rates" in amount.evidence
        return
    assert amount.certainty == "guess"
    assert result.proposal.base_currency == "CNY"
    got = read(result, data)["transactions"].set_index("transaction_id").sort_index()["amount"]
    # the rate of the booking's own day: days since the first of the file
    elapsed = [(time.date() - START.date()).days + 1 for time in TIMES]
    worth = {"CNY": lambda n: 1.0, "USD": lambda n: 7 + n / 100, "EUR": lambda n: 8.0}
    np.testing.assert_allclose(
        got, [100 * worth[c](n) for c, n in zip(currencies, elapsed, strict=True)], rtol=1e-12
    )


# --- customers without bookings --------------------------------------------------------------


def test_a_snapshot_with_a_label_and_no_dates(data, tmp_path):
    people = 200
    pd.DataFrame(
        {
            "客户编号": [f"K{n:05d}" for n in range(people)],
            "年龄": [20 + n % 40 for n in range(people)],
            "学历": ["本科", "大专", "高中", "硕士"] * (people // 4),
            "额度使用率": [f"{n % 97 / 97:.3f}" for n in range(people)],
            "是否违约": [int(n % 9 == 0) for n in range(people)],
        }
    ).to_csv(data / "客户快照_20251231.csv", index=False)
    result = propose(data, tmp_path)
    mapping = load_section(result.files["source"], SourceMapping)
    assert f"{mapping.snapshot}" == "2025-12-31"
    got = read(result, data)
    assert set(got) == {"customers", "cases", "reviews"}
    assert got["cases"]["outcome"].value_counts()["default"] == len(range(0, people, 9))
    assert {"attr_age", "attr_education", "attr_utilisation"} <= set(got["customers"].columns)
    run = load_section(result.files["risk"], RunConfig)
    assert "attributes" in run.features.families
    assert (run.splits.method, run.splits.early_stopping_folds) == ("customer_folds", 3)
    assert [each.split()[1] for each in result.next_commands(data)] == ["check", "train", "score"]


def test_ids_that_excel_wrote_as_formulas_are_ids_and_any_day_may_be_graded(data, tmp_path):
    lines = [f'="{n:04d}";{n % 50};{"Y" if n % 9 == 0 else "N"}' for n in range(200)]
    (data / "clients.csv").write_text("sep=;\nCustomer No;Age;Default\n" + "\n".join(lines))
    result = propose(data, tmp_path, base_currency="EUR")
    got = read(result, data)
    ids = [f"{n:04d}" for n in range(200)]
    assert sorted(got["customers"]["customer_id"]) == sorted(got["cases"]["customer_id"]) == ids
    policy = load_section(result.files["tiers"], TierPolicy)
    assert policy.valid_from is not None
    assert policy.valid_from.year < 2010


def test_a_panel_is_reviewed_each_month(data, tmp_path):
    months = [f"{day:%Y-%m-%d}" for day in pd.date_range("2024-01-31", periods=18, freq="ME")]
    draw = np.random.default_rng(2)
    frame = pd.DataFrame(
        [
            {"customer_id": f"P{n}", "month_end": month, "balance": draw.integers(1, 9_999) / 4,
             "default_flag": int(n == m)}
            for n in range(120) for m, month in enumerate(months)
        ]
    )  # fmt: skip
    frame.to_csv(data / "monthly.csv", index=False)
    result = propose(data, tmp_path, base_currency="EUR")
    got = read(result, data)
    assert len(got["reviews"]) == len(got["customers"]) == len(frame)
    assert (got["cases"]["known_at"] > got["cases"]["event_time"]).all()
    own = load_section(result.files["source"], SourceMapping).tables["customers"].attributes
    assert "trend" in own["balance"].over_time
    assert load_section(result.files["risk"], RunConfig).splits.method == "out_of_time"


def test_an_application_is_a_review_and_no_booking(data, tmp_path):
    days = pd.date_range("2023-01-02", periods=150, freq="2D")
    pd.DataFrame(
        {
            "client_id": range(150),
            "application_date": [f"{day:%Y-%m-%d}" for day in days],
            "income": [20_000 + 137 * n for n in range(150)],
            "employment": ["self", "salaried", "retired"] * 50,
            "loan_amount": [1_000 * (n % 40 + 1) for n in range(150)],
            "default_date": ["2024-09-01" if n % 8 == 0 else "" for n in range(150)],
        }
    ).to_csv(data / "applications.csv", index=False)
    result = propose(data, tmp_path, base_currency="EUR")
    got = read(result, data)
    assert set(got) == {"reviews", "cases"}
    assert {"attr_loan_amount", "attr_employment"} <= set(got["reviews"].columns)
    assert set(got["cases"]["review_id"]) == set(got["reviews"]["review_id"])
    assert (got["cases"]["outcome"] == "default").sum() == len(range(0, 150, 8))
    policy = load_section(result.files["tiers"], TierPolicy)
    assert policy.fit is not None
    assert [run.unit for run in result.runs if run.trainable] == ["risk"]


def test_a_short_panel_is_not_parted_in_time_without_an_outcome_to_learn_from(data, tmp_path):
    months = [f"{day:%Y-%m-%d}" for day in pd.date_range("2024-01-31", periods=18, freq="ME")]
    pd.DataFrame(
        [
            {"客户编号": f"P{n}", "月末": month, "额度使用率": f"{(n + m) % 90 + 0.5}%",
             "是否违约": int(n % 4 == 0 and m >= 12)}
            for n in range(120) for m, month in enumerate(months)
        ]
    ).to_csv(data / "monthly.csv", index=False)  # fmt: skip
    result = propose(data, tmp_path)
    assert load_section(result.files["risk"], RunConfig).splits.method == "customer_folds"
    own = load_section(result.files["source"], SourceMapping).tables["customers"].attributes
    assert own["utilisation"].unit == "share"
    assert read(result, data)["customers"]["attr_utilisation"].max() < 0.91


def test_the_day_of_a_grade_dates_the_outcome_and_is_no_attribute(data, tmp_path):
    n = 150
    days = pd.date_range("2023-01-02", periods=n, freq="D")
    pd.DataFrame(
        {
            "申请编号": [f"A{i:04d}" for i in range(n)],
            "客户号": [f"C{i % 140:04d}" for i in range(n)],
            "申请日期": [f"{day:%Y/%m/%d}" for day in days],
            "申请金额": [f"1.{i % 9}万" for i in range(n)],
            "五级分类": ["正常", "正常", "次级"] * (n // 3),
            "分类日期": [f"{day + timedelta(days=90 + day.day):%Y/%m/%d}" for day in days],
            "回访日期": [f"{day + timedelta(days=40 + day.day):%Y/%m/%d}" for day in days],
        }
    ).to_csv(data / "贷款申请.csv", index=False)
    result = propose(data, tmp_path)
    got = read(result, data)
    assert set(got["reviews"]["review_id"]) == {f"A{i:04d}" for i in range(n)}
    lag = (
        got["cases"]
        .set_index("review_id")["event_time"]
        .sub(got["reviews"].set_index("review_id")["event_time"])
    )
    assert (lag.min().days, lag.max().days) == (91, 121)
    own = load_section(result.files["source"], SourceMapping).tables["reviews"].attributes
    assert [each.type for each in own.values()] == ["number"]


def test_what_kind_a_shop_is_of_is_not_the_shop(data, tmp_path):
    n = np.arange(ROWS)
    ledger(
        对方账号=None, 商户类别=[f"类{k % 5}" for k in n], 商户编号=[f"M{k % 31:03d}" for k in n]
    ).to_csv(data / "jy.csv", index=False)
    got = read(propose(data, tmp_path), data)["transactions"]
    assert got["counterparty_id"].nunique() == 31
    assert got["attr_mcc"].nunique() == 5


def test_holders_of_joint_accounts_are_found(data, tmp_path):
    n = np.arange(ROWS)
    ledger(客户号=None, 账号=[f"ACC{k % 20:03d}" for k in n]).to_csv(data / "jy.csv", index=False)
    pd.DataFrame(
        {"account_no": [f"ACC{k:03d}" for k in range(20)], "holder": [f"P{k}" for k in range(20)],
         "opened": ["2023-05-01"] * 20}
    ).to_csv(data / "owners.csv", index=False)  # fmt: skip
    pd.DataFrame(
        {"case_ref": [f"L{k}" for k in range(4)], "account_no": [f"ACC{k:03d}" for k in range(4)],
         "closed_on": ["2024-03-01"] * 4, "result": ["SAR"] * 4}
    ).to_csv(data / "cases.csv", index=False)  # fmt: skip
    result = propose(data, tmp_path)
    # 4 of 20 customers, not 4 of 120 bookings
    cuts = [each.from_probability for each in load_section(result.files["tiers"], TierPolicy).tiers]
    assert cuts == [0.0, 0.2, 0.5]
    got = read(result, data)["transactions"]
    assert set(got["customer_id"]) == {f"P{k}" for k in range(20)}


# --- a law -----------------------------------------------------------------------------------

WORDS = """
客户号 cust_id user account card_id amount 交易金额 date 交易时间 ts is_fraud label 是否违约 status
五级分类 type direction currency country balance month_end default_date loan_amount 证件有效期 id x
select naïve 客户 时间 rate note amount_paid _ 1st
"""
NAMES = st.sampled_from([*WORDS.split(), "a b", "sep="])
CELLS = st.one_of(
    st.sampled_from(
        ["1,200", "850", "(3.5)", "1.5万", "2024-01-05", "03/04/2024", "2024/1/7 上午8:00",
         "45298.5", "长期", "NULL", "", "0", "1", "是", "否", "CNY", "USD", "DE", "中国", "次级",
         "正常", "借",
         "K1", "K2", "C\"x", "'", "1704627300", "20240107", "  7 ", "-", "５", "%", "\\"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=8),
    st.integers(-(10**7), 10**7).map(str),
)  # fmt: skip


@st.composite
def tables(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=8))  # one name may come twice
    pools = [draw(st.lists(CELLS, min_size=1, max_size=6)) for _ in names]
    rows = draw(st.integers(1, 40))
    start = draw(st.integers(0, 5))
    cells = [[pool[(row * 7 + place + start) % len(pool)] for place, pool in enumerate(pools)]
             for row in range(rows)]  # fmt: skip
    return names, cells


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=tables(), other=tables(), delimiter=st.sampled_from([",", ";", "\t"]))
def test_whatever_a_folder_holds_what_is_proposed_reads_or_asks(tmp_path, one, other, delimiter):
    """No exception but KycMlError; a mapping without TODO or GUESS passes check."""
    folder = tmp_path / f"d{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    for name, (header, rows) in (("tx", one), ("客户", other)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as handle:
            csv.writer(handle, delimiter=delimiter).writerows([header, *rows])
    out = tmp_path / f"o{len(list(tmp_path.iterdir()))}"
    try:
        result = run_init(data=folder, out=out, reporter=ProgressReporter())
    except KycMlError:
        return
    marks = {g.certainty for t in result.proposal.tables.values() for g in t.columns.values()}
    try:
        read_source(load_section(result.files["source"], SourceMapping), data=folder)
    except KycMlError:
        refused = any(
            t.quality is None or t.quality.quarantined for t in result.proposal.tables.values()
        )
        assert marks & {"guess", "yours"} or refused or result.proposal.decisions


@pytest.mark.parametrize(
    "name", ["user", "user_id", "card_id", "account", "客户", "会员号", "khid"]
)
def test_whose_booking_it_is_has_many_names(data, tmp_path, name):
    ledger().rename(columns={"客户号": name}).to_csv(data / "jy.csv", index=False)
    got = read(propose(data, tmp_path), data)["transactions"]
    assert set(got["customer_id"]) == {f"K{n:04d}" for n in range(23)}


def test_two_columns_of_one_name_are_the_two_sides_of_a_payment(data, tmp_path):
    draw = np.random.default_rng(4)
    accounts = [f"80000{n:02d}A" for n in range(25)]
    frame = pd.DataFrame(
        {
            "Timestamp": [f"{time:%Y/%m/%d %H:%M}" for time in TIMES],
            "From Bank": draw.integers(1, 9, ROWS),
            "Account": draw.choice(accounts, ROWS),
            "To Bank": draw.integers(1, 9, ROWS),
            "Account ": draw.choice(accounts, ROWS),
            "Amount Paid": draw.integers(100, 9_000, ROWS) / 4,
            "Payment Currency": ["Euro"] * ROWS,
            "Payment Format": draw.choice(["ACH", "Wire"], ROWS),
            "Is Laundering": (np.arange(ROWS) % 10 == 0).astype(int),
        }
    )
    frame.columns = [name.strip() for name in frame.columns]
    frame.to_csv(data / "HI-Small_Trans.csv", index=False)
    (data / "book.xlsx").write_bytes(b"PK")
    result = propose(data, tmp_path)
    got = read(result, data)
    assert got["transactions"]["direction"].value_counts().to_dict() == {"in": ROWS, "out": ROWS}
    assert set(got["cases"]["customer_id"]) <= set(accounts)
    assert result.proposal.base_currency == "EUR"
    assert "Excel" in result.proposal.unused["book.xlsx"]
