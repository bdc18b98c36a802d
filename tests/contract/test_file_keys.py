"""The keys of a file: those that do not fit it, or each other, are all refused at once."""

import pytest
import yaml

from kyc_ml.config import FileSource, check_section
from kyc_ml.errors import ConfigError


def told_of(text):
    with pytest.raises(ConfigError) as told:
        check_section(yaml.safe_load(f"{{path: x, {text}}}"), FileSource, subject="it")
    return str(told.value)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("format: csv, header: false", ["`columns`"]),
        ("format: csv, columns: [a]", ["header: false"]),
        ("format: csv, header: false, columns: [a, A]", ["no two alike"]),
        ("format: csv, header: false, columns: [a, '']", ["no two alike"]),
        ("format: csv, encoding: ansi", ["`encoding` 'ansi'"]),
        ("format: csv, encoding: rot13", ["`encoding` 'rot13'"]),
        ("format: csv, encoding: punycode", ["`encoding` 'punycode'"]),
        ("format: csv, nulls: [NULL]", ["'NULL'"]),
        (r"format: csv, delimiter: '\t'", [r'"\t"']),
        ("format: csv, delimiter: ''", ["1 to 4 bytes"]),
        ("format: csv, delimiter: '|||||'", ["1 to 4 bytes"]),
        ('format: csv, delimiter: "\\n"', ["line break"]),
        ("format: csv, quote: ab", ["one ASCII character"]),
        ("format: csv, quote: '’'", ["one ASCII character"]),
        ("format: csv, quote: ','", ["must differ"]),
        ("format: csv, quote: '', escape: '!'", ["together with `quote`"]),
        ("format: csv, skip: -1", ["at least 0"]),
        (
            "format: parquet, encoding: gbk, delimiter: ';', skip: 1, nulls: [x], quote: ''",
            ["`encoding`", "`delimiter`", "`skip`", "`nulls`", "`quote`", "not of parquet"],
        ),
        ('format: json, quote: "\'"', ["`quote` is a key of csv"]),
        ("format: duckdb, table: t, partitions: true", ["`partitions`"]),
    ],
)
def test_keys_that_cannot_be_meant_are_refused_together(keys, expected):
    told = told_of(keys)
    for part in expected:
        assert part in told


@pytest.mark.parametrize(
    "keys",
    [
        r"format: csv, encoding: gb18030, delimiter: '|@|', escape: '\'",
        r"format: csv, header: false, columns: [a, b], skip: 1, nulls: ['NULL', '\N', '']",
        "format: csv, quote: '', partitions: true",
        "format: json, encoding: utf-16, nulls: ['null']",
        "format: parquet, partitions: true",
        "format: parquet, delimiter: ',', header: true",
    ],
)
def test_keys_that_fit_are_taken(keys):
    check_section(yaml.safe_load(f"{{path: x, {keys}}}"), FileSource, subject="it")
