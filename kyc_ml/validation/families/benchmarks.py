"""Benchmarks: a simple model, the experts' card, the champion, and money."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.baselines import fit_logistic
from kyc_ml.calibration import calibrate_later
from kyc_ml.dataset import customers_of
from kyc_ml.metrics import compare_aucs, compute_costs, compute_savings
from kyc_ml.metrics.paired import Predictions, log_losses, paired_differences
from kyc_ml.ranking import Ranking, auc, average_precision
from kyc_ml.rating import rate
from kyc_ml.resampling import bootstrap, percentile_interval
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.outcome import NotApplicable, Outcome, Procedure, Value
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.ranked import draws_of, one_class
from kyc_ml.validation.result import Table
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.text import Text
from kyc_ml.validation.wording import benchmarks as wording

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_OUT_OF_FOLD: Final = Text(
    "The regression was fitted on the same folds as the model, and calibrated on the other folds.",
    "逻辑回归按与模型相同的折拟合，并用其他折校准。",
)


def run_logistic(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Fit a logistic regression on training rows, and compare the model with it."""
    train, before, rows = evidence.train, evidence.reference, evidence.current
    if evidence.baseline is not None:
        refused = one_class(rows)
        return refused or _against(rows, evidence.baseline, settings, notes=(_OUT_OF_FOLD,))
    if train is None:
        return NotApplicable(reason=Text("the training rows cannot be had", "无法取得训练样本"))
    for each in (rows, train, before):
        if (refused := one_class(each)) is not None:
            return refused
    evidence.tell("fitting the regression", 0, 1)
    specs = rows.features.specs
    regression = fit_logistic(
        train.matrix[train.judged],
        train.target,
        categories=np.array([spec.kind == "category" for spec in specs]),
        customers=customers_of(train.features.keys)[train.judged],
        seed=settings.seed,
    )
    evidence.tell("fitting the regression", 1, 1)
    said = calibrate_later(
        regression.margin(before.matrix[before.judged]),
        before.target,
        regression.margin(rows.matrix[rows.judged]),
    )
    return _against(rows, said, settings, notes=(_fitted_on(train, before),))


def run_rating(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compare the model with the experts' scorecard."""
    rows, before, card = evidence.current, evidence.reference, evidence.card
    if card is None:
        return NotApplicable(
            reason=Text(
                "neither the tier policy nor the training run's record has a rating card",
                "等级策略与训练记录中均无评分卡",
            )
        )
    for each in (rows, before):
        if (refused := one_class(each)) is not None:
            return refused
    names = sorted({name for name, _ in card.reads.values()})
    absent = [name for name in names if rows.spec(name) is None]
    if absent:
        said = ", ".join(absent)
        return NotApplicable(
            reason=Text(
                f"the card reads what this source does not have: {said}",
                f"评分卡所需特征在数据源中缺失：{said}",
            )
        )
    scores = [rate(each.columns(names), card).margin[each.judged] for each in (before, rows)]
    return _against(rows, calibrate_later(scores[0], before.target, scores[1]), settings)


def run_champion(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compare the model with the one in force."""
    rows, rival = evidence.current, evidence.rival
    if rival is None:
        return NotApplicable(
            reason=Text(
                "there is no other champion whose training ended before these rows",
                "没有训练期早于当前样本的其他现行模型",
            )
        )
    if (refused := one_class(rows)) is not None:
        return refused
    theirs = rival.rows
    said = Predictions(score=theirs.judged_margin, probability=theirs.judged_probability)
    found = _against(
        rows,
        said,
        settings,
        notes=(Text(f"Champion: {rival.label}.", f"现行模型：{rival.label}。"),),
    )
    names = np.array(evidence.bundle.policy.tier_names, dtype=object)
    pairs = pd.DataFrame({"champion": names[theirs.tier], "model": names[rows.tier]})
    table = pairs.value_counts(sort=False).rename("rows").reset_index()
    return Outcome(
        values={
            **found.values,  # noqa: PD011  no pandas object
            "moved": float((theirs.tier != rows.tier).mean()),
        },
        tables=(
            *found.tables,
            Table(name="tiers", title=Text("Rows by both tiers", "两模型等级对照"), frame=table),
        ),
        notes=found.notes,
    )


def run_savings(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compute what reviews and misses cost where all is reviewed that pays."""
    rows, tuning = evidence.current, evidence.bundle.config.tuning
    if (refused := one_class(rows)) is not None:
        return refused
    review = tuning.review_cost if settings.review_cost is None else settings.review_cost
    amount = rows.amount[rows.judged]
    by_amount = settings.miss_cost is None and bool(np.isfinite(amount).all())
    usual = tuning.miss_cost if settings.miss_cost is None else settings.miss_cost
    loss = amount if by_amount else np.full(amount.size, usual)
    flagged = np.asarray(rows.judged_probability * loss >= review)
    found = compute_savings(rows.target, flagged, review_cost=review, miss_cost=loss)
    cost = compute_costs(rows.target, flagged, review_cost=review, miss_cost=loss)
    missed = loss * rows.target

    def savings(times: Ints) -> Floats:
        least = min(float((times * missed).sum()), review * float(times.sum()))
        return np.array([1.0 - float((times * cost).sum()) / least if least else np.nan])

    drawn = bootstrap(
        savings, rows.judged_customers, draws=draws_of(rows, settings), seed=settings.seed
    )
    low, high = (float(end[0]) for end in percentile_interval(drawn))
    lost = (
        Text("each transaction's amount", "每笔交易金额")
        if by_amount
        else Text(f"{usual:g} a positive", f"每个正样本 {usual:g}")
    )
    return Outcome(
        values={
            "savings": Value(value=found.savings, low=low, high=high),
            "savings_high": high,
            "cost": found.cost,
            "cost_of_none": found.cost_of_none,
            "cost_of_all": found.cost_of_all,
            "reviewed": float(flagged.mean()),
        },
        notes=(
            Text(
                f"A review costs {review:g}; a miss costs {lost.en}.",
                f"每次审查成本 {review:g}；漏报损失：{lost.zh}。",
            ),
        ),
    )


def _against(
    rows: ScoredRows, said: Predictions, settings: Settings, *, notes: tuple[Text, ...] = ()
) -> Outcome:
    """Compare the model with another on the same judged rows."""
    target = rows.target
    area = compare_aucs(target, rows.judged_margin, said.score)
    ours = Ranking.of(target, rows.judged_margin)
    theirs = Ranking.of(target, said.score)
    losses = log_losses(target, rows.judged_probability) - log_losses(target, said.probability)

    def differences(times: Ints) -> dict[str, float]:
        gap = average_precision(*ours.found(times)) - average_precision(*theirs.found(times))
        return {"ap": gap, "log_loss": float((times * losses).sum()) / float(times.sum())}

    whole = np.ones(target.size, np.int64)
    found = paired_differences(
        differences,
        target=target,
        customers=rows.judged_customers,
        seed=settings.seed,
        draws=draws_of(rows, settings),
    )
    value = {
        name: Value(value=gap, low=found.low[name], high=found.high[name])
        for name, gap in differences(whole).items()
    }
    points = theirs.found(whole)
    return Outcome(
        values={
            "auc": auc(*points),
            "average_precision": average_precision(*points),
            "auc_difference": Value(value=area.difference, low=area.low, high=area.high),
            "ap_difference": value["ap"],
            "ap_difference_high": found.high["ap"],
            "log_loss_difference": value["log_loss"],
        },
        notes=notes,
    )


def _fitted_on(train: ScoredRows, before: ScoredRows) -> Text:
    return Text(
        f"Fitted on {len(train):,} training rows, a sample where there are more (train_rows), and "
        f"calibrated on {before.target.size:,} reference rows. Training fits its own on the latest "
        "rows: small differences may have another sign there.",
        f"用 {len(train):,} 行训练样本拟合（超过 train_rows 时为抽样），"
        f"用 {before.target.size:,} 行参照样本校准。"
        "训练时的基准用最近的样本拟合，微小差异的方向可能不同。",
    )


PROCEDURES: Final = (
    Procedure(check=wording.LOGISTIC, run=run_logistic),
    Procedure(check=wording.RATING, run=run_rating),
    Procedure(check=wording.CHAMPION, run=run_champion),
    Procedure(check=wording.SAVINGS, run=run_savings),
)
