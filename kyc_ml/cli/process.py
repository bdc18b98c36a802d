"""The process of a command: its output streams, and the signals that end it.

The result of a job is what it publishes and its exit code. So output that cannot be written as
it is, or whose reader has gone, never ends the job: characters that the terminal's encoding
lacks are replaced, and a closed pipe swallows the rest. A device that refuses (a full disk) is
reported when the command has ended.

SIGTERM and SIGHUP end a job as Ctrl-C does: by an exception, so that temporary files with input
rows are removed and MLflow's run is closed. The exit code is 128 plus the signal's number.
"""

from __future__ import annotations

import codecs
import gc
import io
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TextIO

from kyc_ml.errors import ConfigError

_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
_ERRORS: Final = 2
_LEAST_ADDRESSES: Final = 4_000_000_000
_REPEATED: Final = 5.0
"""Seconds in which a second signal repeats the first: `timeout` sends two, and cleaning up must
not be cut off. A later one counts, because a library may have discarded the first."""

_NEW_OBJECTS: Final = 10_000
"""New objects after which Python searches for circles; its own 700 cost a short command a sixth of
its time, for modules and declarations that stay to the end."""

_LEGIBLE: Final = "kyc_ml.legible"
_NEAREST: Final = {
    "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "±": "+/-", "≤": "<=", "≥": ">=", "→": "->",
    "‘": "'", "’": "'", "“": '"', "”": '"', "·": ".", "•": "*", "\u00a0": " ",
}  # fmt: skip
"""A minus sign that is lost would make another figure; all else becomes a question mark."""

_received: list[tuple[signal.Signals, float]] = []
"""The signals that asked this process to end, each with its time in seconds."""


class Terminated(SystemExit):
    """The process was asked to end; not an `Exception`, so that no handler of errors stops it."""


def ended_by() -> signal.Signals | None:
    """Return the signal that asked this process to end; None if no signal came.

    A library may make another error of the exception that the signal raised: DuckDB says
    "Query interrupted".
    """
    return _received[-1][0] if _received else None


@contextmanager
def prepared() -> Iterator[None]:
    """Prepare streams, signals and memory of this process for a command, and set them back.

    Raises SystemExit with exit code 2, where the command ended well and the device of standard
    output refused what it wrote.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, *thresholds[1:])
    streams = sys.stdout, sys.stderr
    outputs = _Output(1), _Output(2)
    out, err = map(_lasting, streams, outputs)
    sys.stdout, sys.stderr = out, err
    # Python lets only the first thread hear signals
    heard = _SIGNALS if threading.current_thread() is threading.main_thread() else ()
    handlers = {number: signal.getsignal(number) for number in heard}
    for number, handler in handlers.items():
        if handler is signal.SIG_DFL:  # nohup has SIGHUP ignored, and so it stays
            signal.signal(number, _end)
    try:
        yield
    except SystemExit as ended:
        out.flush()
        if ended.code or not outputs[0].refused:
            raise
        err.write(f"error: standard output cannot be written: {outputs[0].refused}; free space\n")
        raise SystemExit(2) from None
    finally:
        for number, handler in handlers.items():
            # a process that ends still has folders to remove: nothing cuts it off
            signal.signal(number, signal.SIG_IGN if _received else handler)
        _received.clear()
        gc.set_threshold(*thresholds)
        for stream in (out, err):
            stream.flush()
        sys.stdout, sys.stderr = streams


def require_addresses() -> None:
    """Check that the limit of addresses is not one below which libraries end without a message.

    Threads, arenas and mapped files take addresses without taking memory: the smallest night
    addresses 3.2 GB and uses 0.6 GB, with two processors. Where a thread finds none left, C++
    ends the process.

    Raises ConfigError if ``ulimit -v`` is below 4 GB.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= _LEAST_ADDRESSES:
        return
    raise ConfigError(
        f"memory: this process may address {limit / 1e9:.1f} GB (ulimit -v), a job that reads data "
        f"needs {_LEAST_ADDRESSES / 1e9:.0f} GB or more: raise that limit; to bound the memory "
        "itself use the limits of a container or of systemd (MemoryMax)"
    )


def _end(number: int, _: FrameType | None) -> None:
    """Raise what a signal asks for."""
    now = time.monotonic()
    if _received and now - _received[-1][1] < _REPEATED:
        return
    _received.append((signal.Signals(number), now))
    raise Terminated(128 + number)


def _lasting(stream: TextIO | None, output: _Output) -> TextIO:
    """Return a stream that outlasts its reader; that of a test or a notebook stays as it is."""
    if stream is not None:
        try:
            if stream.fileno() != output.fileno():
                return stream
        except (OSError, ValueError):
            return stream
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding="utf-8" if stream is None else stream.encoding,
        errors=_LEGIBLE,
        line_buffering=output.fileno() == _ERRORS or output.isatty(),
    )


class _Output(io.RawIOBase):
    """A descriptor that accepts what is written even after its reader has gone."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.refused = ""
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would get its number
            self._discard()

    def writable(self) -> bool:
        """Return True: it is for writing."""
        return True

    def fileno(self) -> int:
        """Return the descriptor, so that a library finds the width of the terminal."""
        return self._number

    def isatty(self) -> bool:
        """Return whether a person may be looking."""
        return os.isatty(self._number)

    def write(self, content: Any) -> int:  # noqa: ANN401  any buffer
        """Write what can be written; the rest is discarded for good."""
        data = memoryview(content).cast("B")
        try:
            return os.write(self._number, data)
        except BrokenPipeError:
            self._discard()
        except OSError as error:
            self.refused = error.strerror or "the device refused"
            self._discard()
        return len(data)

    def _discard(self) -> None:
        """Send to nowhere all that follows, from libraries in C as well."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != self._number:
            os.dup2(nowhere, self._number)
            os.close(nowhere)


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks by their nearest, or by a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_NEAREST.get(character, "?") for character in lacking), error.end


codecs.register_error(_LEGIBLE, _replace)
