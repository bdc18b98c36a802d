"""The page holds all it needs, shows every row, escapes every value, and repeats itself."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from kyc_ml.display import (
    WORDS,
    CaseStory,
    Example,
    ModelStory,
    PageStory,
    ReasonLine,
    plot_importance,
    plot_roc,
    render_page,
    save_page,
)
from kyc_ml.errors import OutputError

EVIL = "<script>alert('x')</script>"
VOID = {"meta", "br", "link", "img", "hr", "input"}


def figures_table():
    nothing = dict.fromkeys(
        ("auc_low", "auc_high", "average_precision_low", "average_precision_high"), np.nan
    )
    row = {
        "auc": 0.91234,
        "auc_low": 0.90,
        "auc_high": 0.92,
        "average_precision": 0.4321,
        "average_precision_low": 0.3,
        "average_precision_high": 0.55,
        "recall_at_5_percent_fpr": 0.61,
        "brier": 0.004321,
        "calibration_error": 0.00123,
        "observed_over_expected": 1.02,
        "observed_over_expected_low": 0.9,
        "observed_over_expected_high": 1.1,
    }
    return pd.DataFrame(
        [
            {"who": "LightGBM", **row},
            {"who": "logistic regression", **row, "auc": 0.8},
            {"who": "prevalence (no model)", **row, **nothing, "auc": np.nan},
        ]
    )


def added_table():
    row = {"baseline": "logistic regression", "difference": -0.0123, "low": -0.03, "high": 0.01}
    gap = {"model_value": 0.5, "baseline_value": 0.5123}
    return pd.DataFrame(
        [
            {**row, **gap, "figure": "average_precision", "better": "higher"},
            {**row, **gap, "figure": "log_loss", "better": "lower", "low": np.nan, "high": np.nan},
        ]
    )


def parts_table():
    return pd.DataFrame(
        {
            "part": ["train", "early_stopping", "test", "left out"],
            "start": pd.to_datetime([None, "2024-01-10", "2024-02-01", None], utc=True),
            "end": pd.to_datetime(["2024-01-01", "2024-01-20", "2024-03-01", None], utc=True),
            "observations": [12_345, 500, 678, 90],
            "used": [12_000, 490, 600, 0],
            "positives": [120, 5, 6, 0],
            "customers": [1_000, 100, 200, 0],
            "immature": [0, 0, 7, 0],
            "open_case": [0, 0, 1, 0],
            "already_adverse": [0, 0, 0, 3],
            "outside_parts": [0, 0, 0, 2_468],
        }
    )


def tiers_table():
    return pd.DataFrame(
        {
            "tier": ["low", "high"],
            "tier_zh": ["低", "高"],
            "from_probability": [0.0, 0.1],
            "rows": [4_321, 0],
            "share": [1.0, 0.0],
            "expected_rate": [0.0123, np.nan],
            "positives": [50, 0],
            "observed_rate": [0.0116, np.nan],
            "ci_low": [0.009, np.nan],
            "ci_high": [0.015, np.nan],
        }
    )


def example(number):
    reasons = (
        ReasonLine(
            text="amount: 9 (usual: 1); raises the risk", text_zh="金额偏高", contribution=1.5
        ),
        ReasonLine(text="age: 3; lowers the risk", text_zh="年限较长", contribution=-0.75),
    )
    return Example(
        observation_id=f"obs-{number}",
        customer_id=f"cust-{number}",
        decision_time=pd.Timestamp("2024-02-03 04:05", tz="UTC"),
        probability=0.1234,
        tier="high",
        tier_zh="高",
        tier_path=("", "low by the probability; high by override <b>")[number % 2],
        outcome=("positive", "negative", "not known")[number % 3],
        margin=-2.0,
        base_value=-3.0,
        reasons=reasons,
    )


def model(name):
    curve = pd.DataFrame({"false_positive_rate": [0.0, 0.2, 1.0], "recall": [0.0, 0.8, 1.0]})
    weights = pd.DataFrame({"feature": ["a", EVIL], "family": ["f", "g"], "share": [0.7, 0.3]})
    return ModelStory(
        name=name,
        unit="fraud",
        title=f"Model {name}",
        model_version="3",
        model_digest="0f1e2d",
        figures=figures_table(),
        added_value=added_table(),
        added_sentence="LightGBM adds much.",
        parts=parts_table(),
        left_out_features={"feature_z": "table events is not mapped"},
        tiers=tiers_table(),
        plots={"roc": plot_roc({"LightGBM": curve}), "importance": plot_importance(weights)},
        examples=tuple(example(i) for i in range(3)),
        scored=98_765,
        seconds={"training": 12.34, "features": 600.0},
    )


def make_story():
    return PageStory(
        title="Report of a run",
        subtitle="on made-up data",
        facts=(("source", "synthetic"), ("as of", "2024-05-01")),
        flow=pd.DataFrame(
            {
                "table": ["customers", "transactions", "cases"],
                "read": [1_000, 2_000_000, 0],
                "accepted": [990, 1_999_999, 0],
                "quarantined": [10, 1, 0],
                "late": [0, 33, 0],
                "first_event": pd.to_datetime(["2020-01-02", "2021-03-04", None], utc=True),
                "last_event": pd.to_datetime(["2024-04-30", "2024-04-29", None], utc=True),
            }
        ),
        findings=("customers.occupation: 38 % missing",),
        models=(model("one"), model("two")),
    )


@pytest.fixture(scope="module")
def story():
    return make_story()


@pytest.fixture(scope="module")
def page(story):
    return render_page(story)


class Nesting(HTMLParser):
    """Checks that what opens is closed, in order; collects attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    parser = Nesting()
    parser.feed(page)
    parser.close()
    return parser


def plain(page):
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", text.replace("\N{NO-BREAK SPACE}", " "))


def test_the_page_is_self_contained_and_small(page):
    assert len(page.encode()) < 3_000_000
    without_namespaces = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"https?://|@import|url\((?!#)", without_namespaces)
    parser = parsed(page)
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(parser.tags)
    assert parser.open == []


def test_the_page_may_load_nothing_and_run_nothing(page):
    assert "Content-Security-Policy" in page
    assert "default-src 'none'" in page
    # a drawing holds pictures of its own: blocked, a browser shows a broken picture instead
    assert ("<image" in page) <= ("img-src data:" in page)
    assert "script-src" not in page, "what default-src forbids stays forbidden"


def test_nobody_is_kept_out_of_the_page(page, find_barriers):
    assert find_barriers(page) == []


def test_links_and_references_lead_somewhere_on_the_page(page):
    attributes = parsed(page).attributes
    ids = {value for name, value in attributes if name == "id"}
    targets = {value[1:] for name, value in attributes if name in {"href", "xlink:href"}}
    targets |= set(re.findall(r"url\(#([^)]+)\)", page))
    assert targets <= ids


def test_identifiers_are_unique_across_the_drawings(page):
    ids = [value for name, value in parsed(page).attributes if name == "id"]
    assert page.count("<svg") == 4
    assert len(ids) == len(set(ids))


def test_a_page_says_that_it_is_internal_only(page):
    assert "disclosed" in plain(page)
    assert "alone" in plain(page)


def test_every_row_of_every_table_is_shown(page, story):
    text = plain(page)
    for model_ in story.models:
        for table, column in (
            (model_.figures, "who"),
            (model_.tiers, "tier"),
            (model_.tiers, "tier_zh"),
        ):
            for value in table[column]:
                assert text.count(value) >= len(story.models), value
        for case in model_.examples:
            for reason in case.reasons:
                assert reason.text in text
                assert reason.text_zh in text
            assert case.observation_id in text
    for expected in (
        *story.flow["table"],
        *story.findings,
        "stopping",
        "left",
        "feature_z",
        "events",
        "2,001,000",
        "Outside",
        "2,468",
        "12,345",
        "98,765",
        "10.0 min",
        "2024-02-01 to 2024-03-01: 600 rows, 6 positive",
    ):
        assert expected in text


def test_a_tier_that_the_probability_did_not_decide_alone_says_why(page, story):
    told = "<p>tier: low by the probability; high by override &lt;b&gt;</p>"
    cases = [case for model_ in story.models for case in model_.examples if case.tier_path]
    assert page.count(told) == page.count("<p>tier: ") == len(cases) > 0


def test_numbers_have_one_form(page):
    text = plain(page)
    assert "0.912 0.900–0.920" in text
    assert "0.00432" in text
    assert "1.23%" in text
    assert "1.16% 0.90%–1.50%" in text
    assert "+1.50" in text
    assert "−0.75" in text
    assert not re.search(r"\b(nan|NaN|NaT|None)\b", text)


def test_what_the_model_adds_is_told_and_tabled(page, story):
    text = plain(page)
    assert text.count("LightGBM adds") == len(story.models)
    assert re.search(r"0\.500 0\.512 −0\.012 −0\.030 .*\+0\.010", text)
    assert "0.50000 0.51230 −0.01230" in text


def test_what_is_missing_is_a_dash(page):
    row = re.search("prevalence .*?</th>(.*?)</tr>", page, flags=re.DOTALL)[1]
    assert plain(row).split()[0] == "–"
    assert "––" not in plain(row)


def test_contributions_shown_and_others_add_up(page):
    case = example(0)
    assert case.base_value + case.listed + case.rest == pytest.approx(case.margin)
    assert re.search(r"−3\.00.*\+0\.75.*\+0\.25.*−2\.00", plain(page))


def test_every_value_is_escaped(story):
    evil_reason = ReasonLine(text=EVIL, text_zh=EVIL, contribution=0.1)
    evil_case = replace(
        example(0),
        observation_id=EVIL,
        customer_id=EVIL,
        tier=EVIL,
        tier_zh=EVIL,
        tier_path=EVIL,
        outcome=EVIL,
        reasons=(evil_reason,),
    )
    evil_model = replace(
        story.models[0],
        name=EVIL,
        unit=EVIL,
        title=EVIL + '" onload="x',
        model_version=EVIL,
        model_digest=EVIL,
        figures=story.models[0].figures.assign(who=EVIL),
        added_value=story.models[0].added_value.assign(baseline=EVIL, better=EVIL),
        added_sentence=EVIL,
        parts=story.models[0].parts.assign(part=EVIL),
        tiers=story.models[0].tiers.assign(tier=EVIL, tier_zh=EVIL),
        left_out_features={EVIL: EVIL},
        examples=(evil_case,),
        seconds={EVIL: 1.0},
    )
    evil = PageStory(
        title=EVIL,
        subtitle=EVIL,
        facts=((EVIL, EVIL),),
        flow=story.flow.assign(table=EVIL),
        findings=(EVIL,),
        models=(evil_model,),
    )
    page = render_page(evil)
    assert "<script" not in page
    parser = parsed(page)
    assert "onload" not in {name for name, _ in parser.attributes}
    assert page.count("&lt;script&gt;") > 25


def test_the_same_story_gives_the_same_page(page, story):
    assert render_page(story) == page
    assert render_page(make_story()) == page
    assert not re.search(r"<metadata|<dc:date", page)


def test_tiers_without_outcomes_and_models_without_more(story):
    bare = replace(
        story.models[0],
        tiers=tiers_table().drop(columns=["positives", "observed_rate", "ci_low", "ci_high"]),
        parts=parts_table().iloc[:1],
        plots={},
        examples=(),
        left_out_features={},
        seconds={},
    )
    page = render_page(replace(story, models=(bare,), findings=(), flow=story.flow.iloc[:0]))
    assert parsed(page).open == []
    assert "Observed<br>rate" not in page
    assert "No finding" in page


def test_an_unknown_plot_is_refused_with_a_hint(story):
    with pytest.raises(ValueError, match=r"'one'.*'rocc'.*'roc'"):
        replace(story.models[0], plots={"rocc": Figure()})


def test_save_writes_the_page_and_nothing_else(tmp_path, page, story):
    path = tmp_path / "new" / "report.html"
    save_page(story, path)
    save_page(story, path)
    assert path.read_text(encoding="utf-8") == page
    assert [item.name for item in path.parent.iterdir()] == ["report.html"]


def test_save_to_a_place_that_cannot_be_written_is_refused(tmp_path, story):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="written"):
        save_page(story, tmp_path / "file" / "report.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="written"):
        save_page(story, tmp_path / "folder")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder"]


@pytest.fixture(scope="module")
def whole():
    """A story with all that a demo has, in both languages."""
    force = pd.DataFrame(
        {
            "tier": ["high", "low"],
            "tier_zh": ["高", "低"],
            "by_model": [1_001, 2_002],
            "in_force": [1_113, 1_890],
            **{f"set_by_{step}": [7, 8] for step in ("model", "rating", "history", "override")},
        }
    )
    drawn = {
        "roc": pd.DataFrame({"who": ["LightGBM"], "false_positive_rate": [0.11], "recall": [0.8]})
    }
    models = tuple(
        replace(
            each,
            title_zh=f"模型{each.name}",
            verdict=(("calibrated <b>", "校准良好"),),
            drawn=drawn,
            in_force=force,
        )
        for each in make_story().models
    )
    case = CaseStory(facts=(("planted", "植入"),), sheets=("case.html", "case.zh.html"))
    return replace(
        make_story(),
        models=models,
        case=case,
        files=("demo.html", "demo.zh.html"),
        subtitle_zh="模拟数据",
    )


@pytest.mark.parametrize(
    ("language", "here", "there"),
    [
        ("en", ("planted", "calibrated", "case.html", "demo.zh.html"), ("植入", "校准良好")),
        (
            "zh",
            ("植入", "校准良好", "case.zh.html", "demo.html", "模型one", "模拟数据"),
            ("planted",),
        ),
    ],
)
def test_a_page_is_of_one_language(whole, find_barriers, language, here, there):
    page = render_page(whole, language=language)
    assert parsed(page).open == []
    assert find_barriers(page) == []
    for text in here:
        assert text in page
    for text in there:
        assert text not in page
    for count in ("1,001", "2,002", "1,113", "1,890"):
        assert count in page
    assert "<b>" not in re.findall("calibrated.*", page + "calibrated")[0]
    assert len(re.findall(r"<td>11(\.0+)?%", page)) == len(whole.models)


def test_the_chinese_page_has_every_number_of_the_english_one(whole):
    pages = [plain(render_page(whole, language=language)) for language in ("en", "zh")]
    # four characters and more: single figures occur in sentences of one language
    numbers = [set(re.findall(r"\d[\d,.]+\d%?", page)) for page in pages]
    numbers = [{each for each in found if len(each) > 3} for found in numbers]
    assert len(numbers[0]) > 30
    assert numbers[0] - numbers[1] <= {"0.95", "100%", "0.69"}


def test_the_words_of_the_page_exist_in_both_languages():
    def check(words):
        for key, each in words.items():
            if isinstance(each, dict) and set(each) != {"en", "zh"}:
                check(each)
            else:
                assert each["en"], key
                assert each["zh"], key

    check(WORDS)
