"""What a user's folder can hold: each bad input is named, with its cure and no value."""

import gzip
import hashlib
import re

import duckdb
import pandas as pd
import pytest

from kyc_ml.config import SourceMapping
from kyc_ml.contract.source import read_source
from kyc_ml.errors import ContractError, SourceError

CSV = "id,who,day,value\n" + "".join(f"t{i},c{i},2024-01-0{i + 1},{i}.5\n" for i in range(4))
COLUMNS = {"transaction_id": "id", "customer_id": "who", "event_time": "day", "amount": "value"}


def mapping(*, files=None, tables=None, columns=None, share=1.0, **table):
    table = {"from": "tx", "columns": {**COLUMNS, **(columns or {})}, **table}
    return SourceMapping.model_validate(
        {
            "name": "bank",
            "base_currency": "CNY",
            "max_quarantined_share": share,
            "files": {"tx": {"path": "tx.csv", "format": "csv"}} | (files or {}),
            "tables": {"transactions": table} | (tables or {}),
        }
    )


def file(path, kind, **more):
    return {"tx": {"path": path, "format": kind, **more}}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "tx.csv").write_text(CSV)
    return folder


def frame():
    rows = {"id": ["a", "b"], "who": ["c", "d"], "day": ["2024-01-01", "2024-01-02"]}
    return pd.DataFrame(rows).assign(value=[1.0, 2.0])


def read(mapped, data, **options):
    return read_source(mapped, data=data, **options)


def fault(mapped, data, **options):
    with pytest.raises(SourceError) as caught:
        read(mapped, data, **options)
    return str(caught.value)


def amounts(source):
    return source.accepted.tables["transactions"]["amount"].to_pylist()


def test_csv_reads_with_the_digest_of_its_file(data):
    source = read(mapping(), data)
    assert amounts(source) == [0.5, 1.5, 2.5, 3.5]
    assert source.accepted.digests == {"tx.csv": hashlib.sha256(CSV.encode()).hexdigest()}


@pytest.mark.parametrize("kind", ["parquet", "json", "ndjson", "duckdb", "csv.gz"])
def test_other_formats_read_alike(data, kind):
    path = data / f"other.{kind}"
    source = {"path": path.name, "format": kind}
    if kind == "parquet":
        frame().to_parquet(path)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(frame().to_csv(index=False).encode()))
        source["format"] = "csv"
    elif kind == "duckdb":
        with duckdb.connect(path) as connection:
            connection.execute(
                "CREATE SCHEMA core; CREATE TABLE core.tx AS SELECT * FROM (VALUES "
                "('a', 'c', '2024-01-01', 1), ('b', 'd', '2024-01-02', 2)) t(id, who, day, value)"
            )
        source["table"] = "core.tx"
    else:
        frame().to_json(path, orient="records", lines=kind == "ndjson")
        source["format"] = "json"
    assert amounts(read(mapping(files={"tx": source}), data)) == [1.0, 2.0]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_pattern_reads_several_files_in_any_order(data, kind):
    write = {"csv": "to_csv", "parquet": "to_parquet"}[kind]
    for day in (0, 1):
        getattr(frame().iloc[[1 - day]], write)(data / f"day{day}.{kind}", index=False)
    source = read(mapping(files=file(f"day*.{kind}", kind)), data)
    assert amounts(source) == [1.0, 2.0]
    assert list(source.accepted.digests) == [f"day0.{kind}", f"day1.{kind}"]


def test_files_of_a_pattern_that_differ_are_refused(data):
    frame().to_csv(data / "day0.csv", index=False)
    frame().drop(columns="value").to_csv(data / "day1.csv", index=False)
    assert re.search(
        r"'day1\.csv'.*\b3\b.*\b4\b", fault(mapping(files=file("day*.csv", "csv")), data)
    )
    frame().to_parquet(data / "day0.parquet")
    frame().drop(columns="value").to_parquet(data / "day1.parquet")
    text = fault(mapping(files=file("day*.parquet", "parquet")), data)
    assert "'day1.parquet'" in text


def test_all_faults_are_listed_at_once(data):
    (data / "empty.csv").touch()
    (data / "cut.parquet").write_bytes(b"PAR1 and no more")
    mapped = mapping(
        files={
            "gone": {"path": "tx.cvs", "format": "csv"},
            "empty": {"path": "empty.csv", "format": "csv"},
            "cut": {"path": "cut.parquet", "format": "parquet"},
            "up": {"path": "../x.csv", "format": "csv"},
        },
        columns={"amount": "vlaue", "amont": "value"},
        tables={"cases": {"from": "tx", "columns": {"case_id": "id"}}},
    )
    text = fault(mapped, data)
    for expected in (
        "'tx.cvs'",
        "'empty.csv'",
        "'cut.parquet'",
        "'../x.csv'",
        "'amont'",
        "'vlaue'",
        "'outcome'",
    ):
        assert expected in text


def test_a_missing_data_folder_is_named(data):
    assert "'data'" in fault(mapping(), data.parent / "dta")


def test_only_the_tables_asked_for_need_their_files(data):
    cases = {"case_id": "id", "customer_id": "who", "event_time": "day", "outcome": "'cleared'"}
    mapped = mapping(
        files={"k": {"path": "gone.csv", "format": "csv"}},
        tables={"cases": {"from": "k", "columns": cases}},
    )
    assert set(read(mapped, data, tables=["transactions"]).accepted.tables) == {"transactions"}
    assert "'gone.csv'" in fault(mapped, data)
    assert "'cases'" in fault(mapped, data, tables=["case"])


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("t9,c9\n", "malformed"),
        ("t9,c9,2024-01-01,1,1\n", "malformed"),
        ('"t9"x,c9,2024-01-01,1\n', "malformed"),
        ("t9,caf\xe9,2024-01-01,1\nt8,c8,2024-01-01,1\n", "encoding"),
        (f"t9,{'x' * 2_500_000},2024-01-01,1\n", "malformed"),
    ],
    ids=["short", "long", "quote", "latin-1", "huge"],
)
def test_a_malformed_line_is_quarantined_not_lost(data, lines, reason):
    (data / "tx.csv").write_bytes(CSV.encode() + lines.encode("latin-1"))
    source = read(mapping(), data)
    quarantine = source.quarantine
    [[found]] = quarantine["reasons"].to_pylist()
    assert reason in found
    assert quarantine["line"].to_pylist() == [6]
    assert quarantine["file"].to_pylist() == ["tx.csv"]
    quality = source.accepted.quality.table("transactions")
    assert quality.read == CSV.count("\n") - 1 + lines.count("\n")
    with pytest.raises(ContractError, match=f"{found}: 1 "):
        read(mapping(share=0.1), data)


@pytest.mark.parametrize("follow", [5, 1_200_000])
def test_a_quote_that_is_never_closed_loses_no_line_in_silence(data, follow):
    (data / "tx.csv").write_text(CSV + 't5,"c5,2024-01-01,1\n' + "t,c,2024-01-01,1\n" * follow)
    assert "closed" in fault(mapping(), data)


def test_quoted_line_breaks_and_blank_lines_are_fine(data):
    (data / "tx.csv").write_bytes(
        b'\xef\xbb\xbfid,who,day,value\r\n\r\n"a\n1","c ""x""",2024-01-01,1\r\n\r\nb,c,2024-01-01,2'
    )
    table = read(mapping(), data).accepted.tables["transactions"]
    assert table["transaction_id"].to_pylist() == ["a\n1", "b"]
    assert table["customer_id"].to_pylist() == ['c "x"', "c"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CSV.replace("\n", "\r\n", 2).encode(), "ending"),
        ("id,姓名\n1,2\n".encode("gbk"), "encoding: gb18030"),
        (CSV.encode("utf-16-be"), "utf-16-be"),
        (b"\n" + CSV.encode(), "empty"),
        (CSV.encode().splitlines(keepends=True)[0], "table 'transactions': 0 rows"),
        (CSV.replace(",", ";").encode(), "delimiter: ';'"),
        (CSV.replace(",", "\t").encode(), r"'id\twho\t…'"),
        (b"id|who\n1|2\n", "delimiter: '|'"),
    ],
    ids=["line endings", "gbk", "utf-16", "empty line", "header only", "semicolon", "tab", "bar"],
)
def test_a_csv_that_cannot_be_read_as_it_should_is_refused(data, content, expected):
    (data / "tx.csv").write_bytes(content)
    assert expected in fault(mapping(), data)


def test_a_wrong_delimiter_is_one_fault_and_shows_no_value(data):
    (data / "tx.csv").write_text(CSV.replace(",", ";"))
    assert fault(mapping(), data).count("\n  - ") == 1
    (data / "tx.csv").write_text("K0001;Surname;1971-02-03\n")
    told = fault(mapping(), data)
    assert "delimiter: ';'" in told
    assert "K0001" not in told
    assert "Surname" not in told


def test_a_delimiter_other_than_the_files_own_is_told_from_a_quoted_name(data):
    (data / "tx.csv").write_text(CSV)
    told = fault(mapping(files=file("tx.csv", "csv", delimiter=";")), data)
    assert "delimiter: ','" in told
    (data / "tx.csv").write_text('"id;who"\na\n')
    assert "delimiter" not in fault(mapping(), data)


def test_malformed_json_names_the_line_and_no_value(data):
    (data / "x.json").write_text('{"id": "a"}\n{"id": Secret}\n')
    text = fault(mapping(files=file("x.json", "json")), data)
    assert re.search(r"JSON.*\b2\b.*'x\.json'", text)
    assert "Secret" not in text


def test_truncated_parquet_is_refused(data):
    frame().to_parquet(data / "x.parquet")
    whole = (data / "x.parquet").read_bytes()
    (data / "x.parquet").write_bytes(whole[: len(whole) // 2])
    text = fault(mapping(files=file("x.parquet", "parquet")), data)
    assert re.search(r"'x\.parquet'.*Parquet", text)
    # A sound footer over damaged pages.
    damaged = whole[:4] + bytes(len(whole) // 4) + whole[4 + len(whole) // 4 :]
    (data / "x.parquet").write_bytes(damaged)
    text = fault(mapping(files=file("x.parquet", "parquet")), data)
    assert "rows" in text or "truncated" in text


def test_a_duckdb_file_without_the_table_names_the_near_miss(data):
    with duckdb.connect(data / "b.duckdb") as connection:
        connection.execute("CREATE TABLE bookings (id TEXT)")
    text = fault(mapping(files=file("b.duckdb", "duckdb", table="booking")), data)
    assert "'booking'" in text
    (data / "b.duckdb").write_bytes(b"no database at all" * 1000)
    text = fault(mapping(files=file("b.duckdb", "duckdb", table="booking")), data)
    assert "'b.duckdb'" in text


@pytest.mark.parametrize("folder", ["", "四".encode("gbk").decode(errors="surrogateescape")])
def test_a_name_that_is_not_utf_8_is_named(data, folder):
    """As an archive of another encoding unpacks; DuckDB could not open it."""
    path = data / folder / ("x.csv" if folder else "\udcff.csv")
    path.parent.mkdir(exist_ok=True)
    path.write_text(CSV)
    said = fault(mapping(files=file("*/x.csv" if folder else "*.csv", "csv")), data)
    assert "\\udc" in said
    said.encode()


def test_a_link_out_of_the_folder_is_refused(data, tmp_path):
    (tmp_path / "secret.csv").write_text(CSV)
    (data / "link.csv").symlink_to(tmp_path / "secret.csv")
    assert "'link.csv'" in fault(mapping(files=file("link.csv", "csv")), data)


ATTACKS = [
    "1; DROP TABLE tx",
    "1); DROP TABLE tx; SELECT (1",
    "id) AS a, (who",
    "(SELECT content FROM read_text('/etc/passwd'))",
    "(SELECT any_value(id) FROM read_csv('other.csv'))",
    "$1",
    "id /*",
    "",
]


@pytest.mark.parametrize(
    ("place", "attack"),
    [
        *(("column", attack) for attack in [*ATTACKS, "COLUMNS(*)", "max(value)"]),
        *(("where", attack) for attack in ATTACKS),
        *(("from", attack) for attack in ["tx; DROP TABLE tx", "read_text('/etc/passwd')", "pg_x"]),
    ],
)
def test_sql_that_is_not_one_expression_over_the_files_is_refused(data, place, attack):
    (data / "other.csv").write_text(CSV)
    mapped = (
        mapping(columns={"customer_id": attack})
        if place == "column"
        else mapping(**{place: attack})
    )
    fault(mapped, data)
    assert (data / "tx.csv").read_text() == CSV


def test_a_column_named_as_a_word_of_sql_gets_the_cure(data):
    (data / "tx.csv").write_text(CSV.replace("day", "at"))
    text = fault(mapping(columns={"event_time": "at"}), data)
    assert re.search("'event_time'.*SQL.*\"at\"", text)
    assert len(amounts(read(mapping(columns={"event_time": '"at"'}), data))) == 4


def test_names_in_a_mapping_are_quoted(data):
    name = 'tx"; DROP TABLE x; --'
    quoted = '"tx""; DROP TABLE x; --"'
    mapped = mapping(
        files={name: {"path": "tx.csv", "format": "csv"}},
        **{"from": f"{quoted} -- a comment", "where": "value <> '0.5' -- another"},
    )
    assert amounts(read(mapped, data)) == [1.5, 2.5, 3.5]


def test_rows_may_come_from_joins_and_sub_selects(data):
    (data / "who.csv").write_text("who;country\nc0;CN\nc1;FR\n")
    mapped = mapping(
        files={"people": {"path": "who.csv", "format": "csv", "delimiter": ";"}},
        columns={"country": "people.country"},
        **{"from": "(SELECT * FROM tx) AS t JOIN people USING (who)"},
    )
    table = read(mapped, data).accepted.tables["transactions"]
    assert table["country"].to_pylist() == ["CN", "FR"]


def test_an_expression_that_fails_on_a_row_costs_that_row_alone(data):
    (data / "tx.csv").write_text(CSV + "t9,c9,05.01.2024,Secret\n")
    mapped = mapping(columns={"amount": "CAST(value AS DOUBLE)", "event_time": "CAST(day AS DATE)"})
    source = read(mapped, data)
    assert amounts(source) == [0.5, 1.5, 2.5, 3.5]
    assert source.quarantine["reasons"].to_pylist() == [
        ["event_time: the expression fails", "amount: the expression fails"]
    ]


def test_rows_that_cannot_be_computed_are_refused_without_their_values(data):
    (data / "tx.csv").write_text(CSV + "t9,c9,2024-01-01,Secret\n")
    text = fault(mapping(where="CAST(value AS DOUBLE) >= 0"), data)
    assert "'transactions'" in text
    assert "Secret" not in text


def test_an_empty_optional_table_is_a_warning(data):
    cases = {"case_id": "id", "customer_id": "who", "event_time": "day", "outcome": "'cleared'"}
    mapped = mapping(tables={"cases": {"from": "tx", "where": "false", "columns": cases}})
    source = read(mapped, data)
    assert source.accepted.tables["cases"].num_rows == 0
    assert [(f.table, f.rule) for f in source.accepted.quality.warnings] == [("cases", "no row")]


def test_a_mapping_without_transactions_is_warned_of(data):
    customers = {"customer_id": "id", "event_time": "day"}
    mapped = mapping(tables={"customers": {"from": "tx", "columns": customers}})
    without = mapped.model_copy(update={"tables": {"customers": mapped.tables["customers"]}})
    (found,) = read(without, data).accepted.quality.warnings
    assert (found.table, found.rule, found.count) == ("transactions", "not mapped", 0)
    assert "unit" in found.cure
    assert "behaviour" in found.cure
    chosen = read_source(mapped, data=data, tables=["customers"]).accepted
    assert not chosen.quality.warnings  # mapped, and left out on purpose


def test_a_currency_that_names_none_is_warned_of(data):
    mapped = mapping().model_copy(update={"base_currency": "XXX"})
    (found,) = read(mapped, data).accepted.quality.warnings
    assert (found.table, found.column) == ("transactions", "amount")
    assert found.count == len(read(mapped, data).accepted.tables["transactions"])
    assert "base_currency XXX" in found.rule
    assert "ISO 4217" in found.cure


@pytest.mark.parametrize(
    "sql",
    ["CASE WHEN value IN ('A', 'B') THEN 'TODO' ELSE 'cleared' END",
     "CASE value\nWHEN '1' THEN 'cleared' else\n'TODO' END", "'TODO'"],
)  # fmt: skip
def test_what_the_user_has_still_to_decide_is_told_before_a_row_is_read(data, sql):
    cases = {"case_id": "id", "customer_id": "who", "event_time": "day", "outcome": sql}
    text = fault(mapping(tables={"cases": {"from": "tx", "columns": cases}}), data)
    assert "1 fault" in text
    assert re.search("'cases'.*'outcome'.*'TODO'", text)
    assert "confirmed_fraud, str_filed" in text


def test_a_code_of_the_users_own_may_be_called_todo(data):
    cases = {"case_id": "id", "customer_id": "who", "event_time": "day", "typology": "'TODO'"}
    cases["outcome"] = "CASE WHEN value IN ('TODO') THEN 'open' ELSE 'cleared' END"
    source = read(mapping(tables={"cases": {"from": "tx", "columns": cases}}), data)
    assert set(source.accepted.tables["cases"]["typology"].to_pylist()) == {"TODO"}


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("random()", "random"),
        ("NOW()", "now"),
        ("current_date", "current_date"),
        ("today()", "today"),
        ("CAST(uuid() AS VARCHAR)", "uuid"),
        ("age(CAST(day AS TIMESTAMP))", "age"),
        ("(SELECT max(value) FROM tx TABLESAMPLE 10%)", "REPEATABLE"),
        ("CAST(main.gen_random_uuid() AS VARCHAR)", "gen_random_uuid"),
        ("(SELECT r FROM query('SELECT random() AS r'))", "query"),
        ("(SELECT max(value) FROM Query_Table('tx'))", "query_table"),
        ("(SELECT any_value(value) FROM duckdb_settings())", "duckdb_settings"),
        ("current_localtimestamp()", "current_localtimestamp"),
        ("ago(INTERVAL 1 DAY)", "ago"),
        (f"{'(' * 450}value{'+1)' * 450}", "transactions"),
    ],
)
@pytest.mark.parametrize("place", ["column", "where"])
def test_what_gives_another_value_each_time_is_refused_by_name(data, place, sql, named):
    changed = (
        mapping(columns={"customer_id": sql})
        if place == "column"
        else mapping(where=f"({sql}) IS NOT NULL")
    )
    assert named in fault(changed, data)


def test_a_column_may_have_the_name_of_a_clock_and_two_times_have_an_age(data):
    (data / "tx.csv").write_text(CSV.replace("day", "current_date"))
    mapped = mapping(
        columns={"event_time": 'CAST("current_date" AS DATE)', "customer_id": "trim(who)"},
        where="age(TIMESTAMP '2024-02-01', TIMESTAMP '2024-01-01') > INTERVAL 1 DAY",
    )
    assert len(amounts(read(mapped, data))) == 4
