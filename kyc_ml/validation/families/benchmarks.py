"""Benchmarks: a simple model, the expert scorecard, the champion, and cost."""

from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from kyc_ml.dataset import customers_of
from kyc_ml.decision import rate
from kyc_ml.metrics import (
    Floats,
    Ints,
    Predictions,
    Ranking,
    auc,
    average_precision,
    bootstrap,
    compare_aucs,
    compute_costs,
    compute_savings,
    log_losses,
    paired_differences,
    percentile_interval,
)
from kyc_ml.model import calibrate_later, fit_logistic
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.outcome import NotApplicable, Outcome, Value, not_applicable
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.ranked import draws_of, one_class
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.text import Text, notice

_OUT_OF_FOLD: Final = notice("fitted_on_same_folds")


def run_logistic(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Fit a logistic regression on training rows, and compare the model with it."""
    train, before, rows = evidence.train, evidence.reference, evidence.current
    if evidence.baseline is not None:
        refused = one_class(rows)
        return refused or _against(rows, evidence.baseline, settings, notes=(_OUT_OF_FOLD,))
    if train is None:
        return not_applicable("no_training_rows")
    for each in (rows, train, before):
        if (refused := one_class(each)) is not None:
            return refused
    evidence.reporter.progress("fitting the regression", 0, 1)
    specs = rows.features.specs
    regression = fit_logistic(
        train.matrix[train.evaluated],
        train.target,
        categories=np.array([spec.kind == "category" for spec in specs]),
        customers=customers_of(train.features.keys)[train.evaluated],
        seed=settings.seed,
    )
    evidence.reporter.progress("fitting the regression", 1, 1)
    predicted = calibrate_later(
        regression.margin(before.matrix[before.evaluated]),
        before.target,
        regression.margin(rows.matrix[rows.evaluated]),
    )
    fitted_on = notice("fitted_on", train=len(train), reference=before.target.size)
    return _against(rows, predicted, settings, notes=(fitted_on,))


def run_rating(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compare the model with the expert scorecard."""
    rows, before, card = evidence.current, evidence.reference, evidence.card
    if card is None:
        return not_applicable("no_rating_card")
    for each in (rows, before):
        if (refused := one_class(each)) is not None:
            return refused
    names = sorted({name for name, _ in card.reads.values()})
    absent = [name for name in names if rows.spec(name) is None]
    if absent:
        return not_applicable("card_reads_absent", features=", ".join(absent))
    scores = [rate(each.columns(names), card).margin[each.evaluated] for each in (before, rows)]
    return _against(rows, calibrate_later(scores[0], before.target, scores[1]), settings)


def run_champion(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compare the model with the champion in force."""
    rows, rival = evidence.current, evidence.rival
    if rival is None:
        return not_applicable("no_other_champion")
    if (refused := one_class(rows)) is not None:
        return refused
    theirs = rival.rows
    predicted = Predictions(score=theirs.evaluated_margin, probability=theirs.evaluated_probability)
    found = _against(
        rows,
        predicted,
        settings,
        notes=(notice("champion", label=rival.label),),
    )
    names = np.array(evidence.bundle.policy.tier_names, dtype=object)
    pairs = pd.DataFrame({"champion": names[theirs.tier], "model": names[rows.tier]})
    table = pairs.value_counts(sort=False).rename("rows").reset_index()
    return Outcome(
        values={
            **found.values,  # noqa: PD011  no pandas object
            "moved": float((theirs.tier != rows.tier).mean()),
        },
        tables={**found.tables, "tiers": table},
        notes=found.notes,
    )


def run_savings(evidence: ReviewEvidence, settings: Settings) -> Outcome:
    """Compute cost and savings of reviewing every row whose expected loss is at least the cost."""
    rows, tuning = evidence.current, evidence.bundle.config.tuning
    review = tuning.review_cost if settings.review_cost is None else settings.review_cost
    amount = rows.amount[rows.evaluated]
    by_amount = settings.miss_cost is None and bool(np.isfinite(amount).all())
    usual = tuning.miss_cost if settings.miss_cost is None else settings.miss_cost
    loss = amount if by_amount else np.full(amount.size, usual)
    flagged = np.asarray(rows.evaluated_probability * loss >= review)
    found = compute_savings(rows.target, flagged, review_cost=review, miss_cost=loss)
    cost = compute_costs(rows.target, flagged, review_cost=review, miss_cost=loss)
    missed = loss * rows.target

    def savings(times: Ints) -> Floats:
        least = min(float((times * missed).sum()), review * float(times.sum()))
        return np.array([1.0 - float((times * cost).sum()) / least if least else np.nan])

    drawn = bootstrap(
        savings, rows.evaluated_customers, draws=draws_of(rows, settings), seed=settings.seed
    )
    low, high = (float(end[0]) for end in percentile_interval(drawn))
    lost = notice("loss_by_amount") if by_amount else notice("loss_per_positive", loss=usual)
    return Outcome(
        values={
            "savings": Value(found.savings, low, high),
            "savings_high": high,
            "cost": found.cost,
            "cost_of_none": found.cost_of_none,
            "cost_of_all": found.cost_of_all,
            "reviewed": float(flagged.mean()),
        },
        notes=(notice("costs", review=review, loss=lost),),
    )


def _against(
    rows: ScoredRows, other: Predictions, settings: Settings, *, notes: tuple[Text, ...] = ()
) -> Outcome:
    target = rows.target
    area = compare_aucs(target, rows.evaluated_margin, other.score, rows.evaluated_customers)
    ours = Ranking.of(target, rows.evaluated_margin)
    theirs = Ranking.of(target, other.score)
    losses = log_losses(target, rows.evaluated_probability) - log_losses(target, other.probability)

    def differences(times: Ints) -> dict[str, float]:
        gap = average_precision(*ours.found(times)) - average_precision(*theirs.found(times))
        return {"ap": gap, "log_loss": float((times * losses).sum()) / float(times.sum())}

    whole = np.ones(target.size, np.int64)
    found = paired_differences(
        differences,
        target=target,
        customers=rows.evaluated_customers,
        seed=settings.seed,
        draws=draws_of(rows, settings),
    )
    value = {
        name: Value(gap, found.low[name], found.high[name])
        for name, gap in differences(whole).items()
    }
    points = theirs.found(whole)
    return Outcome(
        values={
            "auc": auc(*points),
            "average_precision": average_precision(*points),
            "auc_difference": Value(area.difference, area.low, area.high),
            "ap_difference": value["ap"],
            "ap_difference_high": found.high["ap"],
            "worse_p": _chance_of_no_loss(value["ap"]),
            "log_loss_difference": value["log_loss"],
        },
        notes=notes,
    )


def _chance_of_no_loss(difference: Value) -> float:
    """Return the one-sided p-value of a difference of 0 or more, from its bootstrap interval."""
    error = (difference.high - difference.low) / (2.0 * norm.isf(0.025))
    if not error > 0.0:  # equal scores, or too few rows
        return np.nan
    return float(norm.cdf(difference.value / error))
