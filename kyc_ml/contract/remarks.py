"""What is noted of a row while it is read, and costs no row."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from kyc_ml.contract import tables as c
from kyc_ml.contract.checks import ContractCheck, RowRules, family_of, raw_name
from kyc_ml.contract.identifiers import is_nothing_sql
from kyc_ml.storage import quote_name

OLDEST_YEARS: Final = 120
"""Convention: of all people whose age is verified, one lived longer (122 years)."""


def remarks_of(
    contract: c.TableContract,
    types: Mapping[str, str],
    *,
    rules: RowRules,
    horizon: datetime | None,
) -> tuple[ContractCheck, ...]:
    """List what is noted of rows: identifiers that were trimmed or are words, impossible dates.

    `types`: mapping of column to DuckDB type; of the mapped expressions.
    `horizon`: last time of the other tables: a profile cannot be later; None is unknown.
    """
    remarks = [
        remark
        for column in contract.columns
        if column.identifier and family_of(types.get(column.name, "")) == "text"
        for remark in _identifier_remarks(column.name, types[column.name], rules)
    ]
    if contract.name == c.CUSTOMERS:
        remarks += _profile_remarks(types, horizon)
    return tuple(remarks)


def _identifier_remarks(column: str, duck_type: str, rules: RowRules) -> list[ContractCheck]:
    typed = quote_name(column)
    remarks = [ContractCheck.of("word for nothing", column, is_nothing_sql(typed))]
    if rules.form.trim and duck_type == "VARCHAR":
        raw = raw_name(column)
        trimmed = (
            f"strlen({raw}) > strlen({typed}) "
            rf"AND regexp_matches({raw}, '^[\s\pZ]|[\s\pZ]$|[\pC]')"
        )
        remarks.append(ContractCheck.of("trimmed", column, trimmed))
    return remarks


def _profile_remarks(types: Mapping[str, str], horizon: datetime | None) -> list[ContractCheck]:
    """Note dates of a profile that cannot be; those of which that is certain are not used."""
    remarks = []
    born, begun, ends = (
        quote_name(each) for each in (c.BIRTH_DATE, c.ONBOARDED_AT, c.DOCUMENT_EXPIRY)
    )
    event = quote_name(c.EVENT_TIME)
    known = quote_name(c.KNOWN_AT)

    def note(key: str, needed: Collection[str], broken: str, *, voids: bool = True) -> None:
        column, *_ = needed
        if set(needed) <= set(types):
            remarks.append(ContractCheck.of(key, column, broken, voids=voids, years=OLDEST_YEARS))

    if horizon is not None:  # and a day, for the zone
        last = f"greatest(TIMESTAMPTZ '{horizon.isoformat()}', {event}, {known}) + INTERVAL 1 DAY"
        for column in (c.BIRTH_DATE, c.ONBOARDED_AT):
            note("after the data", (column,), f"{quote_name(column)} > {last}")
    first = f"CAST({event} AS DATE) - INTERVAL {OLDEST_YEARS} YEAR"
    aged = f"{quote_name(c.CUSTOMER_TYPE)} = 'person' AND {born} < {first}"
    note("too old", (c.BIRTH_DATE, c.CUSTOMER_TYPE), aged)
    note("before birth", (c.ONBOARDED_AT, c.BIRTH_DATE), f"{begun} < {born}", voids=False)
    note("before birth", (c.DOCUMENT_EXPIRY, c.BIRTH_DATE), f"{ends} < {born}", voids=False)
    return remarks
