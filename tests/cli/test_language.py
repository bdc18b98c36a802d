"""Help and output in two languages: each text has both, and data are never translated."""

import ast
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import typer
from rich.cells import cell_len
from typer.testing import CliRunner

from kyc_ml import cli
from kyc_ml.cli.help import LONGEST
from kyc_ml.cli.language import language, read_texts, translate
from kyc_ml.cli.terminal.reporters import JsonLines, Terminal
from kyc_ml.cli.terminal.tables import draw_frame
from kyc_ml.contract import read_tables
from kyc_ml.onboarding import run_init

CLI = Path(cli.__file__).parent
HELP = read_texts("help.yaml")
CHINESE = re.compile("[\u4e00-\u9fff]")
NAMES = set(HELP["commands"])
GROUPS = {name.partition(" ")[0] for name in NAMES if " " in name}


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setenv("KYC_ML_LANGUAGE", "zh")


def commands():
    """Build the commands in the language of the moment, by their whole names."""
    found = {}
    for name, command in typer.main.get_command(cli.app).commands.items():
        found[name] = command
        found |= {f"{name} {each}": one for each, one in getattr(command, "commands", {}).items()}
    return found


def pairs(content):
    """List the texts that have one language each."""
    if isinstance(content, dict):
        if {"en", "zh"} & set(content):
            yield content
        content = list(content.values())
    for each in content if isinstance(content, list) else ():
        yield from pairs(each)


def test_every_command_has_an_entry_and_every_entry_a_command():
    assert set(commands()) == NAMES


def test_every_text_is_in_both_languages():
    found = list(pairs(HELP))
    assert len(found) > 150
    assert [each for each in found if not (each.get("en") and CHINESE.search(each["zh"]))] == []


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.usefixtures("chinese")
def test_every_option_has_its_text(name):
    command = commands()[name]
    assert CHINESE.search(command.help)
    assert [each.name for each in command.params if not CHINESE.search(each.help or "")] == []


def test_no_entry_of_an_option_is_left_over():
    taken = {name: {each.name for each in command.params} for name, command in commands().items()}
    for name, entry in HELP["commands"].items():
        assert set(entry.get("options", {})) <= taken[name]
    program = {each.name for each in typer.main.get_command(cli.app).params}
    assert set(HELP["options"]) <= set().union(program, *taken.values())


@pytest.mark.parametrize("name", ["", *sorted(NAMES)])
@pytest.mark.usefixtures("chinese")
def test_a_chinese_page_fits_a_terminal_of_80_columns(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(cli.app, [*name.split(), "--help"], prog_name="kyc-ml")
    assert done.exit_code == 0
    assert done.stdout.startswith("用法：kyc-ml")
    lines = done.stdout.splitlines()
    assert [each for each in lines if cell_len(each) > 80 and "  kyc-ml " not in each] == []
    assert "[required" not in done.stdout
    assert "customize" not in done.stdout  # a word of typer's own option
    assert not re.search(r"\b([A-Z]+) \1\b", done.stdout)  # an argument named twice
    for summary in HELP["commands"].values():
        assert cell_len(summary["summary"]["zh"]) <= LONGEST


@pytest.mark.usefixtures("chinese")
def test_a_usage_error_has_a_chinese_frame_and_the_same_exit_code():
    done = CliRunner().invoke(cli.app, ["check"], prog_name="kyc-ml")
    assert done.exit_code == 2
    assert done.stderr.startswith("用法：kyc-ml check")
    assert "错误：" in done.stderr


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "KYC_ML_LANGUAGE": "en"}, "en"),
        ({"LANG": "C", "KYC_ML_LANGUAGE": "zh"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"KYC_ML_LANGUAGE": "", "LC_MESSAGES": "zh_TW"}, "zh"),
    ],
)
def test_the_language_is_that_of_the_variable_or_else_of_the_locale(
    monkeypatch, environment, expected
):
    for name in ("KYC_ML_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ("finding 3", "发现 3"),
        ("562,557 rows", "562,557 行"),
        ("12 customers, 40 rows", "12 customers, 40 rows"),  # half a translation is none
        ("a name of the bank", "a name of the bank"),
    ],
)
@pytest.mark.usefixtures("chinese")
def test_a_fixed_text_is_translated_and_anything_else_stays(english, expected):
    assert translate(english) == expected


PACKAGE = CLI.parent
CHINESE_TEXTS = {
    re.sub(r"\{\w*\}", "{}", text) for text in read_texts("terminal/words.yaml")
}  # with {} where a name or a number is put in


def stages():
    """List the stages that the package names when it reports progress."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="progress" | "tell") | ast.Name(id="progress" | "tell"),
                    args=[first, _, _, *_],
                ):
                    yield from texts(first)


def test_every_stage_of_a_job_has_its_chinese():
    found = set(stages())
    assert len(found) > 20
    assert sorted(found - CHINESE_TEXTS) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reading: done (1)", "读取数据：完成（1）"),
        ("reading: done (3) in 0.5 s", "读取数据：完成（3），用时 0.5 秒"),
        ("reading: done in 0.5 s", "读取数据：完成，用时 0.5 秒"),
        ("check 4 of 52: data.missingness", "检查 4/52：data.missingness"),
        ("building features of train rows", "计算特征（训练样本）"),
    ],
)
@pytest.mark.usefixtures("chinese")
def test_a_line_of_progress_is_chinese_throughout(line, expected):
    assert translate(line) == expected


@pytest.mark.usefixtures("chinese")
def test_a_finished_stage_is_reported_in_chinese(capsys):
    terminal = Terminal()
    terminal.progress("reading", 1, 1)
    terminal.progress("check", 3, 52, what="data.missingness")
    assert capsys.readouterr().err.splitlines() == [
        "读取数据：完成（1）", "检查 4/52：data.missingness"
    ]  # fmt: skip


def english_headings(frame):
    """List the headings of a frame that have no Chinese on the terminal."""
    heads = [each.heading for each in draw_frame("moves", frame).columns]
    return [each for each in heads if not CHINESE.search(translate(each))]


@pytest.mark.usefixtures("chinese")
def test_headings_of_init_check_and_tiers_are_chinese(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    alerts = [
        f"A{n},K{n:03},2024-{n % 9 + 1:02}-10,{'fraud' if n % 3 else 'cleared'}" for n in range(60)
    ]
    (data / "alerts.csv").write_text("\n".join(["case_no,client_no,confirmed_on,verdict", *alerts]))
    (data / "other.csv").write_text("colour\nred\n")
    result = run_init(data=data, out=tmp_path / "out", timezone="UTC", base_currency="EUR")
    tables, _ = read_tables(
        result.files["source"],
        data,
        quarantine=tmp_path / "q.parquet",
        reporter=Terminal(quiet=True),
    )
    frames = [result.tables_frame(), result.unused_frame(), tables.quality.to_frame()]
    assert [english_headings(each) for each in frames] == [[], [], []]


def test_english_is_never_changed():
    assert translate("finding 3") == "finding 3"


@pytest.mark.usefixtures("chinese")
def test_titles_headings_and_facts_are_chinese_and_cells_stay(capsys):
    terminal = Terminal()
    terminal.show("proposed tables", pd.DataFrame({"table": ["model"]}))
    terminal.summary("scored", {"model": "models:/m/1"})
    shown = capsys.readouterr().out
    assert {"建议的数据表", "数据表", "评分完成", "模型"} <= set(re.split(r"[\s│┃]+", shown))
    assert " model " in shown


@pytest.mark.usefixtures("chinese")
def test_a_log_of_json_is_the_same_in_every_language(capsys):
    JsonLines().summary("scored", {"read": "12 rows"})
    logged = json.loads(capsys.readouterr().err)
    assert (logged["title"], logged["facts"]) == ("scored", {"read": "12 rows"})


def texts(node):
    """List the texts that an expression may give, with {} where something is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr():
            parts = [getattr(each, "value", None) for each in ast.iter_child_nodes(node)]
            return ["".join(each if isinstance(each, str) else "{}" for each in parts)]
        case ast.IfExp():
            return [*texts(node.body), *texts(node.orelse)]
    return []


def printed():
    """List titles, headings and names of facts in the code of the commands."""
    frame = {CLI / name for name in ("help.py", "usage.py", "key_reference.py", "outcome.py")}
    for path in [*sorted({*CLI.glob("*.py")} - frame), CLI / "terminal" / "results.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="summary" | "show"), args=[title, *_]):
                    yield from texts(title)
                case ast.Call(func=ast.Name(id="draw_frame"), args=[title, *_]):
                    yield from texts(title)
                case ast.Call(func=ast.Name(id="Sheet" | "Column"), keywords=keywords):
                    for each in keywords:
                        yield from texts(each.value) if each.arg in {"title", "heading"} else ()
                case ast.Dict(keys=keys):
                    for each in keys:
                        yield from texts(each)
                case ast.Subscript(value=ast.Name(id="facts"), slice=key, ctx=ast.Store()):
                    yield from texts(key)


def test_every_title_heading_and_fact_of_the_commands_has_its_chinese():
    known = {re.sub(r"\{\w*\}", "{}", text) for text in read_texts("terminal/words.yaml")}
    names_of_files = {"run", "source", "tiers", "rating", "overrides", "limits", "validation"}
    found = {each for each in printed() if re.search("[a-z]", each)} - names_of_files
    assert len(found) > 80
    assert sorted(found - known) == []
