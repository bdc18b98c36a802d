"""Hysteresis: a tier rises immediately, and falls only after reviews or by a margin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pandas as pd

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import Hysteresis
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.features import DAY_US, DECISION_TIME
from kyc_ml.metrics import Floats, Ints, Names

BEFORE: Final = "tier_before_overrides"
"""Column of a score table: the tier that the next review starts from."""

OF_SCORE: Final = "tier_of_score"
"""Column of a score table: the tier of model and expert rating, before hysteresis."""

IN_FORCE: Final = "tier"
"""Column of a score table: the tier that holds."""

_TOO_FEW: Final = 1_000
"""Used as the highest tier of too few reviews: above every tier."""

_NEVER: Final = -(2**62)
"""Used as the instant of a rise that never happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierHistory:
    """Tiers of n earlier reviews, sorted by customer and time.

    Attributes
    ----------
    names : Index
        The customers, each once.
    customer : int64 array of shape (n,)
        Place in `names`.
    time : int64 array of shape (n,)
        Instant of the review, in microseconds since 1970.
    before, of_score, tier : int64 arrays of shape (n,)
        Places in the policy's tiers; `tier` is the one in force, overrides included.
    """

    names: pd.Index
    customer: Ints
    time: Ints
    before: Ints
    of_score: Ints
    tier: Ints

    @classmethod
    def of(cls, scores: pd.DataFrame, *, policy: TierPolicy) -> Self:
        """Read earlier score tables, one after another in one frame.

        Of two rows with the same customer and instant the last one counts.

        Parameters
        ----------
        scores : DataFrame
            customer_id, decision_time, tier_before_overrides and tier_of_score; without a column
            tier, the tier in force counts as that before overrides.

        Raises
        ------
        ConfigError
            If a column is absent, or a tier is not in the policy; all faults are listed.
        """
        faults = Faults(f"earlier scores under policy {policy.label!r}", ConfigError)
        wanted = (CUSTOMER_ID, DECISION_TIME, BEFORE, OF_SCORE)
        faults.extend(f"column {name} is absent" for name in wanted if name not in scores)
        faults.raise_if_any()
        known = scores[scores[CUSTOMER_ID].notna() & scores[DECISION_TIME].notna()]
        known = known.assign(tier=known.get(IN_FORCE, known[BEFORE]))
        places = {}
        for column in (BEFORE, OF_SCORE, IN_FORCE):
            places[column] = pd.Index(policy.tier_names).get_indexer(pd.Index(known[column]))
            strange = sorted(set(known[column][places[column] < 0].astype(str)))
            if strange:
                faults.add(
                    f"{column}: {', '.join(strange)} is not a tier of this policy: history under "
                    "other tiers cannot be used; leave it out"
                )
        faults.raise_if_any()
        customer, names = pd.factorize(known[CUSTOMER_ID].to_numpy(dtype=object), sort=True)
        time = _microseconds(pd.DatetimeIndex(pd.to_datetime(known[DECISION_TIME], utc=True)))
        order = np.lexsort((time, customer))
        # of reviews at one instant the last one counts
        last = np.ones(order.size, np.bool_)
        ordered = customer[order], time[order]
        last[:-1] = (np.diff(ordered[0]) != 0) | (np.diff(ordered[1]) != 0)
        kept = order[last]
        return cls(
            names=pd.Index(names, dtype=object),
            customer=np.asarray(customer[kept], np.int64),
            time=time[kept],
            before=np.asarray(places[BEFORE][kept], np.int64),
            of_score=np.asarray(places[OF_SCORE][kept], np.int64),
            tier=np.asarray(places[IN_FORCE][kept], np.int64),
        )

    def last_known(self, customers: Names, decision: pd.DatetimeIndex, *, reviews: int) -> Last:
        """Look up the last review of each customer before each decision.

        Parameters
        ----------
        reviews : int
            Number of consecutive reviews that matter, this one included.
        """
        # where there is no review, -1 takes the value appended at the end
        at = self._last_before(customers, decision)
        return Last(
            before=np.append(self.before, -1)[at],
            highest=np.append(self._highest(reviews - 1), _TOO_FEW)[at],
            risen=np.append(self._risen(), _NEVER)[at],
            since=np.append(self._since(self.before), _NEVER)[at],
        )

    def _last_before(self, customers: Names, decision: pd.DatetimeIndex) -> Ints:
        """Find each customer's last review strictly before each decision; -1 without one."""
        asked = self.names.get_indexer(pd.Index(customers, dtype=object))
        time = _microseconds(decision)
        n, m = self.time.size, time.size
        customer = np.concatenate([asked, self.customer])
        when = np.concatenate([time, self.time])
        reviewed = np.concatenate([np.zeros(m, np.bool_), np.ones(n, np.bool_)])
        # at the same instant a decision comes before a review, because it must not see it
        order = np.lexsort((reviewed, when, customer))
        place = np.where(order >= m, order - m, -1)
        # the running maximum carries the last review forward
        last = np.maximum.accumulate(place)
        own = (last >= 0) & (self.customer[last] == customer[order]) if n else place >= 0
        at = np.full(m + n, -1, np.int64)
        at[order] = np.where(own, last, -1)
        return np.where((asked >= 0) & decision.notna(), at[:m], -1)

    def _highest(self, reviews: int) -> Ints:
        """Find the highest tier of the score in the last reviews up to each; else `_TOO_FEW`."""
        highest = np.full(self.time.size, -1, np.int64)
        for back in range(reviews):
            earlier = np.full(self.time.size, _TOO_FEW, np.int64)
            ends = max(self.time.size - back, 0)
            same = self.customer[back:] == self.customer[:ends]
            earlier[back:] = np.where(same, self.of_score[:ends], _TOO_FEW)
            highest = np.maximum(highest, earlier)
        return highest

    def tier_since(
        self, customer: str, tier: int, *, decision: pd.Timestamp
    ) -> pd.Timestamp | None:
        """Return the first of the unbroken reviews before a decision that gave this tier in force.

        None where the last review gave another tier, or there is no review: it begins now.
        """
        (at,) = self._last_before(np.array([customer], object), pd.DatetimeIndex([decision]))
        if at < 0 or self.tier[at] != tier:
            return None
        first = int(self._since(self.tier)[at])
        return pd.Timestamp(first, unit="us", tz="UTC").tz_convert(decision.tz)

    def _since(self, tier: Ints) -> Ints:
        """Find the instant of the first of the unbroken reviews with the tier of each."""
        same = (np.diff(self.customer) == 0) & (np.diff(tier) == 0)
        changed = np.append(True, ~same)[: self.time.size]
        return self.time[np.maximum.accumulate(np.where(changed, np.arange(self.time.size), 0))]

    def _risen(self) -> Ints:
        """Find the instant of the last rise up to each review; `_NEVER` without one."""
        rose = np.zeros(self.time.size, np.bool_)
        rose[1:] = (np.diff(self.customer) == 0) & (np.diff(self.before) > 0)
        place = np.maximum.accumulate(np.where(rose, np.arange(self.time.size), -1))
        own = (place >= 0) & (self.customer[place] == self.customer)
        return np.where(own, self.time[place], _NEVER)


def _microseconds(times: pd.DatetimeIndex) -> Ints:
    """Return microseconds since 1970; the smallest integer for NaT."""
    return np.asarray(times.as_unit("us").asi8, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """The last reviews of n rows."""

    before: Ints
    """int64 array of shape (n,); tier of the last review before overrides; -1 without a review."""
    highest: Ints
    """int64 array of shape (n,); highest tier of the score over the reviews that matter, without
    this one; `_TOO_FEW` where there were too few, -1 where only this one matters."""
    risen: Ints
    """int64 array of shape (n,); when the tier rose last, in microseconds since 1970; `_NEVER` if
    it never rose."""
    since: Ints
    """int64 array of shape (n,); first of the unbroken reviews that gave `before`, in microseconds
    since 1970; `_NEVER` without a review."""


def apply_hysteresis(
    tier: Ints,
    proba: Floats,
    last: Last,
    decision: pd.DatetimeIndex,
    *,
    rule: Hysteresis,
    tier_of: Callable[[Floats], Ints],
) -> Ints:
    """Return the tiers, lowered only as the policy allows; see `Hysteresis`.

    `tier`: int64 array of shape (n,); tier of the score.
    `tier_of`: tier of the score at other probabilities of the same rows.
    Returns int64 array of shape (n,); at least `tier`; at most the last tier where that is higher.
    It never falls as the probability rises.
    """
    lowest = last.before
    if rule.margin is not None:
        lowest = np.minimum(lowest, tier_of(np.minimum(proba / (1.0 - rule.margin), 1.0)))
    if rule.reviews is not None:
        lowest = np.minimum(lowest, np.maximum(last.highest, tier))
    cooled = last.risen + rule.cool_down_days * DAY_US
    cooling = (last.risen != _NEVER) & (_microseconds(decision) < cooled)
    lowest = np.where(cooling, last.before, lowest)
    return np.maximum(tier, lowest)
