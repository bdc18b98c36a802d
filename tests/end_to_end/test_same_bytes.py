"""One observation has one score, however the rows are cut, ordered or asked for."""

import mlflow
import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.usefixtures("in_store")


def rows_of(folder):
    """Give every value of every row, by observation; texts, numbers and missing ones alike."""
    table = pd.read_parquet(folder / "scores").sort_values("observation_id")
    full = pd.read_parquet(folder / "contributions").sort_values("observation_id")
    return table.drop(columns="run_id").reset_index(drop=True), full.reset_index(drop=True)


def same_rows(got, expected):
    for one, other in zip(rows_of(got), rows_of(expected), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.fixture(scope="module")
def whole(night, place, tmp_path_factory):
    """All rows in one part."""
    out = tmp_path_factory.mktemp("whole") / "scores"
    with place.entered():
        result = night.score(out, part_rows=10_000)
    assert result.rows > 100
    assert len(list((out / "scores").iterdir())) == 1
    return out


@pytest.mark.parametrize("part_rows", [1, 7])
def test_parts_of_any_size_hold_the_same_rows(night, whole, tmp_path, part_rows):
    asked = {"since": "2024-03-25"} if part_rows == 1 else {}
    out = tmp_path / "scores"
    result = night.score(out, part_rows=part_rows, **asked)
    assert len(list((out / "scores").iterdir())) == -(-result.rows // part_rows)
    got, expected = rows_of(out), rows_of(whole)
    kept = expected[0]["observation_id"].isin(got[0]["observation_id"])
    assert kept.sum() == result.rows >= 60
    for one, other in zip(got, expected, strict=True):
        pd.testing.assert_frame_equal(one, other[kept].reset_index(drop=True), check_exact=True)


def test_the_order_of_the_source_rows_changes_nothing(night, whole, tmp_path):
    mine = night.copy(tmp_path / "mine")
    for path in sorted(mine.data.iterdir()):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        frame.sample(frac=1, random_state=3).to_csv(path, index=False)
    mine.score(tmp_path / "scores", part_rows=10_000)
    same_rows(tmp_path / "scores", whole)


def test_the_source_in_several_files_changes_nothing(night, whole, tmp_path):
    mine = night.copy(tmp_path / "mine")
    path = mine.data / "transactions.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    path.unlink()
    for n in range(3):
        frame[n::3].to_csv(mine.data / f"transactions-{n}.csv", index=False)
    text = mine.source.read_text().replace("transactions.csv", "transactions-*.csv")
    mine.source.write_text(text)
    mine.score(tmp_path / "scores", part_rows=10_000)
    same_rows(tmp_path / "scores", whole)


def test_two_runs_of_one_request_are_the_same_bytes(night, whole, tmp_path):
    night.score(tmp_path / "scores", part_rows=10_000)
    files = [path for path in sorted(whole.rglob("*")) if path.is_file()]
    for path in files:
        again = tmp_path / "scores" / path.relative_to(whole)
        assert again.read_bytes() == path.read_bytes(), path.name


def test_the_registry_s_model_scores_one_row_at_a_time_alike(place, model, scored):
    features = pd.read_parquet(scored.features).sample(40, random_state=1)
    mlflow.set_tracking_uri(place.store)
    loaded = mlflow.pyfunc.load_model(model.uri)
    single = pd.concat(
        [loaded.predict(features.iloc[[row]]) for row in range(len(features))], ignore_index=True
    )
    expected = scored.frame().set_index("observation_id").loc[features["observation_id"]]
    for name in ("margin", "probability"):
        got = single[name].to_numpy(np.float64).view(np.uint64)
        assert got.tolist() == expected[name].to_numpy(np.float64).view(np.uint64).tolist()
    words = [n for n in expected if n.startswith(("tier", "reason_"))]
    assert len(words) > 10
    pd.testing.assert_frame_equal(
        single[words], expected[words].reset_index(drop=True), check_exact=True
    )
