"""Overrides: declared rules over facts as known then, and those entered for one customer."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np

from kyc_ml.config import (
    FilePath,
    IdentifierForm,
    check_section,
    load_section,
    read_path,
)
from kyc_ml.contract import CUSTOMER_ID, TRIMMED, put_in_form
from kyc_ml.decision.rating.rate import holds
from kyc_ml.decision.tiers.calendar import local_days
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import EnteredOverride, OverrideBook, OverrideRule
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.features import FeatureTable
from kyc_ml.metrics import Ints, Mask, Names, Times

Found = tuple[Ints, OverrideRule | EnteredOverride]
"""Rows in which an override is in force, each once, and the override."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The overrides in force of n rows."""

    floor: Ints
    fixed: Ints
    """`floor` and `fixed`: int64 arrays of shape (n,); highest floor and highest fixed tier, as
    places in the policy's tiers; -1 without one."""
    code: Names
    """object array of shape (n,); codes of all overrides in force, joined by ';'; '' without
    one."""

    @classmethod
    def of(cls, n: int, found: Iterable[Found], tiers: tuple[str, ...]) -> Self:
        """Gather the overrides found among n rows, in the order given."""
        floor, fixed = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        code = np.full(n, "", dtype=object)
        for rows, override in found:
            into, named = (fixed, override.tier) if override.tier else (floor, override.floor)
            into[rows] = np.maximum(into[rows], tiers.index(str(named)))
            code[rows] = [
                f"{before};{override.code}" if before else override.code for before in code[rows]
            ]
        return cls(floor=floor, fixed=fixed, code=code)

    def apply(self, before: Ints, *, timeless: Mask) -> Ints:
        """Return the tiers after overrides, shape (n,).

        A fixed tier replaces the tier before; nothing goes below a floor. In rows without a
        decision time it is unknown whether a fixed tier is still valid: it only raises.
        """
        least = np.where(timeless, np.maximum(before, self.fixed), self.fixed)
        # floors come last, because a fixed tier must not go below them
        return np.maximum(np.where(self.fixed >= 0, least, before), self.floor)


def find_in_force(
    facts: FeatureTable,
    day: Times,
    *,
    policy: TierPolicy,
    book: OverrideBook,
) -> tuple[list[Found], dict[str, str]]:
    """Find the overrides in force in each row on its decision day, declared rules first.

    `facts`: FeatureTable of n rows; holds what the rules read, as known at the decision.
    `day`: datetime64[D] array of shape (n,); local day of the decision. Where it is NaT, every
    override counts as in force: a floor that may have ended must not lower a tier.
    Returns `found`: list of (rows, override).
    Returns `unchecked`: dict of 'override CODE' to reason; rules whose facts are not in the table.
    Raises ConfigError if an entered override names a tier that is not in the policy; all are
    listed, by number and never by customer.
    """
    _check_tiers(book, policy)
    found: list[Found] = []
    unchecked: dict[str, str] = {}
    for rule in policy.overrides:
        absent = [each.feature for each in rule.when if each.feature not in facts.names]
        if absent:
            unchecked[f"override {rule.code}"] = explain_absence(absent, facts)
            continue
        here = _valid(day, rule.start, rule.expiry)
        for condition in rule.when:
            here &= holds(facts, condition)
        found.append((np.flatnonzero(here), rule))
    return [*found, *_find_entered(book, facts, day)], unchecked


def list_in_force(
    facts: FeatureTable, *, policy: TierPolicy, book: OverrideBook
) -> list[OverrideRule | EnteredOverride]:
    """List the overrides in force in the one row of a table; see `find_in_force`."""
    days = local_days(facts, policy.calendar)
    found, _ = find_in_force(facts, days, policy=policy, book=book)
    return [override for rows, override in found if rows.size]


def explain_absence(names: list[str], facts: FeatureTable) -> str:
    """Explain why a table does not have these features."""
    return "; ".join(
        f"{name}: {facts.unavailable.get(name, 'not among the columns given')}" for name in names
    )


def load_overrides(path: FilePath | None, *, form: IdentifierForm = TRIMMED) -> OverrideBook:
    """Read entered overrides from a YAML file, or from a CSV file of the same columns.

    None has no entries.

    `form`: form of the source's identifiers, into which customers are put.
    Raises ConfigError if the file cannot be read, or an entry lacks reason, source, dates or an
    approver other than the requester; all faults are listed by the place of the entry, from 0.
    """
    if path is None:
        return OverrideBook()
    path = read_path(path, name="path")
    if path.suffix.lower() != ".csv":
        return _in_form(load_section(path, OverrideBook), form, subject=str(path))
    try:
        # `newline` as the csv module asks: a cell may hold a line break
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = [_filled(row) for row in csv.DictReader(handle, strict=True)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"overrides {path} cannot be read as CSV in UTF-8 ({type(error).__name__}): save it "
            "again as CSV in UTF-8"
        ) from None
    book = check_section({"overrides": rows}, OverrideBook, subject=str(path))
    return _in_form(book, form, subject=str(path))


def _in_form(book: OverrideBook, form: IdentifierForm, *, subject: str) -> OverrideBook:
    """Name the customers as the source's tables do."""
    names = put_in_form([each.customer_id for each in book.overrides], form)
    entries = [
        {**each.model_dump(), CUSTOMER_ID: name or ""}
        for each, name in zip(book.overrides, names, strict=True)
    ]
    # checked again, because an identifier may be empty in the form of the source
    content = {"overrides": entries, "rules": [each.model_dump() for each in book.rules]}
    return check_section(content, OverrideBook, subject=subject)


def _filled(row: dict[str | None, str | list[str] | None]) -> dict[str, str | list[str]]:
    """Leave out empty cells and surrounding blanks, as spreadsheets write them."""
    # a cell beyond the header has no column: its invented key is refused as unknown
    return {
        ("beyond the header" if name is None else name.strip()): cell
        for name, raw in row.items()
        if (cell := raw.strip() if isinstance(raw, str) else raw)
    }


def _check_tiers(book: OverrideBook, policy: TierPolicy) -> None:
    faults = Faults(f"entered overrides under policy {policy.label!r}", ConfigError)
    for number, entry in enumerate(book.overrides, start=1):
        faults.extend(
            f"override {number} ({entry.code}): unknown tier {tier!r}; known: "
            f"{', '.join(policy.tier_names)}"
            for tier in (entry.floor, entry.tier)
            if tier is not None and tier not in policy.tier_names
        )
    faults.raise_if_any()


def _valid(day: Times, start: date, expiry: date) -> Mask:
    """Mark the rows whose decision lies in ``[start, expiry)``, or has no day."""
    first, end = np.datetime64(start, "D"), np.datetime64(expiry, "D")
    return np.asarray(np.isnat(day) | ((first <= day) & (day < end)))


def _find_entered(book: OverrideBook, facts: FeatureTable, day: Times) -> Iterator[Found]:
    """Find the rows of its customer in which each entered override is in force."""
    rows: dict[str, list[int]] = {entry.customer_id: [] for entry in book.overrides}
    for row, customer in enumerate(facts.keys[CUSTOMER_ID].to_pylist() if rows else ()):
        if customer in rows:
            rows[customer].append(row)
    for entry in book.overrides:
        if not rows[entry.customer_id]:
            continue
        own = np.array(rows[entry.customer_id], np.int64)
        when = day[own]
        known = _valid(when, entry.start, entry.expiry)
        known &= np.isnat(when) | (when >= np.datetime64(entry.approved_on, "D"))
        if entry.withdrawn_on is not None:
            known &= np.isnat(when) | (when < np.datetime64(entry.withdrawn_on, "D"))
        yield own[known], entry
