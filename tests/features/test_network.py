"""Each pattern equals its plain definition, on what was known when its last edge happened."""

from __future__ import annotations

import math
from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.features import DAY_US
from kyc_ml.features.network.patterns import PATTERN_NAMES, ROLE_NAMES, find_patterns
from kyc_ml.features.network.rules import PatternRules
from kyc_ml.features.periods import HOUR_US

N_NODES = 5


class Edge(NamedTuple):
    """A payment; times in hours."""

    source: int
    target: int
    event: int
    known: int
    amount: float


EDGES = st.lists(
    st.builds(
        lambda source, target, day, delay, amount: Edge(
            source, target, 24 * day, 24 * (day + delay), float(amount)
        ),
        st.integers(0, N_NODES - 1),
        st.integers(0, N_NODES - 1),
        st.integers(0, 10),
        st.sampled_from([0, 0, 0, -1, 1, 4]),
        st.sampled_from([0, 72, 80, 85, 90, 100, 102, 180, 204]),
    ),
    max_size=28,
).map(lambda edges: sorted(edges, key=lambda edge: (edge.event, edge.known)))

SHORT = {
    "cycle_span_days": 6,
    "stack_gap_days": 3,
    "scatter_gather_delay_days": 3,
    "scatter_gather_window_days": 6,
    "butterfly_window_days": 6,
}
WIDE = PatternRules(**SHORT, cycle_looks_cap=1_000_000)
NARROW = PatternRules(**SHORT, cycle_looks_cap=1_000_000, degree_cap=2, butterfly_degree_cap=2)
HURRIED = PatternRules(**SHORT, cycle_looks_cap=4, degree_cap=3, butterfly_degree_cap=3)


def find(edges, rules=WIDE):
    columns = list(zip(*edges, strict=True)) or [()] * 5
    return find_patterns(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int32),
        np.array(columns[2], np.int64) * HOUR_US,
        np.array(columns[3], np.int64) * HOUR_US,
        np.array(columns[4], np.float64),
        n_nodes=N_NODES,
        rules=rules,
    )


def rows_of(patterns, name=None):
    """Rows (edge, pattern, role, node, length, width), sorted; None for missing."""
    rows = [
        (
            int(patterns.edge[row]),
            PATTERN_NAMES[patterns.pattern[row]],
            ROLE_NAMES[patterns.role[row]],
            int(patterns.node[row]),
            None if math.isnan(patterns.length[row]) else int(patterns.length[row]),
            None if math.isnan(patterns.width[row]) else int(patterns.width[row]),
        )
        for row in range(patterns.node.size)
    ]
    return sorted((row for row in rows if name in {None, row[1]}), key=str)


# -- the definitions, in plain python -------------------------------------------------


def moves(edge):
    return edge.amount > 0 and edge.source != edge.target


def allowed(edges, closing):
    """Numbers of the edges that the closing edge may use."""
    now = edges[closing].event
    return [n for n, p in enumerate(edges) if moves(p) and p.event < now and p.known <= now]


def looked_at(edges, closing, days, cap, *, into=None, out_of=None):
    """The `cap` most recent of them at one node in the window."""
    since = edges[closing].event - 24 * days
    found = [
        n
        for n in allowed(edges, closing)
        if edges[n].event >= since and (edges[n].target == into or edges[n].source == out_of)
    ]
    return found[-cap:]


def kept(before, after, low, high):
    return low <= after.amount / before.amount <= high


def define_cycles(edges, rules):
    rows = []
    for closing, edge in enumerate(edges):
        if not moves(edge):
            continue
        usable = {
            n
            for node in range(N_NODES)
            for n in looked_at(edges, closing, rules.cycle_span_days, rules.degree_cap, into=node)
        }
        paths = []

        def extend(path, edge=edge, usable=usable, paths=paths):
            last = edges[path[-1]] if path else None
            if last is not None and last.target == edge.source:
                if kept(last, edge, 0.8, 1.02):
                    paths.append(path)
                return
            if len(path) == rules.cycle_length_max - 1:
                return
            visited = {edge.target, *(edges[n].target for n in path)}
            for n in usable:
                step = edges[n]
                start = edge.target if last is None else last.target
                follows = last is None or (step.event > last.event and kept(last, step, 0.8, 1.02))
                if step.source == start and step.target not in visited and follows:
                    extend([*path, n])

        extend([])
        if not paths:
            continue
        length = 1 + min(map(len, paths))
        shortest = [path for path in paths if len(path) == length - 1]
        latest = max(shortest, key=lambda path: path[::-1])
        nodes = [edge.source, *(edges[n].source for n in latest)]
        rows += [(closing, "cycle", "member", node, length, len(shortest)) for node in nodes]
    return rows


def define_stacks(edges, rules):
    depth, origin, rows = {}, {}, []
    for closing, edge in enumerate(edges):
        if not moves(edge):
            continue
        before = [
            n
            for n in looked_at(
                edges, closing, rules.stack_gap_days, rules.degree_cap, into=edge.source
            )
            if kept(edges[n], edge, 0.7, 1.02)
        ]
        best = max(before, key=lambda n: (depth[n], n), default=None)
        depth[closing] = 1 if best is None else min(10, 1 + depth[best])
        origin[closing] = edge.source if best is None else origin[best]
        roles = {"receiver": edge.target, "payer": edge.source, "origin": origin[closing]}
        if depth[closing] >= 2:
            rows += [(closing, "stack", *role, depth[closing], None) for role in roles.items()]
    return rows


def define_scatter_gathers(edges, rules):
    def relayed(closing):
        edge = edges[closing]
        days = rules.scatter_gather_delay_days
        before = looked_at(edges, closing, days, rules.degree_cap, into=edge.source)
        payers = {edges[n].source for n in before if kept(edges[n], edge, 0.85, 1.0)}
        return payers - {edge.target}

    rows = []
    for closing, edge in enumerate(edges):
        if not moves(edge):
            continue
        days = rules.scatter_gather_window_days
        others = looked_at(edges, closing, days, rules.degree_cap, into=edge.target)
        for source in relayed(closing):
            through = {edges[n].source for n in others if source in relayed(n)} | {edge.source}
            roles = {"source": source, "intermediary": edge.source, "target": edge.target}
            if len(through) >= 2:
                rows += [
                    (closing, "scatter_gather", *role, None, len(through)) for role in roles.items()
                ]
    return rows


def define_gather_scatters(edges, rules):
    rows = []
    for closing, edge in enumerate(edges):
        if not moves(edge):
            continue
        hub, cap = edge.source, rules.degree_cap
        came = [edges[n] for n in looked_at(edges, closing, 3, cap, into=hub)]
        went = [edge, *(edges[n] for n in looked_at(edges, closing, 3, cap, out_of=hub))]
        width = min(len({p.source for p in came}), len({p.target for p in went}))
        if width >= 2:
            share = sum(p.amount for p in went) / sum(p.amount for p in came)
            if 0.8 <= share <= 1.02:
                rows.append((closing, "gather_scatter", "hub", hub, None, width))
    return rows


def define_butterflies(edges, rules):
    rows, cap = [], rules.butterfly_degree_cap
    for closing, edge in enumerate(edges):
        if not moves(edge):
            continue
        u, x = edge.source, edge.target

        def around(closing=closing, **node):
            found = looked_at(edges, closing, rules.butterfly_window_days, 1_000, **node)
            return None if len(found) > cap else found

        if around(out_of=u) is None or around(into=x) is None:
            continue
        pairs = {
            (edges[vx].source, edges[vy].target)
            for vx in around(into=x)
            if edges[vx].source != u
            for vy in around(out_of=edges[vx].source) or []
            for uy in around(out_of=u)
            if edges[vy].target == edges[uy].target != x
        }
        if pairs:
            rows.append((closing, "butterfly", "payer", u, None, len(pairs)))
    return rows


DEFINITIONS = dict(
    zip(
        PATTERN_NAMES,
        (
            define_cycles,
            define_stacks,
            define_scatter_gathers,
            define_gather_scatters,
            define_butterflies,
        ),
        strict=True,
    )
)


# -- laws -----------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", PATTERN_NAMES)
@given(edges=EDGES)
def test_each_pattern_is_its_definition(name, rules, edges):
    expected = DEFINITIONS[name](edges, rules)
    assert rows_of(find(edges, rules), name) == sorted(expected, key=str)


@given(edges=EDGES)
def test_times_and_amount_are_those_of_the_closing_edge(edges):
    patterns = find(edges)
    assert (np.diff(patterns.edge) >= 0).all()
    for row, at in enumerate(patterns.edge):
        edge = edges[at]
        assert patterns.event_time[row] == edge.event * HOUR_US
        assert patterns.known_at[row] == max(edge.event, edge.known) * HOUR_US
        assert patterns.amount[row] == edge.amount


@pytest.mark.parametrize("rules", [WIDE, NARROW, HURRIED], ids=["wide", "narrow", "hurried"])
@given(edges=EDGES, day=st.integers(-1, 15))
def test_the_future_moves_no_pattern(rules, edges, day):
    now = 24 * day
    past = [n for n, edge in enumerate(edges) if edge.event < now and edge.known <= now]
    whole = find(edges, rules)
    old = (whole.event_time < now * HOUR_US) & (whole.known_at <= now * HOUR_US)
    part = find([edges[n] for n in past], rules)
    assert part.edge.size == old.sum()
    assert np.array(past, np.int64)[part.edge].tolist() == whole.edge[old].tolist()
    for column in ("node", "event_time", "known_at", "pattern", "role", "length", "width"):
        np.testing.assert_array_equal(getattr(part, column), getattr(whole, column)[old])


@pytest.mark.parametrize("rules", [NARROW, HURRIED], ids=["narrow", "hurried"])
@given(edges=EDGES)
def test_without_a_cap_hit_nothing_was_missed(rules, edges):
    capped, whole = find(edges, rules), find(edges)
    assert not any(whole.cap_hits.values())
    for name in PATTERN_NAMES:
        if capped.cap_hits[name] == 0:
            assert rows_of(capped, name) == rows_of(whole, name)


# -- planted examples -----------------------------------------------------------------


def on_time(*edges):
    """Edges (source, target, hour, amount), known when they happened."""
    return [Edge(source, target, hour, hour, amount) for source, target, hour, amount in edges]


def test_a_ring_that_forwards_90_percent_is_a_cycle_of_its_members():
    ring = on_time((0, 1, 0, 100.0), (1, 2, 24, 90.0), (2, 0, 48, 81.0))
    rows = rows_of(find(ring, PatternRules()), "cycle")
    assert rows == [(2, "cycle", "member", node, 3, 1) for node in (0, 1, 2)]


@pytest.mark.parametrize(
    ("back", "found"),
    [
        ((1, 0, 30 * 24, 80.0), True),  # exactly the span and the lowest share
        ((1, 0, 30 * 24 + 1, 80.0), False),
        ((1, 0, 1, 79.9), False),
        ((1, 0, 1, 102.0), True),  # exactly the highest share
        ((1, 0, 1, 102.1), False),
        ((1, 0, 0, 90.0), False),  # at the same instant
        ((1, 0, 1, 0.0), False),
        ((2, 0, 1, 90.0), False),
    ],
)
def test_edges_of_the_smallest_cycle(back, found):
    rows = rows_of(find(on_time((0, 1, 0, 100.0), back), PatternRules()), "cycle")
    assert len(rows) == (2 if found else 0)


def test_a_late_edge_is_missed_by_those_that_happened_before_it_was_known():
    late, back = Edge(0, 1, 0, 5, 100.0), Edge(1, 0, 5, 9, 90.0)
    assert len(rows_of(find([late, back]), "cycle")) == 2
    assert rows_of(find([late._replace(known=6), back]), "cycle") == []


def test_a_stack_of_four_names_its_first_payer():
    chain = on_time((0, 1, 0, 100.0), (1, 2, 1, 90.0), (2, 3, 2, 81.0), (3, 4, 3, 73.0))
    rows = rows_of(find(chain, PatternRules()), "stack")
    assert [row for row in rows if row[0] == 3] == [
        (3, "stack", "origin", 0, 4, None),
        (3, "stack", "payer", 3, 4, None),
        (3, "stack", "receiver", 4, 4, None),
    ]
    assert {row[4] for row in rows} == {2, 3, 4}


def test_a_stack_is_reported_no_deeper_than_the_limit():
    chain = on_time(*((n % 2, 1 - n % 2, n, 100.0) for n in range(14)))
    depths = {row[0]: row[4] for row in rows_of(find(chain, PatternRules()), "stack")}
    assert depths == {n: min(n + 1, 10) for n in range(1, 14)}


def test_money_scattered_to_three_is_gathered_again():
    fan = on_time(*((0, m, 0, 100.0) for m in (1, 2, 3)), *((m, 4, m, 90.0) for m in (1, 2, 3)))
    rows = rows_of(find(fan, PatternRules()), "scatter_gather")
    assert rows == [
        (n, "scatter_gather", role, node, None, n - 2)
        for n, through in ((4, 2), (5, 3))
        for role, node in (("intermediary", through), ("source", 0), ("target", 4))
    ]


def test_money_gathered_from_two_is_scattered_to_two():
    gathered = [(0, 2, 0, 100.0), (1, 2, 1, 100.0)]
    rows = rows_of(find(on_time(*gathered, (2, 3, 2, 90.0), (2, 4, 72, 90.0))), "gather_scatter")
    assert rows == [(3, "gather_scatter", "hub", 2, None, 2)]
    for last in [(2, 4, 73, 90.0), (2, 3, 72, 90.0), (2, 4, 72, 60.0), (2, 4, 72, 115.0)]:
        rows = rows_of(find(on_time(*gathered, (2, 3, 2, 90.0), last)), "gather_scatter")
        assert rows == []


def test_a_butterfly_is_closed_by_its_fourth_side():
    sides = on_time((0, 2, 0, 1.0), (0, 3, 1, 2.0), (1, 2, 2, 3.0), (1, 3, 3, 4.0))
    assert rows_of(find(sides), "butterfly") == [(3, "butterfly", "payer", 1, None, 1)]


def test_each_cap_counts_the_edges_it_cut():
    ring = on_time(*((0, 1, hour, 100.0) for hour in range(4)), (1, 0, 9, 90.0))
    assert find(ring).cap_hits == dict.fromkeys(PATTERN_NAMES, 0)
    patterns = find(ring, PatternRules(degree_cap=3))
    assert patterns.cap_hits["cycle"] == patterns.cap_hits["stack"] == 1
    assert rows_of(patterns, "cycle")[0][5] == 3
    patterns = find(ring, PatternRules(cycle_looks_cap=2))
    assert patterns.cap_hits["cycle"] == 1
    assert rows_of(patterns, "cycle")[0][5] == 2
    assert find(ring, PatternRules(cycle_looks_cap=4)).cap_hits["cycle"] == 0

    spread = on_time(*((0, m, m, 100.0) for m in (1, 2, 3)), *((m, 4, 9, 95.0) for m in (1, 2)))
    spread += on_time((3, 4, 10, 95.0))
    assert find(spread).cap_hits["scatter_gather"] == 0
    patterns = find(spread, PatternRules(degree_cap=1))
    assert patterns.cap_hits["scatter_gather"] == 1
    assert {row[5] for row in rows_of(patterns, "scatter_gather")} == {2}

    hub = on_time((0, 2, 0, 100.0), (1, 2, 1, 100.0), (0, 2, 2, 100.0), (2, 3, 3, 1.0))
    assert find(hub).cap_hits["gather_scatter"] == 0
    assert find(hub, PatternRules(degree_cap=2)).cap_hits["gather_scatter"] == 1

    sides = on_time((0, 2, 0, 1.0), (0, 3, 1, 2.0), (0, 4, 2, 2.0), (1, 2, 3, 3.0), (1, 3, 4, 4.0))
    assert find(sides, PatternRules(butterfly_degree_cap=3)).cap_hits["butterfly"] == 0
    patterns = find(sides, PatternRules(butterfly_degree_cap=2))
    assert patterns.cap_hits["butterfly"] == 1
    assert rows_of(patterns, "butterfly") == []


def test_late_edges_take_their_place_among_the_most_recent():
    rng = np.random.default_rng(0)
    edges = []
    for hour in np.sort(rng.integers(0, 24 * 9, 300)).tolist():
        source, target = rng.choice(N_NODES, 2, replace=False).tolist()
        known = hour + int(rng.integers(0, 48))
        edges.append(Edge(source, target, hour, known, float(rng.integers(90, 102))))
    edges.sort(key=lambda edge: (edge.event, edge.known))
    patterns = find(edges, NARROW)
    for name in ("stack", "scatter_gather", "gather_scatter", "butterfly"):
        assert rows_of(patterns, name) == sorted(DEFINITIONS[name](edges, NARROW), key=str)


# -- refusals -------------------------------------------------------------------------


def test_no_edges_make_no_patterns():
    patterns = find([])
    assert patterns.node.size == 0
    assert (patterns.node.dtype, patterns.pattern.dtype) == (np.int32, np.int8)
    assert patterns.cap_hits == dict.fromkeys(PATTERN_NAMES, 0)


def test_all_faults_of_edges_are_named_at_once():
    wrong = [Edge(0, N_NODES, 1, 1, 1.0), Edge(0, 1, 0, 0, -1.0), Edge(-1, 1, 0, -1, math.nan)]
    with pytest.raises(DatasetError) as error:
        find(wrong)
    assert str(error.value).splitlines() == [
        "edges: 3 faults",
        "  - node codes must be in [0, 5), got 2 outside",
        "  - amounts must be finite and not negative, got 2 others",
        "  - edges must be in order of (event_time, known_at), got 2 steps back",
    ]


def test_columns_must_be_equally_long():
    none = np.empty(0, np.int32)
    times = np.zeros(1, np.int64)
    with pytest.raises(DatasetError, match="equally"):
        find_patterns(none, none, times, times, np.ones(1), n_nodes=1)


def test_all_faults_of_rules_are_named_at_once():
    with pytest.raises(ConfigError, match="3 faults"):
        PatternRules(degree_cap=0, stack_retention_low=1.5, cycle_length_max=1)


def test_windows_of_the_rules_are_days():
    pair = on_time((0, 1, 0, 100.0), (1, 2, 24 * 7, 90.0))
    assert len(rows_of(find(pair, PatternRules()), "stack")) == 3
    assert rows_of(find(pair, PatternRules(stack_gap_days=7 - 1e-9)), "stack") == []
    assert 24 * HOUR_US == DAY_US
