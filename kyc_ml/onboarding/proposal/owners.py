"""The customer of each file's rows, by keys that other files contain."""

import re
from dataclasses import dataclass
from typing import Final

from kyc_ml.onboarding.proposal.roles import cast_parts
from kyc_ml.onboarding.proposal.samples import ColumnSample, Engine, FileSample, contained
from kyc_ml.onboarding.proposal.vocabulary import HOLDER, means, note, words
from kyc_ml.storage import quote_name, quote_text

CONTAINED: Final = 0.95
"""Share of a key's values that the joined file must contain (convention)."""
OWNING: Final = "owning_customer"
_MOST_HOPS: Final = 2
_FEW: Final = 0.5
"""Share of known customers below which a column called so may hold something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """Rows with their customer."""

    rows: str
    """SQL for ``from``; columns of the file keep their names."""
    customer: str
    files: tuple[str, ...]
    score: float
    """In [0, 1]."""
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BankOwners:
    """Who counts as a customer, by the transactions."""

    by_account: bool = False
    """True where no file says who owns an account: the account itself is the customer."""
    of_customers: bool = False
    """True where the transactions name customers themselves."""
    ids: tuple[tuple[str, str], ...] = ()
    """Tuple of (file, column); columns of the transactions that hold customers or accounts."""
    holders: tuple[str, str, str, str] | None = None
    """(file, account column, customer column, condition) that give the owner."""
    note: str = ""


def identify_customers(
    sample: FileSample | None, customer: ColumnSample | None, accounts: tuple[ColumnSample, ...]
) -> BankOwners:
    """Decide whether customers or accounts are scored; `sample` is of the transactions."""
    if sample is None or (customer is None and not accounts):
        return BankOwners()
    holders = _holders(sample, accounts)
    if customer is not None:
        return BankOwners(of_customers=True, ids=((sample.name, customer.name),), holders=holders)
    ids = tuple((sample.name, column.name) for column in accounts)
    if holders is None:
        return BankOwners(by_account=True, ids=ids, note=note("accounts_are_customers"))
    where = f" where {holders[3]}" if holders[3] else ""
    return BankOwners(
        ids=ids, holders=holders, note=note("looked_up", file=holders[0], where=where)
    )


def _holders(
    sample: FileSample, accounts: tuple[ColumnSample, ...]
) -> tuple[str, str, str, str] | None:
    for other in sample.engine.samples:
        if other.name == sample.name or not accounts:
            continue
        parts = cast_parts(other, "accounts")
        account, owner = parts.get("account_id"), parts.get("customer_id")
        if account is None or owner is None:
            continue
        inner = (sample.name, accounts[0].name)
        if contained(sample.engine, inner, (other.name, account.column.name)) < CONTAINED:
            continue
        condition = "" if account.column.unique else _one_owner(other, account.column)
        if condition is not None:
            return other.name, account.column.name, owner.column.name, condition
    return None


def _one_owner(sample: FileSample, account: ColumnSample) -> str | None:
    """Find the condition that leaves one row per account; empty if owners never differ."""
    part = cast_parts(sample, "accounts").get(HOLDER)
    columns = [part.column] if part else [c for c in sample.columns if c.codes]
    for column in columns:
        for code in column.codes:
            if not means(code, words("owners")):
                continue
            condition = f"{column.text} = {quote_text(code)}"
            most = sample.engine.one(
                f"SELECT max(n) FROM (SELECT count(*) AS n FROM {quote_name(sample.name)} "
                f"WHERE {condition} GROUP BY {account.sql})"
            )[0]
            if most == 1:
                return condition
    return None


def find_owner(bank: BankOwners, sample: FileSample, table: str, *, hops: int = 0) -> Owned | None:
    """Find the customers of a file's rows; None if no key leads to them."""
    parts = cast_parts(sample, table)
    customer, account = parts.get("customer_id"), parts.get("account_id")
    if customer is not None and _names_account(bank, sample, customer.column):
        return _through_account(bank, sample, customer.column)
    if customer is not None and not (bank.by_account and account is not None):
        return _own(sample, customer.column, customer.score, f"column {customer.column.name}")
    if account is not None:
        if bank.by_account:
            return _own(sample, account.column, account.score, note("account_as_customer"))
        if bank.holders is not None:
            return _through_account(bank, sample, account.column)
    return _entity(bank, sample) or _through_key(bank, sample, hops=hops)


def _own(sample: FileSample, column: ColumnSample, score: float, evidence: str) -> Owned:
    return Owned(
        rows=sample.sql, customer=column.sql, files=(sample.name,), score=score, evidence=evidence
    )


def _names_account(bank: BankOwners, sample: FileSample, column: ColumnSample) -> bool:
    if bank.holders is None:
        return False
    name, account, owner, _ = bank.holders
    inner = (sample.name, column.name)
    customers = [
        (name, owner),
        *(each for each in bank.ids if each[0] != name and bank.of_customers),
    ]
    own = max(contained(sample.engine, inner, each) for each in customers)
    if (name, owner) == inner or own >= _FEW:
        return False
    return contained(sample.engine, inner, (name, account)) >= CONTAINED


def owners_sql(engine: Engine, holders: tuple[str, str, str, str], customer: str) -> str:
    """Write the query of accounts, as ``joined_key``, and their customers."""
    name, account, owner, condition = holders
    holder = engine.sample(name)
    where = f" WHERE {condition}" if condition else ""
    return (
        f"SELECT {holder.column(account).sql} AS joined_key, {holder.column(owner).sql} "
        f"AS {customer} FROM {holder.sql}{where}"
    )


def _through_account(bank: BankOwners, sample: FileSample, account: ColumnSample) -> Owned | None:
    if bank.holders is None:
        return None
    name, key, _, _ = bank.holders
    share = contained(sample.engine, (sample.name, account.name), (name, key))
    if share < CONTAINED:
        return None
    return _joined(
        sample,
        account,
        owners=owners_sql(sample.engine, bank.holders, OWNING),
        key=sample.engine.sample(name).column(key),
        files=(name,),
        evidence=note("held_by", column=account.name, share=share, file=name),
    )


def _entity(bank: BankOwners, sample: FileSample) -> Owned | None:
    """Take a unique column that holds the transactions' customers, if a word is shared."""
    for column in sample.columns:
        if not column.unique:
            continue
        shares = [
            contained(sample.engine, each, (sample.name, column.name))
            for each in bank.ids
            if each[0] != sample.name and _words(each[1]) & _words(column.name)
        ]
        if shares and min(shares) >= CONTAINED:
            return _own(sample, column, 0.75, note("holds_customers", share=min(shares)))
    return None


def _words(name: str) -> set[str]:
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    words = {word.removesuffix("id") for word in re.split(r"[\W_]+", parted)}
    return {word for word in words if len(word) > 1} - {"from", "to", "no", "account", "source"}


def _through_key(bank: BankOwners, sample: FileSample, *, hops: int) -> Owned | None:
    """Join a file whose unique column has the same name, and whose customer is known."""
    if hops == _MOST_HOPS:
        return None
    for column in sample.columns:
        if not re.search(r"id$|_no$|key$|号$|hao$|编号$", column.normal):
            continue
        for other in sample.engine.samples:
            if other.name == sample.name:
                continue
            match = [c for c in other.columns if c.normal == column.normal and c.unique]
            if not match:
                continue
            share = contained(
                sample.engine, (sample.name, column.name), (other.name, match[0].name)
            )
            if share < CONTAINED:
                continue
            owned = find_owner(bank, other, "accounts", hops=hops + 1)
            if owned is None:
                continue
            return _joined(
                sample,
                column,
                owners=f"SELECT {match[0].sql} AS joined_key, {owned.customer} AS {OWNING} "
                f"FROM {owned.rows}",
                key=match[0],
                files=owned.files,
                evidence=note("held_by", column=column.name, share=share, file=other.name),
            )
    return None


def _joined(
    sample: FileSample,
    column: ColumnSample,
    *,
    owners: str,
    key: ColumnSample,
    files: tuple[str, ...],
    evidence: str,
) -> Owned:
    """Write a left join: a row whose customer is not found stays, and is reported."""
    same = column.type == key.type
    on = (
        f"own.{column.sql} = owners.joined_key"
        if same
        else f"CAST(own.{column.sql} AS VARCHAR) = CAST(owners.joined_key AS VARCHAR)"
    )
    return Owned(
        rows=(
            f"(SELECT own.*, owners.{OWNING} FROM {sample.sql} AS own\n"
            f"LEFT JOIN ({owners}) AS owners\nON {on}) AS {sample.sql}"
        ),
        customer=OWNING,
        files=tuple(dict.fromkeys((sample.name, *files))),
        score=0.75,
        evidence=evidence,
    )
