"""Settings of the synthetic bank, and its period."""

import datetime as dt
from typing import Final

from pydantic import Field, field_validator

from kyc_ml.config import Section, check_section

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR

# Asia/Shanghai is 8 hours ahead of UTC and has had no summer time since 1992.
UTC_OFFSET: Final = 8 * HOUR
FIRST_START: Final = dt.date(1992, 1, 1)
MIN_CUSTOMERS: Final = 200


class BankConfig(Section):
    """Size, period and rates of a synthetic bank. A share is a fraction of 1.

    The rates are expectations: what is drawn differs from them by chance, and a small bank
    holds at least one scheme of each typology, whatever the rates.
    """

    transactions: int = Field(default=100_000, ge=5_000, le=50_000_000)
    """Rows of the transactions table, exactly."""
    seed: int = Field(default=7, ge=0)
    start: str = "2024-01-01"
    """First day of the period (ISO date, local to Asia/Shanghai)."""
    days: int = Field(default=360, ge=120, le=3_650)
    """Length of the period in days."""
    transactions_per_customer: int = Field(default=50, ge=25)
    """Mean over the period; a bank has at least 200 customers."""
    fraud_share: float = Field(default=0.01, gt=0.0, le=0.05)
    """Expected share of transactions that are fraudulent.

    Denser than life, where it is 0.001 to 0.1 %: a bank of this size would have too few
    frauds to learn from and to measure with."""
    launderer_share: float = Field(default=0.12, gt=0.0, le=0.2)
    """Expected share of customers who launder at some time; denser than life, as frauds are.

    The members of scatter-gather schemes come on top of it: about a tenth more."""
    late_share: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of transactions that the institution knows 2 to 72 hours late."""
    fraud_detected_share: float = Field(default=0.93, ge=0.0, le=1.0)
    """Share of fraud incidents that are ever confirmed."""
    fraud_delay_median_days: float = Field(default=10.0, gt=0.0, le=365.0)
    """Median days from a fraud to its confirmation."""
    report_share: float = Field(default=0.8, ge=0.0, le=1.0)
    """Share of launderers who are ever reported."""
    wrong_share: float = Field(default=0.01, ge=0.0, le=0.5)
    """Share of honest look-alikes that are confirmed or reported wrongly."""
    report_delay_median_days: float = Field(default=30.0, gt=0.0, le=365.0)
    """Median days from the end of the laundering to the report."""

    @field_validator("start")
    @classmethod
    def _start_is_a_day(cls, value: str) -> str:
        try:
            day = dt.date.fromisoformat(value)
        except ValueError:
            msg = f"start must be an ISO date such as 2024-01-01, got {value!r}"
            raise ValueError(msg) from None
        if not FIRST_START <= day <= dt.date(2100, 1, 1):
            raise ValueError(f"start must lie between {FIRST_START} and 2100-01-01, got {value}")
        return day.isoformat()

    @property
    def first_day(self) -> dt.date:
        """The first day of the period, local."""
        return dt.date.fromisoformat(self.start)

    @property
    def start_us(self) -> int:
        """Local midnight of the first day, in microseconds of UTC since 1970."""
        return (self.first_day - dt.date(1970, 1, 1)).days * DAY - UTC_OFFSET

    @property
    def customers(self) -> int:
        """Number of customers."""
        return max(MIN_CUSTOMERS, self.transactions // self.transactions_per_customer)


def bank_config(**settings: object) -> BankConfig:
    """Check settings given by hand, such as on a command line.

    Raises ConfigError if a setting is out of its range; all faults are listed.
    """
    return check_section(settings, BankConfig, subject="synthetic bank")
