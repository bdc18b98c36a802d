"""Score a part by the expert rating alone: the fallback of the model.

A rated row has no margin and no probability. Its tier is the one that the policy assigns to the
grade, or a floor if that is higher. Hysteresis is not applied: it compares probabilities.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa

from kyc_ml import decision
from kyc_ml.errors import ConfigError
from kyc_ml.features import FeatureSpec, FeatureTable
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.parts import ScoredPart
from kyc_ml.scoring.schema import RATING

_EFFECTS: Final = {
    1.0: ("raises the expert rating", "使专家评级升高"),
    -1.0: ("lowers the expert rating", "使专家评级降低"),
    0.0: ("does not change the expert rating", "不改变专家评级"),
}
_NO_PEERS: Final = decision.PeerReference(medians={}, modes={})


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingScorer:
    """Rates rows by the scorecard of a policy."""

    who: ClassVar[str] = RATING
    own: ClassVar[frozenset[str]] = frozenset()
    policy: decision.TierPolicy
    specs: tuple[FeatureSpec, ...]
    """The features that the policy reads."""
    name: str
    """Name of the model that the rating replaces."""
    currency: str
    """Base currency, for the sentences of the reasons."""
    cash_report: float
    """Cash amount from which the bank reports, base currency."""
    reasons: int
    """Number of reasons per row."""
    book: decision.OverrideBook

    def score(self, facts: FeatureTable) -> ScoredPart:
        """Rate rows; the rating of a row does not depend on other rows.

        Raises ConfigError if the policy has no scorecard.
        """
        card = card_of(self.policy)
        rating = decision.rate(facts, card)
        n = len(facts)
        grades = decision.grade(np.zeros(n), facts, policy=self.policy, book=self.book)
        unknown = pa.nulls(n, pa.float64())
        table = pa.table(
            {
                **{name: facts.keys[name] for name in facts.keys.column_names},
                "margin": unknown,
                "probability": unknown,
                **grades.columns(),
                "tier_of_model": pa.nulls(n, pa.string()),
                **decision.set_by_columns(grades, rated=True),
                "base_value": pa.array(np.full(n, 100.0 / card.m)),
                **self._reasons(facts, rating),
                "model_name": pa.array([self.name] * n, pa.string()),
                "model_digest": pa.nulls(n, pa.string()),
                "model_version": pa.array([f"{card.name} {card.version}"] * n, pa.string()),
                "scored_by": pa.array([RATING] * n, pa.string()),
            }
        )
        counts = Counts.of(grades, None)
        # the zeros above are not scores, so the rating has raised no row above its score
        graded = {
            what: rows for what, rows in counts.graded.items() if what != decision.RAISED_BY_RATING
        }
        return ScoredPart(scores=table, contributions=None, counts=replace(counts, graded=graded))

    def _reasons(self, facts: FeatureTable, rating: decision.Rating) -> dict[str, pa.Array]:
        """List the points of each sub-item above the lowest score, as the reasons of a rating."""
        places = {name: column for column, name in enumerate(facts.names)}
        items = [
            (column, item)
            for column, item in enumerate(rating.card.sub_items)
            if item.feature in places
        ]
        read = list(dict.fromkeys(item.feature for _, item in items))
        points, above = np.zeros((len(facts), len(read))), decision.points_above(rating)
        for column, item in items:
            points[:, read.index(item.feature)] += above[:, column]
        return decision.make_reasons(
            facts.reorder(read),
            points,
            reference=_NO_PEERS,
            currency=self.currency,
            k=self.reasons,
            effects=_EFFECTS,
        )


def card_of(policy: decision.TierPolicy) -> decision.Scorecard:
    """Return the scorecard of a policy; ConfigError if the policy has no expert rating."""
    if policy.expert is None:
        raise ConfigError(
            f"policy {policy.label!r} has no expert rating, which the fallback needs: name a "
            "configuration whose tier policy has a section expert"
        )
    return policy.expert.card
