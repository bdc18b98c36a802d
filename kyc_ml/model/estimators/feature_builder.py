# ruff: noqa: N803  scikit-learn names the rows X
"""Declared features as a step of a scikit-learn pipeline."""

from collections.abc import Sequence, Sized
from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from kyc_ml.contract import ContractedTables, Frame, require_contracted
from kyc_ml.features import FeatureSpec, build_features, read_observations
from kyc_ml.metrics import Names


class FeatureBuilder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """Compute the declared features of observations, as known at the decision of each.

    Nothing is learnt from the rows of `fit`: a row's features follow from the source and its
    own decision time, so they are the same in every fold. Features that the source or the
    observations lack are left out, in every fold alike; `unavailable_` has the reasons.

    Parameters
    ----------
    source : ContractedTables
        All history; rows at or after a decision, or known only later, do not count. Copies
        of this step share it.
    specs : sequence of FeatureSpec
        As `choose_features` returns them.
    threads : int

    Attributes
    ----------
    feature_names_in_ : array of str
        Columns of the observations.
    unavailable_ : dict of feature to reason
    specs_ : tuple of FeatureSpec
        The features given, in the order of the columns.

    Examples
    --------
    Cross-validation in time, from observations to the evaluated model::

        model = make_pipeline(FeatureBuilder(tables, specs), RiskClassifier())
        cross_val_score(model, observations.to_pandas(), outcome, cv=PrequentialSplit(...))
    """

    def __init__(
        self, source: ContractedTables, specs: Sequence[FeatureSpec], *, threads: int = 2
    ) -> None:
        self.source = source
        self.specs = specs
        self.threads = threads

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        # scikit-learn's own writes every declaration and every table out, for pages; inside a
        # pipeline it still does, cut to 700 characters, and gives a step no say
        del N_CHAR_MAX
        return (
            f"FeatureBuilder({_count(self.source, 'tables', 'tables')}, "
            f"{_count(self, 'specs', 'features')}, threads={self.threads!r})"
        )

    def __sklearn_clone__(self) -> Self:
        # the tables never change, and copying them would take as much memory again
        return type(self)(self.source, self.specs, threads=self.threads)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    def fit(self, X: Frame, y: object = None) -> Self:
        """Find the features that the tables can provide.

        Parameters
        ----------
        X : table of pandas, Polars or pyarrow
            observation_id, customer_id, decision_time and the observations' own fields, as
            `make_observations` lists them.
        y : ignored
        """
        del y
        require_contracted(self.source)
        observations = read_observations(X)
        # no rows: this only finds out which features the tables allow
        found = build_features(self.source, observations.slice(0, 0), specs=self.specs)
        self.feature_names_in_: Names = np.array(observations.column_names, dtype=object)
        self.n_features_in_: int = len(observations.column_names)
        self.specs_: tuple[FeatureSpec, ...] = found.specs
        self.unavailable_: dict[str, str] = dict(found.unavailable)
        return self

    def transform(self, X: Frame) -> pd.DataFrame:
        """Return a row of features for each observation, in the given order.

        Returns
        -------
        DataFrame of shape (n, len(specs_))
            Numbers as float64, NaN where missing; categories as dtype category. The index is
            that of `X`, or, of other libraries' tables, counts the rows.
        """
        check_is_fitted(self)
        built = build_features(
            self.source, read_observations(X), specs=self.specs, threads=self.threads
        )
        frame = built.to_pandas()[list(self.get_feature_names_out())]
        return frame.set_axis(X.index, axis="index") if isinstance(X, pd.DataFrame) else frame

    def get_feature_names_out(self, input_features: object = None) -> Names:
        """Return the columns of `transform`; `input_features` is ignored."""
        del input_features
        check_is_fitted(self)
        return np.array([spec.name for spec in self.specs_], dtype=object)


def _count(holder: object, name: str, shown: str) -> str:
    """Count what an attribute holds; a repr raises nothing, whatever it was given."""
    held = getattr(holder, name, None)
    return f"{len(held):,} {shown}" if isinstance(held, Sized) else f"no {shown}"
