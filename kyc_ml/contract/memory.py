"""Check tables in memory as the files of a source are checked."""

from collections.abc import Collection, Mapping
from contextlib import closing
from datetime import date
from types import MappingProxyType

from kyc_ml import config
from kyc_ml.contract.binding import note_column_faults
from kyc_ml.contract.bound_source import BoundSource, bind_tables
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
    attributes: Mapping[str, Mapping[str, config.Attribute]] = MappingProxyType({}),
    snapshot: date | None = None,
    timezone: str = "UTC",
    base_currency: str,
    max_quarantined_share: float = 0.001,
    identifiers: config.IdentifierForm = TRIMMED,
    max_orphan_share: float = 0.2,
) -> ReadSource:
    """Check tables in memory as `read_source` checks files, and return what is accepted.

    Parameters
    ----------
    frames : mapping of contracted table name to a table of pandas, Polars or pyarrow
        Columns carry the contracted names; a pandas index is ignored. Any table that speaks
        Arrow (``__arrow_c_stream__``) will do.
    attributes : mapping of table name to column to Attribute
        Additional columns, and what they mean.
    snapshot : date or None
        Day at whose end the rows of customers were true, if they carry no date; see the key of
        `SourceMapping`.
    identifiers : IdentifierForm
        The form of all identifiers; see its fields.
    max_orphan_share : float
        Share of the cases that may name a customer whom no other table has; see `SourceMapping`.

    Raises
    ------
    SourceError
        With all faults together, as `read_source` does.
    ConfigError
        If `snapshot` is not a date.
    ContractError
        If too many rows break the contract, or too many cases are orphans.
    """
    if snapshot is not None:
        config.require_kind(
            snapshot, date, name="snapshot", cure="give datetime.date(2025, 12, 31)"
        )
    subject = "tables in memory"
    faults = Faults(subject, SourceError)
    sound = _sound_attributes(frames, attributes, faults)
    opened = OpenedFiles()
    with closing(connect(data=None, files=[])) as connection:
        tables, mapped = {}, {}
        for name, frame in frames.items():
            before = len(faults)
            table = to_arrow(frame, name=name, faults=faults)
            if len(faults) == before:
                tables[name] = table
            if table.column_names:
                given = [
                    each for each in table.column_names if each not in attributes.get(name, {})
                ]
                mapped[name] = _as_mapping(name, given, sound.get(name, {}))
            elif len(faults) == before:
                note_column_faults(name, (), (), faults)
        if snapshot is not None and CUSTOMERS in mapped:
            mapped = config.complete_snapshot(mapped, snapshot)
        for name, declared in tuple(mapped.items()):
            before = len(faults)
            note_column_faults(name, declared.columns, declared.attributes, faults)
            if len(faults) == before and name in tables:
                register(connection, name, tables[name], faults=faults)
            if len(faults) > before or declared.from_ not in tables:
                del mapped[name]
            else:
                opened.views.add(declared.from_)
        chosen = {name: mapped[name] for name in CONTRACT if name in mapped}
        # not validated: a mapping of files must name one; attributes keep the order they came in
        mapping = config.SourceMapping.model_construct(
            name=subject,
            timezone=timezone,
            base_currency=base_currency,
            max_quarantined_share=max_quarantined_share,
            max_orphan_share=max_orphan_share,
            identifiers=identifiers,
            files={},
            tables={name: mapped[name] for name in (*sound, *mapped) if name in mapped},
        )
        bound = bind_tables(connection, chosen, opened, unread=(), mapping=mapping, faults=faults)
        return BoundSource(
            connection=connection,
            subject=subject,
            mapping=mapping,
            bound=bound,
            files=opened,
            digests={},
        ).read()


def _sound_attributes(
    frames: Mapping[str, Frame],
    attributes: Mapping[str, Mapping[str, config.Attribute]],
    faults: Faults,
) -> dict[str, dict[str, config.Attribute]]:
    """Return the attributes without a fault, by table and name; note the faults of the others."""
    sound: dict[str, dict[str, config.Attribute]] = {}
    for table, own in attributes.items():
        if table not in frames:
            faults.add(f"attributes are declared for table {table!r}, which is not given")
        for name, attribute in own.items():
            wrong = config.attribute_faults(table, name, attribute)
            faults.extend(wrong)
            if not wrong:
                sound.setdefault(table, {})[name] = attribute
    return sound


def _as_mapping(
    table: str, columns: Collection[str], attributes: Mapping[str, config.Attribute]
) -> config.TableMapping:
    """Map a table in memory: `columns` without the attributes, and those."""
    own = {
        name: {**attribute.model_dump(), "sql": quote_name(name)}
        for name, attribute in attributes.items()
    }
    mapped = {column: quote_name(column) for column in columns}
    return config.TableMapping.model_validate({"from": table, "columns": mapped, "attributes": own})
