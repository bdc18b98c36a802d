"""The tables other than transactions: customers, accounts, events, reports of third parties."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from kyc_ml.contract import ACCOUNTS, CONTRACT, CUSTOMERS, EVENTS, THIRD_PARTY
from kyc_ml.onboarding.proposal.columns import constant, guess_column
from kyc_ml.onboarding.proposal.guesses import Guess, TableProposal, certainty_of
from kyc_ml.onboarding.proposal.owners import OWNING, BankOwners, Owned, find_owner
from kyc_ml.onboarding.proposal.roles import RoleParts, cast_parts, missed_parts
from kyc_ml.onboarding.proposal.samples import Engine, FileSample
from kyc_ml.onboarding.proposal.vocabulary import CLOCK, file_score, names_key, note, words
from kyc_ml.storage import quote_text

_FACTS: Final = (
    *("customer_type", "industry", "residence_country", "nationality", "birth_date"),
    *("onboarded_at", "document_number", "declared_income", "pep_status", "list_hit", "segment"),
)
_WELL: Final = 0.7
_WIDE: Final = 5
"""Columns from which a file with one row per customer is more than labels (convention)."""

Fits = Callable[[FileSample, RoleParts], float]
"""A score of how well a file fits a table; 0 where it does not."""


def choose_file(
    engine: Engine, table: str, taken: set[str], fits: Fits | None = None
) -> tuple[FileSample, RoleParts] | None:
    """Choose the file that fits a table best, among those not yet used; None without one."""
    fits = fits or _FITS[table]
    best: tuple[float, FileSample, RoleParts] | None = None
    for sample in engine.samples:
        if sample.name in taken:
            continue
        parts = cast_parts(sample, table)
        score = fits(sample, parts)
        if score > 0 and (best is None or score > best[0]):
            best = score, sample, parts
    return None if best is None else (best[1], best[2])


def _fits_customers(sample: FileSample, parts: RoleParts) -> float:
    facts = [name for name in _FACTS if name in parts and parts[name].score >= _WELL]
    named = file_score(CUSTOMERS, sample.normal)
    whose = parts.get("customer_id")
    described = facts and (named or len(facts) > 1)
    # one row per customer with columns that are not in the contract
    own = whose is not None and whose.column.unique and len(sample.columns) >= _WIDE
    if whose is None or not (described or (own and "event_time" not in parts)):
        return 0.0
    return len(facts) + named + float(whose.column.unique)


def _fits_accounts(sample: FileSample, parts: RoleParts) -> float:
    account = parts.get("account_id")
    if account is None or account.score < _WELL or "event_time" not in parts:
        return 0.0
    named = file_score(ACCOUNTS, sample.normal)
    return named + float(account.column.unique) if named else 0.0


def _fits_events(sample: FileSample, parts: RoleParts) -> float:
    if "event_time" not in parts:
        return 0.0
    named = file_score(EVENTS, sample.normal)
    exact = "event_type" in parts and parts["event_type"].score >= _WELL
    return named * (1.0 + float("event_type" in parts)) + float(exact and bool(named))


def _fits_third_party(sample: FileSample, parts: RoleParts) -> float:
    needed = ("item", "value", "event_time")
    if any(name not in parts for name in needed):
        return 0.0
    named = file_score(THIRD_PARTY, sample.normal)
    return named + min(parts[name].score for name in needed) if named else 0.0


_FITS: Final[Mapping[str, Fits]] = {
    CUSTOMERS: _fits_customers,
    ACCOUNTS: _fits_accounts,
    EVENTS: _fits_events,
    THIRD_PARTY: _fits_third_party,
}


def propose_plain(
    bank: BankOwners,
    sample: FileSample,
    parts: RoleParts,
    table: str,
    *,
    start: datetime | None = None,
) -> TableProposal | None:
    """Write a table column by column; None if the customers of its rows are unknown.

    `start` is the start of the data: profiles without a date count as known from then on.
    """
    owned = find_owner(bank, sample, table)
    if owned is None:
        return None
    made = TableProposal(name=table, rows=owned.rows, files=owned.files)
    contract = CONTRACT[table]
    for name in contract.names:
        if name == "customer_id":
            made.add(customer_guess(owned))
        elif name in parts:
            made.add(guess_column(sample, table, name, parts[name]))
    for name, missed in missed_parts(sample, table, parts).items():
        if name not in made.columns:
            made.dropped[name] = f"column {missed.column.name} {missed.todo}"
    if contract.key[0] not in made.columns:
        made.add(numbered_key(made, sample, owned, parts, contract.key[0]))
    _complete(made, sample, start)
    return made


def customer_guess(owned: Owned) -> Guess:
    """Write the customer of the rows."""
    through = "through " if owned.customer == OWNING else ""
    evidence = through + owned.evidence
    return Guess("customer_id", owned.customer, certainty_of(owned.score), evidence)


def numbered_key(
    made: TableProposal, sample: FileSample, owned: Owned, parts: RoleParts, key: str
) -> Guess:
    """Take a unique column for a key, or number rows by their content."""
    unique = [c for c in sample.columns if c.unique and names_key(c.normal)]
    if unique and sample.rows > 1:
        sql = f"{quote_text(sample.name + '-')} || {unique[0].sql}"
        return Guess(key, sql, "likely", note("unique", column=unique[0].name))
    used = [part.column.sql for role, part in parts.items() if role != CLOCK]
    content = ", ".join(dict.fromkeys([owned.customer, *used]))
    made.rows = (
        f"(SELECT *, concat_ws('-', {quote_text(sample.name)}, {content},\n"
        f"row_number() OVER (PARTITION BY {content})) AS numbered_id FROM {made.rows}) "
        f"AS {sample.sql}"
    )
    return Guess(key, "numbered_id", "guess", note("by_content"))


def _complete(made: TableProposal, sample: FileSample, start: datetime | None) -> None:
    """Fill in what no column has: date of a profile, kind of event, provider of a report."""
    columns = made.columns
    if made.name == CUSTOMERS and "event_time" not in columns:
        if "onboarded_at" in columns:
            sql, shown = columns["onboarded_at"].sql, note("dated_by_onboarding")
            made.add(Guess("event_time", sql, "guess", shown))
        elif start is not None:
            sql, shown = f"TIMESTAMP '{start:%Y-%m-%d}'", note("dated_by_start")
            made.add(Guess("event_time", sql, "guess", shown))
    elif made.name == EVENTS and "event_type" not in columns:
        made.add(constant("event_type", sample.normal, note("named_by_file", what="kinds")))
    elif made.name == EVENTS and sample.normal not in words("any_events"):
        guess = columns["event_type"]
        sql, shown = f"{quote_text(sample.normal + '_')} || {guess.sql}", note("after_file")
        shown = f"{guess.evidence}, {shown}"
        made.add(Guess("event_type", sql, "guess", shown, (guess.sql,)))
    elif made.name == THIRD_PARTY and "provider" not in columns:
        made.add(constant("provider", sample.normal, note("named_by_file", what="providers")))
