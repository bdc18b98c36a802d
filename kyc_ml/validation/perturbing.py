"""Change the features of a sample of rows, and score them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from kyc_ml.dataset import POSITIVE
from kyc_ml.decision import TierPolicy, assign_tiers
from kyc_ml.features import FeatureSpec
from kyc_ml.metrics import Floats, Ints, Names
from kyc_ml.model import Calibrator, Model
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.rows import ScoredRows


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Evaluated rows to perturb; drawing by class does not bias the AUC."""

    rows: Ints
    """int64 array of shape (n,); places among the current rows."""
    matrix: Floats
    """float64 array of shape (n, p)."""
    target: Floats
    margin: Floats
    probability: Floats
    """`target`, `margin` and `probability`: float64 arrays of shape (n,)."""
    tier: Ints
    """int64 array of shape (n,); tier of the probability alone."""
    model: Model
    calibrator: Calibrator
    policy: TierPolicy
    cut_offs_of: Names
    calibrated_as: Names | None
    threads: int

    @classmethod
    def of(cls, evidence: ReviewEvidence, *, most: int, seed: int) -> Self:
        """Draw at most `most` rows; see `draw_evaluated`."""
        current, bundle = evidence.current, evidence.bundle
        rows = draw_evaluated(current, most=most, rng=np.random.default_rng(seed))
        segments = bundle.calibrator.segments
        named = None if segments is None else current.category(segments.feature)[rows]
        target = np.asarray(current.status[rows] == POSITIVE, dtype=np.float64)
        return cls(
            rows=rows,
            matrix=current.matrix[rows],
            target=target,
            margin=current.margin[rows],
            probability=current.probability[rows],
            tier=current.grades.model[rows],
            model=bundle.model,
            calibrator=bundle.calibrator,
            policy=bundle.policy,
            cut_offs_of=current.grades.segment[rows],
            calibrated_as=named,
            threads=evidence.threads,
        )

    def again(self, matrix: Floats) -> tuple[Floats, Floats, Ints]:
        """Return margin, probability and tier of the same rows with changed values."""
        margin = self.model.margin(matrix, threads=self.threads)
        proba = self.calibrator.probability(margin, self.calibrated_as)
        return margin, proba, assign_tiers(proba, policy=self.policy, segment=self.cut_offs_of)


def draw_evaluated(rows: ScoredRows, *, most: int, rng: np.random.Generator) -> Ints:
    """Draw evaluated rows: all positives but at most half of `most`, and negatives for the rest.

    Return row numbers in rising order; all evaluated rows if they are not more than `most`.
    """
    places = np.flatnonzero(rows.evaluated)
    if places.size <= most:
        return places
    positive = rows.status[places] == POSITIVE
    hits, others = places[positive], places[~positive]
    if hits.size > most // 2:
        hits = rng.choice(hits, most // 2, replace=False)
    rest = min(others.size, most - hits.size)
    return np.sort(np.concatenate([hits, rng.choice(others, rest, replace=False)]))


def add_noise(
    matrix: Floats, specs: Sequence[FeatureSpec], *, size: float, rng: np.random.Generator
) -> Floats:
    """Return a copy in which each number moved to a neighbouring rank of its column.

    A rank moves by a normal draw; the new value is another value of the column. Amounts with
    long tails and counts with many ties are therefore disturbed equally: a value that half of
    the rows share seldom changes. Categories and missing values do not change.

    `size` is the standard deviation of the move, as a share of the column's finite values.
    """
    noisy = matrix.copy()
    for place, spec in enumerate(specs):
        if spec.kind == "category":
            continue
        column = matrix[:, place]
        known = np.isfinite(column)
        order = np.sort(column[known])
        if order.size < 2 or order[0] == order[-1]:
            continue
        rank = np.searchsorted(order, column[known], side="left")
        ties = np.searchsorted(order, column[known], side="right") - rank
        middle = (rank + ties / 2) / order.size
        moved = np.clip(middle + rng.normal(size=middle.size) * size, 0.0, 1.0)
        noisy[known, place] = order[np.minimum((moved * order.size).astype(int), order.size - 1)]
    return noisy
