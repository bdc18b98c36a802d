"""Money-flow patterns in a network of payments, each reported by the edge that closes it.

What edge e completes is made of earlier edges p only, with ``event_time[p] <
event_time[e]`` and ``known_at[p] <= event_time[e]``: as the network was known when e
happened. So nothing that happens or becomes known later can move a pattern. The price: a
pattern is missed for good if one of its edges became known only after the next happened.

Sources of the patterns: IBM AMLSim, alert types
(https://github.com/IBM/AMLSim/wiki/Transaction-Model:-Alert-Model); Altman et al. 2023,
"Realistic Synthetic Financial Transactions for Anti-Money Laundering Models", NeurIPS.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kyc_ml.errors import DatasetError, Faults
from kyc_ml.features.network.adjacency import Edges
from kyc_ml.features.network.cycles import CycleRule, find_cycles
from kyc_ml.features.network.motifs import (
    ButterflyRule,
    GatherScatterRule,
    ScatterGatherRule,
    count_butterflies,
    find_gather_scatter,
    find_scatter_gather,
)
from kyc_ml.features.network.rules import DEFAULT_RULES, PatternRules
from kyc_ml.features.network.stacks import StackRule, measure_stacks
from kyc_ml.features.periods import DAY_US, HOUR_US
from kyc_ml.metrics import Floats, Ints, Ints32

Int8s = npt.NDArray[np.int8]
EdgeColumns = tuple[Ints32, Ints32, Ints, Ints, Floats]
"""Payer, payee, event time, known at, amount; see `find_patterns`."""

PATTERN_NAMES: Final = ("cycle", "stack", "scatter_gather", "gather_scatter", "butterfly")
"""Name of each pattern code."""

CYCLE, STACK, SCATTER_GATHER, GATHER_SCATTER, BUTTERFLY = range(5)

ROLE_NAMES: Final = (
    "member",  # of a cycle
    "receiver",  # of the edge on top of a stack
    "payer",  # of the edge on top of a stack, or of the edge that closes a butterfly
    "origin",  # who made the first payment of a stack
    "source",  # whose money is scattered and gathered again
    "intermediary",  # through whom it is
    "target",  # with whom it is gathered
    "hub",  # who gathers and scatters
)
"""Name of each role code."""

MEMBER, RECEIVER, PAYER, ORIGIN, SOURCE, INTERMEDIARY, TARGET, HUB = range(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """Occurrences of patterns, one row for each participant, in order of closing edge."""

    node: Ints32
    """int32 array of shape (n_rows,); the participant."""
    event_time: Ints
    known_at: Ints
    """`event_time` and `known_at`: int64 arrays of shape (n_rows,); of the occurrence, in
    microseconds: when its closing edge happened, and when that was known, which is not before it
    happened."""
    edge: Ints
    """int64 array of shape (n_rows,); index of the closing edge in the input."""
    pattern: Int8s
    role: Int8s
    """`pattern` and `role`: int8 arrays of shape (n_rows,); indices into `PATTERN_NAMES` and
    `ROLE_NAMES`."""
    length: Floats
    """float64 array of shape (n_rows,); edges of the shortest cycle closed, or depth of the stack,
    which is 2 or more; NaN for the other patterns."""
    width: Floats
    """float64 array of shape (n_rows,); number of cycles of that length closed; of intermediaries
    between source and target, or of payers or payees of the hub, whichever are fewer, 2 or more; of
    butterflies closed, 1 or more. NaN for stacks."""
    amount: Floats
    """float64 array of shape (n_rows,); of the closing edge, in its unit."""
    cap_hits: dict[str, int]
    """dict of str to int; for each pattern, the number of edges whose search a cap cut short.
    Without any, the occurrences are complete."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of one role in one pattern: those of `edge`, with `node` as participants."""

    pattern: int
    role: int
    edge: Ints32 | Ints
    node: Ints32
    length: Ints32 | None
    width: Ints32 | None


def find_patterns(
    source: Ints32,
    target: Ints32,
    event_time: Ints,
    known_at: Ints,
    amount: Floats,
    *,
    n_nodes: int,
    rules: PatternRules = DEFAULT_RULES,
) -> Patterns:
    """Find what patterns each edge closes, from the edges known when it happened.

    An edge of amount 0 or from a node to itself moves no money and takes part in nothing.

    `source`, `target`: int32 arrays of shape (n_edges,); codes of payer and payee,
    ``0 <= code < n_nodes``.
    `event_time`, `known_at`: int64 arrays of shape (n_edges,); microseconds; in order of
    event_time, then of known_at.
    `amount`: float64 array of shape (n_edges,); finite and not negative, in one currency.
    An edge closes at most one cycle, stack, gather-scatter and (group of) butterflies, and a
    scatter-gather for each source whose money it relays. The same node can be in several roles of
    one stack, whose money may pass through it again.
    Raises DatasetError if the edges are not as described; all faults are listed.
    """
    columns = (source, target, event_time, known_at, amount)
    moving, edges = moving_edges(columns, n_nodes=n_nodes)
    blocks: list[_Block] = []
    cap_hits: dict[str, int] = {}
    for code, find in enumerate(
        (_cycles, _stacks, _scatter_gathers, _gather_scatters, _butterflies)
    ):
        found, cap_hits[PATTERN_NAMES[code]] = find(edges, rules)
        blocks.extend(found)
    at = np.concatenate([moving[block.edge] for block in blocks])
    # stable: rows of one edge stay in the order of patterns and roles
    order = np.argsort(at, kind="stable")
    at = at[order]
    return Patterns(
        node=np.concatenate([block.node for block in blocks])[order],
        event_time=event_time[at],
        known_at=np.maximum(event_time[at], known_at[at]),
        edge=at.astype(np.int64, copy=False),
        pattern=_repeated([block.pattern for block in blocks], blocks)[order],
        role=_repeated([block.role for block in blocks], blocks)[order],
        length=np.concatenate([_or_nan(block.length, block) for block in blocks])[order],
        width=np.concatenate([_or_nan(block.width, block) for block in blocks])[order],
        amount=amount[at],
        cap_hits=cap_hits,
    )


def moving_edges(columns: EdgeColumns, *, n_nodes: int) -> tuple[Ints, Edges]:
    """Keep the edges that move money; see `find_patterns`, also for errors.

    Returns `moving`: int64 array; their numbers in the input.
    """
    _check_edges(columns, n_nodes=n_nodes)
    source, target, event_time, known_at, amount = columns
    # a payment to oneself or of nothing moves no money
    moving = np.flatnonzero((amount > 0.0) & (source != target))
    enters = np.maximum(event_time[moving] + 1, known_at[moving])
    edges = Edges(
        source=source[moving].astype(np.int32, copy=False),
        target=target[moving].astype(np.int32, copy=False),
        event_time=event_time[moving].astype(np.int64, copy=False),
        amount=amount[moving].astype(np.float64, copy=False),
        enters=enters.astype(np.int64, copy=False),
        by_entry=np.argsort(enters, kind="stable").astype(np.int32),
        n_nodes=n_nodes,
    )
    return moving, edges


def _repeated(codes: list[int], blocks: list[_Block]) -> Int8s:
    """Repeat each block's code for each of its rows."""
    return np.repeat(np.array(codes, np.int8), [block.edge.size for block in blocks])


def _or_nan(values: Ints32 | None, block: _Block) -> Floats:
    """Return the numbers of a block's rows as floats, NaN where the pattern has none."""
    return np.full(block.edge.size, np.nan) if values is None else values.astype(np.float64)


def _check_edges(columns: EdgeColumns, *, n_nodes: int) -> None:
    """Refuse edges that the searches would misread."""
    source, target, event_time, known_at, amount = columns
    faults = Faults("edges", DatasetError)
    sizes = [each.size for each in columns]
    if len(set(sizes)) > 1:
        faults.add(f"all columns must be equally long, got {sizes}")
        # the checks below compare the columns row by row
        faults.raise_if_any()
    n_strange = int(((source < 0) | (source >= n_nodes)).sum())
    n_strange += int(((target < 0) | (target >= n_nodes)).sum())
    if n_strange:
        faults.add(f"node codes must be in [0, {n_nodes}), got {n_strange} outside")
    n_odd = int((~(np.isfinite(amount) & (amount >= 0.0))).sum())
    if n_odd:
        faults.add(f"amounts must be finite and not negative, got {n_odd} others")
    later = (event_time[1:] > event_time[:-1]) | (
        (event_time[1:] == event_time[:-1]) & (known_at[1:] >= known_at[:-1])
    )
    n_back = int((~later).sum())
    if n_back:
        faults.add(f"edges must be in order of (event_time, known_at), got {n_back} steps back")
    faults.raise_if_any()


def list_cycles(columns: EdgeColumns, *, n_nodes: int) -> list[Ints]:
    """List the edges of the latest of the shortest cycles that each edge closes, if any.

    Takes the columns that `find_patterns` takes; the edges are numbers of the input, in the
    order of the money, the closing one last.
    """
    moving, edges = moving_edges(columns, n_nodes=n_nodes)
    length, _, paths, _ = find_cycles(edges, cycle_rule(DEFAULT_RULES))
    return [
        moving[np.append(paths[closing, : length[closing] - 1], closing)]
        for closing in np.flatnonzero(length)
    ]


def cycle_rule(rules: PatternRules) -> CycleRule:
    """Return the rule of cycles as the compiled search takes it."""
    return CycleRule(
        span_us=round(rules.cycle_span_days * DAY_US),
        retention_low=rules.cycle_retention_low,
        retention_high=rules.cycle_retention_high,
        length_max=rules.cycle_length_max,
        cap=rules.degree_cap,
        looks_cap=rules.cycle_looks_cap,
    )


def _cycles(edges: Edges, rules: PatternRules) -> tuple[list[_Block], int]:
    length, count, paths, cut = find_cycles(edges, cycle_rule(rules))
    closing = np.flatnonzero(length)
    later = paths[closing, 1:]
    between = np.where(later >= 0, edges.source[later], np.int32(-1))
    members = [edges.source[closing], edges.target[closing], *between.T]
    blocks = []
    for nodes in members:
        there = nodes >= 0
        at = closing[there]
        blocks.append(_Block(CYCLE, MEMBER, at, nodes[there], length[at], count[at]))
    return blocks, cut


def _stacks(edges: Edges, rules: PatternRules) -> tuple[list[_Block], int]:
    rule = StackRule(
        gap_us=round(rules.stack_gap_days * DAY_US),
        retention_low=rules.stack_retention_low,
        retention_high=rules.stack_retention_high,
        depth_max=rules.stack_depth_max,
        cap=rules.degree_cap,
    )
    depth, origin, cut = measure_stacks(edges, rule)
    at = np.flatnonzero(depth >= 2)
    roles = ((RECEIVER, edges.target), (PAYER, edges.source), (ORIGIN, origin))
    return [_Block(STACK, role, at, node[at], depth[at], None) for role, node in roles], cut


def _scatter_gathers(edges: Edges, rules: PatternRules) -> tuple[list[_Block], int]:
    rule = ScatterGatherRule(
        delay_us=round(rules.scatter_gather_delay_days * DAY_US),
        window_us=round(rules.scatter_gather_window_days * DAY_US),
        retention_low=rules.scatter_gather_retention_low,
        retention_high=rules.scatter_gather_retention_high,
        cap=rules.degree_cap,
    )
    at, source, width, cut = find_scatter_gather(edges, rule)
    roles = ((SOURCE, source), (INTERMEDIARY, edges.source[at]), (TARGET, edges.target[at]))
    return [_Block(SCATTER_GATHER, role, at, node, None, width) for role, node in roles], cut


def _gather_scatters(edges: Edges, rules: PatternRules) -> tuple[list[_Block], int]:
    rule = GatherScatterRule(
        window_us=round(rules.gather_scatter_window_hours * HOUR_US),
        retention_low=rules.gather_scatter_retention_low,
        retention_high=rules.gather_scatter_retention_high,
        cap=rules.degree_cap,
    )
    width, cut = find_gather_scatter(edges, rule)
    at = np.flatnonzero(width)
    return [_Block(GATHER_SCATTER, HUB, at, edges.source[at], None, width[at])], cut


def _butterflies(edges: Edges, rules: PatternRules) -> tuple[list[_Block], int]:
    rule = ButterflyRule(
        window_us=round(rules.butterfly_window_days * DAY_US), cap=rules.butterfly_degree_cap
    )
    count, cut = count_butterflies(edges, rule)
    at = np.flatnonzero(count)
    return [_Block(BUTTERFLY, PAYER, at, edges.source[at], None, count[at])], cut
