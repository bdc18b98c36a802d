"""The commands on a history store: made by the first append, made again for other features."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from kyc_ml import cli
from kyc_ml.config import RunConfig, load_section
from kyc_ml.dataset import as_observations
from kyc_ml.errors import ConfigError
from kyc_ml.features import choose_features
from kyc_ml.history import History, HistoryStore, tables_around

TIERS = Path(__file__).parents[2] / "configs" / "tiers" / "fraud.yaml"
COLUMNS = ("transaction_id", "customer_id", "event_time", "amount", "counterparty_id")


@pytest.fixture
def bank(tmp_path):
    """Write a payment every eighth day, a mapping of them, and configurations of few features."""
    times = (8 * np.arange(400)).astype("M8[D]").astype("M8[us]")
    payments = pa.table(
        {
            "transaction_id": [f"t{n:03}" for n in range(400)],
            "customer_id": [f"c{n % 7}" for n in range(400)],
            "event_time": pa.array(times, pa.timestamp("us", "UTC")),
            "amount": [n / 100 for n in range(400)],
            "counterparty_id": [f"p{n % 5}" for n in range(400)],
        }
    )
    for name, rows in (("early", payments[:300]), ("late", payments[200:])):
        (tmp_path / name).mkdir()
        pq.write_table(rows, tmp_path / name / "payments.parquet", write_page_checksum=True)
    mapping = {
        "name": "small",
        "description": "small",
        "timezone": "UTC",
        "base_currency": "EUR",
        "files": {"payments": {"path": "payments.parquet", "format": "parquet"}},
        "tables": {"transactions": {"from": "payments", "columns": {n: n for n in COLUMNS}}},
    }
    (tmp_path / "source.yaml").write_text(yaml.safe_dump(mapping))
    for name, chosen in (
        ("one", {"families": [], "include": ["customer_amount_sum_7d"]}),
        ("two", {"families": ["velocity", "amounts", "counterparties"]}),
    ):
        config = {"name": name, "unit": "fraud", "tiers": str(TIERS), "features": chosen}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def run(bank, command, *flags, **options):
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    place = f"--history={bank / 'h'}"
    return CliRunner().invoke(cli.app, ["history", command, place, *flags, *given])


def append(bank, folder, **options):
    return run(bank, "append", source=bank / "source.yaml", data=bank / folder, **options)


def digest_of(bank):
    return json.loads(run(bank, "status", "--json").stdout)["digest"]


def test_a_store_is_appended_to_and_made_again_for_other_features(bank):
    assert append(bank, "early").exit_code == 2  # for which features?
    assert append(bank, "early", config=bank / "one.yaml").exit_code == 0
    assert append(bank, "late").exit_code == 0
    assert append(bank, "late", config=bank / "two.yaml").exit_code == 2
    found = json.loads(run(bank, "status", "--json").stdout)
    assert found["tables"]["transactions"]["rows"] == 400
    assert run(bank, "status").exit_code == run(bank, "verify").exit_code == 0
    run_two = load_section(bank / "two.yaml", RunConfig)
    with HistoryStore.open(bank / "h") as store:
        before = pa.concat_tables(store.scan("transactions", COLUMNS))
        paid = as_observations(before[-1:], "transaction_id")
        specs = choose_features(run_two.features, unit="fraud")
        with pytest.raises(ConfigError):  # nor is anything explained from it
            tables_around(History(store), paid, specs, reach_us=0)
    assert run(bank, "compact", config=bank / "two.yaml").exit_code == 0
    assert run(bank, "verify").exit_code == 0
    with HistoryStore.open(bank / "h") as store:
        assert pa.concat_tables(store.scan("transactions", COLUMNS)) == before
        assert store.about["features"] != found["about"]["features"]
    again = digest_of(bank)
    assert append(bank, "early").exit_code == 0  # all rows are known
    assert digest_of(bank) == again


def test_rows_are_dropped_only_where_no_feature_needs_them(bank):
    assert append(bank, "early", config=bank / "one.yaml").exit_code == 0
    assert run(bank, "compact", older_than_days=30).exit_code == 2
    done = run(bank, "compact", older_than_days=1000)
    assert done.exit_code == 0, done.output
    assert run(bank, "verify").exit_code == 0
    found = json.loads(run(bank, "status", "--json").stdout)
    assert found["tables"]["transactions"]["rows"] == 126


def test_a_damaged_store_ends_with_code_2(bank):
    assert append(bank, "early", config=bank / "one.yaml").exit_code == 0
    path = bank / "h" / "history.db"
    whole = bytearray(path.read_bytes())
    for place in range(len(whole) // 2, len(whole), 500):
        whole[place] ^= 1
    path.write_bytes(whole)
    assert run(bank, "verify").exit_code == 2
