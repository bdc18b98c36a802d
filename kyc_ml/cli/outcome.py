"""How a job ended, for programs: a heartbeat file after every job, a command after a failed one.

A heartbeat is JSON, or the text format of Prometheus if its name ends in ``.prom``, as the
textfile collector of node_exporter reads it. It holds counts and times, and no customer's value;
any user may read it.
"""

import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from kyc_ml.errors import ConfigError, GateError, KycMlError
from kyc_ml.storage import dump_json, load_json, require_place, write_metrics, written_whole

_HOOK_SECONDS: Final = 60
"""Convention: the exit code must reach the scheduler, also if the command does not end."""
_READABLE_BY_ALL: Final = 0o644
_LONGEST: Final = 1 << 20
"""Convention: bytes that are read of an earlier heartbeat."""
_SUCCESS: Final = "last_success_timestamp_seconds"
_METRICS: Final = {
    "last_attempt_timestamp_seconds": "End of the last job, in seconds since 1970.",
    _SUCCESS: "End of the last job that ended with exit code 0, in seconds since 1970.",
    "exit_code": "Exit code of the last job.",
    "duration_seconds": "Duration of the last job, waiting included.",
    "scored_rows": "Rows that the last job published, or found published, by model.",
}


@dataclass(slots=True)
class Outcome:
    """What a job has done so far."""

    code: int = 0
    """Exit code of a job that raises no error, such as a night in which one of several models is
    refused, or a promotion that is."""
    reasons: list[dict[str, str]] = field(default_factory=list)
    """Each message of a failure, with its model if it has one."""
    rows: dict[str, int] = field(default_factory=dict)
    """dict of model to rows; published, or found published."""
    day: str = ""
    """Day of a night; empty for other jobs."""

    def fail_if(self, beyond: object) -> None:
        """End the job with the exit code of an exceeded limit if there is anything beyond one."""
        if beyond:
            self.code = GateError.exit_code


def require_hooks(heartbeat: Path | None, on_failure: str | None) -> None:
    """Check before the work that a heartbeat could be written, and a command started.

    Raises ConfigError or OutputError if not.
    """
    if heartbeat is not None:
        require_place(heartbeat)
    if on_failure is not None:
        _words(on_failure)


def report_outcome(
    outcome: Outcome,
    *,
    job: str,
    code: int,
    began: float,
    heartbeat: Path | None,
    on_failure: str | None,
) -> list[str]:
    """Write the heartbeat, and after a failure run the command; return what went wrong with that.

    `job`: name of the job, by which several jobs may share one alert rule.
    `code`: its exit code.
    `began`: its start, in seconds since 1970.
    `on_failure`: a command with its arguments; no shell reads it. It gets the report as JSON on
    standard input, and its main facts in ``KYC_ML_EXIT_CODE``, ``KYC_ML_JOB`` and ``KYC_ML_DAY``.
    """
    now = time.time()
    faults = []
    if heartbeat is not None:
        facts: dict[str, Any] = {
            "last_attempt_timestamp_seconds": now,
            _SUCCESS: now if code == 0 else _last_success(heartbeat),
            "exit_code": code,
            "duration_seconds": now - began,
            "scored_rows": outcome.rows,
        }
        text = _as_metrics(facts, job) if heartbeat.suffix == ".prom" else dump_json(facts)
        try:
            with written_whole(heartbeat) as handle:
                os.fchmod(handle.fileno(), _READABLE_BY_ALL)
                handle.write(text.encode())
        except KycMlError as error:
            faults.append(f"--heartbeat: {error}")
    if on_failure is not None and code:
        report = {
            "job": job,
            "exit_code": code,
            "day": outcome.day,
            "reasons": outcome.reasons,
            "began": _iso(began),
            "ended": _iso(now),
        }
        faults += _run(on_failure, report)
    return faults


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        msg = f"--on-failure cannot be read as a command with arguments: {error}"
        raise ConfigError(msg) from None
    if not words or shutil.which(words[0]) is None:
        found = f"{words[0]} cannot be started" if words else "no program is named"
        msg = f"--on-failure: {found}: name one (with its path), or leave the option out"
        raise ConfigError(msg)
    return words


def _run(command: str, report: dict[str, Any]) -> list[str]:
    """Run the command of a failure; return why it did not do its work."""
    try:
        words = _words(command)
    except ConfigError as error:
        return [str(error)]
    facts = {name: str(report[name]) for name in ("exit_code", "job", "day")}
    try:
        process = subprocess.Popen(  # noqa: S603  the operator's own command, and no shell
            words,
            stdin=subprocess.PIPE,
            env={**os.environ, **{f"KYC_ML_{name.upper()}": text for name, text in facts.items()}},
            start_new_session=True,  # with what it started, it can be ended as one group
        )
    except OSError as error:
        return [f"--on-failure: {error.strerror}"]
    try:
        # a name in a message may have bytes that are not valid text
        text = dump_json(report).encode(errors="backslashreplace")
        process.communicate(text, timeout=_HOOK_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return [f"--on-failure: no end after {_HOOK_SECONDS} seconds"]
    return [f"--on-failure: exit code {process.returncode}"] if process.returncode else []


def _last_success(heartbeat: Path) -> float | None:
    """Return the last success that the heartbeat of an earlier job records; None without one."""
    try:
        # a pipe in its place must not stop the job
        with os.fdopen(os.open(heartbeat, os.O_RDONLY | os.O_NONBLOCK), "rb") as handle:
            text = (handle.read(_LONGEST) or b"").decode()
        if heartbeat.suffix != ".prom":
            found = load_json(text)[_SUCCESS]
        else:
            line = re.search(rf"^kyc_ml_{_SUCCESS}{{.*}} (\S+)$", text, flags=re.MULTILINE)
            found = None if line is None else line[1]
        seconds = math.nan if found is None else float(found)
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        return None  # none yet, or not one of ours
    return seconds if math.isfinite(seconds) else None


def _as_metrics(facts: dict[str, Any], job: str) -> str:
    """Write facts in the text format of Prometheus."""
    families = []
    for name, help_text in _METRICS.items():
        value = facts[name]
        by_model = value if isinstance(value, dict) else {None: value}
        samples = [
            ({"job": job, **({} if model is None else {"model": model})}, number)
            for model, number in by_model.items()
        ]
        families.append((f"kyc_ml_{name}", help_text, samples))
    return write_metrics(families)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
