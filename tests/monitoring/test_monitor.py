"""kyc-ml monitor: each history renders, says what is wrong with it, and is read by programs."""

import json
import re
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kyc_ml.cli import app
from kyc_ml.errors import ConfigError, UnreachableError
from kyc_ml.monitoring import (
    MonitorRequest,
    Night,
    NightsRecord,
    Severity,
    Signal,
    compare_challenger,
    feature_moves,
    level_signals,
    performance_by_month,
    run_monitor,
)
from kyc_ml.monitoring.exports import metrics_of, to_plain
from kyc_ml.monitoring.monitor_job import OPEN_DAYS, open_signals
from kyc_ml.monitoring.page import PAGES, MonitorStory, save_pages
from kyc_ml.monitoring.watched import Challenger, Watched, count_swaps
from kyc_ml.storage import write_metrics

FIRST = date(2026, 3, 1)
TIERS = ("low", "medium", "high")


def day(number):
    return (FIRST + timedelta(days=number)).isoformat()


def make_night(number, *, model="fraud", status="published", version="fraud v1", **changed):
    rng = np.random.default_rng(number)
    counts = rng.multinomial(1_000, [0.9, 0.08, 0.02])
    detail = {
        "tiers": dict(zip(TIERS, counts.tolist(), strict=True)),
        "expected": {"low": 1.0, "medium": 4.0, "high": 8.0},
        "drift": {"drift/score_psi": 0.01},
        "seconds": {"reading": 2.0},
        "bytes": {"scores": 1_000},
        "tables": {},
    }
    if status != "published":
        detail = {"reason": "drift.score: PSI of the probability is 0.31"}
    fields = {
        "run": f"r{number}", "version": version, "digest": version, "policy": "p1",
        "scored_by": "model", "rows_read": 5_000, "scored": 1_000, "customers": 400,
        "profile": {
            "amount": rng.multinomial(1_000, [0.1, 0.6, 0.3]).tolist(),
            "probability": rng.multinomial(1_000, [0.7, 0.2, 0.1]).tolist(),
        },
    } if status == "published" else {"run": f"r{number}"}  # fmt: skip
    return Night(model=model, day=day(number), status=status, detail=detail, **fields | changed)


@pytest.fixture(autouse=True)
def _no_registry(monkeypatch):
    """No model can be loaded: the store of the working folder must not be made or read."""

    def unreachable(uri):
        msg = f"no registry here has {uri}"
        raise UnreachableError(msg)

    monkeypatch.setattr("kyc_ml.monitoring.monitor_job.load_model", unreachable)


@pytest.fixture
def monitor(tmp_path):
    """Record nights, and look at them; gives the result."""

    def look(*nights, **asked):
        record = NightsRecord.open(tmp_path, create=True)
        if nights:
            record.add(*nights)
        return run_monitor(MonitorRequest(out=tmp_path, log_mlflow=False, **asked))

    return look


HISTORIES = {
    "empty": [],
    "one": [make_night(0)],
    "gaps": [make_night(number) for number in (0, 1, 5, 9)],
    "twice": [make_night(0), make_night(0), make_night(1)],
    "disordered": [make_night(number) for number in (3, 1, 2)],
    "other_model": [make_night(0), make_night(1, version="fraud v2")],
    "other_policy": [make_night(0), make_night(1, policy="p2")],
    "refused": [make_night(0), make_night(1, status="refused")],
    "held": [make_night(0), make_night(1, status="held")],
    "only_refused": [make_night(0, status="failed")],
    "quiet": [make_night(0), make_night(1, rows_read=0, scored=0, customers=0, profile={})],
    "by_rating": [make_night(0, scored_by="rating", profile={})],
    "clock": [make_night(0), make_night(4_000)],
    "hostile": [make_night(0, model='a"<b>\\', version="<script>")],
}


@pytest.mark.parametrize("nights", HISTORIES.values(), ids=HISTORIES)
def test_each_history_has_its_pages_and_figures(monitor, tmp_path, nights):
    result = monitor(*nights)
    for language, name in PAGES.items():
        page = result.pages[language].read_text(encoding="utf-8")
        assert page.count("<h1>") == 1
        assert "Content-Security-Policy" in page
        assert "<script" not in page
        assert not re.search(r"(src|href)=\"(?!#)[a-z]+:", page)
        assert f'href="{PAGES["zh" if language == "en" else "en"]}"' in page
        assert name == result.pages[language].name
    plain = json.loads((tmp_path / "monitor.json").read_text(encoding="utf-8"))
    assert set(plain["models"]) == {each.model for each in nights}
    for model in {each.model for each in nights}:
        days = {each.day for each in nights if each.model == model}
        assert plain["models"][model]["nights"] == len(days)
        assert plain["models"][model]["last"]["day"] == max(days)


def test_the_calendar_has_a_cell_for_each_day_and_leads_to_manifests(monitor):
    result = monitor(make_night(0), make_night(1, status="refused"), make_night(4))
    page = result.pages["en"].read_text(encoding="utf-8")
    calendar = page.partition('<div class="calendar">')[2].partition("</div>")[0]
    assert re.findall(r'href="([^"]+)"', calendar) == [
        f"{day(0)}/fraud/manifest.json",
        f"{day(1)}/fraud.failed/manifest.json",
        f"{day(4)}/fraud/manifest.json",
    ]
    assert calendar.count('class="missing"') == 2
    assert calendar.count('class="before"') == FIRST.weekday()


def test_signals_become_alerts_that_the_page_lists(monitor, tmp_path):
    rules = {"routes": {"log": {"method": "file"}}, "rules": [{"signal": "*", "routes": ["log"]}]}
    (tmp_path / "alerts.yaml").write_text(json.dumps(rules))
    asked = {"alerts": tmp_path / "alerts.yaml", "fail_on": "never"}
    result = monitor(make_night(0), make_night(1, status="refused"), **asked)
    [alert] = {each.id for each in result.alerts.alerts if each.signal["code"] == "night.refused"}
    assert alert in result.pages["en"].read_text(encoding="utf-8")
    assert (tmp_path / "alerts.jsonl").read_text().count('"code": "night.refused"') == 1
    # the same nights again are the same alert, and nobody is notified twice
    again = monitor(**asked)
    assert alert in {each.id for each in again.alerts.alerts}
    assert (tmp_path / "alerts.jsonl").read_text().count('"code": "night.refused"') == 1


def test_without_a_record_and_with_half_a_source_there_is_an_error(tmp_path, monitor):
    with pytest.raises(ConfigError, match=r"nights\.db"):
        run_monitor(MonitorRequest(out=tmp_path))
    with pytest.raises(ConfigError, match="--source"):
        monitor(make_night(0), source=tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("fail_on", "code"), [("critical", 1), ("warning", 1), ("never", 0)]
)  # fmt: skip
def test_a_refused_last_night_ends_with_1_until_the_next_one(monitor, fail_on, code):
    assert monitor(make_night(0), make_night(1, status="refused"), fail_on=fail_on).code == code
    assert monitor(make_night(2), fail_on="critical").code == 0


def test_commands_look_and_record(tmp_path):
    NightsRecord.open(tmp_path, create=True).add(make_night(0), make_night(1))
    run = CliRunner().invoke
    for words in (["monitor"], ["monitor", "show"]):
        done = run(app, [*words, str(tmp_path), "--no-mlflow", "--to", str(tmp_path / "to")])
        assert done.exit_code == 0, done.output
        assert (tmp_path / "to" / "monitor.html").is_file()
    assert run(app, ["monitor", "record", str(tmp_path)]).exit_code == 2  # holds no night
    assert run(app, ["monitor", str(tmp_path / "absent")]).exit_code == 2
    assert run(app, ["monitor", str(tmp_path), "--as-of", "2026-01-01"]).exit_code == 2


# Signals that are open


def signal(code, day_, *, model="fraud", severity=Severity.WARNING, cause=""):
    return Signal(
        code=code, model=model, day=day_, severity=severity, value=1.0, limit=1.0,
        text="text", text_zh="text", cause=cause,
    )  # fmt: skip


@given(st.integers(0, 30), st.sampled_from(["night.refused", "drift.score", "level.tier"]))
def test_a_signal_is_open_as_long_as_its_kind_says(age, code):
    last = day(60)
    raised = [signal(code, day(60 - age))]
    expected = {"night": age == 0, "drift": age < OPEN_DAYS, "level": True}[code.partition(".")[0]]
    assert bool(open_signals(raised, {"fraud": last})) is expected


def test_the_worst_signals_come_first_and_an_empty_record_has_none():
    worst = signal("drift.score", day(1), severity=Severity.CRITICAL)
    found = open_signals([signal("drift.tier", day(1)), worst], {"fraud": day(1)})
    assert found[0] is worst
    assert open_signals([worst], {}) == ()


# Outcomes and challengers on the page


@pytest.fixture
def story(known, tmp_path):
    """Give the content of a page with outcomes and a challenger."""
    rng = np.random.default_rng(0)
    n = 3_000
    proba = rng.beta(1, 9, n)
    target = (rng.random(n) < proba * 1.6).astype(float)
    tier = np.array(TIERS)[np.digitize(proba, [0.1, 0.3])]
    found = known(decided=rng.uniform(0, 300, n), probability=proba, target=target, tier=tier)
    record = NightsRecord.open(tmp_path, create=True)
    record.add(*(make_night(number) for number in range(9)))
    better = np.minimum(found.rows["probability"] * 1.6, 0.99)
    rival = replace(found, rows=found.rows.assign(probability=better))
    level = level_signals(found)
    months = performance_by_month(found, per_day=2, draws=20)
    estimates = pd.DataFrame(
        {
            "month": months["month"], "estimator": "cbpe", "figure": "auc",
            "estimate": 0.7, "low": 0.6, "high": 0.8, "reference_rows": 9,
            "truth": months["auc"], "covered": [True] * len(months),
        }
    )  # fmt: skip
    swap = pd.DataFrame({"tier": TIERS, "champion": 3.0, "challenger": 2.0})
    swap = swap.assign(enters=[0.0, 1.0, 1.0], leaves=[1.0, 0.0, 0.0])
    evidence = compare_challenger(found, rival)
    watched = Watched(
        name="fraud",
        nights=record.nights("fraud"),
        bundle=None,
        signals=level.signals,
        months=months,
        estimates=estimates,
        level=level,
        moved=feature_moves(record, "fraud", None),
        challengers=(Challenger(label="fraud_v2", nights=9, swap=swap, evidence=evidence),),
    )
    return MonitorStory(
        out=tmp_path, models=(watched,), raised=level.signals, signals=level.signals
    )


def test_a_page_with_outcomes_has_a_picture_of_each_figure(story, tmp_path):
    [watched] = story.models
    pages = save_pages(story, tmp_path)
    for path in pages.values():
        page = path.read_text(encoding="utf-8")
        # O/E, AUC, AP, recall, evidence, rows, tiers, PSI, quarantine, seconds, bytes, challenger
        assert page.count('<figure class="plot">') == 12
        assert "whisker" in page
        for month in watched.months["month"]:
            assert month in page
    assert watched.challengers[0].evidence.verdict == "better"
    assert watched.challengers[0].evidence.text.zh in pages["zh"].read_text(encoding="utf-8")


def test_figures_for_programs_are_those_of_the_page(story):
    plain = to_plain(story)
    json.dumps(plain, allow_nan=False)
    model = plain["models"]["fraud"]
    assert [row["month"] for row in model["months"]] == list(story.models[0].months["month"])
    assert model["challengers"]["fraud_v2"]["verdict"] == "better"
    families = {name: samples for name, _, samples in metrics_of(story)}
    shown = {labels["figure"]: value for labels, value in families["kyc_ml_monitor_performance"]}
    assert shown["auc"] == story.models[0].months["auc"].dropna().iloc[-1]


SAMPLE = re.compile(r'^(\w+)\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (\S+)$')


@given(st.text(), st.floats(allow_infinity=False))
def test_every_line_of_metrics_is_a_comment_or_a_sample(label, value):
    text = write_metrics([("kyc_ml_x", "Help.", [({"model": label, "tier": "a"}, value)])])
    assert text.endswith("\n")
    # split at line feeds alone, as Prometheus does
    help_, type_, sample = text.removesuffix("\n").split("\n")
    assert help_.startswith("# HELP kyc_ml_x ")
    assert type_ == "# TYPE kyc_ml_x gauge"
    name, labels, number = SAMPLE.match(sample).groups()
    assert name == "kyc_ml_x"
    found = re.match(r'model="((?:[^"\\\n]|\\["\\n])*)"', labels)[1]
    escaped = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
    assert re.sub(r'\\[n"\\]', lambda each: escaped[each[0]], found) == label
    assert float(number) == value or np.isnan(value)


# Swap set


@given(st.lists(st.tuples(st.sampled_from(TIERS), st.sampled_from(TIERS)), min_size=1, max_size=9))
def test_rows_that_enter_and_leave_a_tier_explain_its_change(monkeypatch_read, pairs):
    old, new = zip(*pairs, strict=True)
    monkeypatch_read({"old": old, "new": new})
    swap = count_swaps([("old", "new")], TIERS).set_index("tier")
    assert (swap["challenger"] - swap["champion"]).tolist() == (
        (swap["enters"] - swap["leaves"]).tolist()
    )
    assert swap["enters"].sum() == swap["leaves"].sum() == sum(a != b for a, b in pairs)


@pytest.fixture(scope="module")
def monkeypatch_read():
    """Let `read_scores` give tiers by the name of a folder."""
    with pytest.MonkeyPatch.context() as patch:

        def give(tiers):
            def read(name, *, columns):
                ids = [f"o{place}" for place in range(len(tiers[name]))]
                return pd.DataFrame(dict(zip(columns, (ids, tiers[name]), strict=True)))

            patch.setattr("kyc_ml.monitoring.watched.read_scores", read)

        yield give
