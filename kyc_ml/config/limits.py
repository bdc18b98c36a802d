"""Limits that a batch of scores must meet before it is published."""

from pydantic import Field

from kyc_ml.config.section import Day, Section


class DriftLimits(Section):
    """Population stability index against the rows that the model was evaluated on.

    A limit is only exceeded if the index is also above what chance gives two samples of
    these sizes in one of a hundred cases.
    """

    score: float | None = Field(default=0.25, gt=0.0)
    """PSI of the probability; null means no limit. 0.25 is a convention."""
    feature: float = Field(default=0.25, gt=0.0)
    """Above it a feature counts as drifted."""
    features_drifted: float | None = Field(default=0.1, ge=0.0, le=1.0)
    """Share of the features that may have drifted; null only reports them. Two features may
    drift whatever their share, unless it is 0. Measured on the demo bank: 0 to 0.024 on honest
    nights, 0.13 and more where amounts are in another unit."""


class ExtractLimits(Section):
    """How far a table may differ from its own past: its last day, and the whole since a night ago.

    Each limit can be null, which means no limit. None of the others applies to a table without
    enough rows to show more than chance; `pipelines/README.md` states each rule.
    """

    may_be_empty: bool = False
    """Whether the table may have no row."""
    stale_factor: float | None = Field(default=1.5, ge=1.0)
    """Most hours without a new row, as a multiple of the second longest pause of the last 400
    days. Never less than `stale_hours`; null there means no limit for any table."""
    stale_days: float | None = Field(default=None, gt=0.0)
    """Most days without a new row, in place of the multiple; null: the multiple applies."""
    arrivals: float | None = Field(default=0.7, gt=0.0, le=1.0)
    """Lowest share of the rows expected for a day of this weekday and day of the month."""
    lost_rows: float | None = Field(default=0.01, ge=0.0, le=1.0)
    """Highest share of the rows of the night before that may be gone."""
    magnitude: float | None = Field(default=0.5, gt=0.0)
    """Largest move of the middle of a number, in powers of ten: 0.5 is a factor of 3."""
    missing: float | None = Field(default=0.5, gt=0.0, le=1.0)
    """Largest change of the share of rows without a value, in any one column."""
    mixture: float | None = Field(default=0.3, gt=0.0, le=1.0)
    """Largest share of the rows that would need another value for the shares of a column's values
    to be those of before."""
    repeated: float | None = Field(default=0.05, ge=0.0, le=1.0)
    """Highest share of a day's rows that repeat another row under a new identifier."""


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
    """Most hours from the newest transaction or event to --as-of; null means no limit for any
    table.

    A nightly run of one day needs 24: if more, no row of that day has arrived."""
    extract: ExtractLimits = ExtractLimits()
    tables: dict[str, ExtractLimits] = Field(default_factory=dict)
    """Limits of single tables, by name; a key that is absent has its value of `extract`."""
    holidays: tuple[Day, ...] = ()
    """Days in the time zone of the source on which few rows are expected: no lower limit of
    `arrivals` applies then, and none of the days counts as usual."""
    drift: DriftLimits = DriftLimits()

    def of_table(self, name: str) -> ExtractLimits:
        """Return the limits of one table."""
        own = self.tables.get(name)
        if own is None:
            return self.extract
        return self.extract.model_copy(
            update={key: getattr(own, key) for key in own.model_fields_set}
        )
