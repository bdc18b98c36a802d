"""The report of a training run: plots, tables and explained examples."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kyc_ml import display, metrics
from kyc_ml.contract import CUSTOMER_ID, DataQualityReport
from kyc_ml.dataset import customers_of
from kyc_ml.decision import say_path
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID
from kyc_ml.registry import Bundle, score_features, zone_of
from kyc_ml.training.evidence import MODEL, HoldoutPredictions, Trained
from kyc_ml.training.verdicts import say_verdict

NO_MODEL = "prevalence (no model)"
_POINTS: Final = 11
"""Points of a curve in its table, at even steps of recall."""
_SWARMS: Final = 15
"""Features drawn in the beeswarm; convention."""


def training_figures(trained: Trained, tiers: pd.DataFrame) -> dict[str, Figure]:
    """Draw the evaluation of the model, on rows that it was not fitted on."""
    seen = trained.evidence
    scores = {MODEL: seen.margin, **{who: said.score for who, said in seen.baselines.items()}}
    # people read what a feature says; its name is in the table below the plot
    described = {"feature": {spec.name: spec.description for spec in seen.features.specs}}
    figures = {
        "roc": display.plot_roc(
            {who: metrics.compute_roc(seen.target, s) for who, s in scores.items()}
        ),
        "precision_recall": display.plot_precision_recall(
            {who: metrics.compute_precision_recall(seen.target, s) for who, s in scores.items()},
            prevalence=float(seen.target.mean()),
        ),
        "reliability": display.plot_reliability(
            metrics.compute_reliability(
                seen.target,
                seen.probability,
                groups=metrics.number_customers(customers_of(seen.features.keys)),
            )
        ),
        "score_distribution": display.plot_score_distribution(
            metrics.compute_score_distribution(seen.target, seen.probability),
            cut_offs=dict(zip(tiers["tier"], tiers["from_probability"], strict=True)),
        ),
        "tiers": display.plot_tiers(tiers),
        "importance": display.plot_importance(trained.importance.replace(described)),
        "beeswarm": display.plot_beeswarm(
            trained.explained.beeswarm(top=_SWARMS).replace(described)
        ),
    }
    if trained.boundaries is not None:
        figures["parts"] = display.plot_parts(
            trained.parts,
            development_cutoff=trained.boundaries.development_cutoff,
            as_of=trained.boundaries.as_of,
        )
    if trained.folds is not None:
        figures["folds"] = display.plot_periods(trained.folds)
    return figures


def drawn_tables(trained: Trained) -> dict[str, pd.DataFrame]:
    """Return the figures that the plots show, short enough for a table beside each."""
    seen = trained.evidence
    scores = {MODEL: seen.margin, **{who: said.score for who, said in seen.baselines.items()}}
    curves = {"roc": metrics.compute_roc, "precision_recall": metrics.compute_precision_recall}
    tables = {
        name: pd.concat(
            [_at_even_recall(curve(seen.target, s)).assign(who=who) for who, s in scores.items()]
        )
        for name, curve in curves.items()
    }
    tables = {
        name: table[["who", *(column for column in table if column != "who")]]
        for name, table in tables.items()
    }
    bins = metrics.compute_reliability(seen.target, seen.probability)
    names = {"n": "rows", "mean_proba": "mean_probability", "event_rate": "observed_rate"}
    tables["reliability"] = bins.rename(columns=names)[list(names.values())]
    tables["importance"] = trained.importance.nlargest(_SWARMS, "share")[
        ["feature", "family", "share"]
    ]
    return tables


def _at_even_recall(points: pd.DataFrame) -> pd.DataFrame:
    """Take the points of a curve whose recall is nearest to 0, 10 %, ... 100 %."""
    ordered = points.sort_values("recall", kind="stable")
    wanted = np.searchsorted(ordered["recall"], np.linspace(0.0, 1.0, _POINTS))
    return ordered.iloc[np.unique(np.minimum(wanted, len(ordered) - 1))]


def quality_table(trained: Trained) -> pd.DataFrame:
    """Return the metrics on the evaluated rows: the model, the baselines, and no model.

    who, then every figure of `ModelMetrics`; NaN where a figure means nothing.
    """
    part = trained.evidence.part
    rows = [{"who": who, **trained.quality[who][part].as_dict()} for who in trained.quality]
    prevalence = float(trained.evidence.target.mean())
    none: dict[str, object] = {**dict.fromkeys(rows[0], np.nan)}
    none |= {
        "who": NO_MODEL,
        "rows": rows[0]["rows"],
        "positives": rows[0]["positives"],
        "prevalence": prevalence,
        "auc": 0.5,
        "average_precision": prevalence,
        "recall_at_5_percent_fpr": 0.05,
        "brier": prevalence * (1.0 - prevalence),
    }
    return pd.DataFrame([*rows, none])


def choose_examples(evidence: HoldoutPredictions) -> list[int]:
    """Choose five examples: a true positive, a false alarm, a missed, a borderline and a quiet row.

    Kinds that do not occur are skipped; of equal margins the first row is taken.
    """
    positive = np.flatnonzero(evidence.target == 1)
    negative = np.flatnonzero(evidence.target == 0)
    margin = evidence.margin
    order = np.argsort(margin, kind="stable")
    chosen = [
        positive[np.argmax(margin[positive])] if positive.size else order[-1],
        negative[np.argmax(margin[negative])] if negative.size else order[-2],
        positive[np.argsort(margin[positive], kind="stable")[positive.size // 2]]
        if positive.size
        else order[0],
        positive[np.argmin(margin[positive])] if positive.size else order[0],
        order[order.size // 2],
    ]
    # one row may be the example of several kinds
    return list(dict.fromkeys(int(row) for row in chosen))


def explain_examples(
    bundle: Bundle, evidence: HoldoutPredictions, rows: list[int]
) -> tuple[display.Example, ...]:
    """Score the chosen rows as the batch job would, with their reasons."""
    scores = score_features(bundle, evidence.features.take(rows)).to_pylist()
    return tuple(
        _example(bundle, score, outcome=evidence.target[row])
        for row, score in zip(rows, scores, strict=True)
    )


def tell_model(
    bundle: Bundle,
    trained: Trained,
    *,
    title: str,
    version: str,
    tiers: pd.DataFrame,
    figures: Mapping[str, Figure],
    scored: int,
    seconds: Mapping[str, float],
    title_zh: str = "",
    in_force: pd.DataFrame | None = None,
) -> display.ModelStory:
    """Collect the evidence of one model for the page."""
    rows = choose_examples(trained.evidence)
    return display.ModelStory(
        name=bundle.config.name,
        unit=bundle.config.unit,
        title=title,
        model_version=version,
        model_digest=bundle.digest,
        figures=quality_table(trained),
        added_value=trained.added_value.table,
        added_sentence=trained.added_value.sentence,
        parts=_in_zone_of(bundle, trained.parts),
        left_out_features=trained.left_out,
        tiers=tiers,
        plots=dict(figures),
        examples=explain_examples(bundle, trained.evidence, rows),
        scored=scored,
        seconds=dict(seconds),
        title_zh=title_zh,
        verdict=say_verdict(trained),
        drawn=drawn_tables(trained),
        in_force=in_force,
    )


def flow_table(quality: DataQualityReport) -> pd.DataFrame:
    """Return the rows of each table that were read, accepted and quarantined, for the page."""
    names = {
        "late_rows": "late",
        "first_event_time": "first_event",
        "last_event_time": "last_event",
    }
    frame = quality.to_frame().rename(columns=names)
    return frame[["table", "read", "accepted", "quarantined", "late", "first_event", "last_event"]]


def _in_zone_of(bundle: Bundle, parts: pd.DataFrame) -> pd.DataFrame:
    """Return the parts with their ends on the clock of the bundle's source."""
    zone = zone_of(bundle)
    local = {
        name: [
            each if pd.isna(each) else pd.Timestamp(each).tz_convert(zone) for each in parts[name]
        ]
        for name in ("start", "end")
    }
    return parts.assign(**local)


def _example(bundle: Bundle, score: dict[str, object], *, outcome: float) -> display.Example:
    lines = tuple(
        display.ReasonLine(
            text=str(score[f"reason_{place}_text"]),
            text_zh=str(score[f"reason_{place}_text_zh"]),
            contribution=float(str(score[f"reason_{place}_contribution"] or 0.0)),
        )
        for place in range(1, bundle.config.explain.reasons + 1)
        if score.get(f"reason_{place}_text") is not None
    )
    named = {name: score[name] for name in ("probability", "margin")}
    start = score["reference_margin"]
    named["base_value"] = score["base_value"] if start is None else start
    return display.Example(
        observation_id=str(score[OBSERVATION_ID]),
        customer_id=str(score[CUSTOMER_ID]),
        decision_time=pd.Timestamp(score[DECISION_TIME]).tz_convert(  # type: ignore[arg-type]
            zone_of(bundle)
        ),
        tier=str(score["tier"]),
        tier_zh=str(score["tier_zh"]),
        tier_path=say_path(score),
        outcome="positive" if outcome == 1 else "negative",
        reasons=lines,
        **{name: float(str(value)) for name, value in named.items()},
    )
