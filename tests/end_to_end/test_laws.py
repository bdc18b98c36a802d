"""Sentences that hold for every run, whatever the data."""

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract.source import read_source
from kyc_ml.dataset import ChosenObservations
from kyc_ml.dataset.chosen import choose_observations
from kyc_ml.decision import NOTHING_STANDS_OUT, find_patterns
from kyc_ml.features import build_features
from kyc_ml.registry import score_features

TOLD: dict[str, str] = {}


@pytest.fixture(scope="module")
def tables(place):
    mapping = load_section(place.source, SourceMapping)
    return read_source(mapping, data=place.data).accepted


@pytest.fixture(scope="module")
def bundle(model):
    return model.result.bundle


@pytest.fixture(scope="module")
def observations(tables, scored):
    chosen = ChosenObservations(unit="fraud", since=scored.since, as_of=scored.as_of)
    return choose_observations(tables, chosen)


@pytest.fixture(scope="module")
def score(tables, bundle):
    """Score observations from the tables on, as the job does."""

    def run(observations):
        features = build_features(tables, observations, specs=bundle.specs)
        return score_features(bundle, features.reorder(bundle.model.feature_names))

    return run


@pytest.fixture(scope="module")
def whole(score, observations):
    return score(observations)


def test_the_order_of_the_observations_changes_no_score(score, observations, whole):
    shuffled = np.random.default_rng(3).permutation(observations.num_rows)
    assert score(observations.take(shuffled)).equals(whole.take(shuffled))


def test_scores_do_not_depend_on_who_else_is_scored(score, observations, whole):
    cuts = [0, 1, 2, 9, 40, 41, 300, observations.num_rows]
    chunks = [score(observations.slice(a, b - a)) for a, b in itertools.pairwise(cuts)]
    assert pa.concat_tables(chunks).combine_chunks().equals(whole.combine_chunks())


def test_the_file_holds_what_the_pure_functions_give(scored, whole):
    written = pq.read_table(scored.scores / "scores").sort_by("observation_id")
    patterns = [name for name in written.column_names if name.startswith("pattern_")]
    same = written.drop_columns(["model_version", "scored_by", "run_id", *patterns])
    assert same.equals(whole.sort_by("observation_id"))


def test_the_file_names_the_first_pattern_of_each_row_above_the_lowest_tier(
    scored, tables, bundle, observations
):
    found = find_patterns(
        tables["transactions"], observations, timezone=tables.timezone,
        currency=tables.base_currency, cash_report=bundle.config.features.amounts.cash_report,
    )  # fmt: skip
    names = ["pattern_code", "pattern_text", "pattern_text_zh"]
    written, lowest = pq.read_table(scored.scores / "scores"), bundle.policy.tier_names[0]
    expected = [
        (each[0].code, *each[0].text) if each and tier != lowest else (None,) * 3
        for each, tier in zip(found, written["tier"].to_pylist(), strict=True)
    ]
    assert [tuple(row.values()) for row in written.select(names).to_pylist()] == expected


def test_base_and_contributions_are_the_margin_of_every_row(tables, bundle, observations, whole):
    features = build_features(tables, observations, specs=bundle.specs)
    matrix, _ = features.reorder(bundle.model.feature_names).encode(bundle.vocabularies)
    contributions = bundle.model.contributions(matrix)
    total = contributions.base + np.sum(contributions.values, axis=1)
    np.testing.assert_allclose(total, whole["margin"].to_numpy(), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(contributions.base, whole["base_value"].to_numpy())


def test_reasons_are_ordered_and_never_exceed_the_whole(scored, bundle):
    """First those that move the row its own way, each kind by size; null after the last one."""
    frame = scored.frame()
    places = range(1, bundle.config.explain.reasons + 1)
    pushed, share, codes = (
        frame[[f"reason_{place}_{name}" for place in places]].to_numpy()
        for name in ("contribution", "share", "code")
    )
    known = np.isfinite(pushed)
    assert (known[:, :-1] >= known[:, 1:]).all()
    nothing = ~known[:, 0]
    assert 0 < nothing.sum() < len(frame)
    assert (codes[nothing, 0] == NOTHING_STANDS_OUT).all()
    assert (pd.notna(codes) == known)[~nothing].all()
    assert pd.isna(codes[nothing, 1:]).all()

    moved = (frame["margin"] - frame["reference_margin"]).to_numpy()
    against = np.sign(pushed) != np.sign(moved)[:, None]
    earlier, later, both = slice(None, -1), slice(1, None), known[:, 1:]
    assert (against[:, earlier] <= against[:, later])[both].all()
    same = both & (against[:, earlier] == against[:, later])
    assert (np.abs(pushed[:, earlier]) >= np.abs(pushed[:, later]))[same].all()

    assert (np.nansum(share, axis=1) <= 1 + 1e-9).all()
    whole = np.abs(pushed) / share  # of the sizes of all groups, whichever reason gives it
    first = np.broadcast_to(whole[:, :1], whole.shape)
    np.testing.assert_allclose(whole[known], first[known])
    assert (np.abs(moved) <= whole[:, 0] + 1e-9)[~nothing].all()


def test_every_observation_is_scored_once(scored, observations):
    ids = scored.frame()["observation_id"]
    assert ids.tolist() == observations["observation_id"].to_pylist()
    assert ids.is_unique


def test_tiers_in_the_file_are_those_of_the_policy(scored, bundle):
    frame = scored.frame()
    rules = bundle.policy.tiers
    bounds = [tier.from_probability for tier in rules]
    place = np.searchsorted(bounds, frame["probability"], side="right") - 1
    names = [tier.name for tier in rules]
    assert frame["tier_before_overrides"].tolist() == [names[at] for at in place]
    listed = (frame["override_code"] == "list_hit").to_numpy()
    final = np.where(listed, len(rules) - 1, place)  # the policy's one rule is a floor
    for column, attribute in (
        ("tier", "name"), ("tier_zh", "name_zh"), ("due_diligence", "due_diligence"),
        ("monitoring", "monitoring"),
    ):  # fmt: skip
        assert frame[column].tolist() == [getattr(rules[at], attribute) for at in final]
    months = [rules[at].review_months for at in final]
    local = frame["decision_time"].dt.tz_localize(None).dt.normalize()
    due = [day + pd.DateOffset(months=n) for day, n in zip(local, months, strict=True)]
    assert pd.to_datetime(frame["next_review"]).tolist() == due


def test_the_score_file_says_that_it_is_internal(scored, model):
    metadata = pq.read_schema(scored.scores / "scores" / "part-00000.parquet").metadata
    assert metadata[b"kyc_ml.disclosure"] == b"internal_only"
    assert metadata[b"kyc_ml.retention"] == b"10 years from the end of the business relationship"
    assert metadata[b"kyc_ml.model"] == b"fraud v1"
    assert metadata[b"kyc_ml.as_of"].decode() == scored.as_of.isoformat()
    assert set(scored.frame()["model_digest"]) == {model.result.bundle.digest}


def test_results_are_readable_by_their_owner_alone(scored):
    assert scored.scores.stat().st_mode & 0o077 == 0
    assert scored.features.stat().st_mode & 0o077 == 0


def test_read_is_accepted_and_quarantined(tables):
    for quality in tables.quality.tables:
        assert quality.read == quality.accepted + quality.quarantined
        assert quality.accepted == tables.tables[quality.table].num_rows


def test_rows_that_arrive_after_the_decision_change_no_score(place, model, scored, tmp_path):
    """Drop all that happened after the week: the week's scores stay."""
    early = scored.since + pd.Timedelta(days=3)
    folder = tmp_path / "bank"
    folder.mkdir()
    for path in place.data.glob("*.parquet"):
        table = pq.read_table(path)
        known = pa.compute.less(table["known_at"], pa.scalar(early, table["known_at"].type))
        pq.write_table(table.filter(known), folder / path.name)
    outcome = place.run(
        "score", "--model", model.uri, *place.source_arguments(folder),
        "--since", scored.since.isoformat(), "--as-of", early.isoformat(),
        "--out", tmp_path / "scored",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    got = pd.read_parquet(tmp_path / "scored" / "scores").drop(columns="run_id")
    expected = scored.frame().set_index("observation_id").loc[got["observation_id"]].reset_index()
    assert len(got) > 50
    pd.testing.assert_frame_equal(got, expected[got.columns], check_exact=True)


@pytest.mark.parametrize("lost", ["events", "cases", "customers"])
def test_a_source_that_lost_a_table_is_refused_not_scored_as_missing(
    place, model, tmp_path, below, lost
):
    mapping = yaml.safe_load(place.source.read_text())
    del mapping["tables"][lost]
    del mapping["files"][lost]
    source = tmp_path / "source.yaml"
    source.write_text(yaml.safe_dump(mapping))
    before = below(tmp_path)
    outcome = place.run(
        "score", "--model", model.uri, *place.source_arguments(source=source),
        "--out", tmp_path / "scored",
    )  # fmt: skip
    assert (outcome.code, outcome.crash) == (2, None)
    # what is known of cases is a derived table: the message names that one
    assert f"table {TOLD.get(lost, lost)}" in outcome.err
    assert "missing" in outcome.err
    assert below(tmp_path) == before


def test_a_source_that_lost_a_column_is_refused(place, model, tmp_path):
    mapping = yaml.safe_load(place.source.read_text())
    del mapping["tables"]["transactions"]["columns"]["counterparty_id"]
    source = tmp_path / "source.yaml"
    source.write_text(yaml.safe_dump(mapping))
    outcome = place.run(
        "score", "--model", model.uri, *place.source_arguments(source=source),
        "--out", tmp_path / "scored",
    )  # fmt: skip
    assert (outcome.code, outcome.crash) == (2, None)
    assert "counterparty_id" in outcome.err
