"""The record of nights: whole after a kill, safe for two writers, the same when filled twice."""

import sqlite3
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.errors import ConfigError, DatasetError, GateError, NotReadyError, OutputError
from kyc_ml.monitoring import (
    Night,
    NightsRecord,
    find_gaps,
    note_refused,
    record_beside,
    record_folder,
    record_scores,
)
from kyc_ml.monitoring.nights import RECORD, _pack, _unpack
from kyc_ml.scoring import ScoringRequest

SOURCE = "configs/sources/synthetic.yaml"


def night(day="2025-01-02", **changed):
    given_ = {
        "model": "fraud",
        "day": day,
        "run": day,
        "status": "published",
        "digest": "d",
        "as_of": f"{day}T00:00:00+00:00",
        "policy": "p",
        "scored": 5,
        "profile": {"a": [1, 70_000, 3], "b": [0, 4]},
        "detail": {"tiers": {"low": 5}},
    }
    return Night(**{**given_, **changed})  # fmt: skip


@pytest.fixture
def record(tmp_path):
    return NightsRecord.open(tmp_path, create=True)


class Reporter:
    def __init__(self):
        self.warnings = []

    def warning(self, text):
        self.warnings.append(text)


counts = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), counts, max_size=3), max_size=4))
def test_what_is_packed_is_unpacked(profiles):
    import json  # noqa: PLC0415  only here

    shapes = [json.dumps([[n, len(c)] for n, c in sorted(p.items())]) for p in profiles]
    found = _unpack([_pack(each) for each in profiles], shapes)
    sizes = {name: len(c) for each in profiles for name, c in each.items()}
    for row, each in enumerate(profiles):
        for name, size in sizes.items():
            own = each.get(name, [])
            assert found[name][row].tolist() == (own if len(own) == size else [-1] * size)


def test_a_night_comes_back_as_it_was_added(record):
    assert record.add(night()) == 1
    row = record.nights("fraud").iloc[0]
    assert (row["day"], row["scored"], row["detail"]) == ("2025-01-02", 5, {"tiers": {"low": 5}})
    assert record.profiles("fraud").counts["a"].tolist() == [[1, 70_000, 3]]
    assert record.models() == ["fraud"]


def test_the_same_night_twice_is_one_and_a_published_one_stands(record):
    refused = night(run="", status="late", profile={}, detail={"reason": "one"})
    record.add(refused)
    record.add(replace(refused, detail={"reason": "two"}))
    [(reason, attempts)] = record.nights()[["detail", "attempts"]].to_numpy()
    assert (reason, attempts) == ({"reason": "two"}, 2)
    record.add(night())
    assert record.add(night(detail={"tiers": {}})) == 0
    assert record.nights()["status"].tolist() == ["published"]
    assert record.nights()["detail"].tolist() == [{"tiers": {"low": 5}}]
    assert len(record.nights(every_run=True)) == 2


def test_order_of_adding_does_not_matter(tmp_path):
    some = [night(f"2025-01-{day:02d}", profile={"a": [day, 0, 0]}) for day in range(1, 9)]
    one = NightsRecord.open(tmp_path / "1", create=True)
    two = NightsRecord.open(tmp_path / "2", create=True)
    one.add(*some)
    two.add(*some[::-1])
    assert one.nights()["day"].tolist() == two.nights()["day"].tolist()
    np.testing.assert_array_equal(
        one.profiles("fraud").counts["a"], two.profiles("fraud").counts["a"]
    )


def test_profiles_are_of_one_bundle(record):
    record.add(night("2025-01-01"), night("2025-01-02", digest="e"), night("2025-01-03"))
    assert record.profiles("fraud").days == ("2025-01-01", "2025-01-03")
    assert record.profiles("fraud", digest="e").days == ("2025-01-02",)


def test_writers_at_once_lose_nothing(record):
    nights = [night(f"2025-{m:02d}-{d:02d}") for m in (1, 2, 3) for d in range(1, 11)]
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(record.add, nights)) == len(nights)
    assert len(record.nights()) == len(nights)


def test_a_kill_in_a_transaction_leaves_the_record_whole(record):
    record.add(night())
    script = (
        "import os, sqlite3; s = sqlite3.connect(os.sys.argv[1], isolation_level=None);"
        "s.execute('BEGIN IMMEDIATE'); s.execute('DELETE FROM nights'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(record.path)], check=False)  # noqa: S603
    assert len(record.nights()) == 1
    assert record.add(night("2025-01-03")) == 1


def test_a_file_that_is_no_record_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=RECORD):
        NightsRecord.open(tmp_path)
    (tmp_path / RECORD).write_bytes(b"no database, but longer than a header" * 9)
    with pytest.raises(ConfigError, match=RECORD):
        NightsRecord.open(tmp_path)
    newer = tmp_path / "newer" / RECORD
    newer.parent.mkdir()
    with sqlite3.connect(newer) as store:
        store.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(ConfigError, match="99"):
        NightsRecord.open(newer)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("UPDATE nights SET detail = ?", b"x"),
        ("UPDATE nights SET detail = ?", zlib.compress(b"[1]")),
        ("UPDATE nights SET day = ?", "2025"),
        ("UPDATE nights SET status = ?", "odd"),
        ("UPDATE nights SET profile = ?", b"x"),
        ("DELETE FROM shapes WHERE shape <> ?", ""),
    ],
)
def test_a_damaged_row_is_refused(change, value, record):
    record.add(night())
    with sqlite3.connect(record.path) as store:
        store.execute(change, (value,))
    store.close()
    with pytest.raises(ConfigError, match=RECORD):
        record.nights(), record.profiles("fraud")


def test_a_record_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError):
        NightsRecord.open(tmp_path / "file" / "below", create=True)


def test_which_record_a_folder_belongs_to(tmp_path):
    assert record_beside(tmp_path / "2025-01-02" / "fraud") == tmp_path / RECORD
    assert record_beside(tmp_path / "2025-01-02") == tmp_path / RECORD
    assert record_beside(tmp_path / "scores") is None
    NightsRecord.open(tmp_path, create=True)
    assert record_beside(tmp_path / "scores") == tmp_path / RECORD


@pytest.fixture
def published(tmp_path, make_manifest):
    def publish(name="2025-01-02/fraud", **changed):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        identity = {"model": "fraud v1", "bundle": "d" * 64, "policy": "p" * 64}
        (folder / "manifest.json").write_text(
            make_manifest(identity=identity, **changed).to_json(), encoding="utf-8"
        )
        return folder

    return publish


def test_runs_of_before_are_added_once(published, tmp_path):
    published()
    published("2025-01-03/fraud", faults=())
    published("2025-01-03/risk.failed")
    (tmp_path / "2025-01-04").mkdir()
    assert (record_folder(tmp_path), record_folder(tmp_path)) == (3, 0)
    nights = NightsRecord.open(tmp_path).nights()
    assert nights["model"].tolist() == ["fraud", "fraud", "risk"]
    assert nights["status"].tolist() == ["published", "published", "refused"]
    assert nights["scored"].tolist() == [5, 5, 5]
    assert nights["detail"][0]["tables"]["transactions"]["late"] == 1


def test_a_folder_without_a_night_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigError):
            record_folder(place)


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotReadyError("stale: events: x"), "late"), (ConfigError("x"), "failed"),
     (GateError("x"), "refused"), (KeyboardInterrupt(), "failed")],
)  # fmt: skip
def test_a_night_that_was_not_published_is_recorded(error, status, published, tmp_path):
    if status == "refused":
        published("2025-01-02/fraud.failed")
    request = ScoringRequest(
        model="models:/fraud@champion", source=SOURCE, data=tmp_path,
        out=tmp_path / "2025-01-02" / "fraud", as_of="2025-01-03",
    )  # fmt: skip
    reporter = Reporter()
    note_refused(request, error, reporter=reporter)
    [row] = NightsRecord.open(tmp_path).nights().to_dict("records")
    assert (row["model"], row["day"], row["status"]) == ("fraud", "2025-01-02", status)
    assert not reporter.warnings


def test_a_record_that_fails_never_fails_the_night(tmp_path):
    (tmp_path / RECORD).write_bytes(b"no database, but longer than a header" * 9)
    request = ScoringRequest(
        model="fraud", source=SOURCE, data=tmp_path, out=tmp_path / "2025-01-02" / "fraud"
    )
    reporter = Reporter()
    note_refused(request, ConfigError("x"), reporter=reporter)
    assert len(reporter.warnings) == 1


def test_served_requests_are_counted_by_day(record, bundle):
    scores = pd.DataFrame({"probability": [0.1, 0.9], "tier": [*bundle.policy.tier_names[:1]] * 2})
    record_scores(record, scores, bundle=bundle, day="2025-01-02")
    [row] = record.nights().to_dict("records")
    assert (row["status"], row["scored"]) == ("served", 2)
    assert sum(row["detail"]["expected"].values()) == pytest.approx(1.0)
    with pytest.raises(DatasetError, match="tier"):
        record_scores(record, scores[["probability"]], bundle=bundle, day="2025-01-02")
    wrong = scores.assign(probability=[np.nan, 0.5])
    with pytest.raises(DatasetError, match="1 of 2"):
        record_scores(record, wrong, bundle=bundle, day="2025-01-02")
    with pytest.raises(ConfigError):
        record_scores(record, scores, bundle=bundle, day="2/1/2025")


def codes(record):
    return [(each.code, each.day) for each in find_gaps(record.nights(every_run=True))]


def test_gaps_and_other_models_are_listed(record):
    record.add(night("2025-01-01"), night("2025-01-02"), night("2025-01-02", run="again"))
    record.add(night("2025-01-05", digest="e"), night("2025-01-06", digest="e", policy="q"))
    record.add(night("2025-01-07", digest="e", policy="q", scored=0))
    assert codes(record) == [
        ("nights.again", "2025-01-02"),
        ("nights.missing", "2025-01-03"),
        ("nights.model", "2025-01-05"),
        ("nights.policy", "2025-01-06"),
        ("nights.empty", "2025-01-07"),
    ]
    assert all(each.signal().text_zh for each in find_gaps(record.nights(every_run=True)))


def test_clocks_that_jump_are_listed(record):
    record.add(night("2025-01-02"), night("2999-01-01"), night("2025-01-01"))
    with sqlite3.connect(record.path) as store:
        store.execute("UPDATE nights SET recorded_at = '2025-01-03' WHERE day = '2025-01-02'")
    store.close()
    found = codes(record)
    assert ("nights.order", "2025-01-02") in found
    assert ("nights.clock", "2999-01-01") in found


def test_an_empty_record_has_no_gap(record):
    assert codes(record) == []
    assert record.nights().empty
    assert record.profiles("fraud").days == ()
    assert record.customer_data().empty
