"""An override in force that names nobody is refused: nobody would notice that it does nothing."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kyc_ml.contract import DataQualityReport, StoredTables
from kyc_ml.dataset import ChosenObservations
from kyc_ml.decision import OverrideBook, require_known_customers
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError

ENTRY = {
    "code": "LIST", "reason": "hit", "source": "list", "floor": "high", "start": "2026-01-01",
    "expiry": "2027-01-01", "approved_on": "2026-01-01", "requester": "r", "approver": "s",
}  # fmt: skip


class Told(ProgressReporter):
    """Keeps what is said."""

    def __init__(self):
        self.lines = []

    def info(self, line):
        self.lines.append(line)

    warning = info


@pytest.fixture
def stored(tmp_path):
    files = {}
    for name, ids in {"customers": ["C0000042", "C0000043"], "transactions": ["C0000044"]}.items():
        files[name] = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"customer_id": ids}), files[name])
    return StoredTables(
        files=files, timezone="UTC", base_currency="CNY", digests={},
        quality=DataQualityReport(tables=()),
    )  # fmt: skip


def look(stored, *entries, most=0, day="2026-06-01", since=None, unit="risk"):
    book = OverrideBook.model_validate({"overrides": [{**ENTRY, **entry} for entry in entries]})
    moment = pd.Timestamp(day, tz="UTC")
    start = None if since is None else pd.Timestamp(since, tz="UTC")
    chosen = ChosenObservations(
        unit=unit, since=start, as_of=moment, planned=False, not_due=frozenset()
    )
    reporter = Told()
    require_known_customers(book, stored, chosen, most=most, reporter=reporter)
    return reporter.lines


NOBODY = {"customer_id": "C0000999"}
ALIKE = {"customer_id": "c0000043"}
SOMEBODY = ({"customer_id": "C0000042"}, {"customer_id": "C0000044"})


def test_each_override_that_names_nobody_is_named_with_its_reason(stored):
    with pytest.raises(ConfigError) as caught:
        look(stored, SOMEBODY[0], ALIKE, NOBODY, SOMEBODY[1])
    first, *lines = str(caught.value).splitlines()
    assert "2 of 4" in first
    assert "unmatched_overrides" in first
    assert lines[0].startswith("  - override 2 (LIST): ")
    assert lines[1].startswith("  - override 3 (LIST): ")
    assert "0000043" not in str(caught.value)


def test_customers_of_any_table_are_known(stored):
    assert look(stored, *SOMEBODY) == []
    assert look(stored) == []


@pytest.mark.parametrize(("most", "refused"), [(0, True), (1, False), (None, False)])
def test_so_many_may_name_nobody_and_are_named_all_the_same(stored, most, refused):
    if refused:
        with pytest.raises(ConfigError):
            look(stored, NOBODY, most=most)
    else:
        (line,) = look(stored, NOBODY, most=most)
        assert line.startswith("1 of 1 overrides")


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"day": "2025-12-31"}, False),  # not yet in force
        ({"day": "2027-01-01"}, False),  # no longer
        ({"day": "2027-01-02", "since": "2026-12-31"}, True),  # some of the decisions lie before
        ({"day": "2027-06-01", "unit": "fraud"}, True),  # all bookings ever
        ({"day": "2027-06-01", "unit": "fraud", "since": "2027-05-31"}, False),
    ],
)
def test_overrides_of_other_days_are_no_fault(stored, settings, refused):
    if refused:
        with pytest.raises(ConfigError):
            look(stored, NOBODY, **settings)
    else:
        assert look(stored, NOBODY, **settings) == []
