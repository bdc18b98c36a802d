"""Score a part by the model."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from kyc_ml.decision import OverrideBook, TierHistory, TierPolicy
from kyc_ml.features import FeatureSpec, FeatureTable
from kyc_ml.registry import Bundle, graded_specs, score_and_grade
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.parts import ScoredPart, contributions_table
from kyc_ml.scoring.schema import MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScorer:
    """Scores, grades and explains rows of features by a bundle."""

    who: ClassVar[str] = MODEL
    bundle: Bundle
    label: str
    """Name and version of the model."""
    book: OverrideBook
    history: TierHistory | None
    full: bool
    """Whether to return the contribution of every feature."""
    threads: int = 2

    @property
    def policy(self) -> TierPolicy:
        """The tier policy of the bundle."""
        return self.bundle.policy

    @property
    def cash_report(self) -> float:
        """Cash amount from which the bank reports, as the model's features read it."""
        return self.bundle.config.features.amounts.cash_report

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The features that the model and its policy read."""
        return graded_specs(self.bundle)

    @property
    def own(self) -> frozenset[str]:
        """Names of the features that the model needs."""
        return frozenset(spec.name for spec in self.bundle.specs)

    def score(self, facts: FeatureTable) -> ScoredPart:
        """Score rows; the score of a row does not depend on other rows."""
        features = facts.reorder(self.bundle.model.feature_names)
        scored = score_and_grade(
            self.bundle,
            features,
            facts=facts,
            book=self.book,
            history=self.history,
            threads=self.threads,
        )
        n, profile = len(features), self.bundle.profile
        proba = scored.scores.probability
        table = scored.table.append_column(
            "model_version", pa.array([self.label] * n, pa.string())
        ).append_column("scored_by", pa.array([MODEL] * n, pa.string()))
        full = contributions_table(features, scored.contributions) if self.full else None
        counts = Counts.of(
            scored.scores.grades,
            proba,
            unknown_categories=scored.scores.unknown_categories,
            profile={} if profile is None else profile.count(features, proba),
        )
        return ScoredPart(scores=table, contributions=full, counts=counts)
