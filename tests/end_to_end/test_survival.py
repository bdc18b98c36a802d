"""Whatever ends a scoring run, at any instant: the next start gives the same bytes."""

import errno
import fcntl
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import duckdb
import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from kyc_ml.contract.storing import read_once
from kyc_ml.errors import (
    GateError,
    KycMlError,
    NotReadyError,
    OutputError,
    SourceError,
)
from kyc_ml.model import PROBABILITY
from kyc_ml.registry import load_bundle, save_bundle
from kyc_ml.scoring import score_job as scoring
from kyc_ml.scoring.manifest import Manifest, damaged, read_manifest
from kyc_ml.scoring.scoring_run import ScoringRun
from kyc_ml.storage.run_directory import RunDirectory

pytestmark = pytest.mark.usefixtures("in_store")

KILLS = 30

# A process that has everything imported and compiled forks a job, and kills it after a random
# time; it starts the next where that one was killed, until the job comes to its end, and then
# begins a new goal. It runs with one thread: a fork does not take threads along.
FORGE = """
import json, os, pathlib, random, signal, sys, time
from functools import partial
import kyc_ml.scoring.scorers as scorers
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.scoring.score_job import run_score
from kyc_ml.display.progress import ProgressReporter

asked, kills = json.loads(sys.argv[1]), int(sys.argv[2])
paths = ("source", "data", "limits")
asked.update({name: pathlib.Path(asked[name]) for name in paths})
home = pathlib.Path(sys.argv[3])
scorers.ModelScorer = partial(scorers.ModelScorer, threads=1)
random.seed(20)

def score(out):
    run_score(ScoringRequest(**{**asked, "out": home / out}), reporter=ProgressReporter())

def start(out):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            score(out)
            code = 0
        finally:
            os._exit(code)
    return child

def noted(out):
    return sorted(path.stem for path in (home / f".{out}.work" / "steps").glob("[!.]*.json"))

score("warm")
began = time.monotonic()
os.waitpid(start("timed"), 0)
lasts = time.monotonic() - began
killed, codes, goals = [], [], 0
while len(killed) < kills:
    goals += 1
    while True:
        child = start(f"killed-{goals}")
        end = time.monotonic() + random.uniform(0, lasts)
        found = (0, 0)
        while found[0] == 0 and time.monotonic() < end:
            time.sleep(0.002)
            found = os.waitpid(child, os.WNOHANG)
        if found[0] == 0:
            os.kill(child, signal.SIGKILL)
            found = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(found[1])
        if code != -signal.SIGKILL:
            codes.append(code)
            break
        killed.append(noted(f"killed-{goals}"))
print(json.dumps({"killed": killed, "codes": codes, "goals": goals, "lasts": lasts}))
"""


def published(folder):
    """Give every file of a published folder but the DuckDB one, whose bytes are not ours."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".duckdb"
    }


def same_run(folder, reference):
    got, expected = published(folder), published(reference)
    assert sorted(got) == sorted(expected)
    assert [name for name in got if got[name] != expected[name]] == []


@pytest.fixture(scope="module")
def reference(night, place, tmp_path_factory):
    """The same request, never interrupted."""
    out = tmp_path_factory.mktemp("uninterrupted") / "scores"
    with place.entered():
        result = night.score(out)
    assert result.rows > 100
    assert result.manifest.quarantined == 2
    assert len(list((out / "scores").iterdir())) >= 3
    assert (out / "quarantine" / "part-00000.parquet").is_file()
    return out


def left_beside(folder):
    return sorted(path.name for path in folder.iterdir())


# --- kill -9 --------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_at_any_instant_the_next_start_gives_the_same_bytes(night, reference, tmp_path):
    request = night.request(None)
    asked = {name: getattr(request, name) for name in request.__slots__}
    plain = {name: str(v) if isinstance(v, Path | pd.Timestamp) else v for name, v in asked.items()}
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-c", FORGE, json.dumps(plain), str(KILLS), str(tmp_path)],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True,
        check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert len(told["killed"]) >= KILLS
    assert set(told["codes"]) == {0}, "a start after a kill was refused"
    stages = Counter(len(notes) for notes in told["killed"])
    assert len(stages) >= 3, f"the kills met too few stages: {stages}"
    for name in ("warm", *(f"killed-{n}" for n in range(1, told["goals"] + 1))):
        same_run(tmp_path / name, reference)
    hidden = [path.name for path in tmp_path.iterdir() if path.name.endswith(".work")]
    assert hidden == []


def test_nothing_is_lost_or_doubled(reference):
    manifest = read_manifest(reference)
    rows = pd.read_parquet(reference / "scores", columns=["observation_id"])["observation_id"]
    assert rows.is_unique
    assert len(rows) == manifest.observations == manifest.counts.rows
    assert manifest.read == sum(table.accepted for table in manifest.quality.tables) + 2


# --- each file operation --------------------------------------------------------------


class Device:
    """A disk on which each operation on each file fails once, the first time it is met."""

    def __init__(self, monkeypatch, below):
        self.failed = {}
        self._below = str(below)
        self._reasons = itertools.cycle([errno.ENOSPC, errno.EACCES])
        self._armed = False
        targets = {
            (os, "fsync"): lambda number: str(Path(f"/proc/self/fd/{number}").readlink()),
            (Path, "replace"): lambda path, _: str(path),
            (Path, "mkdir"): lambda path, *_, **__: str(path),
            (tempfile, "mkstemp"): lambda **place: f"{place['dir']}/{place['prefix']}",
            (tempfile, "mkdtemp"): lambda **place: f"{place.get('dir')}/{place['prefix']}",
        }
        for name in ("write_table", "write_batch"):  # each table has a schema of its own
            targets[pq.ParquetWriter, name] = lambda writer, *_, **__: (
                f"{below}/{len(writer.schema)} columns, {writer.schema.names[0]}"
            )
        for (owner, name), target_of in targets.items():
            self._patch(monkeypatch, owner, name, target_of)

    def arm(self):
        """Let the next operation fail that has not failed yet."""
        self._armed = True

    def disarm(self):
        self._armed = False

    def _patch(self, monkeypatch, owner, name, target_of):
        real = getattr(owner, name)

        def failing(*args, **kwargs):
            target = target_of(*args, **kwargs)
            # a temporary name ends in eight random characters
            stem = re.sub(r"(\.parquet\.|\.json\.|\.csv\.|kyc_ml_)\w{8}.*$", r"\1", target)
            key = (name, stem)
            if self._armed and target.startswith(self._below) and key not in self.failed:
                self._armed = False
                self.failed[key] = next(self._reasons)
                raise OSError(self.failed[key], os.strerror(self.failed[key]))
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, failing)


@pytest.mark.slow
def test_a_device_that_fails_at_each_operation_costs_nothing(
    night, reference, tmp_path, monkeypatch
):
    device = Device(monkeypatch, tmp_path)
    out, refused = tmp_path / "scores", []
    while True:
        device.arm()
        before = len(device.failed)
        try:
            night.score(out)
        except OutputError as error:
            refused.append((error.exit_code, str(error)))
        if len(device.failed) == before:
            break  # it came to its end, and every operation had failed once
    device.disarm()
    assert {code for code, _ in refused} == {2}
    reasons = map(os.strerror, device.failed.values())
    for reason, (_, said) in zip(reasons, refused, strict=True):
        assert reason in said
        assert "SECRET" not in said
    met = Counter(name for name, _ in device.failed)
    assert met.keys() == {"fsync", "replace", "mkdir", "mkstemp", "mkdtemp", "write_table",
                          "write_batch"}  # fmt: skip
    assert met["replace"] > 15, met
    assert met["write_table"] + met["write_batch"] > 5, met
    same_run(out, reference)
    assert left_beside(tmp_path) == ["scores"]


def test_a_file_that_was_cut_after_it_was_noted_is_made_again(night, reference, tmp_path):
    out, work = tmp_path / "scores", tmp_path / ".scores.work"
    stopped = pytest.MonkeyPatch()
    stopped.setattr(Manifest, "write", _full_disk)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        night.score(out)
    noted = sorted(path for path in work.rglob("*") if path.is_file())
    names = {str(path.relative_to(work)).split("-0")[0] for path in noted}
    assert names >= {"observations.parquet", "tables/transactions.parquet", "steps/identity.json",
                     "scores/part", "contributions/part", "quarantine/part", "steps/model",
                     "features-model.parquet"}  # fmt: skip
    for path in noted:
        if path.name == "identity.json":
            continue  # without it the run begins anew
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            night.score(out)
        assert path.stat().st_size > 0
    (work / "steps" / "identity.json").write_text('{"as')
    stopped.undo()
    night.score(out)
    same_run(out, reference)


def _full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_killed_between_its_last_file_and_the_rename_it_is_published_as_it_is(
    night, reference, tmp_path, monkeypatch
):
    out = tmp_path / "scores"
    with monkeypatch.context() as context:
        context.setattr(RunDirectory, "publish", _full_disk)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            night.score(out)
    assert not (tmp_path / ".scores.work" / "steps").exists()
    with pytest.raises(OutputError, match="since: 2024-03-01 then, 2024-03-02 now"):
        night.score(out, since="2024-03-02")
    with monkeypatch.context() as context:
        context.setattr(ScoringRun, "run", None)  # nothing is computed again
        night.score(out)
    same_run(out, reference)


def test_a_date_in_another_spelling_is_the_same_run(night, reference, tmp_path, monkeypatch):
    out = tmp_path / "scores"
    with monkeypatch.context() as context:
        context.setattr(Manifest, "write", _full_disk)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            night.score(out)
    night.score(out, since="2024-03-01T08:00+08:00")  # it resumes
    same_run(out, reference)
    for since in ("2024/3/1", "2024-03-01T00:00", "2024-03-01 00:00Z"):
        assert night.score(out, since=since).was_there
    with pytest.raises(OutputError, match="since: 2024-03-01 then, 2024-03-01T00:01"):
        night.score(out, since="2024-03-01T00:01")


@pytest.mark.parametrize("step", [(Manifest, "write"), (RunDirectory, "publish")])
def test_a_run_that_noted_its_dates_as_they_were_typed_is_recognised(
    night, tmp_path, monkeypatch, step
):
    """As all runs did before December 2026; every row keeps the run id that it began with."""
    out, typed, dates = tmp_path / "scores", "2024-03-01T00:00", "kyc_ml.scoring.identity.isoformat"
    with monkeypatch.context() as context:
        context.setattr(dates, lambda _: typed)
        context.setattr(*step, _full_disk)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            night.score(out)
    result = night.score(out)
    assert result.manifest.identity["since"] == typed
    assert set(pd.read_parquet(out / "scores")["run_id"]) == {result.manifest.run_id}
    again = night.score(out)
    assert again.was_there
    assert again.manifest.run_id == result.manifest.run_id


# --- two jobs, and changes between two starts -----------------------------------------


def test_two_jobs_on_one_goal_refuse_each_other(night, tmp_path):
    (tmp_path / ".scores.lock").touch()
    with (tmp_path / ".scores.lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="scores"):
            night.score(tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    night.score(tmp_path / "scores")


@pytest.fixture
def interrupted(night, tmp_path, monkeypatch):
    """A bank of this test's own, and a goal whose run was interrupted after some parts."""
    mine, out = night.copy(tmp_path / "mine"), tmp_path / "scores"
    with monkeypatch.context() as context:
        context.setattr(Manifest, "write", _full_disk)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            mine.score(out)
    return mine, out


def _append_row(mine):
    path = mine.data / "transactions.csv"
    path.write_text(f"{path.read_text()}NEW,SECRETCLIENT1,2024-04-09,2024-04-09,3,in,app\n")
    return "input transactions.csv"


def _other_limits(mine):
    limits = yaml.safe_load(mine.limits.read_text())
    mine.limits.write_text(yaml.safe_dump({**limits, "late_share": 0.9}))
    return "limits"


def _other_model(mine):
    mine.model.rename(mine.home / "old")
    bundle = load_bundle(mine.home / "old")
    save_bundle(replace(bundle, data={**bundle.data, "as_of": "2024-07-02"}), mine.model)
    return "bundle"


def _other_mapping(mine):
    mapping = yaml.safe_load(mine.source.read_text())
    mapping["tables"]["transactions"]["columns"]["amount"] = "CAST(amount AS DOUBLE) * 2"
    mine.source.write_text(yaml.safe_dump(mapping))
    return "source mapping"


@pytest.mark.parametrize(
    "change", [_append_row, _other_limits, _other_model, _other_mapping], ids=lambda f: f.__name__
)
def test_what_changed_since_the_kill_is_named_and_restart_begins_anew(interrupted, change):
    mine, out = interrupted
    named = change(mine)
    with pytest.raises(OutputError) as refused:
        mine.score(out)
    assert f"  - {named}: " in str(refused.value)
    assert "--restart" in str(refused.value)
    assert not out.exists()
    mine.score(out, restart=True)
    uninterrupted = out.with_name("uninterrupted")
    mine.score(uninterrupted)
    same_run(out, uninterrupted)


def test_a_file_that_changes_between_its_digest_and_its_reading_is_refused(
    night, tmp_path, monkeypatch
):
    mine = night.copy(tmp_path / "mine")
    real = scoring.identify_run

    def then_changed(*args, **kwargs):
        found = real(*args, **kwargs)
        _append_row(mine)
        return found

    monkeypatch.setattr(scoring, "identify_run", then_changed)
    with pytest.raises(KycMlError, match="file"):
        mine.score(tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


# --- limits and the fallback ----------------------------------------------------------


def _drift(mine):
    return {"drift": {"score": 0.25}}, "drift.score"


def _quarantined(mine):
    return {"quarantined_share": 0.001}, "quarantined_share: transactions: 2 of 400 rows"


def _unknown(mine):
    return {"unknown_categories_share": 0.05}, "unknown_categories_share: channel"


GATES = pytest.mark.parametrize("gate", [_drift, _quarantined, _unknown], ids=lambda f: f.__name__)


def with_limits(night, folder, gate):
    mine = night.copy(folder)
    changed, said = gate(mine)
    limits = yaml.safe_load(mine.limits.read_text())
    mine.limits.write_text(yaml.safe_dump({**limits, **changed}))
    return mine, said


@GATES
def test_a_limit_passed_publishes_nothing_and_explains(night, tmp_path, gate):
    mine, said = with_limits(night, tmp_path / "mine", gate)
    out = tmp_path / "scores"
    for _ in range(2):  # the second start is refused alike
        with pytest.raises(GateError) as refused:
            mine.score(out)
        assert refused.value.exit_code == 1
        assert said in str(refused.value)
        assert str(tmp_path / "scores.failed") in str(refused.value)
        assert left_beside(tmp_path) == ["mine", "scores.failed"]
        failed = tmp_path / "scores.failed"
        assert sorted(path.name for path in failed.iterdir()) == ["manifest.json", "quarantine"]
        account = read_manifest(failed)
        assert any(said in fault for fault in account.faults)
        assert not damaged(failed, account.files)  # it lists what is there alone


@GATES
def test_the_rating_steps_in_for_a_limit_passed(night, tmp_path, gate):
    mine, said = with_limits(night, tmp_path / "mine", gate)
    result = mine.score(tmp_path / "scores", fallback="rating", config=mine.fallback)
    assert said in result.manifest.reason
    assert any(said in fault for fault in result.manifest.faults)
    _is_rated(tmp_path / "scores", rows=result.rows)
    told = result.manifest.drift  # of the scores that are not published
    assert told is not None
    assert told["drifted"].any() or "drift" not in said
    [logged] = mlflow.MlflowClient().search_runs(
        [mlflow.get_experiment_by_name("kyc_ml scoring").experiment_id],
        filter_string=f"tags.out = '{result.path}'",  # the same inputs are the same run_id
    )
    assert (
        logged.data.metrics["drift/score_psi"] == told.set_index("column").loc[PROBABILITY, "psi"]
    )
    assert logged.data.tags["scored_by"] == "rating"


def test_the_rating_steps_in_for_a_model_that_cannot_be_loaded(night, tmp_path):
    mine = night.copy(tmp_path / "mine")
    (mine.model / "manifest.json").write_text("{}")
    with pytest.raises(KycMlError):
        mine.score(tmp_path / "scores")
    result = mine.score(tmp_path / "scores", fallback="rating", config=mine.fallback)
    assert "loaded" in result.manifest.reason
    _is_rated(tmp_path / "scores", rows=result.rows)


def _is_rated(out, *, rows):
    table = pd.read_parquet(out / "scores")
    assert len(table) == rows
    assert set(table["scored_by"]) == {"rating"}
    assert table["probability"].isna().all()
    assert table["expert_grade"].notna().all()
    assert not (out / "contributions").exists()


def test_a_fallback_that_was_interrupted_ends_in_the_same_bytes(night, tmp_path, monkeypatch):
    mine, _ = with_limits(night, tmp_path / "mine", _drift)
    asked = {"fallback": "rating", "config": mine.fallback}
    mine.score(tmp_path / "uninterrupted", **asked)
    out = tmp_path / "scores"
    for stem in ("fallback.json", "rating-00001.json", "manifest.json"):
        _fail_at(monkeypatch, stem)
        with pytest.raises(OutputError):
            mine.score(out, **asked)
    _fail_at(monkeypatch, None)
    mine.score(out, **asked)
    same_run(out, tmp_path / "uninterrupted")


REPLACE = Path.replace


def _fail_at(monkeypatch, name):
    def failing(path, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return REPLACE(path, target)

    monkeypatch.setattr(Path, "replace", failing)


# --- what is published stays ----------------------------------------------------------


def test_published_already_is_no_fault_and_nothing_changes(night, tmp_path):
    out = tmp_path / "scores"
    assert not night.score(out, duckdb=True).was_there
    paths = [out, *out.rglob("*")]
    before = [path.stat().st_mtime_ns for path in paths]
    again = night.score(out, duckdb=True)
    assert again.was_there
    assert again.rows == len(pd.read_parquet(out / "scores"))
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert left_beside(tmp_path) == ["scores"]


def test_limits_are_of_the_night_that_is_run_and_not_of_one_that_is_published(night, tmp_path):
    mine, out = night.copy(tmp_path / "mine"), tmp_path / "scores"
    first = mine.score(out)
    _other_limits(mine)
    again = mine.score(out)
    assert again.was_there
    assert again.manifest.identity == first.manifest.identity


def test_a_card_that_stood_in_under_other_limits_is_another_run(night, tmp_path):
    mine, _ = with_limits(night, tmp_path / "mine", _quarantined)
    asked, out = {"fallback": "rating", "config": mine.fallback}, tmp_path / "scores"
    mine.score(out, **asked)
    assert mine.score(out, **asked).was_there
    _other_limits(mine)
    with pytest.raises(OutputError, match="limits: "):
        mine.score(out, **asked)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scores/part-00000.parquet", lambda path: os.truncate(path, path.stat().st_size // 2)),
        ("scores/part-00001.parquet", Path.unlink),
        ("scores.csv", lambda path: os.truncate(path, 10)),
        ("contributions/part-00000.parquet", lambda path: path.write_bytes(b"")),
        ("scores/part-00099.parquet", lambda path: path.write_bytes(b"one too many")),
        ("scores.duckdb", Path.unlink),
    ],
)
def test_a_published_file_that_was_changed_is_told(night, tmp_path, name, change):
    out = tmp_path / "scores"
    night.score(out, duckdb=True)
    change(out / name)
    with pytest.raises(OutputError, match=re.escape(name)) as told:
        night.score(out, duckdb=True)
    assert "away" in str(told.value)  # removed, it would be evidence lost


def test_the_duckdb_file_holds_the_rows_of_the_scores(night, tmp_path):
    out = tmp_path / "scores"
    night.score(out, duckdb=True)
    with duckdb.connect(out / "scores.duckdb", read_only=True) as connection:
        rows = connection.sql("FROM scores").to_arrow_table()
    parts = pq.read_table(out / "scores")
    assert rows.to_pylist() == parts.to_pylist()
    got = pd.read_csv(out / "scores.csv")
    assert got["observation_id"].tolist() == parts["observation_id"].to_pylist()


# --- incremental ----------------------------------------------------------------------


def test_a_night_whose_tables_have_not_landed_is_refused(night, tmp_path):
    """The newest payment is of 2024-04-09 18:00; on this day and the next its age is 6, 30 h."""
    landed = night.score(tmp_path / "landed", as_of="2024-04-10", since=None)
    assert landed.rows
    with pytest.raises(NotReadyError, match=r"30.0.*stale_hours \b24\b") as refused:
        night.score(tmp_path / "missing", as_of="2024-04-11", since=None)
    assert refused.value.exit_code == 5
    assert not list(tmp_path.glob("*missing*"))
    mine, _ = with_limits(night, tmp_path / "mine", lambda _: ({"stale_hours": 30}, ""))
    assert mine.score(tmp_path / "allowed", as_of="2024-04-11", full=True).rows
    unlimited, _ = with_limits(night, tmp_path / "other", lambda _: ({"stale_hours": None}, ""))
    assert unlimited.score(tmp_path / "unlimited", as_of="2024-04-16", full=True).rows


def test_consecutive_nights_score_each_payment_once(night, tmp_path):
    night, _ = with_limits(night, tmp_path / "mine", lambda _: ({"stale_hours": None}, ""))
    whole = pd.read_parquet(night.score(tmp_path / "whole", since="2024-01-01").path / "scores")
    nights, previous = [], []
    for day in ("2024-02-01", "2024-03-01", "2024-04-12"):
        out = tmp_path / day
        first = {"full": True} if not previous else {"incremental": True, "previous": previous}
        night.score(out, as_of=day, since=None, **first)
        nights.append(pd.read_parquet(out / "scores"))
        previous = [*previous, out]
    together = pd.concat(nights)["observation_id"]
    assert together.is_unique
    assert set(together) == set(whole["observation_id"])


def test_earlier_runs_of_one_name_are_told_apart(night, tmp_path):
    previous = [tmp_path / "a" / "day", tmp_path / "b" / "day"]
    for day, out in zip(("2024-02-01", "2024-03-01"), previous, strict=True):
        night.score(out, as_of=day, since=None, full=True, contributions=False)
    result = night.score(tmp_path / "scores", previous=previous)
    digests = {d for name, d in result.manifest.identity.items() if name.startswith("previous")}
    assert len(digests) == 2


def test_an_earlier_run_that_was_changed_is_refused(night, tmp_path):
    night.score(tmp_path / "first", as_of="2024-03-01", since=None, full=True)
    part = tmp_path / "first" / "scores" / "part-00000.parquet"
    table = pq.read_table(part)
    pq.write_table(table.slice(1), part)  # a readable file, with a row less
    with pytest.raises(KycMlError, match=r"scores/part-00000.parquet"):
        night.score(
            tmp_path / "second", since=None, incremental=True, previous=[tmp_path / "first"]
        )


def test_tables_read_once_for_several_models_survive_a_kill(night, tmp_path, reference):
    with (
        pytest.raises(RuntimeError, match="killed"),
        read_once(night.source, night.data, place=tmp_path / "tables", reporter=_Said()),
    ):
        raise RuntimeError("killed")
    said = _Said()
    with read_once(night.source, night.data, place=tmp_path / "tables", reporter=said) as tables:
        assert any(line.startswith("reading: done ") for line in said.lines)
        night.score(tmp_path / "scores", tables=tables)
    assert left_beside(tmp_path) == ["quarantine", "scores"]
    got = {n: b for n, b in published(tmp_path / "scores").items() if n.startswith("scores")}
    assert got == {n: b for n, b in published(reference).items() if n.startswith("scores")}


def test_a_refused_source_says_where_its_rows_are_and_counts_them(night, tmp_path):
    mine = night.copy(tmp_path / "mine")
    mapping = yaml.safe_load(mine.source.read_text())
    mine.source.write_text(yaml.safe_dump({**mapping, "max_quarantined_share": 0.001}))
    said = _Said()
    with (
        pytest.raises(GateError, match=r"above max_quarantined_share 0\.001") as refused,
        read_once(mine.source, mine.data, place=tmp_path / "day" / "tables", reporter=said),
    ):
        pytest.fail("it was read")
    aside = tmp_path / "day" / "tables.failed" / "quarantine"
    assert f" {aside}" in str(refused.value)
    assert pq.read_table(aside).num_rows == 2
    [(_, table)] = said.shown
    assert table.set_index("table").loc["transactions", "quarantined"] == 2


def test_a_source_at_fault_leaves_nothing_behind(night, tmp_path):
    mine = night.copy(tmp_path / "mine")
    mapping = yaml.safe_load(mine.source.read_text())
    mapping["tables"]["transactions"]["columns"]["amount"] = "no_such_column"
    mine.source.write_text(yaml.safe_dump(mapping))
    with (
        pytest.raises(SourceError, match="no_such_column"),
        read_once(mine.source, mine.data, place=tmp_path / "day" / "tables", reporter=_Said()),
    ):
        pytest.fail("it was read")
    assert left_beside(tmp_path) == ["mine"]


class _Said:
    def __init__(self):
        self.lines = []
        self.shown = []

    def info(self, line):
        self.lines.append(line)

    warning = info

    def progress(self, *_):
        pass

    def show(self, title, table):
        self.shown.append((title, table))
