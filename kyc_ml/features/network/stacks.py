"""Money that is passed on in layers, compiled.

A stack is a chain of payments in the order of time, each passing on most of the one
before: "layering" in FATF's three stages, "stack" among the alert types of IBM AMLSim.
"""

from typing import NamedTuple

import numpy as np

from kyc_ml.features.network.adjacency import Edges, empty_lists, let_in, passed_on, recent
from kyc_ml.metrics import Ints32
from kyc_ml.storage import kernel


class StackRule(NamedTuple):
    """What counts as passing on: see `kyc_ml.features.network.rules.PatternRules`."""

    gap_us: int
    retention_low: float
    retention_high: float
    depth_max: int
    cap: int


@kernel()
def measure_stacks(edges: Edges, rule: StackRule) -> tuple[Ints32, Ints32, int]:
    """Measure the deepest stack that each edge is on top of.

    ``depth(e) = 1 + max depth(p)`` over the earlier edges p into e's source that e passes
    on, each of which was measured when it happened itself.

    Returns `depth`: int32 array of shape (n_edges,); from 1 (nothing is passed on) to
    ``rule.depth_max``.
    Returns `origin`: int32 array of shape (n_edges,); source of the first edge of the stack. Of
    equally deep predecessors the most recent is followed.
    Returns `cut`: number of edges whose search the cap cut.
    """
    n_edges = edges.source.size
    depth, origin = np.ones(n_edges, np.int32), edges.source.copy()
    into = empty_lists(edges.target, edges.source, edges.n_nodes, rule.cap)
    entered, cuts = 0, 0
    for edge in range(n_edges):
        now = edges.event_time[edge]
        entered = let_in(into, edges, entered, now)
        low, high, cut = recent(into, edges.source[edge], now - rule.gap_us, rule.cap)
        cuts += cut
        deepest = 0
        # the most recent first and `>` below: of equally deep stacks the most recent counts
        for slot in range(high - 1, low - 1, -1):
            before = into.slot[slot].edge
            if depth[before] > deepest and passed_on(
                into.slot[slot].amount, edges.amount[edge], rule.retention_low, rule.retention_high
            ):
                deepest = depth[before]
                origin[edge] = origin[before]
        depth[edge] = min(1 + deepest, rule.depth_max)
    return depth, origin, cuts
