"""Times, numbers, names and YAML: the small parts of a proposal, by law and at edges."""

from datetime import datetime, timedelta

import duckdb
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import SourceMapping, parse_section
from kyc_ml.onboarding.proposal.codes import translate
from kyc_ml.onboarding.proposal.finding import find_sources
from kyc_ml.onboarding.proposal.guesses import Guess, MappingProposal, TableProposal
from kyc_ml.onboarding.proposal.mixed_times import find_mixed
from kyc_ml.onboarding.proposal.numbers import read_number
from kyc_ml.onboarding.proposal.samples import open_samples, plain_name
from kyc_ml.onboarding.proposal.times import read_time
from kyc_ml.onboarding.proposal.vocabulary import name_score, normalise
from kyc_ml.onboarding.proposal.writing import write_source

DAYS = [datetime(1999, 3, 27) + timedelta(days=13 * n) for n in range(60)]  # noqa: DTZ001


def desk_of(folder, **columns):
    frame = pd.DataFrame({"row": [f"r{n}" for n in range(60)], **columns})
    frame.to_csv(folder / "t.csv", index=False)
    return open_samples(folder, find_sources(folder))


@pytest.mark.parametrize(
    "form",
    ["%Y%m%d", "%y%m%d", "%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y年%m月%d日",
     "%d-%b-%Y", "%Y%m%d%H%M%S", "%y%m%d %H:%M:%S"],
)  # fmt: skip
def test_a_time_is_read_as_it_was_written(tmp_path, form):
    with desk_of(tmp_path, when=[day.strftime(form) for day in DAYS]) as engine:
        sample = engine.sample("t")
        reading = read_time(sample.column("when"), named=1.0)
        assert reading is not None
        rows = engine.connection.execute(
            f"SELECT TRY_CAST({reading.sql} AS TIMESTAMP) FROM t ORDER BY rowid"
        ).fetchall()
    assert [row[0] for row in rows] == DAYS


def test_a_day_that_may_be_a_month_is_doubted(tmp_path):
    low = [f"{n % 12 + 1:02d}/{n % 11 + 1:02d}/2024" for n in range(60)]
    with desk_of(tmp_path, when=low) as engine:
        sample = engine.sample("t")
        assert "exchanged" in read_time(sample.column("when"), named=1.0).doubt


def test_a_number_without_a_name_is_no_time(tmp_path):
    with desk_of(tmp_path, code=[f"{n % 28 + 960101}" for n in range(60)]) as engine:
        sample = engine.sample("t")
        assert read_time(sample.column("code"), named=0.0) is None


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1.234,50", "-7,25", "12,00"], [1234.5, -7.25, 12.0]),
        (["1,234.50", "7.25", "$ 12.00"], [1234.5, 7.25, 12.0]),
        (["¥1200", "¥7", "¥12"], [1200.0, 7.0, 12.0]),
        (["1200", "7", "12"], [1200.0, 7.0, 12.0]),
    ],
)
def test_numbers_of_other_habits(tmp_path, texts, numbers):
    with desk_of(tmp_path, amount=texts * 20) as engine:
        sample = engine.sample("t")
        reading = read_number(sample.column("amount"))
        got = engine.connection.execute(
            f"SELECT {reading.numeric} FROM t ORDER BY rowid"
        ).fetchall()
    assert [row[0] for row in got[:3]] == numbers


def test_words_are_no_numbers(tmp_path):
    with desk_of(tmp_path, amount=["flat 12", "route 7", "gate 9"] * 20) as engine:
        sample = engine.sample("t")
        assert read_number(sample.column("amount")) is None


def test_cents_are_known_by_their_name_alone(tmp_path):
    with desk_of(tmp_path, amount_cents=[str(150 + n) for n in range(60)]) as engine:
        sample = engine.sample("t")
        reading = read_number(sample.column("amount_cents"), money=True)
        first = engine.one(f"SELECT {reading.sql} FROM t ORDER BY rowid LIMIT 1")
    assert first == (1.5,)
    assert reading.doubt


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("CUST_ID", "customer_id"),
        ("accountNo", "account_id"),
        ("jyje", "amount"),
        ("交易金额(元)", "amount"),
        ("TX_DATETIME", "event_time"),
        ("nameDest", "payee"),
    ],
)
def test_usual_names_are_known(name, role):
    assert name_score(role, normalise(name)) >= 0.6


def test_codes_nobody_can_know_have_no_meaning():
    assert translate("outcome", ("A", "B", "C", "D")) == {}
    assert translate("direction", ("1", "2")) == {}


def test_the_same_letter_means_another_thing_in_pinyin():
    assert translate("direction", ("C", "D")) == {"C": "in", "D": "out"}
    assert translate("direction", ("J", "D")) == {"J": "out", "D": "in"}


@given(
    path=st.text(min_size=1, max_size=20).filter(lambda text: text.strip() == text),
    sql=st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1),
    evidence=st.text(max_size=200),
)
def test_whatever_is_proposed_reads_back(path, sql, evidence):
    shown = "".join(mark for mark in path if mark.isprintable()) or "x"
    guess = Guess(column="amount", sql=sql, certainty="guess", evidence=evidence)
    table = TableProposal(name="transactions", rows=sql, files=(), columns={"amount": guess})
    proposal = MappingProposal(
        name=shown, timezone="UTC", timezone_evidence=evidence, base_currency="XXX",
        currency_evidence=evidence, samples=(), tables={"transactions": table},
        unused={path: evidence}, decisions=[evidence],
    )  # fmt: skip
    text = write_source(proposal).replace("files:\n", "files:\n  f: {path: f, format: csv}\n", 1)
    mapping = parse_section(text, SourceMapping, subject="x")
    assert mapping.name == shown
    assert mapping.tables["transactions"].columns == {"amount": sql}
    assert mapping.tables["transactions"].from_ == sql


def test_names_that_sql_reserves_are_quoted():
    words = duckdb.sql(
        "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    ).fetchall()
    assert len(words) > 50
    for (word,) in words:
        if word == "time":  # a plain column all the same
            continue
        assert plain_name(word) == f'"{word}"'
    assert [plain_name(name) for name in ("date", "time", "Amount")] == ["date", "time", "Amount"]


@pytest.mark.parametrize(
    "code",
    ["NOT FRAUD", "Not-Fraud", "NO FRAUD", "non fraud", "isn't fraud", "CONFIRMED NOT FRAUD",
     "CONFIRMED GENUINE", "FRAUD - FALSE ALARM", "fraud rejected", "Suspected fraud",
     "FRAUD UNCONFIRMED", "fraud pending", "非欺诈", "未确认欺诈", "无可疑", "排除可疑", "未违约",
     "no SAR filed", "not defaulted", "not suspicious"],
)  # fmt: skip
def test_a_denied_allegation_is_never_taken_for_one(code):
    assert translate("outcome", (code,)).get(code, "cleared") == "cleared"


@pytest.mark.parametrize(
    "code",
    [
        "NOT CLEARED",
        "not paid",
        "NOT CONFIRMED FRAUD",
        "未确认欺诈",
        "不正常",
        "未结清",
        "not legitimate",
    ],
)
def test_a_denied_clearance_is_left_to_the_user(code):
    assert translate("outcome", (code,)) == {}


@pytest.mark.parametrize(
    ("code", "word"),
    [("FRAUD", "confirmed_fraud"), ("confirmed_fraud", "confirmed_fraud"),
     ("SAR filed", "str_filed"),
     ("no_action", "cleared"), ("False alarm", "cleared"), ("Charged Off", "default"),
     ("NOT FRAUD", "cleared"), ("确认欺诈", "confirmed_fraud"), ("in progress", "open")],
)  # fmt: skip
def test_a_plain_outcome_is_known(code, word):
    assert translate("outcome", (code,)) == {code: word}


SHORT, CLOCKED, DIGITS = "%Y/%-m/%-d", "%Y/%-m/%-d %-H:%M", "%Y%m%d"


def written(*forms):
    """Write the days in turn in each form; a form with a clock has a time of day."""
    times = [day + timedelta(hours=9, minutes=7) for day in DAYS]
    shown = [time.strftime(forms[n % len(forms)]) for n, time in enumerate(times)]
    clocked = ["%H" in forms[n % len(forms)] or "%-H" in forms[n % len(forms)] for n in range(60)]
    return shown, [t if own else d for t, d, own in zip(times, DAYS, clocked, strict=True)]


@pytest.mark.parametrize(
    "forms",
    [
        (DIGITS, SHORT, CLOCKED),
        ("%Y-%m-%d %H:%M:%S", DIGITS),
        ("%d/%m/%Y", DIGITS),
        ("%m/%d/%Y", "%Y-%m-%d"),
        ("%Y年%m月%d日", "%Y-%m-%dT%H:%M:%S", "%Y%m%d%H%M%S"),
    ],
)
def test_forms_that_exclude_each_other_are_read_each_in_its_own(tmp_path, forms):
    shown, expected = written(*forms)
    with desk_of(tmp_path, when=shown) as engine:
        sample = engine.sample("t")
        reading = read_time(sample.column("when"), named=1.0)
        assert reading is not None
        rows = engine.connection.execute(f"SELECT {reading.sql} FROM t ORDER BY rowid").fetchall()
    assert [row[0] for row in rows] == expected
    assert reading.sql.count("try_strptime") == len(forms)
    assert f"{1 / len(forms):.0%}" in reading.form
    assert "mixes" in reading.doubt


def test_an_order_of_day_and_month_that_no_value_decides_is_doubted(tmp_path):
    low = [f"{n % 12 + 1:02d}/{n % 11 + 1:02d}/2024" if n % 2 else "20240407" for n in range(60)]
    with desk_of(tmp_path, when=low) as engine:
        sample = engine.sample("t")
        assert "exchanged" in read_time(sample.column("when"), named=1.0).doubt


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["13/02/2024", "02/13/2024", "20240407"], "dd/mm/yyyy and mm/dd/yyyy contradict"),
        (["20240407", "2024/3/5", "soon, we hope"], " 33%"),
    ],
)
def test_forms_that_contradict_or_do_not_suffice_are_told_and_not_read(tmp_path, values, told):
    with desk_of(tmp_path, when=values * 20) as engine:
        sample = engine.sample("t")
        column = sample.column("when")
        assert read_time(column, named=1.0) is None
        found = find_mixed(column, named=1.0)
    assert found is not None
    assert not found.sql
    assert told in f"{found.form}; {found.doubt}"


@pytest.mark.parametrize(
    "values",
    [["20240407", "2024111", "2024/3/5"], ["A20240407", "K000001", "Z000002"],
     ["1234.50", "12.1", "7.25"], ["10.12.2", "10.0.0.1", "1.2.3"]],
)  # fmt: skip
def test_what_is_no_mixture_of_times_is_none(tmp_path, values):
    with desk_of(tmp_path, when=values * 20) as engine:
        sample = engine.sample("t")
        assert read_time(sample.column("when"), named=1.0) is None


def test_digits_of_two_lengths_need_a_name(tmp_path):
    shown, _ = written(DIGITS, "%Y%m%d%H%M%S")
    with desk_of(tmp_path, when=shown) as engine:
        sample = engine.sample("t")
        assert read_time(sample.column("when"), named=0.0) is None
        assert read_time(sample.column("when"), named=0.9) is not None
