"""What every way to compute a feature, or a column of rows, answers for itself.

A *kind* is a class of `kinds`: it declares its fields, writes and reads its sentence, and lists
what it needs. The engine asks these methods and does not know the kinds, except for those that
it computes together (`Window` and `Latest` in `reading`, `Peer` in `peers`, `LatestValue` and
`Matched` in `row_columns`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, Self

import pyarrow as pa

from kyc_ml.contract import CONTRACT
from kyc_ml.errors import ConfigError, hint
from kyc_ml.features.made import ADVERSE, LENGTH, PATTERN, ROLE, WIDTH
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.features.values import Listing
from kyc_ml.metrics import Floats

OBSERVED: Final = ""
"""The name of the observations among the names of tables."""

CLOCK: Final = "clock of the decision"
ALL_HISTORY: Final = "all history"
COUNTDOWN: Final = "days to a date"
BANK_LEVEL: Final = "level of the whole bank"

_CONTRACTED: Final = frozenset(
    {
        ADVERSE,
        PATTERN,
        ROLE,
        LENGTH,
        WIDTH,
        *(name for table in CONTRACT.values() for name in table.names),
    }
)


class How(Protocol):
    """A way to compute a feature, or a column of rows."""

    __slots__ = ()

    def define(self) -> str:
        """Write the definition in one line; `parse` reads it."""

    @classmethod
    def parse(cls, sentence: str, names: Names) -> Self | None:
        """Read a sentence; None if it is one of another kind.

        Raises ConfigError if the sentence is of this kind and names what does not exist.
        """

    def features_read(self) -> tuple[str, ...]:
        """Return the names of the features it is computed from; empty where it reads rows."""
        return ()

    def tables(self) -> tuple[str, ...]:
        """Return the tables whose rows it reads."""
        return ()

    def columns(self, place: str) -> Iterator[tuple[str, str | RowColumn]]:
        """List the columns it reads, each with its table.

        `place`: the table that looks: `OBSERVED` for a feature, its own table for a row column.
        """
        yield from ()

    def key_pairs(self) -> Sequence[tuple[str, str]] | None:
        """Return the columns by which its rows and those of the place may be divided into parts.

        Returns sequence of (column of the rows, column of the place), or None; of plain columns;
        empty if it needs all rows together. None if it needs only the row itself.
        """
        return None

    def fault(self) -> str:
        """Return why it can be computed from no source; empty if it can."""
        return ""

    def is_text(self) -> bool:
        """Return whether its values are categories."""
        return False

    def time_bound(self, of_feature: Callable[[str], str]) -> str:
        """Return why its values change with time alone; empty if they do not.

        `of_feature`: returns the same of a feature, by name.
        """
        return ""

    def read(
        self, place: TimedRows, *, tables: Mapping[str, TimedRows], timezone: str
    ) -> Floats | pa.Array:
        """Compute one value for each row of the place; NaN or null is missing.

        Of a feature without inputs, or of a row column; rows of `tables` count only where they
        happened before the row, and were known then.
        """
        raise _computed_together(self)

    def combine(self, inputs: Sequence[Floats]) -> Floats:
        """Compute values of shape (n,) from those of `features_read`, each of shape (n,)."""
        raise _computed_together(self)


def _computed_together(how: How) -> TypeError:
    return TypeError(f"{type(how).__name__} is computed together with others of its kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowColumn:
    """A column that each row of a table gets before features read it."""

    name: str
    """Unique to its definition: two row columns of one name are the same."""
    how: How


def name_of(column: str | RowColumn) -> str:
    """Return the name of a contracted or computed column."""
    return column if isinstance(column, str) else column.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Rows whose text column equals one of `values`, and that match `also` too."""

    column: str | RowColumn
    values: tuple[str, ...]
    also: Where | None = None


def columns_read(how: How, place: str) -> Iterator[tuple[str, str | RowColumn]]:
    """List every column that a reading needs with its table, those others are made of first."""
    for table, column in how.columns(place):
        if isinstance(column, RowColumn):
            yield from columns_read(column.how, table)
        yield table, column


def tables_read(how: How) -> Iterator[str]:
    """List the tables that a reading needs, those of its row columns included."""
    yield from how.tables()
    for _, column in how.columns(OBSERVED):
        if isinstance(column, RowColumn):
            yield from tables_read(column.how)


def row_columns_of(how: How) -> dict[str, str]:
    """Return the definitions of the row columns that a reading needs, by name."""
    found = (column for _, column in columns_read(how, OBSERVED))
    return {each.name: each.how.define() for each in found if isinstance(each, RowColumn)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What sentences may name in addition to the columns of the data contract.

    Attributes
    ----------
    columns : mapping of str to str
        Sentences of the row columns, by name.
    listings : mapping of str to Listing
        Lists of countries, by name.
    kinds : sequence of type
        Kinds of row columns, in the order to try them.
    """

    columns: Mapping[str, str]
    listings: Mapping[str, Listing]
    kinds: Sequence[type[How]]

    def column(self, name: str) -> str | RowColumn:
        """Return a column of the data contract by its name, a row column by its definition.

        Raises
        ------
        ConfigError
            If there is no such column, or a row column is made of itself.
        """
        if name in _CONTRACTED:
            return name
        sentence = self.columns.get(name)
        if sentence is None:
            known = (*_CONTRACTED, *self.columns)
            msg = f"column {name!r} is neither contracted nor declared{hint(name, known)}"
            raise ConfigError(msg)
        # a column cannot name itself, so that a circle ends with an error
        others = {each: text for each, text in self.columns.items() if each != name}
        return RowColumn(
            name=name, how=read_sentence(sentence, replace(self, columns=others), self.kinds)
        )

    def listing(self, name: str | None) -> Listing:
        """Return a list of countries; an empty one where a sentence names none."""
        return () if name is None else self.listings[name]


def read_sentence(sentence: str, names: Names, kinds: Sequence[type[How]]) -> How:
    """Read how a feature or a row column is computed, as the first of the kinds that can.

    Raises ConfigError if the sentence has none of the forms, or names what does not exist.
    """
    for kind in kinds:
        how = kind.parse(sentence, names)
        if how is not None:
            return how
    raise ConfigError(f"{sentence!r} has none of the forms that kyc_ml.features.kinds lists")
