"""The rows of a comparison, and what each model says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.bundle import Bundle
from kyc_ml.dataset import POSITIVE
from kyc_ml.errors import DatasetError
from kyc_ml.features.history import microseconds
from kyc_ml.features.spec import DAY_US
from kyc_ml.features.table import DECISION_TIME, FeatureTable
from kyc_ml.tiers import grade
from kyc_ml.training.evidence import customers_of, segments_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterRows:
    """Observations that are new to both models.

    Attributes
    ----------
    challenger, champion : FeatureTable
        The same n observations in the same order, with the columns of each model and what
        its tier policy reads; it may be one table for both.
    status : object array of shape (n,)
        What is known of each outcome; see `Labels`.
    judged : bool array of shape (n,)
        The rows that figures are computed from: their outcome is known, and all rows of their
        time are old enough for it to be known. The others only change tiers.
    end : Timestamp
        End of the time that judged rows come from.
    out_of_fold : two pairs of float64 arrays of shape (n,), or None
        Margin and probability of the challenger, then of the champion, by models that saw
        nothing of a row's customer; None where the rows are later than both trainings.
    """

    challenger: FeatureTable
    champion: FeatureTable
    status: npt.NDArray[np.object_]
    judged: npt.NDArray[np.bool_]
    end: pd.Timestamp
    out_of_fold: tuple[tuple[Floats, Floats], tuple[Floats, Floats]] | None = None

    @property
    def kind(self) -> str:
        """What the rows are, in a word: later or out-of-fold."""
        return "later" if self.out_of_fold is None else "out-of-fold"

    @property
    def target(self) -> Floats:
        """1 for a positive and 0 for a negative, of the judged rows."""
        return np.asarray(self.status[self.judged] == POSITIVE, dtype=np.float64)

    @property
    def customers(self) -> npt.NDArray[np.object_]:
        """The customers of the judged rows."""
        return customers_of(self.champion.keys)[self.judged]

    @property
    def day(self) -> Ints:
        """Day of each judged row's decision, counted from 1970."""
        return np.asarray(microseconds(self.champion.keys[DECISION_TIME])[self.judged] // DAY_US)

    @property
    def end_day(self) -> int:
        """The day after the time of the judged rows."""
        return -(-(self.end.value // 1000) // DAY_US)

    def require_both_classes(self) -> None:
        """Refuse rows that cannot judge a model.

        Raises
        ------
        DatasetError
            If the judged rows are not of both classes.
        """
        target = self.target
        positives = int(target.sum())
        if positives in {0, target.size}:
            msg = (
                f"a comparison needs {self.kind} rows of both classes, got {positives} positives "
                f"of {target.size} rows: name a later --as-of, or wait until more labels are mature"
            )
            raise DatasetError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a model says of n rows.

    Attributes
    ----------
    margin : float64 array of shape (n,), log-odds
    probability : float64 array of shape (n,), calibrated
    tier : int64 array of shape (n,)
        Places in the tiers of its own policy, as `kyc_ml.tiers.grade` gives them: with the
        expert rating and the declared overrides, without history and entered overrides.
    """

    margin: Floats
    probability: Floats
    tier: Ints

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        features: FeatureTable,
        *,
        threads: int,
        said: tuple[Floats, Floats] | None = None,
    ) -> Self:
        """Score all rows, without explaining them.

        Parameters
        ----------
        said : two float64 arrays of shape (n,), optional
            Margin and probability of other models than the bundle's: those of its folds.
        """
        if said is not None:
            tier = grade(said[1], features, policy=bundle.policy).tier
            return cls(margin=said[0], probability=said[1], tier=tier)
        columns = features.reorder(bundle.model.feature_names)
        matrix, _ = columns.encode(bundle.vocabularies)
        margin = bundle.model.margin(matrix, threads=threads)
        segments = bundle.calibrator.segments
        segment = segments_of(features, None if segments is None else segments.feature)
        proba = bundle.calibrator.probability(margin, segment)
        tier = grade(proba, features, policy=bundle.policy).tier
        return cls(margin=margin, probability=proba, tier=tier)
