"""From when a policy may grade: no run before that day, and older rows are marked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.decision.tiers.calendar import decision_days
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.errors import ConfigError
from kyc_ml.metrics import Times


def require_in_force(policy: TierPolicy, as_of: pd.Timestamp) -> None:
    """Refuse to grade on a day before a policy is valid.

    The day of the run decides. A decision that is older than the policy but is graded only
    now is graded by it, and `mark_in_force` says so.

    Parameters
    ----------
    as_of : Timestamp with a timezone
        Up to when facts are known: what the run takes for now.

    Raises
    ------
    ConfigError
        If that day, local to the policy's calendar, lies before `valid_from`.
    """
    day = decision_days(pd.DatetimeIndex([as_of]), policy.calendar)[0]
    if policy.valid_from is not None and day < np.datetime64(policy.valid_from, "D"):
        msg = (
            f"tier policy {policy.label!r} is valid from {policy.valid_from}, and this run grades "
            f"as of {day}: use a model with the policy in force then, or a later date"
        )
        raise ConfigError(msg)


def mark_in_force(policy: TierPolicy, days: Times) -> pa.Array:
    """Tell of each decision's local day whether the policy was valid, shape (n,).

    Null where the day is NaT, or where the policy does not say since when it is valid.
    """
    if policy.valid_from is None:
        return pa.nulls(days.size, pa.bool_())
    valid = days >= np.datetime64(policy.valid_from, "D")
    return pa.array(valid, pa.bool_(), mask=np.isnat(days))
