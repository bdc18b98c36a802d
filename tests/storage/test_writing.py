"""A file appears whole or not at all."""

import errno
import os
import stat

import pytest

from kyc_ml.errors import OutputError
from kyc_ml.storage import require_place, written_whole


def names(folder):
    return [path.name for path in folder.iterdir()]


def fail(path, error):
    """Write half a file, then meet an error."""
    with written_whole(path) as handle:
        handle.write(b"half")
        raise error


def test_the_file_holds_what_was_written_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "deeper" / "scores.parquet"
    with written_whole(path) as handle:
        handle.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert names(path.parent) == ["scores.parquet"]


def test_the_file_is_readable_by_its_owner_alone(tmp_path):
    with written_whole(tmp_path / "x"):
        pass
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


def test_a_second_writing_replaces_the_first(tmp_path):
    for content in (b"first and longer", b"second"):
        with written_whole(tmp_path / "x") as handle:
            handle.write(content)
    assert (tmp_path / "x").read_bytes() == b"second"


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_an_interrupted_writing_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "x"
    path.write_bytes(b"before")
    with pytest.raises(type(error)):
        fail(path, error)
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), os.strerror(errno.ENOSPC)),
        (OSError("told nothing"), "refused"),
    ],
)
def test_a_full_disk_is_an_output_error_with_its_reason(tmp_path, error, reason):
    path = tmp_path / "x"
    path.write_bytes(b"before")
    with pytest.raises(OutputError, match=f"x .*: .*{reason}"):
        fail(path, error)
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["x"]


def test_a_disk_that_fails_at_the_last_moment_leaves_nothing(tmp_path, monkeypatch):
    def refuse(number):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with (
        pytest.raises(OutputError, match="Input/output error"),
        written_whole(tmp_path / "x") as handle,
    ):
        handle.write(b"half")
    assert names(tmp_path) == []


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(OutputError, match="written"), written_whole(tmp_path / "x"):
        pass
    assert (tmp_path / "x").is_dir()
    assert names(tmp_path) == ["x"]


def test_a_file_in_the_way_of_the_folder_is_an_output_error(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(OutputError), written_whole(tmp_path / "x" / "y"):
        pass  # pragma: no cover  the file cannot be opened


@pytest.mark.parametrize(
    ("flags", "reason"), [(os.ST_RDONLY, os.strerror(errno.EROFS)), (0, "Permission denied")]
)
def test_a_place_that_cannot_be_written_is_refused_early_for_its_own_reason(
    tmp_path, monkeypatch, flags, reason
):
    there = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*there[:8], flags, there[9])))
    with pytest.raises(OutputError, match=reason):
        require_place(tmp_path / "x")
