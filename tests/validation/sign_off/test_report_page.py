"""The page of a validation holds all it needs, says all the report says, and lets nothing in."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest

from kyc_ml.display import GLOSSARY
from kyc_ml.registry import Entry, ReportFacts, ReportFinding, SignOff, make_sign_off
from kyc_ml.registry.governance.chain import GENESIS
from kyc_ml.validation.policy import default_policy
from kyc_ml.validation.report.changes import find_changes
from kyc_ml.validation.report.drawing import draw
from kyc_ml.validation.report.inline import strict_svg
from kyc_ml.validation.report.naming import Naming
from kyc_ml.validation.report.numbers import write_cell, write_number
from kyc_ml.validation.report.page import write_page
from kyc_ml.validation.report.render import render_report
from kyc_ml.validation.report.view import MOST_ROWS, mark_of, view_tiles
from kyc_ml.validation.report.words import COLUMNS, WORDS
from kyc_ml.validation.result import Figure

ENGLISH, CHINESE = Naming(language="en"), Naming(language="zh")
EVIL = "<script>alert('x')</script>"
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Reader(HTMLParser):
    """Collects tags, attributes and texts, and insists that tags close in order."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.inline = {"style": [], "script": []}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] in self.inline:
            self.inline[self.open[-1]].append(text)
        else:
            self.texts.append(text)


@pytest.fixture(scope="module", params=["en", "zh"])
def page(request, base_report):
    return render_report(base_report, language=request.param)


@pytest.fixture(scope="module")
def read(page):
    return Reader(page)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nobody_is_kept_out_of_the_report(base_report, language, find_barriers):
    longest = max((f"{each.check}/{each.figure}" for each in default_policy().gates), key=len)
    hollow = replace(base_report.policy, left_out=(f"{longest}/amber",) * 2, default_gates=69)
    page = render_report(replace(base_report, policy=hollow), language=language)
    assert find_barriers(page) == []


@pytest.mark.parametrize(
    ("value", "broken", "mark"),
    [(0.1, False, "✓"), (0.2, False, "–"), (0.2, True, "✕"), (None, False, "–")],
)
def test_a_figure_within_its_bound_has_the_mark_of_success(undrawn, value, broken, mark):
    psi = next(each for each in undrawn.results if each.gates)
    gate = replace(psi.gates[0], value=value, at_most=0.1, broken=broken, note=psi.check.title)
    assert mark_of(gate) == mark


def text_of(read):
    return " ".join(" ".join(read.texts).split())


def test_tags_close_and_identifiers_are_unique_and_links_lead_somewhere(read):
    assert read.open == []
    names = [value for _, name, value in read.attributes if name == "id"]
    assert len(names) == len(set(names))
    links = {value for _, name, value in read.attributes if name in ("href", "xlink:href")}
    assert links
    assert {link[1:] for link in links} <= set(names)
    assert all(link.startswith("#") for link in links)


def test_nothing_comes_from_elsewhere(page):
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "http:" not in without_names
    assert "https:" not in without_names
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", without_names)
    assert "@import" not in page
    assert " src=" not in page


def test_the_policy_lets_through_the_own_style_and_script_alone(read):
    policy = next(value for _, name, value in read.attributes if "default-src" in str(value))
    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        (code,) = read.inline[kind]
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    names = {name for _, name, _ in read.attributes}
    assert "style" not in names
    assert not {name for name in names if name.startswith("on")}


def test_every_value_is_escaped(page, read):
    assert EVIL not in page
    assert read.tags.count("script") == 1
    assert EVIL in text_of(read)


def test_everything_the_report_says_is_on_the_page(read, base_report):
    told = text_of(read)
    for result in base_report.results:
        check = result.check
        language = "zh" if "模型验证报告" in told else "en"
        for text in (check.title, check.purpose, check.method, check.signs, check.limits):
            assert getattr(text, language) in told
        for value in (check.id, check.source, result.command):
            assert value in told
        for note in (*result.notes, result.reason):
            assert getattr(note, language) in told
    assert "0.840" in told
    assert "0.820–0.860" in told
    assert "≤ 0.100" in told
    assert "12,345" in told
    for finding in base_report.findings:
        assert finding.id in told


def test_no_word_is_missing_in_either_language():
    for key, text in WORDS.items():
        assert text.en.strip(), key
        assert text.zh.strip(), key
        if key not in ("comma", "colon", "seconds", "listing", "semicolon", "alt_one"):
            assert re.search("[\u4e00-\u9fff]", text.zh), key
    for entry in GLOSSARY:
        assert re.search("[\u4e00-\u9fff]", entry.text_zh), entry.term
    assert all(text.en and text.zh for text in COLUMNS.values())


def test_the_chinese_page_is_in_chinese(undrawn):
    page = render_report(undrawn, language="zh")
    assert '<html lang="zh-Hans">' in page
    told = text_of(Reader(page))
    for key in ("findings", "glossary", "validator", "signs", "not_applicable"):
        english = WORDS[key].en
        assert english not in told


def test_the_same_report_gives_the_same_page(base_report, page):
    language = "zh" if 'lang="zh' in page else "en"
    assert render_report(base_report, language=language) == page


def test_a_long_table_is_cut_and_says_where_the_rest_is(page, read):
    file = "tables/discrimination.auc.many.parquet"
    assert file in text_of(read)
    assert len(re.findall("feature.with.a.long.name", page)) < 200
    assert f"{MOST_ROWS}" in text_of(read)


def test_headings_sort_numbers_by_value(read):
    keys = [value for _, name, value in read.attributes if name == "data-v"]
    assert {"1200.0", "0.012"} <= set(keys)


def test_a_partial_report_says_that_it_approves_nothing(undrawn):
    said = WORDS["partial"].en
    assert said not in render_report(undrawn)
    assert said in render_report(replace(undrawn, complete=False))


@pytest.mark.parametrize("verdict", ["pass", "pass_with_findings", "fail"])
def test_the_verdict_is_told_by_word_and_mark(undrawn, verdict):
    told = text_of(Reader(render_report(replace(undrawn, verdict=verdict))))
    assert WORDS[f"said_{verdict}"].en in told
    assert {"pass": "✓ Pass", "pass_with_findings": "! Pass", "fail": "✕ Fail"}[verdict] in told


def test_what_changed_since_the_last_version(undrawn, passing):
    before = replace(
        passing,
        model=replace(passing.model, version="2", digest="e" * 64),
        results=tuple(
            replace(
                result,
                figures=tuple(
                    replace(figure, value=0.9, low=0.89, high=0.91)
                    if figure.name == "auc"
                    else figure
                    for figure in result.figures
                ),
            )
            for result in passing.results
        ),
    )
    found = find_changes(before, undrawn)
    assert [finding.id for finding in found.new] == ["stability.psi/psi/amber"]
    assert found.gone == ()
    assert [(each.now.name, each.beyond_chance) for each in found.figures] == [("auc", True)]
    assert ("version", "2", "3") in found.facts
    told = text_of(Reader(render_report(undrawn, previous=before)))
    assert "Version : 2 → 3" in told.replace(": 2", " : 2").replace("  ", " ")
    assert "−0.060" in told
    assert find_changes(undrawn, undrawn).facts == ()
    assert not any(each.beyond_chance for each in find_changes(undrawn, undrawn).figures)


def test_a_report_under_other_gates_says_that_verdicts_do_not_compare(undrawn):
    other = replace(undrawn, policy=replace(undrawn.policy, digest="q" * 64))
    said = WORDS["other_gates"].en
    assert said in render_report(undrawn, previous=other)
    assert said not in render_report(undrawn, previous=undrawn)


def test_the_sign_off_stands_on_the_page(undrawn):
    facts = ReportFacts(
        digest="r" * 64, model="fraud", version="3", bundle_digest="d" * 64, validator="Lin Hua",
        trainers=(), verdict="pass_with_findings", complete=True,
        created_at=pd.Timestamp(undrawn.created_at), policy_digest="p" * 64,
        finding_due_days=90, positives=67, negatives=933,
        findings=(ReportFinding(id="stability.psi/psi/amber", severity="amber", text="x"),),
    )  # fmt: skip
    today = pd.Timestamp("2026-11-23").date()
    signed = make_sign_off(
        facts, validator="Lin Hua", trainers=(), conclusion="approve_with_conditions",
        owners={"stability.psi/psi/amber": ("Zhou <b>", "2027-01-15")},
        conditions=("branches only",), comment="", materiality="high", today=today,
    )  # fmt: skip
    entry = Entry(
        sequence=7, time="2026-11-23T10:00:00+00:00", kind="sign_off", actor="Lin Hua",
        account="svc", model="fraud", version="3", facts=signed.to_facts(), previous=GENESIS,
    ).sealed()  # fmt: skip
    told = text_of(Reader(render_report(undrawn, signed=entry)))
    for said in ("conditions", "branches", "Zhou <b>", "2027-01-15",
                 str(entry.anchor), "high"):  # fmt: skip
        assert said in told


def test_a_rejection_stands_beside_the_verdict(undrawn):
    rejected = Entry(
        sequence=7, time="2026-11-23T10:00:00+00:00", kind="sign_off", actor="Lin Hua",
        account="svc", model="fraud", version="3", previous=GENESIS,
        facts=SignOff(
            report_sha256="r" * 64, bundle_digest="d" * 64, verdict="pass", conclusion="reject",
            conditions=(), comment="too few positives", materiality="", findings=(),
        ).to_facts(),
    ).sealed()  # fmt: skip
    page = render_report(undrawn, signed=rejected)
    first_screen = page[page.index('id="glance"') : page.index('class="first"')]
    assert "Rejected" in first_screen
    assert "positives" in first_screen
    assert "Rejected" not in render_report(undrawn)


def test_every_kind_of_plot_is_drawn_but_one_without_rows(base_report):
    result = base_report.results[0]
    for plot in result.plots:
        figure = draw(plot, result.table(plot.table), naming=CHINESE)
        assert (figure is None) == (plot.name == "empty"), plot.name
        if figure is not None:
            svg = strict_svg(figure, prefix="p-")
            assert "style=" not in svg
            assert "<image" not in svg
            assert "var(--" in svg


def test_without_a_chinese_font_the_text_is_written_all_the_same(base_report, monkeypatch):
    monkeypatch.setattr("kyc_ml.display.plots.style.font_names", lambda: ("DejaVu Sans",))
    result = base_report.results[0]
    plot = next(plot for plot in result.plots if plot.name != "empty")
    figure = draw(plot, result.table(plot.table), naming=CHINESE)
    assert re.search("[\u4e00-\u9fff]", strict_svg(figure, prefix="p-"))  # and no warning


@pytest.mark.parametrize(
    ("value", "column", "written"),
    [
        (None, "x", "–"),
        (float("nan"), "rate", "–"),
        (True, "x", "✓"),
        (1234, "rows", "1,234"),
        (0.0123, "observed_rate", "1.23%"),
        (1.5, "rate", "1.500"),
        (0.5, "average_precision", "0.500"),
        (0.00001, "p_value", "< 0.0001"),
        (-0.25, "difference", "−0.250"),
        (pd.Timestamp("2026-01-02"), "period", "2026-01-02"),
        ("low", "tier", "low"),
    ],
)
def test_a_cell_is_written_by_what_it_holds(value, column, written):
    assert write_cell(value, column) == written


def test_an_undefined_figure_is_a_dash_never_nan():
    for unit in ("share", "ratio", "count", "p-value", "log-odds", "index", "days", "cost", "s.d."):
        assert write_number(None, unit) == "–"
        assert "nan" not in write_number(0.0, unit)


def test_saving_makes_one_small_file(undrawn, tmp_path):
    path = tmp_path / "new" / "report.html"
    write_page(undrawn, path, language="en")
    assert path.stat().st_size < 10_000_000
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]


def test_a_tile_is_not_green_where_another_figure_of_its_check_is_broken(undrawn):
    """The gate on its own figure is kept; the finding of the check is about another one."""
    (psi,) = (each for each in undrawn.results if each.verdict == "finding")
    (gate,) = psi.gates
    other = replace(gate, figure="another")
    kept = replace(gate, value=0.05, broken=False)
    changed = replace(psi, gates=(kept, other))
    results = tuple(changed if each is psi else each for each in undrawn.results)
    report = replace(undrawn, results=results, headline=((psi.check.id, gate.figure),))
    (tile,) = view_tiles(report, None, ENGLISH)
    assert (tile.state, tile.severity) == ("broken", "amber")
    assert tile.standing == WORDS["standing_finding"].en  # it was not computed, so it has no tile
    measure = replace(psi.check.measures[0], name="another")
    computed = replace(changed, figures=(*changed.figures, Figure(measure=measure, value=0.7)))
    shown = tuple(computed if each is changed else each for each in results)
    (tile,) = view_tiles(replace(report, results=shown), None, ENGLISH)
    assert (tile.value, tile.state, tile.standing) == ("0.700", "broken", "")
    (tile,) = view_tiles(replace(report, results=undrawn.results), None, ENGLISH)
    assert (tile.state, tile.severity, tile.standing) == ("broken", "amber", "")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_first_screen_says_what_the_policy_leaves_out_and_who_may_approve(undrawn, language):
    names = ("a.b/c/amber", "calibration.jeffreys/under_p/red")
    hollow = replace(
        undrawn.policy, default_gates=69, left_out=names, weaker=("settings.fewest: 9, not 2",),
        changed=True, relaxed=("promotion.validator_may_approve",),
    )  # fmt: skip

    def first_screen(report):
        page = render_report(report, language=language)
        return text_of(Reader(page.partition('<div class="tiles')[0]))

    def said(key):
        text = WORDS[key].en if language == "en" else WORDS[key].zh
        return max(re.split(r"\{\w+\}", text), key=len).strip()

    shown = first_screen(replace(undrawn, policy=hollow))
    warned = [key for key in WORDS if key.startswith("warned_policy")]
    assert len(warned) == 4
    assert [key for key in warned if said(key) not in shown] == []
    assert shown.index(names[1]) < shown.index(names[0])  # critical gates first
    assert "69" in shown
    assert "default v1 (changed)" in shown
    assert said("asked_four_eyes") not in shown
    plain = first_screen(undrawn)
    assert [key for key in warned if said(key) in plain] == []
    assert said("asked_four_eyes") in plain
    assert said("warned_validator_trained") not in plain
    assert said("warned_validator_trained") in first_screen(replace(undrawn, validator="WANG"))
