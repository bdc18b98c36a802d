"""Apply gates to figures: verdicts of checks, and findings."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

import pandas as pd

from kyc_ml.validation.check import Check
from kyc_ml.validation.policy import Gate, GateCondition
from kyc_ml.validation.result import AppliedGate, Figure, Finding, Verdict, say_figure
from kyc_ml.validation.text import NOTHING, Text, name_value, notice

_TINY_P: Final = 0.0001
"""Smallest p-value that a finding gives in digits: a committee does not read 4.4e-08."""


def apply_gates(
    gates: Iterable[Gate], figures: Mapping[str, Figure], *, parts: pd.DataFrame | None = None
) -> tuple[AppliedGate, ...]:
    """Compare the figures of a check, by name, with its gates.

    `parts` is `Outcome.parts`: the value of a gate is that of the part farthest beyond its bounds,
    if one is.
    """
    table = pd.DataFrame() if parts is None else parts
    return tuple(_apply(gate, figures, table) for gate in gates)


def evaluate_gate(gates: tuple[AppliedGate, ...]) -> Verdict:
    """Return the verdict of a check; see `Verdict`."""
    if not gates:
        return "information"
    if all(gate.value is None for gate in gates):
        return "not_judged"
    broken = {gate.severity for gate in gates if gate.broken}
    if "red" in broken:
        return "fail"
    return "finding" if "amber" in broken else "pass"


def find_findings(check: Check, gates: tuple[AppliedGate, ...]) -> tuple[Finding, ...]:
    """Return a finding for each broken gate; red replaces amber on the same figure."""
    red = {gate.figure for gate in gates if gate.broken and gate.severity == "red"}
    return tuple(
        Finding(
            id=f"{check.id}/{gate.figure}/{gate.severity}",
            check=check.id,
            severity=gate.severity,
            text=_sentence(check, gate),
        )
        for gate in gates
        if gate.broken and (gate.severity == "red" or gate.figure not in red)
    )


def _apply(gate: Gate, figures: Mapping[str, Figure], parts: pd.DataFrame) -> AppliedGate:
    found = figures[gate.figure]
    value, about, at_most = found.value, found.about, gate.at_most
    if at_most is not None and gate.or_figure is not None:
        other = figures[gate.or_figure].value
        at_most = at_most if other is None else max(at_most, other)
    beyond = _beyond(gate, figures, parts, at_most=at_most)
    if beyond:
        _, value, about = max(beyond)
    note = NOTHING if gate.only_if is None else _condition(gate.only_if, figures)
    return AppliedGate(
        figure=gate.figure,
        value=value,
        at_least=gate.at_least,
        at_most=at_most,
        severity=gate.severity,
        source=gate.source,
        source_zh=gate.source_zh,
        broken=bool(beyond),
        about=about,
        note=notice("undefined_figure") if value is None else note,
    )


def _beyond(
    gate: Gate, figures: Mapping[str, Figure], parts: pd.DataFrame, *, at_most: float | None
) -> list[tuple[float, float, str]]:
    """Return excess, value and name of each part, or of the whole, that breaks the gate."""
    asked = [gate.figure] if gate.only_if is None else [gate.figure, gate.only_if.figure]
    if set(asked) <= set(parts.columns):
        lines = parts[["part", *asked]].itertuples(index=False, name=None)
    else:
        whole = figures[gate.figure]
        lines = iter([(whole.about, *(figures[name].value for name in asked))])
    found = []
    for about, *numbers in lines:
        if any(number is None or not math.isfinite(number) for number in numbers):
            continue
        value = float(numbers[0])
        below = -math.inf if gate.at_least is None else gate.at_least - value
        excess = max(below, -math.inf if at_most is None else value - at_most)
        if excess > 0.0 and (gate.only_if is None or gate.only_if.holds(float(numbers[1]))):
            found.append((excess, value, str(about)))
    return found


def _condition(rule: GateCondition, figures: Mapping[str, Figure]) -> Text:
    return notice(
        "condition",
        figure=figures[rule.figure].measure.label,
        bound=_bound(rule.at_least, rule.at_most),
    )


def _bound(low: float | None, high: float | None) -> Text:
    bound = "bound_low" if high is None else "bound_high" if low is None else "bound_between"
    return notice(bound, low=say_figure(low), high=say_figure(high))


def _sentence(check: Check, gate: AppliedGate) -> Text:
    measure = {each.name: each for each in check.measures}[gate.figure]
    label, value = measure.label, say_figure(gate.value)
    if measure.unit == "p-value" and gate.value is not None and gate.value < _TINY_P:
        value = f"< {_TINY_P}"
    gap = "" if gate.about or not label.zh[-1].isascii() else " "  # none before Chinese characters
    named = name_value(gate.about)
    about = Text(f" ({named.en})", f"（{named.zh}）") if gate.about else Text("", gap)
    return notice(
        "finding",
        check=check.title,
        figure=label,
        about=about,
        value=value,
        bound=_bound(gate.at_least, gate.at_most),
    )
