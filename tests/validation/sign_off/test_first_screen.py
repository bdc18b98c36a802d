"""The first screen says in counts what came of the model's predictions, and what is asked."""

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.display.page import css_string
from kyc_ml.validation.check import FigureText
from kyc_ml.validation.report.arranging import describe, high_first, panels
from kyc_ml.validation.report.drawing import draw
from kyc_ml.validation.report.naming import Naming
from kyc_ml.validation.report.portfolio import periods_of, say_finding, say_level, view_tiers
from kyc_ml.validation.report.render import render_report
from kyc_ml.validation.report.words import WORDS
from kyc_ml.validation.result import CheckResult, Figure, Finding, Plot, Table
from kyc_ml.validation.text import Text

NOTHING = Text("", "")
ENGLISH, CHINESE = Naming(language="en"), Naming(language="zh")
TIERS = ["low", "medium_high", "high"]
IN_FORCE = pd.DataFrame(
    {
        "tier": TIERS, "rows": [6402, 75, 117], "customers": [6402, 75, 117],
        "by_model": [6402, 68, 0], "by_rating": [0, 7, 26], "by_history": [0, 0, 0],
        "by_override": [0, 0, 91], "judged": [6300, 69, 114], "expected": [10.4, 13.9, 23.2],
        "positives": [47, 19, 1],
    }
)  # fmt: skip
RATES = pd.DataFrame(
    {
        "tier": TIERS, "rows": [6300, 69, 114], "positives": [47, 19, 1],
        "rate": [47 / 6300, 19 / 69, 1 / 114], "low": [0.005, 0.18, 0.001],
        "high": [0.01, 0.39, 0.04], "tiers": "in force",
    }
)  # fmt: skip
PAIRS = pd.DataFrame(
    {"lower": TIERS[:2], "higher": TIERS[1:], "inverted": [False, True], "p_holm": [1.0, 4e-8],
     "tiers": "in force"}
)  # fmt: skip
PERIODS = pd.DataFrame(
    {"period": ["2026-06", "2026-07"], "rows": [900, 800], "positives": [30, 7],
     "expected": [20.0, 14.0], "auc": [0.9, np.nan], "low": [0.85, np.nan],
     "high": [0.95, np.nan], "average_precision": [0.3, np.nan]}
)  # fmt: skip


def result(like, name, *, figures=(), **tables):
    check = replace(like.check, id=name, family=name.partition(".")[0])
    return CheckResult(
        check=check, verdict="pass", figures=tuple(figures),
        tables=tuple(Table(name=n, title=NOTHING, frame=f) for n, f in tables.items()),
    )  # fmt: skip


def ratio(value, low, high, name="o_e", about=""):
    measure = FigureText(name=name, label=NOTHING, unit="ratio")
    return Figure(measure=measure, value=value, low=low, high=high, about=about)


def committee(report, level, *, in_force=IN_FORCE, periods=PERIODS, positives=67):
    """Return the report with the checks that the first screen reads."""
    like = report.results[0]
    counts = {} if in_force is None else {"in_force": in_force}
    rows = tuple(replace(each, positives=positives) for each in report.rows)
    return replace(report, rows=rows, results=(
        *report.results,
        result(like, "calibration.overall", figures=[ratio(*level)]),
        result(like, "tiers.ordering", rates=RATES, pairs=PAIRS),
        result(like, "tiers.concentration", **counts),
        result(like, "discrimination.periods", auc=periods),
    ))  # fmt: skip


@pytest.mark.parametrize("naming", [ENGLISH, CHINESE], ids=["en", "zh"])
@pytest.mark.parametrize(
    ("level", "said"),
    [
        ((1.41, 1.09, 1.79), ["67", "48", "41%", "9%", "79%"]),
        ((0.5, 0.3, 0.8), ["67", "48", "50%", "20%", "70%"]),
        ((1.08, 0.84, 1.38), ["67", "48", "0.84", "1.38"]),
        ((1.41, 1.0, 1.79), ["67", "48", "1.00", "1.79"]),  # an end at 1 excludes nothing
    ],
)
def test_the_portfolio_is_told_in_counts(undrawn, naming, level, said):
    text = say_level(committee(undrawn, level), naming)
    assert re.findall(r"\d[\d.]*%?", text) == said


def test_without_counts_of_tiers_the_expected_number_follows_from_the_ratio(undrawn):
    """A report of an older version has no table of the tiers in force."""
    report = committee(undrawn, (2.0, 1.5, 2.5), in_force=None, positives=50)
    assert re.findall(r"\d+%?", say_level(report, ENGLISH)) == ["50", "25", "100%", "50%", "150%"]
    assert say_level(committee(undrawn, (0.0, 0.0, 0.1), in_force=None), ENGLISH) == ""
    assert say_level(committee(undrawn, (None, None, None)), ENGLISH) == ""
    assert say_level(undrawn, ENGLISH) == ""


def test_the_highest_tier_is_on_top_with_what_set_it_and_what_came(undrawn):
    shown = view_tiers(committee(undrawn, (1.0, 0.9, 1.1)), ENGLISH)
    assert [tier for tier, _ in shown.rows] == ["High", "Medium-high", "Low"]
    cells = dict(zip(shown.columns, shown.rows[0][1], strict=True))
    assert list(cells) == [
        WORDS[key].en
        for key in (
            "rows_of_tier",
            "by_model",
            "by_rating",
            "by_override",
            "expected_outcomes",
            "observed_outcomes",
            "observed_rate",
        )
    ]  # fmt: skip  no tier was set by history
    assert [text for text, _ in cells.values()] == ["117", "0", "26", "91", "23.2", "1", "0.88%"]
    assert cells[WORDS["observed_rate"].en][1] == "0.10%–4.00%"
    inversion, unreached = shown.remarks
    for value in ("High", "Medium-high", "0.88%", "27.5%", "114", "69", "< 0.0001"):
        assert value in inversion
    assert re.findall(r"\d+", unreached) == ["117"]


def test_an_older_report_has_its_tiers_without_what_set_them(undrawn):
    shown = view_tiers(committee(undrawn, (1.0, 0.9, 1.1), in_force=None), CHINESE)
    assert [tier for tier, _ in shown.rows] == ["高", "中高", "低"]
    assert len(shown.columns) == len(shown.rows[0][1]) == 3
    assert len(shown.remarks) == 1
    assert view_tiers(undrawn, ENGLISH) is None


def words_between(page, start, end):
    """Return the text of a page between two headings."""
    return re.sub("<[^>]+>", " ", page[page.index(WORDS[start].en, page.index("<main>")) :]).split(
        WORDS[end].en
    )[0]


def test_periods_stand_in_one_view_if_there_are_several(undrawn):
    shown = words_between(
        render_report(committee(undrawn, (1.0, 0.9, 1.1))), "back_testing", "changes"
    )
    assert re.findall(r"[\d.]*\d|–", shown.partition("2026-06")[2]) == [
        "900", "20.0", "30", "1.500", "0.900", "0.850", "–", "0.950",
        "2026", "07", "800", "14.0", "7", "0.500", "–",
    ]  # fmt: skip
    assert periods_of(committee(undrawn, (1, 0.9, 1.1), periods=PERIODS[:1])) == []
    older = PERIODS.drop(columns="expected")
    assert periods_of(committee(undrawn, (1.0, 0.9, 1.1), periods=older)) == []


def test_a_finding_is_told_in_counts_and_its_p_value_follows(undrawn):
    report = committee(undrawn, (1.41, 1.09, 1.79))
    finding = Finding(id="tiers.ordering/lowest_p_in_force/amber", check="tiers.ordering",
                      severity="amber", text=Text("p", "p"))  # fmt: skip
    assert say_finding(finding, report, ENGLISH) == view_tiers(report, ENGLISH).remarks[0]
    for figure in ("o_e", "missed_share"):
        level = replace(finding, id=f"calibration.overall/{figure}/red")
        assert say_finding(level, report, ENGLISH) == say_level(report, ENGLISH)
    assert say_finding(replace(finding, id="calibration.overall/slope/red"), report, ENGLISH) == ""
    grades = pd.DataFrame(
        {"grade": TIERS, "rows": [100, 20, 0], "positives": [9, 3, 0],
         "expected_rate": [0.02, 0.1, np.nan]}
    )  # fmt: skip
    jeffreys = result(
        report.results[0], "calibration.jeffreys",
        figures=[ratio(0.003, None, None, name="under_p", about="low")], tiers=grades,
    )  # fmt: skip
    under = replace(finding, id="calibration.jeffreys/under_p/red")
    said = say_finding(under, replace(report, results=(*report.results, jeffreys)), ENGLISH)
    assert re.findall(r"\d[\d.]*", said) == ["9", "100", "2.0"]
    assert say_finding(replace(finding, id="stability.psi/psi/amber"), report, ENGLISH) == ""


@pytest.mark.parametrize("verdict", ["pass", "pass_with_findings", "fail"])
def test_the_committee_is_asked_what_the_verdict_allows(undrawn, verdict):
    page = render_report(replace(undrawn, verdict=verdict))
    asked = words_between(page, "asked", "figures")
    assert WORDS[f"asked_{verdict}"].en in unescape(asked)
    until = (pd.Timestamp(undrawn.created_at) + pd.Timedelta(days=90)).date().isoformat()
    assert (until in asked) == (verdict != "fail")
    assert page.count("☐") == (1 if verdict == "fail" else 3)
    partial = words_between(render_report(replace(undrawn, complete=False)), "asked", "figures")
    assert WORDS["asked_partial"].en in unescape(partial)
    assert until not in partial


def test_permitted_use_names_rows_period_amount_and_what_was_not_evaluated(undrawn):
    rows = tuple(replace(each, amount=1234567.8) for each in undrawn.rows)
    (named,) = (each.check.title.en for each in undrawn.results if each.reason.en)
    told = words_between(render_report(replace(undrawn, rows=rows)), "permitted", "back_testing")
    for value in ("12,000", "12,345", "2026-06-01", "2026-09-01", "1,234,568", named):
        assert value in told
    assert "1,234,568" not in render_report(undrawn)


def test_features_are_described_and_their_names_are_the_tooltip(undrawn, base_report):
    name = "feature_with_a_long_name_3"
    named = replace(base_report, features={name: ("nightly_payments", "夜间付款")})
    for language, text in (("en", "nightly_payments"), ("zh", "夜间付款")):
        page = render_report(named, language=language)
        assert re.search(rf'<td [^>]*title="{name}"[^>]*>{text}</td>', page)
    assert "title=" not in render_report(undrawn)


def test_only_checks_with_a_finding_are_open_and_those_that_do_not_apply_are_in_one_table(undrawn):
    page = render_report(undrawn)
    opened = dict(re.findall(r'<details class="check v-(\w+)" id="[\w-]+"( open)?>', page))
    assert opened == {"pass": "", "finding": " open", "information": ""}
    absent = page[page.index('<section id="absent"') : page.index('<section id="sign-off"')]
    assert 'id="check-fairness-groups"' in absent
    assert len(re.findall('<input type="radio" name="show"', page)) == 3


@given(text=st.text())
def test_text_cannot_leave_its_string_in_the_style(text):
    assert re.fullmatch(r'"(\w|\\[0-9a-f]+ )*"', css_string(text))


def test_a_hostile_name_of_a_model_is_only_a_name_in_the_style(undrawn):
    evil = '"} * { display: none } </style><script>alert(1)</script>'
    page = render_report(replace(undrawn, model=replace(undrawn.model, name=evil)))
    assert page.count("<script") == page.count("</style>") == 1
    assert "display: none }" not in page.partition("<style>")[2].partition("</style>")[0]


@given(
    tiers=st.lists(st.sampled_from("abcde"), unique=True, min_size=1),
    blocks=st.integers(min_value=1, max_value=3),
)
def test_each_block_of_tiers_is_turned_round_and_nothing_else(tiers, blocks):
    table = pd.DataFrame({"tier": tiers * blocks, "block": np.repeat(range(blocks), len(tiers))})
    turned = high_first(table)
    assert turned["block"].tolist() == table["block"].tolist()
    assert turned["tier"].tolist() == tiers[::-1] * blocks
    assert high_first(table.drop(columns="tier")).equals(table.drop(columns="tier"))


GROUPS = Plot(
    name="rates", kind="interval", title=Text("rates", "比率"), table="rates", x="group", y="rate",
    x_label=NOTHING, y_label=Text("rate", "比率"), group="feature",
)  # fmt: skip


def test_protected_groups_have_a_panel_for_each_attribute_without_tiny_groups():
    table = pd.DataFrame(
        {"feature": ["sex", "sex", "age", "age"], "group": ["x", "y", "25 to 40", "below 25"],
         "rows": [500, 19, 20, 300], "rate": [0.1, 0.2, 0.3, 0.05]}
    )  # fmt: skip
    found = {
        title: rows["group"].tolist() for title, _, rows in panels(GROUPS, table, naming=ENGLISH)
    }
    assert found == {"rates: age": ["below 25", "25 to 40"], "rates: sex": ["x"]}


@pytest.mark.parametrize(("periods", "drawn"), [(1, False), (2, False), (3, True)])
def test_a_course_needs_three_periods(periods, drawn):
    plot = replace(GROUPS, x="period", y="auc", group="")
    table = pd.DataFrame({"period": [f"2026-0{n}" for n in range(1, periods + 1)], "auc": 0.9})
    assert (draw(plot, table, naming=ENGLISH) is not None) == drawn


def test_the_message_of_a_plot_has_its_ends_and_their_places():
    plot = replace(GROUPS, x="tier", group="")
    table = pd.DataFrame({"tier": TIERS, "rate": [0.001, 0.275, np.nan]})
    said = describe(plot, table, naming=ENGLISH)
    for value in ("0.10%", "Low", "27.5%", "Medium-high"):
        assert value in said
    assert "High" not in said.replace("Medium-high", "")


@pytest.mark.parametrize(("zone", "day"), [("UTC", "2026-11-29"), ("Asia/Shanghai", "2026-11-30")])
def test_days_are_those_of_the_source_s_zone(base_report, zone, day):
    at = "2026-11-29T16:00:00+00:00"  # midnight in Shanghai
    report = replace(base_report, as_of=at, data=replace(base_report.data, timezone=zone))
    page = render_report(report)
    assert page.count(f"<dd>{day}</dd>") == 2  # the head of the page and the model's facts
    assert f"<dd>{day[:7]}-29</dd>" not in page or zone == "UTC"
    assert zone in page
