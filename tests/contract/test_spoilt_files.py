"""Files as people have them: each is read rightly, or refused with what it is and the cure."""

import bz2
import gzip
import io
import lzma
import re
import subprocess
import sys
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kyc_ml.config import SourceMapping
from kyc_ml.contract import made_names, packing, parquet_files
from kyc_ml.contract.source import digest_source, read_source, store_source
from kyc_ml.errors import ContractError, NotReadyError, SourceError

CSV = "id,who,day,value\n" + "".join(f"t{i},客{i},2024-01-0{i + 1},{i}.5\n" for i in range(4))
COLUMNS = {"transaction_id": "id", "customer_id": "who", "event_time": "day", "amount": "value"}
AMOUNTS = [0.5, 1.5, 2.5, 3.5]


def mapping(path="tx.csv", kind="csv", *, sql=None, share=1.0, timezone="UTC", **keys):
    columns = {**COLUMNS, **(sql or {})}
    return SourceMapping.model_validate(
        {
            "name": "bank",
            "base_currency": "CNY",
            "timezone": timezone,
            "max_quarantined_share": share,
            "files": {"tx": {"path": path, "format": kind, **keys}},
            "tables": {"transactions": {"from": "tx", "columns": columns}},
        }
    )


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def write(data, content, name="tx.csv"):
    path = data / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(mapped, data):
    return read_source(mapped, data=data).accepted.tables["transactions"]


def amounts(mapped, data):
    return table(mapped, data)["amount"].to_pylist()


def fault(mapped, data):
    with pytest.raises(SourceError) as caught:
        read_source(mapped, data=data)
    return str(caught.value)


def zipped(*members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def zstd(content):
    return pa.compress(content, codec="zstd", asbytes=True)


def pack_lz4(content):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as out:
        out.write(content)
    return sink.getvalue().to_pybytes()


class TestEncoding:
    @pytest.mark.parametrize(
        "encoding", ["gb18030", "gbk", "GB2312", "big5hkscs", "utf-16-le", "utf-16-be", "utf-7"]
    )
    def test_a_declared_encoding_is_read(self, data, encoding):
        write(data, CSV.replace("客", "汉字").encode(encoding))
        read = table(mapping(encoding=encoding), data)
        assert read["amount"].to_pylist() == AMOUNTS
        assert read["customer_id"].to_pylist() == [f"汉字{i}" for i in range(4)]

    @pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp037", "iso-8859-15"])
    def test_a_western_encoding_is_read(self, data, encoding):
        write(data, CSV.replace("客", "é").encode(encoding))
        assert table(mapping(encoding=encoding), data)["customer_id"][0].as_py() == "é0"

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
    def test_a_byte_order_mark_is_enough(self, data, encoding):
        write(data, CSV.encode(encoding))
        for declared in (None, encoding):
            read = table(mapping(encoding=declared), data)
            assert read["customer_id"].to_pylist() == [f"客{i}" for i in range(4)]

    @pytest.mark.parametrize(
        ("content", "declared", "expected"),
        [
            (CSV.replace("who", "客户").encode("gbk"), None, "encoding: gb18030"),
            (CSV.replace("客", "").replace("who", "présent").encode("cp1252"), None, "cp1252"),
            (CSV.encode("utf-16-be"), None, "utf-16-be"),
            (CSV.encode("utf-16-le"), None, "utf-16-le"),
            (CSV.encode("utf-8-sig"), "gb18030", "utf-8"),
            (CSV.encode("utf-16"), "utf-8", "utf-16"),
            (("客" * 60 + CSV).encode(), "gb18030", "UTF-8"),
            (CSV.encode("utf-16")[:-1], "utf-16", "utf-16"),
        ],
    )
    def test_any_other_encoding_is_refused_with_the_line_to_write(
        self, data, content, declared, expected
    ):
        write(data, content)
        assert expected in fault(mapping(encoding=declared), data)

    def test_a_line_of_another_encoding_costs_itself_alone(self, data):
        bad = b"t9,\xff\xff,2024-01-05,9\n"
        write(data, CSV.encode("gb18030") + bad + "t8,客,2024-01-05,8\n".encode("gb18030"))
        source = read_source(mapping(encoding="gb18030"), data=data)
        assert source.accepted.tables["transactions"]["amount"].to_pylist() == [*AMOUNTS, 8.0]
        assert source.quarantine["line"].to_pylist() == [6]
        assert source.quarantine["reasons"].to_pylist() == [["not text of the file's encoding"]]

    def test_rows_of_another_encoding_below_an_ascii_header_name_the_cure(self, data):
        write(data, CSV.encode("gbk"))
        assert "`encoding`" in fault(mapping(), data)
        write(data, (CSV + "t9,x,2024-01-09,9\n").encode("gbk"))
        with pytest.raises(ContractError, match="encoding: gb18030"):
            read_source(mapping(share=0.5), data=data)

    def test_json_has_an_encoding_too(self, data):
        record = '{"id": "a", "who": "客", "day": "2024-01-01", "value": 1}\n'
        for encoding in ("gb18030", "utf-16"):
            write(data, record.encode(encoding), "tx.json")
            read = table(mapping("tx.json", "json", encoding=encoding), data)
            assert read["customer_id"].to_pylist() == ["客"]
        write(data, record.encode("gbk"), "tx.json")
        assert "encoding: gb18030" in fault(mapping("tx.json", "json"), data)


class TestPacking:
    @pytest.mark.parametrize(
        ("name", "pack"),
        [
            ("tx.csv.gz", gzip.compress),
            ("tx.CSV.GZ", gzip.compress),
            ("tx.csv", gzip.compress),
            ("tx.csv.gz", lambda content: gzip.compress(gzip.compress(content))),
            ("tx.csv.gz", lambda content: content),
            (
                "tx.csv.gz",
                lambda content: gzip.compress(content[:50]) + gzip.compress(content[50:]),
            ),
            ("tx.csv.zst", zstd),
            ("tx.csv.gz", zstd),
            ("tx.csv.bz2", bz2.compress),
            ("tx.csv.xz", lzma.compress),
            ("tx.csv.lz4", pack_lz4),
            ("tx.zip", lambda content: zipped(("tx.csv", content))),
            ("tx.zip", lambda content: zipped(("a/", b""), ("a/tx.csv", content))),
            ("tx.zip", lambda content: zipped(("tx.csv.gz", gzip.compress(content)))),
        ],
    )
    def test_a_file_is_unpacked_as_its_bytes_say_not_its_name(self, data, name, pack):
        path = write(data, pack(CSV.encode()), name)
        assert amounts(mapping(path.name), data) == AMOUNTS

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (zipped(("a.csv", CSV), ("b.csv", CSV)), "2 files"),
            (zipped(), "zip"),
            (zipped(("xl/workbook.xml", "<x/>")), "Excel"),
            (b"\xd0\xcf\x11\xe0" + bytes(600), "Excel"),
            (b"Rar!\x1a\x07\x00" + bytes(60), "rar"),
            (gzip.compress(zipped(("a.csv", CSV))), "packed"),
            (gzip.compress(CSV.encode())[:-9], "gzip"),
            (gzip.compress(CSV.encode())[:-6] + b"\0\0\0\0\0\0", "damaged"),
            (gzip.compress(CSV.encode()) + b"junk", "damaged"),
            (zstd(CSV.encode())[:-9], "zstd"),
            (lzma.compress(CSV.encode())[:-9], "xz"),
            (bz2.compress(CSV.encode())[:-9], "bzip2"),
            (zipped(("tx.csv", CSV))[:-9], "zip"),
            (b"SQLite format 3\x00" + bytes(60), "SQLite"),
        ],
        # packed bytes hold the second they were packed in: two processes would name tests apart
        ids=lambda value: "" if isinstance(value, bytes) else None,
    )
    @pytest.mark.parametrize("name", ["tx.csv", "tx.csv.gz"])
    def test_what_cannot_be_unpacked_without_doubt_is_named(self, data, content, expected, name):
        write(data, content, name)
        assert expected in fault(mapping(name), data)

    def test_more_layers_than_anybody_packs_are_refused(self, data):
        content = CSV.encode()
        for _ in range(4):
            content = gzip.compress(content)
        write(data, content)
        assert re.search(r"\b3\b times", fault(mapping(), data))

    @pytest.mark.parametrize("name", ["tx.csv.gz", "tx.csv", "tx.json.gz"])
    def test_a_file_that_unpacks_beyond_measure_is_refused(self, data, name, monkeypatch):
        monkeypatch.setattr(packing, "_ALWAYS_UNPACKED", 1 << 16)
        kind = "json" if "json" in name else "csv"
        write(data, gzip.compress(CSV.encode() + b"t,c,2024-01-01,1\n" * 100_000), name)
        assert re.search(r"\b200\b times", fault(mapping(name, kind), data))

    def test_parquet_and_json_are_unpacked_too(self, data):
        rows = pa.table({"id": ["a"], "who": ["c"], "day": ["2024-01-01"], "value": [1.0]})
        sink = io.BytesIO()
        pq.write_table(rows, sink)
        write(data, zipped(("tx.parquet", sink.getvalue())), "tx.zip")
        assert amounts(mapping("tx.zip", "parquet"), data) == [1.0]
        write(data, zstd(b'{"id":"a","who":"c","day":"2024-01-01","value":1}'), "tx.json")
        assert amounts(mapping("tx.json", "json"), data) == [1.0]

    def test_digests_are_of_the_files_as_they_came_and_copies_are_removed(self, data, tmp_path):
        write(data, gzip.compress(CSV.encode("utf-16")))
        scratch, folder = tmp_path / "scratch", tmp_path / "out"
        scratch.mkdir()
        stored = store_source(
            mapping(), data=data, folder=folder, quarantine=tmp_path / "q", scratch=scratch
        )
        assert stored.digests == digest_source(mapping(), data=data)
        assert not list(scratch.iterdir())


class TestLines:
    @pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
    @pytest.mark.parametrize("last", [True, False])
    def test_every_kind_of_line_end_is_read(self, data, end, last):
        text = (CSV if last else CSV[:-1]).replace("\n", end)
        write(data, text)
        assert amounts(mapping(), data) == AMOUNTS

    def test_lines_that_end_with_cr_alone_are_counted(self, data):
        write(data, (CSV + 't9,"c,2024-01-05,9\nt8,c,2024-01-05,8\n').replace("\n", "\r"))
        assert "closed" in fault(mapping(), data)
        write(data, (CSV + '"t\n9",c,2024-01-05,9\n').replace("\n", "\r"))
        assert amounts(mapping(), data) == [*AMOUNTS, 9.0]

    @pytest.mark.parametrize("first", ["x" * 140_000, "x" * 1_000_001, '"' + "x," * 80_000 + '"'])
    def test_a_first_line_without_end_is_no_table(self, data, first):
        write(data, first + "\n1\n")
        assert "text" in fault(mapping(), data)

    def test_excels_line_that_names_the_delimiter_is_skipped(self, data):
        for line in ("sep=;\n", '"sep=;"\r\n', "\ufeffsep=;\n"):
            end = "\r\n" if "\r" in line else "\n"
            write(data, line + CSV.replace(",", ";").replace("\n", end) + f"t9;c9{end}")
            source = read_source(mapping(delimiter=";"), data=data)
            assert source.accepted.tables["transactions"]["amount"].to_pylist() == AMOUNTS
            assert source.quarantine["line"].to_pylist() == [7]
        assert "delimiter: ';'" in fault(mapping(), data)
        write(data, ("sep=;\n" + CSV.replace(",", ";")).encode("utf-16"))
        assert amounts(mapping(delimiter=";"), data) == AMOUNTS

    def test_lines_above_the_table_are_skipped_and_counted(self, data):
        write(data, 'a "title, with a quote\n\n' + CSV + "t9\n")
        source = read_source(mapping(skip=2), data=data)
        assert source.accepted.tables["transactions"]["amount"].to_pylist() == AMOUNTS
        assert source.quarantine["line"].to_pylist() == [8]
        assert "99" in fault(mapping(skip=99), data)

    def test_a_file_without_a_header_is_read_by_the_names_of_the_mapping(self, data):
        write(data, CSV.split("\n", 1)[1])
        names = ["id", "who", "day", "value"]
        assert amounts(mapping(header=False, columns=names), data) == AMOUNTS
        told = fault(mapping(header=False, columns=names[:2]), data)
        assert re.search("4 columns.*`columns`.* 2", told)
        write(data, "a title\n" + CSV)  # names of the file itself, replaced
        assert amounts(mapping(header=False, columns=names, skip=2), data) == AMOUNTS

    @pytest.mark.parametrize(("header", "cells"), [("id,who,day,value,more", 4), ("id,who,day", 4)])
    def test_rows_of_another_length_than_the_header_are_said_to_be_so(self, data, header, cells):
        write(data, header + "\n" + CSV.split("\n", 1)[1])
        told = fault(mapping(), data)
        assert f"names {header.count(',') + 1} columns" in told
        assert re.search(rf" 4 .* {cells}\)", told)
        assert "客" not in told

    def test_a_pattern_whose_files_order_their_columns_unlike_is_refused(self, data):
        write(data, CSV, "tx1.csv")
        write(data, "who,id,day,value\nc,t9,2024-01-09,9\n", "tx2.csv")
        assert "'tx2.csv'" in fault(mapping("tx*.csv"), data)

    @pytest.mark.parametrize("delimiter", ["||", "|@|", "\x01", "§", "\t"])
    def test_delimiters_of_any_kind_cut_rows_and_header(self, data, delimiter):
        write(data, CSV.replace(",", delimiter))
        assert amounts(mapping(delimiter=delimiter), data) == AMOUNTS


class TestNames:
    def test_the_second_column_of_a_name_has_one_of_its_own(self, data):
        write(data, "id,Account,day,account,value,\nt,c,2024-01-01,d,1,x\n")
        sql = {"customer_id": "Account", "counterparty_id": "account_1", "channel": "column5"}
        read = table(mapping(sql=sql), data)
        assert read.select(["customer_id", "counterparty_id", "channel"]).to_pylist() == [
            {"customer_id": "c", "counterparty_id": "d", "channel": "x"}
        ]

    @pytest.mark.parametrize(
        ("cells", "names"),
        [
            (["a", "a", "a"], ["a", "a_1", "a_2"]),
            (["a", "A", "a_1"], ["a", "A_2", "a_1"]),
            (["a_1", "a", "a"], ["a_1", "a", "a_2"]),
            (["", "column0", ""], ["column0_", "column0", "column2"]),
            (["a", "a_1", "A_1", "a"], ["a", "a_1", "A_1_1", "a_2"]),
        ],
    )
    def test_a_made_name_takes_none_that_is_there(self, cells, names):
        assert made_names(cells) == names
        assert len({name.lower() for name in names}) == len(names)


class TestQuotes:
    def test_a_backslash_escapes_where_the_mapping_says_so(self, data):
        write(data, CSV + r'"t\"9",c,2024-01-09,9' + "\n" + r'"t\\8",c,2024-01-09,8' + "\n")
        ids = table(mapping(escape="\\"), data)["transaction_id"].to_pylist()
        assert ids == ["t0", "t1", "t2", "t3", 't"9', "t\\8"]

    def test_other_quotes_or_none(self, data):
        write(data, CSV + "'t,9',c,2024-01-09,9\n")
        assert table(mapping(quote="'"), data)["transaction_id"][4].as_py() == "t,9"
        write(data, CSV + 't"9,c,2024-01-09,9\n"t8,c,2024-01-09,8\n')
        assert set(table(mapping(quote=""), data)["transaction_id"].to_pylist()[4:]) == {
            't"9', '"t8',
        }  # fmt: skip

    def test_words_that_mean_missing_are_missing(self, data):
        words = {"t": "NULL", "u": "\\N", "v": "null"}
        rows = "".join(f"{id_},c,2024-01-01,1,{word}\n" for id_, word in words.items())
        write(data, "id,who,day,value,at\n" + rows)
        mapped = mapping(sql={"counterparty_id": '"at"'}, nulls=["NULL", "\\N"])
        assert table(mapped, data)["counterparty_id"].to_pylist() == [None, None, "null"]
        record = '{{"id":"{}","who":"c","day":"2024-01-01","value":1,"at":{}}}\n'
        write(data, record.format("t", '"NULL"') + record.format("u", '"x"'), "tx.json")
        mapped = mapping("tx.json", "json", sql={"counterparty_id": '"at"'}, nulls=["NULL"])
        assert table(mapped, data)["counterparty_id"].to_pylist() == [None, "x"]


ROWS = {"id": ["a"], "who": ["c"], "day": ["2024-01-01"], "value": [1.0]}


def parquet(data, name, **columns):
    path = data / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**ROWS, **columns}), path)


class TestFolders:
    def write_days(self, data, kind):
        for day, row in (("2024-01-01", "a"), ("2024-01-02", "b")):
            for shop in ("x%2Fy", "__HIVE_DEFAULT_PARTITION__"):
                name = f"tx/dt={day}/shop={shop}/part.{kind}"
                one = row + shop[:1]
                if kind == "parquet":
                    parquet(data, name, id=[one])
                elif kind == "csv":
                    write(data, f"id,who,day,value\n{one},c,2024-01-01,1\n", name)
                else:
                    write(data, f'{{"id":"{one}","who":"c","day":"2024-01-01","value":1}}', name)
        write(data, b"", "tx/_SUCCESS")
        write(data, b"x", "tx/dt=2024-01-01/.part.crc")

    @pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
    def test_folders_named_key_value_are_columns_where_asked_for(self, data, kind):
        self.write_days(data, kind)
        sql = {"event_time": "dt", "channel": "shop"}
        read = table(mapping("tx/**/*", kind, sql=sql, partitions=True), data)
        days = [each.isoformat()[:10] for each in read["event_time"].to_pylist()]
        assert dict(zip(read["transaction_id"].to_pylist(), days, strict=True)) == {
            "ax": "2024-01-01", "a_": "2024-01-01", "bx": "2024-01-02", "b_": "2024-01-02",
        }  # fmt: skip
        shops = dict(
            zip(*(read[c].to_pylist() for c in ("transaction_id", "channel")), strict=True)
        )
        assert shops == {"ax": "x/y", "a_": None, "bx": "x/y", "b_": None}

    def test_folders_that_are_not_asked_for_are_named(self, data):
        self.write_days(data, "parquet")
        told = fault(mapping("tx/**/*.parquet", "parquet", sql={"event_time": "dt"}), data)
        assert "names 'dt'" in told
        assert "partitions: true" in told

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["x.parquet"], "key=value"),
            (["k=1/x.parquet", "k=1/l=2/x.parquet"], "other"),
            (["VALUE=1/x.parquet"], "'VALUE'"),
        ],
    )
    def test_folders_that_cannot_be_columns_are_refused(self, data, names, expected):
        for name in names:
            parquet(data, name)
        assert expected in fault(mapping("**/*.parquet", "parquet", partitions=True), data)

    @pytest.mark.parametrize(
        "log", ["_delta_log/0.json", ".hoodie/hoodie.properties", "metadata/v1.metadata.json"]
    )
    def test_tables_that_are_not_simply_their_files_are_refused(self, data, log):
        parquet(data, "tx/data/a.parquet")
        write(data, b"x", f"tx/{log}")
        assert "'tx'" in fault(mapping("tx/**/*.parquet", "parquet"), data)


def instants(data, mapped):
    return [str(each)[:16] for each in table(mapped, data)["event_time"].to_pylist()]


TIME = "2024-01-01T09:00"


def moment(unit="us", zone=None):
    when = pa.array([1_704_099_600_000_000], pa.timestamp("us"))  # 2024-01-01T09:00
    return when.cast(pa.timestamp(unit)).cast(pa.timestamp(unit, zone))


class TestParquetKinds:
    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    @pytest.mark.parametrize(
        ("zone", "hour"), [(None, "01:00"), ("UTC", "09:00"), ("Asia/Shanghai", "09:00")]
    )
    def test_a_time_is_an_instant_where_the_file_says_so_and_local_where_not(
        self, data, unit, zone, hour
    ):
        parquet(data, "tx.parquet", day=moment(unit, zone))
        mapped = mapping("tx.parquet", "parquet", timezone="Asia/Shanghai")
        assert instants(data, mapped) == [f"2024-01-01 {hour}"]

    def int96(self, data, name, id_="a", zone=None):
        rows = pa.table({**ROWS, "id": [id_], "day": moment("us", zone)})
        pq.write_table(rows, data / name, use_deprecated_int96_timestamps=True)

    def test_int96_is_an_instant_alone_in_a_pattern_and_beside_other_instants(self, data):
        self.int96(data, "tx1.parquet")
        mapped = mapping("tx*.parquet", "parquet", timezone="Asia/Shanghai")
        assert instants(data, mapped) == ["2024-01-01 09:00"]
        self.int96(data, "tx2.parquet", "b", "Asia/Shanghai")
        assert instants(data, mapped) == ["2024-01-01 09:00"] * 2
        parquet(data, "tx3.parquet", id=["c"], day=moment("ns", "UTC"))
        assert instants(data, mapped) == ["2024-01-01 09:00"] * 3
        parquet(data, "tx4.parquet", id=["d"], day=moment())
        assert "'day'" in fault(mapped, data)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"day": moment()}, {"day": moment("us", "UTC")}),
            ({"day": moment()}, {"day": ["2024-01-01"]}),
            ({"who": ["00001"]}, {"who": [1]}),
            ({"who": [2**53 + 1]}, {"who": [1.0]}),
            ({"who": [True]}, {"who": [1]}),
            ({"who": ["a"]}, {"who": [b"a"]}),
        ],
    )
    def test_files_of_a_pattern_whose_kinds_differ_are_refused_by_name(self, data, one, other):
        parquet(data, "tx1.parquet", **one)
        parquet(data, "tx2.parquet", **{**other, "id": ["b"]})
        told = fault(mapping("tx*.parquet", "parquet"), data)
        (column,) = one
        assert f"column '{column}' " in told
        assert "'tx1.parquet'" in told
        assert "'tx2.parquet'" in told

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (pa.array([1], pa.int32()), pa.array([2.5])),
            (pa.array([1], pa.int64()), pa.array([2.5], pa.float32())),
            (
                pa.array(["1"]).cast(pa.decimal128(10, 2)),
                pa.array(["2.5"]).cast(pa.decimal128(12, 3)),
            ),
            (pa.array([1.0]), pa.array(["2.5"]).cast(pa.decimal128(12, 3))),
            (pa.array(["1"]), pa.array(["2.5"]).dictionary_encode()),
            (pa.array(["1"]), pa.array(["2.5"], pa.large_string())),
        ],
    )
    def test_files_that_differ_without_loss_are_read(self, data, one, other):
        parquet(data, "tx1.parquet", value=one)
        parquet(data, "tx2.parquet", id=["b"], value=other)
        assert amounts(mapping("tx*.parquet", "parquet"), data) == [1.0, 2.5]

    @pytest.mark.parametrize("day", [["2024-01-01"], moment(), moment("us", "UTC")])
    @pytest.mark.parametrize("first", [True, False])
    def test_a_column_without_a_value_in_one_file_goes_with_any(self, data, day, first):
        parquet(data, "tx1.parquet", at=pa.nulls(1) if first else day)
        parquet(data, "tx2.parquet", id=["b"], at=day if first else pa.nulls(1))
        mapped = mapping(
            "tx*.parquet", "parquet", sql={"known_at": "COALESCE(\"at\", '2024-01-02')"}
        )
        assert table(mapped, data).num_rows == 2

    def test_a_file_that_declares_more_rows_than_it_can_hold_is_refused(self, data, monkeypatch):
        monkeypatch.setattr(parquet_files, "_ALWAYS_READ", 1000)
        monkeypatch.setattr(parquet_files, "_MOST_ROWS_A_BYTE", 1)
        n = 20_000
        parquet(
            data, "tx.parquet", **{name: pa.repeat(pa.scalar(v[0]), n) for name, v in ROWS.items()}
        )
        assert "declares 20,000 rows" in fault(mapping("tx.parquet", "parquet"), data)

    def test_a_file_of_another_kind_is_named(self, data):
        parquet(data, "tx.csv")
        assert "parquet" in fault(mapping(), data)


def test_a_record_that_names_a_field_twice_is_named(data):
    write(data, '{"id":"a"}\n{"id":"b","id":"c"}\n', "tx.json")
    told = fault(mapping("tx.json", "json"), data)
    assert re.search(r"\b2\b.*'tx\.json'", told)
    write(data, "[]", "tx.json")
    assert "JSON" in fault(mapping("tx.json", "json"), data)


def test_a_duckdb_file_in_use_asks_to_try_again_later(data, tmp_path):
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); c.execute('CREATE TABLE tx AS SELECT "
        "1 AS id'); c.execute('CHECKPOINT'); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(data / "b.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # noqa: S603  our own line
        assert other.stdout.readline()
        mapped = mapping("b.duckdb", "duckdb", table="tx")
        with pytest.raises(NotReadyError, match="writing"):
            read_source(mapped, data=data)
        # beside a fault that no waiting cures it is a fault like any other
        broken = mapped.model_copy(
            update={"files": {**mapped.files, "gone": mapping("../gone.csv").files["tx"]}}
        )
        with pytest.raises(SourceError) as told:
            read_source(broken, data=data)
        assert not isinstance(told.value, NotReadyError)
        other.communicate(b"")
