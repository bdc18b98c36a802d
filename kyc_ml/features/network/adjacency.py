"""Each node's most recent edges as they were known at an instant, compiled.

The edges of a money-flow network come one after the other. Before edge e is looked at,
every edge p with ``event_time[p] < event_time[e]`` and ``known_at[p] <= event_time[e]``
has been let in, and no other: a search for what e completes cannot meet the future. An
edge that is known later than it happened takes its place by time when it comes in.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kyc_ml.metrics import Floats, Ints, Ints32
from kyc_ml.storage import kernel

SLOT: Final = np.dtype(
    [
        ("event_time", np.int64),  # microseconds
        ("amount", np.float64),
        ("edge", np.int32),  # its number
        ("other", np.int32),  # the node at its other end
    ]
)


class Edges(NamedTuple):
    """Payments between nodes, in order of (event_time, known_at)."""

    source: Ints32
    target: Ints32
    """`source` and `target`: int32 arrays of shape (n_edges,); codes of payer and payee,
    ``0 <= code < n_nodes``, never equal."""
    event_time: Ints
    """int64 array of shape (n_edges,); microseconds."""
    amount: Floats
    """float64 array of shape (n_edges,); finite and positive."""
    enters: Ints
    """int64 array of shape (n_edges,); first instant, in microseconds, whose search may meet the
    edge."""
    by_entry: Ints32
    """int32 array of shape (n_edges,); edges in order of `enters`."""
    n_nodes: int


class Lists(NamedTuple):
    """The edges that were let in, node after node, in order of time."""

    owner: Ints32
    partner: Ints32
    """`owner` and `partner`: int32 arrays of shape (n_edges,); by edge: the node in whose list it
    belongs, and the node at its other end."""
    starts: Ints
    """int64 array of shape (n_nodes + 1,); node v's slots begin at ``starts[v]``; there is one for
    each of its edges."""
    filled: Ints
    """int64 array of shape (n_nodes,); how many of them are in use. Only the last `keep` of them
    are in order and without gaps: older edges that come in after those are left out."""
    slot: npt.NDArray[np.void]
    """Array of `SLOT` of shape (n_edges,); what a search reads of an edge, side by side in
    memory."""
    keep: int
    """How many of a node's most recent edges are kept: one more than may be looked at, so that a
    cut is noticed."""


@kernel()
def empty_lists(owner: Ints32, partner: Ints32, n_nodes: int, cap: int) -> Lists:
    """Make room for the edges of each node, of which at most `cap` will be looked at."""
    starts = np.zeros(n_nodes + 1, np.int64)
    for code in owner:
        starts[code + 1] += 1
    for code in range(n_nodes):
        starts[code + 1] += starts[code]
    return Lists(
        owner,
        partner,
        starts,
        np.zeros(n_nodes, np.int64),
        np.empty(owner.size, SLOT),
        cap + 1,
    )


@kernel()
def _insert(lists: Lists, edge: int, event_time: int, amount: float) -> None:
    """Put an edge into its place among its owner's most recent ones."""
    node = lists.owner[edge]
    first = lists.starts[node]
    end = first + lists.filled[node]
    oldest = max(first, end - lists.keep)
    slot = end
    while slot > oldest and lists.slot[slot - 1].edge > edge:
        slot -= 1
    if slot == oldest and end - oldest == lists.keep:
        return  # all that are kept are more recent, now and for good
    for moved in range(end, slot, -1):
        lists.slot[moved] = lists.slot[moved - 1]
    lists.slot[slot].event_time = event_time
    lists.slot[slot].amount = amount
    lists.slot[slot].edge = edge
    lists.slot[slot].other = lists.partner[edge]
    lists.filled[node] += 1


@kernel()
def let_in(lists: Lists, edges: Edges, entered: int, now: int) -> int:
    """Add the edges that a search at `now` may use.

    `entered`: number of edges added before.
    `now`: microseconds; never falls from call to call. Number of edges added so far.
    """
    while entered < edges.by_entry.size and edges.enters[edges.by_entry[entered]] <= now:
        edge = edges.by_entry[entered]
        _insert(lists, edge, edges.event_time[edge], edges.amount[edge])
        entered += 1
    return entered


@kernel()
def recent(lists: Lists, node: int, since: int, cap: int) -> tuple[int, int, bool]:
    """Slots of the node's `cap` most recent edges that happened at `since` or later.

    Returns `low, high`: the slots are ``range(low, high)``, in order of time.
    Returns `cut`: whether there were more than `cap`.
    """
    high = lists.starts[node] + lists.filled[node]
    # one more than the cap, to find out whether there are more
    oldest = max(lists.starts[node], high - cap - 1)
    low = high
    while low > oldest and lists.slot[low - 1].event_time >= since:
        low -= 1
    if high - low > cap:
        return low + 1, high, True
    return low, high, False


@kernel()
def passed_on(before: float, after: float, low: float, high: float) -> bool:
    """Whether a payment passes on a share of the one before that is in [low, high]."""
    return low <= after / before <= high
