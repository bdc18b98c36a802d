"""The card says what the run found, keeps cells in their columns, and fits where it must."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import PARTS, CalibrationConfig, CustomerFoldsConfig
from kyc_ml.decision import assign_tiers, compute_tier_table
from kyc_ml.metrics import Predictions, compute_metrics
from kyc_ml.model import choose_calibrator
from kyc_ml.training.added_value import AddedValue
from kyc_ml.training.evidence import BASELINE, MODEL, HoldoutPredictions, Trained
from kyc_ml.training.explained import explain_sample
from kyc_ml.training.model_card.card import ModelCard, make_model_card
from kyc_ml.training.model_card.limitations import find_limitations
from kyc_ml.training.stability import Stability

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60)


@pytest.fixture(scope="module")
def saved(bundle):
    data = {**bundle.data, "source": "small", "files": {"a|b.csv": "0" * 64}}
    return replace(bundle, data=data, digest="d" * 64)


@pytest.fixture(scope="module")
def trained(saved, small):
    margin = saved.model.margin(small.matrix)
    proba = saved.calibrator.probability(margin)
    poor = np.random.default_rng(1).normal(size=margin.size)
    quality = compute_metrics(small.target, margin, proba, draws=50)
    day = pd.Timestamp("2024-02-01", tz="UTC")
    counts = {
        "observations": 1600, "used": 600, "positives": 1, "customers": 7, "immature": 3,
        "open_case": 2, "already_adverse": 0, "outside_parts": 995,
    }  # fmt: skip
    return Trained(
        bundle=saved,
        evidence=HoldoutPredictions(
            part="test",
            target=small.target,
            margin=margin,
            probability=proba,
            baselines={BASELINE: Predictions(score=poor, probability=proba)},
            features=small.features,
        ),
        quality={
            MODEL: dict.fromkeys(("train", "early_stopping", "calibration", "test"), quality),
            BASELINE: {"test": compute_metrics(small.target, poor, proba, draws=50)},
        },
        added_value=AddedValue(table=pd.DataFrame(), sentence="It adds something."),
        explained=explain_sample(saved.model, small.features, small.matrix, threads=1, seed=0),
        parts=pd.DataFrame(
            [
                {"part": "train", "start": pd.NaT, "end": day, **counts},
                {"part": "test", "start": day, "end": day, **counts},
            ]
        ),
        boundaries=None,
        calibration=choose_calibrator(margin, small.target, config=CalibrationConfig()),
        importance=pd.DataFrame(
            {
                "feature": ["signal", "channel", "noise"],
                "family": ["amounts", "timing", "amounts"],
                "share": [0.9, 0.1, 0.0],
            }
        ),
        left_out={},
        best_round=12,
    )


@pytest.fixture(scope="module")
def tiers(trained, policy):
    seen = trained.evidence
    tier = assign_tiers(seen.probability, policy=policy)
    return compute_tier_table(tier, seen.probability, policy=policy, target=seen.target)


@pytest.fixture(scope="module")
def card(saved, trained, tiers):
    return make_model_card(saved, trained, tiers=tiers)


def body(card, heading):
    (found,) = [text for name, text in card.sections if name.startswith(heading)]
    return found


def with_quality(trained, part="test", who=MODEL, **figures):
    parts = trained.quality.get(who, trained.quality[MODEL])
    changed = {**parts, part: replace(parts[part], **figures)}
    return replace(trained, quality={**trained.quality, who: changed})


def test_it_names_the_run_the_bundle_and_how_to_train_it_again(card):
    text = card.render("run42")
    assert text.startswith("# Model fraud, ")
    assert "`kyc-ml reproduce run42 --data FOLDER`" in text
    assert f" {'d' * 12}\n" in text
    assert "d" * 64 in text


@pytest.mark.parametrize(
    ("refit", "named"),
    [
        ("none", {"train"}),
        ("early_stopping", {"train", "early_stopping"}),
        ("all", {*PARTS[:3]}),
    ],
)
def test_the_card_names_the_parts_that_the_model_learned_from(trained, tiers, saved, refit, named):
    model = saved.config.model.model_copy(update={"refit": refit, "averaged": 3})
    changed = replace(saved, config=saved.config.model_copy(update={"model": model}))
    parts = pd.concat([trained.parts[:1].assign(part=name) for name in PARTS], ignore_index=True)
    card = make_model_card(saved, replace(trained, bundle=changed, parts=parts), tiers=tiers)
    learned, mean, *_ = body(card, "What learned from which rows").split(". ")
    assert {name for name in PARTS[:3] if name.replace("_", " ") in learned} == named
    assert "3" in mean


def test_the_rows_of_a_period_add_up(card):
    rows = [line.strip("|").split("|") for line in body(card, "Periods").splitlines()[2:]]
    assert len(rows) == 2
    for row in rows:
        seen, used, _, _, *left_out = (int(cell.replace(",", "")) for cell in row[3:])
        assert seen == used + sum(left_out) == 1600


def test_its_figures_are_those_of_the_judged_rows_beside_the_baseline(card, trained):
    seen, other = trained.quality[MODEL]["test"], trained.quality[BASELINE]["test"]
    table = body(card, "Quality")
    for quality in (seen, other):
        assert f"| {quality.auc:.3f} ({quality.auc_low:.3f} to {quality.auc_high:.3f}) |" in table
        assert f"| {quality.average_precision:.4f} (" in table
        assert f"({quality.average_precision_low:.4f} to" in table
    assert f"test, {seen.positives} positives" in table
    assert card.headline.startswith(f"AP {seen.average_precision:.3f} (")
    assert f"), AUC {seen.auc:.3f} (" in card.headline
    assert f"{BASELINE} {other.average_precision:.3f}" in card.headline


def test_label_and_maturity_are_told_in_words(card):
    use = body(card, "Intended use")
    assert "suspicious-transaction" in use
    assert "45 days" in use


def test_features_are_told_with_their_meaning_and_without_the_useless(card):
    features = body(card, "Features")
    assert re.search(r"\| `signal` \| amounts \| 90\.00 % \|", features)
    assert "noise" not in features


def test_an_empty_tier_has_no_rate(card, tiers):
    empty = tiers[tiers["rows"] == 0]
    assert body(card, "Tiers").count("| 0.00 % | – | – |") == len(empty)


def test_the_highest_tier_is_on_top(card, tiers):
    rows = [line for line in body(card, "Tiers").splitlines() if line.startswith("|")][2:]
    assert [row.split()[1] for row in rows] == tiers["tier"].tolist()[::-1]


def test_every_table_has_as_many_cells_in_a_row_as_in_its_head(card):
    for heading, text in card.sections:
        rows = [line for line in text.splitlines() if line.startswith("|")]
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in rows}
        assert len(cells) <= 1, heading


def test_a_users_name_stays_in_its_cell(card):
    assert "| a\\|b.csv | `000" in body(card, "Data files")


def test_what_was_not_measured_has_no_section(card):
    assert not {"Segments", "Stability"} & {heading for heading, _ in card.sections}


def test_stability_is_told_where_it_was_measured(saved, trained, tiers):
    spread = {"refits": 3, "mean": 0.8, "sd": 0.01, "min": 0.79, "max": 0.81}
    found = Stability(
        kind="seed",
        runs=pd.DataFrame({"run": [1, 2, 3]}),
        metrics=pd.DataFrame([{"metric": "auc", **spread}]),
        pairs=pd.DataFrame(),
        overlaps=pd.DataFrame(
            {"overlap": ["top_features", "reasons", "rank_correlation"], "mean": [0.5, 0.6, 0.7]}
        ),
    )
    card = make_model_card(saved, replace(trained, stability=(found,)), tiers=tiers)
    told = body(card, "Stability")
    assert "3 refits (seed)" in told
    assert re.search(r"0\.50.*0\.60.*0\.700", told)
    assert "| auc | 0.8000 | 0.0100 | 0.7900 | 0.8100 |" in told


# --- limitations ----------------------------------------------------------------------


def limits(saved, trained):
    return "\n".join(find_limitations(saved, trained))


@pytest.mark.parametrize(("positives", "told"), [(99, True), (100, False)])
def test_few_positives_are_a_limitation(saved, trained, positives, told):
    changed = with_quality(trained, positives=positives)
    assert ("holds" in limits(saved, changed)) == told


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(0.8, 1.0, None), (1.0, 1.2, None), (0.8, 0.999, "fewer"), (1.001, 1.2, "more")],
)
def test_probabilities_that_miss_the_count_are_a_limitation(saved, trained, low, high, told):
    changed = with_quality(
        trained, observed_over_expected_low=low, observed_over_expected_high=high
    )
    text = limits(saved, changed)
    assert ("probabilities" in text) == (told is not None)
    assert told is None or f"There were {told} positives" in text


def test_a_baseline_as_good_is_a_limitation(saved, trained):
    assert BASELINE not in limits(saved, trained)
    seen = trained.quality[MODEL]["test"]
    as_good = with_quality(trained, who=BASELINE, average_precision=seen.average_precision)
    assert f" {BASELINE} " in limits(saved, as_good)
    near = with_quality(trained, who=BASELINE, auc=seen.auc_low)
    assert "chance" in limits(saved, near)


def test_a_fall_from_training_to_test_is_a_limitation(saved, trained):
    seen = trained.quality[MODEL]["test"]
    assert f" {seen.auc:.3f} " not in limits(saved, trained)
    fallen = with_quality(trained, auc=seen.auc - 0.06)
    assert f" {seen.auc:.3f} " in limits(saved, fallen)


def test_a_family_that_is_absent_is_a_limitation(saved, trained):
    name = "customer_count_1d"
    text = limits(saved, replace(trained, left_out={name: "column x is absent"}))
    assert re.search("velocity .*1 .*x ", text)


def test_no_later_data_is_a_limitation(saved, trained):
    assert "cross-validation" not in limits(saved, trained)
    folds = CustomerFoldsConfig(method="customer_folds")
    config = saved.config.model_copy(update={"splits": folds})
    assert "cross-validation" in limits(replace(saved, config=config), trained)


# --- the registry's room --------------------------------------------------------------


@given(
    sections=st.lists(st.tuples(TEXT, TEXT), max_size=6).map(tuple),
    longest=st.integers(200, 900),
)
def test_what_is_shortened_fits_and_is_made_of_whole_sections(sections, longest):
    card = ModelCard(name="m", digest="0" * 64, headline="AP 1", purpose="P", sections=sections)
    text = card.shorten("r", longest=longest)
    assert len(text) <= longest
    assert text.startswith("AP 1")
    whole = card.render("r").removeprefix("# Model m, bundle 000000000000\n\n")
    if "More in model_card.md" in text:
        assert len(whole) > longest - 300 - sum(len(name) + 2 for name, _ in sections)
    else:
        assert text == whole[: len(text)]


def test_the_registry_has_room_for_what_decides(card):
    text = card.shorten("run42", longest=5_000)
    assert len(text) <= 5_000
    for heading in ("Quality", "Known limitations", "Intended use", "Identity"):
        assert f"## {heading}" in text
