"""How a job reads in a terminal and in a log: words, one minus, whose time, of which model."""

import json

import pandas as pd
import pytest

from kyc_ml.cli.terminal.reporters import JsonLines, Terminal
from kyc_ml.cli.terminal.tables import draw_frame


def drawn(frame):
    """Give a table's headings, and its cells column by column."""
    sheet = draw_frame("t", pd.DataFrame(frame))
    cells = zip(*sheet.rows, strict=True)
    return {column.heading: list(each) for column, each in zip(sheet.columns, cells, strict=True)}


@pytest.mark.parametrize("kind", ["datetime64[us, UTC]", object])
def test_a_heading_over_times_says_utc(kind):
    times = pd.Series(pd.to_datetime([None, "2023-12-31 18:00"], utc=True)).astype(kind)
    assert drawn({"first_event_time": times}) == {"first event time (UTC)": ["–", "2023-12-31"]}


def test_times_without_a_zone_and_empty_columns_claim_none():
    times = pd.Series(pd.to_datetime(["2023-12-31"]))
    assert list(drawn({"day": times, "none": [None]})) == ["day", "none"]


def test_names_of_columns_and_figures_are_words():
    got = drawn(
        {
            "tier_zh": ["低"],
            "ci_low": [0.1],
            "ci_high": [0.2],
            "better": ["higher"],
            "figure": ["average_precision"],
            "part": ["early_stopping"],
            "feature": ["customer_in_sum_7d"],
        }
    )
    assert got == {
        "tier (Chinese)": ["低"],
        "low (95 %)": ["0.1000"],
        "high (95 %)": ["0.2000"],
        "better is": ["higher"],
        "figure": ["average precision"],
        "part": ["early stopping"],
        "feature": ["customer_in_sum_7d"],
    }


def test_seconds_are_told_to_a_tenth_and_the_minus_is_a_minus():
    assert drawn({"seconds": [55.4525], "low": [-0.5], "n": [-3]}) == {
        "seconds": ["55.5"],
        "low": ["−0.5000"],
        "n": ["−3"],
    }


def speak(terminal):
    """Say everything that a job may say, but for the end of it."""
    terminal.progress("reading", 1, 1)
    terminal.warning("drift: 2 feature(s) moved")
    terminal.show("data quality", pd.DataFrame({"table": ["transactions of all"]}))
    terminal.summary("scored", {"n": 1})


def end(terminal):
    """Say every way in which a job may end without its result."""
    terminal.failed("no")
    terminal.crashed("Traceback")
    terminal.stopped()


def test_every_line_of_a_log_says_what_it_is_about_from_then_on(capsys):
    log = JsonLines()
    log.info("nothing is known yet")
    log.about(model="models:/fraud/1", as_of="2026-03-02T00:00:00+00:00")
    log.info("as asked for")
    log.about(model="fraud v1")
    speak(log)
    end(log)
    log.about(model=None)
    log.info("of all models")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    day = "2026-03-02T00:00:00+00:00"
    assert [(line.get("model"), line.get("as_of")) for line in lines] == [
        (None, None), ("models:/fraud/1", day), *[("fraud v1", day)] * 7, (None, day)
    ]  # fmt: skip
    assert {"model", "as_of"}.isdisjoint(lines[0])  # absent, not null


def said_of(terminal, capsys):
    terminal.about(model="fraud v1", as_of="2026-03-02")
    speak(terminal)
    return capsys.readouterr()


def test_people_are_told_the_model_where_there_are_several(capsys):
    said = said_of(Terminal(several=True), capsys)
    assert said.err.splitlines() == [
        "reading: done (1)",
        "warning: fraud v1: drift: 2 feature(s) moved",
    ]
    titles = " ".join(said.out.split())  # titles are broken to the width of a small table
    assert "fraud v1: " in titles
    assert "fraud v1: scored" in titles


def test_people_are_not_told_the_only_model_again_and_again(capsys):
    said = said_of(Terminal(), capsys)
    assert "warning: drift: 2 feature(s) moved" in said.err.splitlines()
    assert "fraud v1" not in said.err + said.out


def test_what_all_models_share_names_none(capsys):
    terminal = Terminal(several=True)
    terminal.info("reading: tx.csv")
    assert capsys.readouterr().err == "reading: tx.csv\n"


def test_the_form_of_a_log_s_texts_hangs_on_no_number_of_models(capsys):
    said = said_of(JsonLines(several=True), capsys)
    lines = [json.loads(line) for line in said.err.splitlines()]
    assert [line.get("text", line.get("title")) for line in lines[1:]] == [
        "drift: 2 feature(s) moved", "data quality", "scored"
    ]  # fmt: skip
    assert "fraud v1: scored" in " ".join(said.out.split())


def tell_all(terminal):
    """Tell a terminal whatever a job can tell it."""
    with terminal:
        terminal.progress("reading", 1, 1)
        terminal.warning("drift: 1 feature moved")
        terminal.show("n", pd.DataFrame({"n": [1]}))
        terminal.draw("a paragraph")
        terminal.draw(draw_frame("tiers", pd.DataFrame({"tier": ["low"]})))
        terminal.summary("done", {"rows": 3})


SUMMARY = ["done", "┌──────┬───┐", "│ rows │ 3 │", "└──────┴───┘"]


def test_a_quiet_terminal_prints_the_last_summary_only(capsys):
    tell_all(Terminal(quiet=True))
    told = capsys.readouterr()
    assert [line.strip() for line in told.out.splitlines()] == SUMMARY
    assert told.err == ""


def test_another_prints_all_of_it(capsys):
    tell_all(Terminal())
    told = capsys.readouterr()
    assert told.err.splitlines() == ["reading: done (1)", "warning: drift: 1 feature moved"]
    for part in ("┃ n ┃", "a paragraph", "tiers", "done"):
        assert part in told.out
    assert [line.strip() for line in told.out.splitlines()[-4:]] == SUMMARY


def test_a_json_log_has_the_summary_alone_beside_it(capsys):
    tell_all(JsonLines())
    told = capsys.readouterr()
    events = [json.loads(line)["event"] for line in told.err.splitlines()]
    assert events == ["step", "note", "table", "summary"]
    assert [line.strip() for line in told.out.splitlines()] == SUMMARY


@pytest.mark.parametrize("kind", [Terminal, JsonLines])
def test_commands_to_copy_are_whole_however_narrow_the_terminal(kind, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    command = "kyc-ml check --source a/long/folder/source.yaml --data another/folder"
    terminal = kind()
    terminal.summary("proposed", {"written to": "here"}, commands=[command])
    out, err = capsys.readouterr()
    assert command in out.splitlines()
    if kind is JsonLines:
        assert json.loads(err)["facts"]["next"] == [command]


HOSTILE = "a\x1b]0;title\x1b[2Jb\x9b31m\u202ec\x7f"
HARMLESS = r"a\u001b]0;title\u001b[2Jb\u009b31m\u202ec\u007f"


@pytest.mark.parametrize("make", [Terminal, JsonLines])
def test_no_control_code_of_data_reaches_the_terminal(make, capsys):
    """A column, category, model or file may be named to move the cursor or hide a line."""
    terminal = make()
    terminal.about(model=HOSTILE)
    with terminal:
        terminal.progress(HOSTILE, 1, 1)
        terminal.info(HOSTILE)
        terminal.warning(HOSTILE)
        terminal.failed(HOSTILE)
        terminal.crashed(HOSTILE)
        terminal.show(HOSTILE, pd.DataFrame({HOSTILE: [HOSTILE]}))
        terminal.summary(HOSTILE, {HOSTILE: HOSTILE}, commands=[HOSTILE])
        terminal.draw(HOSTILE)
    written = "".join(capsys.readouterr())
    assert HARMLESS in written
    assert {each for each in HOSTILE if not each.isprintable()}.isdisjoint(written)
