"""run_check: read a source, on one machine or on a cluster, and report its quality."""

from pathlib import Path
from typing import Literal

from kyc_ml.contract import DataQualityReport, read_tables
from kyc_ml.display import ProgressReporter
from kyc_ml.engines.spark.session import landed, require_no_master


def run_check(
    *,
    source: Path,
    data: Path,
    quarantine: Path | None = None,
    engine: Literal["local", "spark"] = "local",
    master: str | None = None,
    reporter: ProgressReporter,
) -> DataQualityReport:
    """Read a source, and put the rows that break the contract into `quarantine`.

    `quarantine`: a file; of a cluster a new folder, beside which the workers write.
    `engine`, `master`: 'spark' reads on a cluster; see `open_cluster`.
    Raises KycMlError if the source is faulty, or too many rows are refused.
    """
    if engine == "spark":
        work = quarantine or Path("build/check")
        with landed(
            source, data, work=work, quarantine=quarantine, master=master, reporter=reporter
        ) as (_, stored, _):
            return stored.quality
    require_no_master(master)
    tables, _ = read_tables(source, data, quarantine=quarantine, reporter=reporter, telling="table")
    return tables.quality
