"""The case sheet: the customer's own rows as known then, on a page that tells nobody else."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path
from string import Formatter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kyc_ml.config import load_section
from kyc_ml.contract.memory import contract_tables
from kyc_ml.decision import (
    CaseSheet,
    Counterfactual,
    Evidence,
    OddsScale,
    PatternPart,
    Payments,
    ReasonRow,
    TierPolicy,
    recent_behaviour,
    save_sheet,
)
from kyc_ml.decision.casework.known import Fact
from kyc_ml.decision.casework.recent import RECENT, WEEKS, RecentMeasure
from kyc_ml.decision.casework.sheet import render_sheet
from kyc_ml.decision.wording import WORDING
from kyc_ml.display import Dot, Link, draw_flow, draw_timeline
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig
from kyc_ml.scoring.sheet_content import _grade_of

CONFIGS = Path(__file__).parents[2] / "configs"
AT = pd.Timestamp("2024-09-02 13:00", tz="UTC")


@pytest.fixture(scope="module")
def raw():
    return make_bank(BankConfig(transactions=12_000, seed=11)).tables


def contracted(tables):
    return contract_tables(tables, timezone="Asia/Shanghai", base_currency="CNY").accepted


def busiest(raw):
    """Give the customers with most and fewest payments, and one who never paid."""
    counts = raw["transactions"].to_pandas()["customer_id"].value_counts()
    return [counts.index[0], counts.index[-1], "nobody"]


def test_means_of_weeks_are_those_counted_by_hand_over_the_raw_rows(raw):
    tables = contracted(raw)
    rows = raw["transactions"].to_pandas()
    rows = rows[(rows["event_time"] < AT) & (rows["known_at"].fillna(rows["event_time"]) <= AT)]
    rows["week"] = WEEKS + (rows["event_time"] - AT) // pd.Timedelta(weeks=1)
    for customer in busiest(raw):
        payments, money_in, _, _ = recent_behaviour(tables, customer, decision=AT, language="en")
        own = rows[rows["customer_id"] == customer]
        known = range(max(own["week"].min(), 0) if len(own) else WEEKS, WEEKS)
        came = own[own["direction"] == "in"].groupby("week")["amount"].sum()
        for measure, mine in ((payments, own.groupby("week").size()), (money_in, came)):
            weekly = mine.reindex(known, fill_value=0.0)
            before, last = weekly[weekly.index < WEEKS - RECENT], weekly[-RECENT:]
            assert measure.recent == pytest.approx(last.mean(), nan_ok=True)
            assert measure.before == pytest.approx(before.mean(), nan_ok=True)
        recent = rows[(rows["week"] >= 0) & (rows["customer_id"] != customer)]
        others = recent.groupby("customer_id").size() / WEEKS
        assert payments.peers == len(others)
        assert (payments.peers_low, payments.peers_high) == pytest.approx(
            tuple(others.quantile([0.25, 0.75]))
        )
        late = recent[recent["week"] >= WEEKS - RECENT].groupby("customer_id").size()
        late = late.reindex(others.index, fill_value=0)
        mine = int((own["week"] >= WEEKS - RECENT).sum())
        place = ((late < mine).sum() + (late == mine).sum() / 2) / len(late)
        assert payments.place == pytest.approx(place if len(own) else np.nan, nan_ok=True)


def test_peers_are_those_of_the_latest_profile_known_then(raw):
    profiles = raw["customers"].to_pandas()
    known = profiles["known_at"].fillna(profiles["event_time"])
    latest = profiles[(profiles["event_time"] < AT) & (known <= AT)].sort_values(
        "event_time", kind="stable"
    ).groupby("customer_id").last()  # fmt: skip
    retail = set(latest.index[latest["segment"] == "retail"])
    rows = raw["transactions"].to_pandas()
    start = AT - pd.Timedelta(weeks=WEEKS)
    rows = rows[(rows["event_time"] < AT) & (rows["event_time"] >= start)]
    rows = rows[rows["known_at"].fillna(rows["event_time"]) <= AT]
    found = recent_behaviour(
        contracted(raw), "nobody", decision=AT, language="en", peers={"segment": "retail"}
    )
    assert found[0].peers == len(set(rows["customer_id"]) & retail) > 0


def test_rows_that_were_not_known_yet_change_nothing(raw):
    now = pa.scalar(AT.to_pydatetime(), pa.timestamp("us", tz="UTC"))
    blind = {
        name: table.filter(pc.fill_null(pc.less_equal(table["known_at"], now), fill_value=True))
        for name, table in raw.items()
    }
    assert len(blind["transactions"]) < len(raw["transactions"])
    for customer in busiest(raw):
        peers = {"segment": "retail"}
        all_rows = recent_behaviour(
            contracted(raw), customer, decision=AT, language="en", peers=peers
        )
        known = recent_behaviour(
            contracted(blind), customer, decision=AT, language="en", peers=peers
        )
        assert str(known) == str(all_rows)


EVIDENCE = Evidence(
    heads=("Time", "Amount"), rows=(("2024-08-30 10:00", "5,000"),), right=(False, True),
    more="and 3 more",
)  # fmt: skip


@pytest.fixture
def sheet():
    chips = ("low", "high")
    dots = [Dot(when=AT - pd.Timedelta(days=9), incoming=True, amount=5_000.0, role="sought")]
    links = [Link(name="X<1>", incoming=True, amount=5_000.0, first=True)]
    return CaseSheet(
        language="en",
        unit="risk",
        model="risk 1",
        tiers=(("low", "低"), ("high", "高")),
        score={
            "observation_id": "<b>C1</b>@2024-09-02",
            "customer_id": "<b>C1</b>",
            "decision_time": AT,
            "probability": 0.4,
            "margin": -0.5,
            "base_value": -2.0,
            **dict.fromkeys(("tier", "tier_before_overrides"), chips[1]),
            **dict.fromkeys(("tier_of_score", "tier_of_model"), chips[0]),
            "override_code": "list_hit",
            "policy_unchecked": None,
            "due_diligence": "enhanced",
            "monitoring": "raised",
            "next_review": AT.date(),
            "policy": "p v1",
            "model_name": "risk",
            "model_digest": "",
        },
        since=None,
        expert_grade="",
        rating=(("industry", "jewellery", 12.5, 10.0),),
        peers="all (corporate: fewer than 200 training rows)",
        payment=(),
        who=(
            Fact(what="type", value="person"),
            Fact(what="segment", value="not in the source", state="absent"),
        ),
        cases=({"known": "2024-05-01", "conduct": "2024-04-01", "outcome": "cleared",
                "typology": "–"},),
        patterns=(PatternPart(name="fan-in", text="12 payers", rows=EVIDENCE),),
        reasons=(
            ReasonRow(
                code="velocity.x", name="receipts", text="payments: 5 (usual: 1); raises",
                percentile=0.97, contribution=1.25, rows=(EVIDENCE,),
            ),
            ReasonRow(
                code="profile.y", name="segment", text="segment: sme (usual: retail); lowers",
                percentile=None, contribution=-0.25, rows=(EVIDENCE,), same_rows=1,
            ),
        ),
        payments=Payments(
            timeline=(draw_timeline(dots, start=AT - pd.Timedelta(days=90), end=AT, width=900.0,
                                    ways=("in", "out")),) * 2,
            flow=(draw_flow(links, customer="C1", width=900.0, rest=("{n}", "{n}")),) * 2,
            period="90 d",
        ),
        scale=OddsScale(low=-4.0, high=1.0, cut_offs=((1, 0.3, -1.0),)),
        lowering=Counterfactual(
            lines=(("payments: 1, not 5", "交易：5→1"),), note=("Then low.", "则为低。")
        ),
        measures=(
            RecentMeasure(
                title="payments", unit="", recent=24.0, before=9.0, peers_low=np.nan,
                peers_high=np.nan, place=np.nan, peers=0,
            ),
        ),
        measured="whole bank",
        overrides=(
            {"code": "list_hit", "gives": "tier at least High", "reason": "list", "source": "rule",
             "until": "2030-01-01", "approver": "committee"},
        ),
        history=((AT - pd.Timedelta(days=90), "low", "low"),),
    )  # fmt: skip


@pytest.mark.parametrize(("language", "expected"), [("en", "(Medium-high)"), ("zh", "(中高)")])
def test_the_expert_grade_is_named_in_the_language_of_the_sheet(language, expected):
    policy = load_section(CONFIGS / "tiers" / "risk.yaml", TierPolicy)
    named = _grade_of({"expert_grade": "medium_high"}, policy, language)
    assert f"({named})" == expected
    assert not _grade_of({"expert_grade": None}, policy, language)


def test_the_sheet_is_one_page_that_fetches_nothing_and_escapes_what_it_says(sheet):
    page = render_sheet(sheet)
    assert page == render_sheet(sheet)
    assert "default-src 'none'" in page
    for outside in ("http:", "https:", "<script", "<link", "url(", "@import", "src="):
        assert outside not in page
    assert "<b>C1</b>" not in page
    assert "&lt;b&gt;C1&lt;/b&gt;" in page
    assert "X<1>" not in page
    assert page.count("X&lt;1&gt;") > 1
    assert "Internal only" in page
    for said in (
        "list_hit",
        "High",
        "2030-01-01",
        "payments: 1",
        "all (corporate",
        "jewellery",
        "12 payers",
        "cleared",
        '<div class="absent">',
    ):
        assert said in page
    assert page.count("2024-08-30 10:00") == 2  # of the pattern and of reason 1, not of reason 2
    assert ">24.0<" in page
    assert "nan" not in page.split("</style>")[1].lower().replace("finance", "")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nobody_is_kept_out_of_the_sheet(sheet, language, find_barriers):
    assert find_barriers(render_sheet(replace(sheet, language=language))) == []


def test_an_english_sheet_has_no_chinese(sheet):
    page = render_sheet(sheet).split("</style>")[1]
    assert not re.search("[\u4e00-\u9fff]", page)


def test_a_chinese_sheet_is_chinese_throughout(sheet):
    chinese = replace(
        sheet,
        language="zh",
        peers="全行",
        measured="全行",
        measures=tuple(replace(each, title="交易笔数") for each in sheet.measures),
        overrides=({**sheet.overrides[0], "gives": "等级不低于高", "reason": "名单",
                    "source": "依据", "approver": "委员会"},),
        rating=(("行业", "珠宝业", 12.5, 10.0),),
        who=(Fact(what="类型", value="个人"),),
        cases=(),
        patterns=(),
        payments=Payments(),
        reasons=tuple(
            replace(each, name="交易", text="交易：5笔", rows=()) for each in sheet.reasons
        ),
        score={**sheet.score, "observation_id": "C1", "customer_id": "C1",
               "policy_unchecked": "segments; override a_b"},
    )  # fmt: skip
    page = render_sheet(chinese)
    assert '<html lang="zh-Hans">' in page
    assert "客户洗钱风险等级" in page
    assert "强化尽职调查" in page
    assert "客群；等级调整 a_b" in page
    assert "则为低。" in page
    shown = re.sub(r"<[^>]+>", " ", page.split("</style>")[1])
    known = {"C1", "UTC", "list_hit", "a_b", "risk", "p", "v1", "velocity", "profile", "x", "y"}
    assert {word for word in re.findall(r"[A-Za-z_]\w*", shown) if word not in known} == set()


@pytest.mark.parametrize("group", WORDING)
def test_every_text_is_in_both_languages_with_the_same_values(group):
    for key, text in WORDING[group].items():
        assert set(text) == {"en", "zh"}, key
        names = [
            {name for _, name, _, _ in Formatter().parse(text[language]) if name is not None}
            for language in ("en", "zh")
        ]
        assert names[0] == names[1], key
        assert not re.search("[\u4e00-\u9fff]", text["en"]), key
        signs = {"to", "language", "comma", "colon", "semicolon", "stop"}
        plain = group == "units" or key in signs
        assert plain or re.search("[\u4e00-\u9fff{]", text["zh"]), key


@pytest.mark.parametrize("reference", [None, -1.5])
def test_the_steps_go_from_the_start_to_the_margin_on_one_scale(sheet, reference):
    score = {**sheet.score, "reference_margin": reference}
    started = replace(sheet, score=score)
    start = -2.0 if reference is None else reference
    page = render_sheet(started)
    steps = [float(x.replace("−", "-")) for x in re.findall(r'class="number">([^<]+)<', page)]
    assert steps == pytest.approx([start, 1.25, -0.25, -1.5 - start, -0.5])
    assert steps[0] + sum(steps[1:-1]) == pytest.approx(steps[-1])
    lefts = [float(x) for x in re.findall(r'<i style="left:([\d.]+)%', page)][-5:]
    # -4 to 1: five log-odds over 100 %
    assert lefts[0] == pytest.approx(20 * (start + 4))
    assert lefts[-1] == pytest.approx(70)
    assert "30.0%" in page  # the cut-off


@pytest.mark.parametrize("language", ["en", "zh"])
def test_where_nothing_stands_out_the_sheet_says_so(sheet, language):
    said = WORDING["reason"]["nothing"][language]
    assert said not in render_sheet(replace(sheet, language=language))
    empty = replace(sheet, language=language, reasons=(), patterns=())
    page = render_sheet(empty)
    assert said in page
    assert 'class="why"' not in page
    assert empty.rest == pytest.approx(1.5)


@pytest.mark.parametrize(("valid", "said"), [(True, False), (None, False), (False, True)])
def test_a_decision_older_than_the_policy_is_said_to_be(sheet, valid, said):
    page = render_sheet(replace(sheet, score={**sheet.score, "policy_in_force": valid}))
    assert ('class="note before-policy"' in page) == said


def test_only_the_owner_may_read_it(sheet, tmp_path):
    path = tmp_path / "new" / "case.html"
    save_sheet(sheet, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text(encoding="utf-8") == render_sheet(sheet)


def test_a_review_at_local_midnight_is_shown_on_its_own_day(sheet):
    midnight = pd.Timestamp("2024-09-03", tz="Asia/Shanghai")  # 2024-09-02 16:00 UTC
    week_before = midnight - pd.Timedelta(days=7)
    page = render_sheet(
        replace(
            sheet,
            score={**sheet.score, "decision_time": midnight},
            history=((week_before, "low", "low"),),
        )
    )
    assert "2024-09-03 00:00 Asia/Shanghai" in page
    assert ">2024-08-27<" in page
    assert ">2024-08-26<" not in page
