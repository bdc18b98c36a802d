"""Whether a run may be published: its counts compared with its limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kyc_ml.config import LimitsConfig
from kyc_ml.contract import CUSTOMER_ID, CUSTOMERS, NOT_IN_CUSTOMERS, DataQualityReport
from kyc_ml.model import DriftFound
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.extract_limits import ExtractFound

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """The figures of a run that its limits apply to."""

    quality: DataQualityReport
    counts: Counts
    drift: DriftFound | None
    """None if the model has no profile, or did not score."""
    extract: ExtractFound = field(default_factory=ExtractFound)
    """What was read, and the limits that the extract itself exceeds."""

    @property
    def drift_table(self) -> pd.DataFrame | None:
        """The drift by column; see `DriftFound.table`."""
        return None if self.drift is None else self.drift.table


def check_limits(figures: RunFigures, limits: LimitsConfig) -> tuple[str, ...]:
    """List the limits that a run exceeds; a figure equal to its limit is within it."""
    return (
        *figures.extract.faults,
        *_check_tables(figures.quality, limits),
        *_check_customers(figures.quality, limits),
        *_check_categories(figures.counts, limits),
        *(figures.drift.faults if figures.drift is not None else ()),
    )


def _check_tables(quality: DataQualityReport, limits: LimitsConfig) -> list[str]:
    faults = []
    for table in quality.tables:
        if table.quarantined_share > limits.quarantined_share:
            faults.append(
                f"quarantined_share: {table.table}: {table.quarantined:,} of {table.read:,} rows, "
                f"above {limits.quarantined_share:g}: see quarantine/ for the reasons, or set "
                "quarantined_share in the file of --limits"
            )
        late = _share(table.late_rows, table.accepted)
        if limits.late_share is not None and late > limits.late_share:
            faults.append(
                f"late_share: {table.table}: {table.late_rows:,} of {table.accepted:,} rows were "
                f"known only later, above {limits.late_share:g}: ask how late the extract is, or "
                "set late_share in the file of --limits"
            )
    return faults


def _check_customers(quality: DataQualityReport, limits: LimitsConfig) -> list[str]:
    accepted = {table.table: table.accepted for table in quality.tables}
    return [
        f"unknown_customers_share: {found.table}: {found.count:,} of {accepted[found.table]:,} "
        f"rows name a customer who is not in {CUSTOMERS}, above "
        f"{limits.unknown_customers_share:g}: ask for the missing customers, or set "
        "unknown_customers_share in the file of --limits"
        for found in quality.warnings
        if found.column == CUSTOMER_ID
        and found.rule == NOT_IN_CUSTOMERS
        and _share(found.count, accepted[found.table]) > limits.unknown_customers_share
    ]


def _check_categories(counts: Counts, limits: LimitsConfig) -> list[str]:
    return [
        f"unknown_categories_share: {name}: {rows:,} of {counts.rows:,} rows hold a value that "
        f"the model has never seen, above {limits.unknown_categories_share:g}: map the new codes, "
        "train again, or set unknown_categories_share in the file of --limits"
        for name, rows in counts.unknown_categories.items()
        if _share(rows, counts.rows) > limits.unknown_categories_share
    ]


def _share(count: int, total: int) -> float:
    """Return a share; 0 of 0 is 0."""
    # divided, because 0.29 * 100 is less than 29, and 29 rows of 100 are within a limit of 0.29
    return count / total if total else 0.0
