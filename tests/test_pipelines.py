"""What an operator schedules: the nightly job, and its DAG under a stand-in for Airflow."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from kyc_ml.config import RunConfig, load_section
from kyc_ml.decision import Hysteresis
from kyc_ml.errors import GateError, NotReadyError, RegistryError, SourceError, UnreachableError

ROOT = Path(__file__).parents[1]
PIPELINES = ROOT / "pipelines"
HELD = Hysteresis(reviews=3, margin=0.2)


def load(name, monkeypatch):
    spec = importlib.util.spec_from_file_location(f"pipelines_{name}", PIPELINES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def parse(main, arguments):
    """Parse a script's options without running it; gives the options."""
    app = typer.Typer()
    app.command()(main)
    return typer.main.get_command(app).make_context("script", list(arguments)).params


# The DAG


class RefusedForGoodError(Exception):
    """Airflow's exception that no retry follows."""


@pytest.fixture
def airflow(monkeypatch):
    """Put a stand-in in Airflow's place that only keeps what it is given."""
    made = {"dags": [], "tasks": []}

    class Dag:
        def __init__(self, **settings):
            made["dags"].append(settings)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    def add(name, **names):
        module = ModuleType(name)
        module.__dict__.update(names)
        monkeypatch.setitem(sys.modules, name, module)

    for package in ("airflow", "airflow.providers", "airflow.providers.standard"):
        add(package)
    add("airflow.providers.standard.operators")
    add(
        "airflow.providers.standard.operators.python",
        PythonOperator=lambda **settings: made["tasks"].append(settings),
    )
    add("airflow.sdk", DAG=Dag, CronTriggerTimetable=lambda cron, timezone: (cron, timezone))
    add("airflow.sdk.exceptions", AirflowFailException=RefusedForGoodError)
    return made


@pytest.fixture
def dag(airflow, monkeypatch, tmp_path):
    monkeypatch.setenv("KYC_HOME", str(tmp_path))
    monkeypatch.setenv("KYC_MODELS", "models:/fraud@champion models:/risk@champion")
    monkeypatch.setenv("KYC_FIRST_NIGHT", "2026-03-01")
    return load("airflow_nightly", monkeypatch)


def test_the_dag_runs_every_night_once_and_catches_up(airflow, dag):
    assert dag.SETTINGS.first_night == datetime(2026, 3, 1, tzinfo=UTC)
    [settings] = airflow["dags"]
    assert settings["schedule"] == ("0 3 * * *", "UTC")
    assert settings["start_date"] == dag.SETTINGS.first_night
    assert settings["catchup"] is True
    assert settings["max_active_runs"] == 1


def test_without_a_first_night_no_earlier_one_is_run(airflow, monkeypatch):
    monkeypatch.delenv("KYC_FIRST_NIGHT", raising=False)
    load("airflow_nightly", monkeypatch)
    [settings] = airflow["dags"]
    assert settings["catchup"] is False
    assert settings["start_date"].tzinfo is not None


def test_the_dag_follows_the_clock_of_the_bank(airflow, monkeypatch):
    monkeypatch.setenv("KYC_TIMEZONE", "Asia/Shanghai")
    dag = load("airflow_nightly", monkeypatch)
    [settings] = airflow["dags"]
    assert settings["schedule"] == ("0 3 * * *", "Asia/Shanghai")
    commands = ends_with(dag, 0, monkeypatch)
    # 3:00 in Shanghai, as Airflow stores it
    dag.score(logical_date=datetime(2026, 3, 1, 19, tzinfo=UTC))
    assert commands == [dag.SETTINGS.command("2026-03-02")]


def test_the_one_task_is_tried_again(airflow, dag):
    [task] = airflow["tasks"]
    assert task["python_callable"] is dag.score
    assert task["retries"] == 3
    assert task["retry_delay"] >= timedelta(minutes=1)


def test_its_command_is_one_that_nightly_takes(dag, monkeypatch, tmp_path):
    python, script, *options = dag.SETTINGS.command("2026-03-02")
    assert python == str(tmp_path / ".venv/bin/python")
    assert script == "pipelines/nightly.py"
    given = parse(load("nightly", monkeypatch).main, options)
    assert given["as_of"] == "2026-03-02"
    assert list(given["model"]) == ["models:/fraud@champion", "models:/risk@champion"]
    assert given["source"] == tmp_path / "configs/sources/mine.yaml"


def ends_with(dag, code, monkeypatch):
    """Let the night end with a code; gives the commands that were run."""
    commands = []

    def run(command, *, cwd, check):
        assert cwd == dag.SETTINGS.home
        assert check is False
        commands.append(command)
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr(dag.subprocess, "run", run)
    return commands


def test_the_logical_date_is_the_end_of_the_day_scored(dag, monkeypatch):
    commands = ends_with(dag, 0, monkeypatch)
    shanghai = datetime.fromisoformat("2026-03-02T07:30:00+08:00")
    dag.score(logical_date=shanghai)
    assert commands == [dag.SETTINGS.command("2026-03-01")]


@pytest.mark.parametrize("code", [1, 2])
def test_what_was_refused_is_not_tried_again(dag, monkeypatch, code):
    ends_with(dag, code, monkeypatch)
    with pytest.raises(RefusedForGoodError, match=rf" {code}\b"):
        dag.score(logical_date=datetime(2026, 3, 2, tzinfo=UTC))


def test_options_of_a_bank_reach_nightly(airflow, monkeypatch):
    monkeypatch.setenv("KYC_OPTIONS", "--overrides '/srv/my overrides.csv' --no-previous")
    module = load("airflow_nightly", monkeypatch)
    _, _, *options = module.SETTINGS.command("2026-03-02")
    given = parse(load("nightly", monkeypatch).main, options)
    assert given["overrides"] == Path("/srv/my overrides.csv")
    assert given["no_previous"] is True


@pytest.mark.parametrize("code", [3, 4, 5, 137, 143, -9])
def test_what_was_killed_or_did_not_find_mlflow_is_tried_again(dag, monkeypatch, code):
    ends_with(dag, code, monkeypatch)
    with pytest.raises(RuntimeError, match=rf" {code}\b"):
        dag.score(logical_date=datetime(2026, 3, 2, tzinfo=UTC))


def test_a_run_without_a_date_is_refused(dag, monkeypatch):
    commands = ends_with(dag, 0, monkeypatch)
    with pytest.raises(RefusedForGoodError, match="logical"):
        dag.score(logical_date=None)
    assert not commands


# The night


@pytest.fixture
def night(monkeypatch, tmp_path):
    """Give nightly.py with stand-ins for its jobs, and what it asked of them."""
    module = load("nightly", monkeypatch)
    asked = []
    faults = {}

    def load_model(uri):
        if uri in faults.get("load", ()):
            msg = f"model {uri} not found"
            raise RegistryError(msg)
        if uri in faults.get("away", ()):
            msg = "MLflow is not there"
            raise UnreachableError(msg)
        name = uri.split("/")[1]
        policy = SimpleNamespace(hysteresis=HELD if name == "risk" else None)
        return SimpleNamespace(config=SimpleNamespace(name=name), policy=policy), uri

    def nights_before(out, name, *, as_of, rule):
        asked.append(("history", (out, name, as_of.isoformat())))
        return () if rule is None else (out / "2026-03-01" / name,)

    @contextmanager
    def read_once(source, data, *, place, reporter, history=None):
        asked.append(("read", place))
        if "read" in faults:
            raise faults["read"]
        reporter.info("read")
        yield "tables"

    def run_score(request, *, reporter, tables, keep_features):
        assert tables == "tables"
        asked.append(("score", request))
        reporter.about(model=request.model.removeprefix("models:/").replace("/", " v"))
        reporter.warning("drift: moved")
        if request.model in faults.get("late", ()):
            msg = "not there yet"
            raise NotReadyError(msg)
        if request.model in faults.get("score", ()):
            msg = "not published: drift.score"
            raise GateError(msg)
        return request

    def log_refusal(request, error, **_):
        refused.append((request.model, error.exit_code))

    refused = []
    monkeypatch.setattr("kyc_ml.scoring.log_refusal", log_refusal)
    monkeypatch.setattr("kyc_ml.registry.load_model", load_model)
    monkeypatch.setattr("kyc_ml.scoring.nights_before", nights_before)
    monkeypatch.setattr("kyc_ml.contract.read_once", read_once)
    monkeypatch.setattr(
        "kyc_ml.monitoring.score_under_incidents",
        lambda *given, **named: (run_score(*given, **named), None),
    )
    monkeypatch.setattr("kyc_ml.cli.terminal.results.show_scoring", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    shipped = ROOT / "configs" / "sources" / "synthetic.yaml"
    Path("s.yaml").write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    Path("in").mkdir()

    def start(*options, load=(), score=(), away=()):
        faults.update(load=load, score=score, away=away)
        line = ["--source", "s.yaml", "--data", "in", "--out", "out", *options]
        return CliRunner().invoke(module.app, line), asked

    start.refused, start.faults = refused, faults
    return start


BOTH = ("--model", "models:/fraud/1", "--model", "models:/risk/1", "--as-of", "2026-03-02")


def scored(asked):
    return {one.model: one for what, one in asked if what == "score"}


def test_every_model_has_a_folder_of_its_own(night):
    result, asked = night(*BOTH)
    assert result.exit_code == 0
    assert [what for what, _ in asked if what != "history"] == ["read", "score", "score"]
    folders = {uri: request.out for uri, request in scored(asked).items()}
    day = Path("out/2026-03-02")
    assert folders == {"models:/fraud/1": day / "fraud", "models:/risk/1": day / "risk"}


@pytest.mark.parametrize(
    ("load", "score", "code"),
    [
        (("models:/fraud/1",), (), 2),
        ((), ("models:/fraud/1",), 1),
        (("models:/fraud/1",), ("models:/risk/1",), 2),
    ],
)
def test_one_model_does_not_keep_the_other_back(night, load, score, code):
    result, asked = night(*BOTH, load=load, score=score)
    assert result.exit_code == code
    assert "models:/risk/1" in scored(asked)
    assert result.output.count("models:/fraud/1") == 1  # named, and once


DAY = "2026-03-01T16:00:00+00:00"
"""Midnight of 2 March in Shanghai, the zone of the mapping."""


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (
            {},
            [("note", None), ("note", "fraud v1"), ("note", "risk v1")],
        ),
        (
            {"load": ("models:/fraud/1",), "score": ("models:/risk/1",)},
            [
                ("error", "models:/fraud/1"),
                ("note", None),
                ("note", "risk v1"),
                ("error", "risk v1"),
            ],
        ),
    ],
)
def test_every_line_of_a_night_s_log_says_which_day_and_model(night, faults, told):
    result, _ = night(*BOTH, "--log", "json", **faults)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [(line["event"], line.get("model")) for line in lines] == told
    assert {line["as_of"] for line in lines} == {DAY}


def test_every_line_of_a_night_of_one_model_names_it(night):
    result, _ = night(*BOTH[2:], "--log", "json")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [line["model"] for line in lines] == ["models:/risk/1", "risk v1"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (BOTH, ["read", "warning: fraud v1: drift: moved", "warning: risk v1: drift: moved"]),
        (BOTH[2:], ["read", "warning: drift: moved"]),
    ],
)
def test_notes_for_people_name_the_model_where_a_night_has_several(night, options, told):
    result, _ = night(*options)
    assert result.stderr.splitlines() == told


@pytest.mark.parametrize("lacking", ["in", "s.yaml"])
def test_a_night_without_its_files_says_which_day_it_was(night, lacking, tmp_path):
    (tmp_path / lacking).rename(tmp_path / "elsewhere")
    result, _ = night(*BOTH, "--log", "json")
    [line] = [json.loads(line) for line in result.stderr.splitlines()]
    code = {"in": 5, "s.yaml": 2}[lacking]  # the folder of a delivery is made when it comes
    assert (result.exit_code, line["as_of"]) == (code, "2026-03-02")


def test_without_a_model_the_tables_are_not_read(night):
    result, asked = night(*BOTH, load=("models:/fraud/1", "models:/risk/1"))
    assert result.exit_code == 2
    assert not asked


def test_a_wrong_date_makes_no_folder(night):
    result, asked = night(*BOTH[:4], "--as-of", "2026-13-01")
    assert result.exit_code == 2
    assert not asked


@pytest.mark.parametrize("text", ["2026-03-02T10:00", "2026-03-02T00:00+09:00"])
def test_a_time_of_day_is_no_night(night, text):
    result, asked = night(*BOTH[:4], "--as-of", text)
    assert result.exit_code == 2
    assert "day" in " ".join(result.output.split())
    assert not asked


@pytest.mark.parametrize(
    "text",
    ["2026-03-02", "2026-03-02T00:00", "20260302", "2026-03-02T00:00+08:00", "2026-03-01T16:00Z"],
)
def test_a_day_is_one_night_of_the_bank_however_it_is_written(night, text):
    result, asked = night(*BOTH[:4], "--as-of", text)
    assert result.exit_code == 0
    assert {request.as_of for request in scored(asked).values()} == {pd.Timestamp(DAY)}
    assert {request.out.parent.name for request in scored(asked).values()} == {"2026-03-02"}


def test_a_midnight_in_utc_may_still_end_a_night(night):
    result, asked = night(*BOTH[:4], "--as-of", "2026-03-02T00:00Z")
    assert result.exit_code == 0
    [(_, first), *_] = scored(asked).items()
    assert (first.as_of, first.out.parent.name) == (
        pd.Timestamp("2026-03-02", tz="UTC"), "2026-03-02"
    )  # fmt: skip


def test_without_a_date_the_last_midnight_of_the_bank_ends_the_night(night, monkeypatch):
    now = pd.Timestamp("2026-03-01T16:30", tz="UTC")
    monkeypatch.setattr(pd.Timestamp, "now", now.tz_convert)
    result, asked = night(*BOTH[:4])
    assert result.exit_code == 0
    assert {request.as_of for request in scored(asked).values()} == {pd.Timestamp(DAY)}


def test_a_usage_error_of_a_night_is_one_object_of_the_json_log(monkeypatch):
    line = ["--log", "json", "--source", "x"]
    done = CliRunner().invoke(load("nightly", monkeypatch).app, line, prog_name="nightly.py")
    [logged] = [json.loads(each) for each in done.stderr.splitlines()]
    assert (done.exit_code, logged["level"], logged["event"]) == (2, "error", "error")
    assert logged["text"] == "Missing option '--data': try 'nightly.py --help'"


def test_help_of_a_night_has_the_cure_of_exit_code_4(monkeypatch):
    done = CliRunner().invoke(load("nightly", monkeypatch).app, ["--help"])
    assert done.exit_code == 0
    assert re.search(r" 4 MLflow [^:]*: .*again", " ".join(done.output.split()))


def test_faulty_limits_are_refused_once_before_any_work(night, tmp_path):
    path = tmp_path / "limits.yaml"
    path.write_text("late_share: 2\n")
    result, asked = night(*BOTH, "--limits", str(path))
    assert result.exit_code == 2
    assert result.output.count("late_share") == 1
    assert not asked


def test_challengers_score_after_every_published_model_and_only_then(night, monkeypatch):
    called = []

    def shadows(champions, challengers, *, reporter, tables):
        assert tables == "tables"
        called.append(([request.model for request, _ in champions], list(challengers)))

    monkeypatch.setattr("kyc_ml.scoring.run_shadows", shadows)
    options = ("--shadow", "models:/fraud@challenger", "--shadow", "models:/risk/4")
    done, asked = night(*BOTH, *options, score=["models:/risk/1"])
    assert done.exit_code == 1  # of the refused model alone
    assert len(scored(asked)) == 2
    assert called == [(["models:/fraud/1"], ["models:/fraud@challenger", "models:/risk/4"])]


@pytest.mark.parametrize("restart", [False, True])
def test_restart_reaches_every_model(night, restart):
    _, asked = night(*BOTH, *(["--restart"] if restart else []))
    assert {request.restart for request in scored(asked).values()} == {restart}


def test_a_store_that_is_away_is_worth_another_try(night):
    result, asked = night(*BOTH, away=("models:/fraud/1",), score=("models:/risk/1",))
    assert result.exit_code == 4
    assert "models:/risk/1" in scored(asked)


@pytest.mark.parametrize("error", [SourceError("faults"), NotReadyError("late")])
def test_a_night_whose_tables_cannot_be_read_is_recorded_for_every_model(night, error):
    night.faults["read"] = error
    result, _ = night(*BOTH)
    assert result.exit_code == error.exit_code
    assert night.refused == [(f"models:/{name}/1", error.exit_code) for name in ("fraud", "risk")]


def test_the_late_input_of_one_model_holds_up_no_other_unless_the_night_waits(night):
    night.faults["late"] = ("models:/fraud/1",)
    result, asked = night(*BOTH)
    assert (result.exit_code, set(scored(asked))) == (5, {"models:/fraud/1", "models:/risk/1"})
    assert night.refused == [("models:/fraud/1", 5)]
    asked.clear()
    result, asked = night(*BOTH, "--wait", "0s")
    assert (result.exit_code, set(scored(asked))) == (5, {"models:/fraud/1"})


def test_a_night_that_waits_starts_again_when_its_input_has_come(night, monkeypatch):
    tries = []

    def wait_for_input(attempt, *, until, **_):
        assert until > pd.Timestamp.now(tz="UTC")
        try:
            attempt()
        except NotReadyError:
            tries.append("late")
            night.faults["late"] = ()
        return attempt()

    monkeypatch.setattr("kyc_ml.contract.wait_for_input", wait_for_input)
    night.faults["late"] = ("models:/risk/1",)
    result, _ = night(*BOTH, "--wait", "2h")
    assert (result.exit_code, tries, night.refused) == (0, ["late"], [])


def test_a_rehearsal_has_the_history_of_the_nights_it_repeats(night):
    Path("published").mkdir()
    _, asked = night(*BOTH, "--nights", "published")
    assert {about[0] for what, about in asked if what == "history"} == {Path("published")}
    assert {request.out.parts[0] for request in scored(asked).values()} == {"out"}


def test_a_heartbeat_and_a_command_report_the_worst_of_a_night(night, tmp_path):
    beat = tmp_path / "beat.json"
    told = f"{sys.executable} -c \"import sys; open('told', 'w').write(sys.stdin.read())\""
    reported = ("--heartbeat", str(beat), "--on-failure", told)
    result, _ = night(*BOTH, *reported, score=("models:/risk/1",))
    assert (result.exit_code, json.loads(beat.read_text())["exit_code"]) == (1, 1)
    report = json.loads(Path("told").read_text())
    assert (report["job"], report["day"], report["exit_code"]) == ("nightly", "2026-03-02", 1)
    assert [reason["model"] for reason in report["reasons"]] == ["risk v1"]


def test_the_tiers_of_earlier_nights_are_history(night):
    _, asked = night(*BOTH)
    previous = {uri: request.previous for uri, request in scored(asked).items()}
    assert previous == {
        "models:/fraud/1": (), "models:/risk/1": (Path("out/2026-03-01/risk"),)
    }  # fmt: skip
    assert ("history", (Path("out"), "risk", DAY)) in asked


def test_a_night_can_begin_without_history(night):
    result, asked = night(*BOTH, "--no-previous")
    assert result.exit_code == 0
    assert {request.previous for request in scored(asked).values()} == {()}


def test_overrides_reach_every_model(night):
    Path("book.csv").touch()
    _, asked = night(*BOTH, "--overrides", "book.csv")
    overrides = [request.overrides for request in scored(asked).values()]
    assert overrides == [Path("book.csv")] * 2


RISK = ROOT / "configs" / "risk.yaml"
CARD = ("--fallback", "rating", "--config", str(RISK))


@pytest.mark.parametrize("load", [(), ("models:/risk/1",)])
def test_a_card_stands_in_for_the_model_of_its_name_alone(night, load):
    assert load_section(RISK, RunConfig).name == "risk"
    result, asked = night(*BOTH, *CARD, load=load)
    assert result.exit_code == 0  # a model that will not load is handed on to its card
    cards = {uri: (request.fallback, request.config) for uri, request in scored(asked).items()}
    assert cards == {"models:/fraud/1": (None, None), "models:/risk/1": ("rating", RISK)}


def test_a_card_does_not_stand_in_for_mlflow(night):
    result, asked = night(*BOTH, *CARD, away=("models:/risk/1",))
    assert result.exit_code == 4
    assert "models:/risk/1" not in scored(asked)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (CARD[:2], "together"),
        (CARD[2:], "together"),
        ((*CARD, *CARD[2:]), "name"),
        ((*CARD[:3], str(ROOT / "configs" / "berka.yaml")), "--config"),
    ],
)
def test_a_card_that_would_never_stand_in_is_refused(night, options, said):
    result, asked = night(*BOTH, *options)
    assert result.exit_code == 2
    assert said in result.output
    assert not scored(asked)
