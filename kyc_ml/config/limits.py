"""Limits that a batch of scores must meet before it is published."""

from __future__ import annotations

from pydantic import Field

from kyc_ml.config.section import Section


class DriftLimits(Section):
    """Population stability index against the rows that the model was evaluated on.

    A limit is only exceeded if the index is also above what chance gives two samples of
    these sizes in one of a hundred cases.
    """

    score: float | None = Field(default=0.25, gt=0.0)
    """PSI of the probability; null means no limit. 0.25 is a convention."""

    feature: float = Field(default=0.25, gt=0.0)
    """Above it a feature counts as drifted."""

    features_drifted: float | None = Field(default=None, ge=0.0, le=1.0)
    """Share of the features that may have drifted; null only reports them."""


class LimitsConfig(Section):
    """Limits of a scoring run; beyond one of them nothing is published."""

    quarantined_share: float = Field(default=0.001, ge=0.0, le=1.0)
    """Highest share of any table's rows in quarantine."""

    unknown_categories_share: float = Field(default=0.05, ge=0.0, le=1.0)
    """Highest share of the scored rows with an unknown category, in any one feature."""

    unknown_customers_share: float = Field(default=0.05, ge=0.0, le=1.0)
    """Highest share of a table's rows whose customer is not in the customers table."""

    unmatched_overrides: int | None = Field(default=0, ge=0, exclude_if=lambda most: most == 0)
    """Overrides in force without effect, because no table has their customer; null means no
    limit. Above it the run ends with 2: the file of --overrides is at fault."""

    late_share: float | None = Field(default=None, ge=0.0, le=1.0)
    """Highest share of a table's rows known only after they happened; null means no limit."""

    stale_hours: float | None = Field(default=24.0, gt=0.0)
    """Most hours from the newest transaction or event to --as-of; null means no limit.

    A nightly run of one day needs 24: if more, no row of that day has arrived.
    """

    drift: DriftLimits = DriftLimits()
