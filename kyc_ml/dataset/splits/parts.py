"""The four parts of a data set in order of time."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml import config
from kyc_ml.dataset.observations import history_start
from kyc_ml.errors import DatasetError
from kyc_ml.metrics import Names, Times

BETWEEN: Final = "between"
"""Name for the days of the inner embargo where a last fit learns from them too."""
LEFT_OUT: Final = ("immature", "open_case", "already_adverse", "outside_parts")
"""Why an observation neither trains nor evaluates a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundaries:
    """When each part begins and ends, half open, and when its labels must be known."""

    development_cutoff: pd.Timestamp
    """Labels of train, early stopping and calibration are those known then."""
    as_of: pd.Timestamp
    """Labels of the test are those known then."""
    parts: dict[str, tuple[pd.Timestamp | None, pd.Timestamp]]
    """Mapping of part to (start, end); the start of train may be None: from the beginning of the
    data."""


def plan_out_of_time(
    *, as_of: pd.Timestamp, splits: config.SplitConfig, dataset: config.DatasetConfig
) -> Boundaries:
    """Plan the four parts backwards from the training date.

    The last observation that can be mature on `as_of` ends the test; the development
    parts end where labels are mature at the development cut-off.

    Raises DatasetError if no day is left for training after `dataset.history_start`.
    """
    gap = pd.Timedelta(days=splits.inner_embargo_days)
    test_end = as_of - dataset.label_delay
    test_start = test_end - pd.Timedelta(days=splits.test_days)
    cutoff = test_start - pd.Timedelta(days=splits.embargo_days)
    calibration_end = cutoff - dataset.label_delay
    calibration_start = calibration_end - pd.Timedelta(days=splits.calibration_days)
    stopping_end = calibration_start - gap
    stopping_start = stopping_end - pd.Timedelta(days=splits.early_stopping_days)
    train_end = stopping_start - gap
    train_start = _train_start(train_end, splits=splits, dataset=dataset)
    if train_start is not None and train_start >= train_end:
        raise DatasetError(
            f"no day is left to train on: with as_of {as_of.date()} the training rows end on "
            f"{train_end.date()}, but start on {train_start.date()}; shorten test_days, "
            "embargo_days or the other parts, or move as_of"
        )
    return Boundaries(
        development_cutoff=cutoff,
        as_of=as_of,
        parts={
            config.TRAIN: (train_start, train_end),
            config.EARLY_STOPPING: (stopping_start, stopping_end),
            config.CALIBRATION: (calibration_start, calibration_end),
            config.TEST: (test_start, test_end),
        },
    )


def _train_start(
    end: pd.Timestamp, *, splits: config.SplitConfig, dataset: config.DatasetConfig
) -> pd.Timestamp | None:
    starts = [history_start(dataset)]
    if splits.train_days is not None:
        starts.append(end - pd.Timedelta(days=splits.train_days))
    return max((start for start in starts if start is not None), default=None)


def assign_parts(decision: Times, boundaries: Boundaries) -> Names:
    """Return the part of each observation; an empty name for one between the parts.

    Examples
    --------
    >>> plan = plan_out_of_time(
    ...     as_of=pd.Timestamp("2024-07-01", tz="UTC"),
    ...     splits=config.SplitConfig(),
    ...     dataset=config.DatasetConfig(label_maturity_days=10),
    ... )
    >>> assign_parts(np.array(["2024-06-01", "2024-06-25"], "datetime64[us]"), plan).tolist()
    ['test', '']
    """
    part = np.full(decision.size, "", dtype=object)
    for name, (start, end) in boundaries.parts.items():
        inside = decision < np.datetime64(end.tz_convert(None), "us")
        if start is not None:
            inside &= decision >= np.datetime64(start.tz_convert(None), "us")
        part[inside] = name
    return part


def name_between(part: Names, decision: Times, boundaries: Boundaries) -> Names:
    """Name the observations of the inner embargo: before the calibration ends, and of no part.

    Their labels are known on the development cut-off like those of the parts around them.
    """
    start, _ = boundaries.parts[config.TRAIN]
    _, end = boundaries.parts[config.CALIBRATION]
    inside = (part == "") & (decision < np.datetime64(end.tz_convert(None), "us"))
    if start is not None:
        inside &= decision >= np.datetime64(start.tz_convert(None), "us")
    named = part.copy()
    named[inside] = BETWEEN
    return named


def summarise_parts(
    part: Names,
    status: Names,
    customer: Names,
    boundaries: Boundaries,
) -> pd.DataFrame:
    """Count what each part holds and what was left out of it.

    One row per part, with one for `BETWEEN` if it is used, and one for the observations outside of
    all: part, start, end, observations, used, positives, customers, then `LEFT_OUT`: immature,
    open_case, already_adverse, outside_parts (their outcome is known). Observations are those used
    and those left out.
    """
    rows = []
    between = [BETWEEN] if (part == BETWEEN).any() else []
    for name in (*config.PARTS, *between, ""):
        here = part == name
        start, end = boundaries.parts.get(name, (None, None))
        known = here & np.isin(status, ["positive", "negative"])
        used = known & (name != "")
        rows.append(
            {
                "part": name or "left out (embargo, or outside the parts)",
                "start": start,
                "end": end,
                "observations": int(here.sum()),
                "used": int(used.sum()),
                "positives": int((used & (status == "positive")).sum()),
                "customers": int(pd.unique(customer[used]).size),
                "immature": int((here & (status == "immature")).sum()),
                "open_case": int((here & (status == "open_case")).sum()),
                "already_adverse": int((here & (status == "already_adverse")).sum()),
                "outside_parts": int((known & ~used).sum()),
            }
        )
    return pd.DataFrame(rows)
