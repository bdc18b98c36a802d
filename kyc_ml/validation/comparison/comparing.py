"""Compare two models on the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from kyc_ml import metrics as m
from kyc_ml.display import StageProgress, say_count, say_in_html, say_plainly
from kyc_ml.registry import Bundle, Scores, require_comparable
from kyc_ml.validation.comparison.alerts import compute_alerts
from kyc_ml.validation.comparison.figures import BOOTSTRAP, compute_differences, objective_figure
from kyc_ml.validation.comparison.moves import compute_causes, compute_tier_moves, explain_moves
from kyc_ml.validation.comparison.rows import LaterRows
from kyc_ml.validation.comparison.settings import ComparisonSettings

CHALLENGER: Final = "challenger"
CHAMPION: Final = "champion"
_OE: Final = "observed_over_expected"
_CALIBRATION: Final = (
    *("rows", "positives", "expected", _OE, f"{_OE}_low", f"{_OE}_high"),
    *("calibration_error", "brier", "log_loss"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A challenger compared with a champion on the same later rows. Intervals are at 95%.

    Attributes
    ----------
    metrics : DataFrame
        One row a figure: figure, champion, challenger, difference (challenger - champion),
        low, high (of the difference), better ('higher' or 'lower'), method (of the interval).
    calibration : DataFrame
        One row a model: model, rows, positives, expected, observed_over_expected with _low
        and _high, calibration_error (20 bins of equal mass), brier, log_loss, and intercept
        and slope of `calibration_line`.
    reliability : DataFrame
        model, then the columns of `compute_reliability`.
    tiers : DataFrame
        One row a pair of tiers, lowest first: champion_tier, challenger_tier, rows (all later
        ones), `judged`, positives, observed_rate, ci_low, ci_high (Jeffreys; NaN where no row
        has a known outcome).
    moved : DataFrame
        One row an observation whose tier changes: observation_id, customer_id, decision_time,
        champion_tier, challenger_tier, direction ('up' or 'down'), both probabilities,
        tier_by_policy_alone (what the challenger's policy makes of the champion's
        probability), outcome (see `Labels`), log_odds_difference (challenger - champion, of
        the calibrated probability) and the three parts it is the sum of, features_, base_
        and calibration_difference (for out-of-fold rows this includes the difference between
        the models of the folds and the final ones); then the features whose contributions
        (log-odds) differ most in the direction of the move: for i from 1 reason_i_code,
        reason_i_text, reason_i_text_zh, reason_i_value, reason_i_difference,
        reason_i_challenger, reason_i_champion, missing where no more features contribute in that
        direction.
    causes : DataFrame
        Moved rows by their first reason: feature (its reason code, or `NO_FEATURE`), rows,
        up, down, mean_difference (log-odds).
    alerts : DataFrame
        For each rule ('50 a day', or 'all that pays') and model: rule, model, alerts,
        alerts_a_day, positives_found, precision, recall, cost_of_reviews, loss_avoided, net.
    kind : str
        Kind of the rows: 'later' or 'out-of-fold'.
    rows, judged, positives, customers : int
        All rows, those that figures come from, and positives and customers among the latter.
    skipped : int
        Bootstrap samples of one class only, for which no figure is defined.
    verdict : 'better', 'not shown better' or 'worse'
        Better or worse only if the whole bootstrap interval of the objective's difference is.
    sentence : str
        The verdict with its figures.
    settings : ComparisonSettings
    names, digests : mapping of 'challenger' and 'champion' to str
        Name and version of each model, and the digest of its bundle.
    since, until : Timestamp
        The evaluated rows were decided in ``[since, until)``; later ones are too young.
    as_of : Timestamp
        What was known then was used.
    seconds : mapping of stage to duration
    folder : Path or None
        Folder of ``comparison.json`` and ``moved.parquet``; None where nothing was written.
    mlflow_run : str
        Id of the MLflow run; '' where nothing was logged.
    """

    metrics: pd.DataFrame
    calibration: pd.DataFrame
    reliability: pd.DataFrame
    tiers: pd.DataFrame
    moved: pd.DataFrame
    causes: pd.DataFrame
    alerts: pd.DataFrame
    rows: int
    judged: int
    positives: int
    customers: int
    skipped: int
    verdict: m.Verdict
    sentence: str
    settings: ComparisonSettings
    names: Mapping[str, str]
    digests: Mapping[str, str]
    since: pd.Timestamp
    until: pd.Timestamp
    as_of: pd.Timestamp
    kind: str = "later"
    seconds: Mapping[str, float] = field(default_factory=dict)
    folder: Path | None = None
    mlflow_run: str = ""

    def facts(self) -> dict[str, object]:
        """Return the summary: verdict, models, rows, changed tiers, and where it is kept."""
        directions = self.moved["direction"].value_counts()
        kept = {"MLflow run": self.mlflow_run, "written to": self.folder}
        return {
            "verdict": self.sentence,
            **self.names,
            "evaluated": f"{say_count(self.judged, 'row')}, "
            f"{say_count(self.positives, 'positive')}, {say_count(self.customers, 'customer')}, "
            f"decided {self.since:%Y-%m-%d} to {self.until:%Y-%m-%d}; {self.kind} rows",
            "changed tiers": f"{len(self.moved):,} of {say_count(self.rows, 'row')} until "
            f"{self.as_of:%Y-%m-%d}: {directions.get('up', 0):,} up, "
            f"{directions.get('down', 0):,} down",
            **{stage: f"{spent:.1f} s" for stage, spent in self.seconds.items()},
            **{name: place for name, place in kept.items() if place},
        }

    def __repr__(self) -> str:
        columns = self.metrics[["figure", "difference", "low", "high"]]
        figures = {
            str(figure): f"{difference:+.4g} ({low:+.4g} to {high:+.4g})"
            for figure, difference, low, high in columns.itertuples(index=False)
        }
        return say_plainly("Comparison", {**self.facts(), **figures})

    def _repr_html_(self) -> str:
        return say_in_html("Comparison", self.facts(), tables=[self.metrics.round(4)])


def compare_models(
    challenger: Bundle,
    champion: Bundle,
    rows: LaterRows,
    *,
    settings: ComparisonSettings,
    tell: StageProgress,
    threads: int = 2,
) -> Comparison:
    """Compare a challenger with a champion.

    Raises ConfigError if the models do not predict the same thing; see `require_comparable`;
    DatasetError if the evaluated rows are not of both classes.
    """
    require_comparable(challenger, champion)
    rows.require_both_classes()
    # in sequence, not in parallel: encoding writes into memory that both tables may share
    held_out = rows.out_of_fold or (None, None)
    new = Scores.of(challenger, rows.challenger, threads=threads, predicted=held_out[0])
    old = Scores.of(champion, rows.champion, threads=threads, predicted=held_out[1])
    metrics, skipped = compute_differences(
        rows,
        new,
        old,
        settings=settings,
        progress=lambda done, total: tell("drawing customers", done, total),
    )
    moved = explain_moves(
        rows,
        challenger,
        champion,
        scores=(new, old),
        reasons=settings.reasons,
        threads=threads,
        progress=lambda done, total: tell("explaining changed tiers", done, total),
    )
    models, scores = {CHALLENGER: challenger, CHAMPION: champion}, {CHAMPION: old, CHALLENGER: new}
    target, names = rows.target, champion.policy.tier_names
    calibration, reliability = _calibration(rows, scores, target)
    same = challenger.digest == champion.digest != ""
    verdict, sentence = evaluate_difference(metrics, settings, same=same, kind=rows.kind)
    return Comparison(
        metrics=metrics,
        calibration=calibration,
        reliability=reliability,
        tiers=compute_tier_moves(rows, new, old, names=names),
        moved=moved,
        causes=compute_causes(moved),
        alerts=compute_alerts(rows, scores, settings=settings),
        rows=rows.evaluated.size,
        judged=target.size,
        positives=int(target.sum()),
        customers=int(pd.unique(rows.customers).size),
        skipped=skipped,
        verdict=verdict,
        sentence=sentence,
        settings=settings,
        names={who: bundle.config.name for who, bundle in models.items()},
        digests={who: bundle.digest for who, bundle in models.items()},
        since=rows.since,
        until=rows.end,
        as_of=rows.as_of,
        kind=rows.kind,
    )


def evaluate_difference(
    metrics: pd.DataFrame, settings: ComparisonSettings, *, same: bool, kind: str = "later"
) -> tuple[m.Verdict, str]:
    """Return the verdict on the challenger, from the objective and its bootstrap interval.

    `kind`: what the rows are; see `LaterRows.kind`.
    """
    drawn = metrics[metrics["method"] == BOOTSTRAP].to_dict("records")
    row = next(each for each in drawn if each["figure"] == objective_figure(settings))
    names = (f"On {kind} rows the challenger", "the champion")
    verdict, sentence = m.judge_difference(row, CHALLENGER, CHAMPION, names=names, digits=".4g")
    if same:
        sentence = "The challenger is the champion: both are the same bundle."
    return verdict, sentence


def _calibration(
    rows: LaterRows, scores: dict[str, Scores], target: m.Floats
) -> tuple[pd.DataFrame, pd.DataFrame]:
    lines, bins = [], []
    for who, found in scores.items():
        margin, proba = found.margin[rows.evaluated], found.probability[rows.evaluated]
        quality = m.compute_metrics(
            target,
            margin,
            proba,
            customers=m.number_customers(rows.customers),
        )
        figures = {**quality.as_dict(), "expected": float(proba.sum())}
        intercept, slope = m.calibration_line(target, proba)
        lines.append(
            {
                "model": who,
                **{name: figures[name] for name in _CALIBRATION},
                "intercept": intercept,
                "slope": slope,
            }
        )
        table = m.compute_reliability(target, proba, groups=m.number_customers(rows.customers))
        table.insert(0, "model", who)
        bins.append(table)
    return pd.DataFrame(lines), pd.concat(bins, ignore_index=True)
