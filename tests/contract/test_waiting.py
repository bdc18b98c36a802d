"""A job waits for its input: it is tried again when files have changed, and they have settled."""

import os
from types import SimpleNamespace

import pandas as pd
import pytest

from kyc_ml.config import SourceMapping
from kyc_ml.contract import folder, wait_for_input, waiting
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import GateError, NotReadyError

START = 1_800_000_000.0
MAPPING = SourceMapping.model_validate(
    {
        "name": "bank",
        "base_currency": "CNY",
        "timezone": "Asia/Shanghai",
        "files": {"tx": {"path": "in/tx*.csv", "format": "csv", "marker": "done"}},
        "tables": {"transactions": {"from": "tx", "columns": {"transaction_id": "id"}}},
    }
)


class Said(ProgressReporter):
    def __init__(self):
        self.lines = []

    def info(self, line):
        self.lines.append(line)

    warning = info


class Clock:
    """A clock that moves only when somebody sleeps; deliveries come at their seconds."""

    def __init__(self, data):
        self.now, self.data, self.deliveries = START, data, {}

    def time(self):
        return self.now

    def sleep(self, seconds):
        end = self.now + seconds
        for second, deliver in sorted(self.deliveries.items()):
            if self.now < START + second <= end:
                self.now = START + second
                deliver()
        self.now = end

    def write(self, name, text="x"):
        path = self.data / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, (self.now, self.now))


@pytest.fixture
def clock(tmp_path, monkeypatch):
    clock = Clock(tmp_path)
    fake = SimpleNamespace(time=clock.time, sleep=clock.sleep)
    monkeypatch.setattr(waiting, "time", fake)
    monkeypatch.setattr(folder, "time", fake)
    return clock


@pytest.fixture
def wait(clock):
    """Wait with a job that has its input at a second; gives the seconds of all attempts."""

    def start(*, ready, until, error=NotReadyError):
        attempts, said = [], Said()

        def attempt():
            attempts.append(clock.now - START)
            if clock.now - START < ready:
                raise error
            return "published"

        end = None if until is None else pd.Timestamp(START + until, unit="s", tz="UTC")
        try:
            result = wait_for_input(
                attempt, mapping=MAPPING, data=clock.data, until=end, reporter=said
            )
        except (NotReadyError, GateError) as raised:
            result = type(raised)
        return result, attempts, said.lines

    return start


def test_input_that_is_there_is_not_waited_for(wait):
    assert wait(ready=0, until=3600) == ("published", [0], [])


@pytest.mark.parametrize("until", [None, 0, -60])
def test_without_a_time_to_wait_there_is_one_attempt(wait, until):
    assert wait(ready=10, until=until) == (NotReadyError, [0], [])


def test_files_are_read_again_only_when_they_have_changed_and_settled(clock, wait):
    clock.write("in/tx1.csv")
    clock.deliveries = {
        600: lambda: clock.write("in/tx2.csv.part"),
        640: lambda: clock.write("in/tx2.csv", "xx"),
        641: (clock.data / "in/tx2.csv.part").unlink,
        1200: lambda: clock.write("in/other.csv"),  # of nobody's interest
        1800: lambda: clock.write("done"),
    }
    result, attempts, lines = wait(ready=1800, until=7200)
    assert result == "published"
    assert len(attempts) == 3
    assert attempts[0] == 0
    assert 641 + 60 <= attempts[1] <= 641 + 120
    assert 1800 + 60 <= attempts[2] <= 1800 + 120
    assert len(lines) == 1  # it is said once, in the bank's time
    end = pd.Timestamp(START + 7200, unit="s", tz="UTC").tz_convert("Asia/Shanghai")
    assert f"{end:%Y-%m-%d %H:%M}" in lines[0]


def test_at_the_end_it_is_tried_once_more(clock, wait):
    result, attempts, _ = wait(ready=100, until=90)
    assert (result, attempts) == (NotReadyError, [0, 90])
    assert wait(ready=180, until=185)[:2] == ("published", [90, 185])


def test_what_no_waiting_cures_ends_the_waiting(wait):
    assert wait(ready=100, until=3600, error=GateError)[:2] == (GateError, [0])
