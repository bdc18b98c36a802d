"""Tables in memory, put through the same checks as the files of a source."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from datetime import date
from types import MappingProxyType

from kyc_ml.config import (
    Attribute,
    IdentifierForm,
    TableAttribute,
    TableMapping,
    attribute_faults,
    complete_snapshot,
    require_kind,
)
from kyc_ml.contract.binding import note_column_faults
from kyc_ml.contract.bound_source import BoundSource, SourceSettings, bind_tables
from kyc_ml.contract.checks import RowRules
from kyc_ml.contract.contracted import ReadSource
from kyc_ml.contract.files import OpenedFiles
from kyc_ml.contract.frames import Frame, register, to_arrow
from kyc_ml.contract.identifiers import TRIMMED
from kyc_ml.contract.tables import CONTRACT, CUSTOMERS
from kyc_ml.errors import Faults, SourceError
from kyc_ml.storage import connect, quote_name


def contract_tables(
    frames: Mapping[str, Frame],
    *,
    attributes: Mapping[str, Mapping[str, Attribute]] = MappingProxyType({}),
    snapshot: date | None = None,
    timezone: str = "UTC",
    base_currency: str,
    max_quarantined_share: float = 0.001,
    identifiers: IdentifierForm = TRIMMED,
    max_orphan_share: float = 0.2,
) -> ReadSource:
    """Check tables in memory as `read_source` checks files, and return what is accepted.

    Parameters
    ----------
    frames : mapping of contracted table name to a table of pandas, Polars or pyarrow
        Columns carry the contracted names; a pandas index is ignored. Any table that speaks
        Arrow (``__arrow_c_stream__``) will do.
    attributes : mapping of table name to column to Attribute
        Columns of your own, and what they mean.
    snapshot : date or None
        Day at whose end the customers were as their rows say, where these carry no date; see
        the key of `SourceMapping`.
    identifiers : IdentifierForm
        The form of all identifiers; see its fields.
    max_orphan_share : float
        Share of the cases that may name a customer that is not there; see `SourceMapping`.

    Raises
    ------
    SourceError
        With all faults together, as `read_source` does.
    ConfigError
        If `snapshot` is no date.
    ContractError
        If too many rows break the contract, or too many cases are orphans.
    """
    if snapshot is not None:
        require_kind(snapshot, date, name="snapshot", cure="give datetime.date(2025, 12, 31)")
    faults = Faults("tables in memory", SourceError)
    declared = _declared(frames, attributes, faults)
    settings = SourceSettings(
        subject="tables in memory",
        mapped=frames,
        attributes=declared,
        timezone=timezone,
        base_currency=base_currency,
        max_quarantined_share=max_quarantined_share,
        max_orphan_share=max_orphan_share,
        rules=RowRules(zone=timezone, form=identifiers),
    )
    opened = OpenedFiles()
    with closing(connect(data=None, files=[])) as connection:
        tables, mapped = {}, {}
        for name, frame in frames.items():
            before = len(faults)
            table = to_arrow(frame, name=name, faults=faults)
            if len(faults) == before:
                tables[name] = table
            if table.column_names:
                mapped[name] = _as_mapping(name, table.column_names, attributes.get(name, {}))
            elif len(faults) == before:
                note_column_faults(name, (), (), faults)
        if snapshot is not None and CUSTOMERS in mapped:
            mapped = complete_snapshot(mapped, snapshot)
        for name, mapping in tuple(mapped.items()):
            before = len(faults)
            note_column_faults(name, mapping.columns, mapping.attributes, faults)
            if len(faults) == before and name in tables:
                register(connection, name, tables[name], faults=faults)
            if len(faults) > before or mapping.from_ not in tables:
                del mapped[name]
            else:
                opened.views.add(mapping.from_)
        chosen = {name: mapped[name] for name in CONTRACT if name in mapped}
        bound = bind_tables(connection, chosen, opened, unread=(), settings=settings, faults=faults)
        return BoundSource(
            connection=connection, bound=bound, files=opened, settings=settings, digests={}
        ).read()


def _declared(
    frames: Mapping[str, Frame],
    attributes: Mapping[str, Mapping[str, Attribute]],
    faults: Faults,
) -> tuple[TableAttribute, ...]:
    """List the attributes of tables in memory; note those that are faulty."""
    found = []
    for table, own in attributes.items():
        if table not in frames:
            faults.add(f"attributes are declared for table {table!r}, which is not given")
        for name, attribute in own.items():
            wrong = attribute_faults(table, name, attribute)
            faults.extend(wrong)
            if not wrong:
                found.append(TableAttribute(table=table, name=name, **attribute.model_dump()))
    return tuple(found)


def _as_mapping(
    table: str, columns: Collection[str], attributes: Mapping[str, Attribute]
) -> TableMapping:
    """Map a table in memory by the names of its columns."""
    own = {
        name: {**attribute.model_dump(), "sql": quote_name(name)}
        for name, attribute in attributes.items()
    }
    mapped = {column: quote_name(column) for column in columns if column not in own}
    return TableMapping.model_validate({"from": table, "columns": mapped, "attributes": own})
