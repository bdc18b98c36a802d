"""Checks of a proposed table by the contract, on the sample."""

from datetime import date
from typing import Final

import pyarrow as pa

from kyc_ml import contract as c
from kyc_ml.config import FileSource, SourceMapping, TableAttribute, TableMapping, attribute_column
from kyc_ml.errors import Faults, SourceError
from kyc_ml.onboarding.proposal.codes import TODO
from kyc_ml.onboarding.proposal.guesses import TableProposal
from kyc_ml.onboarding.proposal.samples import Engine
from kyc_ml.storage import quote_text

REFUSED_SHARE: Final = 0.001
"""Share of refused rows from which an optional column is left out; a source's own default."""


def try_table(
    engine: Engine, made: TableProposal, *, timezone: str, snapshot: date | None = None
) -> pa.Table | None:
    """Read a proposed table from the sample; leave out optional columns that do not fit.

    Return the accepted rows; None where the table cannot be bound, which is noted.
    """
    open_ = [name for name, guess in made.columns.items() if guess.sql == quote_text(TODO)]
    if open_:
        made.notes.append(f"Not tried: {', '.join(open_)} is yours to write.")
        return None
    _drop_unbound(engine, made, snapshot)
    for _ in range(2):
        faults = Faults(made.name, SourceError)
        bound = _bound(engine, made, faults, snapshot)
        if bound is None:
            made.notes.extend(faults)
            return None
        sink = c.MemorySink()
        try:
            made.quality, _ = c.contract_rows(
                engine.connection,
                bound,
                rules=c.RowRules(zone=timezone),
                horizon=None,
                malformed=[],
                sink=sink,
            )
        except SourceError as error:
            made.notes.append(str(error))
            return None
        if not _drop_refused(made):
            break
    return sink.tables[made.name]


def _bound(
    engine: Engine, made: TableProposal, faults: Faults, snapshot: date | None
) -> c.BoundTable | None:
    content = {
        "from": made.rows,
        "where": made.where,
        "columns": {name: guess.sql for name, guess in made.columns.items()},
        "attributes": made.declared,
    }
    views = {sample.name for sample in engine.samples}
    mapping = _completed(made.name, TableMapping.model_validate(content), snapshot)
    own = [
        TableAttribute(table=made.name, name=name, **each.model_dump(exclude={"sql"}))
        for name, each in mapping.attributes.items()
    ]
    return c.bind_table(
        engine.connection, made.name, mapping, attributes=own, views=views, unread=(), faults=faults
    )


def _completed(name: str, mapping: TableMapping, snapshot: date | None) -> TableMapping:
    if snapshot is None:
        return mapping
    customers = TableMapping.model_validate(
        {"from": mapping.from_, "columns": {"customer_id": mapping.columns["customer_id"]}}
    )
    source = SourceMapping(
        name="sample",
        base_currency=c.NO_CURRENCY,
        snapshot=snapshot,
        files={"sample": FileSource(path="sample", format="parquet")},
        tables={c.CUSTOMERS: customers, name: mapping},
    )
    return source.completed[name]


def _drop_unbound(engine: Engine, made: TableProposal, snapshot: date | None) -> None:
    """Leave out optional columns whose expression does not have the contracted type."""
    faults = Faults(made.name, SourceError)
    if _bound(engine, made, faults, snapshot) is not None:
        return
    for name in _optional(made):
        guess = made.columns.pop(name)
        fewer = Faults(made.name, SourceError)
        _bound(engine, made, fewer, snapshot)
        if len(fewer) < len(faults):
            made.dropped[name] = f"{guess.sql.splitlines()[0]} does not have the contracted type"
            faults = fewer
        else:
            made.columns[name] = guess


def _drop_refused(made: TableProposal) -> bool:
    """Leave out optional columns for which rows were refused; True if there were any."""
    if made.quality is None:
        return False
    declared = len(made.declared)
    own = {attribute_column(name): name for name in made.declared}
    for reason in made.quality.reasons:
        if reason.column in own and reason.count > REFUSED_SHARE * made.quality.read:
            made.unused.append(made.attributes.pop(own.pop(reason.column)).column)
    optional = set(_optional(made))
    broken = {
        reason.column: f"{reason.rule}: {reason.count / max(made.quality.read, 1):.1%} of rows"
        for reason in made.quality.reasons
        if reason.column in optional
        and reason.count > REFUSED_SHARE * made.quality.read
        and made.columns[reason.column].certainty != "yours"
    }
    for name, why in broken.items():
        made.dropped[name] = f"{made.columns.pop(name).sql.splitlines()[0]}: {why}"
    return bool(broken) or len(own) < declared


def _optional(made: TableProposal) -> list[str]:
    contract = c.CONTRACT[made.name]
    return [
        name for name in made.columns if not contract.column(name).required or name == "known_at"
    ]
