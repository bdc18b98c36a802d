"""Wait for input that has not arrived yet: try a job again when its files have changed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import pandas as pd

from kyc_ml.config import SourceMapping
from kyc_ml.contract.folder import watch_files
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import NotReadyError

_POLLED: Final = 30.0
"""Seconds between two looks at the sizes and times of the files; their content is not read."""

T = TypeVar("T")


def wait_for_input(
    attempt: Callable[[], T],
    *,
    mapping: SourceMapping,
    data: Path,
    until: pd.Timestamp | None,
    reporter: ProgressReporter,
) -> T:
    """Return the result of a job, which is tried again until its input has arrived.

    A further attempt follows when a file was added, removed or written, and nothing was written
    for a minute; and a last one at the end.

    Parameters
    ----------
    attempt : callable
        The job; with `NotReadyError` it asks for another attempt.
    until : Timestamp or None
        End of the waiting; None, or a time that has passed, does not wait.

    Raises
    ------
    NotReadyError
        That of the last attempt.
    """
    if until is None:
        return attempt()
    tried, _ = watch_files(mapping.delivered, data=data)
    try:
        return attempt()
    except NotReadyError as error:
        if _seconds_to(until) <= 0:
            raise
        local = until.tz_convert(mapping.timezone)
        reporter.warning(f"{error}\nwaiting for the input until {local:%Y-%m-%d %H:%M} {local.tz}")
    seen = tried
    while (left := _seconds_to(until)) > 0:
        time.sleep(min(_POLLED, left))
        before = seen
        seen, quiet = watch_files(mapping.delivered, data=data)
        if not quiet or seen != before or seen == tried:
            continue
        tried = seen
        try:
            return attempt()
        except NotReadyError:
            continue  # its reason may be another one, but the answer is the same: wait
    return attempt()


def _seconds_to(until: pd.Timestamp) -> float:
    return until.timestamp() - time.time()
