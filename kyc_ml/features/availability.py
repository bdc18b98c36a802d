"""Which declared features a source can give, and why the others are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from kyc_ml.contract.tables import CASES, TRANSACTION_ID, TRANSACTIONS
from kyc_ml.features.spec import LABELS, FeatureSpec, Formula, Latest, Own, Window


def split_available(
    specs: Sequence[FeatureSpec], tables: Mapping[str, pa.Table], observations: pa.Table
) -> tuple[list[FeatureSpec], dict[str, str]]:
    """Part the specs into those that can be computed and those left out, with the reason.

    A feature is never filled with zeros because its table or column is absent.

    Returns
    -------
    available : list of FeatureSpec
        In the given order.
    left_out : dict of name to reason
    """
    left_out: dict[str, str] = {}
    for spec in specs:
        if not isinstance(spec.how, Formula):
            reason = _lacking(spec.how, tables, observations)
            if reason:
                left_out[spec.name] = reason
    known = {spec.name: spec for spec in specs}
    for spec in specs:
        reason = _lacking_input(spec, known, left_out)
        if reason:
            left_out[spec.name] = reason
    return [spec for spec in specs if spec.name not in left_out], left_out


def _lacking(
    how: Window | Latest | Own, tables: Mapping[str, pa.Table], observations: pa.Table
) -> str:
    """Name the first table or column that is absent; empty if none is."""
    if isinstance(how, Own):
        if how.column is not None and how.column not in observations.column_names:
            return f"the observations have no column {how.column}"
        return ""
    if how.table not in tables:
        return f"the source has no table {CASES if how.table == LABELS else how.table}"
    table = tables[how.table]
    value = how.value if isinstance(how, Window) else how.column
    wanted = [*how.key, value, how.where.column if how.where else None]
    for column in wanted:
        if column is not None and column not in table.column_names:
            return f"table {_origin(how.table, column)} has no column {column}"
    for column in how.key:
        if column not in observations.column_names:
            return f"the observations have no column {column}"
    return ""


def _origin(table: str, column: str) -> str:
    """Name the user's table a column would come from: labels are made of two of them."""
    if table != LABELS:
        return table
    return CASES if column == TRANSACTION_ID else TRANSACTIONS


def _lacking_input(
    spec: FeatureSpec, known: Mapping[str, FeatureSpec], left_out: Mapping[str, str]
) -> str:
    if not isinstance(spec.how, Formula):
        return ""
    for name in spec.how.inputs:
        if name in left_out:
            return left_out[name]
        reason = _lacking_input(known[name], known, left_out)
        if reason:
            return reason
    return ""
