"""Input that may still come is told apart from input that only its sender can correct."""

import os
import time

import pytest

from kyc_ml.config import SourceMapping
from kyc_ml.contract import read_source
from kyc_ml.contract.source import digest_source
from kyc_ml.errors import NotReadyError, SourceError

ROWS = b"id\na\nb\n"
HOUR = 3600.0
BAD_INPUT, NOT_READY = 2, 5


def mapping(path, format_="csv", **key):
    return SourceMapping.model_validate(
        {
            "name": "bank",
            "base_currency": "CNY",
            "files": {"tx": {"path": path, "format": format_, **key}},
            "tables": {
                "customers": {
                    "from": "tx",
                    "columns": {
                        "customer_id": "id",
                        "event_time": "DATE '2020-01-01'",
                        "customer_type": "'person'",
                    },
                }
            },
        }
    )


def code(mapped, data):
    """Read, and give the exit code that a scheduler would see; 0 if it was read."""
    try:
        digest_source(mapped, data=data)
        read_source(mapped, data=data)
    except SourceError as error:
        return error.exit_code
    return 0


def aged(path, seconds):
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


@pytest.fixture
def data(tmp_path):
    (tmp_path / "tx.csv").write_bytes(ROWS)
    return tmp_path


def test_a_missing_file_may_come(data):
    assert code(mapping("tx.csv"), data) == 0
    assert code(mapping("late.csv"), data) == NOT_READY
    assert code(mapping("late/*.csv"), data) == NOT_READY
    assert code(mapping("../late.csv"), data) == BAD_INPUT


@pytest.mark.parametrize(
    ("path", "beside"),
    [
        ("tx.csv", "tx.csv.part"),
        ("tx.csv", "tx.csv.filepart"),
        ("tx.csv", ".tx.csv.Ab3dEf"),
        ("t*.csv", "t2.csv.tmp"),
        ("tx.csv", "_temporary/"),
        ("late.csv", "late.csv._COPYING_"),
    ],
)
def test_an_unfinished_copy_beside_a_file_is_waited_for_unless_it_was_abandoned(data, path, beside):
    copy = data / beside
    copy.mkdir() if beside.endswith("/") else copy.write_bytes(b"i")
    with pytest.raises(NotReadyError) as told:
        read_source(mapping(path), data=data)
    assert repr(beside.rstrip("/")) in str(told.value)
    aged(copy, 25 * HOUR)
    assert code(mapping(path), data) == (0 if path[0] == "t" else NOT_READY)


@pytest.mark.parametrize("beside", ["other.csv.part", "tx.csv.sha256", ".tx.csv.swp", "_SUCCESS"])
def test_other_files_beside_it_are_not_copies(data, beside):
    (data / beside).write_bytes(b"i")
    assert code(mapping("tx.csv"), data) == 0


@pytest.mark.parametrize(
    ("name", "format_", "content"),
    [
        ("tx.parquet", "parquet", b"PAR1" + bytes(100)),
        ("tx.parquet", "parquet", b""),
        ("tx.csv", "csv", b""),
        ("tx.csv.gz", "csv", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03abc"),
        ("tx.csv.zip", "csv", b"PK\x03\x04" + bytes(30)),
    ],
)
def test_a_file_without_its_end_may_be_in_copying_only_while_it_is_written_to(
    data, name, format_, content
):
    (data / name).write_bytes(content)
    assert code(mapping(name, format_), data) == NOT_READY
    aged(data / name, HOUR)
    assert code(mapping(name, format_), data) == BAD_INPUT


def test_a_file_of_another_kind_is_not_in_copying(data):
    (data / "tx.csv").write_bytes(b"%PDF-1.7 and so on")
    assert code(mapping("tx.csv"), data) == BAD_INPUT


def test_a_marker_that_the_mapping_names_is_waited_for(data):
    marked = mapping("tx.csv", marker="done/_SUCCESS")
    assert code(marked, data) == NOT_READY
    (data / "done").mkdir()
    (data / "done" / "_SUCCESS").touch()
    assert code(marked, data) == 0
    assert "marker" not in mapping("tx.csv").model_dump(mode="json")["files"]["tx"]
