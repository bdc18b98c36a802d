"""Money that returns to where it came from, compiled.

Temporal cycles as in Suzumura and Kanezashi, IBM AMLSim, alert type "cycle": money is
sent round a ring of accounts in the order of time, each keeping a little.
"""

from typing import NamedTuple

import numpy as np

from kyc_ml.features.network.adjacency import Edges, Lists, empty_lists, let_in, passed_on, recent
from kyc_ml.metrics import Ints32
from kyc_ml.storage import kernel


class CycleRule(NamedTuple):
    """What counts as a cycle: see `kyc_ml.features.network.rules.PatternRules`."""

    span_us: int
    retention_low: float
    retention_high: float
    length_max: int
    cap: int
    looks_cap: int


class _Search(NamedTuple):
    """Working space of a search, reused for each closing edge."""

    edge: Ints32  # paths found so far, as a tree: the first edge of each
    parent: Ints32  # and the place of the edge after it
    paid_by: Ints32  # the last edge for which a node was one of the payees of its target


@kernel()
def _meets(search: _Search, edges: Edges, place: int, node: int) -> bool:
    """Whether the path at `place` passes through the node."""
    while place >= 0:
        if edges.source[search.edge[place]] == node:
            return True
        place = search.parent[place]
    return False


@kernel()
def _write_path(search: _Search, first: int, place: int, path: Ints32) -> None:
    """Write the edges from the first up to the closing one, which is left out."""
    path[0] = first
    at = 1
    while search.parent[place] >= 0:
        path[at] = search.edge[place]
        place = search.parent[place]
        at += 1


@kernel()
def _close(  # noqa: PLR0917  numba calls are positional
    edges: Edges,
    into: Lists,
    out_of: Lists,
    closing: int,
    rule: CycleRule,
    search: _Search,
    path: Ints32,
) -> tuple[int, int, bool]:
    """Search backwards from the closing edge, paths of one more edge at a time.

    More recent edges come first, so the first cycle met is the latest of the shortest.

    Returns `length, count`: of the shortest cycles; 0 without any.
    Returns `cut`: whether a cap kept an edge from being looked at.
    """
    begin = edges.target[closing]
    since = edges.event_time[closing] - rule.span_us
    low, high, many = recent(out_of, begin, since, rule.cap)
    if low == high:
        return 0, 0, False
    if not many:  # then no path can begin earlier, nor go elsewhere first
        since = out_of.slot[low].event_time
        for slot in range(low, high):
            search.paid_by[out_of.slot[slot].other] = closing
    search.edge[0], search.parent[0] = closing, -1
    first, end, looks, cut = 0, 1, 0, False
    for length in range(2, rule.length_max + 1):
        filled, count = end, 0
        for place in range(first, end):
            after = search.edge[place]
            low, high, more = recent(into, edges.source[after], since, rule.cap)
            cut = cut or more
            # the most recent edges first: the cap on looks then drops the oldest
            for slot in range(high - 1, low - 1, -1):
                if looks == rule.looks_cap:
                    return (length if count > 0 else 0), count, True
                looks += 1
                if into.slot[slot].event_time >= edges.event_time[after] or not passed_on(
                    into.slot[slot].amount,
                    edges.amount[after],
                    rule.retention_low,
                    rule.retention_high,
                ):
                    continue
                payer = into.slot[slot].other
                if payer == begin:
                    if count == 0:
                        _write_path(search, into.slot[slot].edge, place, path)
                    count += 1
                elif (
                    count == 0
                    and length < rule.length_max
                    and (many or length + 1 < rule.length_max or search.paid_by[payer] == closing)
                    and not _meets(search, edges, place, payer)
                ):
                    search.edge[filled], search.parent[filled] = into.slot[slot].edge, place
                    filled += 1
        if count > 0:
            return length, count, cut
        first, end = end, filled
    return 0, 0, cut


@kernel()
def find_cycles(edges: Edges, rule: CycleRule) -> tuple[Ints32, Ints32, Ints32, int]:
    """Find the shortest cycles that each edge closes.

    Returns `length`: int32 array of shape (n_edges,); length of the shortest cycle that the edge
    closes; 0 without any.
    Returns `count`: int32 array of shape (n_edges,); how many cycles of that length it closes.
    Returns `paths`: int32 array of shape (n_edges, length_max - 1); edges of the latest of them
    without the edge itself, in the order the money went; -1 where there are fewer.
    Returns `cut`: number of edges whose search a cap cut.

    Notes
    -----
    The latest cycle is the one whose last edge before the closing one is the most
    recent, then whose last but one is, and so on.
    """
    n_edges = edges.source.size
    length, count = np.zeros(n_edges, np.int32), np.zeros(n_edges, np.int32)
    paths = np.full((n_edges, rule.length_max - 1), -1, np.int32)
    into = empty_lists(edges.target, edges.source, edges.n_nodes, rule.cap)
    out_of = empty_lists(edges.source, edges.target, edges.n_nodes, rule.cap)
    search = _Search(
        np.empty(rule.looks_cap + 1, np.int32),
        np.empty(rule.looks_cap + 1, np.int32),
        np.full(edges.n_nodes, -1, np.int32),
    )
    entered, left, cuts = 0, 0, 0
    for closing in range(n_edges):
        now = edges.event_time[closing]
        entered = let_in(into, edges, entered, now)
        left = let_in(out_of, edges, left, now)
        found, times, cut = _close(edges, into, out_of, closing, rule, search, paths[closing])
        length[closing], count[closing] = found, times
        cuts += cut
    return length, count, paths, cuts
