"""A feature's exact definition in one line, the one that `sentences` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from kyc_ml.features.spec import (
    DAY_US,
    HOUR_US,
    FeatureSpec,
    Formula,
    How,
    Latest,
    LatestValue,
    Matched,
    Own,
    Peer,
    RowColumn,
    RowFormula,
    RowFunction,
    Where,
    Window,
    columns_of_table,
    name_of,
)


def define(how: How) -> str:
    """Write how a feature is computed: ``count over transactions by customer_id, 7d``."""
    match how:
        case Window():
            return _window(how)
        case Latest():
            what = "age" if how.column is None else name_of(how.column)
            listed = f" on a list of {len(how.listing)} stays" if how.listing else ""
            return f"{what} as {how.reading}{listed} of the latest row of {_rows(how)}"
        case Own():
            field = "time" if how.column is None else name_of(how.column)
            return f"own {field}{'' if how.reading == 'value' else f' as {how.reading}'}"
        case Formula():
            return _arithmetic(how.operation, how.inputs, how.parameter)
        case Peer():
            alike = f"at least {how.fewest} customers alike in {', '.join(how.by)}"
            return f"{how.feature} compared with {alike}"


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
    return f"{how.statistic}{value}{weight}{own} over {_rows(how)}, {how.period.label}{until}{life}"


def _rows(how: Window | Latest) -> str:
    key = ", ".join(name_of(column) for column in how.key) or "the whole bank"
    at = f" (looked up by {', '.join(how.at)})" if how.at else ""
    return f"{how.table} by {key}{at}{_where(how.where)}"


def _where(where: Where | None) -> str:
    parts = []
    while where is not None:
        values = (
            each if re.fullmatch(r"\w+", each) else json.dumps(each, ensure_ascii=False)
            for each in where.values
        )
        parts.append(f"{name_of(where.column)} in ({', '.join(values)})")
        where = where.also
    return f" where {' and '.join(parts)}" if parts else ""


def _span(us: int) -> str:
    return f"{us / DAY_US:g}d" if us >= DAY_US else f"{us / HOUR_US:g}h"


def _number(value: float) -> str:
    """Write a number so that reading it gives the same one."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _arithmetic(operation: str, inputs: Iterable[str], parameter: float) -> str:
    extra = f"; {_number(parameter)}" if parameter else ""
    return f"{operation}({', '.join(inputs)}{extra})"


def _column(column: RowColumn) -> str:
    how = column.how
    match how:
        case RowFunction():
            names = ", ".join(name_of(each) for each in how.inputs)
            others = ", ".join([*map(_number, how.parameters), *how.values])
            listed = f"; a list of {len(how.listing)} stays" if how.listing else ""
            return f"{how.operation}({names}{f'; {others}' if others else ''}{listed})"
        case RowFormula():
            return _arithmetic(how.operation, map(name_of, how.inputs), how.parameter)
        case LatestValue():
            return define(how.how)
        case Matched():
            within = "" if how.within_us is None else f" within {_span(how.within_us)}"
            return f"{how.reading}{within}"


def _columns_in(how: object) -> Iterator[RowColumn]:
    """List row columns, those that others are made of first."""
    match how:
        case Window() | Latest():
            for column in columns_of_table(how):
                yield from _columns_in(column)
        case Own(column=column):
            yield from _columns_in(column)
        case LatestValue(how=looked):
            yield from _columns_in(looked)
        case RowFunction(inputs=inputs) | RowFormula(inputs=inputs):
            for column in inputs:
                yield from _columns_in(column)
        case RowColumn():
            yield from _columns_in(how.how)
            yield how
