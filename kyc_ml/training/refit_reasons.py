"""The reasons that a refit gives, by contrast with the same training rows for every refit."""

from functools import cached_property
from typing import Final

import numpy as np

from kyc_ml.config import RunConfig
from kyc_ml.decision import PeerReference, find_reasons, learn_reference, with_contributions
from kyc_ml.features import FeatureTable
from kyc_ml.metrics import Floats, Ints, sample_rows
from kyc_ml.model import Model

_MOST: Final = 5_000
"""Training rows, drawn by content, that later rows are compared with (convention)."""


class RefitReasons:
    """Finds the reasons of later rows by a model that was fitted again.

    Parameters
    ----------
    matrix : float64 array of shape (len(features), p)
        The encoded features.
    learned, later : int64 arrays
        Numbers of the training rows and of the later rows.
    """

    def __init__(
        self, features: FeatureTable, matrix: Floats, learned: Ints, later: Ints, config: RunConfig
    ) -> None:
        self._features, self._matrix, self._later, self._config = features, matrix, later, config
        self._drawn = sample_rows(matrix, learned, count=_MOST, seed=config.stability.seed)

    @cached_property
    def _usual(self) -> PeerReference:
        rows = self._features.take(self._drawn)
        everything = np.ones(len(rows), np.bool_)
        return learn_reference(rows, everything, peers=self._config.explain.peers)

    def __call__(self, model: Model, rows: Ints) -> Ints:
        """Return the groups of features that are reasons; see `FindReasons`."""
        shown = self._later[rows]
        reference = with_contributions(
            self._usual, self._features.take(self._drawn), self._explain(model, self._drawn)
        )
        found = find_reasons(
            self._features.take(shown),
            self._explain(model, shown),
            reference=reference,
            k=self._config.stability.top_reasons,
        )
        return found.groups

    def _explain(self, model: Model, rows: Ints) -> Floats:
        found = model.contributions(self._matrix[rows], threads=self._config.model.n_jobs)
        return found.values
