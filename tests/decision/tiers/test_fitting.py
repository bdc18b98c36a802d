"""Proposals keep their targets on the rows they were fitted on, and change nothing."""

import re
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from kyc_ml.cli.terminal.tables import draw_frame
from kyc_ml.decision import (
    FitRows,
    assign_tiers,
    diff_policies,
    evaluate_cut_offs,
    proposal_table,
    propose,
    render_proposal,
)
from kyc_ml.decision.tiers.fit_sections import BadRateFit, CostFit
from kyc_ml.decision.tiers.fitting import (
    observed_periods,
    shortest_between,
    upper_rate,
    upper_within,
)
from kyc_ml.decision.tiers.proposal import say_cut
from kyc_ml.errors import ConfigError, DatasetError

TARGETS = {"low": 0.02, "medium": 0.2}
SEGMENTS = {
    "feature": "kind",
    "own": [
        {"name": name, "values": [name], "from_probability": {"high": 0.2}, "source": "c"}
        for name in ("big", "small")
    ],
}


def rows_of(n=6000, *, seed=0, days=30, segment="all", shift=0.0):
    """Draw calibrated rows of 3 a customer; `shift` makes outcomes worse than they look."""
    rng = np.random.default_rng(seed)
    proba = 1 / (1 + np.exp(-rng.normal(-4.0, 1.8, n)))
    worse = 1 / (1 + np.exp(-(np.log(proba / (1 - proba)) + shift)))
    return FitRows(
        proba=proba,
        target=(rng.random(n) < worse).astype(float),
        customers=np.array([f"c{row // 3}" for row in range(n)], dtype=object),
        segment=np.full(n, segment, dtype=object),
        days=np.datetime64("2026-01-01") + rng.integers(0, days, n),
    )


def joined(*parts):
    names = ("proba", "target", "customers", "segment", "days")
    return FitRows(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def fit_of(whole, **rest):
    return {"whole": whole, "samples": 0, **rest}


def bad_rates(**rest):
    return {"method": "target_bad_rate", "highest_bad_rate": TARGETS, **rest}


def upper(hits, n, level, interval):
    a, b = (hits + 0.5, n - hits + 0.5) if interval == "jeffreys" else (hits + 1, n - hits)
    return 1.0 if hits == n else stats.beta.ppf(level, a, b)


# --- target bad rate ------------------------------------------------------------------


@given(
    seed=st.integers(0, 10_000),
    interval=st.sampled_from(["jeffreys", "clopper_pearson"]),
    level=st.sampled_from([0.8, 0.95, 0.99]),
)
def test_upper_bounds_respect_their_targets_on_the_fitting_rows(make_policy, seed, interval, level):
    rows = rows_of(seed=seed)
    whole = bad_rates(interval=interval, confidence=level)
    found = propose(rows, make_policy(fit=fit_of(whole)))
    tier = assign_tiers(rows.proba, policy=found.policy)
    for place, name in enumerate(("low", "medium")):
        here = tier == place
        bound = upper(rows.target[here].sum(), here.sum(), level, interval)
        assert bound <= TARGETS[name]
        assert found.table["upper_rate"][place] == pytest.approx(bound)
    assert found.table["met"].tolist() == [True, True, None]


def test_tiers_are_as_wide_as_their_targets_allow(make_policy):
    rows = rows_of()
    found = propose(rows, make_policy(fit=fit_of(bad_rates())))
    cuts = found.policy.cut_offs()
    ordered = np.sort(rows.proba)
    for place, name in enumerate(("low", "medium")):
        first, end = np.searchsorted(ordered, cuts[place : place + 2])
        wider = ordered[min(first + int(1.2 * (end - first)), ordered.size - 1)]
        here = (rows.proba >= cuts[place]) & (rows.proba < wider)
        assert upper(rows.target[here].sum(), here.sum(), 0.95, "jeffreys") > TARGETS[name]


def test_a_low_tier_leaves_room_for_one_that_it_could_swallow(make_policy):
    """Of the rows above the widest tier under 4 in 100, none are as good as 20 in 100."""
    rates = {"low": 0.04, "medium": 0.2}
    rows = rows_of()
    found = propose(rows, make_policy(fit=fit_of(bad_rates(highest_bad_rate=rates))))
    tier = assign_tiers(rows.proba, policy=found.policy)
    assert np.bincount(tier)[1] >= 100
    for place, name in enumerate(rates):
        here = tier == place
        assert upper(rows.target[here].sum(), here.sum(), 0.95, "jeffreys") <= rates[name]


def test_a_stricter_target_never_widens_the_lowest_tier(make_policy):
    rows = rows_of()
    cuts = [
        propose(
            rows,
            make_policy(fit=fit_of(bad_rates(highest_bad_rate={"low": rate, "medium": 0.2}))),
        ).policy.cut_offs()[1]
        for rate in (0.01, 0.015, 0.02)
    ]
    assert cuts == sorted(cuts)


@given(hits=st.integers(0, 50), misses=st.integers(0, 500), rate=st.floats(0.001, 0.999))
def test_the_quick_test_of_a_bound_agrees_with_the_bound(hits, misses, rate):
    for interval in ("jeffreys", "clopper_pearson"):
        method = BadRateFit.model_validate(bad_rates(interval=interval))
        n = hits + misses
        if n == 0:
            continue
        bound = upper(hits, n, 0.95, interval)
        shown = upper_rate(
            np.array([float(hits)]), np.array([float(n)]), confidence=0.95, interval=interval
        )
        assert shown[0] == pytest.approx(bound)
        if abs(bound - rate) > 1e-9:
            within = upper_within(np.array([float(hits)]), np.array([float(n)]), rate, method)
            assert within[0] == (bound <= rate)


def test_a_target_that_no_rows_can_meet_is_refused_with_the_cure(make_policy):
    rows = rows_of(shift=4.0)
    policy = make_policy(fit=fit_of(bad_rates()))
    with pytest.raises(DatasetError, match=r"0\.02.*highest_bad_rate") as caught:
        propose(rows, policy)
    allowed = re.search(r"allow (0\.\d+)", str(caught.value))
    assert allowed is not None
    raised = {"low": float(allowed[1]), "medium": 0.98}
    propose(rows, make_policy(fit=fit_of(bad_rates(highest_bad_rate=raised))))


def test_without_rows_or_a_fit_section_there_is_no_proposal(make_policy):
    with pytest.raises(DatasetError, match="calibrated"):
        propose(rows_of(0), make_policy(fit=fit_of(bad_rates())))
    with pytest.raises(ConfigError, match="fit"):
        propose(rows_of(), make_policy())
    with pytest.raises(ConfigError, match="targets"):
        evaluate_cut_offs(rows_of(), make_policy())


# --- capacity -------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10_000),
    alerts=st.tuples(st.floats(0.5, 20.0), st.floats(0.5, 40.0)),
    per=st.sampled_from(["day", "month"]),
    ties=st.booleans(),
)
def test_alerts_never_exceed_capacity_and_one_more_probability_would(
    make_policy, seed, alerts, per, ties
):
    high, medium = alerts
    rows = rows_of(3000, seed=seed)
    if ties:
        rows = FitRows(**{**vars_of(rows), "proba": np.round(rows.proba, 3)})
    times = 30 if per == "month" else 1
    whole = {
        "method": "capacity", "per": per,
        "alerts": {"high": high * times, "medium": medium * times},
    }  # fmt: skip
    found = propose(rows, make_policy(fit=fit_of(whole)))
    periods = observed_periods(rows.days, per=per)
    cuts = found.policy.cut_offs()
    for name, cut, end in (("high", cuts[2], 1.1), ("medium", cuts[1], cuts[2])):
        room = whole["alerts"][name] * periods
        assert ((rows.proba >= cut) & (rows.proba < end)).sum() <= room * (1 + 1e-9)
        next_lower = rows.proba[rows.proba < cut].max()
        assert ((rows.proba >= next_lower) & (rows.proba < end)).sum() > room
    assert found.table["met"].tolist() == [None, True, True]
    table = found.table.set_index("tier")
    assert table.loc["high", "alerts"] == pytest.approx((rows.proba >= cuts[2]).sum() / periods)


def vars_of(rows):
    names = ("proba", "target", "customers", "segment", "days")
    return {name: getattr(rows, name) for name in names}


def test_tiers_without_alerts_keep_their_cut_offs(make_policy):
    whole = {"method": "capacity", "per": "day", "alerts": {"high": 5}}
    found = propose(rows_of(), make_policy(fit=fit_of(whole)))
    assert found.policy.cut_offs()[:2] == (0.0, 0.01)
    assert found.policy.cut_offs()[2] != 0.1


@pytest.mark.parametrize("alerts", [{"high": 0.01}, {"high": 1e6}])
def test_a_capacity_that_sets_no_cut_off_is_refused(make_policy, alerts):
    whole = {"method": "capacity", "per": "day", "alerts": alerts}
    with pytest.raises(DatasetError, match="'high'"):
        propose(rows_of(), make_policy(fit=fit_of(whole)))


def test_a_capacity_below_which_a_kept_cut_off_lies_higher_is_refused(make_policy):
    whole = {"method": "capacity", "per": "day", "alerts": {"high": 150}}
    with pytest.raises(DatasetError, match=r"'medium'.*'high'"):
        propose(rows_of(), make_policy(fit=fit_of(whole)))


@pytest.mark.parametrize(
    ("days", "per", "periods"),
    [
        (["2026-01-01"], "day", 1.0),
        (["2026-01-01", "2026-01-10"] + [f"2026-01-0{n}" for n in range(2, 10)], "day", 10.0),
        (["2026-01-01", "2026-02-01", "2026-03-01"], "month", (59 + 29.5) / 30.4375),
        (["2026-03-01"], "month", 1.0),
    ],
)
def test_periods_are_those_that_decisions_stand_for(days, per, periods):
    assert observed_periods(np.array(days, "datetime64[D]"), per=per) == pytest.approx(periods)


# --- expected cost --------------------------------------------------------------------

ACTIONS = ("low", "medium", "high")


@given(
    loss=st.floats(100, 1e6),
    costs=st.lists(st.floats(0.1, 50), min_size=3, max_size=3, unique=True).map(sorted),
    prevented=st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3, unique=True).map(sorted),
    proba=st.floats(0, 1),
)
def test_the_tier_of_a_probability_is_its_cheapest_action(loss, costs, prevented, proba):
    actions = {
        name: {"cost": cost, "prevented": share}
        for name, cost, share in zip(ACTIONS, costs, prevented, strict=True)
    }
    method = CostFit(method="expected_cost", loss=loss, actions=actions, source="s")
    cuts = method.thresholds(ACTIONS)
    price = [
        cost + proba * loss * (1 - share) for cost, share in zip(costs, prevented, strict=True)
    ]
    if cuts[0] < cuts[1]:  # else the middle action never pays, and a policy refuses it
        chosen = int(np.searchsorted(cuts, proba, side="right"))
        assert price[chosen] == pytest.approx(min(price), rel=1e-9)
    dearer = CostFit(
        method="expected_cost", loss=loss, source="s",
        actions={**actions, "high": {"cost": costs[2] * 2, "prevented": prevented[2]}},
    )  # fmt: skip
    assert dearer.thresholds(ACTIONS)[1] > cuts[1]
    worse = CostFit(method="expected_cost", loss=loss * 2, actions=actions, source="s")
    assert all(low < high for low, high in zip(worse.thresholds(ACTIONS), cuts, strict=True))


def test_with_one_action_it_is_the_rule_of_cost_over_loss(make_policy):
    """Review where probability times loss is at least the cost: 10 / 1000 and 90 / 500."""
    whole = {
        "method": "expected_cost", "loss": 1000, "source": "s",
        "actions": {
            "low": {"cost": 0, "prevented": 0},
            "medium": {"cost": 5, "prevented": 0.5},
            "high": {"cost": 95, "prevented": 1.0},
        },
    }  # fmt: skip
    found = propose(rows_of(300), make_policy(fit=fit_of(whole)))
    assert found.policy.cut_offs() == (0.0, 0.01, 0.18)


# --- segments, intervals, the proposal --------------------------------------------------


def test_a_small_segment_borrows_from_the_whole_and_says_so(make_policy):
    big = rows_of(9000, segment="big", shift=1.0)
    small = rows_of(300, seed=1, segment="small", shift=1.0)
    rest = rows_of(20_000, seed=2)
    fit = fit_of(
        bad_rates(),
        segments={"big": bad_rates(), "small": bad_rates()},
        borrow_strength=100,
        fewest_positives=40,
    )
    found = propose(joined(rest, big, small), make_policy(segments=SEGMENTS, fit=fit))
    whole, own, borrowed = (found.policy.cut_offs(name) for name in ("all", "big", "small"))
    assert borrowed == whole
    alone = propose(joined(rest, big), make_policy(
        segments=SEGMENTS, fit={**fit, "segments": {"big": bad_rates()}, "borrow_strength": 0}
    )).policy.cut_offs("big")  # fmt: skip
    for place in (1, 2):
        assert alone[place] < own[place] < whole[place]  # big is worse, so it needs lower cut-offs
    positives = int(big.target.sum())
    assert f" {100 / (positives + 100):.0%} " in found.notes[0]
    assert re.search(r"fewer.*\b40\b", found.notes[1])


def test_intervals_are_of_customers_drawn_again_and_the_same_every_time(make_policy):
    policy = make_policy(fit={"whole": bad_rates(), "samples": 40, "seed": 3})
    one, other = (propose(rows_of(), policy).table for _ in range(2))
    pd.testing.assert_frame_equal(one, other)
    inner = one.iloc[1:]
    assert (inner["low"] < inner["high"]).all()
    assert (inner["low"] <= inner["proposed"] * 1.05).all()
    assert (inner["high"] >= inner["proposed"] * 0.95).all()
    order = np.random.default_rng(0).permutation(6000)
    shuffled = FitRows(**{name: values[order] for name, values in vars_of(rows_of()).items()})
    pd.testing.assert_frame_equal(propose(shuffled, policy).table, one)


def test_intervals_hold_the_cut_off_that_meets_the_target_exactly(make_policy):
    many = np.sort(rows_of(400_000, seed=1).proba)
    exact = many[np.argmax(np.cumsum(many) / np.arange(1, many.size + 1) > TARGETS["low"])]
    policy = make_policy(fit={"whole": bad_rates(), "samples": 20})
    tables = [propose(rows_of(2500, seed=seed), policy).table.loc[1] for seed in range(20)]
    held = [row["low"] <= exact <= row["high"] for row in tables]
    assert np.mean(held) > 0.75  # of the cut-offs whose bound meets the target: 0.5
    assert np.mean([row["proposed"] < exact for row in tables]) > 0.8


def test_more_rows_of_a_customer_do_not_make_intervals_narrower(make_policy):
    policy = make_policy(fit={"whole": bad_rates(fewest_rows=5), "samples": 60})
    rows = rows_of(3000)
    thrice = FitRows(**{name: np.repeat(values, 3) for name, values in vars_of(rows).items()})
    width = [
        (table["high"] - table["low"])[1]
        for table in (propose(each, policy).table for each in (rows, thrice))
    ]
    assert width[1] > 0.6 * width[0]  # independent rows would make it 0.58


def test_a_proposal_is_nobody_s_decision_and_differs_in_cut_offs_only(make_policy):
    policy = make_policy(fit=fit_of(bad_rates()))
    found = propose(rows_of(), policy)
    proposed = found.policy
    assert (proposed.version, proposed.author, proposed.approver) == (2, None, None)
    assert policy.cut_offs() == (0.0, 0.01, 0.1)
    changed = [
        line for line in diff_policies(policy, proposed).splitlines()
        if line.startswith(("+ ", "- ", "+", "-")) and not line.startswith(("+++", "---"))
    ]  # fmt: skip
    keys = {line[1:].strip().split(":")[0] for line in changed}
    assert keys == {"version", "author", "approver", "valid_from", "from_probability"}
    assert diff_policies(policy, policy) == ""


def test_fixed_cut_offs_are_proposed_as_they_are(make_policy):
    found = propose(rows_of(), make_policy(fit=fit_of({"method": "fixed"})))
    assert found.policy.cut_offs() == (0.0, 0.01, 0.1)


def test_judging_counts_the_same_rows_by_the_policy_in_force(make_policy):
    rows = rows_of()
    policy = make_policy(fit=fit_of(bad_rates()))
    judged = evaluate_cut_offs(rows, policy)
    tier = assign_tiers(rows.proba, policy=policy)
    assert judged["rows"].tolist() == np.bincount(tier, minlength=3).tolist()
    again = evaluate_cut_offs(rows, propose(rows, policy).policy)
    assert again["met"].tolist() == [True, True, None]


@given(low=st.floats(1e-9, 0.999), width=st.floats(1e-9, 0.5))
def test_the_shortest_number_lies_above_the_low_end_and_at_most_at_the_high_one(low, width):
    high = min(low + width, 1.0)
    if low < high:
        assert low < shortest_between(low, high) <= high


# --- what a reader is told ------------------------------------------------------------


def test_targets_that_are_missed_and_tiers_that_nobody_reaches_are_named(make_policy):
    """Small borrows from big, whose rows are better than they look: its own targets are missed."""
    rows = joined(rows_of(20_000, segment="big", shift=-0.5), rows_of(2000, segment="small", seed=2,
                                                                      shift=1.0))  # fmt: skip
    own = {name: bad_rates() for name in ("big", "small")}
    policy = make_policy(segments=SEGMENTS, fit=fit_of(bad_rates(), segments=own))
    found = propose(rows, policy)
    missed = found.table[[met is False for met in found.table["met"]]]
    assert list(found.unmet) == [f"{row.tier} of {row.segment}" for row in missed.itertuples()]
    assert found.targets == 6
    assert any("small" in each for each in found.unmet)
    assert found.unreached == ()


def test_a_tier_beyond_all_rows_is_told_with_its_cut_offs(make_policy):
    calm = rows_of()
    rows = calm.take(calm.proba < 0.05)
    found = propose(rows, make_policy(fit=fit_of({"method": "fixed"})))
    assert found.unreached == ("high of all (from 0.1, in force 0.1)",)
    assert (found.unmet, found.targets) == ((), 0)


def test_a_tier_that_the_fit_would_abolish_keeps_its_cut_off(make_policy):
    calm = rows_of()
    rows = calm.take(calm.proba < 0.05)  # all within the target of the second tier
    policy = make_policy(fit=fit_of(bad_rates()))
    found = propose(rows, policy)
    highest = found.table[found.table["tier"] == "high"].iloc[0]
    assert highest["proposed"] == highest["in_force"] == policy.cut_offs("all")[-1]
    assert np.isnan(highest["low"])
    assert highest["rows"] == 0
    assert sum("'high'" in note for note in found.notes) == 1


def test_who_moves_adds_up_to_both_policies(make_policy):
    rows = joined(rows_of(segment="big"), rows_of(3000, segment="small", seed=1))
    own = {name: bad_rates() for name in ("big", "small")}
    policy = make_policy(segments=SEGMENTS, fit=fit_of(bad_rates(), segments=own))
    found = propose(rows, policy)
    moves = found.moves
    assert moves["rows"].sum() == rows.proba.size
    for column, cuts in (("before", policy), ("after", found.policy)):
        counted = moves.groupby(column)["rows"].sum()
        place = np.zeros(rows.proba.size, int)
        for name in ("big", "small"):
            here = rows.segment == name
            place[here] = [
                max(k for k, cut in enumerate(cuts.cut_offs(name)) if value >= cut)
                for value in rows.proba[here]
            ]
        for k, tier in enumerate(policy.tier_names):
            assert counted[tier] == (place == k).sum()
    same = moves["before"] == moves["after"]
    assert all(not len(each) for each in moves.loc[same, "customers"])
    assert all(0 < len(line.customers) <= 10 for line in moves[~same].itertuples() if line.rows)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_of_a_proposal_shows_all_of_it_to_everybody(make_policy, language, find_barriers):
    rows = joined(rows_of(segment="big"), rows_of(1, segment="small"))
    own = {name: bad_rates() for name in ("big", "small")}
    policy = make_policy(segments=SEGMENTS, fit=fit_of(bad_rates(), segments=own))
    found = propose(rows, policy)
    page = render_proposal(
        found,
        in_force=policy,
        evaluated=evaluate_cut_offs(rows, policy),
        facts={"model": "<b>m</b>", "rows": "1", "decided": "2024", "basis": "learned"},
        language=language,
    )
    for row in found.table.itertuples():
        for shown in (say_cut(row.in_force), say_cut(row.proposed), f"{row.rows:,}"):
            assert f">{shown}</td>" in page
    assert "<b>m</b>" not in page
    assert find_barriers(page) == []
    notes = re.findall(r"<li>(.*)</li>", page)[-len(found.remarks) :]
    assert len(notes) == len(found.notes) >= 2
    assert all(note.isascii() == (language == "en") for note in notes)


def test_fitted_cut_offs_do_not_keep_the_source_of_those_in_force(make_policy):
    rows = joined(rows_of(segment="big"), rows_of(3000, segment="small", seed=1))
    own = {"big": bad_rates(), "small": {"method": "fixed"}}
    found = propose(rows, make_policy(segments=SEGMENTS, fit=fit_of(bad_rates(), segments=own)))
    big, small = found.policy.segments.own
    assert small.source == "c"
    days = f"{rows.days.min()} to {rows.days.max()}; segment 'big': 6,000 "
    assert re.match(f"kyc-ml .*target_bad_rate, .*{days}", big.source)


def test_one_row_is_no_rows(make_policy):
    rows = joined(rows_of(segment="big"), rows_of(1, segment="small"))
    found = propose(rows, make_policy(segments=SEGMENTS, fit=fit_of(
        bad_rates(), segments={"small": bad_rates()})))  # fmt: skip
    assert re.match("segment 'small': 1 row, 0 positives, .* 10: ", found.notes[0])


def test_the_names_of_tiers_are_never_cut(make_policy):
    found = propose(rows_of(), make_policy(fit=fit_of(bad_rates())))
    table = proposal_table(found).replace({"tier": {"low": "medium_low", "high": "medium_high"}})
    assert "alerts" not in table
    with StringIO() as text:
        Console(file=text, width=90).print(draw_frame("t", table))
        drawn = text.getvalue()
    assert drawn.count("medium_low") == drawn.count("medium_high") == 1
    assert max(len(line) for line in drawn.splitlines()) <= 90  # no column is pushed out
