"""The input of all checks: the bundle, its scored rows, and further models."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd
import pyarrow as pa

from kyc_ml.contract import ContractedTables
from kyc_ml.decision import Scorecard
from kyc_ml.display import ProgressReporter
from kyc_ml.features import FeatureSpec
from kyc_ml.metrics import ModelMetrics, Predictions
from kyc_ml.registry import Bundle
from kyc_ml.validation.attribution import Attribution, attribute
from kyc_ml.validation.rows import ScoredRows


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """Result of training again from the run's own record."""

    recorded: str
    again: str
    differing: tuple[str, ...]
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionScores:
    """The current rows as the champion scores them, and its name and version."""

    label: str
    rows: ScoredRows


@dataclass(frozen=True, kw_only=True)
class ReviewEvidence:
    """A model with the rows to evaluate it on, reference rows, and training rows."""

    bundle: Bundle
    as_of: pd.Timestamp
    current: ScoredRows
    """Rows to evaluate the model on; it did not learn from them."""
    reference: ScoredRows
    """Rows from the time of training, to compare with. The trees were not fitted on them, if the
    model's split has such rows."""
    train: ScoredRows | None = None
    """A sample of the rows on which the trees were fitted; None if they are not available."""
    recorded: ModelMetrics | None = None
    """Figures of the model's own test rows, computed again with the labels known at training; None
    if the model was not split in time."""
    recorded_part: str = ""
    current_is_recorded: bool = False
    """True if the current rows are that part, because no later row is mature yet."""
    fitted: ScoredRows | None = None
    """If the current rows are out of fold: the same rows with the scores of the final model, which
    has learned from them; else None."""
    baseline: Predictions | None = None
    """If the current rows are out of fold: out-of-fold predictions of a logistic regression for the
    evaluated rows; else None."""
    tables: ContractedTables | None = None
    """The source, for checks that compute features again; None if only scored rows are given."""
    observations: pa.Table | None = None
    specs: tuple[FeatureSpec, ...] = ()
    card: Scorecard | None = None
    rival: ChampionScores | None = None
    retrained: Retrained | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Mapping of feature to reason; segments and groups of the policy that this source does not
    have."""
    reporter: ProgressReporter = field(default_factory=ProgressReporter)
    threads: int = 2
    memory: dict[Hashable, object] = field(default_factory=dict, init=False, repr=False)
    """Results that several checks share, computed once."""

    @cached_property
    def of_the_model(self) -> ReviewEvidence:
        """The evidence with the scores of the final model for the current rows."""
        return self if self.fitted is None else replace(self, current=self.fitted, fitted=None)

    @cached_property
    def attributed(self) -> Attribution:
        """Contributions of all current rows; computed once, because several checks need them."""
        if self.fitted is not None:
            return self.of_the_model.attributed
        return self._attribute(self.current, "explaining current rows")

    @cached_property
    def attributed_reference(self) -> Attribution:
        """Contributions of all reference rows."""
        return self._attribute(self.reference, "explaining reference rows")

    def place(self, name: str) -> int:
        """Return the column of a feature in the model's input."""
        return self.bundle.model.feature_names.index(name)

    def _attribute(self, rows: ScoredRows, stage: str) -> Attribution:
        return attribute(
            self.bundle,
            rows,
            threads=self.threads,
            progress=lambda done, total: self.reporter.progress(stage, done, total),
        )
