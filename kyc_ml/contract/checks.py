"""The declared contract as SQL: typed columns, and one bit for each rule a row can break."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from kyc_ml.config import ABBREVIATION, OFFSET, REGION_AND_CITY, IdentifierForm, SourceMapping
from kyc_ml.contract.identifiers import form_sql, was_float_sql, was_scientific_sql
from kyc_ml.contract.quality import word_rule
from kyc_ml.contract.tables import EVENT_TIME, KNOWN_AT, Column, ColumnType, TableContract
from kyc_ml.storage import quote_list, quote_name, quote_text

RuleFamily = Literal["text", "integer", "decimal", "float", "boolean", "date", "naive", "instant"]

# Types an expression may have for a contracted type. A float is refused for text: an
# identifier that went through a float reads "17.0" and joins with nothing.
_ACCEPTED: Final[dict[ColumnType, tuple[RuleFamily, ...]]] = {
    "string": ("text", "integer", "decimal", "boolean", "date", "naive", "instant"),
    "double": ("text", "integer", "decimal", "float"),
    "boolean": ("text", "integer", "boolean"),
    "date": ("text", "date", "naive", "instant"),
    "timestamp": ("text", "date", "naive", "instant"),
}
_NAMED: Final[dict[ColumnType, str]] = {
    "string": "text",
    "double": "a number",
    "boolean": "true or false",
    "date": "a date",
    "timestamp": "a timestamp",
}
# Text times are read as ISO 8601 only. DuckDB alone would drop a zone in silence.
_DAY: Final = r"\s*\d{4,}[-/]\d{1,2}[-/]\d{1,2}"
_CLOCK: Final = r"[T ]+\d{1,2}:\d{2}(:\d{2}([.,]\d*)?)?"
_NAIVE: Final = rf"{_DAY}({_CLOCK})?\s*"
_ZONED: Final = rf"{_DAY}{_CLOCK}\s*(Z|UTC|{REGION_AND_CITY}|{OFFSET})\s*"
ABBREVIATED: Final = rf"{_DAY}{_CLOCK}\s*{ABBREVIATION}\s*"
# Nanosecond timestamps of pandas and Arrow end in 2262; a transaction before 1900 is a
# unit error. Dates may be later: 9999-12-31 is the usual "no expiry".
FIRST, END = "1900-01-01", "2200-01-01"
FIRST_DATE, LAST_DATE = "1000-01-01", "9999-12-31"

_MOST_BITS: Final = 62


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """How the rows of a source are read."""

    zone: str = "UTC"
    """Time zone of times without one."""
    form: IdentifierForm = field(default_factory=IdentifierForm)
    earliest: date | None = None
    latest: date | None = None
    """`earliest` and `latest`: first and last day of what happened, in `zone`; None means no
    limit."""

    @classmethod
    def of(cls, mapping: SourceMapping) -> RowRules:
        """Return the rules of a source mapping."""
        return cls(
            zone=mapping.timezone,
            form=mapping.identifiers,
            earliest=mapping.earliest,
            latest=mapping.latest,
        )


AS_THEY_ARE: Final = RowRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCheck:
    """One rule: `broken` is SQL that is true where a row breaks it."""

    column: str
    """Empty where the rule is about the whole row."""
    rule: str
    cure: str
    broken: str
    voids: bool = False
    """For a rule that costs no row: the value is taken as missing."""

    @classmethod
    def of(
        cls, key: str, column: str, broken: str, *, voids: bool = False, **values: object
    ) -> ContractCheck:
        """Return the check of a rule; see `word_rule`."""
        rule, cure = word_rule(key, **values)
        return cls(column=column, rule=rule, cure=cure, broken=broken, voids=voids)

    @property
    def reason(self) -> str:
        """The rule as the quarantine file names it."""
        return f"{self.column}: {self.rule}" if self.column else self.rule


def family_of(duck_type: str) -> RuleFamily | None:
    """Group a DuckDB type; None for one that no contracted column can hold.

    Examples
    --------
    >>> family_of("DECIMAL(10,2)"), family_of("BLOB")
    ('decimal', None)
    """
    if duck_type.endswith("]"):
        return None
    name = duck_type.split("(", maxsplit=1)[0]
    if name in {"VARCHAR", "ENUM", "UUID"}:
        return "text"
    if re.fullmatch(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?", name):
        return "integer"
    families: dict[str, RuleFamily] = {
        "DECIMAL": "decimal",
        "FLOAT": "float",
        "DOUBLE": "float",
        "BOOLEAN": "boolean",
        "DATE": "date",
        "TIMESTAMP WITH TIME ZONE": "instant",
        "TIMESTAMPTZ_NS": "instant",
    }
    if name.startswith("TIMESTAMP") and name not in families:
        return "naive"
    return families.get(name)


def type_fault(column: Column, duck_type: str) -> str | None:
    """Return why an expression of `duck_type` cannot give `column`; None if it can."""
    if duck_type.strip('"') == "NULL":
        return "is always empty, but the column is required" if column.required else None
    family = family_of(duck_type)
    if family in _ACCEPTED[column.type]:
        return None
    _, cure = word_rule(column.type)
    if column.type == "string" and family == "float":
        cure = "an identifier held as a float loses digits: cast it to BIGINT"
    if column.type in {"date", "timestamp"} and family in {"integer", "decimal", "float"}:
        cure = "turn it into a time, such as make_timestamp(microseconds)"
    return f"gives {duck_type}, which is not {_NAMED[column.type]}: {cure}"


def raw_name(column: str) -> str:
    """Name, quoted, of the column that holds an expression's own value."""
    return quote_name(f"raw:{column}")


def typed_sql(column: Column, duck_type: str, rules: RowRules) -> str:
    """Write the typed value of a raw column as SQL; NULL where it does not convert."""
    if column.identifier:
        return _identifier(raw_name(column.name), duck_type, rules.form)
    value, family = _present(column.name, duck_type), family_of(duck_type)
    if column.type == "timestamp":
        return _instant(value, family, zone=rules.zone)
    if column.type == "date":
        return _day(value, family, zone=rules.zone)
    if column.type == "boolean":
        return f"TRY_CAST(CAST({value} AS VARCHAR) AS BOOLEAN)"
    if column.type == "double":
        # Adding zero turns -0.0 into 0.0: equal amounts must be equal bits.
        return f"TRY_CAST({value} AS DOUBLE) + 0.0"
    return value if duck_type == "VARCHAR" else f"TRY_CAST({value} AS VARCHAR)"


def _day(value: str, family: RuleFamily | None, *, zone: str) -> str:
    if family == "instant":
        return f"CAST(timezone({quote_text(zone)}, CAST({value} AS TIMESTAMPTZ)) AS DATE)"
    if family == "text":
        days = f"regexp_full_match({value}, {quote_text(_NAIVE)})"
        return f"CASE WHEN {days} THEN TRY_CAST({value} AS DATE) END"
    return f"TRY_CAST({value} AS DATE)"


def _identifier(raw: str, duck_type: str, form: IdentifierForm) -> str:
    """Write an identifier in its form; a number has no other, but may be a word for nothing."""
    family = family_of(duck_type)
    value = raw if duck_type == "VARCHAR" else f"CAST({raw} AS VARCHAR)"
    if family == "integer" and not form.nulls:
        return value
    return form_sql(value, form, decimal=family == "decimal")


def checks_of(
    contract: TableContract,
    types: Mapping[str, str],
    *,
    guarded: bool,
    rules: RowRules = AS_THEY_ARE,
) -> tuple[ContractCheck, ...]:
    """List every rule of the contract that the mapped columns can break, in order.

    The last two are about keys that come twice; they are found after all rows are read.

    `types`: mapping of column to DuckDB type; of the mapped expressions.
    `guarded`: also check that an expression could be computed at all.
    """
    checks: list[ContractCheck] = []
    for column in contract.columns:
        if column.name in types:
            if guarded:
                failed = quote_name(f"failed:{column.name}")
                checks.append(ContractCheck.of("failed", column.name, failed))
            checks.extend(_column_checks(column, types[column.name], guarded=guarded))
            checks.extend(_identifier_checks(column, types[column.name], rules.form))
    if contract.known_after_event and KNOWN_AT in types:
        early = f"{quote_name(KNOWN_AT)} < {quote_name(EVENT_TIME)}"
        checks.append(ContractCheck.of("known before", KNOWN_AT, early))
    checks.extend(_period_checks(contract, types, rules))
    # found later, after all rows are read: no row breaks them yet
    checks += [ContractCheck.of(key, "", "false") for key in ("duplicate", "different")]
    return tuple(checks)


def _identifier_checks(column: Column, duck_type: str, form: IdentifierForm) -> list[ContractCheck]:
    """Refuse text that was a float: many identifiers have become one, or join with nothing."""
    if not column.identifier or family_of(duck_type) != "text" or form.floats == "keep":
        return []
    typed = quote_name(column.name)
    return [
        ContractCheck.of("scientific", column.name, was_scientific_sql(typed)),
        ContractCheck.of("float", column.name, was_float_sql(typed)),
    ]


def _period_checks(
    contract: TableContract, types: Mapping[str, str], rules: RowRules
) -> list[ContractCheck]:
    """Refuse what happened outside the period that the mapping names."""
    if not contract.known_after_event:
        return []
    event, zone = quote_name(EVENT_TIME), quote_text(rules.zone)
    checks = []
    if rules.earliest is not None:
        first = f"timezone({zone}, TIMESTAMP '{rules.earliest}')"
        checks.append(ContractCheck.of("before earliest", EVENT_TIME, f"{event} < {first}"))
    if rules.latest is not None:
        end = f"timezone({zone}, TIMESTAMP '{rules.latest}' + INTERVAL 1 DAY)"
        checks += [
            ContractCheck.of("after latest", column, f"{quote_name(column)} >= {end}")
            for column in (EVENT_TIME, KNOWN_AT)
            if column == EVENT_TIME or KNOWN_AT in types
        ]
    return checks


def mask_sql(checks: Sequence[ContractCheck]) -> str:
    """Write the rules that a row breaks as SQL: a sum of bits, or a text of 0 and 1 for many.

    A number of 63 bits is all that the engine adds up fast; wide tables have more rules.
    """
    if len(checks) > _MOST_BITS:
        # the first rule is the last digit, as in the number
        digits = [f"CASE WHEN {check.broken} THEN '1' ELSE '0' END" for check in checks]
        return (
            f"concat({', '.join(reversed(digits))})"  # flat: the engine bounds how deep SQL nests
        )
    terms = [
        f"CASE WHEN {check.broken} THEN {1 << bit} ELSE 0 END"
        for bit, check in enumerate(checks)
        if check.broken != "false"
    ]
    return f"CAST({' + '.join(terms)} AS BIGINT)" if terms else "CAST(0 AS BIGINT)"


def mask_literal(bits: int, checks: Sequence[ContractCheck]) -> str:
    """Write some rules' bits as SQL, as `mask_sql` gives them; 0 is a sound row."""
    if len(checks) > _MOST_BITS:
        return quote_text(f"{bits:0{len(checks)}b}")
    return str(bits)


def broken_checks(mask: int | str, checks: Sequence[ContractCheck]) -> list[ContractCheck]:
    """Return the rules whose bits are set in `mask`."""
    bits = int(mask, 2) if isinstance(mask, str) else mask
    return [check for bit, check in enumerate(checks) if bits >> bit & 1]


def _present(column: str, duck_type: str) -> str:
    """Write the raw value as SQL, NULL where it is blank text."""
    raw = raw_name(column)
    if duck_type != "VARCHAR":
        return raw
    return f"CASE WHEN trim({raw}) = '' THEN NULL ELSE {raw} END"


def _instant(value: str, family: RuleFamily | None, *, zone: str) -> str:
    zone = quote_text(zone)
    if family == "instant":
        return f"CAST({value} AS TIMESTAMPTZ)"  # rounds nanoseconds
    if family == "text":
        return (
            f"CASE WHEN regexp_full_match({value}, {quote_text(_NAIVE)}) "
            f"THEN timezone({zone}, TRY_CAST({value} AS TIMESTAMP)) "
            f"WHEN regexp_full_match({value}, {quote_text(_ZONED)}) "
            # DuckDB wants no blank before an offset.
            f"THEN TRY_CAST(regexp_replace({value}, '\\s+([+-])', '\\1') AS TIMESTAMPTZ) END"
        )
    return f"timezone({zone}, TRY_CAST({value} AS TIMESTAMP))"


def _column_checks(column: Column, duck_type: str, *, guarded: bool) -> list[ContractCheck]:
    typed = quote_name(column.name)
    present = typed if column.identifier else _present(column.name, duck_type)
    checks = []

    def add(key: str, broken: str, **values: object) -> None:
        checks.append(ContractCheck.of(key, column.name, broken, voids=False, **values))

    if column.required:
        # a failed expression breaks its own rule, and is not empty as well
        computed = f" AND NOT {quote_name(f'failed:{column.name}')}" if guarded else ""
        add("empty", f"{present} IS NULL{computed}")
    if column.type != "string":
        # a value that does not convert, unlike an absent one, has a raw value and no typed one
        unread = f"{present} IS NOT NULL AND {typed} IS NULL"
        if column.type == "timestamp" and duck_type == "VARCHAR":
            short = f"regexp_full_match({present}, {quote_text(ABBREVIATED)})"
            add("ambiguous zone", f"{unread} AND {short}")
            unread = f"{unread} AND NOT {short}"
        add(column.type, unread)
    if column.type == "timestamp":
        inside = f"{typed} >= TIMESTAMPTZ '{FIRST}' AND {typed} < TIMESTAMPTZ '{END}'"
        add("impossible timestamp", f"NOT ({inside})")
    if column.type == "date":
        inside = f"{typed} BETWEEN DATE '{FIRST_DATE}' AND DATE '{LAST_DATE}'"
        add("impossible date", f"NOT {inside}")
    if column.type == "double":
        add("infinite", f"NOT isfinite({typed})")
    for key, sign, limit in (("below", "<", column.minimum), ("above", ">", column.maximum)):
        if limit is not None:
            # an infinite number breaks its own rule only
            broken = f"isfinite({typed}) AND {typed} {sign} {limit}"
            add(key, broken, limit=limit, unit=column.unit)
    if column.allowed:
        broken = f"NOT list_contains({quote_list(column.allowed)}, {typed})"
        add("not allowed", broken, allowed=", ".join(column.allowed))
    if column.pattern is not None:
        broken = f"NOT regexp_full_match({typed}, {quote_text(column.pattern)})"
        add("no match", broken, pattern=column.pattern, description=column.description)
    return checks
