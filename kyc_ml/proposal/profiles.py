"""The tables beside the transactions: customers, accounts, events, reports of third parties."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from kyc_ml.contract.tables import (
    ACCOUNTS,
    CONTRACT,
    CUSTOMERS,
    EVENTS,
    THIRD_PARTY,
)
from kyc_ml.engine.local import quote_text
from kyc_ml.proposal.columns import constant, guess_column
from kyc_ml.proposal.guesses import Guess, TableProposal, certainty_of
from kyc_ml.proposal.looking import Desk, FileLook
from kyc_ml.proposal.owners import OWNING, Bank, Owned, find_owner
from kyc_ml.proposal.roles import Parts, cast_parts, missed_parts
from kyc_ml.proposal.vocabulary import CLOCK, file_score, names_key

_FACTS: Final = (
    "customer_type",
    "industry",
    "residence_country",
    "nationality",
    "birth_date",
    "onboarded_at",
    "document_number",
    "declared_income",
    "pep_status",
    "list_hit",
    "segment",
)
_WELL: Final = 0.7
_WIDE: Final = 5
"""Columns from which a file with a row a customer is more than a list of labels (convention)."""
_ANY_EVENTS: Final = ("event", "events", "log", "logs", "事件", "日志")
"""Names of files that tell nothing of the kind of event."""


def choose_file(
    desk: Desk, table: str, taken: set[str], fits: Callable[[FileLook, Parts], float]
) -> tuple[FileLook, Parts] | None:
    """Choose the file that fits a table best; None if none does."""
    best: tuple[float, FileLook, Parts] | None = None
    for look in desk.looks:
        if look.name in taken:
            continue
        parts = cast_parts(desk, look, table)
        score = fits(look, parts)
        if score > 0 and (best is None or score > best[0]):
            best = score, look, parts
    return None if best is None else (best[1], best[2])


def fits_customers(look: FileLook, parts: Parts) -> float:
    """Score a file of profiles: facts of persons, a row or a version each."""
    facts = [name for name in _FACTS if name in parts and parts[name].score >= _WELL]
    named = file_score(CUSTOMERS, look.normal)
    whose = parts.get("customer_id")
    told = facts and (named or len(facts) > 1)
    # a row a customer with facts of the bank's own
    own = whose is not None and whose.column.unique and len(look.columns) >= _WIDE
    if whose is None or not (told or (own and "event_time" not in parts)):
        return 0.0
    return len(facts) + named + (1.0 if whose.column.unique else 0.0)


def fits_accounts(look: FileLook, parts: Parts) -> float:
    """Score a file of accounts: an identifier and a date, an owner or a state."""
    account = parts.get("account_id")
    if account is None or account.score < _WELL or "event_time" not in parts:
        return 0.0
    named = file_score(ACCOUNTS, look.normal)
    return named + (1.0 if account.column.unique else 0.0) if named else 0.0


def fits_events(look: FileLook, parts: Parts) -> float:
    """Score a file of events: a time and a kind, and a word in its name."""
    if "event_time" not in parts:
        return 0.0
    named = file_score(EVENTS, look.normal)
    exact = "event_type" in parts and parts["event_type"].score >= _WELL
    return named * (1.0 + float("event_type" in parts)) + float(exact and bool(named))


def fits_third_party(look: FileLook, parts: Parts) -> float:
    """Score a file of reports: what is reported, its value, and when."""
    needed = ("item", "value", "event_time")
    if any(name not in parts for name in needed):
        return 0.0
    named = file_score(THIRD_PARTY, look.normal)
    return named + min(parts[name].score for name in needed) if named else 0.0


def propose_plain(
    desk: Desk, bank: Bank, look: FileLook, parts: Parts, table: str
) -> TableProposal | None:
    """Write a table column by column; None if nobody's rows they would be."""
    owned = find_owner(desk, bank, look, table)
    if owned is None:
        return None
    made = TableProposal(name=table, rows=owned.rows, files=owned.files)
    contract = CONTRACT[table]
    for name in contract.names:
        if name == "customer_id":
            made.add(customer_guess(owned))
        elif name in parts:
            made.add(guess_column(desk, look, table, name, parts[name]))
    for name, missed in missed_parts(desk, look, table, parts).items():
        if name not in made.columns:
            made.dropped[name] = f"column {missed.column.name} {missed.todo}"
    key = contract.key[0]
    if key not in made.columns:
        made.add(numbered_key(made, look, owned, parts, key))
    return made


def customer_guess(owned: Owned) -> Guess:
    """Write whose the rows are."""
    sql = f"{owned.customer}"
    return Guess(
        column="customer_id",
        sql=sql,
        certainty=certainty_of(owned.score),
        evidence=f"through {owned.evidence}" if sql == OWNING else owned.evidence,
    )


def numbered_key(
    made: TableProposal, look: FileLook, owned: Owned, parts: Parts, key: str
) -> Guess:
    """Take a unique column for a key, or number rows by their content."""
    unique = [c for c in look.columns if c.unique and names_key(c.normal)]
    if unique and look.rows > 1:
        return Guess(
            column=key,
            sql=f"{quote_text(look.name + '-')} || {unique[0].sql}",
            certainty="likely",
            evidence=f"column {unique[0].name} is unique",
        )
    used = [part.column.sql for role, part in parts.items() if role != CLOCK]
    content = ", ".join(dict.fromkeys([owned.customer, *used]))
    made.rows = (
        f"(SELECT *, concat_ws('-', {quote_text(look.name)}, {content},\n"
        f"row_number() OVER (PARTITION BY {content})) AS numbered_id FROM {made.rows}) "
        f"AS {look.sql}"
    )
    return Guess(
        column=key, sql="numbered_id", certainty="guess", evidence="no unique column: by content"
    )


def finish_customers(made: TableProposal, start: datetime | None) -> None:
    """Date a profile that has no date: by the start of the relationship, or of the data."""
    if "event_time" in made.columns:
        return
    if "onboarded_at" in made.columns:
        guess = made.columns["onboarded_at"]
        made.add(
            Guess(
                column="event_time",
                sql=guess.sql,
                certainty="guess",
                evidence="no date of the profile: the start of the relationship is taken; "
                "facts that changed later would tell the past of the future: confirm",
            )
        )
        return
    if start is not None:
        made.add(
            Guess(
                column="event_time",
                sql=f"TIMESTAMP '{start:%Y-%m-%d}'",
                certainty="guess",
                evidence="no date of the profile: known since the data begin is assumed; facts "
                "that changed later would tell the past of the future: confirm",
            )
        )


def finish_events(made: TableProposal, look: FileLook, parts: Parts) -> None:
    """Name the kind of event after the file where no column does."""
    if "event_type" not in made.columns:
        made.add(constant("event_type", look.normal, "no column of kinds: the file's name"))
    elif look.normal not in _ANY_EVENTS:
        guess = made.columns["event_type"]
        made.add(
            Guess(
                column="event_type",
                sql=f"{quote_text(look.normal + '_')} || {guess.sql}",
                certainty="guess",
                evidence=f"{guess.evidence}, after the file's name",
                alternatives=(guess.sql,),
            )
        )


def finish_third_party(made: TableProposal, look: FileLook) -> None:
    """Name the file where no column tells who reports."""
    if "provider" not in made.columns:
        made.add(constant("provider", look.normal, "no column of providers: the file's name"))


def lacks_required(made: TableProposal) -> list[str]:
    """List required columns that no guess gives; `known_at` has a default."""
    return [
        column.name
        for column in CONTRACT[made.name].columns
        if column.required and column.name not in {*made.columns, "known_at"}
    ]
