"""List the rows whose tier changes, and the features that change it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import logit

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.decision import PeerReference, grade, make_reasons, rank_reasons
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID, FeatureTable
from kyc_ml.metrics import Floats, Ints, Mask, jeffreys_interval
from kyc_ml.registry import Bundle, Scores, explain_rows, model_columns
from kyc_ml.validation.comparison.rows import LaterRows

NO_FEATURE: Final = "(base value, calibration or policy)"
"""Cause of a move to which no feature contributes."""
_PIECE: Final = 2_000
"""Rows explained at a time: a few seconds of work, so that progress is visible."""

_TEXTS: Final = (
    "champion_tier",
    "challenger_tier",
    "direction",
    "tier_by_policy_alone",
    "outcome",
)

# Meaning of the sign of a difference of contributions, in English and Chinese.
_EFFECTS: Final = {
    1.0: ("for the challenger: more risk", "挑战者模型认为风险更高"),
    -1.0: ("for the challenger: less risk", "挑战者模型认为风险更低"),
    0.0: ("the same risk for both", "两个模型判断相同"),  # needed by make_reasons, never shown
}


def compute_tier_moves(
    rows: LaterRows, challenger: Scores, champion: Scores, *, names: tuple[str, ...]
) -> pd.DataFrame:
    """Count rows by the tiers of both models.

    See `Comparison.tiers`.
    """
    cells = champion.tier * len(names) + challenger.tier
    size = len(names) ** 2
    count = np.bincount(cells, minlength=size)
    judged = np.bincount(cells[rows.evaluated], minlength=size)
    hits = np.bincount(cells[rows.evaluated], weights=rows.target, minlength=size)
    low, high = jeffreys_interval(hits, judged)
    known = judged > 0
    before, after = np.divmod(np.arange(size), len(names))
    return pd.DataFrame(
        {
            "champion_tier": [names[place] for place in before],
            "challenger_tier": [names[place] for place in after],
            "rows": count,
            "judged": judged,
            "positives": hits.astype(np.int64),
            "observed_rate": np.where(known, hits / np.maximum(judged, 1), np.nan),
            "ci_low": np.where(known, low, np.nan),
            "ci_high": np.where(known, high, np.nan),
        }
    )


def explain_moves(
    rows: LaterRows,
    challenger: Bundle,
    champion: Bundle,
    *,
    scores: tuple[Scores, Scores],
    reasons: int,
    threads: int,
    progress: Callable[[int, int], None],
) -> pd.DataFrame:
    """List the rows whose tier changes, the largest change first, with the features that cause it.

    See `Comparison.moved`.
    """
    new, old = scores
    moved = np.flatnonzero(new.tier != old.tier)
    reference = challenger.reference.filled_by(champion.reference)
    pieces = []
    # at least one piece: the table needs its columns even without a move
    for start in range(0, max(moved.size, 1), _PIECE):
        here = moved[start : start + _PIECE]
        both, added, base = _contributions(rows, challenger, champion, here, threads=threads)
        table = _facts(rows, challenger, champion, here, scores=scores)
        table["features_difference"] = (added[0] - added[1]).sum(axis=1)
        table["base_difference"] = base
        table["calibration_difference"] = (
            table["log_odds_difference"] - table["features_difference"] - base
        )
        reasons_of_move = _explain(
            both,
            added,
            up=new.tier[here] > old.tier[here],
            reference=reference,
            currency=str(champion.data["base_currency"]),
            k=reasons,
        )
        pieces.append(pd.concat([table, reasons_of_move], axis=1))
        progress(min(start + _PIECE, moved.size), moved.size)
    listed = pd.concat(pieces, ignore_index=True)
    # by identifier where differences are equal: the order is always the same
    order = np.lexsort((listed[OBSERVATION_ID], -listed["log_odds_difference"].abs()))
    return listed.iloc[order].reset_index(drop=True)


def compute_causes(moved: pd.DataFrame) -> pd.DataFrame:
    """Count the moves by the feature that contributes most.

    See `Comparison.causes`.
    """
    first = moved.groupby(moved["reason_1_code"].fillna(NO_FEATURE))
    table = pd.DataFrame(
        {
            "rows": first.size(),
            "up": first["direction"].agg(lambda way: int((way == "up").sum())),
            "down": first["direction"].agg(lambda way: int((way == "down").sum())),
            "mean_difference": first["reason_1_difference"].mean(),
        }
    )
    table = table.rename_axis("feature").reset_index()
    return table.sort_values(["rows", "feature"], ascending=[False, True], ignore_index=True)


def _facts(
    rows: LaterRows,
    challenger: Bundle,
    champion: Bundle,
    here: Ints,
    *,
    scores: tuple[Scores, Scores],
) -> pd.DataFrame:
    new, old = scores
    names = np.array(champion.policy.tier_names, dtype=object)
    by_policy = grade(old.probability[here], rows.challenger.take(here), policy=challenger.policy)
    keys = rows.champion.keys.take(pa.array(here))
    rose = new.tier[here] > old.tier[here]
    return pd.DataFrame(
        {
            OBSERVATION_ID: keys[OBSERVATION_ID].to_pandas(),
            CUSTOMER_ID: keys[CUSTOMER_ID].to_pandas(),
            DECISION_TIME: keys[DECISION_TIME].to_pandas(),
            "champion_tier": names[old.tier[here]],
            "challenger_tier": names[new.tier[here]],
            "direction": np.where(rose, "up", "down"),
            "champion_probability": old.probability[here],
            "challenger_probability": new.probability[here],
            "tier_by_policy_alone": names[by_policy.tier],
            "outcome": rows.status[here],
            "log_odds_difference": logit(new.probability[here]) - logit(old.probability[here]),
        }
    ).astype(dict.fromkeys(_TEXTS, "str"))


def _contributions(
    rows: LaterRows, challenger: Bundle, champion: Bundle, here: Ints, *, threads: int
) -> tuple[FeatureTable, tuple[Floats, Floats], Floats]:
    """Explain rows by both models over the features of either.

    Returns `both`: the challenger's columns, then those that only the champion has.
    Returns `added`: two float64 arrays of shape (n, columns of `both`); the challenger's and the
    champion's contributions; 0 of a feature a model has not.
    Returns `base`: float64 array of shape (n,); difference of the base values.
    """
    tables = (
        model_columns(challenger, rows.challenger.take(here)),
        model_columns(champion, rows.champion.take(here)),
    )
    found = [
        explain_rows(bundle, table, threads=threads)
        for bundle, table in zip((challenger, champion), tables, strict=True)
    ]
    both = _union(*tables)
    place = {name: column for column, name in enumerate(both.names)}
    added = np.zeros((len(both), len(place))), np.zeros((len(both), len(place)))
    for filled, table, part in zip(added, tables, found, strict=True):
        filled[:, [place[name] for name in table.names]] = part.values  # noqa: PD011  no data frame
    return both, added, found[0].base - found[1].base


def _union(one: FeatureTable, other: FeatureTable) -> FeatureTable:
    """Return the columns of `one`, then those that only `other` has."""
    # a feature that both declare differently under one name counts once, with the value of `one`
    mine = set(one.names)
    added = [column for column, name in enumerate(other.names) if name not in mine]
    return FeatureTable(
        keys=one.keys,
        specs=(*one.specs, *(other.specs[column] for column in added)),
        numbers=np.column_stack([one.numbers, other.numbers[:, added]]),
        categories={**other.categories, **one.categories},
        unavailable={},
    )


def _explain(
    both: FeatureTable,
    added: tuple[Floats, Floats],
    *,
    up: Mask,
    reference: PeerReference,
    currency: str,
    k: int,
) -> pd.DataFrame:
    """Return the k features that contribute most to each move, with both models' contributions."""
    # a feature that contributes in the other direction is not a reason: where fewer than k
    # contribute to the move, the rest is missing
    difference = added[0] - added[1]
    pushing = np.where((difference > 0) == up[:, None], difference, 0.0)
    reasons = make_reasons(
        both, pushing, reference=reference, currency=currency, k=k, effects=_EFFECTS
    )
    del reasons["reference_margin"]  # neither model's: a move has no margin
    listed: pd.DataFrame = pa.table(reasons).to_pandas()
    listed.columns = listed.columns.str.replace("contribution", "difference")
    ranked, each = rank_reasons(pushing, k=k), np.arange(len(both))
    for place in range(ranked.shape[1]):
        stem = f"reason_{place + 1}"
        for who, values in zip(("challenger", "champion"), added, strict=True):
            listed[f"{stem}_{who}"] = values[each, ranked[:, place]]
        columns = [name for name in listed.columns if name.startswith(f"{stem}_")]
        listed.loc[listed[f"{stem}_difference"] == 0.0, columns] = None
    return listed
