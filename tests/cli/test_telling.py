"""What a job says of its run: one line a reason, and a word where chance decided."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pandas as pd
import pytest

from kyc_ml.cli.terminal.results import _reasons_sheet, _say_example, _say_peers
from kyc_ml.config import ModelConfig
from kyc_ml.display import ProgressReporter
from kyc_ml.features import report_unavailable
from kyc_ml.model import Selection
from kyc_ml.training import warn_of_odd_tiers
from kyc_ml.training.train_job import _tell_of_few_trees, _tell_of_selection
from kyc_ml.training.training_warnings import (
    warn_of_few_positives,
    warn_of_missed_rates,
    warn_of_sampled_level,
)


class Listener(ProgressReporter):
    """Keeps what was said."""

    def __init__(self):
        self.said = []

    def info(self, line):
        self.said.append(line)

    warning = info


def test_features_left_out_for_one_reason_share_a_line():
    reporter = Listener()
    unavailable = {f"f{n}": "no table events" for n in range(7)} | {"g": "no column branch"}
    report_unavailable(unavailable, reporter, and_so=", not audited")
    assert reporter.said == [
        "7 features left out, not audited: no table events: f0, f1, f2, f3, f4 and 2 more",
        "1 feature left out, not audited: no column branch: g",
    ]


def test_what_selection_left_out_is_one_line_with_the_total_by_reason():
    why = ["useless"] * 6 + ["constant"] * 2 + ["", ""]
    table = pd.DataFrame({"feature": list("abcdefghij"), "why": why})
    table["kept"] = table["why"] == ""
    selection = Selection(kept=("i", "j"), dropped={}, table=table)
    reporter = Listener()
    _tell_of_selection(SimpleNamespace(selection=selection), reporter)
    assert reporter.said == [
        "selection left out 8 of 10 features: 6 useless, 2 constant; each with its figures in "
        "tables/selection.csv of the run in MLflow"
    ]
    _tell_of_selection(SimpleNamespace(selection=None), reporter)
    assert len(reporter.said) == 1


@pytest.mark.parametrize(("trees", "said"), [(1, True), (19, True), (20, False)])
def test_a_model_that_hardly_began_is_told(trees, said):
    parts = pd.DataFrame({"part": ["train", "early_stopping"], "positives": [90, 4]})
    reporter = Listener()
    _tell_of_few_trees(SimpleNamespace(parts=parts, best_round=trees), reporter)
    assert bool(reporter.said) is said
    assert all("by 4 positives" in line for line in reporter.said)


def test_without_a_part_to_stop_on_nothing_is_told():
    parts = pd.DataFrame({"part": ["train"], "positives": [90]})
    reporter = Listener()
    _tell_of_few_trees(SimpleNamespace(parts=parts, best_round=3), reporter)
    assert not reporter.said


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "T1: probability 26.09%, tier medium 中, outcome negative"),
        ("low by the probability; medium by override x",
         "T1: probability 26.09%, tier medium 中 (low by the probability; medium by override x), "
         "outcome negative"),
    ],
)  # fmt: skip
def test_an_example_says_why_its_tier_is_not_that_of_its_probability(path, said):
    example = SimpleNamespace(
        observation_id="T1", probability=0.26091, tier="medium", tier_zh="中", tier_path=path,
        outcome="negative",
    )  # fmt: skip
    assert _say_example(example) == said


def test_parts_that_decide_by_few_positives_are_told_in_one_line():
    reporter = Listener()
    warn_of_few_positives({"early stopping": 2, "calibration": 99, "test": 100}, reporter)
    (line,) = reporter.said
    assert "stopping 2, calibration 99 (" in line
    assert re.findall(r"\d+", line) == ["2", "99", "100"]
    assert "test" not in line.partition(":")[2].partition("(")[0]


def test_parts_of_enough_positives_need_no_word():
    reporter = Listener()
    warn_of_few_positives({"early stopping": 100, "test": 4_000}, reporter)
    assert not reporter.said


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([10, 29_000, 990], "10 of 30,000"),
        ([299, 20_000, 9_701], "299 of 30,000"),
        ([300, 20_000, 9_700], None),  # equal to the bound is enough
        ([29_999, 1, 0], None),  # few alerts are what rare frauds look like
        ([0, 9, 990], None),  # too few rows to say
    ],
)
def test_cut_offs_that_grade_nobody_are_told(rows, named):
    reporter = Listener()
    warn_of_odd_tiers(pd.DataFrame({"tier": ["low", "medium", "high"], "rows": rows}), reporter)
    assert len(reporter.said) == (named is not None)
    assert all(named in line and "tiers" in line for line in reporter.said)


def test_a_tier_whose_observed_interval_misses_its_expected_rate_is_told():
    tiers = pd.DataFrame(
        {
            "tier": ["low", "medium", "high", "top"],
            "rows": [900, 90, 10, 0],
            "expected_rate": [0.001, 0.05, 0.5, float("nan")],
            "ci_low": [0.0005, 0.1, 0.1, float("nan")],
            "ci_high": [0.002, 0.2, 0.4, float("nan")],
        }
    )
    reporter = Listener()
    warn_of_missed_rates(tiers, reporter)
    assert [line.partition(";")[0] for line in reporter.said] == [
        "tier medium: more positives than expected (5.00 %, observed 10.00 % to 20.00 %)",
        "tier high: fewer positives than expected (50.00 %, observed 10.00 % to 40.00 %)",
    ]


@pytest.mark.parametrize(
    ("changed", "calibration", "warned"),
    [
        ({}, "none", False),
        ({"negative_share": 0.1}, "none", True),
        ({"positive_weight": 5.0}, "none", True),
        ({"negative_share": 0.1}, "platt", False),
    ],
)
def test_sampling_without_calibration_is_told(changed, calibration, warned):
    reporter = Listener()
    warn_of_sampled_level(ModelConfig(**changed), calibration, reporter)
    assert len(reporter.said) == warned
    assert all("negative_share" in line and "platt" in line for line in reporter.said)


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("all", "the whole bank"),
        ("all (kind not known)", "the whole bank (kind not known)"),
        ("entity", "their peers: entity"),
    ],
)
def test_whom_reasons_compare_with_is_said_in_words(group, said):
    assert _say_peers(group) == said


@pytest.mark.parametrize("chinese", [False, True])
def test_a_case_in_which_nothing_stands_out_is_drawn_without_numbers(chinese):
    """It stopped as a defect: the row has no contribution from which to draw a bar."""
    row = {
        "text": "nothing",
        "text_zh": "没有",
        "contribution": float("nan"),
        "share": float("nan"),
    }
    explained = SimpleNamespace(
        contributions=pd.DataFrame([row]),
        observation_id="P1",
        probability=0.01,
        tier="low",
        tier_zh="低",
    )
    ((said, *others),) = _reasons_sheet(explained, chinese=chinese).rows
    assert said == row["text_zh" if chinese else "text"]
    assert [str(each) for each in others] == ["", "", ""]
