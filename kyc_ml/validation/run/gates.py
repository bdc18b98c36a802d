"""Apply gates to figures: verdicts of checks, and findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kyc_ml.validation.check import Check
from kyc_ml.validation.policy import Gate
from kyc_ml.validation.result import AppliedGate, Figure, Finding, Verdict, say_figure
from kyc_ml.validation.text import NOTHING, Text, name_value, notice

_TINY_P: Final = 0.0001
"""Smallest p-value that a finding gives in digits: a committee does not read 4.4e-08."""


def apply_gates(gates: Iterable[Gate], figures: Mapping[str, Figure]) -> tuple[AppliedGate, ...]:
    """Compare the figures of a check, by name, with its gates."""
    return tuple(_apply(gate, figures) for gate in gates)


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


def _apply(gate: Gate, figures: Mapping[str, Figure]) -> AppliedGate:
    found = figures[gate.figure]
    at_most = gate.at_most
    if at_most is not None and gate.or_figure is not None:
        other = figures[gate.or_figure].value
        at_most = at_most if other is None else max(at_most, other)
    note, broken = NOTHING, False
    if found.value is None:
        note = notice("undefined_figure")
    elif not _counts(gate, figures):
        note = notice("no_condition")
    else:
        below = gate.at_least is not None and found.value < gate.at_least
        broken = below or (at_most is not None and found.value > at_most)
    return AppliedGate(
        figure=gate.figure,
        value=found.value,
        at_least=gate.at_least,
        at_most=at_most,
        severity=gate.severity,
        source=gate.source,
        source_zh=gate.source_zh,
        broken=broken,
        about=found.about,
        note=note,
    )


def _counts(gate: Gate, figures: Mapping[str, Figure]) -> bool:
    if gate.only_if is None:
        return True
    value = figures[gate.only_if.figure].value
    return value is not None and gate.only_if.holds(value)


def _sentence(check: Check, gate: AppliedGate) -> Text:
    measure = {each.name: each for each in check.measures}[gate.figure]
    label, value = measure.label, say_figure(gate.value)
    if measure.unit == "p-value" and gate.value is not None and gate.value < _TINY_P:
        value = f"< {_TINY_P}"
    gap = "" if gate.about or not label.zh[-1].isascii() else " "  # none before Chinese characters
    named = name_value(gate.about)
    about = Text(f" ({named.en})", f"（{named.zh}）") if gate.about else Text("", gap)
    low, high = gate.at_least, gate.at_most
    bound = "bound_low" if high is None else "bound_high" if low is None else "bound_between"
    return notice(
        "finding",
        check=check.title,
        figure=label,
        about=about,
        value=value,
        bound=notice(bound, low=say_figure(low), high=say_figure(high)),
    )
