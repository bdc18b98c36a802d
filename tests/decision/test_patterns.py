"""Patterns of payments: those of a plain computation; neither the future nor the order counts."""

import itertools
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.decision import StoredTransactions, find_patterns
from kyc_ml.decision.patterns.rules import DECLARED, PATTERNS
from kyc_ml.decision.patterns.sentences import say_days
from kyc_ml.features.network.rules import DEFAULT_RULES
from kyc_ml.onboarding import BankConfig, make_bank

DAY = pd.Timedelta(days=1)
HOUR = pd.Timedelta(hours=1)
T = pd.Timestamp("2025-06-24", tz="UTC")
REPORT = 50_000.0
ABOUT = {"timezone": "Asia/Shanghai", "currency": "CNY", "cash_report": REPORT}
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("transaction_id", "customer_id")),
        *((name, pa.timestamp("us", tz="UTC")) for name in ("event_time", "known_at")),
        ("amount", pa.float64()),
        *((name, pa.string()) for name in ("direction", "counterparty_id", "instrument")),
        ("device_id", pa.string()),
    ]
)  # fmt: skip


def row(number, hours, amount, direction, party, *, customer="me", late=0, cash=False, device=None):
    """Return a row that happened some hours before T, and was known `late` hours afterwards."""
    at = T - hours * HOUR
    return {
        "transaction_id": f"x{number:04d}", "customer_id": customer, "event_time": at,
        "known_at": at + late * HOUR, "amount": float(amount), "direction": direction,
        "counterparty_id": party, "instrument": "cash" if cash else "transfer", "device_id": device,
    }  # fmt: skip


def table(rows):
    old = row(9999, 24 * 400, 1.0, "out", "shop", customer="somebody")
    return pa.Table.from_pylist([*rows, old], schema=SCHEMA)


def ask(*, at=T, name="me@2025-06-24", customer="me"):
    fields = [("observation_id", pa.string()), ("customer_id", pa.string())]
    schema = pa.schema([*fields, ("decision_time", pa.timestamp("us", tz="UTC"))])
    given_ = {"observation_id": name, "customer_id": customer, "decision_time": at}
    return pa.Table.from_pylist([given_], schema=schema)


def found_in(rows, **asked):
    (patterns,) = find_patterns(table(rows), ask(**asked), **ABOUT)
    return {each.code: each for each in patterns}


# --- an independent computation: lists and loops, after the words of patterns.yaml


def seen_rows(rows, *, at=T):
    kept = [r for r in rows if r["customer_id"] == "me" and r["event_time"] < at]
    kept = [r for r in kept if r["known_at"] <= at and r["event_time"] >= at - 455 * DAY]
    return sorted(kept, key=lambda r: (r["event_time"], r["transaction_id"]))


def is_new(r, rows):
    firsts = [
        each["event_time"] for each in rows if each["counterparty_id"] == r["counterparty_id"]
    ]
    return r["counterparty_id"] is not None and min(firsts) >= r["event_time"] - 10 * DAY


def largest_that_send(total, outs, rule):
    """Take the largest payments that fit, until they are enough; None if they never are."""
    taken, sent = [], 0.0
    for _ in range(int(rule["most_number"])):
        fits = [
            r for r in outs
            if r not in taken
            and rule["part_least"] * total <= r["amount"] <= rule["most_share"] * total - sent
            and r["amount"] > 0
        ]  # fmt: skip
        if not fits:
            return None
        taken.append(max(fits, key=lambda r: r["amount"]))
        sent += taken[-1]["amount"]
        if sent >= rule["least_share"] * total:
            return taken
    return None


def plain_fan(rows, code):
    rule, forward = PATTERNS[code], code == "fan_in"
    recent = [r for r in rows if r["event_time"] >= T - 90 * DAY]
    sign = 1 if forward else -1
    many, few = ("in", "out") if forward else ("out", "in")
    ordered = recent if forward else recent[::-1]
    best = None
    for place, last in enumerate(ordered):
        burst = [
            r for r in ordered[: place + 1]
            if r["direction"] == many and is_new(r, rows)
            and sign * (last["event_time"] - r["event_time"]) <= rule["span_days"] * DAY
        ]  # fmt: skip
        if last not in burst:
            continue
        parties = len({r["counterparty_id"] for r in burst})
        after = [
            r for r in ordered[place + 1 :]
            if r["direction"] == few
            and HOUR * 0 < sign * (r["event_time"] - last["event_time"]) <= rule["pause_days"] * DAY
        ]  # fmt: skip
        sent = largest_that_send(sum(r["amount"] for r in burst), after, rule)
        if parties >= rule["least_number"] and sent and (best is None or parties >= best[0]):
            best = parties, burst + sent
    return set() if best is None else {r["transaction_id"] for r in best[1]}


def plain_passing(rows):
    rule, used, episodes = PATTERNS["pass_through"], [], []
    recent = [r for r in rows if r["event_time"] >= T - 90 * DAY]
    for r in recent:
        if r["direction"] == "in" and r["amount"] >= rule["least"] * REPORT:
            outs = [
                o for o in recent
                if o["direction"] == "out" and o not in used
                and HOUR * 0 < o["event_time"] - r["event_time"] <= rule["pause_days"] * DAY
            ]  # fmt: skip
            sent = largest_that_send(r["amount"], outs, rule)
            if sent:
                used += sent
                episodes.append((r, sent))
    best = []
    for place, (last, _) in enumerate(episodes):
        since = last["event_time"] - rule["span_days"] * DAY
        within = [each for each in episodes[: place + 1] if each[0]["event_time"] >= since]
        best = within if len(within) >= max(len(best), rule["least_number"]) else best
    return {r["transaction_id"] for into, sent in best for r in [into, *sent]}


def plain_structuring(rows):
    best = []
    for way in ("in", "out"):
        near = [
            r for r in rows
            if r["direction"] == way and r["instrument"] == "cash"
            and 0.8 * REPORT <= r["amount"] < REPORT and r["event_time"] >= T - 90 * DAY
        ]  # fmt: skip
        runs = [
            [r for r in near[: place + 1] if r["event_time"] >= last["event_time"] - 10 * DAY]
            for place, last in enumerate(near)
        ]
        longest = max(runs, key=lambda run: (len(run), run[-1]["event_time"]), default=[])
        best = longest if len(longest) >= max(3, len(best) + 1) else best
    return {r["transaction_id"] for r in best}


def plain_dormant(rows):
    since = [
        after["event_time"] for before, after in itertools.pairwise(rows)
        if after["event_time"] - before["event_time"] >= 180 * DAY
        and after["event_time"] >= T - 90 * DAY
    ]  # fmt: skip
    awake = [r for r in rows if since and 0 * DAY <= r["event_time"] - since[-1] <= 14 * DAY]
    return {r["transaction_id"] for r in awake if sum(a["amount"] for a in awake) >= REPORT}


def plain_device(rows):
    best = []
    for device in dict.fromkeys(r["device_id"] for r in rows if r["device_id"]):
        start = next(place for place, r in enumerate(rows) if r["device_id"] == device)
        first, earlier = rows[start], rows[:start]
        before = [r for r in earlier if r["direction"] == "out"]
        if first["event_time"] < T - 7 * DAY or not any(r["device_id"] for r in before):
            continue
        known = {r["counterparty_id"] for r in earlier} | {None}
        here = [
            r for r in rows[start:]
            if r["direction"] == "out" and r["device_id"] == device
            and r["counterparty_id"] not in known
            and r["event_time"] <= first["event_time"] + 2 * DAY
        ]  # fmt: skip
        usual = np.median([r["amount"] for r in before])
        if here and sum(r["amount"] for r in here) >= 3 * usual > 0:
            best.append((start, here))
    return {r["transaction_id"] for r in best[-1][1]} if best else set()


PLAIN = {
    "fan_in": lambda rows: plain_fan(rows, "fan_in"),
    "fan_out": lambda rows: plain_fan(rows, "fan_out"),
    "pass_through": plain_passing,
    "structuring": plain_structuring,
    "dormant_active": plain_dormant,
    "new_device_transfer": plain_device,
}

# --- rows in which patterns are frequent

AMOUNTS = st.sampled_from(
    [0, 1_000, 9_800, 10_000, 20_000, 39_999.99, 40_000, 45_000, 49_999.99, 50_000]
)
NOISE = st.tuples(
    st.integers(1, 24 * 110), AMOUNTS, st.sampled_from(["in", "out", None]),
    st.sampled_from([None, *"abcdefg"]), st.sampled_from([0, 0, 0, 30, 3_000]),
    st.booleans(), st.sampled_from([None, "old", "old", "new"]),
)  # fmt: skip


@st.composite
def some_rows(draw):
    """Draw noise, a burst that is sent on (or its mirror), runs of cash and a long pause."""
    drawn = draw(st.lists(NOISE, max_size=25))
    if draw(st.booleans()):
        start, n = draw(st.integers(100, 2_000)), draw(st.integers(4, 9))
        many, few = draw(st.sampled_from([("in", "out"), ("out", "in")]))
        for place in range(n):
            drawn.append(
                (start + draw(st.integers(0, 260)), 1_000, many, f"n{place}", 0, False, "old")
            )
        back = -1 if few == "out" else 1
        edge = (min if few == "out" else max)(r[0] for r in drawn[-n:])
        for _ in range(draw(st.integers(1, 3))):
            when = edge + back * draw(st.integers(0, 75))
            drawn.append((when, draw(st.integers(1, n)) * 500, few, "z", 0, False, "new"))
    if draw(st.booleans()):
        start, way = draw(st.integers(100, 1_500)), draw(st.sampled_from(["in", "out"]))
        for _ in range(draw(st.integers(2, 5))):
            drawn.append(
                (start + draw(st.integers(0, 260)), draw(AMOUNTS), way, None, 0, True, None)
            )
    for place in range(draw(st.integers(0, 3))):  # by a new device to new payees
        drawn.append((400 + place, 1_000, "out", "a", 0, False, "old"))
        when, late = draw(st.integers(100, 180)), draw(st.sampled_from([0, 0, 200]))
        drawn.append((when, draw(AMOUNTS), "out", f"w{place}", late, False, "new"))
    for _ in range(draw(st.integers(0, 3))):  # received, and sent on in part
        start = draw(st.integers(150, 400))
        drawn.append((start, 20_000, "in", "a", 0, False, None))
        drawn.append((start - draw(st.integers(0, 80)), draw(AMOUNTS), "out", "b", 0, False, "old"))
    if draw(st.booleans()):
        drawn.append((24 * draw(st.integers(150, 500)), 500, "out", "a", 0, False, "old"))
    return [
        row(number, max(hours, 1), amount, way, party, late=late, cash=cash, device=device)
        for number, (hours, amount, way, party, late, cash, device) in enumerate(drawn)
    ]  # fmt: skip


@settings(max_examples=settings.default.max_examples * 5)
@given(some_rows())
def test_patterns_are_those_of_the_plain_computation(rows):
    got = {code: set(each.transactions) for code, each in found_in(rows).items()}
    seen = seen_rows(rows)
    wanted = {code: plain(seen) for code, plain in PLAIN.items()}
    assert got == {code: ids for code, ids in wanted.items() if ids}


@given(some_rows(), st.lists(NOISE, max_size=8), st.randoms(use_true_random=False))
def test_neither_the_future_nor_the_order_of_rows_moves_a_pattern(rows, later, random):
    future = [
        row(5_000 + number, -hours + 1, amount, way, party, cash=cash, device=device)
        for number, (hours, amount, way, party, _, cash, device) in enumerate(later)
    ]
    unknown = [
        row(6_000 + number, hours, amount, way, party, late=hours + 1, cash=cash, device=device)
        for number, (hours, amount, way, party, _, cash, device) in enumerate(later)
    ]
    shuffled = [*rows, *future, *unknown]
    random.shuffle(shuffled)
    assert found_in(shuffled) == found_in(rows)


@given(some_rows())
def test_figures_are_sums_over_the_rows_of_a_pattern(rows):
    by_id = {each["transaction_id"]: each for each in rows}
    recent = sum(r["amount"] for r in seen_rows(rows) if r["event_time"] >= T - 90 * DAY)
    for each in found_in(rows).values():
        own = [by_id[name] for name in each.transactions]
        for way, amount in (("in", each.amount_in), ("out", each.amount_out)):
            mine = [r["amount"] for r in own if r["direction"] == way]
            assert amount == pytest.approx(sum(mine))
            assert each.figures[f"payments_{way}"] == len(mine)
        assert [r["event_time"] for r in own] == sorted(r["event_time"] for r in own)
        assert (each.first, each.last) == (own[0]["event_time"], own[-1]["event_time"])
        assert str(each.first.tz) == "Asia/Shanghai"
        moved = sum(r["amount"] for r in own)
        assert each.share == pytest.approx(moved / max(recent, moved) if moved else 0.0)


def test_many_observations_get_what_each_gets_alone(tmp_path):
    rng = np.random.default_rng(5)
    rows = []
    for customer in ("me", "you", "she"):
        for number in range(60):
            way, party = rng.choice(["in", "out"]), f"p{rng.integers(30)}"
            at, amount = int(rng.integers(1, 24 * 100)), float(rng.choice([1e3, 2e4, 4.5e4]))
            rows.append(
                row(len(rows), at, amount, way, party, customer=customer, cash=number % 3 == 0)
            )
    asked = [
        ask(customer=name, at=T - days * DAY) for name in ("me", "you", "she") for days in (0, 9)
    ]
    whole = table(rows)
    together = find_patterns(whole, pa.concat_tables(asked), **ABOUT)
    assert together == [find_patterns(whole, each, **ABOUT)[0] for each in asked]
    assert sum(map(len, together)) >= 4
    pq.write_table(whole.sort_by("event_time"), tmp_path / "t.parquet")
    stored = SimpleNamespace(
        files={"transactions": tmp_path / "t.parquet"}, timezone="Asia/Shanghai",
        base_currency="CNY", whole={},
    )  # fmt: skip
    on_disk = StoredTransactions(stored, cash_report=REPORT)
    assert list(on_disk.find(pa.concat_tables(asked))) == together
    stored.files = {}  # a source without transactions
    assert list(StoredTransactions(stored, cash_report=REPORT).find(asked[0])) == [()]


def test_a_fraud_observation_sees_the_payment_that_it_scores():
    rows = [row(n, 60 + n, 10_000, "in", f"p{n}") for n in range(6)]
    last = row(50, 0, 58_000, "out", "z")
    assert not found_in([*rows, last])
    (pattern,) = found_in([*rows, last], name="x0050").values()
    assert (pattern.code, pattern.transactions[-1]) == ("fan_in", "x0050")
    assert pattern.figures["sent_on"] == pytest.approx(58 / 60)


def test_everything_is_new_in_the_first_month_of_the_data_so_nothing_is():
    rows = [row(n, 100 + n, 10_000, "in", f"p{n}") for n in range(6)] + [
        row(50, 90, 58_000, "out", "z")
    ]
    alone = pa.Table.from_pylist(rows, schema=SCHEMA)
    assert find_patterns(alone, ask(), **ABOUT) == [()]
    assert "fan_in" in found_in(rows)


@pytest.mark.parametrize(
    ("hours", "amount", "found"),
    [
        (200, 4_000, False),  # at the instant of the last receipt: it cannot be sent on yet
        (199, 4_000, True),
        (80, 4_000, True),  # five days
        (79, 4_000, False),
        (199, 3_999, False),  # 80 %
        (199, 5_250, True),  # 105 %
        (199, 5_251, False),
    ],
)
def test_a_fan_in_is_sent_on_after_the_last_receipt_in_time_and_nearly_whole(hours, amount, found):
    rows = [row(n, 200 + 60 * n, 1_000, "in", f"p{n}") for n in range(5)]
    assert ("fan_in" in found_in([*rows, row(50, hours, amount, "out", "z")])) == found
    wide = [*rows[:4], row(4, 200 + 10 * 24 + 1, 1_000, "in", "p4")]
    assert "fan_in" not in found_in([*wide, row(50, 199, 4_000, "out", "z")])


@pytest.mark.parametrize(("hours", "new"), [(440, True), (441, False)])
def test_a_party_is_new_for_ten_days_after_its_first_payment(hours, new):
    rows = [row(n, 200, 1_000, "in", f"p{n}") for n in range(5)]
    rows += [row(50, 199, 4_100, "out", "z"), row(51, hours, 1, "in", "p0")]
    assert ("fan_in" in found_in(rows)) == new


def test_cash_in_and_cash_out_are_counted_apart_and_more_of_one_way_wins():
    into = [row(n, 100 + n, 45_000, "in", None, cash=True) for n in range(3)]
    out = [row(10 + n, 50 + n, 45_000, "out", None, cash=True) for n in range(4)]
    assert "structuring" not in found_in([*into[:2], *out[:2]])
    for taken, way in ((3, "in"), (4, "out")):
        found = found_in([*into, *out[:taken]])["structuring"]
        assert found.figures[f"payments_{way}"] == taken
        assert found.figures["payments"] == taken


def test_a_very_busy_customer_is_not_searched_for_fans(monkeypatch):
    rows = [row(n, 60 + n, 10_000, "in", f"p{n}") for n in range(6)]
    rows += [row(50, 1, 58_000, "out", "z"), row(51, 2, 1, "out", "z")]
    assert "fan_in" in found_in(rows)
    monkeypatch.setitem(DECLARED, "most_rows", 7)
    assert "fan_in" not in found_in(rows)
    monkeypatch.setitem(DECLARED, "most_rows", 8)
    assert "fan_in" in found_in(rows)


def paid_by(number, hours, device, party, amount, **more):
    return row(number, hours, amount, "out", party, device=device, **more)


def test_the_device_that_began_last_counts_whoever_used_it_before():
    rows = [paid_by(n, 24 * 30 + n, "old", "shop", 100) for n in range(3)]
    rows += [paid_by(10, 72, "first", "a", 1_000), paid_by(11, 48, "second", "b", 2_000)]
    other = [paid_by(12, 24 * 60, "second", "shop", 100, customer="he")]
    alone = found_in(rows)["new_device_transfer"]
    assert alone.transactions == ("x0011",)
    both = pa.concat_tables([ask(customer="he"), ask()])
    assert find_patterns(table([*rows, *other]), both, **ABOUT)[1] == (alone,)
    hidden = paid_by(13, 100, "second", "shop", 100, late=200)
    assert found_in([*rows, hidden])["new_device_transfer"] == alone


@pytest.mark.parametrize("same_time", [True, False])
def test_very_many_payments_of_one_customer_take_seconds(same_time):
    n = 100_000
    whole = table([row(0, 1, 10_000, "in", "p0")]).slice(0, 1)
    whole = whole.take(np.zeros(n, np.int64))
    number = np.arange(n)
    minutes = np.full(n, 60) if same_time else 60 + number // 20
    columns = {
        "transaction_id": pa.array([f"y{each:06d}" for each in number]),
        "event_time": pa.array(np.datetime64(T.tz_localize(None), "us") - minutes.astype("m8[m]"))
        .cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.timestamp("us", tz="UTC")),
        "direction": pa.array(np.where(number % 2, "out", "in")),
        "counterparty_id": pa.array([f"p{each}" for each in number]),
        "device_id": pa.array([f"d{each}" for each in number]),
        "instrument": pa.array(np.where(number % 3, "transfer", "cash")),
    }  # fmt: skip
    columns["known_at"] = columns["event_time"]
    whole = pa.table({name: columns.get(name, whole[name]) for name in SCHEMA.names})
    begun = time.process_time()
    (patterns,) = find_patterns(whole, ask(), **ABOUT)
    assert {each.code for each in patterns} <= {"structuring", "dormant_active"}
    assert time.process_time() - begun < 5.0


def test_nothing_is_found_in_no_rows_nor_for_no_customer():
    assert find_patterns(table([]), ask(customer=None), **ABOUT) == [()]
    assert find_patterns(table([]).slice(0, 0), ask(), **ABOUT) == [()]
    assert found_in([]) == {}


# --- cycles


def plain_cycles(rows):
    """List the cycles of three to five payments that pass on 80 to 102 % within 30 days.

    Of those that one payment closes the latest of the shortest.
    """
    outs = [r for r in rows if r["direction"] == "out" and r["amount"] >= 0.1 * REPORT]
    outs = [r for r in outs if r["counterparty_id"] != r["customer_id"]]

    def passes(one, two):
        return (
            one["counterparty_id"] == two["customer_id"]
            and one["event_time"] < two["event_time"]
            and 0.8 <= two["amount"] / one["amount"] <= 1.02
        )

    found = []
    for closing in outs:
        paths = [[closing]]
        for _ in range(4):
            paths = [[r, *path] for path in paths for r in outs if passes(r, path[0])]
            paths = [
                p for p in paths
                if len({r["customer_id"] for r in p}) == len(p)
                and closing["event_time"] - p[0]["event_time"] <= 30 * DAY
                and all(r["known_at"] <= closing["event_time"] for r in p[:-1])
            ]  # fmt: skip
            closed = [p for p in paths if p[0]["customer_id"] == closing["counterparty_id"]]
            if closed:
                latest = max(closed, key=lambda p: [r["event_time"] for r in reversed(p)])
                found += [latest] if len(latest) >= 3 else []
                break
    return found


PAYERS = ["me", "b", "c", "d"]
EDGES = st.tuples(
    st.integers(1, 24 * 50), st.sampled_from([5_000, 9_000, 10_000, 11_000, 4_999]),
    st.sampled_from(PAYERS), st.sampled_from([*PAYERS, "shop"]), st.sampled_from([0, 0, 0, 40]),
)  # fmt: skip


@st.composite
def rings(draw):
    """Draw payments of which some go round, each sending on about what it received."""
    drawn = draw(st.lists(EDGES, max_size=12))
    for _ in range(draw(st.integers(1, 2))):
        members = draw(st.permutations(PAYERS))[: draw(st.integers(2, 4))]
        hours, amount = draw(st.integers(300, 24 * 100)), 20_000.0
        for payer, payee in itertools.pairwise([*members, members[0]]):
            drawn.append((hours, amount, payer, payee, draw(st.sampled_from([0, 0, 0, 0, 40]))))
            hours, amount = (
                hours - draw(st.integers(1, 250)),
                amount * draw(st.sampled_from([0.79, 0.9, 0.95, 1])),
            )
    return drawn


@settings(max_examples=settings.default.max_examples * 2)
@given(rings())
def test_cycles_are_those_of_the_plain_computation(edges):
    rows = [
        row(n, hours, amount, "out", payee, customer=payer, late=late)
        for n, (hours, amount, payer, payee, late) in enumerate(edges)
    ]
    # rows of one instant have no order to follow
    rows = list({r["event_time"]: r for r in rows}.values())
    mine = [p for p in plain_cycles(rows) if "me" in {r["customer_id"] for r in p}]
    mine = [p for p in mine if p[-1]["known_at"] <= T and p[0]["event_time"] >= T - 90 * DAY]
    got = found_in(rows).get("cycle")
    assert (got is None) == (not mine)
    if got is not None:
        assert list(got.transactions) in [[r["transaction_id"] for r in p] for p in mine]
        path = next(p for p in mine if p[0]["transaction_id"] == got.transactions[0])
        assert got.amount_out in {r["amount"] for r in path if r["customer_id"] == "me"}


@pytest.mark.parametrize(
    ("first", "closing", "name", "found"),
    [
        (100, 1, "me@2025-06-24", True),
        (100, 0, "me@2025-06-24", False),  # at the instant of the decision
        (100, 0, "x0002", True),  # unless it is the payment that is scored
        (90 * 24, 90 * 24 - 2, "me@2025-06-24", True),
        (90 * 24 + 1, 90 * 24 - 2, "me@2025-06-24", False),  # it began before the window
    ],
)
def test_a_cycle_lies_in_the_window_before_the_decision(first, closing, name, found):
    ring = [("b", "c", first), ("c", "me", closing + 1), ("me", "b", closing)]
    rows = [
        row(n, hours, 10_000, "out", payee, customer=payer)
        for n, (payer, payee, hours) in enumerate(ring)
    ]
    assert ("cycle" in found_in(rows, name=name)) == found


# --- what is declared and said


def test_each_pattern_has_a_search_a_source_and_both_languages():
    assert set(PATTERNS) == {*PLAIN, "cycle"}
    assert PATTERNS["cycle"]["span_days"] == DEFAULT_RULES.cycle_span_days
    for pattern in PATTERNS.values():
        assert pattern.source
        assert set(pattern.name) == set(pattern.text) == {"en", "zh"}
    assert all(len(each[lang]) == 2 for each in DECLARED["words"].values() for lang in each)


def test_a_sentence_holds_the_numbers_and_the_local_days():
    rows = [row(n, 24 * 14 - 12 * n, 1_000, "in", f"p{n}") for n in range(12)]
    rows.append(row(50, 24 * 5, 11_640, "out", "z"))
    pattern = found_in(rows)["fan_in"]
    english, chinese = pattern.text
    assert {"12", "97%"} <= set(english.split())
    for text in ("12,000 CNY", say_days(pattern.first, pattern.last - 3.5 * DAY, "en")):
        assert text in english
    assert "97%" in chinese
    assert "12,000 CNY" in chinese


@pytest.mark.parametrize(
    ("days", "wanted"),
    [
        (("2025-05-10", "2025-05-10"), ("10 May 2025", "2025年5月10日")),
        (("2025-05-10", "2025-05-16"), ("10 to 16 May 2025", "2025年5月10日至16日")),
        (
            ("2024-12-30", "2025-01-02"),
            ("30 Dec 2024 to 2 Jan 2025", "2024年12月30日至2025年1月2日"),
        ),
    ],
)
def test_days_are_written_once(days, wanted):
    first, last = map(pd.Timestamp, days)
    assert (say_days(first, last, "en"), say_days(first, last, "zh")) == wanted


def test_without_optional_columns_or_customers_there_is_no_pattern_and_no_error():
    rows = table([row(n, 100 + n, 10_000, "in", f"p{n}") for n in range(6)])
    for missing in ("direction", "counterparty_id", "instrument", "device_id"):
        assert len(find_patterns(rows.drop_columns([missing]), ask(), **ABOUT)) == 1
    assert find_patterns(rows, ask(customer=None), **ABOUT) == [()]
    assert find_patterns(rows.slice(0, 0), ask(), **ABOUT) == [()]
    assert find_patterns(rows, ask().slice(0, 0), **ABOUT) == []
    assert pc.sum(rows["amount"]).as_py() > 0


# --- the answer key of a synthetic bank ------------------------------------------------

CODES = {"flow_through": "pass_through", "dormant_reactivation": "dormant_active"}
FLOORS = {"fan_in": 0.8, "fan_out": 0.8, "flow_through": 0.6, "structuring": 0.9, "cycle": 0.5,
          "dormant_reactivation": 0.6}  # fmt: skip


def test_most_planted_schemes_are_found_in_their_own_rows():
    bank = make_bank(BankConfig(transactions=40_000, seed=7))
    key = bank.answer_key["customers"].to_pandas()
    schemes = key[key["typology"].isin(FLOORS)]
    # two days after the last payment nearly all rows have arrived
    asked = pa.concat_tables(
        ask(customer=name, at=end + 2 * DAY)
        for name, end in zip(schemes["customer_id"], schemes["end"], strict=True)
    )
    found = find_patterns(bank.tables["transactions"], asked, **ABOUT)
    hit = [
        CODES.get(name, name) in {pattern.code for pattern in patterns}
        for name, patterns in zip(schemes["typology"], found, strict=True)
    ]
    recall = pd.Series(hit).groupby(schemes["typology"].to_numpy()).mean()
    assert set(recall.index) == set(FLOORS)
    assert all(recall[name] >= floor for name, floor in FLOORS.items())
