"""Published scores of many nights, joined with their outcomes as known at a date."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.config import RunConfig, read_packaged
from kyc_ml.contract import CUSTOMER_ID, ContractedTables
from kyc_ml.dataset import IMMATURE, NEGATIVE, POSITIVE, mature_labels, positive_cases, to_target
from kyc_ml.errors import ConfigError
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID, read_observations
from kyc_ml.metrics import Floats, Ints, Mask, number_customers
from kyc_ml.scoring import published_nights, read_scores
from kyc_ml.validation import Text, texts_of

WITHDRAWN: Final = "withdrawn"
SENTENCES: Final = texts_of(read_packaged(Path(__file__).with_name("statistics.yaml")))
"""Sentences of signals, guarantees, assumptions and remarks, by key."""

_READ: Final = (
    OBSERVATION_ID, CUSTOMER_ID, DECISION_TIME, "probability", "tier", "segment", "policy",
    "model_name", "model_version",
)  # fmt: skip
_FEW_VALUES: Final = ("night", "tier", "segment", "policy", "model")
_INSTANT: Final = pd.Timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class KnownOutcomes:
    """Scored observations of one model name, and what is known of their outcomes."""

    rows: pd.DataFrame
    """One row an observation, in order of decision, with night (ISO date of its folder),
    observation_id, customer_id (that of the observation where it has no customer), decision_time
    (UTC), probability, tier, segment, model (name and version), policy, label (positive, negative,
    immature, open_case, already_adverse, or withdrawn: negative now, but a positive outcome was
    known once), target (1, 0; NaN where the outcome may not be used) and reported (when the
    positive outcome became known; NaT without one)."""
    delay: pd.Timedelta
    """Outcome window: horizon and maturity. A row's window closes at decision_time + delay."""
    as_of: pd.Timestamp
    """Outcomes known later were not used."""
    name: str = ""
    """Name of the model."""
    timezone: str = "UTC"
    """Zone whose days and months are counted."""
    remarks: tuple[Text, ...] = ()
    """What was left out and why: nights missing or of another model, rows scored twice, rated or
    without a usable label, labels withdrawn; empty if there was nothing of the kind."""

    @cached_property
    def closes(self) -> pd.Series:
        """When the window of each row closes, shape (n,)."""
        closing: pd.Series = self.rows[DECISION_TIME] + self.delay
        return closing

    @cached_property
    def closed(self) -> Mask:
        """Rows whose window has closed, with a usable outcome, shape (n,)."""
        return (self.closes <= self.as_of).to_numpy() & self.rows["target"].notna().to_numpy()

    @cached_property
    def target_at_close(self) -> Floats:
        """1 for rows whose positive outcome was known when their window closed, else 0."""
        in_time = (self.rows["reported"] <= self.closes).to_numpy()
        return ((self.rows["target"] == 1.0).to_numpy() & in_time).astype(np.float64)

    @cached_property
    def month(self) -> pd.Series:
        """Month of decision in the zone of the source, such as '2026-05', shape (n,)."""
        local = self.rows[DECISION_TIME].dt.tz_convert(self.timezone)
        months = (local.dt.year * 12 + local.dt.month - 1).to_numpy()
        # few months: each is written once
        found, place = np.unique(months, return_inverse=True)
        names = np.array([f"{each // 12}-{each % 12 + 1:02d}" for each in found], dtype=object)
        return pd.Series(names[place], index=local.index, dtype=object)

    @cached_property
    def customers(self) -> Ints:
        """The customer of each row, as a number from 0, shape (n,)."""
        return number_customers(self.rows[CUSTOMER_ID].to_numpy(dtype=object))


def read_outcomes(
    out: Path, name: str, *, tables: ContractedTables, run: RunConfig, as_of: pd.Timestamp
) -> KnownOutcomes:
    """Read the published nights of a model until `as_of` and join their outcomes.

    An observation that several nights scored counts once, as the first of them scored it: that
    is the score which was acted on.

    `out`: folder of nights, each published as ``OUT/YYYY-MM-DD/NAME``.
    `name`: folder of the model in each night; rows of a model other than ``run.name`` are left out.
    `run`: name, unit and label delay, such as those of the champion's bundle.
    Without rows where no night is published.
    Raises ConfigError if the manifest or a score file of a night is damaged: all such nights are
    named.
    """
    scored, remarks = _read_nights(out, name, run=run, as_of=as_of)
    observed = read_observations(scored[[OBSERVATION_ID, CUSTOMER_ID, DECISION_TIME]])
    label = mature_labels(tables, observed, unit=run.unit, as_of=as_of, config=run.dataset).status
    target = to_target(label)
    find = partial(positive_cases, tables, observed, unit=run.unit, as_of=as_of, config=run.dataset)
    once = find(withdrawn=True)["row"].to_numpy(np.int64)
    gone = once[label[once] == NEGATIVE]
    label[gone] = WITHDRAWN
    cases = find()
    cases = cases[label[cases["row"].to_numpy(np.int64)] == POSITIVE]
    days = pd.Series(np.nan, index=scored.index)
    days.iloc[cases["row"].to_numpy(np.int64)] = cases["days"].to_numpy()
    took = pd.to_timedelta((days * 86_400e6).round(), unit="us")
    rows = scored.assign(label=label, target=target, reported=scored[DECISION_TIME] + took)
    unusable = int((~np.isin(label, [POSITIVE, NEGATIVE, WITHDRAWN, IMMATURE])).sum())
    for key, count in (("withdrawn", gone.size), ("unusable", unusable)):
        if count:
            remarks.append(SENTENCES[key].fill(count=count))
    return KnownOutcomes(
        rows=rows,
        delay=pd.Timedelta(run.dataset.label_delay),
        as_of=as_of,
        name=run.name,
        timezone=tables.timezone,
        remarks=tuple(remarks),
    )


def _read_nights(
    out: Path, name: str, *, run: RunConfig, as_of: pd.Timestamp
) -> tuple[pd.DataFrame, list[Text]]:
    """Read the scores of all nights, each observation once, and say what was left out."""
    frames, faults = [], []
    nights = sorted(published_nights(out, name, as_of=as_of + _INSTANT), key=lambda each: each[1])
    for path, _ in nights:
        try:
            frames.append(
                read_scores(path, columns=_READ).assign(night=path.relative_to(out).parts[0])
            )
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("; ".join(faults))
    if not frames:
        empty = pd.DataFrame({column: pd.Series(dtype=object) for column in (*_READ, "night")})
        empty = empty.astype({"probability": float, DECISION_TIME: "datetime64[us, UTC]"})
        return _arranged(empty), [SENTENCES["no_night"]]
    # nights come in the order of their decision time: the first score of a row is kept
    scored = pd.concat(frames, ignore_index=True)
    other = scored["model_name"] != run.name
    rated = ~other & scored["probability"].isna()
    again = (
        ~other
        & ~rated
        & scored[~other & ~rated].duplicated(OBSERVATION_ID).reindex(scored.index, fill_value=False)
    )
    counts = {"missing": _missing(scored["night"]), "other_model": int(other.sum())}
    counts |= {"rated": int(rated.sum()), "again": int(again.sum())}
    remarks = [SENTENCES[key].fill(count=count) for key, count in counts.items() if count]
    return _arranged(scored[~(other | rated | again)]), remarks


def _arranged(scored: pd.DataFrame) -> pd.DataFrame:
    """Order rows by decision, and keep what is read of them."""
    found = scored.rename(columns={"model_version": "model"}).drop(columns="model_name")
    found[CUSTOMER_ID] = found[CUSTOMER_ID].fillna(found[OBSERVATION_ID])
    found = found.sort_values([DECISION_TIME, OBSERVATION_ID], ignore_index=True)
    return found.astype(dict.fromkeys(_FEW_VALUES, "category"))


def _missing(night: pd.Series) -> int:
    """Count the dates without a night between the first and the last one."""
    days = pd.to_datetime(pd.Series(night.unique()))
    return int((days.max() - days.min()).days) + 1 - len(days)
