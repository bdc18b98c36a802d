"""Gates held against figures: the verdict of a check, and its findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kyc_ml.validation.check import Check
from kyc_ml.validation.policy import Gate
from kyc_ml.validation.result import AppliedGate, Figure, Finding, Verdict, say_figure
from kyc_ml.validation.text import NOTHING, Text

_UNDEFINED = Text("the figure is undefined on these rows", "该指标在这些样本上无定义")
_NO_CONDITION = Text("the gate's condition does not hold", "该阈值的前提条件不成立")


def apply_gates(gates: Iterable[Gate], figures: Mapping[str, Figure]) -> tuple[AppliedGate, ...]:
    """Hold each gate against its figure.

    Parameters
    ----------
    figures : mapping of name to Figure
        All figures of the check that the gates are of.
    """
    return tuple(_apply(gate, figures) for gate in gates)


def judge(gates: tuple[AppliedGate, ...]) -> Verdict:
    """Say what the gates of a check come to; see `Verdict`."""
    if not gates:
        return "information"
    if all(gate.value is None for gate in gates):
        return "not_judged"
    broken = {gate.severity for gate in gates if gate.broken}
    if "red" in broken:
        return "fail"
    return "finding" if "amber" in broken else "pass"


def find_findings(check: Check, gates: tuple[AppliedGate, ...]) -> tuple[Finding, ...]:
    """Put broken gates into sentences; of amber and red on one figure only red is told."""
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
        note = _UNDEFINED
    elif not _counts(gate, figures):
        note = _NO_CONDITION
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
    label = {measure.name: measure.label for measure in check.measures}[gate.figure]
    value = say_figure(gate.value)
    bound, bound_zh = _bounds(gate)
    about = f" ({gate.about})" if gate.about else ""
    subject = f"{label.zh}（{gate.about}）" if gate.about else label.zh
    gap = " " if subject[-1].isascii() else ""  # none between two Chinese characters
    return Text(
        f"{check.title.en}: {label.en}{about} is {value}; it must be {bound}.",
        f"{check.title.zh}：{subject}{gap}为 {value}，应{bound_zh}。",
    )


def _bounds(gate: AppliedGate) -> tuple[str, str]:
    low, high = say_figure(gate.at_least), say_figure(gate.at_most)
    if gate.at_most is None:
        return f"at least {low}", f"不低于 {low}"
    if gate.at_least is None:
        return f"at most {high}", f"不高于 {high}"
    return f"from {low} to {high}", f"在 {low} 至 {high} 之间"
