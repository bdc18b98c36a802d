"""A reading of the observation itself."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa

from kyc_ml.features.clock import NIGHT_ENDS_HOUR, local_time
from kyc_ml.features.how import CLOCK, How, Names, RowColumn, name_of
from kyc_ml.features.sentences import one_of
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.features.values import TEXT, Reading, read_column
from kyc_ml.metrics import Floats

_SENTENCE: Final = re.compile(r"own (?P<column>\w+)(?: as (?P<reading>\w+))?")
_CLOCK_READINGS: Final = frozenset({"hour", "weekday", "night"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Own(How):
    """A reading of the observation itself: its own fields are known."""

    reading: Reading
    column: str | RowColumn | None = None

    def define(self) -> str:
        field = "time" if self.column is None else name_of(self.column)
        return f"own {field}{'' if self.reading == 'value' else f' as {self.reading}'}"

    @classmethod
    def parse(cls, sentence: str, names: Names) -> Self | None:
        found = _SENTENCE.fullmatch(sentence)
        if found is None:
            return None
        column = None if found["column"] == "time" else names.column(found["column"])
        return cls(reading=one_of(found["reading"] or "value", Reading), column=column)

    def columns(self, place: str) -> Iterator[tuple[str, str | RowColumn]]:
        if self.column is not None:
            yield place, self.column

    def is_text(self) -> bool:
        return self.reading in TEXT

    def time_bound(self, of_feature: Callable[[str], str]) -> str:
        """Return `CLOCK` for a reading of the clock."""
        return CLOCK if self.reading in _CLOCK_READINGS else ""

    def read(
        self,
        place: TimedRows,
        *,
        tables: Mapping[str, TimedRows],
        timezone: str,
    ) -> Floats | pa.Array:
        """Read a field of the observations, or the local clock at their times."""
        if self.column is None:
            hours, weekdays = local_time(place.event_time, timezone=timezone)
            clock = {"hour": hours, "weekday": weekdays, "night": hours < NIGHT_ENDS_HOUR}
            return np.asarray(clock[self.reading], dtype=np.float64)
        values = place.column(name_of(self.column))
        if self.is_text():
            return values.cast(pa.string())
        return read_column(values, self.reading, decision=place.event_time)
