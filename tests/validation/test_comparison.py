"""A comparison is antisymmetric, blind to the order of rows, and equal to other code."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from kyc_ml.decision import learn_reference
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.metrics import Ranking, auc, average_precision, recall_at_fpr_of_ranks
from kyc_ml.metrics.discrimination import recall_at_fpr as recall_of_all_rows
from kyc_ml.model import Calibrator, fit_fixed
from kyc_ml.registry import require_comparable, require_different, trained_until
from kyc_ml.training.tuning.objectives import compute_objective
from kyc_ml.validation import ComparisonSettings, compare_models
from kyc_ml.validation.comparison.comparing import evaluate_difference
from kyc_ml.validation.comparison.moves import NO_FEATURE
from kyc_ml.validation.comparison.rows import LaterRows

SETTINGS = ComparisonSettings(capacities=(3.0, 8.0), samples=100, miss_cost=20.0)
END = pd.Timestamp("2024-02-26", tz="UTC")


def silent(stage, done, total):
    """Listen to nothing."""


@pytest.fixture(scope="module")
def champion(bundle, small):
    """Bundle the small model with probabilities that it gives as they are."""
    return replace(bundle, calibrator=Calibrator(method="none"), digest="a")


@pytest.fixture(scope="module")
def challenger(champion, small):
    """Bundle a poorer model: other columns, in another order, and other probabilities."""
    names = ["noise", "signal", "channel"]
    features = small.features.reorder(names)
    vocabularies = {"channel": ("app", "branch")}
    matrix, _ = features.encode(vocabularies)
    model = fit_fixed(
        matrix, small.target, specs=features.specs,
        config=small.quick.model_copy(update={"n_estimators": 4}),
    )  # fmt: skip
    shifted = Calibrator(method="platt", slope=1.2, intercept=-0.4)
    return replace(champion, model=model, vocabularies=vocabularies, calibrator=shifted, digest="b")


def rows_of(small, challenger, champion, order=None):
    """Give the small rows with outcomes, one in ten unknown, in any order."""
    n = small.target.size
    status = np.where(small.target == 1.0, "positive", "negative").astype(object)
    status[::10] = "immature"
    order = np.arange(n) if order is None else order
    tables = [
        small.features.reorder(bundle.model.feature_names).take(order)
        for bundle in (challenger, champion)
    ]
    return LaterRows(
        challenger=tables[0], champion=tables[1], status=status[order],
        evaluated=(status != "immature")[order], since=END, end=END, as_of=END,
    )  # fmt: skip


@pytest.fixture(scope="module")
def compared(small, challenger, champion):
    rows = rows_of(small, challenger, champion)
    return compare_models(challenger, champion, rows, settings=SETTINGS, tell=silent)


def figures_of(compared, method="bootstrap by customer"):
    return compared.metrics[compared.metrics["method"] == method].set_index("figure")


def test_a_model_beside_itself_differs_in_nothing(small, champion):
    rows = rows_of(small, champion, champion)
    got = compare_models(champion, champion, rows, settings=SETTINGS, tell=silent)
    assert (got.metrics[["difference", "low", "high"]] == 0).all(axis=None)
    assert got.moved.empty
    assert got.causes.empty
    assert set(got.moved.columns) >= {"observation_id", "direction", "reason_3_text_zh"}
    apart = got.tiers[got.tiers["champion_tier"] != got.tiers["challenger_tier"]]
    assert apart["rows"].sum() == 0
    assert got.verdict == "not shown better"
    assert "same" in got.sentence


def test_the_other_way_round_every_difference_is_negated(small, challenger, champion, compared):
    rows = rows_of(small, champion, challenger)
    swapped = compare_models(champion, challenger, rows, settings=SETTINGS, tell=silent)
    one, other = compared.metrics, swapped.metrics
    assert one["figure"].tolist() == other["figure"].tolist()
    np.testing.assert_array_equal(one["difference"], -other["difference"])
    np.testing.assert_allclose(one["low"], -other["high"], atol=1e-12)
    np.testing.assert_allclose(one["high"], -other["low"], atol=1e-12)
    ways = {"up": "down", "down": "up"}
    back = swapped.moved.set_index("observation_id")["direction"].map(ways)
    there = compared.moved.set_index("observation_id")["direction"]
    assert back.sort_index().equals(there.sort_index())
    turned = swapped.tiers.rename(
        columns={"champion_tier": "challenger_tier", "challenger_tier": "champion_tier"}
    )
    keys = ["champion_tier", "challenger_tier"]
    pd.testing.assert_frame_equal(
        turned.set_index(keys).sort_index(), compared.tiers.set_index(keys).sort_index()
    )


@settings(max_examples=settings.default.max_examples // 2)  # each is a whole comparison
@given(seed=st.integers(0, 99))
def test_the_order_of_rows_changes_nothing(small, challenger, champion, compared, seed):
    order = np.random.default_rng(seed).permutation(small.target.size)
    rows = rows_of(small, challenger, champion, order)
    got = compare_models(challenger, champion, rows, settings=SETTINGS, tell=silent)
    for name in ("metrics", "calibration", "tiers", "moved", "alerts", "causes"):
        pd.testing.assert_frame_equal(
            getattr(got, name), getattr(compared, name), rtol=1e-9, atol=1e-12, obj=name
        )


def test_figures_are_those_of_other_code(small, challenger, champion, compared):
    rows = rows_of(small, challenger, champion)
    by = figures_of(compared)
    target, day = rows.target, rows.day
    for who, bundle, table in (
        ("challenger", challenger, rows.challenger), ("champion", champion, rows.champion)
    ):  # fmt: skip
        matrix, _ = table.encode(bundle.vocabularies)
        margin = bundle.model.margin(matrix)[rows.evaluated]
        proba = bundle.calibrator.probability(margin)
        assert by.loc["auc", who] == pytest.approx(roc_auc_score(target, margin))
        assert by.loc["average_precision", who] == pytest.approx(
            average_precision_score(target, margin)
        )
        assert by.loc["recall_at_5_percent_fpr", who] == pytest.approx(
            recall_of_all_rows(target, margin, fpr=0.05)
        )
        assert by.loc["log_loss", who] == pytest.approx(log_loss(target, proba))
        assert by.loc["brier", who] == pytest.approx(brier_score_loss(target, proba))
        tuning = bundle.config.tuning.model_copy(update={"capacity_per_day": 8.0})
        recall = compute_objective(
            target, margin, day, end_day=rows.end_day, objective="recall_at_capacity",
            config=tuning,
        )  # fmt: skip
        assert by.loc["recall_at_8_a_day", who] == pytest.approx(recall)
        alerts = compared.alerts.set_index(["rule", "model"])
        assert alerts.loc[("8 a day", who), "recall"] == pytest.approx(recall)
        assert alerts.loc[("8 a day", who), "alerts"] <= 8 * 26
        reviewed = proba * 20.0 >= 1.0
        cost = (reviewed + 20.0 * target * ~reviewed).mean()
        assert by.loc["expected_cost", who] == pytest.approx(cost)
        paying = alerts.loc[("all that pays", who)]
        assert paying["alerts"] == reviewed.sum()
        assert paying["net"] == pytest.approx(20.0 * target[reviewed].sum() - reviewed.sum())
        calibration = compared.calibration.set_index("model").loc[who]
        assert calibration["observed_over_expected"] == pytest.approx(target.sum() / proba.sum())


def test_the_interval_is_that_of_rows_drawn_one_by_one(small, challenger, champion, compared):
    rows = rows_of(small, challenger, champion)
    target, customers = rows.target, rows.customers
    margins = []
    for bundle, table in ((challenger, rows.challenger), (champion, rows.champion)):
        matrix, _ = table.encode(bundle.vocabularies)
        margins.append(bundle.model.margin(matrix)[rows.evaluated])
    rng, found = np.random.default_rng(SETTINGS.seed), []
    names = sorted(set(customers))
    for _ in range(SETTINGS.samples):
        drawn = [names[place] for place in rng.integers(len(names), size=len(names))]
        here = np.concatenate([np.flatnonzero(customers == name) for name in drawn])
        one, other = (average_precision_score(target[here], m[here]) for m in margins)
        found.append(one - other)
    row = figures_of(compared).loc["average_precision"]
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(found, [0.025, 0.975])))


def test_moved_rows_are_those_of_the_tier_table_and_their_parts_add_up(compared):
    moved, tiers = compared.moved, compared.tiers
    assert tiers["rows"].sum() == compared.rows == 600
    assert tiers["judged"].sum() == compared.judged == 540
    assert tiers["positives"].sum() == compared.positives
    counts = moved.groupby(["champion_tier", "challenger_tier"]).size()
    apart = tiers[tiers["champion_tier"] != tiers["challenger_tier"]]
    assert counts.sum() == apart["rows"].sum() == len(moved) > 0
    assert compared.causes["rows"].sum() == len(moved)
    parts = moved[["features_difference", "base_difference", "calibration_difference"]]
    np.testing.assert_allclose(parts.sum(axis=1), moved["log_odds_difference"])
    odds = logit(moved["challenger_probability"]) - logit(moved["champion_probability"])
    np.testing.assert_allclose(odds, moved["log_odds_difference"])
    assert ((odds > 0) == (moved["direction"] == "up")).all()  # one policy, so odds decide
    assert (moved["tier_by_policy_alone"] == moved["champion_tier"]).all()
    assert moved["log_odds_difference"].abs().is_monotonic_decreasing
    assert set(moved["outcome"]) <= {"positive", "negative", "immature"}


def test_calibration_alone_may_move_a_tier(small, champion):
    shifted = Calibrator(method="platt", slope=1.0, intercept=1.0)
    other = replace(champion, calibrator=shifted, digest="c")
    got = compare_models(
        other, champion, rows_of(small, other, champion), settings=SETTINGS, tell=silent
    )
    assert (got.moved["direction"] == "up").all()
    np.testing.assert_allclose(got.moved["calibration_difference"], 1.0)
    assert (got.moved["features_difference"] == 0).all()
    assert got.moved["reason_1_code"].isna().all()
    assert got.causes["feature"].tolist() == [NO_FEATURE]
    assert got.causes["rows"].tolist() == [len(got.moved)]
    by = figures_of(got)
    assert (by.loc[["auc", "average_precision"], "difference"] == 0).all()


def test_a_policy_alone_may_move_a_tier(small, champion):
    stricter = champion.policy.model_dump()
    for rule in stricter["tiers"]:
        rule["from_probability"] /= 2
    policy = type(champion.policy).model_validate(stricter)
    other = replace(champion, policy=policy, digest="c")
    got = compare_models(
        other, champion, rows_of(small, other, champion), settings=SETTINGS, tell=silent
    )
    assert (got.moved["direction"] == "up").all()
    assert (got.moved["tier_by_policy_alone"] == got.moved["challenger_tier"]).all()
    assert (got.moved["log_odds_difference"] == 0).all()


def contributions_of(bundle, table):
    matrix, _ = table.encode(bundle.vocabularies)
    found = bundle.model.contributions(matrix).values  # noqa: PD011  no data frame
    return pd.DataFrame(found, columns=table.names)


def test_a_move_is_held_against_the_middle_half_of_the_peers(small, challenger, champion):
    everything = np.ones(small.target.size, np.bool_)
    # the small table is of one group; its peers are named after the channel's values
    table = small.features.reorder(challenger.model.feature_names)
    reference = learn_reference(table, everything, peers="channel")
    assert reference.groups
    learned = learn_reference(small.features, everything)
    got = compare_models(
        replace(challenger, reference=reference),
        replace(champion, reference=learned),
        rows_of(small, challenger, champion),
        settings=SETTINGS,
        tell=silent,
    )
    numbers = got.moved[got.moved["reason_1_code"].str.endswith(("signal", "noise"))]
    grouped = numbers[numbers["reason_peers"].isin([cell[0] for cell in reference.groups])]
    assert len(grouped)
    for row in grouped.itertuples():
        if not np.isnan(row.reason_1_value):
            assert f" {row.reason_peers}: " in row.reason_1_text
            assert ", percentile " in row.reason_1_text


def test_reasons_are_the_features_that_push_most_the_way_of_the_move(
    small, challenger, champion, compared
):
    rows = rows_of(small, challenger, champion)
    new = contributions_of(challenger, rows.challenger)
    old = contributions_of(champion, rows.champion)
    apart = new.sub(old, fill_value=0.0)
    told = 0
    for _, row in compared.moved.iterrows():
        place = int(row["observation_id"].removeprefix("o"))
        sign = 1.0 if row["direction"] == "up" else -1.0
        pushing = (sign * apart.loc[place]).sort_values(ascending=False)
        pushing = pushing[pushing > 0].head(3)
        for k in (1, 2, 3):
            if k > pushing.size:
                assert pd.isna(row[f"reason_{k}_code"])
                assert pd.isna(row[f"reason_{k}_champion"])
                continue
            name, told = row[f"reason_{k}_code"].partition(".")[2], told + 1
            assert sign * row[f"reason_{k}_difference"] == pytest.approx(pushing.iloc[k - 1])
            assert sign * apart.loc[place, name] == pytest.approx(pushing.iloc[k - 1])
            for who, added in (("challenger", new), ("champion", old)):
                own = added.loc[place, name] if name in added else 0.0
                assert row[f"reason_{k}_{who}"] == pytest.approx(own)
            risk = "more" if sign > 0 else "less"
            assert row[f"reason_{k}_text"].endswith(f" {risk} risk")
    assert told > len(compared.moved)


# --- the verdict ----------------------------------------------------------------------


def verdict_of(low, high, *, objective="average_precision", same=False):
    better = "lower" if objective == "log_loss" else "higher"
    metrics = pd.DataFrame(
        {
            "figure": [objective], "champion": [0.5], "challenger": [0.6], "difference": [0.1],
            "low": [low], "high": [high], "better": [better], "method": ["bootstrap by customer"],
        }
    )  # fmt: skip
    return evaluate_difference(metrics, ComparisonSettings(objective=objective), same=same)


@pytest.mark.parametrize(
    ("low", "high", "of_gain", "of_loss"),
    [
        (0.01, 0.2, "better", "worse"),
        (-0.2, -0.01, "worse", "better"),
        (-0.1, 0.2, "not shown better", "not shown better"),
        (0.0, 0.2, "not shown better", "not shown better"),
        (np.nan, np.nan, "not shown better", "not shown better"),
    ],
)
def test_only_a_whole_interval_gives_a_verdict(low, high, of_gain, of_loss):
    assert verdict_of(low, high)[0] == of_gain
    verdict, sentence = verdict_of(low, high, objective="log_loss")
    assert verdict == of_loss
    assert re.search(r"0\.6 .*0\.5.*\+0\.1", sentence)
    assert "lower" in sentence


def test_the_clearly_better_model_is_found(small, challenger, champion):
    """Outcomes that the champion ranks perfectly: the poorer challenger is worse."""
    rows = rows_of(small, challenger, champion)
    matrix, _ = rows.champion.encode(champion.vocabularies)
    margin = champion.model.margin(matrix)
    status = np.where(margin > np.quantile(margin, 0.8), "positive", "negative").astype(object)
    rows = replace(rows, status=status, evaluated=np.ones(status.size, bool))
    got = compare_models(challenger, champion, rows, settings=SETTINGS, tell=silent)
    assert got.verdict == "worse"
    assert "worse" in got.sentence
    assert figures_of(got, "DeLong, rows independent").loc["auc", "high"] < 0


def test_samples_of_one_class_are_counted(small, challenger, champion):
    rows = rows_of(small, challenger, champion)
    mine = (rows.champion.keys["customer_id"].to_pandas() == "c1").to_numpy()
    status = np.where(mine, "positive", "negative").astype(object)
    rows = replace(rows, status=status, evaluated=np.ones(status.size, bool))
    got = compare_models(challenger, champion, rows, settings=SETTINGS, tell=silent)
    assert 15 < got.skipped < 60  # (6 / 7) ** 7 = 0.34 of samples lack one of 7 customers


# --- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize(("status", "positives"), [("negative", 0), ("positive", 540)])
def test_rows_of_one_class_are_refused(small, challenger, champion, status, positives):
    rows = rows_of(small, challenger, champion)
    rows = replace(rows, status=np.full(600, status, dtype=object))
    with pytest.raises(DatasetError, match=rf"\b{positives}\b.*\b540\b"):
        compare_models(challenger, champion, rows, settings=SETTINGS, tell=silent)


def test_models_of_other_outcomes_are_refused_with_every_difference(champion):
    config = champion.config
    dataset = config.dataset.model_copy(
        update={"horizon_days": 30, "adverse_outcomes": ("default",)}
    )
    tiers = champion.policy.model_copy(update={"tiers": champion.policy.tiers[1:]})
    other = replace(
        champion,
        config=config.model_copy(update={"unit": "risk", "dataset": dataset}),
        policy=tiers,
        data={"base_currency": "EUR"},
    )
    with pytest.raises(ConfigError) as caught:
        require_comparable(other, champion)
    message = str(caught.value)
    assert "6 faults" in message
    for part in (
        "unit",
        "EUR",
        "dataset.horizon_days: challenger 30, champion 0",
        "dataset.adverse_outcomes",
        "tiers: challenger medium_low,",
        "challenger",
    ):
        assert part in message
    require_comparable(champion, champion)


def test_a_saved_model_is_not_held_against_itself(champion):
    saved, other = (replace(champion, digest=digest * 64) for digest in "ab")
    require_different(saved, other)
    with pytest.raises(ConfigError, match=r"a{12}"):
        require_different(saved, replace(other, digest=saved.digest))


def test_an_unsaved_model_is_known_by_its_contents(champion, challenger):
    unsaved = replace(champion, digest="")
    for twin in (unsaved, replace(unsaved)):
        with pytest.raises(ConfigError, match="bundle"):
            require_different(unsaved, twin)
    saved = replace(champion, digest="a" * 64)
    for one, other in ((unsaved, saved), (saved, unsaved)):
        with pytest.raises(ConfigError, match=r"a{12}"):
            require_different(one, other)
    require_different(unsaved, replace(challenger, digest=""))


def test_a_training_date_without_a_zone_is_utc(champion):
    assert trained_until(champion) == pd.Timestamp("2024-07-01", tz="UTC")


# --- figures of counted rows ----------------------------------------------------------


@st.composite
def counted(draw):
    """Draw outcomes, tied scores, and how often each row is there; both classes are."""
    n = draw(st.integers(2, 30))
    target = np.array([1.0, 0.0, *draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n - 2,
                                                max_size=n - 2))])  # fmt: skip
    score = np.array(draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))) / 4
    times = np.array([1, 1, *draw(st.lists(st.integers(0, 3), min_size=n - 2, max_size=n - 2))])
    return target, score, times


@given(rows=counted())
def test_figures_of_counted_rows_are_those_of_repeated_rows(rows):
    target, score, times = rows
    hits, false = Ranking.of(target, score).found(times)
    y, s = np.repeat(target, times), np.repeat(score, times)
    assert auc(hits, false) == pytest.approx(roc_auc_score(y, s))
    assert average_precision(hits, false) == pytest.approx(average_precision_score(y, s))
    for fpr in (0.0, 0.05, 0.25):
        assert recall_at_fpr_of_ranks(hits, false, fpr=fpr) == recall_of_all_rows(y, s, fpr=fpr)
