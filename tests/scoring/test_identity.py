"""A run is all that its result depends on; what differs is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.errors import ConfigError, OutputError
from kyc_ml.scoring.identity import changes, identify_code, identify_file, require_same
from kyc_ml.scoring.manifest import run_id
from kyc_ml.storage import MANIFEST

NAMES = st.sampled_from(["input a.csv", "input b.csv", "model", "policy", "limits"])
IDENTITIES = st.dictionaries(NAMES, st.sampled_from(["1", "2", "f" * 64, "e" * 64]))


@given(before=IDENTITIES, after=IDENTITIES)
def test_each_difference_is_named_and_nothing_else(before, after):
    named = [line.split(": ")[0] for line in changes(before, after)]
    differing = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
    assert named == sorted(differing)
    assert (run_id(before) == run_id(after)) == (before == after)


@given(identity=IDENTITIES)
def test_the_order_of_names_does_not_matter(identity):
    assert run_id(identity) == run_id(dict(reversed(identity.items())))
    require_same(identity, dict(reversed(identity.items())), goal=Path("scores"))


def test_a_change_is_refused_with_both_sides_and_the_cure():
    with pytest.raises(OutputError) as refused:
        require_same({"model": "m 1", "old": "x"}, {"model": "m 2"}, goal=Path("scores"))
    message = str(refused.value)
    assert [line.split(":")[0] for line in message.splitlines()[1:]] == ["  - model", "  - old"]
    assert "--restart" in message


def test_a_digest_is_shortened():
    assert changes({"a": "0" * 64}, {"a": "1" * 64}) == [f"a: {'0' * 12} then, {'1' * 12} now"]


def test_a_folder_is_known_by_its_manifest(tmp_path):
    (tmp_path / MANIFEST).write_text("{}")
    assert identify_file(tmp_path) == identify_file(tmp_path / MANIFEST)
    before = identify_file(tmp_path)
    (tmp_path / MANIFEST).write_text("{ }")
    assert identify_file(tmp_path) != before


def test_what_is_neither_file_nor_run_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigError, match="folder"):
            identify_file(path)


def test_the_code_is_part_of_a_run():
    assert identify_code().keys() == {"code version", "distributions"}
    assert all(identify_code().values())
