"""Mature labels: the outcome of a decision. Only this module and `positives` look past it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml import contract as c
from kyc_ml.config import DatasetConfig, Unit
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID, microseconds, read_observations
from kyc_ml.metrics import Floats, Mask, Names

POSITIVE: Final = "positive"
NEGATIVE: Final = "negative"
IMMATURE: Final = "immature"
OPEN_CASE: Final = "open_case"
ALREADY_ADVERSE: Final = "already_adverse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The outcome of each observation, as known at a date.

    Attributes
    ----------
    status : object array of shape (n,)
        positive, negative, immature (too young to count as negative), open_case (under
        investigation) or already_adverse (a review of a customer whose adverse outcome was
        known before it: the tier policy decides, not the model). Only the first two may train or
        test a model.
    settled : bool array of shape (n,)
        True if a case names the observation, or its label delay has passed. Of younger
        observations only positives are usable, so their share does not estimate a rate.
    """

    status: Names
    settled: Mask

    @property
    def usable(self) -> Mask:
        """True if the outcome is positive or negative."""
        return np.asarray((self.status == POSITIVE) | (self.status == NEGATIVE))

    @property
    def target(self) -> Floats:
        """1 for positive, 0 for negative, NaN if the outcome may not be used."""
        return to_target(self.status)


def to_target(status: Names) -> Floats:
    """Convert states of shape (n,) to 1 for positive, 0 for negative, NaN for the others."""
    target = np.full(status.size, np.nan)
    target[status == POSITIVE] = 1.0
    target[status == NEGATIVE] = 0.0
    return target


def mature_labels(
    source: c.ContractedTables,
    observations: c.Frame,
    *,
    unit: Unit,
    as_of: pd.Timestamp,
    config: DatasetConfig,
) -> Labels:
    """Label each observation by the cases known at `as_of`.

    A case that names the observation decides it: positive with an outcome of
    `config.adverse_outcomes`, open_case while the case is open, else negative. For `risk`, a review
    is positive if the institution learned of such an outcome of its customer in the outcome window
    ``(review, review + horizon]``, which has the same length for every review. Without a case, an
    observation is negative once the label delay (horizon and maturity) has passed, else immature.
    """
    observations = read_observations(observations)
    decision = microseconds(observations[DECISION_TIME]).view("datetime64[us]")
    delay = np.timedelta64(config.label_delay, "us")
    settled = np.asarray(decision + delay <= _moment(as_of), dtype=np.bool_)
    # as objects: other statuses are longer than the fixed width of these texts
    status = np.where(settled, NEGATIVE, IMMATURE).astype(object)
    if c.CASES not in source.tables:
        return Labels(status=status, settled=settled)
    known = states_known_at(source.tables[c.CASES], as_of)
    if unit == "risk":
        outcomes = positive_since(known, config)[[c.CUSTOMER_ID, c.KNOWN_AT]]
        joined = join_outcomes(observations, outcomes, config)
        # in this order: an adverse outcome before the decision wins
        status[joined.loc[joined["within"], "row"]] = POSITIVE
        status[joined.loc[joined["before"], "row"]] = ALREADY_ADVERSE
    link = c.TRANSACTION_ID if unit == "fraud" else c.REVIEW_ID
    if link in known.columns:
        ids = observations[OBSERVATION_ID].to_pandas()
        about = known.drop_duplicates(c.CASE_ID, keep="last").dropna(subset=[link])
        positive = about[c.OUTCOME].isin(list(config.adverse_outcomes))
        under_way = about[c.OUTCOME] == c.OPEN
        # positive comes last: it wins where cases of one observation disagree
        for outcome, rows in (
            (NEGATIVE, ~positive & ~under_way),
            (OPEN_CASE, under_way),
            (POSITIVE, positive),
        ):
            named = ids.isin(about.loc[rows, link]).to_numpy()
            status[named] = outcome
            settled |= named
    return Labels(status=status, settled=settled)


def _moment(time: pd.Timestamp) -> np.datetime64:
    return np.datetime64(time.tz_convert("UTC").tz_localize(None).to_pydatetime(), "us")


def states_known_at(cases: pa.Table, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return the states of cases known at `as_of`, the latest of each case last."""
    frame: pd.DataFrame = cases.to_pandas()
    return frame[frame[c.KNOWN_AT] <= as_of].sort_values([c.CASE_ID, c.KNOWN_AT])


def positive_since(known: pd.DataFrame, config: DatasetConfig) -> pd.DataFrame:
    """Return the cases whose latest outcome makes a label positive, `known_at` being since when.

    A report that follows a confirmed fraud does not move that date: the outcome was known.
    """
    positive = known[c.OUTCOME].isin(list(config.adverse_outcomes))
    # numbers the runs of positive states: a case that was reopened counts from its last run
    breaks = (~positive).groupby(known[c.CASE_ID]).cumsum()
    since = known[positive].groupby([c.CASE_ID, breaks[positive]])[c.KNOWN_AT].transform("min")
    latest = ~known.duplicated(c.CASE_ID, keep="last")
    return known[latest & positive].assign(**{c.KNOWN_AT: since})


def join_outcomes(
    observations: pa.Table, positive: pd.DataFrame, config: DatasetConfig
) -> pd.DataFrame:
    """Join reviews with the positive outcomes of their customers.

    One row a review and outcome, with the columns of both: row (place of the review), before (the
    outcome was known by the review), within (it became known in the horizon after it).
    """
    frame: pd.DataFrame = observations.select([c.CUSTOMER_ID, DECISION_TIME]).to_pandas()
    frame["row"] = np.arange(len(frame))
    joined = frame.merge(positive, on=c.CUSTOMER_ID)
    horizon = joined[DECISION_TIME] + pd.Timedelta(days=config.horizon_days)
    before = joined[c.KNOWN_AT] <= joined[DECISION_TIME]
    return joined.assign(before=before, within=~before & (joined[c.KNOWN_AT] <= horizon))
