"""A feature compared with the same feature of the customer's peers."""

import re
from dataclasses import dataclass
from typing import Final, Self

from kyc_ml.features.how import How, Names
from kyc_ml.features.sentences import listed

_SENTENCE: Final = re.compile(
    r"(?P<feature>\w+) compared with at least (?P<fewest>\d+) customers alike in (?P<by>[\w, ]+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(How):
    """How far a feature is from what the customer's peers had: (x - median) / (1.4826 MAD).

    Peers are the customers whose latest known profile agrees in the columns `by`. If there are
    fewer than `fewest`, the last columns are dropped one by one, until all customers are peers.
    Their values are those on the first day of the month (UTC) at or before the decision, so they
    depend on no other observation. Missing where the peers' deviation is 0.
    """

    feature: str
    by: tuple[str, ...]
    fewest: int = 20

    def define(self) -> str:
        alike = f"at least {self.fewest} customers alike in {', '.join(self.by)}"
        return f"{self.feature} compared with {alike}"

    @classmethod
    def parse(cls, sentence: str, names: Names) -> Self | None:
        found = _SENTENCE.fullmatch(sentence)
        if found is None:
            return None
        return cls(feature=found["feature"], by=listed(found["by"]), fewest=int(found["fewest"]))

    def features_read(self) -> tuple[str, ...]:
        return (self.feature, *self.by)
