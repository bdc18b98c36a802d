"""Whatever columns a source lacks and however its files are spoilt, no command is a defect."""

import bz2
import gzip
import shutil

import pytest
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from kyc_ml.contract import CONTRACT

DEFECT = 3


def in_lines(change):
    """Spoil a file's lines, whatever ends them."""

    def spoil(content):
        return b"\n".join(change(content.splitlines())) + b"\n"

    return spoil


def padded(line):
    return b" " + line.replace(b",", b" ,")


HARMLESS = {
    "packed": gzip.compress,
    "packed twice": lambda content: bz2.compress(gzip.compress(content)),
    "a byte-order mark": lambda content: b"\xef\xbb\xbf" + content,
    "another encoding": lambda content: content.decode("latin-1").encode("utf-16"),
    "carriage returns": lambda content: content.replace(b"\r", b"").replace(b"\n", b"\r"),
    "blank lines": lambda content: content + b"\n\n\n",
    "a line for Excel": lambda content: b"sep=,\r\n" + content,
    "no last line end": lambda content: content.rstrip(b"\r\n"),
    "a line cut off": lambda content: content[:-9],
    "a line twice": in_lines(lambda lines: [*lines, lines[-1]]),
    "other order": in_lines(lambda lines: [lines[0], *lines[:0:-1]]),
    "a column more": in_lines(lambda lines: [line + b",x" for line in lines]),
    "padded values": in_lines(lambda lines: [lines[0], *map(padded, lines[1:])]),
    "words for nothing": in_lines(
        lambda lines: [lines[0], *(line.replace(b",1", b",NULL", 1) for line in lines[1:])]
    ),
    "a clock that is wrong": lambda content: content.replace(b"98", b"34", 1),
    "a title": lambda content: b"exported\n" + content,
    "nothing but a header": in_lines(lambda lines: lines[:1]),
    "nothing": lambda _: b"",
}


def optional(mapping):
    """List what a mapping may leave out, as table and column."""
    return [
        (name, column)
        for name, table in mapping["tables"].items()
        for column in table["columns"]
        if not CONTRACT[name].column(column).required
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["amlsim", "berka"])
@settings(max_examples=settings.default.max_examples // 2)
@given(draw=st.data())
def test_no_command_ends_as_a_defect(forms, kyc, tmp_path_factory, name, draw):
    form, home = forms[name], tmp_path_factory.mktemp("spoilt")
    data = home / "data"
    shutil.copytree(form.data, data)
    names = sorted(path.name for path in data.iterdir())
    mapping = yaml.safe_load(form.source.read_text(encoding="utf-8"))
    for table, column in draw.draw(st.sets(st.sampled_from(optional(mapping)), max_size=4)):
        del mapping["tables"][table]["columns"][column]
    ways = st.tuples(st.sampled_from(names), st.sampled_from(sorted(HARMLESS)))
    for file, way in draw.draw(st.lists(ways, max_size=2)):
        (data / file).write_bytes(HARMLESS[way]((data / file).read_bytes()))
    source = home / "source.yaml"
    source.write_text(yaml.safe_dump(mapping), encoding="utf-8")
    limits = home / "limits.yaml"
    limits.write_text(
        yaml.safe_dump({"stale_hours": None, "drift": {"score": None, "features_drifted": None}})
    )
    read, until = ("--source", source, "--data", data), ("--as-of", form.as_of)
    model = home / "bundle"
    commands = [
        ("check", *read),
        ("init", "--data", data, "--timezone", "UTC", "--currency", "CZK", "--out", home / "mine"),
        ("train", "--config", form.config, *read, *until, "--keep", model),
        ("explain", form.observation, "--model", model, *read),
        ("score", "--model", model, *read, "--limits", limits, "--out", home / "scores"),
        ("tiers", "fit", model, *read, *until),
    ]
    for command in commands:
        code, said = kyc(*command)
        assert code != DEFECT, (command[0], said)
        event(f"{command[0]}: {code}")
        if command[0] == "train" and code:
            break
