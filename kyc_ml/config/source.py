"""How a user's files become contracted tables."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from kyc_ml.config.section import Section


class FileSource(Section):
    """One file, or one pattern of files, that a mapping expects in the data folder.

    CSV and JSON columns arrive as text: an expression that computes with one casts it first.
    What the first bytes of a file say for certain (how it is packed, a byte-order mark) is
    used; nothing else about it is guessed.
    """

    path: str
    """Relative to the data folder; `*` stands for any text, for many files of one kind, and `**`
    for folders at any depth."""
    format: Literal["csv", "parquet", "json", "duckdb"]
    """How it is written."""
    encoding: str | None = None
    """Of the text of a csv or json file, such as gb18030, utf-16 or cp1252; null: UTF-8, or what a
    byte-order mark says."""
    delimiter: str = ","
    """Between the columns of a csv file, 1 to 4 bytes."""
    quote: str = '"'
    """Around values of a csv file that hold a delimiter or a line break; empty text for none."""
    escape: str | None = None
    """Before a quote inside a quoted value of a csv file, such as a backslash; null: one more
    quote."""
    skip: int = Field(default=0, ge=0)
    """Lines at the top of a csv file that are no part of its table, such as a title."""
    header: bool = True
    """Whether the first line of a csv file (after those skipped) names its columns."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of a csv file without a header; there and only there."""
    nulls: tuple[str, ...] = ()
    """Words of a csv or json file that mean missing where they are the whole value, such as
    'NULL'."""
    partitions: bool = False
    """Whether folders named `key=value`, as Hive and Spark write them, are columns of text."""
    table: str | None = None
    """Table inside a duckdb file; there and only there."""

    @field_validator("nulls", mode="before")
    @classmethod
    def _nulls_are_words(cls, words: object) -> object:
        if isinstance(words, list | tuple) and None in words:
            msg = "the bare word null is YAML's own: write 'NULL', 'null' or '~' in quotes"
            raise ValueError(msg)
        return words

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        faults = [*self._misplaced(), *self._unusable()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _misplaced(self) -> Iterator[str]:
        """Name the keys that do not fit the format, or each other."""
        for key, formats in _FORMATS_OF.items():
            given = getattr(self, key) != type(self).model_fields[key].default
            if given and self.format not in formats:
                yield f"`{key}` is a key of {' and '.join(formats)} files, not of {self.format}"
        if (self.format == "duckdb") != (self.table is not None):
            yield "`table` names the table inside a duckdb file: give it there and only there"
        if self.format == "csv" and self.header != (self.columns is None):
            yield (
                "`columns` names the columns of a csv file without a header: give it together "
                "with header: false, and only then"
            )

    def _unusable(self) -> Iterator[str]:
        """Name the keys by whose values no file can be read."""
        if self.encoding is not None and not is_text_encoding(self.encoding):
            yield f"`encoding` {self.encoding!r} is none: write one such as gb18030 or utf-16"
        if not 1 <= len(self.delimiter.encode()) <= _LONGEST_DELIMITER:
            yield f"`delimiter` must have 1 to {_LONGEST_DELIMITER} bytes, got {self.delimiter!r}"
        if "\\" in self.delimiter:
            yield f'`delimiter` {self.delimiter!r}: write a tab as "\\t", in double quotes'
        signs = {"delimiter": self.delimiter, "quote": self.quote, "escape": self.escape or ""}
        for key, sign in signs.items():
            if set(sign) & {"\n", "\r", "\0"}:
                yield f"`{key}` must not hold a line break or a zero"
            if key != "delimiter" and len(sign.encode()) > 1:
                yield f"`{key}` must be one ASCII character, got {sign!r}"
            if key != "delimiter" and sign and sign in self.delimiter:
                yield f"`{key}` and `delimiter` must differ, got {sign!r} in both"
        if self.escape and not self.quote:
            yield "`escape` stands before a quote: give it together with `quote`"
        names = [name.casefold() for name in self.columns or ()]
        if len(set(names)) < len(names) or "" in names:
            yield "`columns` must name every column, no two alike but for capitals"


_FORMATS_OF: Final = {
    **dict.fromkeys(("encoding", "nulls"), ("csv", "json")),
    **dict.fromkeys(("delimiter", "quote", "escape", "skip", "header", "columns"), ("csv",)),
    "partitions": ("csv", "json", "parquet"),
}
"""Formats of a file for which a key of `FileSource` means something."""
_LONGEST_DELIMITER: Final = 4
"""DuckDB takes no more bytes."""
_NO_ENCODINGS: Final = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}
"""Codecs of Python that write text, but in which nobody keeps a file."""


def is_text_encoding(name: str) -> bool:
    """Tell whether Python knows an encoding of text by this name.

    Examples
    --------
    >>> is_text_encoding("GB18030"), is_text_encoding("rot13"), is_text_encoding("ansi")
    (True, False, False)
    """
    try:
        "a".encode(name)
        return codecs.lookup(name).name.replace("-", "_") not in _NO_ENCODINGS
    except (LookupError, UnicodeError, ValueError):  # ValueError: a zero in the name
        return False


class TableMapping(Section):
    """One contracted table: rows `from` (SQL) `where` (SQL), an expression a column."""

    from_: str = Field(alias="from")
    """A name under `files`, or SQL over those names that stands after FROM, such as a join."""
    where: str | None = None
    """SQL that a row must satisfy to be read; null reads all."""
    columns: dict[str, str] = Field(min_length=1)
    """One SQL expression for each contracted column."""


class SourceMapping(Section):
    """How a user's files become contracted tables."""

    name: str
    """Name of the source; part of records, quarantine files and reports."""
    description: str = ""
    """For people."""
    timezone: str = "UTC"
    """Zone of timestamps that carry none, and of the hours a customer lives by."""
    base_currency: str
    """ISO 4217 code of the currency that amounts are in."""
    max_quarantined_share: float = Field(default=0.001, ge=0.0, le=1.0)
    """Share of a table's rows that may be quarantined before reading fails."""
    files: dict[str, FileSource] = Field(min_length=1)
    """Files by a name of your own, which `from` uses."""
    tables: dict[str, TableMapping] = Field(min_length=1)
    """Contracted tables by their names, such as transactions."""
