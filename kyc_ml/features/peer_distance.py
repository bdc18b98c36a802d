"""How far a customer is from its peers, who are measured at the start of each month."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import DECISION_TIME
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.metrics import Floats, Ints

Measured = tuple[Mapping[str, Floats], Mapping[str, pa.Array]]
Measure = Callable[[pa.Table, Sequence[str]], Measured]
"""Computes features, by name, of customers at their times: numbers and categories."""

GroupStatistics = Sequence[pd.DataFrame]
"""Of each number of columns agreed in, the most first: n, median and mad, indexed by group."""

_NORMAL: Final = 1.4826
"""Median absolute deviations in a normal standard deviation.
Source: Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers."""

_ROUNDED: Final = 1e-12
"""Deviations below this share of the median are rounding: the peers are equal."""

_MOST_ROWS: Final = 2_000_000
"""Peers measured in one batch; limits memory and does not change the result."""

MEASURED_AT: Final = "measured_at"


def compare_with_peers(
    specs: Sequence[FeatureSpec],
    *,
    observed: TimedRows,
    own: Measured,
    customers: TimedRows,
    measure: Measure,
) -> dict[str, Floats]:
    """Compute robust distances from the peers' median; see `spec.Peer`.

    `specs`: features whose `how` is a Peer.
    `own`: tuple of mappings; the observations' own features that the specs name: numbers and
    categories.
    `customers`: profile versions: who was a customer when.
    `measure`: computes the same features for the peers.
    Returns dict of feature name to float64 array of shape (n_observations,).
    """
    hows = {spec.name: spec.how for spec in specs if isinstance(spec.how, Peer)}
    names = list(dict.fromkeys(n for how in hows.values() for n in (how.feature, *how.by)))
    when = month_starts(observed.event_time)
    found = {name: np.full(len(observed), np.nan) for name in hows}
    for starts in _in_batches(np.unique(when), customers):
        numbers, categories = measure(population(customers, starts), names)
        peers = frame(numbers, categories, _population_times(customers, starts))
        chosen = np.flatnonzero(np.isin(when, starts))
        mine = frame(*own, when).iloc[chosen]
        for name, how in hows.items():
            found[name][chosen] = distance(how, group_statistics(how, peers), mine)
    return found


def month_starts(moments: Ints) -> Ints:
    """Return the first instant (UTC) of each moment's month, all in microseconds."""
    # the cast to months drops the days
    months = moments.view("datetime64[us]").astype("datetime64[M]")
    return months.astype("datetime64[us]").view(np.int64)


def _in_batches(starts: Ints, customers: TimedRows) -> Iterator[Ints]:
    """Divide the months into batches of at most `_MOST_ROWS` peers."""
    at_most = max(1, _MOST_ROWS // max(customers.codes(CUSTOMER_ID)[1], 1))
    for first in range(0, starts.size, at_most):
        yield starts[first : first + at_most]


def _known_customers(customers: TimedRows, start: int) -> Ints:
    """Codes of the customers of whom a profile was known at a time."""
    codes, _ = customers.codes(CUSTOMER_ID)
    known = (customers.event_time < start) & (customers.known_at <= start)
    return np.unique(codes[known]).astype(np.int64)


def population(customers: TimedRows, starts: Ints) -> pa.Table:
    """List all customers known at each time, as observations."""
    names = customers.encoded(CUSTOMER_ID).dictionary
    members = [_known_customers(customers, int(start)) for start in starts]
    who = np.concatenate(members)
    when = pa.array(_population_times(customers, starts)).cast(pa.timestamp("us", tz="UTC"))
    return pa.table({CUSTOMER_ID: names.take(pa.array(who)), DECISION_TIME: when})


def _population_times(customers: TimedRows, starts: Ints) -> Ints:
    sizes = [_known_customers(customers, int(start)).size for start in starts]
    return np.repeat(starts, sizes)


def frame(
    numbers: Mapping[str, Floats], categories: Mapping[str, pa.Array], when: Ints
) -> pd.DataFrame:
    """Return months, measures and categories as a frame; a missing category is a separate group."""
    texts = {name: values.fill_null("").to_pandas() for name, values in categories.items()}
    return pd.DataFrame({MEASURED_AT: when, **texts, **numbers})


def group_statistics(how: Peer, peers: pd.DataFrame) -> GroupStatistics:
    """Compute count, median and MAD of a feature, in the narrowest groups first."""
    found = []
    for agreeing in range(len(how.by), -1, -1):
        keys = [MEASURED_AT, *how.by[:agreeing]]
        # unsorted groups: `distance` finds a group by its key, so that sorting is wasted work
        group = peers.groupby(keys, sort=False)[how.feature]
        away = (peers[how.feature] - group.transform("median")).abs()
        groups = {
            "n": group.count(),
            "median": group.median(),
            "mad": away.groupby([peers[key] for key in keys], sort=False).median(),
        }
        found.append(pd.DataFrame(groups))
    return found


def distance(how: Peer, statistics: GroupStatistics, mine: pd.DataFrame) -> Floats:
    """Compare with the narrowest group of peers that is large enough."""
    value = mine[how.feature].to_numpy()
    centre = np.full(value.size, np.nan)
    spread = np.full(value.size, np.nan)
    for agreeing, groups in zip(range(len(how.by), -1, -1), statistics, strict=True):
        keys = [MEASURED_AT, *how.by[:agreeing]]
        of_mine = mine[keys].merge(groups, left_on=keys, right_index=True, how="left")
        # only observations that no narrower group has answered
        enough = (of_mine["n"].to_numpy() >= how.fewest) & np.isnan(centre)
        centre[enough] = of_mine["median"].to_numpy()[enough]
        spread[enough] = of_mine["mad"].to_numpy()[enough]
    with np.errstate(divide="ignore", invalid="ignore"):
        away = (value - centre) / (_NORMAL * spread)
    return np.where(spread > _ROUNDED * np.abs(centre), away, np.nan)
