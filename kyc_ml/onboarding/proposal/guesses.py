"""Guesses with their evidence, tables of guesses, and what the user must decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Literal

from kyc_ml.contract import NO_CURRENCY, TableQuality
from kyc_ml.onboarding.proposal.samples import FileSample
from kyc_ml.onboarding.proposal.vocabulary import note

PANEL_WINDOWS: Final = ("93d", "366d")
"""A quarter and a year of month ends."""
Certainty = Literal["sure", "likely", "guess", "yours"]
"""`yours`: the files do not decide it, the user must."""


@dataclass(frozen=True, slots=True)
class Guess:
    """An expression for one contracted column."""

    column: str
    sql: str
    """Tried on the sample before it was proposed."""
    certainty: Certainty
    evidence: str
    """Names, shapes and shares that support it, never a value."""
    alternatives: tuple[str, ...] = ()


Kind = Literal["bookings", "snapshot", "panel", "applications"]
"""What a source is about: bookings, or customers without any."""
AttributeKind = Literal["number", "text", "boolean", "date"]
"""What an attribute is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeGuess:
    """A column that is not in the contract, as it would be declared."""

    name: str
    column: str
    sql: str
    kind: AttributeKind
    unit: str
    """Of a number; empty where it has none."""
    description: str
    description_zh: str
    over_time: tuple[str, ...] = ()
    """How it is read over time; empty for the value known at the decision."""
    doubt: str = ""
    """Why it is only written as a comment; empty where it is proposed."""

    @property
    def keys(self) -> dict[str, object]:
        """The keys of the attribute as a mapping writes them."""
        found: dict[str, object] = {"sql": self.sql, "type": self.kind, "unit": self.unit}
        found |= {"description": self.description, "description_zh": self.description_zh}
        found |= {"over_time": self.over_time, "windows": PANEL_WINDOWS if self.over_time else ()}
        return {key: value for key, value in found.items() if value}


@dataclass(slots=True, kw_only=True)
class TableProposal:
    """One contracted table: its rows and columns, and how many rows of the sample it accepts."""

    name: str
    rows: str
    files: tuple[str, ...]
    where: str | None = None
    optional: bool = False
    """Left out where the files lack a column that it reads."""
    columns: dict[str, Guess] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    confirm: list[str] = field(default_factory=list)
    """What was assumed about the whole table, for the user to confirm."""
    attributes: dict[str, AttributeGuess] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    """Columns of its file that nothing reads."""
    dropped: dict[str, str] = field(default_factory=dict)
    """dict of column to reason; optional columns that were tried and did not fit."""
    quality: TableQuality | None = None
    """Of the sample; None where the table could not be bound."""

    @property
    def declared(self) -> dict[str, dict[str, object]]:
        """The attributes that are proposed, as a mapping writes them."""
        return {name: each.keys for name, each in self.attributes.items() if not each.doubt}

    def add(self, *guesses: Guess | None) -> None:
        """Add guesses; None adds nothing."""
        self.columns |= {guess.column: guess for guess in guesses if guess is not None}


@dataclass(slots=True, kw_only=True)
class MappingProposal:
    """A proposed source mapping, with its evidence."""

    name: str
    timezone: str
    timezone_evidence: str
    base_currency: str
    currency_evidence: str
    samples: tuple[FileSample, ...]
    """Every table that could be opened; one that no proposal reads is in `unused`."""
    tables: dict[str, TableProposal]
    unused: Mapping[str, str]
    decisions: list[str]
    """What to decide or confirm, except the marks on columns, the most serious first."""
    span: tuple[datetime, datetime] | None = None
    """First and last transaction of the sample."""
    snapshot: date | None = None
    """Day at the end of which the rows of customers were true, if they have no date."""
    kind: Kind = "bookings"
    quoted: bool = False
    """True where identifiers are written as Excel's ``="001"``."""

    @property
    def used_looks(self) -> tuple[FileSample, ...]:
        """The files that a table reads."""
        used = {name for table in self.tables.values() for name in table.files}
        return tuple(sample for sample in self.samples if sample.name in used)

    @property
    def open_points(self) -> tuple[str, ...]:
        """List all that must be decided or confirmed, starting with what stops a check.

        One for each mark TODO or GUESS that the mapping shows, and one for each of `decisions`.
        """
        marked = [
            (guess.certainty, f"{table.name}.{guess.column}: {guess.evidence}")
            for table in self.tables.values()
            for guess in table.columns.values()
        ]
        return (
            *(point for certainty, point in marked if certainty == "yours"),
            *self.decisions,
            *(
                f"files.{sample.name}: {n}"
                for sample in self.used_looks
                for n in sample.found.confirm
            ),
            *(f"{table.name}: {n}" for table in self.tables.values() for n in table.confirm),
            *(
                note("attributes", table=table.name, count=len(table.declared))
                for table in self.tables.values()
                if table.declared
            ),
            *(point for certainty, point in marked if certainty == "guess"),
        )

    @property
    def undecided(self) -> tuple[str, ...]:
        """List what has no guess, such as ``cases.outcome``; a training needs it."""
        yours = [
            f"{table.name}.{guess.column}"
            for table in self.tables.values()
            for guess in table.columns.values()
            if guess.certainty == "yours"
        ]
        return (*yours, *(["base_currency"] if self.base_currency == NO_CURRENCY else []))


def certainty_of(score: float) -> Certainty:
    """Return in words how well the name fits, for values that agree."""
    if score >= 0.85:
        return "sure"
    return "likely" if score >= 0.6 else "guess"
