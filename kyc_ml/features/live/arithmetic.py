"""Features made of other features, those of one operation together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kyc_ml.features.build import Compare
from kyc_ml.features.formulas import Operation, evaluate
from kyc_ml.features.kinds.formula import Formula
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.metrics import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """Features of one operation, none of which reads another."""

    operation: Operation
    inputs: Sequence[Ints]
    parameters: Floats
    columns: Ints


class Arithmetic:
    """What `build.combine` computes, for one observation: each operation once for many features.

    Parameters
    ----------
    place : mapping of feature to its column of the matrix
    """

    def __init__(self, specs: Sequence[FeatureSpec], place: Mapping[str, int]) -> None:
        self._place = place
        self._levels: list[tuple[list[FeatureSpec], list[_Step], list[FeatureSpec]]] = []
        waiting = [spec for spec in specs if spec.how.features_read()]
        done = {spec.name for spec in specs} - {spec.name for spec in waiting}
        while waiting:
            ready = [spec for spec in waiting if done.issuperset(spec.how.features_read())]
            self._levels.append(self._level(ready))
            done.update(spec.name for spec in ready)
            waiting = [spec for spec in waiting if spec.name not in done]

    def fill(self, numbers: Floats, compare: Compare) -> None:
        """Fill in the features of one observation, whose `numbers` have shape (p,)."""
        for peers, steps, others in self._levels:
            for name, values in (compare(peers) if peers else {}).items():
                numbers[self._place[name]] = values[0]
            for step in steps:
                inputs = [numbers[columns] for columns in step.inputs]
                found = evaluate(step.operation, inputs, parameter=step.parameters)
                numbers[step.columns] = found
            for spec in others:
                read = [numbers[self._place[name], None] for name in spec.how.features_read()]
                numbers[self._place[spec.name]] = spec.how.combine(read)[0]

    def _level(
        self, ready: Sequence[FeatureSpec]
    ) -> tuple[list[FeatureSpec], list[_Step], list[FeatureSpec]]:
        by_operation: dict[tuple[Operation, int], list[tuple[str, Formula]]] = defaultdict(list)
        others = []
        for spec in ready:
            if isinstance(spec.how, Formula):
                key = spec.how.operation, len(spec.how.inputs)
                by_operation[key].append((spec.name, spec.how))
            elif not isinstance(spec.how, Peer):
                others.append(spec)
        steps = [
            _Step(
                operation=operation,
                inputs=[
                    np.array([self._place[how.inputs[at]] for _, how in formulas])
                    for at in range(n)
                ],
                parameters=np.array([how.parameter for _, how in formulas]),
                columns=np.array([self._place[name] for name, _ in formulas]),
            )
            for (operation, n), formulas in by_operation.items()
        ]
        return [spec for spec in ready if isinstance(spec.how, Peer)], steps, others
