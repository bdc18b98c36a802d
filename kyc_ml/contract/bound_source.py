"""A source whose tables are bound; its rows are checked, and put into memory or files."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import duckdb

from kyc_ml.config import SourceMapping, TableMapping
from kyc_ml.contract.binding import BoundTable, bind_table, note_zone_fault
from kyc_ml.contract.case_readers import find_case_readers
from kyc_ml.contract.checks import RowRules
from kyc_ml.contract.contracted import ContractedTables, KeptHistory, ReadSource
from kyc_ml.contract.dating import find_dating
from kyc_ml.contract.files import OpenedFiles
from kyc_ml.contract.followup import follow_up
from kyc_ml.contract.links import cross_tables, refuse_orphans
from kyc_ml.contract.marked_rows import find_marked_rows
from kyc_ml.contract.quality import (
    DataQualityReport,
    RuleFinding,
    TableQuality,
    check_quarantined_share,
    word_rule,
)
from kyc_ml.contract.rows import contract_rows
from kyc_ml.contract.sinks import CheckedRows, MemorySink, TableSink
from kyc_ml.contract.tables import CONTRACT, CUSTOMERS, TRANSACTIONS
from kyc_ml.errors import ContractError, Faults, SourceError
from kyc_ml.storage import NO_MEMORY


def bind_tables(
    connection: duckdb.DuckDBPyConnection,
    chosen: Mapping[str, TableMapping],
    opened: OpenedFiles,
    *,
    unread: Collection[str],
    mapping: SourceMapping,
    faults: Faults,
) -> list[BoundTable]:
    """Bind all tables; raise SourceError with every fault noted so far.

    An optional table that does not bind is left out, and the reason is noted in `opened`.
    """
    note_zone_fault(connection, mapping.timezone, faults)
    bound = []
    for name, table in chosen.items():
        # a fault of an optional table leaves out the table, and does not stop the source
        own = Faults(name, SourceError) if table.optional else faults
        bound.append(
            bind_table(
                connection,
                name,
                table,
                attributes=mapping.attributes,
                views=opened.views,
                unread=unread,
                folders=opened.folders,
                faults=own,
            )
        )
        if table.optional and len(own):
            opened.left_out[name] = "; ".join(own)
    faults.raise_if_any()
    return [table for table in bound if table is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundSource:
    """A source whose tables are bound; no row is read yet."""

    connection: duckdb.DuckDBPyConnection
    subject: str
    """The source as messages name it."""
    mapping: SourceMapping
    """Its settings; `completed` are all tables that it has, read now or not."""
    bound: Sequence[BoundTable]
    files: OpenedFiles
    digests: Mapping[str, str]
    """Mapping of path to SHA-256; of the files; empty for tables in memory."""

    def contract(self, sink: TableSink, *, history: KeptHistory | None = None) -> DataQualityReport:
        """Check every table's rows, put them on the sink, and check the source as a whole.

        `history`: where the rows that came earlier are; a night may bring no transaction then.

        Raises SourceError if `transactions` has no row, or DuckDB has too little memory and scratch
        space; ContractError if too many rows break the contract, or too many cases are orphans.
        """
        one = partial(contract_rows, self.connection, rules=RowRules.of(self.mapping), sink=sink)
        return self.check(sink, one, history=history)

    def check(
        self,
        sink: CheckedRows,
        contract_table: Callable[..., tuple[TableQuality, list[RuleFinding]]],
        *,
        history: KeptHistory | None = None,
    ) -> DataQualityReport:
        """Do what `contract` does, with the rows of each table checked by `contract_table`.

        `contract_table`: takes a BoundTable, and `horizon` and `malformed` as `contract_rows` does.
        """
        mapping, noted = self.mapping, list[RuleFinding]()
        found: dict[str, TableQuality] = {}
        # customers last: the times of the other tables bound which of their dates are possible
        for table in sorted(self.bound, key=lambda each: each.contract.name == CUSTOMERS):
            lines = [self.files.malformed.get(name, []) for name in sorted(table.files)]
            last = [each.last_usual for each in found.values() if each.last_usual]
            found[table.contract.name], remarks = contract_table(
                table, horizon=max(last, default=None), malformed=list(chain(*lines))
            )
            noted += remarks
        # back in the order of the contract
        found = {name: found[name] for name in CONTRACT if name in found}
        if history is None and TRANSACTIONS in found and not found[TRANSACTIONS].read:
            raise SourceError(
                f"{self.subject}: table {TRANSACTIONS!r}: 0 rows, at least 1 is needed: "
                "check the file and `where`"
            )
        read = {table.contract.name for table in self.bound} | set(self.files.left_out)
        whole = set(mapping.completed) == read  # without one table any customer may be in it
        try:
            with sink.queried(self.connection) as (connection, views):
                crossed, orphans = cross_tables(
                    connection, views, bound=self.bound, whole=whole, history=history
                )
                doubts = find_dating(
                    connection,
                    views,
                    bound=self.bound,
                    zone=mapping.timezone,
                    fastest_hours=mapping.fastest_case_hours,
                )
                doubts += find_marked_rows(connection, views, bound=self.bound)
        except duckdb.OutOfMemoryException:
            msg = f"{self.subject}: comparing the tables with each other {NO_MEMORY}"
            raise SourceError(msg) from None
        followed = follow_up(
            sink.columns(),
            found,
            mapped=mapping.completed,
            left_out=self.files.left_out,
            attributes=mapping.attributes,
            base_currency=mapping.base_currency,
        )
        if history is not None:  # a table to which nothing was added
            no_row, _ = word_rule("no row")
            followed = [each for each in followed if each.rule != no_row]
        readers = find_case_readers(self.connection, mapping, digests=self.digests)
        warnings = (*followed, *readers, *doubts, *noted, *crossed)
        quality = DataQualityReport(
            tables=tuple(found.values()),
            warnings=warnings,
            unchecked=tuple(sorted(set(self.files.unchecked))),
            business_dates=self.files.business_dates,
        )
        try:
            check_quarantined_share(
                quality, subject=self.subject, maximum=mapping.max_quarantined_share
            )
            refuse_orphans(orphans, subject=self.subject, maximum=mapping.max_orphan_share)
        except ContractError as error:  # a job still saves and shows these
            error.quality, error.quarantine = quality, sink.quarantine
            raise
        return quality

    def read(self) -> ReadSource:
        """Read every table into memory; SourceError or ContractError as `contract` does."""
        sink = MemorySink()
        quality = self.contract(sink)
        accepted = ContractedTables(
            tables={name: sink.tables[name] for name in CONTRACT if name in sink.tables},
            timezone=self.mapping.timezone,
            base_currency=self.mapping.base_currency,
            digests=self.digests,
            quality=quality,
            attributes=self.mapping.attributes,
        )
        return ReadSource(accepted=accepted, quarantine=sink.quarantine)
