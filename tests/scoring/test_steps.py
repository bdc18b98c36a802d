"""A step counts only while its files are as they were noted."""

import os

import pytest

from kyc_ml.errors import OutputError
from kyc_ml.storage import Checkpoints, dump_json

FACTS = {"z": [1, 2], "a": {"y": 0.1, "b": None}, "rows": 3}


@pytest.fixture
def steps(tmp_path):
    return Checkpoints(tmp_path)


@pytest.fixture
def noted(tmp_path, steps):
    """A step of two files."""
    files = [tmp_path / "one", tmp_path / "below" / "two"]
    for path in files:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content")
    steps.note("step", files, FACTS)
    return files


def test_a_step_gives_its_facts(steps, noted):
    assert noted
    assert steps.done("step") == FACTS
    assert steps.done("another") is None


def test_noting_gives_the_facts_as_the_next_start_reads_them(steps):
    told = steps.note("step", [], FACTS)
    assert dump_json(told) == dump_json(FACTS)
    assert list(told) == list(steps.done("step")) == ["a", "rows", "z"]
    assert list(told["a"]) == ["b", "y"]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"Content"),
        lambda path: os.truncate(path, 3),
        lambda path: path.write_bytes(b"content and more"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["changed", "truncated", "longer", "missing", "a folder"],
)
def test_a_step_whose_file_is_not_as_noted_does_not_count(steps, noted, place, change):
    change(noted[place])
    assert steps.done("step") is None


@pytest.mark.parametrize("content", [b"", b'{"files": {', b"[]", b"\xff\xfe", b"null"])
def test_a_damaged_note_does_not_count(tmp_path, steps, noted, content):
    assert noted
    steps.begin({"model": "m"})
    (tmp_path / "steps" / "step.json").write_bytes(content)
    (tmp_path / "steps" / "identity.json").write_bytes(content)
    assert steps.done("step") is None
    assert steps.identity() is None


def test_the_identity_is_kept(tmp_path, steps):
    assert steps.identity() is None
    steps.begin({"model": "模型", "policy": "p"})
    assert Checkpoints(tmp_path).identity() == {"model": "模型", "policy": "p"}


def test_a_step_of_a_file_that_is_not_there_cannot_be_noted(tmp_path, steps):
    with pytest.raises(OutputError, match="absent"):
        steps.note("step", [tmp_path / "absent"], {})
    assert steps.done("step") is None


def test_a_note_holds_no_number_that_json_does_not_know(steps):
    with pytest.raises(ValueError, match="JSON"):
        steps.note("step", [], {"share": float("nan")})
