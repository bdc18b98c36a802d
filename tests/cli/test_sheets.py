"""Tables of a terminal: at any width, nothing that must be read or copied is cut."""

import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

import kyc_ml
from kyc_ml.cli.terminal.sheets import Column, Sheet
from kyc_ml.cli.terminal.tables import draw_facts, draw_frame, say_share
from kyc_ml.cli.terminal.wrapping import wrap

PACKAGE = Path(kyc_ml.__file__).parent
RECEIPT = "3:" + "58518a0f" * 8
ADDRESS = "http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=" + "0123456789abcdef" * 4
LONG_ZH = (
    "本行客户在最近三十天内向新对手方付款的笔数（12笔，通常为0.0笔）明显高于同类客户，使风险升高"
)


def lines_of(sheet, width):
    drawn = io.StringIO()
    Console(file=drawn, width=width, soft_wrap=True).print(sheet)
    return drawn.getvalue().splitlines()


word = st.text(st.sampled_from("abcdefghij0123456789_-.:/"), min_size=1, max_size=90)
term = st.text(st.sampled_from("客户风险等级，。（）12%"), min_size=1, max_size=60)
cell = st.lists(word | term, min_size=1, max_size=4).map(" ".join)
sheets = st.integers(1, 5).flatmap(
    lambda columns: st.builds(
        Sheet,
        title=cell,
        columns=st.tuples(*[st.builds(Column, heading=cell, right=st.booleans())] * columns),
        rows=st.lists(st.tuples(*[cell] * columns), max_size=4).map(tuple),
        caption=st.just("") | cell,
    )
)


@given(sheet=sheets, width=st.integers(40, 220))
def test_a_sheet_says_all_of_itself_at_any_width(sheet, width, nothing_cut):
    nothing_cut(sheet, width)


@given(facts=st.dictionaries(word, cell, min_size=1, max_size=5), width=st.integers(40, 220))
def test_a_summary_says_all_of_itself_at_any_width(facts, width, nothing_cut):
    nothing_cut(draw_facts("done", facts), width)


@given(text=cell, width=st.integers(2, 80))
def test_wrapping_loses_and_breaks_no_word(text, width):
    lines = wrap(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(each in " ".join(lines) for each in text.split() if each.isascii())


def test_only_one_place_makes_tables():
    """So that the laws above hold for every table that a command will ever print."""
    makers = [path for path in PACKAGE.rglob("*.py") if "rich.table" in path.read_text()]
    assert [path.relative_to(PACKAGE).as_posix() for path in makers] == ["cli/terminal/sheets.py"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_what_must_be_copied_is_on_one_line_of_the_output(width):
    facts = {"receipt": RECEIPT, "runs side by side": ADDRESS, "page": "/a/b c/report.html"}
    lines = lines_of(draw_facts("signed off", facts), width)
    for copied in (RECEIPT, ADDRESS):
        assert any(copied in line for line in lines)


def test_a_summary_that_fits_is_framed():
    assert lines_of(draw_facts("done", {"rows": 3}), 80) == [
        "done",
        "┌──────┬───┐",
        "│ rows │ 3 │",
        "└──────┴───┘",
    ]


def test_a_wide_table_of_few_rows_is_turned():
    frame = pd.DataFrame(
        {"tier": ["low", "high"], **{f"a_long_heading_{n}": [n, n] for n in "abcdefgh"}}
    )
    wide, narrow = (lines_of(draw_frame("tiers", frame), width) for width in (200, 80))
    assert len(wide) == 1 + 4 + 2
    assert [line.split()[1] for line in narrow if "heading" in line] == ["a"] * 8
    assert sum("low" in line and "high" in line for line in narrow) == 1


def test_a_matrix_of_tiers_is_not_turned():
    """Before would pass for after."""
    tiers = ["low" * 6, "middle" * 3, "high" * 5]
    frame = pd.DataFrame({"before": tiers, **{tier: [1, 2, 3] for tier in tiers}})
    lines = lines_of(draw_frame("before (rows) and after (columns)", frame), 60)
    start = lines.index(f"before: {tiers[1]}")
    assert [line.split()[-1] for line in lines[start + 1 : start + 4]] == ["2", "2", "2"]


def test_prose_becomes_a_block_of_lines_for_each_row():
    frame = pd.DataFrame({"key": ["rounds"], "meaning": ["word " * 60], "default": ["1" * 30]})
    lines = lines_of(draw_frame("keys", frame), 60)
    assert lines[:2] == ["keys", "key: rounds"]
    assert not set("│┃") & set("".join(lines))


def test_chinese_is_wrapped_by_the_width_of_its_characters():
    lines = wrap(LONG_ZH, 30)
    assert all(Text(line).cell_len <= 30 for line in lines)
    assert "".join(lines) == LONG_ZH
    assert not any(line[0] in "，。）" for line in lines)
    assert any("使风险升高" in line for line in wrap(LONG_ZH, 80))


def test_what_is_secondary_gives_its_place_first():
    sheet = Sheet(
        title="reasons",
        columns=(Column(heading="reason"), Column(heading="", secondary=True)),
        rows=(("x" * 50, Text("█" * 24, style="red")),),
    )
    assert any("█" in line for line in lines_of(sheet, 100))
    assert not any("█" in line for line in lines_of(sheet, 70))


def test_a_table_without_rows_says_so_where_its_headings_do_not_fit():
    frame = pd.DataFrame(columns=[f"a_long_heading_{n}" for n in range(30)])
    assert lines_of(draw_frame("moved", frame), 60) == ["moved", "no rows"]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("observed_rate", 0.0012, "0.12%"),
        ("quarantined_share", 0.0, "0.00%"),
        ("probability", 0.000041, "0.0041%"),
        ("auc", 0.9123456, "0.9123"),
    ],
)
def test_shares_are_in_per_cent(column, value, said):
    assert draw_frame("t", pd.DataFrame({column: [value]})).rows == ((said,),)


def test_the_interval_of_a_rate_is_in_per_cent_and_that_of_another_figure_is_not():
    interval = {"ci_low": [0.001], "ci_high": [0.002]}
    rates = draw_frame("t", pd.DataFrame({"observed_rate": [0.0015], **interval}))
    assert rates.rows == (("0.15%", "0.10%", "0.20%"),)
    assert draw_frame("t", pd.DataFrame(interval)).rows == (("0.0010", "0.0020"),)


@given(share=st.floats(1e-7, 1.0))
def test_a_share_that_is_not_none_never_reads_as_none(share):
    assert float(say_share(share).rstrip("%")) > 0
