"""How a user's files become contracted tables."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from kyc_ml.config.identifiers import IdentifierForm
from kyc_ml.config.section import Day, Section


class FileSource(Section):
    """One file, or one pattern of files, that a mapping expects in the data folder.

    CSV and JSON columns arrive as text: an expression that computes with one casts it first.
    """

    path: str
    """Relative to the data folder; `*` stands for any text, for many files of one kind."""
    format: Literal["csv", "parquet", "json", "duckdb"]
    """How it is written."""
    delimiter: str = ","
    """Between the columns of a csv file."""
    table: str | None = None
    """Table inside a duckdb file; there and only there."""

    @model_validator(mode="after")
    def _duckdb_names_its_table(self) -> Self:
        if (self.format == "duckdb") != (self.table is not None):
            msg = "`table` names the table inside a duckdb file: give it there and only there"
            raise ValueError(msg)
        return self


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
    identifiers: IdentifierForm = IdentifierForm()
    max_orphan_share: float = Field(default=0.2, ge=0.0, le=1.0)
    """Share of the cases that may name a customer, a transaction or a review that no other
    table has: such labels are lost. 0.2 is a convention."""
    earliest: Day | None = None
    """First day of transactions, events, third-party reports and cases; null takes all. Rows
    before it are quarantined."""
    latest: Day | None = None
    """Last day of them, and of their known_at; rows after it are quarantined."""
    files: dict[str, FileSource] = Field(min_length=1)
    """Files by a name of your own, which `from` uses."""
    tables: dict[str, TableMapping] = Field(min_length=1)
    """Contracted tables by their names, such as transactions."""
