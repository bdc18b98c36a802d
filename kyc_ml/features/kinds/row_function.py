"""A column of a row computed from the row alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.features.clock import NIGHT_ENDS_HOUR, local_time
from kyc_ml.features.how import How, Names, RowColumn, name_of
from kyc_ml.features.sentences import CALL, listed, number, one_of, write_call, write_number
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.features.values import Listing, on_listing
from kyc_ml.metrics import Floats, Ints

CellOperation = Literal[
    "is_any_of",  # 1 where the text input equals one of `values`, else 0
    "between",  # 1 where parameters[0] <= input < parameters[1], else 0
    "multiple_of",  # 1 where the amount, above 0, is a whole multiple of parameters[0]
    "trailing_zeros",  # zeros at the end of the amount's whole part; 0 with a fraction
    "hour",  # local hour of the row, as text: "0" to "23"
    "weekday",  # local weekday of the row, as text: "0" (Monday) to "6"
    "night",  # 1 between 00:00 and 06:00 local time, else 0
    "listed",  # 1 where the country was on the `listing` at the row's time, else 0
    "differs",  # 1 where two text inputs differ, else 0; missing where one is
    "text",  # the number in whole hundredths, as text: equal amounts are one value
]
_CLOCK: Final = frozenset({"hour", "weekday", "night"})
_CENTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFunction(How):
    """A row's column computed from the row alone."""

    operation: CellOperation
    inputs: tuple[str | RowColumn, ...] = ()
    parameters: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    listing: Listing = ()

    def define(self) -> str:
        """Write the call; of a list of countries only its length."""
        extra = ", ".join([*map(write_number, self.parameters), *self.values])
        if self.listing:
            extra = f"a list of {len(self.listing)} stays"
        return write_call(self.operation, map(name_of, self.inputs), extra)

    @classmethod
    def parse(cls, sentence: str, names: Names) -> Self | None:
        found = CALL.fullmatch(sentence)
        if found is None:
            return None
        extra = found["extra"]
        how = cls(
            inputs=tuple(names.column(name) for name in listed(found["inputs"])),
            operation=one_of(found["operation"], CellOperation),
        )
        if how.operation == "listed":
            return replace(how, listing=names.listing(extra))
        if how.operation == "is_any_of":
            return replace(how, values=listed(extra))
        return replace(how, parameters=tuple(number(each) for each in listed(extra)))

    @property
    def is_of_the_clock(self) -> bool:
        """True if nothing but the row's time decides the value."""
        return self.operation in _CLOCK

    def columns(self, place: str) -> Iterator[tuple[str, str | RowColumn]]:
        yield from ((place, column) for column in self.inputs)

    def fault(self) -> str:
        lacks = self.operation == "listed" and not self.listing
        return "no country_lists are configured" if lacks else ""

    def read(
        self,
        place: TimedRows,
        *,
        tables: Mapping[str, TimedRows],
        timezone: str,
    ) -> Floats | pa.Array:
        if self.is_of_the_clock:
            hours, weekdays = local_time(place.event_time, timezone=timezone)
            if self.operation == "night":
                return (hours < NIGHT_ENDS_HOUR).astype(np.float64)
            return pa.array(hours if self.operation == "hour" else weekdays).cast(pa.string())
        names = [name_of(each) for each in self.inputs]
        if self.operation in _ON_TEXT:
            texts = [place.column(name) for name in names]
            return _ON_TEXT[self.operation](self, texts, place.event_time)
        if self.operation == "text":
            cents = _cents(place.number(names[0]))
            return pa.array(cents, mask=cents < 0).cast(pa.string())
        return _ON_NUMBERS[self.operation](self, place.number(names[0]))


def _is_any_of(how: RowFunction, texts: Sequence[pa.Array], _: Ints) -> pa.Array:
    found = pc.is_in(texts[0], value_set=pa.array(how.values, pa.string()))
    # `is_in` answers false for a missing text: it must stay missing
    return pc.if_else(texts[0].is_valid(), found.cast(pa.float64()), None)


def _between(how: RowFunction, values: Floats) -> Floats:
    low, high = how.parameters
    inside = ((values >= low) & (values < high)).astype(np.float64)
    return np.where(np.isnan(values), np.nan, inside)


def _multiple_of(how: RowFunction, amounts: Floats) -> Floats:
    cents = _cents(amounts)
    # in whole cents: remainders of floats are not exact
    whole = (cents > 0) & (cents % round(how.parameters[0] * _CENTS) == 0)
    return np.where(cents < 0, np.nan, whole.astype(np.float64))


def _trailing_zeros(_: RowFunction, amounts: Floats) -> Floats:
    cents = _cents(amounts)
    zeros = np.zeros(amounts.size)
    unit = _CENTS
    while True:
        unit *= 10
        whole = (cents > 0) & (cents % unit == 0)
        if not whole.any():
            return np.where(cents < 0, np.nan, zeros)
        zeros += whole


def _cents(amounts: Floats) -> Ints:
    """Return amounts in hundredths; -1 where missing."""
    # rounded: 0.29 * 100 is 28.999999999999996
    return np.where(np.isnan(amounts), -1.0, np.rint(amounts * _CENTS)).astype(np.int64)


_ON_TEXT: Final[
    dict[CellOperation, Callable[[RowFunction, Sequence[pa.Array], Ints], Floats | pa.Array]]
] = {
    "is_any_of": _is_any_of,
    "differs": lambda _, texts, __: pc.not_equal(texts[0], texts[1]).cast(pa.float64()),
    "listed": lambda how, texts, at: on_listing(texts[0], at, how.listing),
}
_ON_NUMBERS: Final[dict[CellOperation, Callable[[RowFunction, Floats], Floats]]] = {
    "between": _between,
    "multiple_of": _multiple_of,
    "trailing_zeros": _trailing_zeros,
}
