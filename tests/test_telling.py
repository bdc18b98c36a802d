"""What a job says of its run: one line a reason, and a word where chance decided."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from kyc_ml.jobs.training import _tell_of_few_trees
from kyc_ml.jobs.watch import Silence, tell_left_out
from kyc_ml.terminal.results import _say_example


class Listener(Silence):
    """Keeps what was said."""

    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)


def test_features_left_out_for_one_reason_share_a_line():
    watch = Listener()
    left_out = {f"f{n}": "no table events" for n in range(7)} | {"g": "no column branch"}
    tell_left_out(left_out, watch, and_so=", not audited")
    assert watch.said == [
        "7 features left out, not audited: no table events: f0, f1, f2, f3, f4 and 2 more",
        "1 feature left out, not audited: no column branch: g",
    ]


@pytest.mark.parametrize(("trees", "said"), [(1, True), (19, True), (20, False)])
def test_a_model_that_hardly_began_is_told(trees, said):
    parts = pd.DataFrame({"part": ["train", "early_stopping"], "positives": [90, 4]})
    watch = Listener()
    _tell_of_few_trees(SimpleNamespace(parts=parts, best_round=trees), watch)
    assert bool(watch.said) is said
    assert all("by 4 positives" in line for line in watch.said)


def test_without_a_part_to_stop_on_nothing_is_told():
    parts = pd.DataFrame({"part": ["train"], "positives": [90]})
    watch = Listener()
    _tell_of_few_trees(SimpleNamespace(parts=parts, best_round=3), watch)
    assert not watch.said


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "T1: probability 0.2609, tier medium 中, outcome negative"),
        ("low by the probability; medium by override x",
         "T1: probability 0.2609, tier medium 中 (low by the probability; medium by override x), "
         "outcome negative"),
    ],
)  # fmt: skip
def test_an_example_says_why_its_tier_is_not_that_of_its_probability(path, said):
    example = SimpleNamespace(
        observation_id="T1", probability=0.26091, tier="medium", tier_zh="中", tier_path=path,
        outcome="negative",
    )  # fmt: skip
    assert _say_example(example) == said
