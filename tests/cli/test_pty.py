"""What remains on a real terminal once a job has ended: bars erase nothing that was printed."""

import fcntl
import os
import pty
import struct
import sys
import termios

import pyte
import pytest

LINES = 24
JOB = """
import time, pandas as pd
from kyc_ml.cli.terminal.reporters import Terminal
with Terminal() as terminal:
    for stage in ("reading", "features"):
        terminal.progress(stage, 0, 3)
        time.sleep(0.3)
        rows = pd.DataFrame({"row": [f"{stage}-{n}" for n in range(5)]})
        terminal.show(f"table-{stage}", rows)
        terminal.info("a note of many words " * 8)
        terminal.progress(stage, 3, 3)
    for number in range(52):
        terminal.progress("check", number, 52, what=f"family.check_{number}")
        time.sleep(0.01)
    terminal.show("verdicts", pd.DataFrame({"row": [f"verdict-{n}" for n in range(5)]}))
    terminal.progress("check", 52, 52)
    terminal.summary("validated", {"receipt": "3:" + "0a1b2c3d" * 8})
"""


def left_by(program, columns):
    """Run a program in a terminal; give the lines that remain, and how many bytes it wrote."""
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
        os.environ["TERM"] = "xterm-256color"
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            os.environ.pop(name, None)
        os.execv(sys.executable, [sys.executable, "-c", program])  # noqa: S606  our own program
    screen = pyte.HistoryScreen(columns, LINES, history=10_000)
    stream, written = pyte.ByteStream(screen), 0
    while data := _read(terminal):
        stream.feed(data)
        written += len(data)
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    past = ["".join(line[place].data for place in range(columns)) for line in screen.history.top]
    return code, [line.rstrip() for line in [*past, *screen.display]], written


def _read(terminal):
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says so where the other side has closed
        return b""


@pytest.mark.parametrize("columns", [80, 200])
def test_bars_erase_nothing_that_was_printed(columns):
    code, lines, written = left_by(JOB, columns)
    assert code == 0
    text = "\n".join(lines)
    for stage in ("reading", "features"):
        assert lines.count(f"table-{stage}") == 1  # nothing is glued to it
        assert [text.count(f"{stage}-{number} ") for number in range(5)] == [1] * 5
        assert f"{stage}: done (3) in " in text
    assert [text.count(f"verdict-{number} ") for number in range(5)] == [1] * 5
    frames = [sum(line.startswith(edge) for line in lines) for edge in "┏└"]
    assert frames[0] == 3
    assert frames[1] >= 3  # the bottom of each table stands
    assert "check: done (52) in " in text
    assert "family.check_" not in text  # one line, which gave its place back
    assert "3:" + "0a1b2c3d" * 8 in text.replace("\n", "")
    assert written < 60_000


def test_notes_break_between_words():
    _, lines, _ = left_by(JOB, 80)
    parts = [line for line in lines if set(line.split()) <= {"a", "note", "of", "many", "words"}]
    assert " ".join(parts).split() == ["a", "note", "of", "many", "words"] * 16
