"""A changed byte of a Parquet file with checksums is refused; a file without them is listed."""

import random
import time
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import SourceMapping
from kyc_ml.contract.checksums import PageChecks, check_pages
from kyc_ml.contract.quality import read_quality, write_quality
from kyc_ml.contract.source import read_source
from kyc_ml.errors import SourceError


def rows(n=3_000):
    drawn = random.Random(4)  # noqa: S311  rows, not secrets
    return pa.table(
        {
            "transaction_id": [f"t{row}" for row in range(n)],
            "customer_id": [f"c{drawn.randrange(90)}" for _ in range(n)],
            "event_time": pa.array(range(n), pa.int64()).cast(pa.timestamp("us", "UTC")),
            "amount": [drawn.choice([None, drawn.random()]) or 1.0 for _ in range(n)],
            "tags": [[True, False][: row % 3] for row in range(n)],
        }
    )


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_the_pages_of_a_writer_are_sound(tmp_path, version, compression):
    path = tmp_path / "t.parquet"
    shape = {"compression": compression, "data_page_version": version, "row_group_size": 1_000}
    pq.write_table(rows(), path, write_page_checksum=True, data_page_size=2_000, **shape)
    assert check_pages(path) is PageChecks.SOUND
    pq.write_table(rows(), path, **shape)
    assert check_pages(path) is PageChecks.ABSENT


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "t.parquet"
    pq.write_table(rows(), path, write_page_checksum=True, data_page_size=2_000)
    metadata = pq.read_metadata(path).row_group(0)
    last = metadata.column(metadata.num_columns - 1)
    return path.read_bytes(), last.data_page_offset + last.total_compressed_size


@pytest.fixture(scope="module")
def flipped(written, tmp_path_factory):
    """Change one bit of the pages, and give the file."""
    content, end = written
    path = tmp_path_factory.mktemp("flipped") / "t.parquet"

    def flip(share, bit):
        changed = bytearray(content)
        changed[4 + int(share * (end - 5))] ^= 1 << bit
        path.write_bytes(changed)
        return path

    return flip


@given(share=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_changed_bit_changes_no_value_unseen(flipped, share, bit):
    """A checksum is of the bytes after a header; a changed header is harmless, or unreadable."""
    path = flipped(share, bit)
    if check_pages(path) is not PageChecks.WRONG:
        with suppress(pa.ArrowException, OSError):
            assert pq.read_table(path).equals(rows())


@pytest.mark.parametrize(
    "header",
    [
        b"\x1c" * 50_000,  # structs in structs
        b"\x19" * 50_000,  # lists in lists
        b"\x15" + b"\xff" * 1_000_000,  # a number of a million bytes
        b"\x19\xf1" + b"\xff" * 8 + b"\x7f",  # a list of 2 ** 63 truth values
        b"\x19\xf7" + b"\xff" * 8 + b"\x7f",  # the same of doubles
    ],
)
def test_a_header_made_to_hang_ends_at_once(tmp_path, header):
    path = tmp_path / "t.parquet"
    table = pa.table({"a": [random.Random(1).randbytes(2_000_000)]})  # noqa: S311
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)
    changed = bytearray(path.read_bytes())
    changed[4 : 4 + len(header)] = header
    path.write_bytes(changed)
    began = time.monotonic()
    assert check_pages(path) is PageChecks.ABSENT
    assert time.monotonic() - began < 2


def test_a_source_with_a_changed_byte_is_refused(written, tmp_path):
    content, end = written
    columns = {name: name for name in ("transaction_id", "customer_id", "event_time", "amount")}
    mapping = SourceMapping.model_validate(
        {
            "name": "bank",
            "base_currency": "CNY",
            "files": {"tx": {"path": "t.parquet", "format": "parquet"}},
            "tables": {"transactions": {"from": "tx", "columns": columns}},
        }
    )
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    assert read_source(mapping, data=tmp_path).accepted.quality.unchecked == ()
    changed = bytearray(content)
    changed[end // 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(SourceError, match=r"t\.parquet"):
        read_source(mapping, data=tmp_path)
    pq.write_table(rows(), path)
    quality = read_source(mapping, data=tmp_path).accepted.quality
    assert quality.unchecked == ("t.parquet",)
    assert read_quality(write_quality(quality)) == quality
