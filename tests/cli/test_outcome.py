"""What a scheduler and a watchdog learn of a job: heartbeat, and a command after a failure."""

import errno
import json
import os
import re
import signal
import stat
import sys
import time
from pathlib import Path

import pytest
import typer

from kyc_ml.cli import outcome, process
from kyc_ml.cli.options import job
from kyc_ml.cli.outcome import Outcome, report_outcome, require_hooks
from kyc_ml.errors import ConfigError, GateError, NotReadyError, OutputError

KEEP = "import os, sys; open(sys.argv[1], 'w').write(sys.stdin.read() + '|' + " \
    "os.environ['KYC_ML_EXIT_CODE'] + os.environ['KYC_ML_DAY'])"  # fmt: skip


def end(code, *, heartbeat=None, on_failure=None, **facts):
    return report_outcome(
        Outcome(**facts), job="nightly", code=code, began=time.time() - 5,
        heartbeat=heartbeat, on_failure=on_failure,
    )  # fmt: skip


def read(path):
    """Read a heartbeat of either kind; a sample by its name, or its name and model."""
    text = path.read_text()
    if path.suffix != ".prom":
        facts = json.loads(text)
        return {**facts, **{f"scored_rows {m}": n for m, n in facts["scored_rows"].items()}}
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, model, value = re.fullmatch(
                r'kyc_ml_(\w+)\{job="nightly"(?:,model="(.*)")?\} (\S+)', line
            ).groups()
            found[name if model is None else f"{name} {model}"] = float(value)
    return found


@pytest.mark.parametrize("name", ["beat.json", "beat.prom"])
def test_a_heartbeat_keeps_the_last_success_over_failures(tmp_path, name):
    beat = tmp_path / "metrics" / name
    assert end(5, heartbeat=beat) == []
    first = read(beat)
    assert first["exit_code"] == 5
    assert first.get("last_success_timestamp_seconds") is None
    end(0, heartbeat=beat, rows={"fraud v1": 12, "risk v2": 7})
    good = read(beat)
    assert good["last_success_timestamp_seconds"] == good["last_attempt_timestamp_seconds"]
    assert (good["scored_rows fraud v1"], good["scored_rows risk v2"]) == (12, 7)
    assert 5 <= good["duration_seconds"] < 60
    end(1, heartbeat=beat)
    bad = read(beat)
    assert bad["exit_code"] == 1
    assert bad["last_success_timestamp_seconds"] == good["last_success_timestamp_seconds"]
    assert bad["last_attempt_timestamp_seconds"] > good["last_attempt_timestamp_seconds"]
    # node_exporter is another user, and reads only what is complete
    assert stat.S_IMODE(beat.stat().st_mode) == 0o644
    assert [each.name for each in beat.parent.iterdir()] == [name]


def test_every_metric_is_described_before_its_first_sample(tmp_path):
    beat = tmp_path / "beat.prom"
    end(0, heartbeat=beat, rows={'模 "b"\\': 1})
    seen = []
    for line in beat.read_text().splitlines():
        name = line.split("{")[0] if line[0] != "#" else line.split()[2]
        kind = line.split()[1] if line[0] == "#" else "sample"
        seen.append((name, kind))
    for name in dict(seen):
        assert [kind for each, kind in seen if each == name][:2] == ["HELP", "TYPE"]
    assert '{job="nightly",model="模 \\"b\\"\\\\"} 1' in beat.read_text()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]"]
    + [f'{{"last_success_timestamp_seconds": {n}}}' for n in ('"x"', '"nan"', "1" + "0" * 400)],
)
def test_a_damaged_heartbeat_is_replaced(tmp_path, content):
    (tmp_path / "beat.json").write_text(content)
    assert end(2, heartbeat=tmp_path / "beat.json") == []
    assert read(tmp_path / "beat.json")["last_success_timestamp_seconds"] is None


@pytest.mark.parametrize("name", ["beat.json", "beat.prom"])
def test_a_pipe_in_the_place_of_a_heartbeat_stops_no_job(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert end(1, heartbeat=tmp_path / name) == []
    assert read(tmp_path / name)["exit_code"] == 1


def test_a_success_that_is_no_time_is_not_kept(tmp_path):
    beat = tmp_path / "beat.prom"
    beat.write_text('kyc_ml_last_success_timestamp_seconds{job="nightly"} NaN\n')
    end(1, heartbeat=beat)
    assert "last_success_timestamp_seconds" not in read(beat)


def test_a_failure_runs_the_command_without_a_shell(tmp_path):
    kept = tmp_path / "kept $(touch x);"
    line = f"{sys.executable} -c \"{KEEP}\" '{kept}'"
    assert end(0, on_failure=line) == []
    assert not kept.exists()
    reasons = [{"text": "not published: drift.score \udcff", "model": "fraud v1"}]
    assert end(1, on_failure=line, reasons=reasons, day="2026-03-02") == []
    report, _, environment = kept.read_text().rpartition("|")
    facts = json.loads(report)
    assert environment == "12026-03-02"
    assert (facts["job"], facts["exit_code"], facts["day"]) == ("nightly", 1, "2026-03-02")
    assert facts["reasons"] == reasons
    assert facts["began"] < facts["ended"]
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("no-such-program", "no-such-program"),
        ("./no-script", os.strerror(errno.ENOEXEC)),
        (f"{sys.executable} -c 1/0", "1"),
    ],
)
def test_a_command_that_fails_is_reported_and_changes_no_exit_code(
    line, told, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "no-script"
    script.write_text("x")
    script.chmod(0o700)
    [fault] = end(3, on_failure=line)
    assert told in fault


def test_a_command_that_does_not_end_is_ended_with_what_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(outcome, "_HOOK_SECONDS", 1)
    kept = tmp_path / "kept"
    [fault] = end(3, on_failure=f"sh -c 'sleep 300 & echo $! > {kept}; wait'")
    assert "1" in fault
    child = Path("/proc") / kept.read_text().strip() / "stat"
    deadline = time.monotonic() + 5
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (GateError("drift.score"), 1, "drift.score"),
        (ConfigError("x"), 2, "x"),
        (ZeroDivisionError(), 3, "report"),
        (NotReadyError("late"), 5, "late"),
        (KeyboardInterrupt(), 130, "stopped"),
        (None, 0, None),
    ],
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_job_reports_how_it_ended(tmp_path, error, code, text, log_format):
    kept, beat = tmp_path / "kept", tmp_path / "beat.json"
    given = {
        "heartbeat": beat, "log_format": log_format,
        "on_failure": f'{sys.executable} -c "{KEEP}" {kept}',
    }  # fmt: skip
    ended = 0
    try:
        with job(given, models=["m"], name="nightly"):
            if error is not None:
                raise error
    except typer.Exit as exit_:
        ended = exit_.exit_code
    assert (ended, read(beat)["exit_code"]) == (code, code)
    assert kept.exists() == bool(code)
    if code:
        [reason] = json.loads(kept.read_text().rpartition("|")[0])["reasons"]
        assert text in reason["text"]
        assert reason["model"] == "m"


@pytest.fixture
def _signals():
    """Signals heeded, and as they were afterwards: a process that ends ignores the next ones."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
def test_a_job_that_a_signal_ends_reports_it(tmp_path):
    beat = tmp_path / "beat.json"
    with pytest.raises(typer.Exit), process.prepared(), job({"heartbeat": beat}):
        signal.raise_signal(signal.SIGTERM)
    assert read(beat)["exit_code"] == 143


@pytest.mark.parametrize("command", ["", "'", " ", "no-such-program"])
def test_a_command_that_is_none_is_refused_before_the_work(command):
    worked = []
    with pytest.raises(typer.Exit) as ended, job({"on_failure": command}):
        worked.append(1)
    assert ended.value.exit_code == 2


@pytest.mark.parametrize(
    "given", [{"out": Path("bad\udcff")}, {"reason": "\ud800"}, {"model": ["a", "b\udcff"]}]
)
def test_an_argument_that_is_no_text_is_refused_by_its_name(given, capsys):
    with pytest.raises(typer.Exit) as ended, job(given):
        raise AssertionError
    assert ended.value.exit_code == 2
    assert f"--{next(iter(given))} " in capsys.readouterr().err


@pytest.mark.parametrize("path", [Path("n" * 300), Path("n/" * 3_000)])
def test_a_path_too_long_for_the_file_system_is_no_defect(path, capsys):
    with pytest.raises(typer.Exit) as ended, job({}):
        path.exists()
    assert ended.value.exit_code == 2
    assert os.strerror(errno.ENAMETOOLONG) in capsys.readouterr().err


def test_a_name_that_leaves_no_room_for_its_unfinished_file_is_refused_before_the_work(tmp_path):
    require_hooks(tmp_path / ("n" * 230), None)
    with pytest.raises(OutputError, match=os.strerror(errno.ENAMETOOLONG)):
        require_hooks(tmp_path / ("n" * 250), None)
