"""Rows that are new to two models, with the features of both."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.config import RunConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.dataset import can_evaluate, evaluation_rows, mature_labels
from kyc_ml.decision import merge_specs
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import LeakageError
from kyc_ml.features import OBSERVATION_ID, FeatureSpec, FeatureTable, build_features
from kyc_ml.registry import (
    Bundle,
    columns_of_bundle,
    features_and_facts,
    policy_needs,
    trained_until,
)
from kyc_ml.training import is_cross_validated, list_fold_rows, predict_again
from kyc_ml.validation.comparison.rows import LaterRows

_NO_ROWS: Final = np.zeros(0, np.int64)


def first_later(
    challenger: Bundle, champion: Bundle, *, since: pd.Timestamp | None
) -> pd.Timestamp:
    """Return the first decision that neither model can have learned from, or a later `since`.

    Raises
    ------
    LeakageError
        If `since` is earlier.
    """
    first = max(trained_until(challenger), trained_until(champion))
    if since is None:
        return first
    if since < first:
        msg = (
            f"--since is {since:%Y-%m-%d %H:%M}, but the models were trained with what was "
            f"known on {first:%Y-%m-%d %H:%M}: they may have learnt from the rows between; "
            "name that date or a later one, or leave it out"
        )
        raise LeakageError(msg)
    return since


def rows_new_to_both(
    challenger: Bundle,
    champion: Bundle,
    tables: ContractedTables,
    *,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    reporter: ProgressReporter,
) -> tuple[LaterRows, pd.Timestamp]:
    """Choose the rows that compare two models: later ones, else what both have out of fold.

    Out-of-fold rows serve where both models were cross-validated by customer, nobody named
    `since`, and no later rows of both classes are mature.

    Returns
    -------
    rows : LaterRows
    start : Timestamp
        First decision.
    """
    start = first_later(challenger, champion, since=since)
    if since is None and is_cross_validated(challenger) and is_cross_validated(champion):
        run = _run(challenger, champion)
        if not can_evaluate(tables, run, since=start, as_of=as_of):
            return _rows_out_of_fold(challenger, champion, tables, as_of=as_of, reporter=reporter)
    rows = later_rows(challenger, champion, tables, since=start, as_of=as_of, reporter=reporter)
    return rows, start


def later_rows(
    challenger: Bundle,
    champion: Bundle,
    tables: ContractedTables,
    *,
    since: pd.Timestamp,
    as_of: pd.Timestamp,
    reporter: ProgressReporter,
) -> LaterRows:
    """List the observations in ``[since, as_of)`` with both models' features and outcomes.

    Judged are those whose outcome is known at `as_of` and that are old enough for any
    outcome to be: of younger ones the positives would be known first.

    Raises
    ------
    DatasetError
        If none is old enough, or a feature of a model cannot be computed.
    """
    found = evaluation_rows(
        tables,
        _run(challenger, champion),
        since=since,
        as_of=as_of,
        cure=", or compare models trained earlier",
    )
    features = _features_of_both(challenger, champion, tables, found.observations, reporter)
    return LaterRows(
        challenger=features[0],
        champion=features[1],
        status=found.labels.status,
        judged=found.counted,
        end=found.end,
    )


def _rows_out_of_fold(
    challenger: Bundle,
    champion: Bundle,
    tables: ContractedTables,
    *,
    as_of: pd.Timestamp,
    reporter: ProgressReporter,
) -> tuple[LaterRows, pd.Timestamp]:
    """Predict the rows that both models were cross-validated on, each by its own folds.

    Every one of them is new to the model of its fold, whether or not the folds of both
    models are the same; where they are, the pairs differ by less chance.
    """
    found = [list_fold_rows(bundle, tables) for bundle in (challenger, champion)]
    ids = [rows.observations[OBSERVATION_ID].to_numpy(zero_copy_only=False) for rows in found]
    _, mine, theirs = np.intersect1d(ids[0], ids[1], assume_unique=True, return_indices=True)
    tables_of, said = [], []
    for bundle, rows, here in zip((challenger, champion), found, (mine, theirs), strict=True):
        if rows.difference:
            reporter.warning(rows.difference)
        _, facts = features_and_facts(bundle, tables, rows.observations, reporter)
        predicted, probability = predict_again(bundle, facts, rows.target, tell=reporter.progress)
        tables_of.append(facts.take(here))
        said.append((predicted.margin[here], probability[here]))
    observations = found[1].observations.take(pa.array(theirs))
    labels = mature_labels(
        tables,
        observations,
        unit=champion.config.unit,
        as_of=max(as_of, *(rows.until for rows in found)),
        config=_run(challenger, champion).dataset,
    )
    both = LaterRows(
        challenger=tables_of[0],
        champion=tables_of[1],
        status=labels.status,
        judged=np.asarray(labels.usable & labels.settled),
        end=min(each.until for each in found),
        out_of_fold=(said[0], said[1]),
    )
    return both, max(each.since for each in found)


def join_specs(
    one: tuple[FeatureSpec, ...], other: tuple[FeatureSpec, ...]
) -> tuple[FeatureSpec, ...] | None:
    """Declare the features of both, so that they are computed once; None if they contradict.

    What one only computes with and the other shows is shown.
    """
    merged = {spec.name: spec for spec in one}
    for spec in other:
        known = merged.setdefault(spec.name, spec)
        if replace(known, intermediate=spec.intermediate) != spec:
            return None
        if known.intermediate:
            merged[spec.name] = spec
    return tuple(merged.values())


def _run(challenger: Bundle, champion: Bundle) -> RunConfig:
    """Return the champion's configuration, with the longer of both label maturities."""
    both = [bundle.config.dataset for bundle in (challenger, champion)]
    maturity = max(each.label_maturity_days for each in both)
    dataset = both[1].model_copy(update={"label_maturity_days": maturity})
    return champion.config.model_copy(update={"dataset": dataset})


def _features_of_both(
    challenger: Bundle,
    champion: Bundle,
    tables: ContractedTables,
    observations: pa.Table,
    reporter: ProgressReporter,
) -> tuple[FeatureTable, FeatureTable]:
    specs = join_specs(challenger.specs, champion.specs)
    if specs is None:
        reporter.info("the models declare a feature differently: features are computed for each")
        _, new = features_and_facts(challenger, tables, observations, reporter)
        _, old = features_and_facts(champion, tables, observations, reporter)
        return new, old
    for bundle in (challenger, champion):
        specs = merge_specs(specs, policy_needs(bundle))
    built = build_features(
        tables,
        observations,
        specs=specs,
        progress=lambda done, total: reporter.progress("building features", done, total),
    )
    for bundle in (challenger, champion):
        columns_of_bundle(
            bundle, built.take(_NO_ROWS)
        )  # an error if one is missing; it copies rows
    return built, built
