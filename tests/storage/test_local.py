import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from kyc_ml.storage import connect, is_out_of_memory, read_batches


@pytest.fixture
def folders(tmp_path):
    data, other = tmp_path / "data", tmp_path / "data2"
    for folder in (data, other):
        folder.mkdir()
        (folder / "x.csv").write_text("a\n1\n")
    return data, other


def test_reads_the_data_folder(folders):
    data, _ = folders
    connection = connect(data=data)
    rows = connection.execute(f"SELECT * FROM read_csv('{data}/x.csv')").fetchall()
    assert rows == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_csv('{other}/x.csv')",
        "SELECT * FROM read_csv('{data}/../data2/x.csv')",
        "COPY (SELECT 1) TO '{other}/y.csv'",
        "ATTACH '{other}/y.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_csv('https://example.org/x.csv')",
    ],
)
def test_reaches_nothing_outside_the_data_folder(folders, sql):
    data, other = folders
    with pytest.raises(duckdb.Error):
        connect(data=data).execute(sql.format(data=data, other=other))


def test_a_link_out_of_the_folder_is_refused(folders):
    data, other = folders
    (data / "link.csv").symlink_to(other / "x.csv")
    with pytest.raises(duckdb.PermissionException):
        connect(data=data).execute(f"SELECT * FROM read_csv('{data}/link.csv')")


def test_named_files_narrow_the_access(folders):
    data, _ = folders
    (data / "y.csv").write_text("a\n1\n")
    connection = connect(data=None, files=[data / "y.csv"])
    assert connection.execute(f"SELECT * FROM read_csv('{data}/y.csv')").fetchall() == [(1,)]
    with pytest.raises(duckdb.PermissionException):
        connection.execute(f"SELECT * FROM read_csv('{data}/x.csv')")


def test_settings_are_locked_and_python_variables_are_out_of_reach():
    connection = connect(data=None)
    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        connection.execute("SET enable_external_access = true")
    secrets = [1]  # noqa: F841  what a replacement scan would find
    with pytest.raises(duckdb.CatalogException):
        connection.execute("SELECT * FROM secrets")


def test_times_are_utc_and_zones_need_no_download():
    sql = "SELECT CAST(timezone('Asia/Shanghai', TIMESTAMP '2024-01-01 08:00:00') AS VARCHAR)"
    assert connect(data=None).execute(sql).fetchall() == [("2024-01-01 00:00:00+00",)]


def test_spills_into_a_private_folder_that_goes_with_the_connection(tmp_path):
    connection = connect(data=None, memory="60MB", scratch=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    connection.execute(
        "CREATE TABLE big AS SELECT CAST(range AS VARCHAR) || repeat('x', 80) AS s, "
        "hash(range) AS r FROM range(1000000)"
    )
    assert any(folder.iterdir())
    assert len(connection.execute("SELECT s FROM big ORDER BY r").fetchmany(3)) == 3
    connection.close()
    del connection
    assert not list(Path(tmp_path).iterdir())


def test_a_setting_that_is_refused_leaves_no_folder(tmp_path):
    with pytest.raises(duckdb.Error):
        connect(data=None, memory="plenty", scratch=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("list(j) FROM range(3) a(i), range(9000000) b(j) GROUP BY i", duckdb.OutOfMemoryException),
        ("CAST(if(i = 3000000, 'x', '1') AS INT) FROM range(4000000) t(i)", duckdb.Error),
    ],
)
def test_an_error_while_rows_are_handed_over_stays_one_of_the_engine(sql, kind):
    connection = connect(data=None, memory="20MB")
    with pytest.raises(kind) as told:
        list(read_batches(connection, f"SELECT {sql}", rows=1000))
    assert is_out_of_memory(told.value) == (kind is duckdb.OutOfMemoryException)


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (pa.ArrowMemoryError("malloc of size 64 failed"), True),
        (OSError("Out of Memory Error: ArrowBuffer: failed to allocate 262144 bytes"), True),
        (duckdb.OutOfMemoryException("Allocation failure"), True),
        (OSError(28, "No space left on device"), False),
        (duckdb.IOException("Could not set lock"), False),
    ],
)
def test_used_up_memory_is_known_by_whoever_says_it(error, memory):
    assert is_out_of_memory(error) == memory


def test_too_little_address_space_is_said_before_the_system_ends_the_process():
    script = (
        "import resource; from pathlib import Path; from kyc_ml.storage import local\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)\n"
        "try:\n    local.connect(data=None)\n"
        "except local.CapacityError as error:\n    print(error)"
    )
    done = subprocess.run(  # noqa: S603  our own line
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.startswith("memory: ")


def test_no_more_is_spilled_than_the_files_explain(tmp_path, monkeypatch):
    """A file of a few KB that holds one value for a million rows must not fill the disk."""
    monkeypatch.setattr("kyc_ml.storage.local._ALWAYS_SPILLED", 1 << 20)
    bomb = "SELECT repeat('x', 200) || range FROM range(1_000_000) ORDER BY 1"
    small = tmp_path / "small"
    small.write_bytes(b"x" * 1_000)

    def spill(file):
        with connect(
            data=None, files=[file], memory="100MB", threads=1, scratch=tmp_path
        ) as connection:
            return sum(len(part) for part in read_batches(connection, bomb, rows=50_000))

    with pytest.raises(duckdb.Error) as caught:
        spill(small)
    assert is_out_of_memory(caught.value)
    large = tmp_path / "large"
    with large.open("wb") as handle:
        handle.truncate(10_000_000)
    assert spill(large) == 1_000_000
