"""Corrupt input of the batch job: rows are put aside with a reason, or one error says why.

Never half a result, never a defect's exit code, never a customer's value in a message.
"""

import gzip
import json
import os
import signal
from contextlib import contextmanager

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from kyc_ml.scoring.manifest import read_manifest

SOUND_REFUSED = 2
"""Rows of the sound bank that break the contract already: two amounts below 0."""


class Bank:
    """The files of one test, to be spoilt."""

    def __init__(self, night):
        self.night = night
        self.file = night.data / "transactions.csv"

    def cells(self, column, *values, table="transactions"):
        """Put values into the first rows of a column."""
        path = self.night.data / f"{table}.csv"
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        first = len(frame) // 20
        frame.loc[frame.index[first : first + len(values)], column] = values
        frame.to_csv(path, index=False)

    def bytes(self, change):
        """Change the bytes of the file of payments."""
        self.file.write_bytes(change(self.file.read_bytes()))

    def lines(self, change):
        """Change the lines of the file of payments."""
        self.bytes(lambda content: b"\n".join(change(content.splitlines())) + b"\n")

    def mapping(self, change):
        """Change the source mapping."""
        mapping = yaml.safe_load(self.night.source.read_text())
        change(mapping)
        self.night.source.write_text(yaml.safe_dump(mapping))

    def instead(self, name, kind):
        """Read the payments from another file."""
        self.mapping(
            lambda mapping: mapping["files"].update(transactions={"path": name, "format": kind})
        )
        return self.night.data / name

    def parquet(self, column="CAST(amount AS DOUBLE) AS amount", where="true"):
        """Write the payments as Parquet, with one column computed."""
        path = self.instead("transactions.parquet", "parquet")
        duckdb.sql(
            f"COPY (SELECT * REPLACE ({column}) FROM read_csv('{self.file}', all_varchar=1) "
            f"WHERE {where}) TO '{path}' (FORMAT parquet)"
        )
        return path


def cut(path, share=0.5):
    os.truncate(path, int(path.stat().st_size * share))


def scramble(path):
    content = bytearray(path.read_bytes())
    content[200:2000] = bytes(1800)
    path.write_bytes(content)


def link(bank, target):
    bank.file.unlink()
    bank.file.symlink_to(target)


def outside(bank):
    elsewhere = bank.night.home / "elsewhere.csv"
    bank.file.rename(elsewhere)
    bank.file.symlink_to(elsewhere)


def pipe(bank):
    bank.file.unlink()
    os.mkfifo(bank.file)


def folder(bank):
    bank.file.unlink()
    bank.file.mkdir()


def gz(bank, content):
    bank.instead("transactions.csv.gz", "csv").write_bytes(content(bank.file.read_bytes()))


def records(bank, text):
    frame = pd.read_csv(bank.file, dtype=str, keep_default_na=False)
    lines = [json.dumps(row) for row in frame.to_dict("records")]
    bank.instead("transactions.jsonl", "json").write_text(text(lines))


def database(bank, name):
    path = bank.instead("bank.duckdb", "duckdb")
    bank.mapping(lambda mapping: mapping["files"]["transactions"].update(table=name))
    with duckdb.connect(path) as connection:
        connection.execute(f"CREATE TABLE payments AS FROM read_csv('{bank.file}', all_varchar=1)")
    return path


def column(bank, old, new):
    bank.bytes(lambda content: content.replace(old.encode(), new.encode(), 1))


def mapped(bank, name, sql):
    bank.mapping(lambda mapping: mapping["tables"]["transactions"]["columns"].update({name: sql}))


def repeated(lines):
    return [*lines, *lines[30:33]]


GBK = "N1,C1,2024-04-08,,3,in,柜台".encode("gbk")
AMOUNT = "transactions.amount"
TIME = "transactions.event_time"

# what is spoilt, how, how many rows are put aside for it, and why
QUARANTINED = {
    "an amount is a word": (lambda b: b.cells("amount", "plenty", "12,5", "1 000"), 3,
                            f"{AMOUNT}: not a number"),
    "an amount is NaN": (lambda b: b.cells("amount", "NaN", "nan"), 2, f"{AMOUNT}: not finite"),
    "an amount is infinite": (lambda b: b.cells("amount", "-Infinity", "inf"), 2,
                              f"{AMOUNT}: not finite"),
    "an amount beyond any number": (lambda b: b.cells("amount", "1e400"), 1, AMOUNT),
    "an amount in hexadecimal": (lambda b: b.cells("amount", "0xZZ"), 1,
                                 f"{AMOUNT}: not a number"),
    "amounts below zero": (lambda b: b.cells("amount", "-0.01", "-1e308"), 2,
                           f"{AMOUNT}: below 0"),
    "the year 1": (lambda b: b.cells("event_time", "0001-01-01"), 1,
                   f"{TIME}: outside the years 1900 to 2199"),
    "the year 9999": (lambda b: b.cells("event_time", "9999-12-31 23:59:59"), 1,
                      f"{TIME}: outside the years 1900 to 2199"),
    "a day that does not exist": (lambda b: b.cells("event_time", "2024-02-30"), 1,
                                  f"{TIME}: not a timestamp"),
    "an hour that does not exist": (lambda b: b.cells("event_time", "2024-02-03 25:61"), 1,
                                    f"{TIME}: not a timestamp"),
    "a zone that does not exist": (lambda b: b.cells("event_time", "2024-01-03 10:00 Mars/Base"),
                                   1, f"{TIME}: not a timestamp"),
    "a clock set back": (lambda b: b.cells("known_at", "2023-12-31", "2023-12-31"), 2,
                         "transactions.known_at: before event_time"),
    "a payment dated after it was known": (lambda b: b.cells("event_time", "2031-01-01"), 1,
                                           "transactions.known_at: before event_time"),
    "seconds since 1970": (lambda b: b.cells("event_time", "1706745600"), 1,
                           f"{TIME}: not a timestamp"),
    "an unknown direction": (lambda b: b.cells("direction", "sideways", "'; DROP TABLE x"), 2,
                             "transactions.direction: not one of"),
    "no identifier": (lambda b: b.cells("transaction_id", "", "   "), 2,
                      "transactions.transaction_id: empty"),
    "no customer": (lambda b: b.cells("customer_id", "", " "), 2,
                    "transactions.customer_id: empty"),
    "rows sent twice": (lambda b: b.lines(repeated), 3, "duplicate key"),
    "one identifier, two payments": (
        lambda b: b.cells("transaction_id", "SECRETTX0001", "SECRETTX0002"), 2, "duplicate key"),
    "a line cut in the middle": (lambda b: b.bytes(lambda content: content[:-20]), 1,
                                 "malformed line"),
    "a line with a field too many": (
        lambda b: b.lines(lambda lines: [*lines, lines[30] + b",SECRETTX"]), 1, "malformed line"),
    "a line in another encoding": (
        lambda b: b.lines(lambda lines: [*lines, GBK]),
        1, "not text of the file's encoding"),
    "a line of ten million characters": (
        lambda b: b.lines(lambda lines: [*lines, lines[30] + b"SECRETTX" * 1_250_000]), 1,
        "malformed line"),
    "a Parquet file without a key in two rows": (
        lambda b: b.parquet("nullif(nullif(transaction_id, 'SECRETTX0100'), 'SECRETTX0300') "
            "AS transaction_id"), 2,
        "transactions.transaction_id: empty"),
    "a report whose value is a word": (
        lambda b: b.cells("value", "plenty", table="third_party"), 1,
        "value: not a number"),
}  # fmt: skip

# what is spoilt, and how, of which nothing is wrong
ACCEPTED = {
    "a byte-order mark": lambda b: b.bytes(lambda content: b"\xef\xbb\xbf" + content),
    "Windows line ends": lambda b: b.bytes(lambda content: content.replace(b"\n", b"\r\n")),
    "no line end at the end": lambda b: b.bytes(lambda content: content.rstrip(b"\n")),
    "a column too many": lambda b: b.lines(
        lambda lines: [line + (b",more" if n else b',"a""; DROP TABLE x; --"')
                       for n, line in enumerate(lines)]),
    "SQL in a value": lambda b: b.cells("channel", "'); DROP TABLE transactions; --", '" OR 1=1'),
    "an enormous word": lambda b: b.cells("channel", "SECRETTX" * 20_000),
    "a quoted line break": lambda b: b.cells("channel", "two\nlines"),
    "a zero byte in a word": lambda b: b.cells("channel", "a\0b"),
    "a compressed file": lambda b: gz(b, gzip.compress),
    "a file that only says it is compressed": lambda b: gz(b, bytes),
    "the whole file in UTF-16": lambda b: b.bytes(
        lambda content: content.decode().encode("utf-16")),
}  # fmt: skip

# what is spoilt, how, the exit code, and what the message says
REFUSED = {
    "no row at all": (lambda b: b.lines(lambda lines: lines[:1]), 2, "0 rows, at least 1"),
    "nothing but a line end": (lambda b: b.bytes(lambda _: b"\n"), 2, "'transactions.csv'"),
    "zero bytes all through": (lambda b: b.bytes(lambda content: bytes(len(content))), 2,
                               "transactions"),
    "another delimiter": (lambda b: b.bytes(lambda content: content.replace(b",", b"|")), 2,
                          "set delimiter: '|'"),
    "a column missing": (lambda b: column(b, "amount", "amt"), 2, "names 'amount'"),
    "a column under another's name": (lambda b: column(b, "channel", "amount"), 2, "'channel'"),
    "SQL in a column name": (
        lambda b: column(b, "amount", '"amount""; DROP TABLE transactions; --"'), 2,
        "names 'amount'"),
    "SQL in the mapping": (lambda b: mapped(b, "amount", "1); DROP TABLE x; --"), 2, "amount"),
    "a mapping that reads another file": (
        lambda b: mapped(b, "amount", "(SELECT count(*) FROM read_text('/etc/passwd'))"), 2,
        "amount"),
    "the whole file in UTF-16 without a mark": (
        lambda b: b.bytes(lambda content: content.decode().encode("utf-16-le")), 2,
        "encoding: utf-16-le"),
    "every amount below zero": (lambda b: mapped(b, "amount", "-CAST(amount AS DOUBLE)"), 1,
                                "below 0"),
    "a third of the rows sent twice": (
        lambda b: b.lines(lambda lines: [*lines, *lines[1:200]]), 1, "duplicate key"),
    "a compressed file that was cut": (
        lambda b: gz(b, lambda content: gzip.compress(content)[:-2000]), 5, "transactions.csv.gz"),
    "a Parquet file that was cut": (lambda b: cut(b.parquet()), 5, "truncated, corrupt"),
    "a Parquet file with a page overwritten": (lambda b: scramble(b.parquet()), 2, "transactions"),
    "a CSV file called Parquet": (
        lambda b: b.instead("transactions.parquet", "parquet").write_bytes(b.file.read_bytes()), 2,
        "truncated, corrupt or no Parquet file"),
    "a Parquet file without a row": (lambda b: b.parquet(where="false"), 2,
                                     "0 rows, at least 1"),
    "times that are numbers": (
        lambda b: b.parquet("length(event_time) AS event_time"), 2,
        "not a timestamp"),
    "identifiers that went through a float": (
        lambda b: b.parquet("CAST(amount AS DOUBLE) AS transaction_id"), 2,
        "held as a float loses digits"),
    "an amount that is a list": (
        lambda b: b.parquet("[1.0] AS amount"), 2,
        "which is not a number"),
    "records that break off": (lambda b: records(b, lambda lines: "\n".join(lines)[:-30]), 2,
                               "malformed JSON"),
    "records that are lists": (lambda b: records(b, lambda lines: "[1]\n" * len(lines)), 2,
                               "transactions"),
    "a database without the table": (lambda b: database(b, "paymnts"), 2,
                                     "did you mean 'payments'?"),
    "a database that was cut": (lambda b: cut(database(b, "payments")), 2, "bank.duckdb"),
    "a folder instead of a file": (folder, 2, "transactions.csv"),
    "a pipe instead of a file": (pipe, 2, "transactions.csv"),
    "a link out of the folder": (outside, 2, "transactions.csv"),
    "a link to nothing": (lambda b: link(b, "nothing.csv"), 2, "transactions.csv"),
    "a link to itself": (lambda b: link(b, "transactions.csv"), 2, "transactions.csv"),
    "a mapping that is no mapping": (lambda b: b.night.source.write_text("- 1"), 2, "source.yaml"),
    "a mapping of zero bytes": (lambda b: b.night.source.write_bytes(b"\0" * 40), 2, "source.yaml"),
    "limits that are no numbers": (
        lambda b: b.night.limits.write_text("quarantined_share: plenty\n"), 2, "quarantined_share"),
    "no customers": (lambda b: (b.night.data / "customers.csv").write_text(
        "customer_id,event_time,customer_type\n"), 1, "empty: customers"),
    "nothing in the period": (lambda b: b.lines(lambda lines: lines[:100]), 2,
                              "no transaction became known"),
}  # fmt: skip


@contextmanager
def soon(seconds=60):
    """Fail, instead of waiting for ever."""

    def late(*_):
        pytest.fail(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def bank(night, tmp_path):
    return Bank(night.copy(tmp_path / "mine"))


@pytest.fixture
def score(place, tmp_path):
    """Run the command; give its outcome, which is no defect and tells no value."""

    def run(night):
        with soon():
            outcome = place.run(
                "score", "--model", night.model, "--source", night.source, "--data", night.data,
                "--out", tmp_path / "scores", "--since", "2024-03-01", "--limits", night.limits,
                home=tmp_path,
            )  # fmt: skip
        said = outcome.out + outcome.err
        assert outcome.crash is None, repr(outcome.crash)
        assert outcome.code in {0, 1, 2, 5}, said  # 5: it may still be copied
        assert "Traceback" not in said
        assert "SECRET" not in said
        return outcome

    return run


def account(out, *, refused):
    """Hold the counts of a published run against its files; give the reasons."""
    manifest = read_manifest(out)
    scored = pd.read_parquet(out / "scores")
    assert len(scored) == manifest.observations == manifest.counts.rows > 0
    assert scored["observation_id"].is_unique
    for table in manifest.quality.tables:
        assert table.read == table.accepted + table.quarantined
    aside = pq.read_table(out / "quarantine").to_pylist()
    assert len(aside) == manifest.quarantined == SOUND_REFUSED + refused
    return [reason for row in aside for reason in row["reasons"]]


@pytest.mark.parametrize("case", QUARANTINED)
def test_rows_are_put_aside_with_a_reason(bank, score, tmp_path, case):
    spoil, refused, reason = QUARANTINED[case]
    spoil(bank)
    outcome = score(bank.night)
    assert outcome.code == 0, outcome.err
    reasons = account(tmp_path / "scores", refused=refused)
    near = [each for each in reasons if reason.removeprefix("transactions.") in each]
    assert len(near) >= refused, reasons


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_is_unusual_but_sound_costs_no_row(bank, score, tmp_path, case):
    ACCEPTED[case](bank)
    outcome = score(bank.night)
    assert outcome.code == 0, outcome.err
    account(tmp_path / "scores", refused=0)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_one_clear_error(bank, score, tmp_path, case):
    spoil, code, said = REFUSED[case]
    spoil(bank)
    outcome = score(bank.night)
    assert outcome.code == code, outcome.err
    assert said in outcome.err
    assert outcome.err.count("error: ") == 1
    left = {path.name for path in tmp_path.iterdir()} - {"mine"}
    assert left == ({"scores.failed"} if code == 1 else set())


def test_there_are_cases_enough():
    assert len({**QUARANTINED, **ACCEPTED, **REFUSED}) >= 60
