"""Nights from a history store: the bytes of nights from files, wherever one was killed."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pyarrow as pa
import pytest
import yaml

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import read_source, row_to_json
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, DatasetError, OutputError
from kyc_ml.history import HistoryStore, Served, append_tables, create_history
from kyc_ml.registry import load_bundle
from kyc_ml.scoring import ExplainRequest, read_manifest, run_explain
from kyc_ml.scoring.scoring_run import ScoringRun

pytestmark = pytest.mark.usefixtures("in_store")

DAYS = pd.date_range("2024-04-02", "2024-04-05", tz="UTC")
KILLS = 4
UNUSED = ("lightgbm", "matplotlib", "mlflow", "optuna", "scipy.optimize", "scipy.stats", "sklearn")

# kills the scoring of a night at random instants, and starts it again until it ends
FORGE = """
import os, random, shutil, signal, sys, time
from pathlib import Path
import kyc_ml.scoring.scorers as scorers
from functools import partial
from kyc_ml.display import ProgressReporter
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.scoring.score_job import run_score

home, kills = Path(sys.argv[1]), int(sys.argv[2])
scorers.ModelScorer = partial(scorers.ModelScorer, threads=1)
random.seed(7)

def start(name):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            score(name)
            code = 0
        finally:
            os._exit(code)
    return child

def begin(name):
    shutil.copytree(home / "store", home / name / "store")

def score(name):
    run_score(ScoringRequest(**eval(sys.argv[3]), out=home / name / "scores",
                             history=home / name / "store"), reporter=ProgressReporter())

begin("warm")
score("warm")
begin("timed")
began = time.monotonic()
os.waitpid(start("timed"), 0)
lasts, killed, goals = time.monotonic() - began, 0, 0
while killed < kills:
    goals += 1
    begin(f"goal-{goals}")
    code = -signal.SIGKILL
    while code == -signal.SIGKILL:
        child = start(f"goal-{goals}")
        time.sleep(random.uniform(0, lasts))
        os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        killed += code == -signal.SIGKILL
        if killed >= kills:
            code = os.waitstatus_to_exitcode(os.waitpid(start(f"goal-{goals}"), 0)[1])
    assert code == 0, code
"""


@dataclass(frozen=True, kw_only=True)
class Nights:
    """The files of a night by folder: those that arrived, and all that have."""

    source: Path
    home: Path
    store: Path

    def arrived(self, day):
        return self.home / f"arrived-{day}"

    def until(self, day):
        return self.home / f"until-{day}"


def split(night, home):
    """Divide the tables by when rows became known: all before the first day, then day by day."""
    for path in sorted(night.data.iterdir()):
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        known = rows["known_at"] if "known_at" in rows else rows["event_time"]
        number = DAYS.searchsorted(pd.to_datetime(known, utc=True, format="ISO8601"), side="right")
        for day in range(len(DAYS)):
            folders = [home / f"until-{later}" for later in range(day, len(DAYS))]
            for folder in [home / f"arrived-{day}", *folders]:
                folder.mkdir(exist_ok=True)
                rows[number == day].to_csv(folder / f"{path.stem}-{day}.csv", index=False)
    mapping = yaml.safe_load(night.source.read_text())
    for name, file in mapping["files"].items():
        file["path"] = f"{name}-*.csv"
    mapping["max_quarantined_share"] = 1.0
    (home / "source.yaml").write_text(yaml.safe_dump(mapping))


@pytest.fixture(scope="module")
def nights(night, tmp_path_factory):
    home = tmp_path_factory.mktemp("nights")
    split(night, home)
    made = Nights(source=home / "source.yaml", home=home, store=home / "store")
    mapping = load_section(made.source, SourceMapping)
    tables = read_source(mapping, data=made.arrived(0)).accepted
    with create_history(made.store, tables, [load_bundle(night.model).specs]) as store:
        append_tables(store, tables, note={})
    return made


def asked(night, nights, day, *, data, out, **other):
    previous = [out.parent / str(day - 1)] if day > 1 else []
    changed = {"since": None, "previous": previous, **other}
    return night.score(out, source=nights.source, data=data, as_of=DAYS[day], **changed)


def published(folder):
    """Give every file, but for the rows that were refused: those of the night's own files alone."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "quarantine"
    }
    manifest = json.loads(found.pop("manifest.json"))
    kept = {name: own for name, own in manifest.pop("files").items() if "quarantine" not in name}
    return {**found, "manifest": manifest, "files": kept}


@pytest.fixture(scope="module")
def from_files(night, nights, place):
    with place.entered():
        for day in range(1, len(DAYS)):
            out = nights.home / "files" / str(day)
            asked(night, nights, day, data=nights.until(day), out=out)
    return nights.home / "files"


def test_each_night_has_the_bytes_of_the_night_from_all_files(night, nights, from_files, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(nights.store, store)
    for day in range(1, len(DAYS)):
        out = tmp_path / "scores" / str(day)
        given = {"data": nights.arrived(day), "out": out, "history": store}
        assert asked(night, nights, day, **given).rows > 2
        assert published(out) == published(from_files / str(day))
        assert asked(night, nights, day, **given).was_there
    # a night that is asked for again, after later ones
    given = {"data": nights.arrived(1), "out": tmp_path / "scores" / "1", "history": store}
    assert asked(night, nights, 1, **given).was_there
    with HistoryStore.open(store) as opened:
        assert len(opened.notes()) == len(DAYS)


def test_rows_that_are_there_already_change_no_score(night, nights, from_files, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(nights.store, store)
    out = tmp_path / "scores"
    asked(night, nights, 1, data=nights.until(1), out=out, history=store)
    got, expected = (pd.read_parquet(each / "scores") for each in (out, from_files / "1"))
    pd.testing.assert_frame_equal(got, expected, check_exact=True)
    with HistoryStore.open(store) as opened:
        counts = opened.notes()[-1]["rows"]
    assert counts["appended"]["transactions"] == len(pd.read_csv(_payments(nights, 1)))
    assert counts["repeated"]["transactions"] > 300


def _payments(nights, day):
    return nights.arrived(day) / f"transactions-{day}.csv"


def test_a_row_with_the_id_of_another_is_refused_and_kept_aside(night, nights, tmp_path):
    store, data, out = tmp_path / "store", tmp_path / "data", tmp_path / "scores"
    shutil.copytree(nights.store, store)
    shutil.copytree(nights.arrived(1), data)
    rows = pd.read_csv(data / "transactions-1.csv", dtype=str, keep_default_na=False)
    known = pd.read_csv(_payments(nights, 0), dtype=str, keep_default_na=False)
    rows.loc[0, "transaction_id"] = known.loc[0, "transaction_id"]
    rows.to_csv(data / "transactions-1.csv", index=False)
    asked(night, nights, 1, data=data, out=out, history=store)
    (refused,) = pd.read_parquet(out / "quarantine" / "history.parquet").to_dict("records")
    assert refused["row_id"] == known.loc[0, "transaction_id"]
    quality = read_manifest(out).quality.table("transactions")
    assert quality.reasons[-1].count == 1
    assert quality.accepted == len(known) + len(rows) - 1 - _broken(known)


def serve(nights, store, name):
    """Log a payment like the first one as served."""
    (paid,) = pd.read_csv(_payments(nights, 0), dtype=str).loc[[0], "transaction_id"]
    with HistoryStore.open(store, write=True) as opened:
        found = opened.find("transactions", pa.array([paid]))
        found = found.select(opened.about["columns"]["transactions"])
        plain = [
            each.cast(pa.int64()) if pa.types.is_timestamp(each.type) else each
            for each in found.columns
        ]
        (row,) = pa.table(plain, found.column_names).to_pylist()
        row["transaction_id"] = name
        opened.log([Served(key=name, request=b"q", answer=b"a", row=row_to_json(row))])


def test_what_was_served_is_appended_before_the_arrivals(
    night, nights, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    store, ids = tmp_path / "store", pa.array(["served", "served later"])
    shutil.copytree(nights.store, store)
    serve(nights, store, "served")
    given = {"data": nights.arrived(1), "out": tmp_path / "scores", "history": store}
    with monkeypatch.context() as patch:
        patch.setattr(ScoringRun, "run", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            asked(night, nights, 1, **given)
    with HistoryStore.open(store) as opened:
        assert opened.pending() == []
        assert len(opened.find("transactions", ids)) == 1
        assert opened.notes()[1]["served"] == 1
        assert "files" in opened.notes()[-1]
    serve(nights, store, "served later")  # the night starts again
    assert not asked(night, nights, 1, **given).was_there
    with HistoryStore.open(store) as opened:
        assert opened.pending() == []
        assert len(opened.find("transactions", ids)) == 2
    assert asked(night, nights, 1, **given).was_there


def _broken(rows):
    return int((rows["amount"] == "-1").sum())


def test_a_store_of_another_source_or_of_other_features_is_refused(night, nights, tmp_path):
    with pytest.raises(ConfigError, match="history"):
        asked(night, nights, 1, data=nights.arrived(1), out=tmp_path / "a", history=tmp_path)
    other = tmp_path / "source.yaml"
    other.write_text(nights.source.read_text().replace("CNY", "EUR"))
    with pytest.raises(ConfigError, match="base_currency"):
        night.score(tmp_path / "b", source=other, data=nights.arrived(1), history=nights.store)
    with HistoryStore.open(nights.store, write=True), pytest.raises(OutputError):
        asked(night, nights, 1, data=nights.arrived(1), out=tmp_path / "c", history=nights.store)


def test_commands_read_from_a_store_what_they_read_from_files(night, nights, place, tmp_path):
    given = ("features", "build", "--config", night.home / "configs" / "fraud.yaml")
    given += ("--source", nights.source)
    for name, read in {
        "files": ("--data", nights.arrived(0), "--quarantine", tmp_path / "refused.parquet"),
        "store": ("--history", nights.store),
    }.items():
        done = place.run(*given, *read, "--out", tmp_path / f"{name}.parquet")
        assert done.code == 0, done.err
    assert (tmp_path / "files.parquet").read_bytes() == (tmp_path / "store.parquet").read_bytes()
    both = ("--data", nights.arrived(0), "--history", nights.store)
    for read in ((), both):
        assert place.run(*given, *read, "--out", tmp_path / "none.parquet").code == 2


@pytest.mark.parametrize("row", [200, 350])
def test_an_explanation_and_its_sheet_are_those_from_files(night, nights, tmp_path, row):
    found = {}
    for name, data in {"files": nights.arrived(0), "store": nights.store}.items():
        request = ExplainRequest(
            observation=f"SECRETTX{row:04d}",
            model=str(night.model),
            source=nights.source,
            data=data,
            sheet=tmp_path / f"{name}.html",
            quarantine=tmp_path / "refused.parquet",
        )
        explained = run_explain(request, reporter=ProgressReporter())
        found[name] = (explained.score, repr(explained), explained.sheet.read_text())
    assert found["store"] == found["files"]
    with pytest.raises(DatasetError):
        run_explain(replace(request, observation="nobody"), reporter=ProgressReporter())


def test_an_explanation_waits_for_no_package_that_it_does_not_use(night, nights, place, tmp_path):
    code = (
        "import sys\nfrom kyc_ml.cli import app\n"
        "for line in sys.argv[1:]:\n"
        "    assert not app(line.split(), standalone_mode=False)\n"
        f"print([name for name in {UNUSED} if name in sys.modules])"
    )
    store = f"--history {nights.store}"
    asked = f"explain SECRETTX0200 --model {night.model} --source {nights.source}"
    lines = (
        f"history status {store}",
        f"{asked} {store} --sheet {tmp_path / 'sheet.html'} --quiet",
        f"{asked} --data {nights.arrived(0)} --quarantine {tmp_path / 'refused.parquet'} --quiet",
    )
    done = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", code, *lines],
        check=True, capture_output=True, text=True, cwd=place.home,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_a_night_killed_at_any_instant_goes_on_to_the_same_bytes(
    night, nights, from_files, place, tmp_path
):
    shutil.copytree(nights.store, tmp_path / "store")
    request = {
        "model": str(night.model), "source": str(nights.source), "data": str(nights.arrived(1)),
        "limits": str(night.limits),
        "as_of": DAYS[1].isoformat(), "part_rows": 60, "contributions": True, "csv": True,
    }  # fmt: skip
    subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-W", "ignore", "-c", FORGE, str(tmp_path), str(KILLS), repr(request)],
        check=True,
        cwd=place.home,
        timeout=300,
    )
    goals = sorted(tmp_path.glob("goal-*"))
    assert goals
    for goal in goals:
        assert published(goal / "scores") == published(from_files / "1")
        with HistoryStore.open(goal / "store") as opened:
            assert len(opened.notes()) == 2
