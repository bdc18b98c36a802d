"""Arithmetic on features, and on the columns of a row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, get_args

import pyarrow as pa

from kyc_ml.features.formulas import Operation, evaluate
from kyc_ml.features.how import How, Names, RowColumn, name_of
from kyc_ml.features.sentences import CALL, listed, number, one_of, write_call, write_number
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.metrics import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula(How):
    """Arithmetic on other features, by name; missing where it is undefined.

    ratio: a / b, missing where b is 0 · difference: a - b · sum, product, minimum, maximum: of all
    inputs, missing where one is · z_score: (a - b) / c, missing where c is 0 · equals_zero: 1 where
    a is 0 · at_least: 1 where a >= b, or a >= `parameter` if there is one input · below: 1 where a
    < b or a < `parameter` · shrunk_share: (a + k * prior) / (b + k) with k = `parameter` and prior
    = c / d, the share of all keys together · minus_log: -ln(a), missing where a is 0 · log_ratio:
    ln((a + k) / (b + k)) with k = `parameter` · scaled: a * `parameter`. Two numbers that differ by
    rounding only are equal: their ratio is 1, their difference and log ratio 0.
    """

    operation: Operation
    inputs: tuple[str, ...]
    parameter: float = 0.0

    def define(self) -> str:
        return write_call(self.operation, self.inputs, _parameter(self.parameter))

    @classmethod
    def parse(cls, sentence: str, names: Names) -> Self | None:
        found = CALL.fullmatch(sentence)
        if found is None:
            return None
        return cls(
            operation=one_of(found["operation"], Operation),
            inputs=listed(found["inputs"]),
            parameter=number(found["extra"] or "0"),
        )

    def features_read(self) -> tuple[str, ...]:
        return self.inputs

    def time_bound(self, of_feature: Callable[[str], str]) -> str:
        """Return the reason of the first input that has one."""
        return next(filter(None, map(of_feature, self.inputs)), "")

    def combine(self, inputs: Sequence[Floats]) -> Floats:
        return evaluate(self.operation, inputs, parameter=self.parameter)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFormula(How):
    """A row's column made of other columns of the row, by the arithmetic of `Formula`."""

    operation: Operation
    inputs: tuple[str | RowColumn, ...]
    parameter: float = 0.0

    def define(self) -> str:
        return write_call(self.operation, map(name_of, self.inputs), _parameter(self.parameter))

    @classmethod
    def parse(cls, sentence: str, names: Names) -> Self | None:
        found = CALL.fullmatch(sentence)
        if found is None or found["operation"] not in get_args(Operation):
            return None
        return cls(
            operation=one_of(found["operation"], Operation),
            inputs=tuple(names.column(name) for name in listed(found["inputs"])),
            parameter=number(found["extra"] or "0"),
        )

    def columns(self, place: str) -> Iterator[tuple[str, str | RowColumn]]:
        yield from ((place, column) for column in self.inputs)

    def read(
        self,
        place: TimedRows,
        *,
        tables: Mapping[str, TimedRows],
        timezone: str,
    ) -> Floats | pa.Array:
        read = [place.number(name_of(each)) for each in self.inputs]
        return evaluate(self.operation, read, parameter=self.parameter)


def _parameter(value: float) -> str:
    return write_number(value) if value else ""
