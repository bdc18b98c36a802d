"""Fairness: rates of protected groups at the threshold of 5 % false positives."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import pandas as pd

from kyc_ml.metrics import Mask, Names, compute_fairness, threshold_at_fpr
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import smallest
from kyc_ml.validation.levels import bound_levels, level_at, level_note, surest_levels
from kyc_ml.validation.outcome import NotApplicable, Outcome, Run, not_applicable
from kyc_ml.validation.policy import Group, Settings
from kyc_ml.validation.ranked import FPR, draws_of
from kyc_ml.validation.segments import UNKNOWN, group_names
from kyc_ml.validation.text import Text, notice

_OF: Final = {
    "demographic_parity": "selection_rate",
    "predictive_equality": "fpr",
    "equal_opportunity": "tpr",
}


_NEEDS: Final = {
    "demographic_parity": notice("rows"),
    "predictive_equality": notice("negatives"),
    "equal_opportunity": notice("positives"),
}
"""What a group must have at least `fewest` of, for each parity."""

_RATES: Final = {
    "feature": "feature", "group": "group", "rows": "rows", "positives": "positives",
    "value": "rate", "low": "low", "high": "high",
}  # fmt: skip
"""Columns of the rates, and their names in a report."""

_NO_GROUP: Final = not_applicable("no_group")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """Rates and parities of all groups of the policy, in long tables with column `feature`."""

    rates: pd.DataFrame
    parity: pd.DataFrame
    notes: tuple[Text, ...]


def _check_parity(figure: str) -> Run:
    def run(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
        found = _compare(evidence, settings)
        if isinstance(found, NotApplicable):
            return found
        rates = found.rates[found.rates["figure"] == _OF[figure]].reset_index(drop=True)
        compared = rates.groupby("feature")["value"].count() >= 2
        if not compared.any():
            return _too_few(rates, figure, fewest=settings.fewest)
        of_figure = found.parity[found.parity["figure"] == figure]
        parity = of_figure[of_figure["feature"].map(compared)].reset_index(drop=True)
        farthest, surest = (
            parity.assign(pair=_pairs(parity, *ends))
            for ends in (("lowest", "highest"), ("high_lowest", "high_highest"))
        )
        return Outcome(
            values={
                "ratio": smallest(farthest, "value", named="pair"),
                # gates use this one: with many groups the ratio itself is low by chance alone
                "ratio_high": smallest(surest, "high", named="pair"),
            },
            tables={"rates": rates[list(_RATES)].rename(columns=_RATES), "parity": parity},
            notes=(*found.notes, *_few(rates, figure, fewest=settings.fewest)),
        )

    return run


def _pairs(parity: pd.DataFrame, low: str, high: str) -> list[str]:
    """Name the two groups of each feature; a feature may have none, such as without any flag."""
    return [
        f"{feature}: {one} against {other}"
        for feature, one, other in zip(parity["feature"], parity[low], parity[high], strict=True)
    ]


def _few(rates: pd.DataFrame, figure: str, *, fewest: int) -> tuple[Text, ...]:
    needs = _NEEDS[figure]
    return tuple(
        notice(
            "groups_not_evaluated",
            feature=feature,
            fewest=fewest,
            needs=needs,
            groups=Text(", ".join(groups), "、".join(groups)),
        )
        for feature, groups in rates[rates["value"].isna()].groupby("feature")["group"]
    )


def _too_few(rates: pd.DataFrame, figure: str, *, fewest: int) -> NotApplicable:
    needs = _NEEDS[figure]
    features = ", ".join(sorted(set(rates["feature"])))
    return not_applicable("too_few_groups", features=features, fewest=fewest, needs=needs)


def run_calibration(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compare the level of probabilities between groups."""
    rows = evidence.current
    lines, notes = [], []
    for group in settings.groups:
        names = group_names(rows, group)
        if names is None:
            notes.append(_absent(evidence, group))
            continue
        for name, here in _each(names[rows.evaluated]):
            lines.append({"feature": group.feature, "group": name, **level_at(rows, here)})
    if not lines:
        return _NO_GROUP
    rates = pd.DataFrame(lines)
    named = rates.assign(named=rates["feature"] + " = " + rates["group"])
    parts = bound_levels(named, named="named", fewest=settings.fewest)
    return Outcome(
        values={**surest_levels(parts), "groups": int(rates["low"].notna().sum())},
        tables={"rates": rates},
        parts=parts,
        notes=(*notes, level_note(settings.fewest)),
    )


def _compare(evidence: ReviewEvidence, settings: Settings) -> _Groups | NotApplicable:
    """Compare the groups; computed once for all checks of this family."""
    key = ("fairness", settings)
    if key not in evidence.memory:
        evidence.memory[key] = _compare_groups(evidence, settings)
    return cast("_Groups | NotApplicable", evidence.memory[key])


def _compare_groups(evidence: ReviewEvidence, settings: Settings) -> _Groups | NotApplicable:
    rows = evidence.current
    threshold = threshold_at_fpr(rows.target, rows.evaluated_margin, fpr=FPR)
    flagged = rows.evaluated_margin >= threshold
    rates, parities, notes = [], [], []
    for group in settings.groups:
        names = group_names(rows, group)
        if names is None:
            notes.append(_absent(evidence, group))
            continue
        kept = names[rows.evaluated]
        here = kept != UNKNOWN
        if not here.all():
            notes.append(notice("without_value", feature=group.feature, rows=int((~here).sum())))
        if len(set(kept[here])) < 2:
            continue
        # numbered again: a group may not hold every customer
        customers = np.unique(rows.evaluated_customers[here], return_inverse=True)[1]
        found = compute_fairness(
            rows.target[here],
            flagged[here],
            rows.evaluated_probability[here],
            kept[here],
            groups=customers,
            fewest=settings.fewest,
            draws=draws_of(rows, settings),
            seed=settings.seed,
        )
        rates.append(found.rates.assign(feature=group.feature))
        parities.append(found.parity.assign(feature=group.feature))
    if not rates:
        return _NO_GROUP
    return _Groups(
        rates=pd.concat(rates, ignore_index=True),
        parity=pd.concat(parities, ignore_index=True),
        notes=tuple(notes),
    )


def _each(names: Names) -> Iterator[tuple[str, Mask]]:
    """Yield each group with its rows; rows without a value are not a group."""
    for name in sorted(set(names) - {UNKNOWN}):
        yield str(name), names == name


def _absent(evidence: ReviewEvidence, group: Group) -> Text:
    why = evidence.left_out.get(group.feature, "the rows do not have it")
    return notice("group_absent", feature=group.feature, why=why)


run_selection = _check_parity("demographic_parity")
run_predictive_equality = _check_parity("predictive_equality")
run_equal_opportunity = _check_parity("equal_opportunity")
