"""The content of the page of a report: texts of one language, and numbers as text."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.validation.report.arranging import describe, high_first, panels
from kyc_ml.validation.report.drawing import draw
from kyc_ml.validation.report.inline import strict_svg
from kyc_ml.validation.report.naming import Naming
from kyc_ml.validation.report.numbers import (
    sort_key,
    write_cell,
    write_interval,
    write_number,
)
from kyc_ml.validation.report.words import name_column, word
from kyc_ml.validation.result import AppliedGate, CheckResult, Figure, Report, Table, Verdict
from kyc_ml.validation.text import Language, say

MOST_ROWS: Final = 60
"""Most rows of a table on the page; its Parquet file has all rows."""

VERDICTS: Final[tuple[Verdict, ...]] = (
    "fail", "finding", "pass", "not_judged", "information", "not_applicable",
)  # fmt: skip
SIGNIFICANT: Final = 0.05
"""A p-value below this is significant, in the words of the page."""

_BROKEN: Final = {"finding": "amber", "fail": "red"}
_STATES: Final = {"pass": "kept", **dict.fromkeys(_BROKEN, "broken")}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """A table with cells as (text, key to sort by, name of a feature that the text describes).

    `note` names rows that are not shown.
    """

    title: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[tuple[str, str, str], ...], ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A figure of the first screen."""

    label: str
    check: str
    anchor: str
    figure: Figure
    gates: tuple[AppliedGate, ...]
    value: str
    detail: str
    """`value` and `detail`: the figure with its interval; of a p-value whether it is significant,
    and the p-value."""
    before: str
    """Value of the previous version; '' for none."""
    state: str
    """'broken', 'kept' or 'free': the worse of the figure and its check."""
    severity: str
    """'red' or 'amber' if it is broken, else ''."""
    standing: str
    """Verdict of its check, if the figure alone does not show it."""


def gates_of(result: CheckResult, figure: Figure) -> tuple[AppliedGate, ...]:
    """Return the gates of a figure."""
    return tuple(gate for gate in result.gates if gate.figure == figure.name)


def severity_of(gates: Sequence[AppliedGate]) -> str:
    """Return the severity of the worst broken gate; '' if none is broken."""
    broken = {gate.severity for gate in gates if gate.broken}
    return "red" if "red" in broken else "amber" if broken else ""


def mark_of(gate: AppliedGate) -> str:
    """Return ✓ for a figure within its bound, ✕ for a broken gate, – for any other."""
    low = -math.inf if gate.at_least is None else gate.at_least
    high = math.inf if gate.at_most is None else gate.at_most
    within = gate.value is not None and low <= gate.value <= high
    return "✕" if gate.broken else "✓" if within else "–"


def view_tiles(report: Report, before: Report | None, naming: Naming) -> tuple[Tile, ...]:
    """Return the tiles of the key figures that were computed.

    If another figure of the check is outside its threshold, the tile shows that figure: a key
    figure within its threshold would hide the finding.
    """
    language = naming.language
    results = {result.check.id: result for result in report.results}
    tiles: dict[tuple[str, str], Tile] = {}
    for check, key in report.headline:
        figure = report.find_figure(check, key)
        if figure is None:
            continue
        result = results[check]
        figure = _decisive(result, figure)
        name = figure.name
        gates = gates_of(result, figure)
        severity = severity_of(gates)
        kept = "kept" if gates and figure.value is not None else "free"
        state = "broken" if severity else kept
        # another figure of the check may be outside its threshold: a green tile would hide that
        speaks = bool(gates) and (bool(severity) or result.verdict not in _BROKEN)
        tiles[check, name] = Tile(
            label=say(figure.measure.label, language),
            check=say(result.check.title, language),
            anchor=anchor_of(check),
            figure=figure,
            gates=gates,
            **_say_first(figure, language),
            before=_value_before(before, check, name),
            state=state if speaks else _STATES.get(result.verdict, "free"),
            severity=severity or _BROKEN.get(result.verdict, ""),
            standing="" if speaks else word(f"standing_{result.verdict}", language),
        )
    return tuple(tiles.values())


def say_value(figure: Figure, language: Language) -> str:
    """Write a figure; a word where it is undefined."""
    unit = figure.measure.unit
    return word("undefined", language) if figure.value is None else write_number(figure.value, unit)


def _say_first(figure: Figure, language: Language) -> dict[str, str]:
    """Return value and detail of a tile: words come before a p-value."""
    if figure.measure.unit != "p-value" or figure.value is None:
        return {"value": say_value(figure, language), "detail": write_interval(figure)}
    significant = "significant" if figure.value < SIGNIFICANT else "not_significant"
    return {"value": word(significant, language), "detail": f"p {say_value(figure, language)}"}


def _decisive(result: CheckResult, figure: Figure) -> Figure:
    """Return the figure itself, or another one of the check if only that is out of bounds."""
    severity = _BROKEN.get(result.verdict)
    broken = {gate.figure for gate in result.gates if gate.broken and gate.severity == severity}
    if figure.name in broken:
        return figure
    return next((each for each in result.figures if each.name in broken), figure)


def anchor_of(check: str) -> str:
    """Return the anchor of a check on the page."""
    return "check-" + check.replace(".", "-").replace("_", "-")


def _value_before(before: Report | None, check: str, name: str) -> str:
    figure = None if before is None else before.find_figure(check, name)
    return "" if figure is None else write_number(figure.value, figure.measure.unit)


def view_plots(result: CheckResult, naming: Naming) -> Iterator[tuple[str, str, str]]:
    """Yield title, message and SVG of each plot of a check, if there is something to draw."""
    for plot in result.plots:
        for number, (title, each, rows) in enumerate(
            panels(plot, result.table(plot.table), naming=naming)
        ):
            figure = draw(each, rows, naming=naming)
            if figure is not None:
                prefix = f"{anchor_of(result.check.id)}-{plot.name.replace('_', '-')}-{number}-"
                message = describe(each, rows, naming=naming)
                yield title, message, strict_svg(figure, prefix=prefix)


def view_table(table: Table, check: str, naming: Naming) -> TableView:
    """Return the first `MOST_ROWS` rows of a table, and where the rest is."""
    language = naming.language
    shown = high_first(table.frame).head(MOST_ROWS)
    total = len(table.frame)
    note = ""
    if total > len(shown):
        note = word("shown_rows", language).format(
            shown=len(shown), total=f"{total:,}", file=f"tables/{check}.{table.name}.parquet"
        )
    names = [str(name) for name in shown.columns]
    written_as = _formats(names)
    whole = {
        name: shown[name].map(round, na_action="ignore").astype(object)
        for name in names
        if _is_whole(shown[name])
    }
    shown = shown.assign(**whole)
    return TableView(
        title=say(table.title, language),
        columns=tuple(
            (name_column(name, language, check=check), pd.api.types.is_numeric_dtype(shown[name]))
            for name in names
        ),
        rows=tuple(
            tuple(
                (
                    naming.value(value) if isinstance(value, str) else write_cell(value, written),
                    sort_key(value),
                    value if value in naming.features else "",
                )
                for written, value in zip(written_as, row, strict=True)
            )
            for row in shown.itertuples(index=False)
        ),
        note=note,
    )


def _formats(names: Sequence[str]) -> list[str]:
    """Return the column whose format each column has: ends of an interval follow their figure."""
    found: list[str] = []
    for name in names:
        found.append(found[-1] if found and name in _ENDS else name)
    return found


_ENDS: Final = ("low", "high", "ci_low", "ci_high", "interval_low", "interval_high")


def _is_whole(values: pd.Series) -> bool:
    """Return whether a column of floats contains only whole numbers, not all of them 0 or 1."""
    if not pd.api.types.is_float_dtype(values):
        return False
    known = values.dropna().to_numpy(dtype=np.float64)
    whole = np.isclose(known, np.round(known), rtol=1e-9, atol=0.0)
    return bool(known.size and whole.all() and np.abs(known).max() > 1)
