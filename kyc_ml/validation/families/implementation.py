"""Implementation: reproduction, recorded figures, parity and reconciliation."""

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.features import OBSERVATION_ID
from kyc_ml.registry import Scorer, score_features
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import largest
from kyc_ml.validation.outcome import NotApplicable, Outcome, not_applicable
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.text import notice

_COMPARED: Final = ("probability", "tier", "reason_1_code")


def run_reproduction(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Report whether retraining gave the same bundle."""
    found = evidence.retrained
    if found is None:
        return not_applicable("not_retrained")
    same = found.recorded == found.again
    lines = [{"what": "file", "difference": name} for name in found.differing]
    lines += [{"what": "version", "difference": line} for line in found.changes]
    return Outcome(
        values={
            "differing": 0 if same else max(len(found.differing), 1),
            "changes": len(found.changes),
        },
        tables={"differences": pd.DataFrame(lines, columns=["what", "difference"]).astype("str")},
        notes=(notice("digests", recorded=found.recorded[:12], again=found.again[:12]),),
    )


def run_recorded_figures(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Compare recomputed figures of the test part with the recorded ones.

    Ends of intervals are not compared: a later version may compute a better interval.
    """
    if evidence.recorded is None or evidence.recorded_part not in evidence.bundle.metrics:
        return not_applicable("not_split_in_time")
    recorded = evidence.bundle.metrics[evidence.recorded_part]
    again = evidence.recorded.as_dict()
    table = pd.DataFrame(
        [
            {"figure": name, "recorded": recorded[name], "again": value}
            for name, value in again.items()
            if name in recorded and not name.endswith(("_low", "_high"))
        ]
    )
    table["difference"] = table["again"] - table["recorded"]
    by_name = table.set_index("figure")["difference"]
    rest = table[~table["figure"].isin(["rows", "positives"])]
    away = rest.assign(away=rest["difference"].abs())
    return Outcome(
        values={
            "auc_difference": float(by_name.get("auc", np.nan)),
            "largest_difference": largest(away, "away", named="figure"),
            "rows_difference": float(by_name.get("rows", np.nan)),
        },
        tables={"figures": table},
    )


def run_parity(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Score a sample in three ways."""
    current, bundle = evidence.current, evidence.bundle
    n = min(settings.compared_rows, len(current))
    if not n:
        return not_applicable("nothing_to_score")
    places = np.sort(np.random.default_rng(settings.seed).choice(len(current), n, replace=False))
    names = (*current.features.names, *current.facts.names)
    features = current.features.take(places)
    facts = current.columns(names, places)
    batch = score_features(bundle, features, facts=facts, threads=evidence.threads)
    frame = pa.table(batch.select(list(_COMPARED))).to_pandas()
    single = []
    for place in range(n):
        one = [place]
        row = score_features(
            bundle, features.take(one), facts=facts.take(one), threads=evidence.threads
        )
        single.append(row.select(list(_COMPARED)).to_pandas())
        evidence.reporter.progress("scoring one by one", place + 1, n)
    served = Scorer(bundle).predict(facts.to_arrow().to_pandas())
    others = {"single": pd.concat(single, ignore_index=True), "served": served}
    lines = []
    for how, found in others.items():
        lines.append(
            {
                "how": how,
                "largest_difference": float(
                    (found["probability"] - frame["probability"]).abs().max()
                ),
                "other_tier": _unequal(found["tier"], frame["tier"]),
                "other_reason": _unequal(found["reason_1_code"], frame["reason_1_code"]),
            }
        )
    table = pd.DataFrame(lines)
    return Outcome(
        values={
            "largest_difference": float(table["largest_difference"].max()),
            "other_tier": int(table["other_tier"].max()),
            "other_reason": int(table["other_reason"].max()),
            "rows": n,
        },
        tables={"ways": table},
    )


def run_reconciliation(evidence: ReviewEvidence, _: Settings) -> Outcome | NotApplicable:
    """Count rows in and out."""
    rows = evidence.current
    listed = len(rows) if evidence.observations is None else evidence.observations.num_rows
    ids = rows.features.keys[OBSERVATION_ID].to_pandas()
    states = pd.Series(rows.status).value_counts()
    names = evidence.bundle.policy.tier_names
    tiers = np.bincount(rows.tier, minlength=len(names))
    counts = pd.DataFrame(
        [
            {"what": "observations listed", "rows": listed},
            {"what": "rows scored", "rows": len(rows)},
            *({"what": f"outcome: {state}", "rows": int(count)} for state, count in states.items()),
            *(
                {"what": f"tier: {name}", "rows": int(count)}
                for name, count in zip(names, tiers, strict=True)
            ),
        ]
    )
    return Outcome(
        values={
            "lost": abs(listed - len(rows)),
            "doubled": int(ids.duplicated().sum()),
            "undefined": int(np.isnan(rows.probability).sum()),
            "rows": len(rows),
        },
        tables={"counts": counts},
    )


def _unequal(one: pd.Series, other: pd.Series) -> int:
    pair = one.fillna("").astype(str).to_numpy() != other.fillna("").astype(str).to_numpy()
    return int(pair.sum())
