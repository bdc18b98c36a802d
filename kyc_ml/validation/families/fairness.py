"""Fairness: rates of protected groups at the threshold of 5 % false positives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.metrics import compute_fairness, threshold_at_fpr
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.extremes import largest, smallest
from kyc_ml.validation.outcome import NotApplicable, Outcome, Procedure, Run
from kyc_ml.validation.policy import Group, Settings
from kyc_ml.validation.ranked import FPR, draws_of, one_class
from kyc_ml.validation.result import Plot, Table
from kyc_ml.validation.segments import UNKNOWN, group_names
from kyc_ml.validation.text import Text
from kyc_ml.validation.wording import fairness as wording

_RATE: Final = {
    "demographic_parity": Text("selection rate", "预警率"),
    "predictive_equality": Text("false-positive rate", "假阳率"),
    "equal_opportunity": Text("recall", "召回率"),
}
_OF: Final = {
    "demographic_parity": "selection_rate",
    "predictive_equality": "fpr",
    "equal_opportunity": "tpr",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """Rates and parities of all groups of the policy, in long tables with column `feature`."""

    rates: pd.DataFrame
    parity: pd.DataFrame
    notes: tuple[Text, ...]


def run_parity(figure: str) -> Run:
    """Make the check of one parity."""

    def run(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
        found = _compare(evidence, settings)
        if isinstance(found, NotApplicable):
            return found
        parity = found.parity[found.parity["figure"] == figure].reset_index(drop=True)
        farthest = parity.assign(
            pair=parity["feature"] + ": " + parity["lowest"] + " against " + parity["highest"]
        )
        surest = parity.assign(
            pair=parity["feature"]
            + ": "
            + parity["high_lowest"]
            + " against "
            + parity["high_highest"]
        )
        rates = found.rates[found.rates["figure"] == _OF[figure]].reset_index(drop=True)
        return Outcome(
            values={
                "ratio": smallest(farthest, "value", named="pair"),
                # what decides: of many groups chance alone makes the ratio itself low
                "ratio_high": smallest(surest, "high", named="pair"),
            },
            tables=(
                Table(name="rates", title=_RATE[figure], frame=rates),
                Table(name="parity", title=Text("Ratios", "比值"), frame=parity),
            ),
            plots=(_plot(_RATE[figure]),),
            notes=found.notes,
        )

    return run


def run_calibration(evidence: ReviewEvidence, settings: Settings) -> Outcome | NotApplicable:
    """Compare the level of probabilities between groups."""
    found = _compare(evidence, settings)
    if isinstance(found, NotApplicable):
        return found
    rates = found.rates[found.rates["figure"] == "observed_over_expected"]
    rates = rates.reset_index(drop=True)
    rates["named"] = rates["feature"] + " = " + rates["group"]
    title = Text("Observed over expected", "O/E")
    return Outcome(
        values={
            "highest_low": largest(rates, "low", named="named"),
            "lowest_high": smallest(rates, "high", named="named"),
            "groups": int(rates["value"].notna().sum()),
        },
        tables=(Table(name="rates", title=title, frame=rates.drop(columns="named")),),
        plots=(_plot(title),),
        notes=found.notes,
    )


def _plot(title: Text) -> Plot:
    return Plot(
        name="rates",
        kind="interval",
        title=title,
        table="rates",
        x="group",
        y="value",
        low="low",
        high="high",
        group="feature",
        x_label=Text("group", "组别"),
        y_label=title,
    )


def _compare(evidence: ReviewEvidence, settings: Settings) -> _Groups | NotApplicable:
    """Compare the groups once for all checks of this family."""
    key = ("fairness", settings)
    if key not in evidence.memory:
        evidence.memory[key] = _compare_anew(evidence, settings)
    return cast("_Groups | NotApplicable", evidence.memory[key])


def _compare_anew(evidence: ReviewEvidence, settings: Settings) -> _Groups | NotApplicable:
    rows = evidence.current
    if (refused := one_class(rows)) is not None:
        return refused
    threshold = threshold_at_fpr(rows.target, rows.judged_margin, fpr=FPR)
    flagged = rows.judged_margin >= threshold
    rates, parities, notes = [], [], []
    for group in settings.groups:
        names = group_names(rows, group)
        if names is None:
            notes.append(_absent(evidence, group))
            continue
        kept, few = _enough(names[rows.judged], rows.target, fewest=settings.fewest)
        if few:
            said = ", ".join(few)
            notes.append(
                Text(
                    f"{group.feature}: too few of a class to be judged: {said}.",
                    f"{group.feature}：样本过少未评估：{said}。",
                )
            )
        if kept.size and len(set(kept[kept != ""])) >= 2:
            here = kept != ""
            customers = np.unique(rows.judged_customers[here], return_inverse=True)[1]
            found = compute_fairness(
                rows.target[here],
                flagged[here],
                rows.judged_probability[here],
                kept[here],
                groups=customers,
                draws=draws_of(rows, settings),
                seed=settings.seed,
            )
            rates.append(found.rates.assign(feature=group.feature))
            parities.append(found.parity.assign(feature=group.feature))
    if not rates:
        return NotApplicable(
            reason=Text(
                "no protected group of the policy can be told apart in these rows",
                "当前样本中无法区分策略所列的受保护组别",
            )
        )
    return _Groups(
        rates=pd.concat(rates, ignore_index=True),
        parity=pd.concat(parities, ignore_index=True),
        notes=tuple(notes),
    )


def _enough(
    names: npt.NDArray[np.object_], target: npt.NDArray[np.float64], *, fewest: int
) -> tuple[npt.NDArray[np.object_], list[str]]:
    """Blank the groups with too few of a class, and the unknown; name the former."""
    kept, few = names.copy(), []
    for name in sorted(set(names)):
        here = names == name
        positives = int(target[here].sum())
        if name == UNKNOWN or min(positives, int(here.sum()) - positives) < fewest:
            kept[here] = ""
            few.append(str(name))
    return kept, few


def _absent(evidence: ReviewEvidence, group: Group) -> Text:
    why = evidence.left_out.get(group.feature, "the rows do not have it")
    return Text(
        f"{group.feature} is not judged: {why}.", f"未评估 {group.feature}：数据不可用（{why}）。"
    )


PROCEDURES: Final = (
    Procedure(check=wording.SELECTION, run=run_parity("demographic_parity")),
    Procedure(check=wording.PREDICTIVE_EQUALITY, run=run_parity("predictive_equality")),
    Procedure(check=wording.OPPORTUNITY, run=run_parity("equal_opportunity")),
    Procedure(check=wording.CALIBRATION, run=run_calibration),
)
