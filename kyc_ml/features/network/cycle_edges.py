"""The edges of each cycle, for people: `find_cycles` names its nodes only."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from kyc_ml.features.network.adjacency import Edges
from kyc_ml.features.network.cycles import CycleRule, find_cycles
from kyc_ml.features.network.patterns import cycle_rule, moving_edges
from kyc_ml.features.network.rules import DEFAULT_RULES
from kyc_ml.metrics import Floats, Ints, Ints32


def list_cycles(
    source: Ints32,
    target: Ints32,
    event_time: Ints,
    known_at: Ints,
    amount: Floats,
    *,
    n_nodes: int,
) -> list[tuple[int, ...]]:
    """List the latest of the shortest cycles that each edge closes, if any.

    Parameters
    ----------
    source, target, event_time, known_at, amount, n_nodes
        As `kyc_ml.features.network.patterns.find_patterns` takes them, in its order.

    Returns
    -------
    list of tuple of int
        Numbers of the edges of each cycle in the order of the money; the last closes it.
    """
    moving, edges = moving_edges(source, target, event_time, known_at, amount, n_nodes=n_nodes)
    rule = cycle_rule(DEFAULT_RULES)
    length, _, members, _ = find_cycles(edges, rule)
    pair = edges.source.astype(np.int64) * n_nodes + edges.target
    order = np.argsort(pair, kind="stable")  # of one pair in order of time
    ordered = pair[order]
    found = []
    for closing in np.flatnonzero(length):
        between = members[closing, : length[closing] - 2].tolist()
        nodes = [int(edges.target[closing]), *between, int(edges.source[closing])]
        hops = [
            order[slice(*np.searchsorted(ordered, [key, key + 1]))]
            for key in (a * n_nodes + b for a, b in pairwise(nodes))
        ]
        path = _trace(edges, hops, int(closing), int(edges.event_time[closing]), rule)
        found.append((*(int(moving[edge]) for edge in path), int(moving[closing])))
    return found


def _trace(
    edges: Edges, hops: list[Ints], after: int, now: int, rule: CycleRule
) -> tuple[int, ...]:
    """Choose an edge for each hop, the most recent ones that pass the money on to `after`."""
    if not hops:
        return ()
    for edge in hops[-1][::-1].tolist():
        if (
            now - rule.span_us <= edges.event_time[edge] < edges.event_time[after]
            and edges.enters[edge] <= now
            and rule.retention_low
            <= edges.amount[after] / edges.amount[edge]
            <= rule.retention_high
        ):
            path = _trace(edges, hops[:-1], edge, now, rule)
            if len(path) == len(hops) - 1:
                return (*path, edge)
    return ()
