"""Small shapes that money takes when it is spread and collected again, compiled.

Scatter-gather and gather-scatter are alert types of IBM AMLSim (Suzumura and Kanezashi)
and of Altman et al. 2023, "Realistic Synthetic Financial Transactions for Anti-Money
Laundering Models", NeurIPS. Butterflies, the 2 x 2 bicliques of payers and payees, are
the smallest sign of payers who share payees: Sanei-Mehri et al. 2018, KDD.
"""

from typing import NamedTuple

import numpy as np

from kyc_ml.features.network.adjacency import Edges, empty_lists, let_in, passed_on, recent
from kyc_ml.metrics import Ints32
from kyc_ml.storage import kernel


class ScatterGatherRule(NamedTuple):
    """What counts as scatter-gather: see `kyc_ml.features.network.rules.PatternRules`."""

    delay_us: int
    window_us: int
    retention_low: float
    retention_high: float
    cap: int


class GatherScatterRule(NamedTuple):
    """What counts as gather-scatter: see `kyc_ml.features.network.rules.PatternRules`."""

    window_us: int
    retention_low: float
    retention_high: float
    cap: int


class ButterflyRule(NamedTuple):
    """What counts as a butterfly: see `kyc_ml.features.network.rules.PatternRules`."""

    window_us: int
    cap: int


@kernel()
def _with_room(values: Ints32, used: int) -> Ints32:
    """Return `values`, or a longer copy of it if no place is left."""
    if used < values.size:
        return values
    longer = np.empty(2 * values.size, np.int32)
    longer[: values.size] = values
    return longer


@kernel()
def find_scatter_gather(
    edges: Edges, rule: ScatterGatherRule
) -> tuple[Ints32, Ints32, Ints32, int]:
    """Find the sources whose money each edge gathers at its target through intermediaries.

    An edge (m -> d) relays the money of s if an earlier edge (s -> m) was passed on by
    it; which sources an edge relays is settled when it happens. For each source that edge
    e relays, the intermediaries m of the edges into d that relay it are counted: e's own
    and those of the window before.

    Returns `edge, source, width`: int32 arrays of shape (n_occurrences,); edge, source, and how
    many distinct intermediaries there are, 2 or more; in order of edge, then with the source that
    paid most recently first.
    Returns `cut`: number of edges whose search the cap cut.
    """
    n_edges = edges.source.size
    into = empty_lists(edges.target, edges.source, edges.n_nodes, rule.cap)
    relayed, ends = np.empty(1024, np.int32), np.zeros(n_edges + 1, np.int64)
    closing, origin = np.empty(1024, np.int32), np.empty(1024, np.int32)
    widths = np.empty(1024, np.int32)
    met = np.full(edges.n_nodes, -1, np.int64)  # last search of sources that met a node
    counted = np.full(edges.n_nodes, -1, np.int64)  # and last count of intermediaries
    entered, found, cuts, counts = 0, 0, 0, 0
    for edge in range(n_edges):
        now, through, final = edges.event_time[edge], edges.source[edge], edges.target[edge]
        entered = let_in(into, edges, entered, now)
        low, high, cut = recent(into, through, now - rule.delay_us, rule.cap)
        end = ends[edge]
        for slot in range(high - 1, low - 1, -1):
            source = into.slot[slot].other
            if (
                source != final
                and met[source] != edge
                and passed_on(
                    into.slot[slot].amount,
                    edges.amount[edge],
                    rule.retention_low,
                    rule.retention_high,
                )
            ):
                met[source] = edge
                relayed = _with_room(relayed, end)
                relayed[end] = source
                end += 1
        ends[edge + 1] = end
        if end > ends[edge]:
            low, high, more = recent(into, final, now - rule.window_us, rule.cap)
            cut = cut or more
        for place in range(ends[edge], end):
            counts += 1
            counted[through] = counts
            # the intermediary of this edge is the first
            width = 1
            for slot in range(low, high):
                if counted[into.slot[slot].other] == counts:
                    continue
                other = into.slot[slot].edge
                for relay in range(ends[other], ends[other + 1]):
                    if relayed[relay] == relayed[place]:
                        counted[into.slot[slot].other] = counts
                        width += 1
                        break
            if width >= 2:
                closing, origin = _with_room(closing, found), _with_room(origin, found)
                widths = _with_room(widths, found)
                closing[found], origin[found], widths[found] = edge, relayed[place], width
                found += 1
        cuts += cut
    return closing[:found], origin[:found], widths[:found], cuts


@kernel()
def find_gather_scatter(edges: Edges, rule: GatherScatterRule) -> tuple[Ints32, int]:
    """Find the edges by which a node scatters to several what it gathered from several.

    Returns `width`: int32 array of shape (n_edges,); the smaller of the numbers of distinct payers
    and payees of the edge's source in the window, the edge included; 0 if that is below 2 or if
    what went out, over what came in, is outside the retention.
    Returns `cut`: number of edges whose search the cap cut.
    """
    n_edges = edges.source.size
    width = np.zeros(n_edges, np.int32)
    into = empty_lists(edges.target, edges.source, edges.n_nodes, rule.cap)
    out_of = empty_lists(edges.source, edges.target, edges.n_nodes, rule.cap)
    met = np.full((2, edges.n_nodes), -1, np.int32)
    entered, left, cuts = 0, 0, 0
    for edge in range(n_edges):
        now, hub = edges.event_time[edge], edges.source[edge]
        entered = let_in(into, edges, entered, now)
        left = let_in(out_of, edges, left, now)
        low, high, cut = recent(into, hub, now - rule.window_us, rule.cap)
        payers, received = 0, 0.0
        for slot in range(low, high):
            received += into.slot[slot].amount
            if met[0, into.slot[slot].other] != edge:
                met[0, into.slot[slot].other] = edge
                payers += 1
        if payers < 2:
            cuts += cut
            continue
        low, high, more = recent(out_of, hub, now - rule.window_us, rule.cap)
        cuts += cut or more
        payees, paid = 1, edges.amount[edge]
        met[1, edges.target[edge]] = edge
        for slot in range(low, high):
            paid += out_of.slot[slot].amount
            if met[1, out_of.slot[slot].other] != edge:
                met[1, out_of.slot[slot].other] = edge
                payees += 1
        if payees >= 2 and passed_on(received, paid, rule.retention_low, rule.retention_high):
            width[edge] = min(payers, payees)
    return width, cuts


@kernel()
def count_butterflies(edges: Edges, rule: ButterflyRule) -> tuple[Ints32, int]:
    """Count the butterflies that each edge closes.

    Edge (u -> x) closes one for each pair (v, y) with earlier edges v -> x, v -> y and u -> y in
    the window, v other than u and y other than x. A node with more edges than the cap is a hub and
    shows no pattern: an edge from or to one closes none, and one does not count as v.

    Returns `count`: int32 array of shape (n_edges,).
    Returns `cut`: number of edges at which a hub was left out.
    """
    n_edges = edges.source.size
    count = np.zeros(n_edges, np.int32)
    into = empty_lists(edges.target, edges.source, edges.n_nodes, rule.cap)
    out_of = empty_lists(edges.source, edges.target, edges.n_nodes, rule.cap)
    own = np.full(edges.n_nodes, -1, np.int32)  # last edge whose payer paid the node before
    met = np.full(edges.n_nodes, -1, np.int32)  # last edge that met the node as v
    counted = np.full(edges.n_nodes, -1, np.int64)  # and last v that paid it
    entered, left, cuts, others = 0, 0, 0, 0
    for edge in range(n_edges):
        now, payer, payee = edges.event_time[edge], edges.source[edge], edges.target[edge]
        entered = let_in(into, edges, entered, now)
        left = let_in(out_of, edges, left, now)
        since = now - rule.window_us
        low, high, many_payers = recent(into, payee, since, rule.cap)
        first, end, many_payees = recent(out_of, payer, since, rule.cap)
        if low == high or first == end:
            continue
        cut = many_payers or many_payees
        if not cut:
            met[payer] = edge
            for slot in range(first, end):
                own[out_of.slot[slot].other] = edge
            # the payee of the closing payment is not one of the payees before it
            own[payee] = -1
            for slot in range(low, high):
                other = into.slot[slot].other
                if met[other] == edge:
                    continue
                met[other] = edge
                others += 1
                first, end, many_payees = recent(out_of, other, since, rule.cap)
                cut = cut or many_payees
                for theirs in range(first, end if not many_payees else first):
                    shared = out_of.slot[theirs].other
                    if own[shared] == edge and counted[shared] != others:
                        counted[shared] = others
                        count[edge] += 1
        cuts += cut
    return count, cuts
