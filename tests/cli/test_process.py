"""Terminals of other encodings, readers that leave, full devices, and signals."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = """
import sys, time, pathlib, tempfile
import typer
from kyc_ml.cli.options import LogOption, job
from kyc_ml.cli.usage import LoggedCommand
app = typer.Typer()

@app.command(cls=LoggedCommand)
def main(
    lines: int = 1, wait: float = 0.0, swallow: bool = False, log_format: LogOption = "text",
    data: pathlib.Path | None = None, gigabytes: int = 0,
) -> None:
    reads = [] if data is None else ["--data"]
    with job(locals(), reads=reads) as terminal, tempfile.TemporaryDirectory(dir=".") as rows:
        terminal.info("begun")
        bytearray(gigabytes * 10**9)
        try:
            time.sleep(wait)
        except SystemExit:
            if swallow:
                raise RuntimeError("Query interrupted") from None
            raise
        for _ in range(lines):
            terminal.draw("\u2212 0.35 中文 é \u2026")
            terminal.summary("done", {"贷": "\u2212 1"})
        pathlib.Path("published").touch()

app()
"""


def heed_signals():
    """Undo what the tests' own parent ignores: a runner of jobs may pass on SIGTERM ignored."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(folder, *arguments, **streams):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": heed_signals}
    streams = {**pipes, **streams}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **streams.pop("env", {})}
    (folder / "demo.py").write_text(DEMO, encoding="utf-8")
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "demo.py", *arguments], cwd=folder, env=environment, **streams
    )


def published(folder):
    return (folder / "published").exists()


@pytest.mark.parametrize(
    ("encoding", "line"),
    [
        ("gbk", "- 0.35 中文 é …"),
        ("latin-1", "- 0.35 ?? é ..."),
        ("utf-8", "\u2212 0.35 中文 é …"),
        ("ascii", "- 0.35 ?? ? ..."),
    ],
)
def test_a_character_that_the_terminal_lacks_ends_no_job(tmp_path, encoding, line):
    done = start(tmp_path, env={"PYTHONIOENCODING": encoding})
    out, err = done.communicate()
    assert (done.returncode, published(tmp_path)) == (0, True), err
    assert out.decode(encoding).splitlines()[0] == line


@pytest.mark.parametrize("reader", ["stdout", "stderr", "both"])
def test_a_reader_that_leaves_ends_no_job(tmp_path, reader):
    done = start(tmp_path, "--lines", "3000")
    for name in ("stdout", "stderr") if reader == "both" else (reader,):
        getattr(done, name).close()
    rest = done.stdout if reader == "stderr" else done.stderr
    if reader != "both":
        rest.read()
    assert (done.wait(), published(tmp_path)) == (0, True)
    for stream in (done.stdout, done.stderr):
        stream.close()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_was_never_open_ends_no_job(tmp_path, closed):
    (tmp_path / "demo.py").write_text(DEMO, encoding="utf-8")
    line = f'"{sys.executable}" demo.py {closed}'
    done = subprocess.run(  # noqa: S602
        line, shell=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, published(tmp_path)) == (0, True), done.stderr


def test_a_full_device_is_reported_when_the_work_is_done(tmp_path):
    with Path("/dev/full").open("wb") as full:
        done = start(tmp_path, stdout=full)
        _, err = done.communicate()
    assert (done.returncode, published(tmp_path)) == (2, True)
    assert os.strerror(errno.ENOSPC) in err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("options", [(), ("--swallow",), ("--log", "json")])
def test_a_signal_ends_a_job_with_one_line_and_no_temporary_file(tmp_path, number, options):
    done = start(tmp_path, "--wait", "60", *options)
    while not list(tmp_path.glob("tmp*")):
        assert done.poll() is None, done.stderr.read()  # no endless wait
        time.sleep(0.05)
    time.sleep(0.3)
    done.send_signal(number)
    out, err = done.communicate(timeout=30)
    assert done.returncode == 128 + number
    assert err.decode().count(number.name) == 1
    assert "Traceback" not in err.decode()
    assert not published(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.py"]
    assert out == b""


def test_a_second_signal_does_not_cut_off_the_cleaning_up(tmp_path):
    done = start(tmp_path, "--wait", "60")
    while not list(tmp_path.glob("tmp*")):
        assert done.poll() is None, done.stderr.read()  # no endless wait
        time.sleep(0.05)
    time.sleep(0.3)
    for _ in range(20):
        done.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    done.communicate(timeout=30)
    assert done.returncode == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["demo.py"]


def test_who_ignores_the_end_of_the_terminal_goes_on(tmp_path):
    done = start(
        tmp_path, "--wait", "1", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )  # as nohup does
    while not list(tmp_path.glob("tmp*")):
        assert done.poll() is None, done.stderr.read()  # no endless wait
        time.sleep(0.05)
    done.send_signal(signal.SIGHUP)
    done.communicate(timeout=30)
    assert (done.returncode, published(tmp_path)) == (0, True)


@pytest.mark.parametrize(
    ("limit", "arguments", "code"),
    [
        (2_000_000_000, ("--data", "."), 2),
        (2_000_000_000, (), 0),
        (4_000_000_000, ("--data", "."), 0),
        (4_000_000_000, ("--gigabytes", "8"), 2),
    ],
)
def test_a_lack_of_memory_is_called_so(tmp_path, limit, arguments, code):
    def bound():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = start(tmp_path, *arguments, preexec_fn=bound)
    _, err = done.communicate()
    assert (done.returncode, published(tmp_path)) == (code, code == 0), err
    assert err.decode().count("error: memory: ") == (code == 2)
    assert "Traceback" not in err.decode()


def test_no_text_is_read_or_written_in_the_encoding_of_the_terminal():
    sources = [*(ROOT / "kyc_ml").rglob("*.py"), *(ROOT / "pipelines").glob("*.py")]
    calls = [
        f"{path.name}: {call.group()}"
        for path in sources
        for call in re.finditer(r"\.(read|write)_text\([^\n]*", path.read_text(encoding="utf-8"))
        if "encoding=" not in call.group()
    ]
    assert calls == []
