"""A broken extract under the default limits of `extract`: nothing is published, and why is said."""

import os
import shutil
from dataclasses import replace

import duckdb
import pytest
import yaml

from kyc_ml.scoring.manifest import read_manifest

pytestmark = pytest.mark.usefixtures("in_store")

LAST = "event_time >= TIMESTAMPTZ '2024-06-25 00:00:00+00'"
UNLIKE = {
    # the small model learned from another bank: these limits would name that
    "unknown_categories_share": 1.0,
    "drift": {"score": None, "features_drifted": None},
}


@pytest.fixture
def bank(night, extract, tmp_path):
    """Give the night's model the calm bank, with a control file."""
    data = tmp_path / "data"
    shutil.copytree(extract, data)
    names = sorted(path.stem for path in data.glob("*.parquet"))
    columns = {name: duckdb.sql(f"FROM '{data / name}.parquet' LIMIT 0").columns for name in names}
    mapping = {
        "name": "calm",
        "base_currency": "CNY",
        "files": {name: {"path": f"{name}.parquet", "format": "parquet"} for name in names},
        "tables": {
            name: {"from": name, "columns": {each: each for each in columns[name]}}
            for name in names
        },
    }
    source, limits = tmp_path / "source.yaml", tmp_path / "limits.yaml"
    source.write_text(yaml.safe_dump(mapping))
    limits.write_text(yaml.safe_dump(UNLIKE))
    return replace(night, data=data, source=source, limits=limits)


@pytest.fixture
def score(place, bank, tmp_path):
    """Score a night by the command line; give its exit code and what it said."""

    def run(day="2024-06-26", *options, out="scores"):
        done = place.run(
            "score", "--model", bank.model, "--source", bank.source, "--data", bank.data,
            "--out", tmp_path / out, "--as-of", day, "--limits", bank.limits, *options,
            home=tmp_path,
        )  # fmt: skip
        assert done.crash is None, repr(done.crash)
        return done.code, done.err

    return run


def write(bank, table, sql):
    path = bank.data / f"{table}.parquet"
    aside = path.with_suffix(".old")
    path.rename(aside)
    duckdb.sql(f"COPY ({sql.format(t=aside)}) TO '{path}' (FORMAT parquet)")
    aside.unlink()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


HALF = f"SELECT * FROM read_parquet('{{t}}') WHERE NOT {LAST} OR hash(transaction_id) % 2 = 0"
FEN = "SELECT * REPLACE (amount * 100 AS amount) FROM read_parquet('{t}')"
OLD = "FROM read_parquet('{t}') WHERE event_time < TIMESTAMPTZ '2024-05-26 00:00:00+00'"
BROKEN = {
    "half of the day": (lambda b: write(b, "transactions", HALF), 1, "arrivals: transactions: "),
    "no event": (lambda b: write(b, "events", "FROM read_parquet('{t}') LIMIT 0"), 1,
                 "empty: events: "),
    "events of last month": (lambda b: write(b, "events", OLD), 5, "stale: events: "),
    "amounts in fen": (lambda b: write(b, "transactions", FEN), 1,
                       "magnitude: transactions: amount: "),
    "a changed byte": (lambda b: flip(b.data / "transactions.parquet"), 2,
                       "'transactions.parquet'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_extract_is_never_published(bank, score, tmp_path, case):
    assert score("2024-06-25", out="before")[0] == 0
    spoil, code, said = BROKEN[case]
    spoil(bank)
    for fallback in ((), ("--fallback", "rating", "--config", bank.fallback)):
        done = score("2024-06-26", "--previous", tmp_path / "before", "--restart", *fallback)
        assert done[0] == code, done[1]
        assert said in done[1]
        assert not (tmp_path / "scores").exists()
    if code == 1:
        faults = read_manifest(tmp_path / "scores.failed").faults
        assert any(fault.startswith(said) for fault in faults)


def test_honest_nights_are_published_and_say_what_they_read(bank, score, tmp_path):
    for day in ("2024-06-24", "2024-06-26"):
        assert score(day, out=day)[0] == 0
    read = read_manifest(tmp_path / "2024-06-26").extract
    rows = duckdb.sql(f"SELECT count(*) FROM '{bank.data}/transactions.parquet'").fetchall()[0][0]
    assert read["transactions"].rows == rows
    assert sum(read["transactions"].arrivals) <= rows
    assert set(read) == {"transactions", "events", "third_party", "customers"}


def test_a_delivery_is_compared_with_its_control_file(bank, score, tmp_path):
    mapping = yaml.safe_load(bank.source.read_text())
    mapping["control"] = {"path": "_CONTROL.yaml"}
    bank.source.write_text(yaml.safe_dump(mapping))
    control = bank.data / "_CONTROL.yaml"
    stated = {name: {"business_date": "2024-06-25"} for name in mapping["files"]}
    assert score()[0] == 5  # the sender writes it last
    control.write_text(yaml.safe_dump({**stated, "events": {"business_date": "2024-06-24"}}))
    code, said = score()
    assert (code, "business_date: events: 2024-06-24" in said) == (5, True)
    control.write_text(yaml.safe_dump({**stated, "events": {"rows": 1}}))
    long_ago = 1_700_000_000
    for path in bank.data.iterdir():
        os.utime(path, (long_ago, long_ago))
    code, said = score()
    assert (code, "_CONTROL.yaml" in said) == (2, True)
    control.write_text(yaml.safe_dump(stated))
    assert score()[0] == 0


def test_a_table_that_does_not_exist_has_no_limits(bank, score):
    bank.limits.write_text(yaml.safe_dump({"tables": {"trades": {"arrivals": 0.5}}}))
    code, said = score()
    assert (code, "trades" in said) == (2, True)
