"""Matured labels: the one module that looks past a decision, at what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from kyc_ml.config import DatasetConfig, Unit
from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.contract.frames import Frame
from kyc_ml.contract.tables import (
    CASE_ID,
    CASES,
    CUSTOMER_ID,
    KNOWN_AT,
    OPEN,
    OUTCOME,
    REVIEW_ID,
    TRANSACTION_ID,
)
from kyc_ml.features.history import microseconds
from kyc_ml.features.observed import read_observations
from kyc_ml.features.table import DECISION_TIME, OBSERVATION_ID

POSITIVE: Final = "positive"
NEGATIVE: Final = "negative"
IMMATURE: Final = "immature"
OPEN_CASE: Final = "open_case"
ALREADY_ADVERSE: Final = "already_adverse"

_DAY: Final = np.timedelta64(1, "D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What was known of each observation's outcome at a date.

    Attributes
    ----------
    status : object array of shape (n,)
        positive, negative, immature (too young to count as negative), open_case (under
        investigation) or already_adverse (a review of a customer whose adverse outcome was
        known: policy decides, not the model). Only the first two may train or test a model.
    settled : bool array of shape (n,)
        True where a case names the observation, or horizon and maturity have passed. Among
        younger ones only positives are usable, so their share is no estimate of a rate.
    """

    status: npt.NDArray[np.object_]
    settled: npt.NDArray[np.bool_]

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """True where the outcome is known well enough to count."""
        return np.asarray((self.status == POSITIVE) | (self.status == NEGATIVE))

    @property
    def target(self) -> npt.NDArray[np.float64]:
        """1 for positive, 0 for negative, NaN where the outcome may not be used."""
        return to_target(self.status)


def to_target(status: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """Turn states of shape (n,) into 1 for positive, 0 for negative, NaN for the others."""
    target = np.full(status.size, np.nan)
    target[status == POSITIVE] = 1.0
    target[status == NEGATIVE] = 0.0
    return target


def mature_labels(
    source: ContractedTables,
    observations: Frame,
    *,
    unit: Unit,
    as_of: pd.Timestamp,
    config: DatasetConfig,
) -> Labels:
    """Judge each observation by the cases known at `as_of`.

    A case that names the observation decides it: adverse is positive, cleared negative,
    open leaves it undecided. For `risk`, a review is positive if the institution learned of
    an adverse outcome of its customer in ``(review, review + horizon]``; the window is the
    same for every review, and closes for good when it has passed. Without a case, an
    observation is negative once horizon and maturity have passed, else immature.
    """
    observations = read_observations(observations)
    decision = microseconds(observations[DECISION_TIME]).view("datetime64[us]")
    ripening = (config.horizon_days + config.label_maturity_days) * _DAY
    settled = np.asarray(decision + ripening <= _moment(as_of), dtype=np.bool_)
    status = np.where(settled, NEGATIVE, IMMATURE).astype(object)
    if CASES not in source.tables:
        return Labels(status=status, settled=settled)
    known = _known_at(source.tables[CASES], as_of)
    if unit == "risk":
        before, within = _outcomes_around(observations, _adverse_since(known, config), config)
        status[within] = POSITIVE
        status[before] = ALREADY_ADVERSE
    link = TRANSACTION_ID if unit == "fraud" else REVIEW_ID
    if link in known.columns:
        ids = observations[OBSERVATION_ID].to_pandas()
        about = known.drop_duplicates(CASE_ID, keep="last").dropna(subset=[link])
        adverse = about[OUTCOME].isin(list(config.adverse_outcomes))
        under_way = about[OUTCOME] == OPEN
        for outcome, rows in (
            (NEGATIVE, ~adverse & ~under_way),
            (OPEN_CASE, under_way),
            (POSITIVE, adverse),
        ):
            named = ids.isin(about.loc[rows, link]).to_numpy()
            status[named] = outcome
            settled |= named
    return Labels(status=status, settled=settled)


def _moment(time: pd.Timestamp) -> np.datetime64:
    return np.datetime64(time.tz_convert("UTC").tz_localize(None).to_pydatetime(), "us")


def _known_at(cases: pa.Table, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return the states of cases known at `as_of`, the latest of each case last."""
    frame: pd.DataFrame = cases.to_pandas()
    return frame[frame[KNOWN_AT] <= as_of].sort_values([CASE_ID, KNOWN_AT])


def _adverse_since(known: pd.DataFrame, config: DatasetConfig) -> pd.DataFrame:
    """Return the cases that ended adverse, each known since it has been so without a break.

    A report that follows a confirmed fraud tells the institution nothing new.
    """
    adverse = known[OUTCOME].isin(list(config.adverse_outcomes))
    breaks = (~adverse).groupby(known[CASE_ID]).cumsum()
    since = known[adverse].groupby([CASE_ID, breaks[adverse]])[KNOWN_AT].transform("min")
    latest = ~known.duplicated(CASE_ID, keep="last")
    return known[latest & adverse].assign(**{KNOWN_AT: since})


def _outcomes_around(
    observations: pa.Table, adverse: pd.DataFrame, config: DatasetConfig
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find reviews of customers already known as adverse, and those with an outcome to come.

    Returns
    -------
    before, within : arrays of row numbers
        An outcome known by the review; an outcome that became known in the horizon after it.
    """
    frame: pd.DataFrame = observations.select([CUSTOMER_ID, DECISION_TIME]).to_pandas()
    frame["row"] = np.arange(len(frame))
    joined = frame.merge(adverse[[CUSTOMER_ID, KNOWN_AT]], on=CUSTOMER_ID)
    known = joined[KNOWN_AT] <= joined[DECISION_TIME]
    horizon = joined[DECISION_TIME] + pd.Timedelta(days=config.horizon_days)
    rows = joined["row"].to_numpy(dtype=np.int64)
    return rows[known], rows[~known & (joined[KNOWN_AT] <= horizon)]
