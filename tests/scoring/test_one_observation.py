"""A mistyped identifier is refused at once, and the message says what is wrong with it."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from kyc_ml.config import SourceMapping
from kyc_ml.contract import look_up
from kyc_ml.contract.memory import contract_tables
from kyc_ml.contract.source import read_source
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.scoring import require_known_rows
from kyc_ml.scoring.one_observation import find_observation

DAYS = ("2025-01-01", "2025-03-01", "2025-05-01")


@pytest.fixture(scope="module")
def frames():
    when = [f"{day} 10:00:00" for day in DAYS]
    return {
        "customers": pd.DataFrame(
            {"customer_id": ["C1", "00C2", "C3"], "event_time": when, "segment": "retail"}
        ),
        "transactions": pd.DataFrame(
            {
                "transaction_id": ["T1", "T2", "T3"], "customer_id": ["C1", "00C2", "C3"],
                "event_time": when, "amount": [1.0, 2.0, 3.0], "direction": "in",
            }
        ),
        "reviews": pd.DataFrame(
            {
                "review_id": ["R1", "R2@x"], "customer_id": ["C1", "C1"],
                "event_time": ["2025-03-02 00:00:00", "2025-04-02 00:00:00"],
            }
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def on_disk(frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    mapping = {
        "name": "bank", "timezone": "UTC", "base_currency": "EUR", "max_quarantined_share": 0.5,
        "files": {name: {"path": f"{name}.csv", "format": "csv"} for name in frames},
        "tables": {
            name: {"from": name, "columns": {column: column for column in frame.columns}}
            for name, frame in frames.items()
        },
    }  # fmt: skip
    return SourceMapping.model_validate(mapping), folder


@pytest.fixture(scope="module", params=[True, False], ids=["planned", "calendar"])
def tables(request, frames):
    kept = {name: frame for name, frame in frames.items() if request.param or name != "reviews"}
    return contract_tables(kept, timezone="UTC", base_currency="EUR").accepted


@pytest.mark.parametrize("name", ["T1", "T3", "R1", "R2@x", "C1", "C3@2025-06-01"])
def test_whatever_the_source_can_explain_is_known(on_disk, name):
    require_known_rows(*on_disk, name)


@pytest.mark.parametrize("name", ["R1", "R2@x"])
def test_a_planned_review_is_found_by_its_id_whatever_it_looks_like(on_disk, name):
    mapping, data = on_disk
    read = read_source(mapping, data=data).accepted
    assert find_observation(read, name, unit="risk")["observation_id"].to_pylist() == [name]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("T9", ["transaction 'T9' in table transactions"]),
        (" t1", ["transaction 't1'", "1 differs from it by case, blanks"]),
        ("C9@2025-04-01", ["customer 'C9'", "planned review 'C9@2025-04-01'"]),
        ("c2@2025-04-01", ["customer 'c2'", "1 differs from it"]),
        ("X", ["transaction 'X'", "planned review 'X'", "customer 'X' in table customers"]),
    ],
)
def test_what_nobody_has_is_refused_before_the_source_is_read(on_disk, name, parts):
    with pytest.raises(DatasetError) as refused:
        require_known_rows(*on_disk, name)
    for part in parts:
        assert part in str(refused.value)
    assert not any(other in str(refused.value) for other in ("00C2", "'T1'"))  # no one else's


def test_a_source_with_faults_is_left_to_those_who_list_all_of_them(on_disk):
    mapping, data = on_disk
    absent = mapping.files["customers"].model_copy(update={"path": "absent.csv"})
    broken = mapping.model_copy(update={"files": {**mapping.files, "customers": absent}})
    columns = {"tables": ("customers",), "column": "customer_id", "identifier": "C9"}
    assert look_up(broken, data=data, **columns) is None
    assert look_up(mapping, data=data, **columns).alike == 0
    require_known_rows(broken, data, "C9@2025-04-01")


def test_an_unknown_customer_is_another_thing_than_a_date_too_early(tables):
    with pytest.raises(DatasetError, match="'C9'"):
        find_observation(tables, "C9@2025-04-01", unit="risk")
    with pytest.raises(DatasetError, match=r"2025-04-01.*2025-05-01"):
        find_observation(tables, "C3@2025-04-01", unit="risk")


def test_a_customer_without_a_date_is_shown_the_dates(tables):
    with pytest.raises(DatasetError, match="'C1'") as refused:
        find_observation(tables, "C1", unit="risk")
    assert re.search("2025-01-01.*2025-05-02", str(refused.value))
    assert ("R1, R2@x" in str(refused.value)) == ("reviews" in tables.tables)


def test_an_instant_in_another_zone_names_the_same_review(tables):
    asked = [f"C1@{when}" for when in ("2025-04-01", "2025-04-01T08:00+08:00")]
    one, two = (find_observation(tables, each, unit="risk").to_pylist() for each in asked)
    assert one == two


def test_what_follows_the_at_must_be_a_date(tables, on_disk):
    with pytest.raises(ConfigError, match="date"):
        find_observation(tables, "C1@soon", unit="risk")
    with pytest.raises(ConfigError, match="date"):
        require_known_rows(*on_disk, "C1@soon")


def test_nothing_heavy_is_loaded_to_refuse_an_identifier(on_disk, tmp_path):
    mapping, data = on_disk
    source = tmp_path / "source.yaml"
    source.write_text(
        json.dumps(mapping.model_dump(mode="json", by_alias=True, exclude_unset=True))
    )
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom kyc_ml.cli import app\n"
        f"done = CliRunner().invoke(app, ['explain', 'C9', '--model', 'models:/no/1', '--source', "
        f"{str(source)!r}, '--data', {str(data)!r}])\n"
        "heavy = ('lightgbm', 'mlflow', 'matplotlib', 'sklearn', 'optuna')\n"
        "print(done.exit_code, \"customer 'C9'\" in done.stderr, "
        "[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "2 True []"
