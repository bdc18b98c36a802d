import errno
import os

import pyarrow.parquet as pq
import pytest

from kyc_ml.errors import OutputError
from kyc_ml.onboarding.synthetic.storage import save_bank


def test_saved_files_read_back_equal(small_bank, tmp_path):
    folder = tmp_path / "deep" / "bank"
    save_bank(small_bank, folder)
    for name, table in small_bank.tables.items():
        assert pq.read_table(folder / f"{name}.parquet").equals(table)
    for name, table in small_bank.answer_key.items():
        assert pq.read_table(folder / "answer_key" / f"{name}.parquet").equals(table)
    assert len(list(folder.iterdir())) == len(small_bank.tables) + 1


def test_a_folder_in_use_is_refused_unless_overwriting_is_allowed(small_bank, tmp_path):
    mine = tmp_path / "notes.txt"
    mine.write_text("keep")
    with pytest.raises(OutputError, match="overwrite=True"):
        save_bank(small_bank, tmp_path)
    assert list(tmp_path.iterdir()) == [mine]
    save_bank(small_bank, tmp_path, overwrite=True)
    save_bank(small_bank, tmp_path, overwrite=True)
    assert mine.read_text() == "keep"
    assert (tmp_path / "transactions.parquet").exists()


def test_a_file_in_place_of_the_folder_is_refused(small_bank, tmp_path):
    (tmp_path / "bank").write_text("")
    with pytest.raises(OutputError, match="file"):
        save_bank(small_bank, tmp_path / "bank", overwrite=True)


def test_an_empty_folder_is_welcome(small_bank, tmp_path):
    save_bank(small_bank, tmp_path)
    assert (tmp_path / "customers.parquet").exists()


@pytest.mark.parametrize("existed", [False, True])
def test_a_full_disk_leaves_nothing_half_written(small_bank, tmp_path, monkeypatch, existed):
    folder = tmp_path / "bank"
    if existed:
        folder.mkdir()
    real = pq.write_table
    calls = []

    def run_full(table, where, **options):
        calls.append(where)
        if len(calls) == 3:
            where.write_bytes(b"PAR1")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(table, where, **options)

    monkeypatch.setattr(pq, "write_table", run_full)
    with pytest.raises(OutputError, match=os.strerror(errno.ENOSPC)):
        save_bank(small_bank, folder)
    assert folder.exists() == existed
    assert not existed or not list(folder.iterdir())
