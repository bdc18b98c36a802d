"""A feature's exact definition in one line, read off its declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kyc_ml.features.spec import (
    DAY_US,
    HOUR_US,
    AsOf,
    Cell,
    FeatureSpec,
    Formula,
    How,
    Latest,
    Matched,
    Mix,
    Own,
    Peer,
    RowColumn,
    Where,
    Window,
    columns_of_table,
    name_of,
)


def define(how: How) -> str:
    """Write how a feature is computed, such as ``count of transactions by customer_id, 7 d``."""
    match how:
        case Window():
            return _window(how)
        case Latest():
            what = "age" if how.column is None else name_of(how.column)
            read = "" if how.reading in {"value", "category"} else f" as {how.reading}"
            return f"{what}{read} of the latest row of {_rows(how)}"
        case Own():
            field = "time" if how.column is None else name_of(how.column)
            read = "" if how.reading in {"value", "category"} else f" as {how.reading}"
            return f"own {field}{read}"
        case Formula():
            return _arithmetic(how.operation, how.inputs, how.parameter)
        case Peer():
            return (
                f"({how.feature} - median) / (1.4826 * MAD) of customers alike in "
                f"{', '.join(how.by)}; at least {how.fewest}"
            )


def row_columns_of(spec: FeatureSpec) -> dict[str, str]:
    """Define the row columns that a feature reads, those they are made of included."""
    found: dict[str, str] = {}
    for column in _columns_in(spec.how):
        found[column.name] = _column(column)
    return found


def _window(how: Window) -> str:
    value = "" if how.value is None else f" of {name_of(how.value)}"
    weight = "" if how.weight is None else f" by {name_of(how.weight)}"
    own = "" if how.own is None else f" below own {how.own}"
    life = "" if how.half_life_us is None else f", half-life {_span(how.half_life_us)}"
    until = f" ending {_span(how.lag_us)} before" if how.lag_us else ""
    span = f"{_span(how.period.us)}{until}{life}"
    return f"{how.statistic}{value}{weight}{own} over {_rows(how)}, {span}"


def _rows(how: Window | Latest) -> str:
    key = ", ".join(name_of(column) for column in how.key) or "the whole bank"
    at = f" (looked up by {', '.join(how.at)})" if how.at else ""
    return f"{how.table} by {key}{at}{_where(how.where)}"


def _where(where: Where | None) -> str:
    parts = []
    while where is not None:
        parts.append(f"{name_of(where.column)} in ({', '.join(where.values)})")
        where = where.also
    return f" where {' and '.join(parts)}" if parts else ""


def _span(us: int | None) -> str:
    if us is None:
        return "all history"
    return f"{us / DAY_US:g} d" if us >= DAY_US else f"{us / HOUR_US:g} h"


def _arithmetic(operation: str, inputs: Iterable[str], parameter: float) -> str:
    extra = f"; {parameter:g}" if parameter else ""
    return f"{operation}({', '.join(inputs)}{extra})"


def _column(column: RowColumn) -> str:
    how = column.how
    match how:
        case Cell():
            names = ", ".join(name_of(each) for each in how.inputs)
            others = ", ".join([*(f"{each:g}" for each in how.parameters), *how.values])
            listed = f"; {len(how.listing)} stays on the list" if how.listing else ""
            return f"{how.operation}({names}{f'; {others}' if others else ''}{listed})"
        case Mix():
            return _arithmetic(how.operation, map(name_of, how.inputs), how.parameter)
        case AsOf():
            return f"as known at the row's time: {define(how.how)}"
        case Matched(reading="dwell"):
            return "mean hours since the money came in, first in first out"
        case Matched():
            return (
                f"part of the amount that came in within {_span(how.within_us)}, first in first out"
            )


def _columns_in(how: object) -> Iterator[RowColumn]:
    """List row columns, those that others are made of first."""
    match how:
        case Window() | Latest():
            for column in columns_of_table(how):
                yield from _columns_in(column)
        case Own(column=column):
            yield from _columns_in(column)
        case AsOf(how=looked):
            yield from _columns_in(looked)
        case Cell(inputs=inputs) | Mix(inputs=inputs):
            for column in inputs:
                yield from _columns_in(column)
        case RowColumn():
            yield from _columns_in(how.how)
            yield how
