"""Third-party reports on customers: bureau scores, adverse media, due diligence."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints
from kyc_ml.onboarding.synthetic import rhythm
from kyc_ml.onboarding.synthetic.customers import Customers
from kyc_ml.onboarding.synthetic.laundering import Involvement
from kyc_ml.onboarding.synthetic.settings import DAY, BankConfig

ITEMS: Final = ("bureau_score", "adverse_media", "due_diligence_report")
PROVIDERS: Final = ("credit_bureau", "media_screening", "due_diligence_agency")
BUREAU_SCORE, ADVERSE_MEDIA, DUE_DILIGENCE_REPORT = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Reports, one position each; arrays of shape (n,).

    `value` is a score from 350 to 950 (higher is better), the gravity of adverse media from
    1 to 5, or the risk grade of a due-diligence report from 1 (low) to 5.
    """

    customer: Ints
    time: Ints
    known: Ints
    item: Ints
    value: Floats


def draw_scores(customers: Customers, *, rng: Generator) -> Floats:
    """Draw the bureau score that is true of each customer, 350 to 950."""
    wealth = 40.0 * np.log(customers.income / np.median(customers.income))
    noise = 70.0 * rng.standard_normal(len(customers))
    return np.clip(np.round(660.0 + 0.5 * wealth + noise), 350.0, 950.0)


def make_reports(
    config: BankConfig,
    customers: Customers,
    involvement: Involvement,
    scores: Floats,
    *,
    rng: Generator,
) -> Reports:
    """Draw the reports. Those in schemes, guilty or not, are more often in the media."""
    n = len(customers)
    persons = np.flatnonzero(customers.person)
    first = rhythm.draw_instants(config, customers, persons, rng=rng)
    grade = np.round(1.2 + 0.5 * np.log(customers.risk) + 0.8 * rng.standard_normal(n))
    graded = np.flatnonzero(~customers.person | (customers.pep > 0) | (rng.random(n) < 0.05))
    graded_at = rhythm.draw_instants(config, customers, graded, rng=rng)
    media = np.repeat(np.arange(n), rng.poisson(0.02, n))
    named = np.repeat(np.arange(involvement.customer.size), rng.poisson(0.3, involvement.end.size))
    span = involvement.end[named] - involvement.start[named] + 30 * DAY
    named_at = involvement.start[named] + (span * rng.random(named.size)).astype(np.int64)
    media_at = rhythm.draw_instants(config, customers, media, rng=rng)
    n_media = media.size + named.size
    return _join(
        [
            (persons, first, BUREAU_SCORE, scores[persons]),
            (graded, graded_at, DUE_DILIGENCE_REPORT, np.clip(grade[graded], 1.0, 5.0)),
            (
                np.concatenate([media, involvement.customer[named]]),
                np.concatenate([media_at, named_at]),
                ADVERSE_MEDIA,
                rng.integers(1, 6, n_media).astype(np.float64),
            ),
        ],
        rng,
    )


def _join(parts: list[tuple[Ints, Ints, int, Floats]], rng: Generator) -> Reports:
    """Concatenate the items; each becomes known up to 10 days after its day."""
    time = np.concatenate([at for _, at, _, _ in parts])
    return Reports(
        customer=np.concatenate([who for who, _, _, _ in parts]),
        time=time,
        known=time + rng.integers(0, 10 * DAY, time.size),
        item=np.concatenate([np.full(who.size, item) for who, _, item, _ in parts]),
        value=np.concatenate([value for _, _, _, value in parts]),
    )
