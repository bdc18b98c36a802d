"""The audit log shows every edit, insertion, removal, reordering and cut."""

import errno
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.errors import AuditError, OutputError
from kyc_ml.registry import AuditLog, Entry
from kyc_ml.registry.governance import log as log_module
from kyc_ml.registry.governance.chain import GENESIS, LogAnchor, check_anchors, read_chain

LENGTH = 6


def chain(length):
    previous, lines = GENESIS, []
    for place in range(1, length + 1):
        entry = Entry(
            sequence=place,
            time=f"2026-11-{place:02d}T00:00:00+00:00",
            kind=("verdict", "sign_off", "promotion")[place % 3],
            actor="李华",
            account="svc",
            model="fraud",
            version=str(place),
            facts={"note": f"n{place}", "share": 0.1 * place},
            previous=previous,
        ).sealed()
        previous = entry.hash
        lines.append(entry.line() + b"\n")
    return lines


LINES = chain(LENGTH)
WHOLE = b"".join(LINES)
ANCHOR = [("MLflow", read_chain(WHOLE).entries[-1].anchor)]


def faults(content, anchors=ANCHOR):
    found = read_chain(content)
    return (*found.faults, *check_anchors(found.entries, anchors))


def test_an_untouched_chain_has_no_fault():
    assert faults(WHOLE) == ()
    assert len(read_chain(WHOLE).entries) == LENGTH
    assert read_chain(b"").head == GENESIS


@settings(max_examples=15 * settings.default.max_examples)
@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_any_changed_byte_is_found_without_an_anchor(place, byte):
    changed = WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :]
    assert bool(faults(changed, anchors=[])) == (changed != WHOLE)


@given(place=st.integers(0, len(WHOLE)), more=st.binary(min_size=1, max_size=4))
def test_any_inserted_bytes_are_found_without_an_anchor(place, more):
    assert faults(WHOLE[:place] + more + WHOLE[place:], anchors=[])


@settings(max_examples=15 * settings.default.max_examples)
@given(first=st.integers(0, len(WHOLE) - 1), size=st.integers(1, 2_000))
def test_any_removed_stretch_is_found_with_the_anchor(first, size):
    assert faults(WHOLE[:first] + WHOLE[first + size :])


@given(order=st.permutations(range(LENGTH)))
def test_any_other_order_of_entries_is_found_without_an_anchor(order):
    moved = b"".join(LINES[place] for place in order)
    assert bool(faults(moved, anchors=[])) == (order != list(range(LENGTH)))


@given(lines=st.lists(st.sampled_from(LINES), max_size=2 * LENGTH))
def test_of_all_selections_only_a_beginning_passes_and_only_the_whole_reaches_the_anchor(lines):
    content = b"".join(lines)
    assert (not faults(content, anchors=[])) == WHOLE.startswith(content)
    assert (not faults(content)) == (content == WHOLE)


@given(
    place=st.integers(0, LENGTH - 1),
    name=st.sampled_from(["actor", "time", "version", "kind", "account", "model"]),
)
def test_an_entry_that_was_edited_and_hashed_again_no_longer_links(place, name):
    content = json.loads(LINES[place])
    content[name] = "refusal" if name == "kind" else "someone else"
    forged = Entry(**content).sealed().line() + b"\n"
    found = faults(b"".join([*LINES[:place], forged, *LINES[place + 1 :]]))
    assert {fault.what for fault in found} == (
        {"rewritten"} if place == LENGTH - 1 else {"unlinked"}
    )


def test_a_chain_written_anew_is_found_by_the_anchor_only():
    previous, lines = GENESIS, []
    for line in LINES:
        entry = Entry(**{**json.loads(line), "actor": "forger", "previous": previous}).sealed()
        previous = entry.hash
        lines.append(entry.line() + b"\n")
    assert faults(b"".join(lines), anchors=[]) == ()
    assert [fault.what for fault in faults(b"".join(lines))] == ["rewritten"]


@pytest.mark.parametrize("kept", range(LENGTH))
def test_a_cut_end_is_found_by_the_anchor_only(kept):
    content = b"".join(LINES[:kept])
    assert faults(content, anchors=[]) == ()
    assert [fault.what for fault in faults(content)] == ["truncated"]


def test_a_half_written_line_is_named_with_the_bytes_that_are_whole():
    cut = WHOLE[:-5]
    (fault,) = read_chain(cut).faults
    assert fault.what == "half_written"
    assert fault.line == LENGTH
    whole = len(WHOLE) - len(LINES[-1])
    assert f" {whole} bytes" in fault.text
    assert read_chain(cut).whole == whole


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[]", b"null", b"\xff", b"{" * 100_000, b'{"facts":NaN}', b'{"facts":"\\ud800"}', b""],
)
def test_what_is_no_entry_is_named_and_never_crashes(line):
    found = read_chain(line + b"\n")
    assert [fault.what for fault in found.faults] == ["unreadable"]


def test_an_anchor_of_an_earlier_moment_holds_for_a_log_that_grew():
    early = [("receipt", read_chain(b"".join(LINES[:2])).entries[-1].anchor)]
    assert faults(WHOLE, anchors=early) == ()
    assert LogAnchor.parse(str(early[0][1])) == early[0][1]


@pytest.mark.parametrize(
    "text", ["", "3", "0:" + "0" * 64, "3:xyz", "-1:" + "0" * 64, "1" * 5_000 + ":" + "0" * 64]
)
def test_what_is_no_anchor_is_none(text):
    assert LogAnchor.parse(text) is None


def write(log, number, anchors=()):
    return log.append(
        "verdict", actor=f"w{number}", model="fraud", version="1", facts={"n": number},
        anchors=anchors,
    )  # fmt: skip


def test_entries_come_back_in_order_and_survive_a_restart(tmp_path):
    log = AuditLog(tmp_path / "deep" / "audit.jsonl")
    assert log.read().entries == ()
    made = [write(log, number) for number in range(3)]
    assert AuditLog(log.path).read().entries == tuple(made)
    assert [entry.previous for entry in made] == [GENESIS, made[0].hash, made[1].hash]
    assert made[0].account == log_module.current_account()
    assert log.path.stat().st_mode & 0o007 == 0


def test_nothing_is_added_to_a_log_that_was_edited(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    write(log, 1)
    edited = log.path.read_bytes().replace(b"w1", b"w2")
    log.path.write_bytes(edited)
    with pytest.raises(AuditError, match=r"line \b1\b"):
        write(log, 2)
    assert log.path.read_bytes() == edited


def test_nothing_is_added_to_a_cut_log_that_an_anchor_knows(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    write(log, 1)
    anchor = write(log, 2).anchor
    log.path.write_bytes(log.path.read_bytes().splitlines(keepends=True)[0])
    assert log.find_faults() == ()
    with pytest.raises(AuditError, match=r"MLflow.*\b2\b.*\b1\b"):
        write(log, 3, anchors=[("MLflow", anchor)])


def test_a_log_that_an_anchor_knows_is_not_begun_anew_elsewhere(tmp_path):
    known = write(AuditLog(tmp_path / "kept.jsonl"), 1).anchor
    elsewhere = AuditLog(tmp_path / "wrong folder" / "audit.jsonl")
    for ask in (elsewhere.require_sound, lambda anchors: write(elsewhere, 2, anchors=anchors)):
        with pytest.raises(AuditError, match=r"--log.*KYC_ML") as told:
            ask([("the registry", known)])
        assert str(elsewhere.path.absolute()) in str(told.value)
    assert not elsewhere.path.parent.exists()
    assert elsewhere.require_sound() == ()  # where nothing is known, there is none yet


def test_a_half_written_line_is_not_repaired_in_silence(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    write(log, 1)
    with log.path.open("ab") as file:
        file.write(b'{"account":"ro')
    before = log.path.read_bytes()
    with pytest.raises(AuditError, match=r"audit\.jsonl"):
        write(log, 2)
    assert log.path.read_bytes() == before


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    log = AuditLog(tmp_path / "audit.jsonl")
    write(log, 1)
    before = log.path.read_bytes()
    real = os.write

    def half(file, line):
        real(file, line[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log_module.os, "write", half)
    with pytest.raises(OutputError, match=os.strerror(errno.ENOSPC)):
        write(log, 2)
    assert log.path.read_bytes() == before


WRITER = """
import sys
from pathlib import Path
from kyc_ml.registry import AuditLog
for number in range(10):
    AuditLog(Path(sys.argv[1])).append(
        "verdict", actor=sys.argv[2], model="fraud", version="1", facts={"n": number}
    )
"""


def test_writers_at_once_wait_for_each_other(tmp_path):
    path = tmp_path / "audit.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"w{number}"])  # noqa: S603
        for number in range(3)
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    entries = AuditLog(path).require_sound()
    assert len(entries) == 30
    assert {entry.actor for entry in entries} == {"w0", "w1", "w2"}
