"""What reading a source found: counts that reconcile, reasons and warnings.

Counts and column names only; a customer's value stays in the quarantine file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

from kyc_ml.config import read_packaged
from kyc_ml.contract.strays import Strays
from kyc_ml.errors import ContractError, Faults

_RULES: Final[dict[str, Any]] = read_packaged(Path(__file__).with_name("rules.yaml"))

DOUBTS: Final = {each["rule"]: key for key, each in _RULES.items() if each.get("doubt")}
"""Rules, and their keys, of warnings that outcomes may count before they were known."""


def word_rule(key: str, **values: object) -> tuple[str, str]:
    """Return a rule of `rules.yaml` and its cure in words, with the values put in."""
    return _RULES[key]["rule"].format(**values), _RULES[key]["cure"].format(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFinding:
    """How many rows of a table break one rule, and how to fix them."""

    table: str
    column: str
    """Empty where the rule is about the whole row or table."""
    rule: str
    count: int
    cure: str

    @classmethod
    def of(
        cls, key: str, table: str, column: str = "", *, count: int = 0, **values: object
    ) -> RuleFinding:
        """Return the finding of a rule; see `word_rule`."""
        rule, cure = word_rule(key, **values)
        return cls(table=table, column=column, rule=rule, count=count, cure=cure)

    def __str__(self) -> str:
        where = f"{self.table}.{self.column}" if self.column else self.table
        rows = f"{self.count:,} row(s); " if self.count else ""  # of a table not there
        return f"{where}: {self.rule}: {rows}{self.cure}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuality:
    """Quality of one table; ``read == accepted + quarantined``, checked."""

    table: str
    read: int
    accepted: int
    quarantined: int
    reasons: tuple[RuleFinding, ...]
    """A row that breaks two rules counts in both, and once in `quarantined`."""
    missing: Mapping[str, float]
    """Mapping of column to share; share of accepted rows without a value, for every mapped column;
    0 of 0 is 0."""
    first_event_time: datetime | None
    last_event_time: datetime | None
    """`first_event_time` and `last_event_time`: of the accepted rows, UTC; None without rows."""
    late_rows: int
    """Accepted rows that the institution knew only after they happened."""
    strays: Strays = field(default_factory=Strays)
    """Rows dated far from all others, and the first and last event time without them."""

    def __post_init__(self) -> None:
        if self.read != self.accepted + self.quarantined:
            raise ContractError(
                f"table {self.table!r}: rows do not reconcile: read {self.read}, accepted "
                f"{self.accepted}, quarantined {self.quarantined}; a row was lost or doubled "
                "while reading: report this as a defect of kyc_ml"
            )

    @property
    def first_usual(self) -> datetime | None:
        """First event time without strays."""
        return self.strays.first or self.first_event_time

    @property
    def last_usual(self) -> datetime | None:
        """Last event time without strays."""
        return self.strays.last or self.last_event_time

    @property
    def quarantined_share(self) -> float:
        """Share of the rows read that are quarantined, in [0, 1]; 0 of 0 is 0."""
        return self.quarantined / self.read if self.read else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataQualityReport:
    """Quality of all tables read, and warnings that do not refuse a row."""

    tables: tuple[TableQuality, ...]
    """In the contract's order."""
    warnings: tuple[RuleFinding, ...] = ()
    """About rows that are accepted but should be checked: a wrong check digit, an unknown customer,
    an empty optional table."""
    unchecked: tuple[str, ...] = ()
    """Parquet files without checksums: a changed byte in them may go unnoticed."""
    business_dates: Mapping[str, date] = field(default_factory=dict)
    """Mapping of file to date; last day of the rows of each file, by the control file; empty
    without one."""

    def table(self, name: str) -> TableQuality:
        """Return the quality of the table called `name`; KeyError if it was not read."""
        return {quality.table: quality for quality in self.tables}[name]

    @property
    def doubts(self) -> tuple[RuleFinding, ...]:
        """The warnings that labels, or facts that follow from them, may be dated too early."""
        return tuple(each for each in self.warnings if each.rule in DOUBTS)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per table: counts, share, late rows, first and last event time (UTC)."""
        columns = ["table", "read", "accepted", "quarantined", "quarantined_share", "late_rows"]
        columns += ["first_event_time", "last_event_time"]
        rows = [[getattr(table, name) for name in columns] for table in self.tables]
        frame = pd.DataFrame(rows, columns=columns)
        return frame.astype(dict.fromkeys(columns[-2:], "datetime64[us, UTC]"))

    def findings(self) -> list[tuple[str, RuleFinding]]:
        """Return every finding with its severity: quarantined or warning."""
        refused = [("quarantined", each) for table in self.tables for each in table.reasons]
        return refused + [("warning", each) for each in self.warnings]

    def findings_frame(self) -> pd.DataFrame:
        """Return one row per finding: severity (quarantined, warning), then as in `RuleFinding`."""
        return pd.DataFrame(
            [(kind, f.table, f.column, f.rule, f.count, f.cure) for kind, f in self.findings()],
            columns=["severity", "table", "column", "rule", "count", "cure"],
        ).astype({"count": "int64"})

    def missing_frame(self) -> pd.DataFrame:
        """Return one row per mapped column: table, column, missing_share in [0, 1]."""
        return pd.DataFrame(
            [(t.table, column, share) for t in self.tables for column, share in t.missing.items()],
            columns=["table", "column", "missing_share"],
        ).astype({"missing_share": "float64"})

    def lines(self) -> list[str]:
        """Return lines for a log: one per table, then one per finding."""
        lines = []
        for table in self.tables:
            line = (
                f"{table.table}: read {table.read:,} = accepted {table.accepted:,} "
                f"+ quarantined {table.quarantined:,}"
            )
            if table.first_event_time is not None and table.last_event_time is not None:
                first, last = table.first_event_time.date(), table.last_event_time.date()
                line += f"; {first} to {last}; {table.late_rows:,} known later"
            lines.append(line)
            lines.extend(f"  quarantined: {reason}" for reason in table.reasons)
        return [*lines, *(f"  warning: {warning}" for warning in self.warnings)]


def check_quarantined_share(quality: DataQualityReport, *, subject: str, maximum: float) -> None:
    """Raise if too many rows of a source are quarantined.

    Raises ContractError if the share of a table is above `maximum` (equal passes), or if no row of
    a table is left. Lists every finding of every table.
    """
    refused = [
        table
        for table in quality.tables
        if table.quarantined_share > maximum or (table.read and not table.accepted)
    ]
    if refused:
        shares = ", ".join(f"{t.table} {t.quarantined:,} of {t.read:,}" for t in refused)
        head = f"{subject}: quarantined rows above max_quarantined_share {maximum:g} ({shares})"
        reasons = [str(reason) for table in quality.tables for reason in table.reasons]
        Faults(head, ContractError).extend(reasons).raise_if_any()


def write_quality(quality: DataQualityReport) -> dict[str, Any]:
    """Convert a report to plain values; `read_quality` is the inverse."""
    return {
        "tables": [_plain(table) for table in quality.tables],
        "warnings": [asdict(each) for each in quality.warnings],
        "unchecked": list(quality.unchecked),
        "business_dates": {n: day.isoformat() for n, day in quality.business_dates.items()},
    }


def read_quality(content: Mapping[str, Any]) -> DataQualityReport:
    """Read what `write_quality` wrote."""
    return DataQualityReport(
        tables=tuple(_table(each) for each in content["tables"]),
        warnings=tuple(RuleFinding(**each) for each in content["warnings"]),
        # both absent before December 2026
        unchecked=tuple(content.get("unchecked", ())),
        business_dates={
            name: date.fromisoformat(day) for name, day in content.get("business_dates", {}).items()
        },
    )


def _plain(table: TableQuality) -> dict[str, Any]:
    plain = asdict(table)
    return {
        **_write_times(plain, ("first_event_time", "last_event_time")),
        "missing": dict(table.missing),
        "reasons": list(plain["reasons"]),
        "strays": _write_times(plain["strays"], ("first", "last")),
    }


def _table(plain: Mapping[str, Any]) -> TableQuality:
    reasons = tuple(RuleFinding(**each) for each in plain["reasons"])
    strays = Strays(**_read_times(plain.get("strays", {}), ("first", "last")))  # none before
    times = _read_times(plain, ("first_event_time", "last_event_time"))
    return TableQuality(**{**times, "reasons": reasons, "strays": strays})


def _write_times(plain: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    times: dict[str, datetime | None] = {name: plain[name] for name in names}
    # in UTC, so that equal instants are equal texts
    return {**plain, **{n: t and t.astimezone(UTC).isoformat() for n, t in times.items()}}


def _read_times(plain: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    texts = {name: plain[name] for name in names if name in plain}
    return {**plain, **{n: t and datetime.fromisoformat(t) for n, t in texts.items()}}
