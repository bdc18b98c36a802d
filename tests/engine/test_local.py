import stat
from pathlib import Path

import duckdb
import pytest

from kyc_ml.engine.local import connect


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
