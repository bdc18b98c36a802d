"""How a user's files become contracted tables."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from kyc_ml.config.attributes import (
    MappedAttribute,
    TableAttribute,
    attribute_column,
    attribute_faults,
)
from kyc_ml.config.section import Section


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
    attributes: dict[str, MappedAttribute] = Field(
        default_factory=dict, exclude_if=lambda declared: not declared
    )
    """Columns of your own by a name of your own, for customers, accounts, transactions and
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
    snapshot: date | None = Field(default=None, exclude_if=lambda day: day is None)
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
    def _snapshot_has_customers(self) -> Self:
        if self.snapshot is not None and "customers" not in self.tables:
            msg = "snapshot is the day of the table customers: map that table"
            raise ValueError(msg)
        return self

    @property
    def completed(self) -> dict[str, TableMapping]:
        """The tables, with the columns and the reviews that `snapshot` stands for."""
        if self.snapshot is None:
            return self.tables
        day, after = self.snapshot, self.snapshot + timedelta(days=1)
        completed = dict(self.tables)

        def complete(table: str, **defaults: str) -> None:
            mapped = completed[table]
            columns = {**defaults, **mapped.columns}
            completed[table] = mapped.model_copy(update={"columns": columns})

        complete("customers", event_time=f"DATE '{day}'")
        customers = completed["customers"]
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
        about = completed["cases"].columns.get("customer_id") if "cases" in completed else None
        if about is not None:
            complete(
                "cases",
                case_id=_at_review(about, day),
                review_id=_at_review(about, day),
                event_time=f"DATE '{after}'",
                known_at=f"TIMESTAMP '{after} 00:00:01'",
            )
        return completed

    @property
    def attributes(self) -> tuple[TableAttribute, ...]:
        """The attributes of all tables, in the order of the mapping."""
        return tuple(
            TableAttribute(table=table, name=name, **attribute.model_dump(exclude={"sql"}))
            for table, mapped in self.tables.items()
            for name, attribute in mapped.attributes.items()
        )


def _at_review(customer_id: str, day: date) -> str:
    """Write the id of a customer's review at the end of a day as SQL."""
    return f"trim(CAST((\n{customer_id}\n) AS VARCHAR)) || '@{day}'"
