"""Money that a payment out passes on."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

from kyc_ml.contract import AMOUNT, CUSTOMER_ID, DIRECTION
from kyc_ml.features.how import How, Names, RowColumn
from kyc_ml.features.periods import read_span, write_span
from kyc_ml.features.sentences import one_of

Matching = Literal["matched", "dwell"]
_SENTENCE: Final = re.compile(r"(?P<reading>matched|dwell)(?: within (?P<within>\w+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched(How):
    """Money a payment out passes on, first in, first out; missing for money in.

    matched: the part of the amount that had come in at most `within_us` before ·
    dwell: mean hours since that money came in, weighted by amount.
    """

    reading: Matching
    within_us: int | None = None

    def define(self) -> str:
        within = "" if self.within_us is None else f" within {write_span(self.within_us)}"
        return f"{self.reading}{within}"

    @classmethod
    def parse(cls, sentence: str, names: Names) -> Self | None:
        found = _SENTENCE.fullmatch(sentence)
        if found is None:
            return None
        return cls(reading=one_of(found["reading"], Matching), within_us=read_span(found["within"]))

    def columns(self, place: str) -> Iterator[tuple[str, str | RowColumn]]:
        yield from ((place, name) for name in (CUSTOMER_ID, DIRECTION, AMOUNT))

    def key_pairs(self) -> Sequence[tuple[str, str]]:
        """Return the customer: money is matched with that of all the customer's bookings."""
        return ((CUSTOMER_ID, CUSTOMER_ID),)
