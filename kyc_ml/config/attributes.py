"""Columns of a user's own: what they mean, and what features read of them."""

import re
from collections.abc import Iterator
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from kyc_ml.config.section import Section

AttributeType = Literal["number", "text", "boolean", "date"]
AttributeUnit = Literal[
    "number",
    "share",
    "base currency",
    "base currency a year",
    "hours",
    "days",
    "years",
    "events",
]
Reading = Literal[
    "latest",
    "mean",
    "maximum",
    "minimum",
    "sum",
    "trend",
    "distinct",
    "commonest_share",
]

NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
"""What an attribute may be called: it becomes part of the names of features."""
WINDOW: Final = re.compile(r"([1-9][0-9]{0,3})([dh])|ever")
"""What a window may be called: 90d, 6h, or ever."""

_OF_TYPE: Final[dict[AttributeType, tuple[Reading, ...]]] = {
    "number": ("latest", "mean", "maximum", "minimum", "sum", "trend"),
    "boolean": ("latest", "mean", "maximum", "minimum", "sum", "trend"),
    "text": ("latest", "distinct", "commonest_share"),
    "date": ("latest",),
}
_HISTORY: Final[tuple[Reading, ...]] = (
    *("latest", "mean", "maximum", "minimum", "sum"),
    *("distinct", "commonest_share"),
)
ATTRIBUTE_TABLES: Final[dict[str, tuple[Reading, ...]]] = {
    "customers": (*_HISTORY, "trend"),
    "accounts": _HISTORY,  # a trend over several accounts would compare one with another
    "transactions": _HISTORY,
    "reviews": ("latest",),
}
"""Tables that take attributes, and what can be read of them."""


class Attribute(Section):
    """What a column of the user's own means, and what features read of it."""

    type: AttributeType
    """Text is a category; a boolean is 0 or 1; of a date, the days since then are read."""
    unit: AttributeUnit = "number"
    """Of a number; a share is shown as a percentage."""
    description: str = Field(pattern=r"^\S[^\r\n]{0,119}$")
    """English noun phrase for reasons and reports: "credit line utilisation"."""
    description_zh: str = Field(default="", pattern=r"^(\S[^\r\n]{0,119})?$")
    """The same in Chinese; without it, Chinese reasons use the English words and `check` warns."""
    direction: Literal[-1, 0, 1] = 0
    """1: risk may only rise with the value; -1: it may only fall; for numbers and booleans."""
    over_time: tuple[Reading, ...] = Field(default=("latest",), min_length=1)
    """What is read: `latest` is the value known at the decision (of a transaction or review, its
    own); the others are read over `windows`."""
    windows: tuple[str, ...] = Field(default=("90d", "365d"), min_length=1)
    """Windows before the decision, in days (90d), hours (6h) or `ever`; `latest` has none."""

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        faults = list(self._faults())
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        readable = _OF_TYPE[self.type]
        for reading in self.over_time:
            if reading not in readable:
                yield (
                    f"over_time: {reading!r} cannot be read of a {self.type}: choose among "
                    f"{', '.join(readable)}"
                )
        for window in self.windows:
            if not WINDOW.fullmatch(window):
                yield f"windows: {window!r} is not a window: write days (90d), hours (6h) or ever"
        for key in ("over_time", "windows"):
            if len(set(getattr(self, key))) < len(getattr(self, key)):
                yield f"{key} names one twice"
        if self.unit != "number" and self.type != "number":
            yield f"unit is for numbers, this is a {self.type}"
        if self.direction and self.type not in {"number", "boolean"}:
            yield f"direction is for numbers and booleans, this is a {self.type}"

    @property
    def chinese(self) -> str:
        """The noun phrase of Chinese sentences."""
        return self.description_zh or self.description


class MappedAttribute(Attribute):
    """A column of your own: an SQL expression, what it means, and what features read of it."""

    sql: str
    """SQL expression over the rows of `from`, as under `columns`."""


class TableAttribute(Attribute):
    """An attribute with its table and name: as it travels with contracted tables and models."""

    table: str
    """Contracted table that the attribute was declared under."""
    name: str
    """Name it was declared by."""

    @model_validator(mode="after")
    def _fits_its_table(self) -> Self:
        faults = attribute_faults(self.table, self.name, self)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def column(self) -> str:
        """Name of its column in the contracted table."""
        return attribute_column(self.name)


def attribute_column(name: str) -> str:
    """Name the contracted table's column of an attribute; no other column begins so.

    Examples
    --------
    >>> attribute_column("utilisation")
    'attr_utilisation'
    """
    return f"attr_{name}"


def attribute_of(column: str) -> str | None:
    """Name the attribute of a contracted table's column; None for a column of the contract."""
    name = column.removeprefix(attribute_column(""))
    return None if name == column else name


def attribute_faults(table: str, name: str, attribute: Attribute) -> list[str]:
    """List what is wrong with an attribute of this name at this table."""
    if table not in ATTRIBUTE_TABLES:
        return [f"table {table} takes no attributes: {', '.join(ATTRIBUTE_TABLES)} do"]
    faults = []
    if not NAME.fullmatch(name):
        faults.append(
            f"attribute {name!r} of {table}: a name is small letters, digits and _, a letter first"
        )
    readable = ATTRIBUTE_TABLES[table]
    faults.extend(
        f"attribute {name!r} of {table}: over_time {reading!r} cannot be read of this table: "
        f"choose among {', '.join(readable)}"
        for reading in attribute.over_time
        if reading not in readable
    )
    return faults
