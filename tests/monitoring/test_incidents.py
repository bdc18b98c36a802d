"""Incidents: opened by a signal, taken step by step, closed with a report, all in the audit log."""

import json
import math
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from kyc_ml.cli import app
from kyc_ml.config import AlertsConfig, check_section, load_section
from kyc_ml.decision import TierPolicy, load_overrides
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import AuditError, ConfigError, RegistryError
from kyc_ml.monitoring import (
    AlertBook,
    Playbooks,
    Severity,
    Signal,
    StepRequest,
    load_playbooks,
    read_incidents,
    run_alerts,
    run_incident_close,
    run_incident_open,
    run_incident_step,
)
from kyc_ml.monitoring.incidents import record, steps
from kyc_ml.monitoring.incidents.record import under_incidents
from kyc_ml.monitoring.recording import _ended
from kyc_ml.onboarding import drill_job
from kyc_ml.registry import AuditLog
from kyc_ml.scoring import ScoringRequest

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in a folder whose audit log needs no registry: that is tested elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        record,
        "record_entry",
        lambda kind, *, log, **facts: AuditLog(log).append(kind, **facts),
    )
    monkeypatch.setattr(record, "fetch_champion", lambda _: None)
    return tmp_path


LOG = Path("audit.jsonl")


def playbooks():
    shipped = load_playbooks()
    steps_ = {each.step: each for book in shipped.playbooks for each in book.steps}
    card = steps_["card"].model_copy(update={"config": str(CONFIGS / "risk.yaml")})
    every = tuple({**steps_, "card": card}.values())
    book = shipped.playbooks[0].model_copy(update={"signals": ("*",), "steps": every})
    return shipped.model_copy(update={"playbooks": (book,)})


def a_signal(severity=Severity.CRITICAL, model="risk", day="2026-11-30"):
    return Signal(
        code="level.all", model=model, day=day, severity=severity, value=math.nan,
        limit=math.nan, text="one | sentence", text_zh="一句话",
    )  # fmt: skip


def opened(model="risk"):
    run_alerts([a_signal(model=model)], folder=Path(), playbooks=playbooks(), log=LOG)
    [identifier] = read_incidents(LOG)
    return identifier


def take(identifier, step, who="", **other):
    return run_incident_step(
        StepRequest(
            incident=identifier, step=step, who=who, out=Path(), log=LOG, playbooks=playbooks(),
            **other,
        )
    )  # fmt: skip


def night(model="risk"):
    return ScoringRequest(
        model=f"models:/{model}@champion",
        source=CONFIGS / "sources" / "synthetic.yaml",
        data=Path("bank"),
        out=Path("nights") / "2026-11-30" / model,
        audit_log=LOG,
    )


def test_the_shipped_playbooks_are_those_of_the_package():
    packaged = Path(record.__file__).with_name("playbooks.yaml")
    assert (CONFIGS / "playbooks.yaml").read_bytes() == packaged.read_bytes()
    shipped = load_section(CONFIGS / "playbooks.yaml", Playbooks)
    routes = {route for each in shipped.departments.values() for route in each.routes}
    assert routes <= set(AlertsConfig().routes)


def test_only_the_highest_severity_opens_one_incident_for_one_cause():
    for severity in (Severity.WARNING, Severity.CRITICAL, Severity.CRITICAL):
        run_alerts([a_signal(severity)], folder=Path(), playbooks=playbooks(), log=LOG)
    [incident] = read_incidents(LOG).values()
    assert (incident.model, incident.playbook) == ("risk", "wrong-model")
    messages = [json.loads(line) for line in Path("alerts.jsonl").read_text().splitlines()]
    assert [each["incident"] for each in messages] == ["", incident.id]
    run_incident_close(incident.id, conclusion="c", who="a", out=Path(), log=LOG)
    later = a_signal(day="2026-12-01")  # the same alert lasts, and its incident was closed
    run_alerts([later], folder=Path(), playbooks=playbooks(), log=LOG)
    assert len(read_incidents(LOG)) == 1


def test_an_audit_log_that_cannot_be_written_hides_no_alert():
    LOG.mkdir()
    result = run_alerts([a_signal()], folder=Path(), playbooks=playbooks(), log=LOG)
    assert (result.code, result.sent) == (4, 1)


def test_a_step_without_a_name_changes_nothing():
    identifier = opened()
    before = LOG.read_bytes()
    for step in ("hold", "card", "floor", "notify", "release"):
        result = take(identifier, step)
        assert result.receipt == ""
        assert all((result.effect.en, result.effect.zh))
    assert LOG.read_bytes() == before
    assert not Path("overrides.yaml").exists()


@pytest.mark.parametrize(
    ("taken", "held", "replaced"),
    [
        (["hold"], True, False),
        (["hold", "release"], False, False),
        (["hold", "release", "hold"], True, False),
        (["card"], False, True),
        (["card", "hold", "back-to-model"], True, False),
        (["card", "hold", "close"], False, False),
    ],
)
def test_nights_follow_the_steps_that_are_in_force(taken, held, replaced):
    identifier = opened()
    for step in taken:
        if step == "close":
            run_incident_close(identifier, conclusion="c", who="zhao.min", out=Path(), log=LOG)
        else:
            take(identifier, step, "zhao.min")
    request, by = under_incidents(night())
    assert (by, request.out.name) == ((identifier, "risk.held") if held else ("", "risk"))
    assert bool(request.replaced) == replaced
    assert (request.fallback, request.config is not None) == (
        ("rating", True) if replaced else (None, False)
    )
    assert under_incidents(night("fraud")) == (night("fraud"), "")


def test_an_incident_of_all_models_holds_each_and_replaces_none():
    identifier = opened(model="")
    take(identifier, "hold", "zhao.min")
    assert under_incidents(night("fraud"))[1] == identifier
    for step in ("card", "rollback"):
        with pytest.raises(ConfigError, match=step if step == "card" else identifier):
            take(identifier, step, "zhao.min")


def test_a_night_of_an_edited_log_is_not_published():
    take(opened(), "hold", "zhao.min")
    LOG.write_bytes(LOG.read_bytes().replace(b'"hold"', b'"free"'))
    with pytest.raises(Exception, match=LOG.name):
        under_incidents(night())


@pytest.mark.parametrize("facts", [{}, {"incident": "I1", "what": "step", "action": "hold"}])
def test_an_entry_that_kyc_ml_did_not_write_lets_no_night_out(facts):
    AuditLog(LOG).append("incident", actor="m", model="risk", version="", facts=facts)
    with pytest.raises(AuditError, match=LOG.name):
        under_incidents(night())


def test_each_playbook_has_an_incident_and_each_incident_a_name():
    common = {"model": "risk", "reason": "r", "playbooks": load_playbooks(), "log": LOG}
    made = {
        run_incident_open(playbook=name, who="li.na", **common).playbook
        for name in ("wrong-model", "fraud-wave")
    }
    assert made == {"wrong-model", "fraud-wave"}
    with pytest.raises(ConfigError, match="--name"):
        run_incident_open(playbook="bad-night", who="\u200b", **common)


def test_a_floor_needs_a_second_person_is_written_once_and_raises_tiers():
    made = run_incident_open(
        model="risk",
        playbook="wrong-model",
        reason="r",
        who="li.na",
        playbooks=playbooks(),
        log=LOG,
    )
    for same in ("li.na", " Li Na", "li.na@bank.example"):
        with pytest.raises(ConfigError, match=made.id):
            take(made.id, "floor", same)
    Path("overrides.yaml").write_text("overrides: []\n")
    for _ in range(2):
        take(made.id, "floor", "zhao.min")
    [rule] = load_overrides(Path("overrides.yaml")).rules
    assert (rule.approver, (rule.expiry - rule.start).days) == ("zhao.min", 30)
    policy = load_section(CONFIGS / "tiers" / "risk.yaml", TierPolicy)
    wider = policy.with_rules([rule])
    assert [each.code for each in wider.overrides][-1] == rule.code
    with pytest.raises(ConfigError, match=rule.code):
        wider.with_rules([rule])
    with pytest.raises(ConfigError, match="CSV"):
        take(made.id, "floor", "zhao.min", overrides=Path("o.csv"))


def test_a_rollback_is_done_once_also_after_a_kill(monkeypatch):
    identifier = opened()
    with pytest.raises(RegistryError):
        take(identifier, "rollback", "zhao.min")
    done = []

    def roll(*, model, approver, reason, log):
        done.append(model)
        facts = {"reason": reason, "from": "2"}
        AuditLog(log).append("rollback", actor=approver, model=model, version="1", facts=facts)
        raise KeyboardInterrupt  # killed before the step is noted

    monkeypatch.setattr(steps, "run_rollback", roll)
    monkeypatch.setattr(steps, "champions", lambda *_, **__: ("1", "2"))
    monkeypatch.setattr(steps, "fetch_champion", lambda _: type("C", (), {"version": "2"}))
    with pytest.raises(KeyboardInterrupt):
        take(identifier, "rollback", "zhao.min")
    result = take(identifier, "rollback", "zhao.min")
    assert done == ["risk"]
    assert "v1" in result.effect.en
    assert read_incidents(LOG)[identifier].steps[-1].facts["action"] == "rollback"


def test_departments_are_notified_once():
    identifier = opened()
    for _ in range(2):
        take(identifier, "notify", "zhao.min")
    lines = [json.loads(each) for each in Path("alerts.jsonl").read_text().splitlines()]
    assert [each["what"] for each in lines] == ["opened", "notified"]
    assert lines[1]["incident"] == identifier


def test_the_report_has_every_step_in_both_languages():
    identifier = opened()
    take(identifier, "hold", "zhao|min")
    for _ in range(2):  # of a closed incident it is written again
        incident, paths = run_incident_close(
            identifier, conclusion="fixed", who="li.na", out=Path("reports"), log=LOG
        )
    assert len(incident.entries) == 3
    for path in paths:
        text = path.read_text()
        rows = [line for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
        assert len(rows) == 3
        assert all(row.replace("\\|", "").count("|") == 7 for row in rows)
        assert text.count("fixed") == 1
    with pytest.raises(ConfigError, match=identifier):
        take(identifier, "hold", "zhao.min")


@pytest.mark.parametrize(
    "change",
    [
        {"action": "rating"},
        {"action": "hold", "config": "x.yaml"},
        {"action": "notify", "departments": ["nobody"]},
    ],
)
def test_a_playbook_that_cannot_work_is_refused(change):
    content = yaml.safe_load((CONFIGS / "playbooks.yaml").read_text())
    content["playbooks"][0]["steps"] = [{"step": "s", **change}]
    with pytest.raises(ConfigError):
        check_section(content, Playbooks, subject="playbooks")


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("risk", ("risk", "published")),
        ("risk.failed", ("risk", "refused")),
        ("risk.held", ("risk", "held")),
        ("risk.held.failed", ("risk", "refused")),
    ],
)
def test_the_record_of_nights_knows_what_is_held(folder, expected):
    goal, status = _ended(Path("nights") / folder)
    assert (goal.name, status) == expected


def command(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_an_incident_is_opened_stepped_and_closed_by_commands(tmp_path):
    (tmp_path / "out").mkdir()
    log = ("--log", LOG)
    done = command(
        "incident", "open", "--playbook", "bad-night", "--model", "risk",
        "--name", "li.na", "--reason", "r", *log,
    )  # fmt: skip
    assert done.exit_code == 0
    [identifier] = read_incidents(LOG)
    step = ("incident", "step", identifier, "hold", "--out", tmp_path / "out", *log)
    assert "NAME" in command(*step).stdout
    assert read_incidents(LOG)[identifier].steps == ()
    assert command(*step, "--yes", "zhao.min").exit_code == 0
    for each in (("list",), ("show", identifier)):
        shown = command("incident", *each, *log)
        assert identifier in shown.stdout, shown.stderr
    close = ("--out", tmp_path / "out", "--name", "li.na", "--conclusion", "c", *log)
    assert command("incident", "close", identifier, *close).exit_code == 0
    assert (tmp_path / "out" / f"{identifier}.zh-CN.md").is_file()
    assert command(*step).exit_code == 2


def test_alerts_are_shown_taken_and_sent_by_commands(tmp_path):
    out = tmp_path / "nights"
    (out / "2020-01-01" / "risk").mkdir(parents=True)
    (out / "2020-01-01" / "risk" / "manifest.json").write_text("{}")
    where = ("--out", out)
    found = command("alerts", "watchdog", *where, "--by", "00:00", "--log", LOG)
    assert found.exit_code == 1
    [alert] = AlertBook(folder=out, now=datetime.now(UTC)).alerts()
    assert alert.incident in read_incidents(LOG)
    assert alert.id in command("alerts", "list", *where).stdout
    assert command("alerts", "send", *where).exit_code == 1
    late = ("--until", "2020-01-02", "--owner", "li.na", "--reason", "r")
    assert command("alerts", "snooze", alert.id, *where, *late).exit_code == 2
    assert command("alerts", "acknowledge", alert.id, *where, "--name", "li.na").exit_code == 0
    assert command("alerts", "send", *where).exit_code == 0


def test_a_drill_plays_every_step_and_leaves_its_reports_alone(tmp_path, monkeypatch):
    def prepare(place, _):
        night_ = replace(night(), out=place / "nights" / "2026-11-30" / "risk")
        (night_.out.parent / "risk.failed").mkdir(parents=True)
        (night_.out.parents[1] / "2026-11-29" / "risk").mkdir(parents=True)
        (night_.out.parents[1] / "2026-11-29" / "risk" / "manifest.json").write_text("{}")
        return night_, place, datetime(2026, 11, 30, 0, tzinfo=UTC)

    def score(request, *, reporter):
        manifest = SimpleNamespace(scored_by="model")
        return SimpleNamespace(rows=1, manifest=manifest), under_incidents(request)[1]

    monkeypatch.setattr(drill_job, "_prepare", prepare)
    monkeypatch.setattr(drill_job, "score_under_incidents", score)
    monkeypatch.setattr(drill_job, "reach_store", lambda: None)
    before, out = dict(os.environ), tmp_path / "reports"
    result = drill_job.run_drill(out=out, configs=CONFIGS, reporter=ProgressReporter())
    assert dict(os.environ) == before
    assert {each.name for each in out.iterdir()} == {each.name for each in result.reports}
    assert set(tmp_path.iterdir()) == {out}
    nights = dict(zip(result.timeline["step"], result.timeline["night"], strict=True))
    assert {"notify", "hold", "card", "back-to-model", "release", "floor"} == set(nights)
    assert nights["hold"] != nights["release"]
