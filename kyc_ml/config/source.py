"""Mapping of a user's files to the tables of the contract."""

import codecs
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from kyc_ml.config.attributes import (
    MappedAttribute,
    TableAttribute,
    attribute_column,
    attribute_faults,
)
from kyc_ml.config.identifiers import IdentifierForm
from kyc_ml.config.section import Day, Section, Words


class FileSource(Section):
    """One file, or one pattern of files, that a mapping expects in the data folder.

    CSV and JSON columns arrive as text: an expression that computes with one casts it first.
    What the first bytes of a file say for certain (how it is packed, a byte-order mark) is
    used; nothing else about it is guessed.
    """

    path: str
    """Relative to the data folder; `*` matches any text, for many files of one kind, and `**`
    for folders at any depth."""
    format: Literal["csv", "parquet", "json", "duckdb", "catalogue"]
    """Format of the file; `catalogue`: `path` is a table's name in the catalogue of Spark, such as
    bank.core.payments, which Spark alone reads."""
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
    """Lines at the top of a csv file that are not part of its table, such as a title."""
    header: bool = True
    """Whether the first line of a csv file (after those skipped) names its columns."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of a csv file without a header; there and only there."""
    nulls: Words = ()
    """Words of a csv or json file that mean missing where they are the whole value, such as
    'NULL'."""
    partitions: bool = False
    """Whether folders named `key=value`, as Hive and Spark write them, are columns of text."""
    table: str | None = None
    """Table inside a duckdb file; there and only there."""
    marker: str | None = Field(default=None, exclude_if=lambda marker: marker is None)
    """File that the sender writes last, such as tx/_SUCCESS, relative to the data folder: without
    it the files are not complete, and a job ends with exit code 5."""

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        faults = [*self._misplaced(), *self._unusable()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _misplaced(self) -> Iterator[str]:
        """List the keys that do not fit the format, or each other."""
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
        """List the keys whose values prevent reading a file."""
        if self.encoding is not None and not is_text_encoding(self.encoding):
            yield f"`encoding` {self.encoding!r} is unknown: write one such as gb18030 or utf-16"
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
            yield "`escape` precedes a quote: give it together with `quote`"
        names = [name.casefold() for name in self.columns or ()]
        if len(set(names)) < len(names) or "" in names:
            yield "`columns` must name every column, no two alike but for capitals"


class ControlFile(Section):
    """A file in which the sender states what each of the files holds.

    CSV with the columns name, rows, sha256, amount and business_date, or YAML or JSON with these
    keys below each name. A name is one of `files`, and every one of them must be stated; what a
    name leaves out is not compared.
    """

    path: str
    """Relative to the data folder; .csv, .yaml, .yml or .json."""
    amounts: dict[str, str] = Field(default_factory=dict)
    """For a name of `files`, the SQL expression whose sum `amount` states."""


class ControlEntry(Section):
    """What the sender states of one of the files."""

    rows: int | None = Field(default=None, ge=0)
    """Rows of all files of the name, before `where`."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")
    """Digest of the file, as it was sent; for a name of one file."""
    amount: Decimal | None = Field(default=None, max_digits=38, decimal_places=6)
    """Sum of the expression under `amounts`, in as many decimals as are written."""
    business_date: Day | None = None
    """Last day that the rows are of."""


class ControlTotals(Section):
    """The content of a control file."""

    files: dict[str, ControlEntry] = Field(min_length=1)
    """Entries by names under `files` of the mapping."""


_FORMATS_OF: Final = {
    **dict.fromkeys(("encoding", "nulls"), ("csv", "json")),
    **dict.fromkeys(("delimiter", "quote", "escape", "skip", "header", "columns"), ("csv",)),
    "partitions": ("csv", "json", "parquet"),
}
"""Formats of a file for which a key of `FileSource` means something."""
_LONGEST_DELIMITER: Final = 4
"""DuckDB takes no more bytes."""
_NO_ENCODINGS: Final = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}
"""Codecs of Python that write text, but that are not encodings of files."""


def is_text_encoding(name: str) -> bool:
    """Return whether Python knows an encoding of text by this name.

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
    """A name under `files`, or SQL over those names that follows FROM, such as a join."""
    where: str | None = None
    """SQL that a row must satisfy to be read; null reads all."""
    columns: dict[str, str] = Field(min_length=1)
    """One SQL expression for each contracted column."""
    attributes: dict[str, MappedAttribute] = Field(
        default_factory=dict, exclude_if=lambda declared: not declared
    )
    """Additional columns under names that you choose, for customers, accounts, transactions and
    reviews: the feature family `attributes` reads them."""
    optional: bool = Field(default=False, exclude_if=lambda optional: not optional)
    """Leave the table out, with a warning, where its files lack a column that it reads: rows to
    score have no outcome yet."""

    @property
    def expressions(self) -> dict[str, str]:
        """The SQL of every column: those of the contract, then the attributes'."""
        own = {attribute_column(name): each.sql for name, each in self.attributes.items()}
        return {**self.columns, **own}


class SourceMapping(Section):
    """Mapping of a user's files to the tables of the contract."""

    name: str
    """Name of the source; part of records, quarantine files and reports."""
    description: str = ""
    """Description for readers."""
    timezone: str = "UTC"
    """Time zone of timestamps without one, and of the customers' local hours."""
    base_currency: str
    """ISO 4217 code of the currency that amounts are in."""
    max_quarantined_share: float = Field(default=0.001, ge=0.0, le=1.0)
    """Share of a table's rows that may be quarantined before reading fails."""
    identifiers: IdentifierForm = Field(
        default=IdentifierForm(), exclude_if=lambda form: form == IdentifierForm()
    )
    max_orphan_share: float = Field(
        default=0.2, ge=0.0, le=1.0, exclude_if=lambda share: share == 0.2
    )
    """Share of the cases that may name a customer, a transaction or a review that no other
    table has: such labels are lost. 0.2 is a convention."""
    fastest_case_hours: float = Field(
        default=1.0, ge=0.0, exclude_if=lambda hours: hours == 1.0, allow_inf_nan=False
    )
    """Hours that the bank needs at least to confirm an outcome. A warning counts adverse cases that
    are known sooner, if they are at least 10 and 5 %; 1 is a convention, 0 asks for none."""
    earliest: Day | None = Field(default=None, exclude_if=lambda day: day is None)
    """First day of transactions, events, third-party reports and cases; null takes all. Rows
    before it are quarantined."""
    latest: Day | None = Field(default=None, exclude_if=lambda day: day is None)
    """Last day of them, and of their known_at; rows after it are quarantined."""
    files: dict[str, FileSource] = Field(min_length=1)
    """Files by names that you choose, which `from` uses."""
    tables: dict[str, TableMapping] = Field(min_length=1)
    """Contracted tables by their names, such as transactions."""
    control: ControlFile | None = Field(default=None, exclude_if=lambda control: control is None)
    snapshot: Day | None = Field(default=None, exclude_if=lambda day: day is None)
    """Day at whose end the rows of `customers` were true, where they carry no date. Each customer
    is then reviewed once, when that day ends; `cases` need `customer_id` and `outcome` only, and
    count as known a second later: no feature sees them."""

    @model_validator(mode="after")
    def _attributes_fit_their_tables(self) -> Self:
        faults = [
            fault
            for table, mapped in self.tables.items()
            for name, attribute in mapped.attributes.items()
            for fault in attribute_faults(table, name, attribute)
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _control_names_files(self) -> Self:
        stated = set() if self.control is None else set(self.control.amounts)
        if strange := sorted(stated - self.files.keys()):
            raise ValueError(f"control: amounts: {', '.join(strange)}: not under `files`")
        return self

    @model_validator(mode="after")
    def _days_are_in_order(self) -> Self:
        if self.earliest is not None and self.latest is not None and self.earliest > self.latest:
            msg = f"earliest, {self.earliest}, is after latest, {self.latest}: no row is between"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _snapshot_is_a_day_of_customers(self) -> Self:
        if self.snapshot is not None and not 1900 <= self.snapshot.year < 2199:
            msg = f"snapshot must be a day of the years 1900 to 2198, got {self.snapshot}"
            raise ValueError(msg)
        if self.snapshot is not None and "customers" not in self.tables:
            raise ValueError("snapshot is the day of the table customers: map that table")
        return self

    @property
    def delivered(self) -> dict[str, FileSource]:
        """All files that a delivery consists of: those of the tables, and the control file."""
        if self.control is None:
            return self.files
        return {**self.files, "control": FileSource(path=self.control.path, format="csv")}

    @property
    def completed(self) -> dict[str, TableMapping]:
        """The tables, with the columns and the reviews that `snapshot` defines."""
        if self.snapshot is None:
            return self.tables
        return complete_snapshot(self.tables, self.snapshot)

    @property
    def attributes(self) -> tuple[TableAttribute, ...]:
        """The attributes of all tables, in the order of the mapping."""
        return tuple(
            TableAttribute(table=table, name=name, **attribute.model_dump(exclude={"sql"}))
            for table, mapped in self.tables.items()
            for name, attribute in mapped.attributes.items()
        )


def complete_snapshot(tables: Mapping[str, TableMapping], day: date) -> dict[str, TableMapping]:
    """Return customers without dates, and their outcomes, the times of a snapshot.

    `day`: day at whose end the rows of `customers` were true; see `SourceMapping`.
    """
    day = date(day.year, day.month, day.day)  # a timestamp is a date too
    after = day + timedelta(days=1)
    completed = dict(tables)
    customers = _with_defaults(completed["customers"], event_time=f"DATE '{day}'")
    completed["customers"] = customers
    who = customers.columns.get("customer_id")
    if who is not None and "reviews" not in completed:
        completed["reviews"] = TableMapping(
            from_=customers.from_,
            where=customers.where,
            columns={
                "review_id": _at_review(who, day),
                "customer_id": who,
                "event_time": f"DATE '{after}'",
            },
        )
    cases = completed.get("cases")
    if cases is not None and "customer_id" in cases.columns:
        review = _at_review(cases.columns["customer_id"], day)
        completed["cases"] = _with_defaults(
            cases,
            case_id=review,
            review_id=review,
            event_time=f"DATE '{after}'",
            known_at=f"TIMESTAMP '{after} 00:00:01'",
        )
    return completed


def _with_defaults(table: TableMapping, **columns: str) -> TableMapping:
    return table.model_copy(update={"columns": {**columns, **table.columns}})


def _at_review(customer_id: str, day: date) -> str:
    """Write the id of a customer's review at the end of a day as SQL."""
    return f"trim(CAST((\n{customer_id}\n) AS VARCHAR)) || '@{day}'"
