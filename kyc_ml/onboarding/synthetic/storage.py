"""Writing a synthetic bank to a folder, completely or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.config import FilePath, read_path
from kyc_ml.errors import OutputError

if TYPE_CHECKING:
    from kyc_ml.onboarding.synthetic.bank import SyntheticBank


def save_bank(bank: SyntheticBank, folder: FilePath, *, overwrite: bool = False) -> None:
    """Write ``<table>.parquet`` for each table and ``answer_key/<name>.parquet``.

    All files are written under temporary names first and renamed at the end. With
    `overwrite` the bank's files replace those of the same names; others stay.

    Raises OutputError if `folder` is not empty and `overwrite` is false, or is a file, or the
    disk refuses; no half-written file is left.
    """
    folder = read_path(folder, name="folder")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: choose a folder")
    count = sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
    if count and not overwrite:
        raise OutputError(
            f"folder {folder} already holds {count} file(s) or folder(s): choose an empty "
            "folder, or allow overwriting (overwrite=True)"
        )
    files = {f"{name}.parquet": table for name, table in bank.tables.items()}
    files |= {f"answer_key/{name}.parquet": table for name, table in bank.answer_key.items()}
    existed = folder.exists()
    saved = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_all(files, folder)
        saved = True
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"the bank cannot be written to {folder}: {reason}; free some space or choose "
            "another folder, then save again"
        ) from None
    finally:
        # an existing folder may hold files of the user: only a new one is removed
        if not saved and not existed:
            shutil.rmtree(folder, ignore_errors=True)


def _write_all(files: dict[str, pa.Table], folder: Path) -> None:
    """Write all files to a hidden folder inside, then rename each into place."""
    # in the same folder: a rename is atomic only inside one file system
    staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        for name, table in files.items():
            (staging / name).parent.mkdir(exist_ok=True)
            pq.write_table(table, staging / name, compression="zstd")
        for name in files:
            (folder / name).parent.mkdir(exist_ok=True)
            (staging / name).replace(folder / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
