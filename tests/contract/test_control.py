"""What the sender states of its files is compared with what arrived, number by number."""

import hashlib
import json
import re
from datetime import date

import pytest
import yaml

from kyc_ml.config import SourceMapping
from kyc_ml.contract.quality import read_quality, write_quality
from kyc_ml.contract.source import read_source
from kyc_ml.errors import SourceError

LINES = "id,who,day,value\n" + "".join(f"t{i},c{i},2024-01-0{i + 1},{i}.5\n" for i in range(4))
DIGEST = hashlib.sha256(LINES.encode()).hexdigest()
TRUE = {"rows": 4, "sha256": DIGEST, "amount": "8.00", "business_date": "2024-01-04"}


def mapping(path, **more):
    columns = {"transaction_id": "id", "customer_id": "who", "event_time": "day", "amount": "value"}
    return SourceMapping.model_validate(
        {
            "name": "bank",
            "base_currency": "CNY",
            "files": {"tx": {"path": "tx.csv", "format": "csv"}},
            "tables": {"transactions": {"from": "tx", "columns": columns, "where": "id <> 't0'"}},
            "control": {"path": path, "amounts": {"tx": "CAST(value AS DOUBLE)"}, **more},
        }
    )


def as_csv(entries):
    names = ["name", *TRUE]
    lines = [",".join([name, *(str(e.get(k, "")) for k in TRUE)]) for name, e in entries.items()]
    return "\n".join([",".join(names), *lines]) + "\n"


FORMS = {"_C.csv": as_csv, "_C.yaml": yaml.safe_dump, "_C.json": json.dumps}


@pytest.fixture
def data(tmp_path):
    (tmp_path / "tx.csv").write_text(LINES)
    return tmp_path


@pytest.mark.parametrize("name", FORMS)
def test_a_delivery_that_is_as_stated_is_read(data, name):
    (data / name).write_text(FORMS[name]({"tx": TRUE}))
    quality = read_source(mapping(name), data=data).accepted.quality
    assert quality.business_dates == {"tx": date(2024, 1, 4)}
    assert read_quality(write_quality(quality)) == quality
    (data / name).write_text(FORMS[name]({"tx": {"rows": 4}}))  # the rest is not compared
    assert read_source(mapping(name), data=data).accepted.quality.business_dates == {}


WRONG = {
    "rows": ({"tx": {**TRUE, "rows": 5}}, r"rows.* 5 .* 4 "),
    "digest": ({"tx": {**TRUE, "sha256": "0" * 64}}, r"0{12}.*" + DIGEST[:12]),
    "sum": ({"tx": {**TRUE, "amount": "8.01"}}, r"8\.01 .* 8\.00 "),
    "a file not stated": ({"other": TRUE}, r"'other'[\s\S]*'tx'"),
    "no digest": ({"tx": {**TRUE, "sha256": "beef"}}, "sha256"),
    "no number": ({"tx": {**TRUE, "rows": "many"}}, "rows"),
    "more digits than a sum has": ({"tx": {**TRUE, "amount": "1e999999"}}, "amount"),
    "finer than a sum is": ({"tx": {**TRUE, "amount": "1e-40"}}, "amount"),
    "a key of no meaning": ({"tx": {**TRUE, "lines": 4}}, "lines"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_difference_is_refused_with_both_numbers(data, case):
    entries, said = WRONG[case]
    (data / "_C.yaml").write_text(yaml.safe_dump(entries))
    with pytest.raises(SourceError, match=said):
        read_source(mapping("_C.yaml"), data=data)


def test_all_differences_are_listed_together(data):
    (data / "_C.yaml").write_text(
        yaml.safe_dump({"tx": {**TRUE, "rows": 3, "amount": 1, "sha256": "0" * 64}})
    )
    with pytest.raises(SourceError) as told:
        read_source(mapping("_C.yaml"), data=data)
    assert len(re.findall("_C.yaml", str(told.value))) == 3


@pytest.mark.parametrize("name", ["none.csv", "../out.csv"])
def test_a_control_file_must_be_in_the_data_folder(data, name):
    (data.parent / "out.csv").write_text(as_csv({"tx": TRUE}))
    with pytest.raises(SourceError, match=re.escape(name)):
        read_source(mapping(name), data=data)


def test_a_control_file_of_endless_fields_is_refused(data):
    (data / "_C.csv").write_text("name,rows\n" + "a" * 200_000 + ",3\n")
    with pytest.raises(SourceError, match="_C"):
        read_source(mapping("_C.csv"), data=data)


def test_a_sum_is_of_one_expression(data):
    (data / "_C.csv").write_text(as_csv({"tx": TRUE}))
    end = ") AS DECIMAL(38, 6))) FROM tx"
    attack = f"value{end}; CREATE VIEW other AS SELECT 1; SELECT sum(CAST((value"
    with pytest.raises(SourceError, match="amounts"):
        read_source(mapping("_C.csv", amounts={"tx": attack}), data=data)


def test_a_sum_that_fails_says_no_value(data):
    (data / "_C.csv").write_text(as_csv({"tx": TRUE}))
    with pytest.raises(SourceError, match="amount") as told:
        read_source(mapping("_C.csv", amounts={"tx": "CAST(who AS DOUBLE)"}), data=data)
    assert not re.search(r"\bc[0-3]\b", str(told.value))
