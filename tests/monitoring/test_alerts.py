"""Alerts: one for one cause, nothing lost on the way, and nights that did not arrive."""

import json
import math
import sqlite3
import tempfile
import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import AlertsConfig, FileRoute, load_section
from kyc_ml.errors import ConfigError, RouteError
from kyc_ml.monitoring import AlertBook, Severity, Signal, run_alerts, run_watchdog
from kyc_ml.monitoring.alerts import delivery
from kyc_ml.monitoring.alerts.watchdog import find_missing
from kyc_ml.monitoring.nights import RECORD

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
ESCALATED = [(3, False, 0), (4, False, 1), (9, True, 0)]
RULE = {"severity": "warning", "routes": ["file", "job"]}


def config(**rule):
    return AlertsConfig.model_validate({"rules": [{**RULE, **rule}]} if rule else {})


def a_day(number):
    return (date(2026, 11, 1) + timedelta(days=number)).isoformat()


def a_signal(day, severity=Severity.CRITICAL, **other):
    text = {"text": "one sentence", "text_zh": "一句话"}
    facts = {"code": "level.tier", "model": "fraud", "subject": "high", **text, **other}
    return Signal(day=a_day(day), severity=severity, value=1.6, limit=math.nan, **facts)


def run(folder, day, *signals, now=NOON, **options):
    options.setdefault("evaluated", {"fraud": a_day(day)})
    return run_alerts(signals, folder=folder, now=now, **options)


def sent(folder):
    path = folder / "alerts.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(each) for each in lines]


def whats(folder):
    return [each["what"] for each in sent(folder)]


def test_the_shipped_alerts_are_those_taken_without_a_file(configs):
    assert load_section(configs / "alerts.yaml", AlertsConfig) == AlertsConfig()


@given(st.lists(st.sampled_from([None, Severity.WARNING, Severity.CRITICAL]), max_size=5))
def test_a_cause_has_one_open_alert_and_each_message_is_sent_once(nights):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for day, severity in enumerate(nights):
            signals = [] if severity is None else [a_signal(day, severity)]
            for _ in range(2):  # a job that is run again changes nothing
                result = run(folder, day, *signals)
                assert len(result.alerts) <= 1
        messages = sent(folder)
        ids = [each["id"] for each in messages]
        alerts = AlertBook(folder=folder, now=NOON).alerts(resolved=True)
        assert len(ids) == len(set(ids))
        assert whats(folder).count("opened") == len(alerts)
        assert sum(each.nights for each in alerts) == sum(each is not None for each in nights)
        assert sum(bool(each.resolved_at) for each in alerts) == whats(folder).count("resolved")


def test_an_alert_is_resolved_by_nights_of_its_model_alone(tmp_path):
    run(tmp_path, 1, a_signal(1))
    for day in (2, 3, 4, 5):
        run(tmp_path, day, evaluated={"risk": a_day(day)})
        run(tmp_path, day, origin="watchdog")
    assert whats(tmp_path) == ["opened"]
    for day in (2, 3, 3, 4):
        run(tmp_path, day)
    assert whats(tmp_path) == ["opened", "resolved"]
    assert run(tmp_path, 4, a_signal(1)).alerts == ()  # an old night raises nothing new
    assert len(run(tmp_path, 5, a_signal(5)).alerts) == 1


def test_an_alert_waits_until_a_person_takes_it_and_again_when_it_is_worse(tmp_path):
    rules = config(signal="level.*")
    first = run(tmp_path, 1, a_signal(1, Severity.WARNING), config=rules)
    assert first.code == 1
    book = AlertBook(folder=tmp_path, now=NOON)
    book.acknowledge(first.waiting[0], who="zhao.min")
    assert run(tmp_path, 2, a_signal(2, Severity.WARNING), config=rules).code == 0
    assert run(tmp_path, 3, a_signal(3), config=rules).code == 1
    assert whats(tmp_path) == ["opened", "raised_to_critical"]
    with pytest.raises(ConfigError, match=first.waiting[0]):
        book.acknowledge(first.waiting[0][:-1] + "x", who="zhao.min")


@contextmanager
def routes_down(monkeypatch):
    def fail(*_, **__):
        msg = "down"
        raise RouteError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(delivery, "send", fail)
        yield


def test_a_snooze_keeps_back_what_is_sent_after_its_end(tmp_path, monkeypatch):
    with routes_down(monkeypatch):
        [alert] = run(tmp_path, 1, a_signal(1)).alerts
    book = AlertBook(folder=tmp_path, now=NOON)
    with pytest.raises(ConfigError, match="--until"):
        book.snooze(alert.id, until=NOON.date(), owner="zhao.min", reason="known")
    book.snooze(alert.id, until=date(2026, 12, 2), owner="zhao.min", reason="known")
    assert run(tmp_path, 2, a_signal(2)).code == 0
    assert sent(tmp_path) == []
    later = NOON + timedelta(days=2)
    assert run(tmp_path, 3, a_signal(3), now=later).code == 1
    assert whats(tmp_path) == ["opened"]


@pytest.mark.parametrize(("hours", "acknowledged", "expected"), ESCALATED)
def test_an_alert_escalates_once_if_nobody_takes_it(hours, acknowledged, expected, tmp_path):
    rules = config(escalate_after_hours=4, escalate_to=["file"])
    [alert] = run(tmp_path, 1, a_signal(1), config=rules).alerts
    if acknowledged:
        AlertBook(folder=tmp_path, now=NOON).acknowledge(alert.id, who="zhao.min")
    for _ in range(2):
        run_alerts(folder=tmp_path, config=rules, now=NOON + timedelta(hours=hours))
    assert whats(tmp_path).count("escalated") == expected


def test_a_route_that_fails_hides_no_alert(tmp_path, monkeypatch):
    with routes_down(monkeypatch):
        result = run(tmp_path, 1, a_signal(1))
        assert (result.code, len(result.alerts), result.sent) == (4, 1, 0)
    later = run_alerts(folder=tmp_path, now=NOON)
    assert (later.code, later.sent) == (1, 1)
    what = [(each["what"], each["who"]) for each in AlertBook(folder=tmp_path, now=NOON).history()]
    assert what == [("opened", ""), ("failed", "file"), ("sent", "file")]


def test_a_job_killed_after_sending_sends_again_under_one_identifier(tmp_path, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(delivery, "_tick", die)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, 1, a_signal(1))
    run_alerts(folder=tmp_path, now=NOON)
    run_alerts(folder=tmp_path, now=NOON)
    first, second = sent(tmp_path)
    assert first == second


def test_jobs_that_run_together_send_once(tmp_path):
    jobs = [threading.Thread(target=run, args=(tmp_path, 1, a_signal(1))) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert whats(tmp_path) == ["opened"]


def test_the_history_cannot_be_changed(tmp_path):
    run(tmp_path, 1, a_signal(1))
    with sqlite3.connect(tmp_path / RECORD) as database:
        for change in ("UPDATE alert_history SET who = 'x'", "DELETE FROM alert_history"):
            with pytest.raises(sqlite3.DatabaseError):
                database.execute(change)
    database.close()


def test_a_spoilt_file_of_nights_hides_no_alert(tmp_path):
    (tmp_path / RECORD).write_bytes(b"no database" * 100)
    result = run(tmp_path, 1, a_signal(1))
    assert (result.code, result.sent, whats(tmp_path)) == (4, 1, ["opened"])


def test_a_message_to_a_route_that_is_gone_takes_those_of_its_rule(tmp_path, monkeypatch):
    other = {"mail": FileRoute(method="file"), **AlertsConfig().routes}
    gone = AlertsConfig.model_validate(
        {"routes": other, "rules": [{"signal": "*", "routes": ["mail"]}]}
    )
    with routes_down(monkeypatch):
        run(tmp_path, 1, a_signal(1), config=gone)
    for _ in range(2):
        run_alerts(folder=tmp_path, now=NOON)
    assert whats(tmp_path) == ["opened"]


# The watchdog


def a_night(folder, day, name="fraud", *, manifest=True):
    (folder / day / name).mkdir(parents=True)
    if manifest:
        (folder / day / name / "manifest.json").write_text("{}")


def codes(folder, **options):
    options = {"by": time(7), "zone": "Asia/Shanghai", "now": NOON, **options}
    return [(each.code, each.model) for each in find_missing(folder, **options)[0]]


def test_a_night_that_arrived_is_no_alert(tmp_path):
    a_night(tmp_path, "2026-11-30")
    assert codes(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, "missing"),
        ("fraud.failed", "refused"),
        ("fraud.held", "held"),
        (".fraud.work", "unfinished"),
        ("tables.failed", "missing"),
    ],
)
def test_what_came_instead_of_a_night_is_named(name, expected, tmp_path):
    a_night(tmp_path, "2026-11-29")
    if name:
        a_night(tmp_path, "2026-11-30", name)
    assert codes(tmp_path) == [(f"night.{expected}", "fraud")]


def test_before_its_hour_and_after_a_holiday_the_night_before_counts(tmp_path):
    a_night(tmp_path, "2026-11-29")
    assert codes(tmp_path, by=time(20, 1)) == []
    assert codes(tmp_path, by=time(20, 0)) == [("night.missing", "fraud")]
    assert codes(tmp_path, holidays={date(2026, 11, 29)}) == []


def test_a_night_of_tomorrow_means_a_wrong_clock(tmp_path):
    a_night(tmp_path, "2026-11-30")
    a_night(tmp_path, "2026-12-01")
    assert codes(tmp_path) == [("night.clock", "")]
    assert codes(tmp_path, now=NOON + timedelta(hours=5)) == []  # midnight of the source


def test_a_clock_that_was_ahead_silences_no_later_night(tmp_path):
    a_night(tmp_path, "2026-11-30")
    for now in (NOON.replace(year=2099), NOON, NOON + timedelta(days=1)):
        result = run_watchdog(folder=tmp_path, by="07:00", now=now)
    assert [each.last_day for each in result.alerts] == ["2026-12-01"]
    assert whats(tmp_path) == ["opened", "resolved", "opened"]


def test_a_folder_that_is_not_there_is_an_alert_and_is_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run_watchdog(folder=tmp_path / "absent", by="07:00", now=NOON)
    assert (result.code, whats(tmp_path)) == (4, ["opened"])
    assert not (tmp_path / "absent").exists()


def test_the_watchdog_is_content_as_soon_as_the_night_arrives(tmp_path):
    a_night(tmp_path, "2026-11-29")
    first = run_watchdog(folder=tmp_path, by="07:00", now=NOON)
    again = run_watchdog(folder=tmp_path, by="07:00", now=NOON + timedelta(hours=1))
    assert (first.code, again.code) == (1, 1)
    a_night(tmp_path, "2026-11-30")
    assert run_watchdog(folder=tmp_path, by="07:00", now=NOON + timedelta(hours=2)).code == 0
    assert whats(tmp_path) == ["opened", "resolved"]
    with pytest.raises(ConfigError, match="--by"):
        run_watchdog(folder=tmp_path, by="7 o'clock", now=NOON)
