"""The evidence on the sheet: rows behind a reason, the timeline, the flow of money."""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import contract as c
from kyc_ml.decision.casework.known import say_code
from kyc_ml.decision.explain.sentences import say_value
from kyc_ml.decision.wording import Language, write_text
from kyc_ml.display import Band, Dot, Drawing, Link, draw_flow, draw_timeline
from kyc_ml.features import FeatureSpec, RowColumn, RowsBehind, Window, name_of

DAYS: Final = 90
"""Days of payments that are drawn (convention)."""

WIDTHS: Final = (1000.0, 340.0)
"""Widths of a picture on a wide and on a narrow screen."""

MOST_ROWS: Final = 10
"""Rows that are listed behind one reason (convention)."""
MOST_OF_PATTERN: Final = 24
"""Rows that are listed of one pattern (convention): they are what the analyst examines first."""

_SHOWN: Final = (
    *(c.CUSTOMER_ID, c.DIRECTION, c.AMOUNT, c.COUNTERPARTY_ID, c.INSTRUMENT, c.CHANNEL),
    *(c.EVENT_TYPE, c.ACCOUNT_TYPE, c.STATUS, c.PROVIDER, c.ITEM, c.VALUE, c.OUTCOME, c.TYPOLOGY),
    *("pattern", "role", "length"),
)
"""Columns of any table that an analyst needs, in the order to show them."""
_ON_DEMAND: Final = (c.COUNTRY, c.DEVICE_ID)
"""Columns that are shown where the feature reads them."""
_NAMES: Final = frozenset({c.CUSTOMER_ID, c.COUNTERPARTY_ID, c.DEVICE_ID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A few rows, written in the language of the sheet."""

    heads: tuple[str, ...]
    """Names of the columns, the time first."""
    rows: tuple[tuple[str, ...], ...]
    """Tuple of tuple of str; in order of time; at most `MOST_ROWS`, or of a pattern
    `MOST_OF_PATTERN`."""
    right: tuple[bool, ...]
    """Which columns are numbers."""
    more: str = ""
    """How many rows are not shown, and their sum; empty if all are."""


def list_rows(
    behind: RowsBehind,
    *,
    customer: str,
    new: Collection[str],
    timezone: str,
    currency: str,
    language: Language,
    most: int = MOST_ROWS,
    spec: FeatureSpec | None = None,
) -> Evidence | None:
    """Write the rows behind a reason: the largest amounts, or the smallest, or the latest.

    `spec`: the feature whose unit the values have that it counts; None: no unit is written.
    `new`: transactions that were the first with their counterparty.
    `most`: number of rows to list; the others are counted.
    Returns Evidence, or None without a row, and for rows of `customers`, which the sheet shows
    anyway.
    """
    how, frame = behind.how, behind.rows.to_pandas()
    if how.table == c.CUSTOMERS or frame.empty:
        return None
    frame["time"] = frame[c.EVENT_TIME].dt.tz_convert(timezone)
    asked, counted = {name_of(column) for _, column in how.columns(how.table)}, _counted(behind)
    hidden = {*_ON_DEMAND, *((c.INSTRUMENT, c.CHANNEL) if counted else ())} - asked
    columns = [
        name
        for name in (*_SHOWN, *_ON_DEMAND)
        if name in frame
        and name not in hidden
        and (name != c.CUSTOMER_ID or (frame[name] != customer).any())
    ]
    window = how if isinstance(how, Window) else None
    read = c.AMOUNT if window is not None and window.value == c.AMOUNT else counted
    return _write(
        frame,
        columns,
        new,
        size=read,
        smallest=window is not None and window.statistic == "min",
        counted=counted,
        spec=spec if spec is not None and spec.how == how else None,
        most=most,
        currency=currency,
        language=language,
    )


def payment_rows(
    payments: pd.DataFrame,
    transactions: Collection[str],
    *,
    bookings: pa.Table | None = None,
    currency: str,
    language: Language,
) -> Evidence | None:
    """Write the payments of a pattern, those of other customers too; None without one.

    `payments`: the customer's own; see `known_payments`.
    `transactions`: ids of the pattern's payments.
    `bookings`: the table of transactions, for payments that are not the customer's own.
    """
    found = payments[payments[c.TRANSACTION_ID].isin(transactions)]
    columns = [c.DIRECTION, c.AMOUNT, c.COUNTERPARTY_ID, c.INSTRUMENT, c.CHANNEL]
    new = set(found.loc[found["new"], c.TRANSACTION_ID])
    if bookings is not None and len(found) < len(transactions):
        chosen = pc.is_in(bookings[c.TRANSACTION_ID], pa.array(sorted(transactions), pa.string()))
        found = bookings.filter(chosen).to_pandas().sort_values(c.EVENT_TIME, ignore_index=True)
        found["time"] = found[c.EVENT_TIME].dt.tz_convert(payments["time"].dt.tz)
        columns = [name for name in (c.CUSTOMER_ID, *columns) if name in found]
    if found.empty:
        return None
    return _write(
        found,
        columns,
        new,
        size=c.AMOUNT,
        most=MOST_OF_PATTERN,
        currency=currency,
        language=language,
    )


def _write(
    frame: pd.DataFrame,
    columns: Sequence[str],
    new: Collection[str],
    *,
    size: str | None,
    most: int,
    smallest: bool = False,
    counted: str | None = None,
    spec: FeatureSpec | None = None,
    currency: str,
    language: Language,
) -> Evidence:
    if size is None:
        kept = frame.tail(most)
    else:
        kept = (frame.nsmallest if smallest else frame.nlargest)(most, size).sort_index()
    columns = [name for name in columns if kept[name].notna().any()]
    if c.CHANNEL in columns:  # one column says both
        columns = [name for name in columns if name != c.INSTRUMENT]
    rest = frame.drop(kept.index)
    total = f"{rest[c.AMOUNT].sum():,.2f} {currency}" if c.AMOUNT in frame else ""
    key = "more_of" if total else "more"
    heads = ["time", *columns, *(["counted"] if counted else [])]

    def say_number(value: float) -> str:
        if spec is None:
            return _number(value)
        return say_value(spec, value, currency=currency, language=language)

    return Evidence(
        heads=tuple(write_text("rows", name, language, currency=currency) for name in heads),
        rows=tuple(
            (
                f"{row['time']:%Y-%m-%d %H:%M}",
                *(_cell(name, row, new, language) for name in columns),
                *([say_number(row[counted])] if counted else []),
            )
            for row in kept.to_dict("records")
        ),
        right=tuple(name in {c.AMOUNT, c.VALUE, "length", "counted"} for name in heads),
        more=write_text("rows", key, language, n=f"{len(rest):,}", total=total)
        if len(rest)
        else "",
    )


def _counted(behind: RowsBehind) -> str | None:
    """Return the computed column that a statistic reads, if it says more than the amount."""
    value = behind.how.value if isinstance(behind.how, Window) else None
    if not isinstance(value, RowColumn):
        return None
    column = behind.rows[value.name]
    if not pa.types.is_floating(column.type):
        return None
    numbers = column.drop_null().to_pylist()
    flags = all(each in {0.0, 1.0} for each in numbers)
    amounts = behind.rows[c.AMOUNT].to_pylist() if c.AMOUNT in behind.rows.column_names else None
    return None if flags or numbers == amounts else value.name


def _cell(name: str, row: Mapping[Hashable, Any], new: Collection[str], language: Language) -> str:
    value = row[name]
    if pd.isna(value):
        return "–"
    if name == c.COUNTERPARTY_ID and row.get(c.TRANSACTION_ID) in new:
        return write_text("rows", "new", language, party=value)
    if name in _NAMES:
        return str(value)
    if name == c.AMOUNT:
        return f"{value:,.2f}"
    if name == c.CHANNEL and not pd.isna(row.get(c.INSTRUMENT)):
        comma = write_text("sheet", "comma", language)
        return comma.join(say_code(str(each), language) for each in (row[c.INSTRUMENT], value))
    return _number(value) if isinstance(value, float) else say_code(str(value), language)


def _number(value: float) -> str:
    return f"{value:,.2f}".removesuffix(".00")


def timelines(
    payments: pd.DataFrame,
    *,
    decision: pd.Timestamp,
    bands: Sequence[Band],
    marked: Collection[str],
    language: Language,
) -> tuple[Drawing, ...]:
    """Draw the payments of the last `DAYS` days, for each of `WIDTHS`; none without a payment."""
    start = decision - pd.Timedelta(days=DAYS)
    recent = payments[(payments["time"] >= start) & payments[c.DIRECTION].notna()]
    if recent.empty:
        return ()
    dots = [
        Dot(
            when=row["time"],
            incoming=row[c.DIRECTION] == "in",
            amount=row[c.AMOUNT],
            role="sought" if row[c.TRANSACTION_ID] in marked else "paid",
        )
        for row in recent.to_dict("records")
    ]
    ways = (write_text("flow", "in", language), write_text("flow", "out", language))
    return tuple(
        draw_timeline(dots, start=start, end=decision, width=width, ways=ways, bands=bands)
        for width in WIDTHS
    )


def flows(
    payments: pd.DataFrame,
    *,
    customer: str,
    marked: Collection[str],
    language: Language,
) -> tuple[Drawing, ...]:
    """Draw the money of some payments by counterparty, for each of `WIDTHS`."""
    links = list(_links(payments[payments[c.DIRECTION].notna()], marked, language))
    if not links:
        return ()
    rest = (
        write_text("flow", "payers", language, n="{n}"),
        write_text("flow", "payees", language, n="{n}"),
    )
    return tuple(draw_flow(links, customer=customer, width=width, rest=rest) for width in WIDTHS)


def _links(payments: pd.DataFrame, marked: Collection[str], language: Language) -> Iterator[Link]:
    instrument = payments[c.INSTRUMENT].fillna("")
    party = payments[c.COUNTERPARTY_ID].fillna("")
    keys = [payments[c.DIRECTION], party, instrument.where(party == "", "")]
    for (direction, name, means), rows in payments.groupby(keys, sort=True):
        unnamed = write_text("flow", "unnamed", language)
        if means:
            unnamed = say_code(str(means), language)
        count = f"× {len(rows)}" if len(rows) > 1 else ""
        new = write_text("flow", "new", language) if rows["new"].any() else ""
        yield Link(
            name=str(name) or unnamed,
            incoming=direction == "in",
            amount=float(rows[c.AMOUNT].sum()),
            note=" ".join(filter(None, (count, new))),
            first=bool(rows[c.TRANSACTION_ID].isin(marked).any()),
        )
