"""The keys that the reference tells are those that a file may hold, as the code has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from kyc_ml.cli.key_reference import KINDS, run_key_page, run_keys, say_places
from kyc_ml.config import ModelConfig, RunConfig, Section, StabilityConfig, list_keys
from kyc_ml.errors import ConfigError

ROOT = Path(__file__).parents[2]


class Inner(Section):
    """Something inside.

    Told nowhere.
    """

    share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    """Of the whole,
    None or ``all`` of it."""


class Outer(Section):
    """A file."""

    from_: str = Field(alias="from")
    """Where from."""
    kinds: tuple[Literal["a", "b"], ...] = ("a",)
    inside: Inner = Inner(share=0.25)
    many: tuple[Inner, ...] = ()
    named: dict[str, Inner] = Field(default_factory=dict, min_length=1)
    most: int | None = Field(default=None, gt=0)
    pair: tuple[str, str] | None = None


def rows(table):
    return {key.name: (key.kind, key.bounds, key.default, key.meaning) for key in table.keys}


def test_a_key_is_told_as_a_file_spells_it():
    outer, inner = list_keys(Outer)
    assert (outer.paths, outer.summary) == (("",), "A file.")
    assert rows(outer) == {
        "from": ("text", "", "required", "Where from."),
        "kinds": ("list of `a` or `b`", "", '`["a"]`', ""),
        "inside": ("section", "", '`{"share": 0.25}`', "Something inside."),
        "many": ("list of section", "", "`[]`", "Something inside."),
        "named": ("NAME: section", "at least 1", "`{}`", "Something inside."),
        "most": ("whole number, or null", "> 0", "`null`", ""),
        "pair": ("list of text, or null", "", "`null`", ""),
    }
    assert inner.paths == ("inside", "many[]", "named.NAME")
    told = ("number", "≥ 0, < 1", "`0.5`", "Of the whole, null or `all` of it.")
    assert rows(inner) == {"share": told}


def test_what_is_told_elsewhere_is_not_entered():
    assert len(list_keys(Outer, apart=[Inner])) == 1


def test_the_shipped_page_is_of_this_code():
    shipped = ROOT / "configs" / "REFERENCE.md"
    assert shipped.read_text(encoding="utf-8") == run_key_page(), (
        "write it again: kyc-ml config --markdown > configs/REFERENCE.md"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_says_what_it_means(kind):
    everything = [run_keys(None, kind=kind)[0], *run_keys_inside(kind)]
    silent = [
        f"{say_places(table)}: {key.name}"
        for table in everything
        for key in table.keys
        if not key.meaning
    ]
    assert silent == []


def run_keys_inside(kind):
    tops = [key.name for key in run_keys(None, kind=kind)[0].keys if "section" in key.kind]
    return [table for top in tops if top != "card" for table in run_keys(top, kind=kind)]


def test_a_section_comes_with_all_inside_it_and_a_key_alone():
    assert [table.paths[0] for table in run_keys("tuning", kind="run")] == [
        "tuning",
        "tuning.folds",
        "tuning.search",
        "tuning.search.num_leaves",
        "tuning.search.learning_rate",
    ]
    assert [say_places(table) for table in run_keys("splits", kind="run")] == [
        "splits with method out_of_time",
        "splits with method customer_folds",
    ]
    (found,) = run_keys("model.refit", kind="run")
    assert [key.name for key in found.keys] == ["refit"]
    (top,) = run_keys(None, kind="run")
    assert {key.name for key in top.keys} == set(RunConfig.model_fields)
    for name, section in {"model": ModelConfig, "stability": StabilityConfig}.items():
        (table,) = run_keys(name, kind="run")
        assert {key.name for key in table.keys} == set(section.model_fields)


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("calibration.segmnt", "run", "'calibration.segment'"),
        ("negative_share", "run", r"'model.negative_share' or 'tuning.negative_share'\?"),
        ("selection", "limits", "'selection'.*limits.*kyc-ml config"),
        (None, "limit", "--file.*'limit'.*'limits'"),
    ],
)
def test_what_is_no_key_is_told_with_the_one_that_was_meant(name, kind, told):
    with pytest.raises(ConfigError, match=told):
        run_keys(name, kind=kind)
