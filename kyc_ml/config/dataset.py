"""Which observations there are, and when their labels count."""

from datetime import date, timedelta
from typing import Literal

from pydantic import Field, field_validator

from kyc_ml.config.section import Section

Unit = Literal["fraud", "risk"]


class DatasetConfig(Section):
    """Which observations there are and when their labels count."""

    history_start: str | None = None
    """First day (ISO date) whose observations are used; earlier rows are history only."""
    adverse_outcomes: tuple[Literal["confirmed_fraud", "str_filed", "default"], ...] = (
        "confirmed_fraud",
        "str_filed",
        "default",
    )
    """Outcomes of cases that make a label positive. Features of label history count any adverse
    outcome, whatever is left out here."""
    horizon_days: int = Field(default=0, ge=0)
    """A review is positive if the institution learns of an adverse outcome (report filed,
    fraud confirmed, default) within this many days after it (risk only)."""
    label_maturity_days: int = Field(default=90, ge=0)
    """Age, counted from the end of the horizon, at which an observation without an
    adverse case counts as negative."""
    review_every_months: int = Field(default=1, ge=1)
    """Review calendar where the source has no reviews table (risk only)."""

    @property
    def label_delay(self) -> timedelta:
        """Time from a decision until its outcome is mature: horizon and label maturity."""
        return timedelta(days=self.horizon_days + self.label_maturity_days)

    @field_validator("history_start")
    @classmethod
    def _history_start_is_a_day(cls, text: str | None) -> str | None:
        try:
            iso = None if text is None else date.fromisoformat(text).isoformat()
        except ValueError:
            iso = None
        if iso != text:
            raise ValueError(f"must be an ISO date such as 2024-05-01, got {text!r}")
        return text
