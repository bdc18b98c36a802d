"""Find the patterns that each observation's rows show, as known at its decision."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import CUSTOMER_ID, EVENT_TIME, TRANSACTION_ID
from kyc_ml.decision.patterns.kernels import PassRule, mark_fan, mark_passing
from kyc_ml.decision.patterns.rounds import Rounds
from kyc_ml.decision.patterns.rows import Rows, Seen, see, select_own
from kyc_ml.decision.patterns.rules import DECLARED, EARLIEST_US, PATTERNS, PatternRule
from kyc_ml.decision.patterns.sentences import Amounts, say_pattern
from kyc_ml.decision.wording import Pair
from kyc_ml.features import DAY_US, DECISION_TIME, microseconds
from kyc_ml.metrics import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A pattern that the rows of one observation show."""

    code: str
    name: Pair
    text: Pair
    """`name` and `text`: in English and Chinese."""
    first: pd.Timestamp
    last: pd.Timestamp
    """`first` and `last`: of its rows, in the source's zone."""
    amount_in: float
    amount_out: float
    """`amount_in` and `amount_out`: of its rows into and out of the customer's accounts, base
    currency."""
    share: float
    """Of the amount of all that the customer moved in the window of 90 days, 0 to 1."""
    transactions: tuple[str, ...]
    """Ids of its rows in order of time. Those of a cycle belong to several customers."""
    figures: Mapping[str, float]
    """Mapping of name to number; payments_in, payments_out, parties_in, parties_out, sent_on (share
    of the amount in that went out), and of some patterns gap_days, multiple or threshold."""


def find_patterns(
    transactions: pa.Table,
    observations: pa.Table,
    *,
    timezone: str,
    currency: str,
    cash_report: float,
    begins: int | None = None,
) -> list[tuple[Pattern, ...]]:
    """Find the patterns of n observations; a result depends on no other observation.

    A row counts if it happened before the decision and was known at it; a fraud observation also
    sees the payment that it scores. The order of the rows changes nothing. The patterns say
    what the rows show, never why.

    `transactions`: the contracted table, or what `StoredTransactions` reads of it.
    `observations`: pyarrow.Table of n rows; observation_id, customer_id and decision_time; without
    a customer there is no pattern.
    `timezone`, `currency`: zone and base currency of the source, for the sentences.
    `cash_report`: cash amount from which the bank reports, base currency: the scale of all amounts.
    `begins`: when the source begins, microseconds; by default the first row of `transactions`.
    First those that the scored payment is part of, then by share, then the latest.
    """
    found: list[tuple[Pattern, ...]] = [()] * len(observations)
    if not len(transactions) or not len(observations):
        return found
    if begins is None:
        begins = int(microseconds(transactions[EVENT_TIME]).min())
    own = select_own(transactions, pc.unique(observations[CUSTOMER_ID]).drop_null())
    ids = own[TRANSACTION_ID]
    amounts = Amounts(timezone=timezone, currency=currency, cash_report=cash_report)
    decided = microseconds(observations[DECISION_TIME])
    rounds = Rounds.of(
        transactions,
        since=int(decided.min()) - EARLIEST_US,
        until=int(decided.max()),
        least=PATTERNS["cycle"]["least"] * cash_report,
    )
    for seen in see(own, observations, begins=begins):
        listed = []
        for code, search in _SEARCHES.items():
            marked = search(seen, PATTERNS[code], cash_report)
            if marked.any():
                rows = seen.rows.take(marked)
                names = ids.take(rows.place).to_pylist()
                listed.append((seen.own in rows.place, _describe(code, rows, seen, names, amounts)))
        mine = ids[seen.own].as_py() if seen.own >= 0 else None
        for rows, names in rounds.seen_by(seen, mine):
            listed.append((mine in names, _describe("cycle", rows, seen, names, amounts)))
        listed.sort(key=lambda each: (-each[0], -each[1].share, -each[1].last.value, each[1].code))
        found[seen.at] = tuple(pattern for _, pattern in listed)
    return found


def _describe(code: str, rows: Rows, seen: Seen, ids: list[str], amounts: Amounts) -> Pattern:
    """Count what a pattern's rows hold; other customers' rows of a cycle have no way."""
    into, out = rows.way > 0, rows.way < 0
    paid_in, paid_out = float(rows.amount[into].sum()), float(rows.amount[out].sum())
    moved = paid_in + paid_out if code == "cycle" else float(rows.amount.sum())
    flow = max(float(seen.rows.amount[seen.recent :].sum()), moved)
    figures = {
        "payments": rows.time.size,
        "payments_in": int(into.sum()),
        "payments_out": int(out.sum()),
        "parties_in": np.unique(rows.party[into & (rows.party >= 0)]).size,
        "parties_out": np.unique(rows.party[out & (rows.party >= 0)]).size,
        "sent_on": paid_out / paid_in if paid_in > 0.0 else np.nan,
        **(_MORE[code](rows, seen) if code in _MORE else {}),
    }
    return Pattern(
        code=code,
        name=(PATTERNS[code].name["en"], PATTERNS[code].name["zh"]),
        text=say_pattern(code, rows, figures, amounts),
        first=amounts.clock(int(rows.time[0])),
        last=amounts.clock(int(rows.time[-1])),
        amount_in=paid_in,
        amount_out=paid_out,
        share=moved / flow if flow > 0.0 else 0.0,
        transactions=tuple(ids),
        figures=figures,
    )


def _pass_rule(rule: PatternRule, cash_report: float) -> PassRule:
    return PassRule(
        span=rule.days("span"),
        pause=rule.days("pause"),
        least_number=int(rule["least_number"]),
        most_number=int(rule["most_number"]),
        least_share=rule["least_share"],
        most_share=rule["most_share"],
        least_part=rule["part_least"],
        least=rule["least"] * cash_report,
    )


def _recent(seen: Seen, marked: Mask) -> Mask:
    """Extend marks of the window's rows to all rows."""
    return np.concatenate([np.zeros(seen.recent, np.bool_), marked])


def _is_busy(seen: Seen) -> bool:
    """Whether a customer has too many payments for a search that compares them with each other."""
    return bool(seen.rows.time.size - seen.recent > DECLARED["most_rows"])


def _search_fan(seen: Seen, rule: PatternRule, cash_report: float, *, way: int) -> Mask:
    """Search for a fan-in, or, as if time and money ran backwards (way -1), for a fan-out."""
    if _is_busy(seen):
        return np.zeros(seen.rows.time.size, np.bool_)
    rows, turned = seen.rows.take(slice(seen.recent, None)), slice(None, None, way)
    marked = mark_fan(
        way * rows.time[turned],
        rows.amount[turned],
        way * rows.way[turned],
        rows.party[turned],
        seen.new[seen.recent :][turned],
        _pass_rule(rule, cash_report),
    )
    return _recent(seen, marked[turned])


def _search_passing(seen: Seen, rule: PatternRule, cash_report: float) -> Mask:
    if _is_busy(seen):
        return np.zeros(seen.rows.time.size, np.bool_)
    rows = seen.rows.take(slice(seen.recent, None))
    marked = mark_passing(rows.time, rows.amount, rows.way, _pass_rule(rule, cash_report))
    return _recent(seen, marked)


def _search_structuring(seen: Seen, rule: PatternRule, cash_report: float) -> Mask:
    """Mark the most cash payments of one way just below the threshold within a span."""
    rows = seen.rows
    near = rows.cash & (rows.amount >= rule["near"] * cash_report) & (rows.amount < cash_report)
    near[: seen.recent] = False
    marked, most = np.zeros(near.size, np.bool_), int(rule["least_number"])
    for way in (1, -1):
        at = np.flatnonzero(near & (rows.way == way))
        starts = np.searchsorted(rows.time[at], rows.time[at] - rule.days("span"))
        counts = np.arange(1, at.size + 1) - starts
        if at.size and counts.max() >= most:
            last = int(np.flatnonzero(counts == counts.max())[-1])
            most = int(counts.max()) + 1  # the other way must have more
            marked[:] = False
            marked[at[starts[last] : last + 1]] = True
    return marked


def _search_dormant(seen: Seen, rule: PatternRule, cash_report: float) -> Mask:
    """Mark the rows soon after the last long pause, if they move enough."""
    time, marked = seen.rows.time, np.zeros(seen.rows.time.size, np.bool_)
    ends = np.flatnonzero(np.diff(time) >= rule.days("gap")) + 1
    if ends.size and ends[-1] >= seen.recent:
        marked[ends[-1] :] = time[ends[-1] :] <= time[ends[-1]] + rule.days("span")
        marked &= seen.rows.amount[marked].sum() >= rule["least"] * cash_report
    return marked


def _search_new_device(seen: Seen, rule: PatternRule, cash_report: float) -> Mask:
    """Mark the payments to new payees soon after the first one of a device."""
    # of several devices the one that began last counts. Its code says nothing about that: it
    # depends on the rows of others
    rows = seen.rows
    none = np.zeros(rows.time.size, np.bool_)
    if _is_busy(seen):
        return none
    devices, first = np.unique(rows.device, return_index=True)
    _, met, party = np.unique(rows.party, return_index=True, return_inverse=True)
    out = rows.way < 0
    by_device = out & (rows.device >= 0)
    fresh = (devices >= 0) & (rows.time[first] >= seen.decided - rule.days("window"))
    latest = np.argsort(-first[fresh], kind="stable")
    for device, start in zip(devices[fresh][latest], first[fresh][latest], strict=True):
        # the first device of a customer is not a new one: another one must have paid before
        if not by_device[:start].any():
            continue
        within = rows.time <= rows.time[start] + rule.days("pause")
        here = out & (rows.device == device) & within & (met[party] >= start) & seen.new
        usual = float(np.median(rows.amount[:start][out[:start]]))
        if rows.amount[here].sum() >= rule["least_multiple"] * usual > 0.0 and here.any():
            return np.asarray(here, np.bool_)
    return none


def _count_gap(rows: Rows, seen: Seen) -> dict[str, float]:
    before = seen.rows.time[seen.rows.time < rows.time[0]][-1]
    return {"gap_days": float((rows.time[0] - before) // DAY_US)}


def _count_multiple(rows: Rows, seen: Seen) -> dict[str, float]:
    first = int(np.flatnonzero(seen.rows.device == rows.device[0])[0])
    usual = np.median(seen.rows.amount[:first][seen.rows.way[:first] < 0])
    return {"multiple": float(rows.amount.sum() / usual)}


def _count_round(rows: Rows, seen: Seen) -> dict[str, float]:
    return {"sent_on": float(rows.amount[-1] / rows.amount[0]), "parties": rows.time.size}


_SEARCHES: Final[dict[str, Callable[[Seen, PatternRule, float], Mask]]] = {
    "fan_in": partial(_search_fan, way=1),
    "fan_out": partial(_search_fan, way=-1),
    "pass_through": _search_passing,
    "structuring": _search_structuring,
    "dormant_active": _search_dormant,
    "new_device_transfer": _search_new_device,
}
"""The search of each pattern in the rows of one customer; a cycle needs those of others too."""

_MORE: Final[dict[str, Callable[[Rows, Seen], dict[str, float]]]] = {
    "dormant_active": _count_gap,
    "new_device_transfer": _count_multiple,
    "cycle": _count_round,
}
"""Further figures by pattern."""
