"""All that the checks look at: the bundle, rows scored anew, and what was asked beside them."""

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
    """What training again from the run's own record gave.

    Attributes
    ----------
    recorded, again : str
        Digests of the bundles.
    differing, changes : tuple of str
        Files that differ; code and versions that do.
    """

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
    """A model, rows it is judged by, rows these are compared with, and rows it learned from.

    Attributes
    ----------
    current : ScoredRows
        What the model is judged by; it learned from none of them.
    reference : ScoredRows
        What was normal when it was trained. Its scores are not of rows the trees were fitted
        on, where the model's own split has such rows.
    train : ScoredRows or None
        A sample of the rows the trees were fitted on; None where they cannot be had.
    recorded : Quality or None
        Figures of the model's own test rows, recomputed with the labels known at training;
        None where the model was not split in time.
    recorded_part : str
        Name of that part in ``bundle.metrics``; '' where there is none.
    current_is_recorded : bool
        True where the current rows are that very part: nothing later is mature yet.
    fitted : ScoredRows or None
        Where the current rows are out of fold, the same rows as the model itself scores them,
        which learned from them; None elsewhere.
    baseline : Predictions or None
        Where the current rows are out of fold, a logistic regression's of the judged ones, out
        of fold as well; None elsewhere.
    tables : ContractedTables or None
        The source, for the checks that compute features anew; None for scored rows alone.
    observations : pyarrow.Table or None
        The current rows' observations.
    left_out : mapping of feature to reason
        Segments and groups that the policy names, but this source cannot give.
    retrained : Retrained or None
        None where nobody asked to train again.
    """

    bundle: Bundle
    as_of: pd.Timestamp
    current: ScoredRows
    reference: ScoredRows
    train: ScoredRows | None = None
    recorded: ModelMetrics | None = None
    recorded_part: str = ""
    current_is_recorded: bool = False
    fitted: ScoredRows | None = None
    baseline: Predictions | None = None
    tables: ContractedTables | None = None
    observations: pa.Table | None = None
    specs: tuple[FeatureSpec, ...] = ()
    card: Scorecard | None = None
    rival: ChampionScores | None = None
    retrained: Retrained | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    reporter: ProgressReporter = field(default_factory=ProgressReporter)
    threads: int = 2
    memory: dict[Hashable, object] = field(default_factory=dict, init=False, repr=False)
    """What several checks share and one computed."""

    @cached_property
    def of_the_model(self) -> ReviewEvidence:
        """The evidence with current rows as the model itself scores them."""
        return self if self.fitted is None else replace(self, current=self.fitted, fitted=None)

    @cached_property
    def attributed(self) -> Attribution:
        """Contributions of all current rows, computed once for all checks that need them."""
        if self.fitted is not None:
            return self.of_the_model.attributed
        return self._attribute(self.current, "explaining current rows")

    @cached_property
    def attributed_reference(self) -> Attribution:
        """Contributions of all reference rows."""
        return self._attribute(self.reference, "explaining reference rows")

    def place(self, name: str) -> int:
        """Give a feature's column in the model's input."""
        return self.bundle.model.feature_names.index(name)

    def _attribute(self, rows: ScoredRows, stage: str) -> Attribution:
        return attribute(
            self.bundle,
            rows,
            threads=self.threads,
            progress=lambda done, total: self.reporter.progress(stage, done, total),
        )
