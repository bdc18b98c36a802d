"""A report survives JSON to the last bit, and says the same on the same evidence."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from kyc_ml.errors import ConfigError, OutputError
from kyc_ml.validation import DataIdentity, Report, choose_checks
from kyc_ml.validation.report.storage import (
    content_digest,
    from_json,
    plain_frame,
    read_frame,
    to_json,
    write_report,
)
from kyc_ml.validation.result import ModelIdentity, conclude
from kyc_ml.validation.run.checks import run_checks

FAMILIES = ("calibration", "tiers", "stability.score_psi", "discrimination.periods")


@pytest.fixture(scope="module")
def make(evidence, rules):
    def report(only=FAMILIES):
        results, findings = run_checks(
            choose_checks(only), evidence, policy=rules, command=lambda check: f"--only {check.id}"
        )
        return Report(
            model=ModelIdentity(
                name="world", version="3", address="models:/world/3", digest="d" * 64,
                unit="fraud", trainer="ann", trained_at="", known_until="2024-06-01T00:00:00+00:00",
                policy="p v1", features=4, trees=40,
            ),
            validator="bob",
            as_of="2025-01-01T00:00:00+00:00",
            data=DataIdentity(source="s", mapping_digest="m", files={"a.csv": "1"}, digest="2"),
            policy=rules.identity(),
            rows=(evidence.current.used(),),
            verdict=conclude(results),
            complete=False,
            findings=findings,
            results=results,
            headline=rules.headline,
            command="kyc-ml validate",
            environment={"python": "3"},
            created_at="2025-01-02T00:00:00+00:00",
            seconds={"checks": 1.5},
        )  # fmt: skip

    return report


@pytest.fixture(scope="module")
def report(make):
    return make()


def test_json_gives_the_report_back_to_the_last_bit(report):
    text = to_json(report)
    assert to_json(from_json(text, subject="it")) == text


def test_a_report_of_an_older_version_has_no_descriptions_and_no_amounts(report):
    content = json.loads(to_json(report))
    del content["features"]
    for rows in content["rows"]:
        del rows["amount"]
    read = from_json(json.dumps(content), subject="it")
    assert read.features == {}
    assert {each.amount for each in read.rows} == {None}


def test_json_is_standard_and_holds_every_figure(report):
    content = json.loads(to_json(report), parse_constant=pytest.fail)
    figures = sum(len(result["figures"]) for result in content["results"])
    assert figures == sum(len(result.check.measures) for result in report.results if
                          result.verdict != "not_applicable")  # fmt: skip


def test_the_same_evidence_gives_the_same_report_but_for_times(make, report):
    again = replace(make(), created_at="2026-01-01T00:00:00+00:00", seconds={"checks": 9.0})
    assert content_digest(again) == content_digest(report)
    assert to_json(again) != to_json(report)


def test_the_digest_sees_a_changed_figure(report):
    first, *rest = report.results
    changed = replace(first, verdict="fail")
    assert content_digest(replace(report, results=(changed, *rest))) != content_digest(report)


@pytest.mark.parametrize("cut", [0.2, 0.9, 0.999])
def test_a_report_cut_short_is_refused(report, cut):
    text = to_json(report)
    with pytest.raises(ConfigError, match="it "):
        from_json(text[: int(len(text) * cut)], subject="it")


@pytest.mark.parametrize(
    ("change", "said"), [({"format": 99}, "format 99"), ({"rows": 1}, "changed")]
)
def test_another_format_and_a_changed_report_are_refused(report, change, said):
    content = {**json.loads(to_json(report)), **change}
    with pytest.raises(ConfigError, match=said):
        from_json(json.dumps(content), subject="it")


def test_every_table_is_a_parquet_file(report, tmp_path):
    path = write_report(report, tmp_path / "out")
    assert from_json(path.read_text(), subject="it").verdict == report.verdict
    files = {each.name for each in (tmp_path / "out" / "tables").iterdir()}
    assert files == {
        f"{result.check.id}.{table.name}.parquet"
        for result in report.results
        for table in result.tables
    }
    back = pq.read_table(tmp_path / "out" / "tables" / "calibration.jeffreys.tiers.parquet")
    expected = report.result("calibration.jeffreys").table("tiers")
    pd.testing.assert_frame_equal(back.to_pandas(), expected, check_dtype=False)


def test_plots_draw_columns_that_their_table_has(report):
    for result in report.results:
        for plot in result.plots:
            columns = set(result.table(plot.table).columns)
            wanted = {plot.x, plot.y, plot.low, plot.high, plot.group, plot.value} - {""}
            assert wanted <= columns


def test_a_frame_keeps_types_and_missing_values():
    frame = pd.DataFrame(
        {
            "count": np.array([1, 2], np.int64),
            "rate": [0.1, np.nan],
            "flag": [True, False],
            "name": pd.Series(["a", None], dtype="str"),
            "when": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True),
        }
    )
    back = read_frame(json.loads(json.dumps(plain_frame(frame))))
    pd.testing.assert_frame_equal(back, frame.astype({"when": back["when"].dtype}))


def test_an_infinite_number_of_a_table_is_null_in_json():
    assert plain_frame(pd.DataFrame({"x": [np.inf, 1.0]}))["rows"] == [[None], [1.0]]


def test_a_new_folder_is_its_owners_alone_and_a_linked_one_is_not_emptied(report, tmp_path):
    write_report(report, tmp_path / "out")
    assert {each.stat().st_mode & 0o077 for each in (tmp_path / "out").rglob("*")} == {0}
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "calibration.overall.mine.parquet").touch()
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "tables").symlink_to(victim)
    with pytest.raises(OutputError, match="tables"):
        write_report(report, planted)
    assert [each.name for each in victim.iterdir()] == ["calibration.overall.mine.parquet"]
