"""The account of a run: written and read it is the same; what does not reconcile is a defect."""

import json

import pandas as pd
import pytest

from kyc_ml.errors import ConfigError
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.manifest import Manifest, damaged, digest_published, read_manifest, score_files
from kyc_ml.storage import MANIFEST


def test_an_account_reads_back_exactly(make_manifest):
    first = make_manifest()
    second = Manifest.from_json(first.to_json())
    assert second.to_json() == first.to_json()
    assert second.quality == first.quality
    assert second.counts == first.counts
    assert second.identity == first.identity
    assert second.run_id == first.run_id
    pd.testing.assert_frame_equal(second.drift, first.drift, check_exact=True)
    assert (second.read, second.quarantined) == (100, 3)


def test_an_account_without_drift_reads_back(make_manifest):
    assert Manifest.from_json(make_manifest(drift=None).to_json()).drift is None


def test_it_holds_no_time_and_no_place_of_its_own_making(make_manifest):
    assert make_manifest().to_json() == make_manifest().to_json()
    rows = json.loads(make_manifest().to_json())["rows"]
    assert rows == {"read": 100, "quarantined": 3, "observations": 5, "scored": 5, "customers": 2}


@pytest.mark.parametrize(
    "changed",
    [
        {"observations": 6},
        {"counts": Counts(rows=4, tiers={"low": 4})},
        {"counts": Counts(rows=5, tiers={"low": 4})},
    ],
)
def test_rows_that_do_not_reconcile_are_never_written(make_manifest, tmp_path, changed):
    with pytest.raises(AssertionError, match="rows"):
        make_manifest(**changed).write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff\xff", b'{"format_version": 1}', b"1", b"null"]
)
def test_a_damaged_manifest_is_refused(tmp_path, content):
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(ConfigError, match="folder"):
        read_manifest(tmp_path)


def test_a_manifest_of_another_format_is_refused(make_manifest, tmp_path):
    content = {**json.loads(make_manifest().to_json()), "format_version": 2}
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="kyc_ml"):
        read_manifest(tmp_path)


def test_a_folder_without_one_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="folder"):
        read_manifest(tmp_path)


@pytest.fixture
def run(make_manifest, tmp_path):
    for name in ("scores/part-00001.parquet", "scores/part-00000.parquet", "scores.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files = digest_published(tmp_path, ["scores", "quarantine", "scores.csv"])
    make_manifest(files=files).write(tmp_path)
    return tmp_path


def test_every_file_is_digested_and_score_files_come_in_order(run):
    parts = ["scores/part-00000.parquet", "scores/part-00001.parquet"]
    assert list(read_manifest(run).files) == ["scores.csv", *parts]
    assert score_files(run) == [run / name for name in parts]
    assert score_files(run / "scores.csv") == [run / "scores.csv"], "a file stands for itself"
    assert damaged(run, read_manifest(run).files) == []


def test_what_changed_went_or_came_is_named(run):
    files = read_manifest(run).files
    (run / "scores.csv").write_text("changed")
    (run / "scores" / "part-00000.parquet").unlink()
    (run / "scores" / "part-00002.parquet").touch()
    assert damaged(run, files) == [
        "scores.csv", "scores/part-00000.parquet", "scores/part-00002.parquet"
    ]  # fmt: skip
