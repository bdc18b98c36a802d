"""How a user's files become contracted tables."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from kyc_ml.config.section import Section


class FileSource(Section):
    """One file, or one pattern of files, that a mapping expects in the data folder.

    CSV and JSON columns arrive as text: an expression that computes with one casts it first.
    """

    path: str
    format: Literal["csv", "parquet", "json", "duckdb"]
    delimiter: str = ","
    table: str | None = None

    @model_validator(mode="after")
    def _duckdb_names_its_table(self) -> Self:
        if (self.format == "duckdb") != (self.table is not None):
            msg = "`table` names the table inside a duckdb file: give it there and only there"
            raise ValueError(msg)
        return self


class TableMapping(Section):
    """One contracted table: rows `from` (SQL) `where` (SQL), an expression a column."""

    from_: str = Field(alias="from")
    where: str | None = None
    columns: dict[str, str] = Field(min_length=1)


class SourceMapping(Section):
    """How a user's files become contracted tables."""

    name: str
    description: str = ""
    timezone: str = "UTC"
    """Zone of timestamps that carry none, and of the hours a customer lives by."""
    base_currency: str
    max_quarantined_share: float = Field(default=0.001, ge=0.0, le=1.0)
    """Share of a table's rows that may be quarantined before reading fails."""
    files: dict[str, FileSource] = Field(min_length=1)
    tables: dict[str, TableMapping] = Field(min_length=1)
