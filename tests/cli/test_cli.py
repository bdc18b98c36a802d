"""The command line's face: help, examples, exit codes, and the MLproject that mirrors it."""

import itertools
import json
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import typer
import yaml
from mlflow.projects._project_spec import EntryPoint
from typer.testing import CliRunner

from kyc_ml import cli
from kyc_ml.cli import features, models, scoring, tiers, validation
from kyc_ml.cli.help import LONGEST, list_commands
from kyc_ml.cli.options import fill
from kyc_ml.config import RunConfig, load_section
from kyc_ml.dataset import run_features
from kyc_ml.errors import ConfigError, GateError
from kyc_ml.registry import digest_code
from kyc_ml.scoring import ExplainRequest, ScoringRequest
from kyc_ml.training import TiersFitRequest, TrainRequest, TuneRequest
from kyc_ml.validation import ComparisonRequest, ValidationRequest, run_audit
from kyc_ml.validation.sign_off.promote_job import model_address

BAD_INPUT = 2

ROOT = Path(__file__).parents[2]
HEAVY = ("mlflow", "lightgbm", "pandas", "numba", "pyarrow", "duckdb", "sklearn", "matplotlib")
TOP = typer.main.get_command(cli.app).commands
GROUPS = ("features", "tiers", "audit-log", "history", "monitor", "alerts", "incident")
COMMANDS = {
    " ".join(filter(None, (group, name))): command
    for group, commands in [("", TOP), *((name, TOP[name].commands) for name in GROUPS)]
    for name, command in commands.items()
    if name not in GROUPS or group
}
ENTRIES = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]


def run(*arguments):
    return CliRunner().invoke(cli.app, list(arguments), prog_name="kyc-ml")


def options_of(command):
    return {name: option for option in COMMANDS[command].params for name in option.opts}


def test_the_commands_are_those_promised():
    top = [
        "synth",
        "init",
        "check",
        "config",
        "features",
        "audit",
        "tune",
        "train",
        "register",
        "reproduce",
        "compare",
        "validate",
        "score",
        "explain",
        "serve",
        "replay",
        "history",
        "demo",
        "tiers",
        "report",
        "sign-off",
        "promote",
        "rollback",
        "withdraw",
        "approve-policy",
        "findings",
        "audit-log",
        "monitor",
        "alerts",
        "incident",
    ]
    assert sorted(TOP) == sorted(top)
    assert list(TOP["features"].commands) == ["build", "list", "show"]
    assert list(TOP["tiers"].commands) == ["fit", "show", "check", "moves"]
    assert list(TOP["audit-log"].commands) == ["verify", "show"]
    assert list(TOP["monitor"].commands) == ["show", "record"]
    assert list(TOP["alerts"].commands) == ["list", "acknowledge", "snooze", "send", "watchdog"]
    assert list(TOP["incident"].commands) == ["open", "list", "show", "step", "close", "drill"]


def test_help_imports_nothing_heavy():
    program = (
        "import sys, json, contextlib, io\n"
        "from kyc_ml.cli import app\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    app(['--help'])\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    app(['train', '--help'])\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "kyc_ml" in loaded
    assert not loaded & set(HEAVY)


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "kyc_ml", "--help"], capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip
    assert "Usage: python -m kyc_ml" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example_that_parses(name):
    shown = run(*name.split(), "--help")
    assert shown.exit_code == 0
    command = COMMANDS[name]
    assert command.help
    assert name == " ".join(shlex.split(EXAMPLES[name]["line"])[: len(name.split())])
    assert parsed(name).params
    assert f"kyc-ml {EXAMPLES[name]['line']}\n" in shown.stdout  # unbroken: it can be pasted
    assert all(option.help for option in command.params)


# --- examples -------------------------------------------------------------------------

EXAMPLE = re.compile(r"Example(?:, after (?P<after>[^:]+))?:\n\n\x08\nkyc-ml (?P<line>.+)")
EXAMPLES = {name: EXAMPLE.fullmatch(each.epilog).groupdict() for name, each in COMMANDS.items()}
WRITTEN = {"out", "log", "audit_log", "history"}
LEFT = {
    None: {"configs"},
    "make demo": {
        *("configs", "build/demo/bank", "build/demo/scores_fraud", "build/demo/scores_risk"),
        *(
            f"models:/demo-{unit}{which}"
            for unit in ("fraud", "risk")
            for which in ("/1", "@challenger")
        ),
    },
    "the two trainings of README.md": {
        *("configs", "build/bank"),
        *(f"models:/fraud/{number}" for number in (1, 2)),
    },
    "a training that MLflow did not accept": {"build/unregistered/fraud-1"},
    "two promotions": {"models:/demo-risk@champion"},
}
"""What an example may name, by what it says it comes after."""


def parsed(name):
    words = shlex.split(EXAMPLES[name]["line"])[len(name.split()) :]
    return COMMANDS[name].make_context(name, words)


def left_before(name):
    """Give what is there before an example runs: left by a person, or by other examples."""
    after = EXAMPLES[name]["after"]
    if after in LEFT:
        return LEFT[after]
    other = after.rpartition(" ")[2]
    given = parsed(other).params
    made = {str(given["out"])} if given.get("out") else set()
    if other == "promote":
        made |= {f"models:/{given['model'].partition('@')[0]}@champion"}
    return left_before(other) | made


def asked_for(name):
    """Give the files and models that an example asks for."""
    for each, value in parsed(name).params.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if name.startswith("incident"):  # a name in the registry; nights are the operator's
            continue
        if each in ("model", "run", "challenger", "champion") and value:
            yield address(name, value)
        elif each not in WRITTEN:
            yield from (
                str(one) for one in values if isinstance(one, Path) or (one and each == "receipt")
            )


def address(name, model):
    """Give the registry address of a model, as its command reads it."""
    if name in ("rollback", "withdraw"):
        return f"models:/{model}@champion"
    return model_address(model) if "@" in model or ":" in model else f"models:/{model}/1"


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_names_only_what_is_left_by_what_it_comes_after(name):
    left = left_before(name)
    for asked in asked_for(name):
        place = next((each for each in left if asked == each or asked.startswith(f"{each}/")), None)
        assert place, f"{name}: {asked} is left by nothing before it"
        if place == "configs":
            assert (ROOT / asked).exists()


def test_the_readme_leaves_what_the_example_of_compare_asks_for():
    lines = [each for each in (ROOT / "README.md").read_text().splitlines() if each[:6] == "kyc-ml"]
    assert any(each.startswith("kyc-ml synth") and "--out build/bank" in each for each in lines)
    trained = [each for each in lines if each.startswith("kyc-ml train")]
    assert len(trained) == 2
    assert all("--config configs/fraud.yaml" in each for each in trained)
    assert load_section(ROOT / "configs" / "fraud.yaml", RunConfig).name == "fraud"


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_shows_an_example_of_one_of_its_commands(name):
    line = EXAMPLE.fullmatch(TOP[name].epilog)["line"]
    assert " ".join(line.split()[:2]) in COMMANDS
    assert f"kyc-ml {line}\n" in run(name, "--help").stdout


def test_version():
    said = run("--version").stdout
    assert said == f"kyc-ml {version('kyc-ml')}, source {digest_code()}\n"


def test_without_a_command_it_shows_help():
    assert "Data:" in run().output


def test_help_lists_every_command_under_a_heading_in_a_line_that_is_not_cut():
    shown = run("--help").stdout
    headings = [line for line in shown.splitlines() if re.fullmatch(r"[A-Z][a-z]+:", line)]
    assert headings == ["Options:", *(f"{name}:" for name in list_commands(""))]
    for name in TOP:
        [line] = re.findall(rf"^  {name} +(.+)$", shown, re.MULTILINE)
        assert len(line) <= LONGEST
    for group in GROUPS:
        [commands] = list_commands(group).values()
        assert set(commands) == set(TOP[group].commands)
        for name, summary in commands.items():
            assert len(summary) <= LONGEST
            assert re.search(rf"^  {name} +{re.escape(summary)}$", run(group, "--help").stdout,
                             re.MULTILINE)  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_an_option_takes_in_words_of_the_field(name):
    shown = run(*name.split(), "--help").stdout
    assert "..." not in shown
    assert not re.search(r"<[^>\n]*>", shown)  # no <str>, no <list[Path]>
    for option in ("--as-of", "--since", "--on"):
        if option in options_of(name):
            assert f"  {option} DATE " in shown
    if "--data" in options_of(name):
        assert "  --data FOLDER " in shown


def test_a_choice_is_refused_with_what_there_is_to_choose():
    done = run("config", "--file", "rum")
    assert done.exit_code == BAD_INPUT
    assert "'run'" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("chekc",),
        ("check",),
        ("check", "--source", "a.yaml", "--data", "b", "--date", "c"),
        ("synth", "--out", "x", "--transactions", "many"),
        ("explain", "T1", "--model", "m", "--source", "s", "--data", "d", "--top", "0"),
    ],
)
def test_wrong_arguments_exit_with_2_and_without_a_traceback(arguments):
    done = run(*arguments)
    assert done.exit_code == BAD_INPUT
    assert isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.output


def test_an_interrupt_is_no_traceback(monkeypatch, tmp_path):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("kyc_ml.onboarding.run_synth", interrupted)
    done = run("synth", "--out", str(tmp_path / "bank"))
    assert (done.exit_code, done.stderr) == (130, "stopped\n")


def test_a_defect_of_the_program_is_not_dressed_as_bad_input(monkeypatch, tmp_path):
    def broken(**_):
        raise ZeroDivisionError

    monkeypatch.setattr("kyc_ml.onboarding.run_synth", broken)
    done = run("synth", "--out", str(tmp_path / "bank"))
    assert done.exit_code == 3
    assert "unexpected" in done.stderr
    assert "ZeroDivisionError" in done.stderr


HUSHED = [name for name in COMMANDS if "--quiet" in options_of(name)]


@pytest.mark.parametrize("name", HUSHED)
def test_a_command_told_to_be_quiet_hands_it_on(monkeypatch, name):
    given = {}

    def asked(arguments, **_):
        given.update(arguments)
        raise typer.Exit

    function = COMMANDS[name].callback.__wrapped__
    monkeypatch.setattr("kyc_ml.cli.options.job", asked)
    monkeypatch.setitem(function.__globals__, "job", asked)
    with pytest.raises(typer.Exit):
        function(**dict.fromkeys((each.name for each in COMMANDS[name].params), True))
    assert given["quiet"] is True


def test_commands_that_take_time_can_be_quiet():
    told = {"findings", "report", "sign-off", "approve-policy", "promote", "rollback", "withdraw"}
    looked_up = {
        name for name in COMMANDS if name.partition(" ")[2] in {"list", "show", "verify", "status"}
    }
    of_folders = {name for name in COMMANDS if name.split()[0] in {"alerts", "incident"}}
    assert set(COMMANDS) - set(HUSHED) == told | looked_up - {"monitor show"} | of_folders | {
        "config",
        "tiers check",
        "tiers moves",
    }


def last_line(done):
    """Read the log's last line; all of standard error must be JSON."""
    return [json.loads(line) for line in done.stderr.splitlines()][-1]


SCORE = ("score", "--model", "m", "--source", "s", "--data", "d", "--out", "o", "--log", "json")


@pytest.fixture
def beside_its_files(monkeypatch, tmp_path):
    """A folder that has what SCORE names."""
    monkeypatch.chdir(tmp_path)
    Path("s").touch()
    Path("d").mkdir()


@pytest.mark.usefixtures("beside_its_files")
def test_a_defect_is_one_object_of_the_json_log(monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("kyc_ml.monitoring.run_recorded", broken)
    done = run(*SCORE)
    told = last_line(done)
    assert done.exit_code == 3
    assert (told["level"], told["event"]) == ("error", "error")
    assert "unexpected" in told["text"]
    assert told["traceback"].startswith("Traceback")
    assert "ZeroDivisionError" in told["traceback"]


@pytest.mark.usefixtures("beside_its_files")
def test_an_interrupt_is_one_object_of_the_json_log(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("kyc_ml.monitoring.run_recorded", interrupted)
    done = run(*SCORE)
    assert (done.exit_code, last_line(done)["text"]) == (130, "stopped")


@pytest.mark.parametrize(
    ("day", "known"),
    [
        ((), {}),
        (("--as-of", "2026-03-02"), {"as_of": "2026-03-02"}),
        (("--as-of", "soon"), {}),  # it is no date
    ],
)
def test_an_error_before_anything_is_read_says_what_was_asked_for(day, known):
    told = last_line(run(*SCORE, *day))
    about = {name: told[name] for name in ("model", "as_of") if name in told}
    assert (told["event"], about) == ("error", {"model": "m", **known})


@pytest.mark.usefixtures("beside_its_files")
def test_a_defect_is_of_the_model_that_the_job_had_come_to(monkeypatch):
    def broken(_, *, reporter):
        reporter.about(model="fraud v3")
        raise ZeroDivisionError

    monkeypatch.setattr("kyc_ml.monitoring.run_recorded", broken)
    assert last_line(run(*SCORE))["model"] == "fraud v3"


@pytest.mark.parametrize("log", [("--log", "json"), ("--log=json",)])
@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            ("score", "--model", "m"),
            "Missing option '--source': try 'kyc-ml score --help'",
        ),
        (("score", "--sauce", "s"), "--sauce"),
        (("score", *SCORE[1:-2], "--part-rows", "many"), "'--part-rows'"),
        (("scroe",), "'scroe'"),
        (("tiers", "show"), "--log"),  # it was asked for, all the same
    ],
)
def test_a_usage_error_is_one_object_of_the_json_log(line, told, log):
    done = run(*line, *log)
    assert (done.exit_code, done.stdout) == (BAD_INPUT, "")
    [logged] = [json.loads(each) for each in done.stderr.splitlines()]
    assert (logged["level"], logged["event"]) == ("error", "error")
    assert told in logged["text"]


@pytest.mark.parametrize("log", [(), ("--log", "text"), ("--log", "jsn")])
def test_a_usage_error_is_text_where_no_json_is_asked_for(log):
    done = run("score", "--model", "m", *log)
    assert done.exit_code == BAD_INPUT
    assert done.stderr.startswith("Usage: kyc-ml score")


def test_a_json_log_takes_nothing_from_help():
    assert run("score", "--log", "json", "--help").stdout == run("score", "--help").stdout


@pytest.mark.usefixtures("beside_its_files")
def test_numbers_of_the_summary_are_numbers_in_the_json_log_and_text_for_people(monkeypatch):
    result = SimpleNamespace(
        manifest=SimpleNamespace(
            scored_by="model", reason="", run_id="r", identity={"model": "fraud v1"},
            customers=1_234, not_scored={},
            read=562_557, quarantined=0, promotion={"status": "not_promoted"},
        ),
        tiers=pd.DataFrame({"tier": ["low"]}), rows=7_690,
        seconds={"reading": 15.04}, path=Path("o"), was_there=False,
    )  # fmt: skip
    monkeypatch.setattr("kyc_ml.monitoring.run_recorded", lambda *_, **__: result)
    done = run(*SCORE)
    assert last_line(done)["facts"] == {
        "read": 562_557, "quarantined": 0, "scored": 7_690, "customers": 1_234,
        "scored by": "model", "promotion": "not promoted", "run": "r", "reading": 15.04,
        "published": "o",
    }  # fmt: skip
    for text in ("562,557 rows", "7,690 observations", "15.0 s"):
        assert text in done.stdout


@pytest.mark.usefixtures("beside_its_files")
@pytest.mark.parametrize("level", ["info", "warning"])
@pytest.mark.parametrize("text", ["drift", "warning: of another text", ""])
def test_the_level_of_a_line_is_that_of_its_call_whatever_the_text(monkeypatch, text, level):
    def reporting(_, *, reporter):
        getattr(reporter, level)(text)
        raise GateError

    monkeypatch.setattr("kyc_ml.monitoring.run_recorded", reporting)
    logged = [json.loads(line) for line in run(*SCORE).stderr.splitlines()]
    assert [(each["event"], each["level"], each["text"]) for each in logged] == [
        ("note", level, text), ("error", "error", "")
    ]  # fmt: skip


def test_every_argument_that_names_nothing_is_told_at_once(tmp_path):
    (tmp_path / "fraud.yaml").touch()
    done = run(
        "train", "--config", str(tmp_path / "fruad.yaml"), "--source", str(tmp_path / "mapping"),
        "--data", str(tmp_path),
    )  # fmt: skip
    assert done.exit_code == BAD_INPUT
    assert done.stderr.splitlines() == [
        "error: the arguments: 2 faults",
        f"  - --config {tmp_path}/fruad.yaml does not exist (did you mean 'fraud.yaml'?)",
        f"  - --source {tmp_path}/mapping does not exist",
    ]


DATES = ("--as-of", "--since", "--on")


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, option) for name in COMMANDS for option in DATES if option in options_of(name)],
)
def test_a_date_that_is_none_is_told_with_the_paths_before_anything_is_read(name, option):
    needed = []
    for each in COMMANDS[name].params:
        if each.required:
            needed += (
                ["no/such"] if each.param_type_name == "argument" else [each.opts[0], "no/such"]
            )
    done = run(*name.split(), *needed, option, "01/02/2025")
    assert done.exit_code == BAD_INPUT
    told = done.stderr.splitlines()
    fault = f"  - {option} must be an ISO date such as 2024-07-01, or a time, got '01/02/2025'"
    assert fault in told
    assert any("no/such" in line for line in told)


@pytest.mark.parametrize(
    "line",
    [
        "train --config no --source no --data no",
        "score --model m --source no --data no --out o",
        "score --model m --source . --data . --out o --as-of soon",
        "features list --family network",
        "config selection",
        "tiers check configs/tiers/risk.yaml",
        "findings",
    ],
)
def test_a_command_waits_for_no_more_than_it_needs(line):
    """A mistyped path, or a look at a file, loads neither the model's nor MLflow's packages."""
    heavy = ("lightgbm", "mlflow", "numba", "matplotlib", "optuna")
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom kyc_ml.cli import app\n"
        f"CliRunner().invoke(app, {line.split()})\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


# --- MLproject ------------------------------------------------------------------------


WATCHED = {"alerts", "incident", "monitor", "history", "serve", "replay"}


def test_the_project_offers_every_command():
    shown = {
        "init",
        "config",
        "features list",
        "features show",
        "register",
        "tiers show",
    }  # for a person at a terminal
    decided = {
        "sign-off",
        "approve-policy",
        "promote",
        "rollback",
        "withdraw",
    }  # by a person, who is named
    looked_up = {"report", "findings", "audit-log verify", "audit-log show"}
    watched = {name for name in COMMANDS if name.split()[0] in WATCHED}
    commands = set(COMMANDS) - shown - decided - looked_up - watched | {"monitor show"}
    assert {entry.replace("_", " ") for entry in ENTRIES} == commands


@pytest.mark.parametrize("name", ENTRIES)
def test_parameters_of_an_entry_point_are_options_of_its_command(name):
    parameters = ENTRIES[name].get("parameters", {})
    words = ENTRIES[name]["command"].split()
    path = name.split("_")
    assert words[: 1 + len(path)] == ["kyc-ml", *path]
    known = options_of(" ".join(path))
    named = {word for word in words if word.startswith("--")}
    assert named <= set(known)
    used = {word.strip("{}") for word in words if word.startswith("{")}
    assert used == set(parameters)
    for option, value in itertools.pairwise(words):
        if option.startswith("--") and value.startswith("{"):
            assert value == "{" + option.removeprefix("--").replace("-", "_") + "}"


@pytest.mark.parametrize("name", ENTRIES)
def test_defaults_of_an_entry_point_parse(name):
    entry = ENTRIES[name]
    given = {"observation": "T0001"} if name == "explain" else {}
    point = EntryPoint(name, entry.get("parameters", {}), entry["command"])
    line = point.compute_command(given, storage_dir=None)
    words = [word.strip("'") for word in line.split()]
    path = name.split("_")
    COMMANDS[" ".join(path)].make_context(name, words[1 + len(path) :])


@pytest.mark.parametrize(
    "name", ["train", "tune", "score", "check", "features_build", "audit", "explain"]
)
def test_files_that_an_entry_point_names_by_default_are_shipped(name):
    parameters = ENTRIES[name]["parameters"]
    for key in {"config", "source"} & set(parameters):
        assert (ROOT / parameters[key]["default"]).is_file()


@pytest.mark.parametrize(
    ("command", "made", "renamed"),
    [
        (models.train, TrainRequest, set()),
        (models.tune, TuneRequest, set()),
        (models.compare, ComparisonRequest, {"capacity", "loss"}),
        (features.build, run_features, set()),
        (features.audit, run_audit, set()),
        (scoring.score, ScoringRequest, {"heartbeat", "on_failure", "log_format"}),
        (scoring.explain, ExplainRequest, {"top", "chinese", "customer_safe"}),
        (validation.validate, ValidationRequest, {"lang"}),
        (tiers.fit, TiersFitRequest, set()),
    ],
)
def test_every_option_of_a_command_reaches_its_request(command, made, renamed):
    takes = signature(made).parameters.keys()
    given = signature(command).parameters.keys() - renamed - {"quiet"}
    assert given - {"history"} <= takes
    if "history" in given - takes:  # a store is read in place of the files
        asked = {"source": "s", "history": Path("h"), "data": None}
        assert fill(lambda data: data, asked) == Path("h")
        for both in (Path("d"), None):
            asked = {"source": "s", "history": None if both is None else Path("h"), "data": both}
            with pytest.raises(ConfigError):
                fill(lambda data: data, asked)


def test_what_was_left_out_has_the_default_of_the_request():
    def made(source, since, wait="06:00", previous=()):
        return source, since, wait, previous

    given = {"source": "s", "since": None, "wait": None, "previous": ["a"], "quiet": True}
    assert fill(made, given) == ("s", None, "06:00", ("a",))
    assert fill(made, {**given, "wait": "2h"}, previous=("b",)) == ("s", None, "2h", ("b",))
