"""What was known of a customer at a decision: rows, payments, and who the customer is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import contract as c
from kyc_ml.decision.wording import Language, name_value, write_text

_PROFILE: Final = (
    *(c.CUSTOMER_TYPE, c.SEGMENT, c.INDUSTRY, c.RESIDENCE_COUNTRY, c.NATIONALITY, c.BIRTH_DATE),
    *(
        c.ONBOARDED_AT,
        c.ONBOARDING_CHANNEL,
        c.PEP_STATUS,
        c.LIST_HIT,
        c.DOCUMENT_EXPIRY,
        c.DECLARED_INCOME,
    ),
)
_YEAR: Final = 365
_SOON: Final = 90
"""Days before its end from which an expiring document is marked (convention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that is known of the customer or the payment, in the language of the sheet."""

    what: str
    value: str
    state: Literal["known", "unknown", "absent", "alarming"] = "known"
    """{'known', 'unknown', 'absent', 'alarming'}; unknown: the source has the column, and nothing
    of this customer · absent: the source does not have it · alarming: what an analyst must not
    overlook."""


def known_rows(
    table: pa.Table,
    *,
    decision: pd.Timestamp,
    since: pd.Timestamp | None = None,
    customer: str | None = None,
) -> pa.Table:
    """Keep the rows that happened before the decision, since a time, and were known at it."""
    if customer is not None:
        table = table.filter(pc.equal(table[c.CUSTOMER_ID], customer))
    now = pa.scalar(decision.to_pydatetime(), pa.timestamp("us", tz="UTC"))
    kept = pc.and_(pc.less(table[c.EVENT_TIME], now), pc.less_equal(table[c.KNOWN_AT], now))
    if since is not None:
        start = pa.scalar(since.to_pydatetime(), pa.timestamp("us", tz="UTC"))
        kept = pc.and_(kept, pc.greater_equal(table[c.EVENT_TIME], start))
    return table.filter(kept)


def known_payments(
    tables: c.ContractedTables, customer: str, *, decision: pd.Timestamp, scored: str | None = None
) -> pd.DataFrame:
    """List a customer's payments that were known at the decision, in order of time.

    `scored`: the transaction that is scored: known to its own decision, it comes last.
    transaction_id, time (in the zone of `decision`), direction, amount, counterparty_id,
    instrument, channel (None where unknown, or where the source lacks the column), and new: whether
    it was the first known payment with its counterparty.
    """
    rows = tables.tables.get(c.TRANSACTIONS)
    columns = (
        c.TRANSACTION_ID,
        c.EVENT_TIME,
        c.DIRECTION,
        c.AMOUNT,
        c.COUNTERPARTY_ID,
        c.INSTRUMENT,
        c.CHANNEL,
    )
    if rows is None:
        return pd.DataFrame(columns=[*columns, "time", "new"])
    own = known_rows(rows, decision=decision, customer=customer)
    if scored is not None:
        own = pa.concat_tables([own, rows.filter(pc.equal(rows[c.TRANSACTION_ID], scored))])
    frame = own.select([name for name in columns if name in own.column_names]).to_pandas()
    for name in columns:
        if name not in frame:
            frame[name] = None
    frame["time"] = frame[c.EVENT_TIME].dt.tz_convert(decision.tz)
    party = frame[c.COUNTERPARTY_ID]
    frame["new"] = party.notna() & ~party.duplicated()
    listed: pd.DataFrame = frame.drop(columns=c.EVENT_TIME)
    return listed


def flow_of_year(payments: pd.DataFrame, *, decision: pd.Timestamp) -> tuple[float, float]:
    """Return the amounts received and sent in the 365 days before the decision."""
    year = decision - pd.Timedelta(days=_YEAR)
    recent = payments[payments["time"].between(year, decision, inclusive="left")]
    sums = recent.groupby(c.DIRECTION)[c.AMOUNT].sum()
    return float(sums.get("in", 0.0)), float(sums.get("out", 0.0))


def describe_payment(
    observation: pa.Table, payments: pd.DataFrame, tables: c.ContractedTables, *, language: Language
) -> tuple[Fact, ...]:
    """Describe the scored payment by its own fields; missing ones are left out.

    `observation`: pyarrow.Table of one row.
    `payments`: the customer's payments up to this one; see `known_payments`.
    """
    own = observation.to_pylist()[0]
    party = own.get(c.COUNTERPARTY_ID)
    when = f"{payments['time'].iloc[-1]:%Y-%m-%d %H:%M}"
    found = [Fact(what=write_text("rows", "time", language), value=when)]
    for name in (
        *(
            c.AMOUNT,
            c.DIRECTION,
            c.COUNTERPARTY_ID,
            c.INSTRUMENT,
            c.CHANNEL,
            c.COUNTRY,
            c.REGION,
            c.DEVICE_ID,
        ),
    ):
        value = own.get(name)
        if value is None:
            continue
        what = write_text("rows", name, language, currency=tables.base_currency)
        if name == c.COUNTERPARTY_ID:
            earlier = int((payments[c.COUNTERPARTY_ID] == party).sum()) - 1
            key = "earlier" if earlier else "first"
            said = f"{party} {write_text('who', key, language, n=earlier)}"
        elif name == c.AMOUNT:
            said = f"{value:,.2f}"
        else:
            said = str(value) if name == c.DEVICE_ID else say_code(str(value), language)
        found.append(Fact(what=what, value=said))
    return tuple(found)


def describe_customer(
    tables: c.ContractedTables,
    customer: str,
    payments: pd.DataFrame,
    *,
    decision: pd.Timestamp,
    language: Language,
) -> tuple[Fact, ...]:
    """Describe who the customer is, by the version of the profile known at the decision.

    What the source lacks is listed as absent, so that silence is never read as "none".
    """
    table, latest = tables.tables.get(c.CUSTOMERS), dict[str, Any]()
    if table is not None:
        versions = known_rows(table, decision=decision, customer=customer)
        versions = versions.sort_by([(c.EVENT_TIME, "ascending"), (c.KNOWN_AT, "ascending")])
        latest = (versions.to_pylist() or [dict.fromkeys(versions.column_names)])[-1]
    found, currency = list[Fact](), tables.base_currency
    for name in _PROFILE:
        value = latest.get(name)
        # only a person has a nationality
        if name == c.NATIONALITY and value is None and latest.get(c.CUSTOMER_TYPE) == "entity":
            continue
        key = f"{name}_entity" if latest.get(c.CUSTOMER_TYPE) == "entity" else name
        what = name_value("who", key, language, otherwise=write_text("who", name, language))
        if name in latest and value is not None:
            entity = latest.get(c.CUSTOMER_TYPE) == "entity"
            fact = _fact(what, name, value, decision, language, currency=currency, entity=entity)
            found.append(fact)
            continue
        there = name in latest
        said = write_text(*(("reason", "unknown") if there else ("who", "absent")), language)
        found.append(Fact(what=what, value=said, state="unknown" if there else "absent"))
    found += _flows(tables, payments, latest.get(c.DECLARED_INCOME), decision, language)
    return (*found, *_reported(tables, customer, decision, language))


def _fact(
    what: str,
    name: str,
    value: object,
    decision: pd.Timestamp,
    language: Language,
    *,
    currency: str,
    entity: bool,
) -> Fact:
    alarming = (name == c.PEP_STATUS and value != "none") or value is True
    match value:
        case bool():
            said = write_text("reason", "yes" if value else "no", language)
        case pd.Timestamp() if name == c.ONBOARDED_AT:
            said = f"{value.tz_convert(decision.tz):%Y-%m-%d}"
        case date() if name == c.DOCUMENT_EXPIRY:
            left = (value - decision.date()).days
            alarming, said = left < _SOON, str(value)
            if alarming:
                key = "expired" if left < 0 else "expires"
                said += write_text("who", key, language, days=abs(left))
        case date() if name == c.BIRTH_DATE:
            years = decision.year - value.year
            years -= (decision.month, decision.day) < (value.month, value.day)
            said = write_text("who", "years_entity" if entity else "years", language, years=years)
        case date():
            said = f"{pd.Timestamp(value):%Y-%m-%d}"
        case float():
            said = f"{value:,.0f} {currency}"
        case _:
            said = say_code(str(value), language)
    return Fact(what=what, value=said, state="alarming" if alarming else "known")


def say_code(code: str, language: Language) -> str:
    """Name a code of the data; one of the bank's own is shown as it is, without underscores."""
    return name_value("values", code, language, otherwise=code.replace("_", " "))


def _flows(
    tables: c.ContractedTables,
    payments: pd.DataFrame,
    income: float | None,
    decision: pd.Timestamp,
    language: Language,
) -> Iterator[Fact]:
    """Compare what came in and went out in a year with what the customer declared."""
    bookings = tables.tables.get(c.TRANSACTIONS)
    if bookings is None or c.DIRECTION not in bookings.column_names:
        absent = write_text("who", "absent", language)
        yield Fact(what=write_text("who", "flow", language), value=absent, state="absent")
        return
    came, went = flow_of_year(payments, decision=decision)
    for key, amount in (("in", came), ("out", went)):
        said = f"{amount:,.0f} {tables.base_currency}"
        times = amount / income if income else 0.0
        if times >= 0.05:
            said += write_text("who", "times", language, times=f"{times:,.1f}")
        yield Fact(
            what=write_text("who", key, language),
            value=said,
            state="alarming" if key == "in" and times >= 2.0 else "known",
        )


def _reported(
    tables: c.ContractedTables, customer: str, decision: pd.Timestamp, language: Language
) -> Iterator[Fact]:
    """List what others reported last of each item."""
    table = tables.tables.get(c.THIRD_PARTY)
    if table is None:
        absent = write_text("who", "absent", language)
        yield Fact(what=write_text("who", "reports", language), value=absent, state="absent")
        return
    own = known_rows(table, decision=decision, customer=customer).to_pandas()
    for item, rows in own.groupby(c.ITEM):
        last = rows.iloc[-1]
        value = "" if c.VALUE not in rows or pd.isna(last[c.VALUE]) else f"{last[c.VALUE]:,g} "
        when = f"({last[c.EVENT_TIME].tz_convert(decision.tz):%Y-%m-%d})"
        yield Fact(what=say_code(str(item), language), value=f"{value}{when}")


def known_cases(
    tables: c.ContractedTables, customer: str, *, decision: pd.Timestamp, language: Language
) -> tuple[Mapping[str, str], ...] | None:
    """List the customer's cases in the state known at the decision, the latest first.

    known, conduct (days), outcome, typology; None if the source has no cases.
    """
    table = tables.tables.get(c.CASES)
    if table is None:
        return None
    own = known_rows(table, decision=decision, customer=customer).to_pandas()
    own = own.sort_values(c.KNOWN_AT, kind="stable").drop_duplicates(c.CASE_ID, keep="last")
    return tuple(
        {
            "known": f"{row[c.KNOWN_AT].tz_convert(decision.tz):%Y-%m-%d}",
            "conduct": f"{row[c.EVENT_TIME].tz_convert(decision.tz):%Y-%m-%d}",
            "outcome": say_code(row[c.OUTCOME], language),
            "typology": "–"
            if pd.isna(row.get(c.TYPOLOGY))
            else say_code(row[c.TYPOLOGY], language),
        }
        for row in own.iloc[::-1].to_dict("records")
    )
