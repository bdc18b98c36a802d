"""Champion and challenger on the same mature rows, until the evidence suffices."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from kyc_ml.features import OBSERVATION_ID
from kyc_ml.metrics import Floats, comparison_evidence, log_losses, total_evidence
from kyc_ml.monitoring.outcomes import SENTENCES, KnownOutcomes
from kyc_ml.validation import Text

Decision = Literal["better", "worse", "not_decided"]
_PATH: Final = ("day", "rows", "positives", "evidence_better", "evidence_worse")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengerEvidence:
    """A paired sequential test of the log loss."""

    verdict: Decision
    """{'better', 'worse', 'not_decided'}; of the challenger."""
    rows: int
    positives: int
    """`rows` and `positives`: observations that both have scored and whose window has closed."""
    gain: float
    """Mean log loss of the champion less that of the challenger; NaN without rows."""
    evidence_better: float
    evidence_worse: float
    """`evidence_better` and `evidence_worse`: largest e-value so far over its limit: decided at
    1."""
    positives_needed: int | None
    """How many more positives would decide at the present rate, roughly; None where the evidence
    does not grow, 0 if decided."""
    decided_on: str
    """Day (ISO) on which the evidence sufficed; empty before."""
    path: pd.DataFrame
    """day, rows, positives, evidence_better, evidence_worse."""
    text: Text
    """The verdict as a sentence with its figures and what is guaranteed."""


def compare_challenger(
    champion: KnownOutcomes, challenger: KnownOutcomes, *, level: float = 0.05
) -> ChallengerEvidence:
    """Compare on the observations that both have scored, in order of maturity.

    The side that first has sufficient evidence decides; what comes later does not change it.

    `champion`, `challenger`: outcomes are those of `champion`.
    `level`: chance of any false verdict, whenever one looks and however often.
    """
    used = np.flatnonzero(champion.closed)
    rival = challenger.rows.set_index(OBSERVATION_ID)["probability"]
    other = champion.rows[OBSERVATION_ID].iloc[used].map(rival).to_numpy(np.float64)
    used, other = used[~np.isnan(other)], other[~np.isnan(other)]
    closing = champion.closes.iloc[used].dt.tz_convert(champion.timezone).dt.normalize()
    day, days = pd.factorize(closing, sort=True)
    target = champion.target_at_close[used]
    own = champion.rows["probability"].to_numpy(np.float64)[used]
    both = comparison_evidence(target, own, other, day=day, groups=champion.customers[used])
    limit = float(np.log(2.0 / level))
    better, worse = (total_evidence(each) - limit for each in both)
    path = pd.DataFrame(
        {
            "day": pd.DatetimeIndex(days).strftime("%Y-%m-%d"),
            "rows": np.bincount(day, minlength=len(days)),
            "positives": np.bincount(day, weights=target, minlength=len(days)).astype(np.int64),
            "evidence_better": np.exp(np.minimum(better, 50.0)),
            "evidence_worse": np.exp(np.minimum(worse, 50.0)),
        },
        columns=list(_PATH),
    )
    verdict, decided = _first(better, worse)
    positives = int(target.sum())
    needed = 0 if verdict != "not_decided" else _needed(both, limit, positives)
    gain = (
        float(np.mean(log_losses(target, own) - log_losses(target, other))) if used.size else np.nan
    )
    key = f"challenger_{verdict}"
    if verdict == "not_decided" and needed is None:
        key = "challenger_no_growth"
    decided_on = "" if decided is None else str(path["day"].iloc[decided])
    return ChallengerEvidence(
        verdict=verdict,
        rows=int(used.size),
        positives=positives,
        gain=gain,
        evidence_better=float(path["evidence_better"].max()) if used.size else 0.0,
        evidence_worse=float(path["evidence_worse"].max()) if used.size else 0.0,
        positives_needed=needed,
        decided_on=decided_on,
        path=path,
        text=SENTENCES[key].fill(
            rows=int(used.size),
            positives=positives,
            gain=gain,
            needed=needed,
            day=decided_on,
            level=level,
        ),
    )


def _first(better: Floats, worse: Floats) -> tuple[Decision, int | None]:
    """Return which side first had sufficient evidence, and on which day."""
    reached = np.flatnonzero((better >= 0.0) | (worse >= 0.0))
    if not reached.size:
        return "not_decided", None
    first = int(reached[0])
    return ("better" if better[first] >= worse[first] else "worse"), first


def _needed(both: tuple[Floats, Floats], limit: float, positives: int) -> int | None:
    """Return how many more positives would decide if evidence grows as it has until now."""
    # the bet that grows fastest decides in the end, with its share of all bets
    most = max([float(each.sum(axis=0).max()) for each in both if len(each)], default=0.0)
    if most <= 0.0 or not positives:
        return None
    missing = limit + float(np.log(both[0].shape[1])) - most
    return max(1, int(np.ceil(missing / most * positives)))
