"""Where a job leaves the rows that it refuses."""

from pathlib import Path

import pyarrow as pa
import pytest

from kyc_ml.errors import ContractError
from kyc_ml.jobs import reading
from kyc_ml.jobs.watch import Silence

MAPPING = """
name: {name}
base_currency: CNY
files: {{t: {{path: t.csv, format: csv}}}}
tables: {{customers: {{from: t, columns: {{customer_id: id}}}}}}
"""


@pytest.fixture
def refuse(monkeypatch, tmp_path):
    """Read a source whose rows are all refused; give what is in the working folder then."""

    def refused(*_, **__):
        error = ContractError("all rows")
        error.quarantine = pa.table({"reason": ["r"]})
        raise error

    def read(name, folder, *, quarantine=None):
        source = tmp_path / "source.yaml"
        source.write_text(MAPPING.format(name=name))
        with pytest.raises(ContractError):
            reading.read_tables(source, tmp_path / folder, quarantine=quarantine, watch=Silence())
        return {str(path.relative_to(work)) for path in work.rglob("*.parquet")}

    monkeypatch.setattr(reading, "read_source", refused)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return read


def test_each_source_and_each_folder_has_a_place_of_its_own(refuse):
    kept = refuse("bank", "2024")
    assert kept == {"build/quarantine/bank/2024.parquet"}
    kept = refuse("bank", "2025") | refuse("card", "2025")
    assert kept == {
        f"build/quarantine/{n}.parquet" for n in ("bank/2024", "bank/2025", "card/2025")
    }


def test_a_place_that_is_named_is_used(refuse):
    assert refuse("bank", "2024", quarantine=Path("here.parquet")) == {"here.parquet"}


@pytest.mark.parametrize("name", ["../../../out", "/etc/bank", "..", "银行 a:b"])
def test_no_name_leads_out_of_the_place(refuse, name):
    (kept,) = refuse(f'"{name}"', "2024")
    assert kept.startswith("build/quarantine/")
    assert kept.count("/") == 3
    assert ".." not in kept
