"""A proposal as YAML that a person can read, correct and keep."""

import json
import re
import textwrap
from collections.abc import Collection
from typing import Final

from kyc_ml.contract import CONTRACT
from kyc_ml.onboarding.proposal.guesses import Guess, MappingProposal, TableProposal
from kyc_ml.onboarding.proposal.samples import FileSample

_WIDTH: Final = 96
_FILE_KEYS: Final = (
    *("encoding", "delimiter", "quote", "escape", "skip"),
    *("header", "columns", "nulls", "partitions"),
)
_OF_SNAPSHOT: Final = ("case_id", "review_id", "event_time", "known_at")
"""Columns that the day of a snapshot fills."""
_YAML_WORDS: Final = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n", "~"})
_SAID: Final = {
    "sure": "",
    "likely": "likely; ",
    "guess": "GUESS; ",
    "yours": "TODO, yours to decide; ",
}


def write_source(proposal: MappingProposal) -> str:
    """Write a source mapping, with the evidence of each guess above it."""
    lines = [
        "# Proposed by kyc-ml init: every expression was tried on a sample of the files.",
        "# The evidence of each guess is above it; check each GUESS and TODO. Then:",
        "#   kyc-ml check --source source.yaml --data FOLDER",
        f"name: {_scalar(proposal.name)}",
        "description: proposed by kyc-ml init, not yet confirmed",
        *_comment(f"timezone: {proposal.timezone_evidence}"),
        f"timezone: {_scalar(proposal.timezone)}",
        *_comment(f"base_currency: {proposal.currency_evidence}"),
        f"base_currency: {_scalar(proposal.base_currency)}",
        "max_quarantined_share: 0.001",
    ]
    if proposal.snapshot is not None:
        lines += _comment("snapshot: the rows were true at the end of this day; GUESS, see below")
        lines.append(f"snapshot: {proposal.snapshot}")
    if proposal.quoted:
        lines += ["identifiers:", '  quotes: strip   # the files write them as ="001"']
    marks = len(proposal.open_points) - len(proposal.decisions)
    if proposal.open_points:
        shown = f" the {marks} mark(s) GUESS or TODO below{', and' if proposal.decisions else ''}"
        lines += ["", f"# To decide or confirm:{shown if marks else ''}"]
        for decision in proposal.decisions:
            lines += _comment(decision, first="#  - ", rest="#    ")
    lines += ["", "files:"]
    for sample in proposal.used_looks:
        lines += _file(sample)
    lines += ["", "tables:"]
    for table in proposal.tables.values():
        given = _OF_SNAPSHOT if proposal.snapshot is not None else ()
        lines += [*_table(table, given), ""]
    if proposal.unused:
        lines.append("# Not used:")
        for path, reason in sorted(proposal.unused.items()):
            lines += _comment(f"{path}: {reason}", first="#  - ", rest="#    ")
    return "\n".join(lines).rstrip() + "\n"


def _file(sample: FileSample) -> list[str]:
    name, source = sample.name, sample.found.source
    lines = []
    for doubt in sample.found.confirm:
        lines += _comment(f"{_SAID['guess']}{source.path}: {doubt}", indent=2)
    lines += [f"  {_scalar(name)}:", f"    path: {_scalar(source.path)}",
              f"    format: {source.format}"]  # fmt: skip
    for key in _FILE_KEYS:
        value = getattr(source, key)
        if value != type(source).model_fields[key].default:
            lines.append(f"    {key}: {_plain(value)}")
    if source.table is not None:
        lines.append(f"    table: {_scalar(source.table)}")
    return lines


def _table(table: TableProposal, given: Collection[str]) -> list[str]:
    lines = []
    for each in table.notes:
        lines += _comment(each, indent=2)
    for each in table.confirm:
        lines += _comment(f"{_SAID['guess']}{each}", indent=2)
    if table.quality is not None:
        quality = table.quality
        shown = f"Tried on {quality.read:,} rows of the sample: {quality.accepted:,} accepted."
        lines += _comment(shown, indent=2)
        for reason in quality.reasons:
            lines += _comment(
                f"{reason.column or 'row'}: {reason.rule}: {reason.count:,}; {reason.cure}",
                indent=2,
            )
    lines += [f"  {table.name}:", *_entry("from", table.rows, indent=4)]
    if table.where is not None:
        lines += _entry("where", table.where, indent=4)
    if table.optional:
        lines.append("    optional: true   # rows to score have no outcome yet")
    lines.append("    columns:")
    for name in CONTRACT[table.name].names:
        if name in table.columns:
            lines += _column(table.columns[name])
    for name, why in table.dropped.items():
        lines += _comment(f"{name} left out: {why}", indent=6)
    absent = [
        column.name
        for column in CONTRACT[table.name].columns
        if column.name not in {*table.columns, *table.dropped, *given, "known_at"}
    ]
    if "known_at" not in {*table.columns, *given}:
        lines += _comment(
            "known_at: no column gives it, so rows count as known immediately", indent=6
        )
    if absent:
        lines += _comment(f"nothing found for: {', '.join(absent)}", indent=6)
    return [*lines, *_attributes(table)]


def _attributes(table: TableProposal) -> list[str]:
    lines = []
    if table.declared:
        shown = "columns of your own: confirm that each is known when its row is; direction: 1 or"
        lines += _comment(f"{_SAID['guess']}{shown} -1 says which way risk goes", indent=4)
        lines.append("    attributes:")
        for name, keys in table.declared.items():
            lines.append(f"      {name}:")
            for key, value in keys.items():
                lines += (
                    _entry(key, value, indent=8)
                    if isinstance(value, str)
                    else [
                        f"        {key}: [{', '.join(value)}]"  # type: ignore[arg-type]
                    ]
                )
    for guess in table.attributes.values():
        if guess.doubt:
            lines += _comment(f"column {guess.column} is not an attribute: {guess.doubt}", indent=4)
    if table.unused:
        shown = ", ".join(table.unused)
        lines += _comment(f"not used: {shown} (identifiers, names or one value)", indent=4)
    return lines


def _column(guess: Guess) -> list[str]:
    lines = _comment(f"{_SAID[guess.certainty]}{guess.evidence}", indent=6)
    lines += _entry(guess.column, guess.sql, indent=6)
    for other in guess.alternatives:
        lines += _comment(f"or {guess.column}: {other}", indent=6)
    return lines


def _comment(text: str, *, indent: int = 0, first: str = "# ", rest: str = "# ") -> list[str]:
    """Write text as comment lines; what YAML cannot hold becomes a question mark."""
    plain = "".join(mark if mark.isprintable() else "?" for mark in " ".join(text.split()))
    space = " " * indent
    return textwrap.wrap(
        plain,
        _WIDTH,
        initial_indent=space + first,
        subsequent_indent=space + rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _entry(key: str, value: str, *, indent: int) -> list[str]:
    """Write a key with SQL: plain where YAML reads it so, else as a block."""
    space = " " * indent
    if _is_plain(value) and len(value) < _WIDTH - indent - len(key):
        return [f"{space}{key}: {value}"]
    inner = space + "  "
    return [f"{space}{key}: >-", *(inner + line.strip() for line in value.splitlines())]


def _is_plain(value: str) -> bool:
    safe = re.fullmatch(r"[^\W\d][\w.()+*/ ]*", value) is not None
    return safe and value.lower() not in _YAML_WORDS and value == value.strip()


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(json.dumps(each, ensure_ascii=False) for each in value)}]"
    if isinstance(value, int) or (isinstance(value, str) and _is_plain(value)):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _scalar(value: str) -> str:
    if _is_plain(value):
        return value
    return "'" + value.replace("'", "''") + "'"
