"""A source mapping proposed from a folder of unknown files."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import contract as c
from kyc_ml.errors import Faults, SourceError
from kyc_ml.onboarding.proposal import labels
from kyc_ml.onboarding.proposal import vocabulary as v
from kyc_ml.onboarding.proposal.attributes import TAKING, add_attributes
from kyc_ml.onboarding.proposal.finding import find_sources
from kyc_ml.onboarding.proposal.guesses import Kind, MappingProposal, TableProposal
from kyc_ml.onboarding.proposal.mixed_times import find_mixed
from kyc_ml.onboarding.proposal.money import PaymentColumns
from kyc_ml.onboarding.proposal.owners import BankOwners
from kyc_ml.onboarding.proposal.payments import choose_payments, propose_payments, span_of
from kyc_ml.onboarding.proposal.portfolios import Portfolio, find_portfolio, propose_portfolio
from kyc_ml.onboarding.proposal.profiles import choose_file, propose_plain
from kyc_ml.onboarding.proposal.reviews import fits_reviews, keep_booked, propose_reviews
from kyc_ml.onboarding.proposal.roles import RoleParts, cast_parts
from kyc_ml.onboarding.proposal.samples import Engine, FileSample, open_samples
from kyc_ml.onboarding.proposal.times import read_time
from kyc_ml.onboarding.proposal.trying import try_table
from kyc_ml.storage import connect

_BOOKING: Final = {
    "a time": (c.EVENT_TIME,),
    "an amount": ("amount", v.DEBIT, v.CREDIT),
    "a customer or account": ("customer_id", "account_id", v.PAYER),
}
"""What bookings need at least, and the roles that provide it."""


_OVER_TIME: Final = ("latest", "mean", "maximum", "trend")
"""How the numbers of a panel are read over time."""
_FEW_MARKED: Final = 10
"""Marked bookings below which marked customers are used instead (convention)."""


@dataclass(slots=True, kw_only=True)
class _Draft:
    engine: Engine
    bank: BankOwners
    payments: PaymentColumns | None = None
    span: tuple[datetime, datetime] | None = None
    tables: dict[str, TableProposal] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    decisions: list[str] = field(default_factory=list)
    snapshot: date | None = None
    kind: Kind = "bookings"

    def put(self, made: TableProposal | None) -> bool:
        """Add a table if every required column has a guess; note what is missing if not."""
        if made is None or made.name in self.tables:
            return False
        lacking = _lacks(made.name, {*made.columns})
        if lacking:
            files, missing = ", ".join(made.files), ", ".join(lacking)
            self.decisions.append(v.note("no_guess", table=made.name, files=files, lacking=missing))
            return False
        self.tables[made.name] = made
        return True

    def propose(self, table: str) -> None:
        """Add a table from the file that fits it best, column by column."""
        found = choose_file(self.engine, table, self.taken)
        if found is None:
            return
        start = None if self.span is None else self.span[0]
        if self.put(propose_plain(self.bank, *found, table, start=start)):
            self.taken.add(found[0].name)


def _lacks(table: str, given: set[str]) -> list[str]:
    return [
        column.name
        for column in c.CONTRACT[table].columns
        if column.required and column.name not in {*given, c.KNOWN_AT}
    ]


def propose_source(
    data: Path, *, timezone: str | None = None, base_currency: str | None = None
) -> tuple[MappingProposal, dict[str, pa.Table]]:
    """Examine a folder of files and propose how they become contracted tables.

    Every expression is tried on a sample of the files before it is proposed. Values stay in the
    engine: a proposal has columns, shapes, shares, and codes where a CASE expression needs them
    (at most 12 short values with many rows each, no identifiers).

    Raises SourceError if there is no such folder or zone, or no file of it fits a contracted table.

    `timezone`: IANA zone of times without one; None: guessed, and marked as a guess.
    `base_currency`: ISO 4217; None: guessed from a column of currencies, XXX without one.
    Returns `accepted`: dict of table name to Arrow table; the sample as the contract accepts it; it
    shows which features are possible.
    """
    _require(data, timezone)
    with open_samples(data, find_sources(data)) as engine:
        draft = _draft(engine)
        columns = [each for sample in engine.samples for each in sample.columns]
        chinese = not all(each.normal.isascii() for each in columns)
        zone, zone_evidence = _zone(timezone, draft.payments, chinese=chinese)
        _attributes(draft)
        accepted = {}
        for name in c.CONTRACT:
            if name in draft.tables:
                made = draft.tables[name]
                rows = try_table(engine, made, timezone=zone, snapshot=draft.snapshot)
                if rows is not None:
                    accepted[name] = rows
        draft.tables = {name: draft.tables[name] for name in c.CONTRACT if name in draft.tables}
        _doubt_made_names(draft)
        if not draft.tables:
            raise _nothing(data, engine, draft)
        currency, evidence = _currency(base_currency, draft.payments, chinese=chinese)
        unused = {**engine.unusable, **_unused(engine, draft)}
        proposal = MappingProposal(
            name=data.resolve().name or "source",
            timezone=zone,
            timezone_evidence=zone_evidence,
            base_currency=currency,
            currency_evidence=evidence,
            samples=tuple(engine.samples),
            tables=draft.tables,
            unused=unused,
            decisions=_decisions(draft, zone_evidence, evidence),
            span=draft.span,
            snapshot=draft.snapshot,
            kind=draft.kind,
            quoted=any(
                pc.any(pc.starts_with(table[name], '="')).as_py()
                for table in accepted.values()
                for name in table.column_names
                if name.endswith("_id")
            ),
        )
    return proposal, accepted


def _attributes(draft: _Draft) -> None:
    """Propose the other columns of each file as attributes of the first table made of it."""
    tables = list(draft.tables.values())
    label = "" if draft.payments is None else labels.label_of(draft.payments)
    for sample in draft.engine.samples:
        own = [table for table in tables if table.files[:1] == (sample.name,)]
        made = next((table for name in TAKING for table in own if table.name == name), None)
        made = made or (own[0] if own else None)
        if made is not None:
            over_time = _OVER_TIME if draft.kind == "panel" and made.name == c.CUSTOMERS else ()
            own_label = label if made.name == c.TRANSACTIONS else ""
            add_attributes(made, sample, tables, label=own_label, over_time=over_time)


def _doubt_made_names(draft: _Draft) -> None:
    """Mark guesses that use names made up for a file without names."""
    unnamed = {sample.name for sample in draft.engine.samples if not sample.found.named}
    for table in draft.tables.values():
        if not unnamed & set(table.files):
            continue
        for name, guess in table.columns.items():
            if guess.certainty in {"sure", "likely"}:
                evidence = f"{guess.evidence}; {v.note('made_up_name')}"
                table.columns[name] = replace(guess, certainty="guess", evidence=evidence)


def _require(data: Path, timezone: str | None) -> None:
    faults = Faults("init", SourceError)
    if not data.is_dir():
        faults.add(f"data folder {data} does not exist")
    if timezone is not None:
        with closing(connect(data=None, files=[])) as connection:
            c.note_zone_fault(connection, timezone, faults)
    faults.raise_if_any()


def _nothing(data: Path, engine: Engine, draft: _Draft) -> SourceError:
    faults = [f"{name}: {reason}" for name, reason in sorted(engine.unusable.items())]
    faults += [
        f"{sample.found.source.path}: {_why_unused(sample, draft)}" for sample in engine.samples
    ]
    lines = "".join(f"\n  - {fault}" for fault in faults[:20])
    more = f"\n  - and {len(faults) - 20} more" if len(faults) > 20 else ""
    held = lines + more if faults else " it holds no file"
    return SourceError(v.note("no_table", data=data, held=held))


def _draft(engine: Engine) -> _Draft:
    chosen, portfolio = choose_payments(engine), find_portfolio(engine)
    # an application has an amount and a time, but is not a booking
    if portfolio is not None and (chosen is None or chosen[0].name == portfolio.sample.name):
        return _portfolio(engine, portfolio)
    if chosen is None:
        draft = _Draft(engine=engine, bank=BankOwners(), decisions=[v.note("no_bookings")])
    else:
        payments = propose_payments(*chosen)
        draft = _Draft(engine=engine, bank=payments.bank, payments=payments)
        draft.put(payments.table)
        draft.decisions += payments.decisions
        draft.taken.add(payments.sample.name)
        draft.span = span_of(engine, payments.table)
        if draft.bank.note:
            payments.table.notes.append(f"Customers: {draft.bank.note}.")
    draft.propose(c.CUSTOMERS)
    draft.propose(c.ACCOUNTS)
    _labels(draft)
    draft.propose(c.THIRD_PARTY)
    draft.propose(c.EVENTS)
    return draft


def _portfolio(engine: Engine, found: Portfolio) -> _Draft:
    """Propose the tables of a file of customers without bookings, and of the other files."""
    made = propose_portfolio(found)
    draft = _Draft(
        engine=engine,
        bank=BankOwners(),
        kind=found.kind,
        snapshot=made.snapshot,
        span=made.span,
        tables={table.name: table for table in made.tables},
        decisions=[*made.confirm],
        taken={found.sample.name},
    )
    if c.CUSTOMERS not in draft.tables:
        draft.propose(c.CUSTOMERS)
        draft.propose(c.ACCOUNTS)
    draft.propose(c.THIRD_PARTY)
    draft.propose(c.EVENTS)
    return draft


def _labels(draft: _Draft) -> None:
    engine, bank = draft.engine, draft.bank
    found = choose_file(engine, c.CASES, draft.taken, labels.fits_cases)
    if found is not None:
        sample, parts = found
        if draft.put(labels.propose_cases(draft.payments, bank, sample, parts, span=draft.span)):
            draft.taken.add(sample.name)
    if draft.payments is not None and c.CASES not in draft.tables:
        of_payments = labels.cases_of_payments(draft.payments, draft.span)
        marked = 0 if of_payments is None else labels.count_rows(engine, of_payments)
        if not (0 < marked < _FEW_MARKED and _flagged_customers(draft, more_than=marked)):
            draft.put(of_payments)
    found = choose_file(engine, c.REVIEWS, draft.taken, fits_reviews)
    if found is not None:
        proposals = propose_reviews(bank, *found, _end(draft, found[1]))
        if draft.payments is not None:
            for made in proposals:
                keep_booked(engine, made, draft.payments.table)
        if [made for made in proposals if draft.put(made)]:
            draft.taken.add(found[0].name)
    if c.CASES not in draft.tables and c.REVIEWS not in draft.tables:
        _flagged_customers(draft)


def _flagged_customers(draft: _Draft, *, more_than: int = 0) -> bool:
    """Take a flag of customers for the label, if it marks more of them; True if one was found."""
    if draft.span is None:
        return False
    for sample in draft.engine.samples:
        if draft.payments is not None and sample.name == draft.payments.sample.name:
            continue
        parts = cast_parts(sample, c.CUSTOMERS)
        both = labels.cases_of_customers(draft.bank, sample, parts, draft.span)
        if both is None or labels.count_rows(draft.engine, both[0]) <= more_than:
            continue
        if len([made for made in both if draft.put(made)]) == len(both):
            draft.taken.add(sample.name)
            _profile_of_flagged(draft, sample, parts)
            if more_than:
                shown = v.note("flag_of_customers", file=sample.name, marked=more_than)
                draft.decisions.append(shown)
            return True
    return False


def _profile_of_flagged(draft: _Draft, sample: FileSample, parts: RoleParts) -> None:
    """Take the other columns of a file of flags for profiles, where no file holds any."""
    if c.CUSTOMERS in draft.tables or draft.span is None:
        return
    rest = {role: part for role, part in parts.items() if role not in {v.LABEL, v.LABEL_TIME}}
    draft.put(propose_plain(draft.bank, sample, rest, c.CUSTOMERS, start=draft.span[0]))


def _end(draft: _Draft, parts: RoleParts) -> datetime | None:
    """Return the midnight of the last day that bookings or reviews show."""
    times = [draft.span[1]] if draft.span else []
    reading = parts["event_time"].time
    times += [reading.high] if reading is not None else []
    return max(times).replace(hour=0, minute=0, second=0, microsecond=0) if times else None


def _zone(given: str | None, payments: PaymentColumns | None, *, chinese: bool) -> tuple[str, str]:
    if given is not None:
        return given, "as given"
    when = "" if payments is None else payments.parts[c.EVENT_TIME].column.normal
    if {"utc", "gmt"} & set(when.split("_")):
        return "UTC", v.note("zone_named", column=when)
    if chinese:
        return "Asia/Shanghai", v.note("zone_chinese")
    return "UTC", v.note("zone_unknown")


def _currency(
    given: str | None, payments: PaymentColumns | None, *, chinese: bool
) -> tuple[str, str]:
    if given is not None:
        return given, "as given"
    codes = () if payments is None else payments.currencies
    if codes:
        rest = f", with {len(codes) - 1} other(s)" if len(codes) > 1 else ""
        return v.currency_code(codes[0]), v.note("currency_commonest", rest=rest)
    if payments is not None and payments.named_currency:
        return payments.named_currency, v.note("currency_named")
    if chinese:
        return "CNY", v.note("currency_chinese")
    return c.NO_CURRENCY, v.note("currency_unknown")


def _unused(engine: Engine, draft: _Draft) -> dict[str, str]:
    used = {name for made in draft.tables.values() for name in made.files}
    return {
        sample.found.source.path: _why_unused(sample, draft)
        for sample in engine.samples
        if sample.name not in used
    }


def _why_unused(sample: FileSample, draft: _Draft) -> str:
    parts = cast_parts(sample, c.TRANSACTIONS)
    if c.TRANSACTIONS in draft.tables and {"amount", "event_time"} <= set(parts):
        return v.note("more_bookings")
    named = [table for table in c.CONTRACT if v.file_score(table, sample.normal)]
    if c.TRANSACTIONS in draft.tables or (named and c.TRANSACTIONS not in named):
        return _why_no_table(sample, named or list(c.CONTRACT))
    held = {
        part: [parts[role].column.name for role in roles if role in parts]
        for part, roles in _BOOKING.items()
    }
    found = ", ".join(f"{part} ({columns[0]})" for part, columns in held.items() if columns)
    missing = ", ".join(part for part, columns in held.items() if not columns)
    has = f" has {found}" if found else ""
    lacks = f"{' and' if found else ''} lacks {missing}" if missing else ""
    times = "" if c.EVENT_TIME in parts else _times_held(sample)
    return v.note("for_bookings", has=has, lacks=lacks, times=times)


def _why_no_table(sample: FileSample, tables: Sequence[str]) -> str:
    lacking = {
        table: _lacks(table, {*cast_parts(sample, table), c.CONTRACT[table].key[0]})
        for table in tables
    }
    nearest = min(lacking, key=lambda table: len(lacking[table]))
    missing = ", ".join(lacking[nearest])
    return v.note("lacks" if missing else "no_customers", table=nearest, missing=missing)


def _times_held(sample: FileSample) -> str:
    timed = [each.name for each in sample.columns if read_time(each, named=0.3) is not None]
    if timed:
        return v.note("unknown_times", columns=", ".join(timed))
    mixed = {each.name: find_mixed(each, named=0.3) for each in sample.columns}
    shown = [
        v.note("mixed_times", column=name, mixed=each)
        for name, each in mixed.items()
        if each is not None
    ]
    return f" ({'; '.join(shown)}: write them in one form)" if shown else v.note("no_times")


def _decisions(draft: _Draft, zone: str, currency: str) -> list[str]:
    made = [
        v.note("malformed", file=sample.name, lines=sample.malformed, rows=sample.rows)
        for sample in draft.engine.samples
        if sample.malformed
    ]
    made += draft.decisions
    made += [v.note("no_outcome")] if c.CASES not in draft.tables else []
    made += [f"timezone: {zone}"] if zone != "as given" else []
    made += [f"base_currency: {currency}"] if currency != "as given" else []
    return made
