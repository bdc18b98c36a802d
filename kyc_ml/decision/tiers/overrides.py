"""Overrides: declared rules over facts as known then, and those entered for one customer."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np
import pandas as pd
from pydantic import field_validator, model_validator

from kyc_ml.config import (
    Day,
    FilePath,
    IdentifierForm,
    Section,
    check_section,
    load_section,
    read_path,
)
from kyc_ml.contract import CUSTOMER_ID, TRIMMED, put_in_form
from kyc_ml.dataset import customers_of
from kyc_ml.decision.rating.rate import holds
from kyc_ml.decision.tiers.calendar import decision_days
from kyc_ml.decision.tiers.policy import OverrideRule, TierPolicy
from kyc_ml.decision.tiers.policy_rules import override_faults
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.features import DECISION_TIME, FeatureTable
from kyc_ml.metrics import Ints, Mask, Names, Times


class EnteredOverride(Section):
    """An override that somebody asked for and somebody else approved, for one customer.

    It is in force from `start`, and not before `approved_on`, until the day before `expiry`
    or `withdrawn_on`.
    """

    customer_id: str
    """Whom it is about."""
    code: str
    """Short code that score rows carry."""
    reason: str = ""
    """Why."""
    source: str = ""
    """Where the reason comes from."""
    floor: str | None = None
    """Lowest tier that it allows; or tier."""
    tier: str | None = None
    """Tier that it sets; or floor."""
    start: Day | None = None
    """First day in force."""
    expiry: Day | None = None
    """First day no longer in force."""
    approved_on: Day | None = None
    """Day of the approval."""
    withdrawn_on: Day | None = None
    """First day no longer in force, where it was withdrawn."""
    requester: str = ""
    """Who asked for it."""
    approver: str = ""
    """Who approved it; someone else."""

    @field_validator("customer_id", mode="before")
    @classmethod
    def _is_text(cls, given: object) -> object:
        if isinstance(given, (int, float)):  # YAML reads 0012 as the number ten
            msg = "a number has lost its leading zeros: write the identifier in quotes"
            raise ValueError(msg)
        return given

    def is_in_force(self, *, first: date, last: date) -> bool:
        """Tell whether it is in force on any day from `first` to `last`."""
        begins = max(day for day in (self.start, self.approved_on, date.min) if day is not None)
        ends = min(day for day in (self.expiry, self.withdrawn_on, date.max) if day is not None)
        return begins <= last and first < ends and begins < ends


class OverrideBook(Section):
    """All overrides entered so far; expired and withdrawn ones stay, for what they did then."""

    overrides: tuple[EnteredOverride, ...] = ()

    @model_validator(mode="after")
    def _entries_are_lawful(self) -> Self:
        faults = list(_book_faults(self, tiers=None))
        if faults:
            raise ValueError("; ".join(faults))
        return self


Found = tuple[Ints, OverrideRule | EnteredOverride]
"""Rows, each once, in which an override is in force, and the override."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The overrides in force of n rows.

    Attributes
    ----------
    floor, fixed : int64 arrays of shape (n,)
        Highest floor and highest fixed tier, as places in the policy's tiers; -1 is none.
    code : object array of shape (n,)
        Codes of all overrides in force, joined by ';'; '' is none.
    """

    floor: Ints
    fixed: Ints
    code: Names

    @classmethod
    def of(cls, n: int, found: Iterable[Found], tiers: tuple[str, ...]) -> Self:
        """Gather the overrides found among n rows, in the order given."""
        floor, fixed = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        code = np.full(n, "", dtype=object)
        for rows, override in found:
            into, named = (fixed, override.tier) if override.tier else (floor, override.floor)
            into[rows] = np.maximum(into[rows], tiers.index(str(named)))
            before = code[rows]
            code[rows] = [f"{each};{override.code}" if each else override.code for each in before]
        return cls(floor=floor, fixed=fixed, code=code)

    def apply(self, before: Ints, *, timeless: Mask) -> Ints:
        """Give the tiers that hold, of shape (n,).

        A fixed tier replaces the tier before; no floor is ever undercut. In rows without a
        decision time nobody can tell whether a fixed tier still holds: it only raises.
        """
        least = np.where(timeless, np.maximum(before, self.fixed), self.fixed)
        return np.maximum(np.where(self.fixed >= 0, least, before), self.floor)


def find_in_force(
    facts: FeatureTable,
    customers: Names,
    day: Times,
    *,
    policy: TierPolicy,
    book: OverrideBook,
) -> tuple[InForce, dict[str, str]]:
    """Find the overrides in force in each row on its own decision day.

    Parameters
    ----------
    facts : FeatureTable of n rows
        Holds what the rules read, each fact as known at the decision.
    customers : object array of shape (n,)
    day : datetime64[D] array of shape (n,)
        Local day of the decision. Where it is NaT, every override counts as in force: not
        knowing whether a floor has ended is no reason to lower it.

    Returns
    -------
    in_force : InForce
    unchecked : dict of 'override CODE' to reason
        Rules whose facts the table does not have.

    Raises
    ------
    ConfigError
        If an entered override names a tier that the policy does not have; all are listed.
    """
    found, unchecked = _find(facts, customers, day, policy=policy, book=book)
    return InForce.of(day.size, found, policy.tier_names), unchecked


def list_in_force(
    facts: FeatureTable, *, policy: TierPolicy, book: OverrideBook
) -> list[OverrideRule | EnteredOverride]:
    """List the overrides in force in the one row of a table, declared rules first.

    Parameters
    ----------
    facts : FeatureTable of one row
        As for `find_in_force`.
    """
    keys = facts.keys
    customers = customers_of(keys)
    days = decision_days(pd.DatetimeIndex(keys[DECISION_TIME].to_pandas()), policy.calendar)
    found, _ = _find(facts, customers, days, policy=policy, book=book)
    return [override for rows, override in found if rows.size]


def _find(
    facts: FeatureTable, customers: Names, day: Times, *, policy: TierPolicy, book: OverrideBook
) -> tuple[list[Found], dict[str, str]]:
    check_book(book, policy)
    found: list[Found] = []
    unchecked: dict[str, str] = {}
    for rule in policy.overrides:
        absent = [each.feature for each in rule.when if each.feature not in facts.names]
        if absent:
            unchecked[f"override {rule.code}"] = say_absent(absent, facts)
            continue
        here = _valid(day, rule.start, rule.expiry)
        for condition in rule.when:
            here &= holds(facts, condition)
        found.append((np.flatnonzero(here), rule))
    return [*found, *_entered(book, customers, day)], unchecked


def say_absent(names: list[str], facts: FeatureTable) -> str:
    """Say why a table does not have these features."""
    return "; ".join(
        f"{name}: {facts.unavailable.get(name, 'not among the columns given')}" for name in names
    )


def check_book(book: OverrideBook, policy: TierPolicy) -> None:
    """Hold entered overrides against a policy's tiers.

    Raises
    ------
    ConfigError
        Naming each entry by its number, never by its customer.
    """
    faults = Faults(f"entered overrides under policy {policy.label!r}", ConfigError)
    faults.extend(_book_faults(book, tiers=policy.tier_names)).raise_if_any()


def load_overrides(path: FilePath, *, form: IdentifierForm = TRIMMED) -> OverrideBook:
    """Read entered overrides from a YAML file, or from a CSV file of the same columns.

    Parameters
    ----------
    form : IdentifierForm
        That of the source: its customers are named in it.

    Raises
    ------
    ConfigError
        If the file cannot be read, or an entry lacks reason, source, dates or an approver
        other than the requester; all faults are listed, by number of the entry.
    """
    path = read_path(path, name="path")
    if path.suffix.lower() != ".csv":
        return _in_form(load_section(path, OverrideBook), form)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = [_filled(row) for row in csv.DictReader(handle, strict=True)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"overrides {path} cannot be read as CSV in UTF-8 ({type(error).__name__}): mend it"
        raise ConfigError(msg) from None
    return _in_form(check_section({"overrides": rows}, OverrideBook, subject=str(path)), form)


def _in_form(book: OverrideBook, form: IdentifierForm) -> OverrideBook:
    """Name the customers as the source's tables do."""
    names = put_in_form([each.customer_id for each in book.overrides], form)
    return OverrideBook(
        overrides=tuple(
            each.model_copy(update={CUSTOMER_ID: name or ""})
            for each, name in zip(book.overrides, names, strict=True)
        )
    )


def _filled(row: dict[str | None, str | list[str] | None]) -> dict[str, str | list[str]]:
    """Leave out empty cells and the blanks around others, as spreadsheets leave them.

    What stands beyond the header has no column and is refused.
    """
    return {
        ("beyond the header" if name is None else name.strip()): cell
        for name, raw in row.items()
        if (cell := raw.strip() if isinstance(raw, str) else raw)
    }


def _book_faults(book: OverrideBook, *, tiers: tuple[str, ...] | None) -> Iterator[str]:
    for number, entry in enumerate(book.overrides, start=1):
        where = f"override {number} ({entry.code})"
        yield from (f"{where}: {fault}" for fault in override_faults(entry, tiers))
        if not entry.reason.strip():
            yield f"{where}: reason is missing"
        if not entry.customer_id.strip():
            yield f"{where}: customer_id is missing"
        if entry.approved_on is None:
            yield f"{where}: approved_on is missing: the day from which it was known"


def _valid(day: Times, start: date | None, expiry: date | None) -> Mask:
    """Tell in which rows the decision lies in ``[start, expiry)``, or has no day."""
    first, end = np.datetime64(start, "D"), np.datetime64(expiry, "D")
    return np.asarray(np.isnat(day) | ((first <= day) & (day < end)))


def _entered(book: OverrideBook, customers: Names, day: Times) -> Iterator[Found]:
    """Give the rows of its customer in which each entered override is in force."""
    named = {entry.customer_id for entry in book.overrides}
    rows = np.flatnonzero(pd.Series(customers, dtype=object).isin(named).to_numpy())
    places = pd.Series(rows).groupby(customers[rows]).indices if rows.size else {}
    for entry in book.overrides:
        own = rows[places.get(entry.customer_id, np.zeros(0, np.int64))]
        if not own.size:
            continue
        when = day[own]
        known = _valid(when, entry.start, entry.expiry)
        known &= np.isnat(when) | (when >= np.datetime64(entry.approved_on, "D"))
        if entry.withdrawn_on is not None:
            known &= np.isnat(when) | (when < np.datetime64(entry.withdrawn_on, "D"))
        yield own[known], entry
