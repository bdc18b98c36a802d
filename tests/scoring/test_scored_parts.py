"""Scored parts: counts add up, every column has a meaning, no value depends on the cut."""

import itertools
import json
from dataclasses import asdict

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.errors import OutputError
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.exports import export_csv, export_duckdb
from kyc_ml.scoring.parts import score_parts
from kyc_ml.scoring.schema import SCHEMA_VERSION, describe_columns, with_meanings
from kyc_ml.storage import Checkpoints

CUTS = st.lists(st.integers(0, 80), max_size=4)


def rows_of(features, start, end):
    from dataclasses import replace  # noqa: PLC0415  only here

    return replace(
        features,
        keys=features.keys.slice(start, end - start),
        numbers=features.numbers[start:end],
        categories={name: v.slice(start, end - start) for name, v in features.categories.items()},
    )


@given(cuts=CUTS)
def test_counts_of_the_parts_add_up_to_those_of_the_whole(scorer, small, cuts):
    edges = sorted({0, 80, *cuts})
    spans = itertools.pairwise(edges)
    parts = [scorer.score(rows_of(small.features, start, end)) for start, end in spans]
    whole = scorer.score(rows_of(small.features, 0, 80))
    total = asdict(Counts.total(part.counts for part in parts))
    expected = asdict(whole.counts)
    sums, right = total.pop("expected"), expected.pop("expected")
    assert total == expected
    assert sums == pytest.approx(right, abs=1e-12)
    assert sum(total["tiers"].values()) == total["rows"] == 80
    assert all(sum(bins) == 80 for bins in total["profile"].values())
    pd.testing.assert_frame_equal(
        pa.concat_tables([part.scores for part in parts]).to_pandas(),
        whole.scores.to_pandas(),
        check_exact=True,
    )


def test_counts_read_back_from_json(scorer, small):
    counts = scorer.score(small.features).counts
    assert Counts(**json.loads(json.dumps(asdict(counts)))) == counts


def test_the_table_of_tiers(policy):
    counts = Counts(rows=4, tiers={"low": 3, "high": 1}, expected={"low": 0.003, "high": 0.6})
    table = counts.tier_table(policy).set_index("tier")
    assert table.loc["low", ["rows", "share"]].tolist() == [3, 0.75]
    assert table.loc["high", "expected_rate"] == pytest.approx(0.6)
    assert table.loc["medium", "rows"] == 0
    assert np.isnan(table.loc["medium", "expected_rate"])


def test_what_a_policy_does_by_design_is_counted_and_not_said(policy):
    by_design = {
        "on the cut-offs of the whole: segment unlisted": 6_809,
        "due beyond the listed holidays": 7_500,
    }
    counts = Counts(rows=8_000, graded={**by_design, "held up by their history": 3})
    assert counts.notes(policy) == [
        f"tier policy {policy.label}: 3 row(s) held up by their history"
    ]
    assert by_design.items() <= asdict(counts)["graded"].items()  # as the manifest keeps it


def test_every_column_of_a_scored_table_has_a_meaning(scorer, small):
    part = scorer.score(small.features)
    n = len(part.scores)
    named = with_meanings(
        part.scores.append_column("run_id", pa.array(["r"] * n)), {"kyc_ml.as_of": "2024-01-01"}
    )
    said = [field.metadata[b"meaning"].decode() for field in named.schema]
    assert all(said)
    reasons = sum(
        name.endswith("_code") and name.startswith("reason") for name in named.schema.names
    )
    described = list(describe_columns(reasons=reasons))
    # patterns come from the tables of a run, not from features: `add_patterns` adds them
    assert [name for name in described if not name.startswith("pattern_")] == named.schema.names
    assert named.schema.metadata == {b"kyc_ml.as_of": b"2024-01-01"}
    assert named.to_pylist() == part.scores.append_column("run_id", pa.array(["r"] * n)).to_pylist()
    assert isinstance(SCHEMA_VERSION, int)


def test_a_column_without_a_meaning_does_not_leave_the_house():
    with pytest.raises(KeyError, match="secret"):
        with_meanings(pa.table({"secret": [1]}), {})


@pytest.fixture
def run(scorer, small, tmp_path):
    """Score a file of 100 features in parts of 30."""
    table = rows_of(small.features, 0, 100).to_arrow()
    pq.write_table(table, tmp_path / "features.parquet", row_group_size=30)
    told = []

    def run(**changed):
        return score_parts(
            tmp_path / "features.parquet", small.features.specs, unavailable={},
            finish=changed.pop("finish", lambda scores: scores), work=tmp_path,
            steps=Checkpoints(tmp_path), progress=lambda *step: told.append(step),
            scorer=changed.pop("scorer", scorer),
        )  # fmt: skip

    return run, told, tmp_path


def test_parts_follow_the_row_groups_and_are_told(run):
    score, told, work = run
    assert [counts.rows for counts in score()] == [30, 30, 30, 10]
    assert told == [(30, 100), (60, 100), (90, 100), (100, 100)]
    assert len(list((work / "contributions").glob("part-*.parquet"))) == 4
    parts = sorted((work / "scores").glob("part-*.parquet"))
    assert [pq.read_metadata(path).num_rows for path in parts] == [30, 30, 30, 10]


def test_parts_that_are_done_are_passed_over(run):
    score, _, work = run
    first = score()
    (work / "scores" / "part-00001.parquet").write_bytes(b"damaged")
    made = []
    again = score(finish=lambda scores: made.append(len(scores)) or scores)
    assert made == [30], "the damaged part alone is made again"
    assert again == first


def test_contributions_add_up_to_the_margin(run):
    score, _, work = run
    score()
    full = pq.read_table(work / "contributions").to_pandas().set_index("observation_id")
    scores = pq.read_table(work / "scores").to_pandas().set_index("observation_id")
    np.testing.assert_allclose(full.sum(axis=1), scores["margin"].loc[full.index], atol=1e-9)


def test_exports_hold_the_rows_of_the_parts(run, tmp_path):
    score, _, work = run
    score()
    parts = sorted((work / "scores").glob("part-*.parquet"))
    whole = pa.concat_tables([pq.read_table(path) for path in parts])
    export_csv(parts, tmp_path / "scores.csv")
    got = pd.read_csv(tmp_path / "scores.csv")
    assert list(got) == whole.column_names
    assert got["probability"].tolist() == whole["probability"].to_pylist()
    assert got["reason_1_text_zh"].tolist() == whole["reason_1_text_zh"].to_pylist()
    (tmp_path / "scratch").mkdir()
    export_duckdb(parts, tmp_path / "scores.duckdb", scratch=tmp_path / "scratch")
    with duckdb.connect(tmp_path / "scores.duckdb", read_only=True) as connection:
        assert connection.sql("FROM scores").to_arrow_table().to_pylist() == whole.to_pylist()
    for name in ("scores.csv", "scores.duckdb"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_export_that_cannot_be_written_is_one_error(run, tmp_path):
    score, _, work = run
    score()
    parts = sorted((work / "scores").glob("part-*.parquet"))
    with pytest.raises(OutputError, match=r"scores\.duckdb"):
        export_duckdb(parts, tmp_path / "scores.duckdb", scratch=tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="written"):
        export_csv(parts, tmp_path / "file" / "scores.csv")
