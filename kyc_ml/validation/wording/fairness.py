"""What the checks of fairness ask, how, and what they cannot see."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.check import Check, Measure
from kyc_ml.validation.text import Text

_SOURCE = (
    "Hardt, Price and Srebro 2016, NeurIPS, 3315-3323; Chouldechova 2017, Big Data 5, 153-163; "
    "Donner and Zou 2012, Statistical Methods in Medical Research 21, 347-359 (interval of a "
    "ratio); the bound of four fifths: 29 CFR 1607.4 (D)"
)
_LIMITS = Text(
    "Equal rates cannot all hold at once where base rates differ; outcomes may be biased "
    "themselves. Groups with few of those that a rate is of (false positives: negatives; recall: "
    "positives) have none, and are named.",
    "基准率不同时各类公平指标无法同时满足；结果标签本身可能存在偏差。"
    "所需样本（假阳率为负样本，召回率为正样本）过少的组别不计算该比率并列明。",
)
_METHOD = Text(
    "The rows above the threshold of 5 % false positives are flagged. Rates by group with "
    "bootstrap intervals over customers; the lowest group's rate over the highest one's. Beside "
    "it the upper end of the ratio of two groups that is most surely low: from Jeffreys intervals "
    "of counts divided by their design effect, corrected after Bonferroni for the pairs.",
    "得分高于假阳率 5% 阈值的样本视为预警。按组计算比率及客户自助法区间，取最低组与最高组之比；"
    "并给出最确定偏低的两组之比的区间上限：由按设计效应折算计数的 Jeffreys 区间求得，"
    "按组对数作 Bonferroni 校正。",
)
_SIGNS = Text(
    "An upper end below 0.8. Of many or small groups the ratio alone is low by chance.",
    "区间上限低于 0.8。组别多或样本少时，比值本身会因偶然而偏低。",
)

SELECTION: Final = Check(
    id="fairness.selection",
    family="fairness",
    title=Text("Selection rates", "预警率"),
    purpose=Text(
        "Is one group flagged far more often than another?", "某一组被预警的频率是否远高于其他组？"
    ),
    method=_METHOD,
    signs=_SIGNS,
    limits=Text(
        "Groups may differ in true risk: a difference asks for a reason, it is no proof.",
        "各组真实风险可能不同，差异需要解释但并非证据。",
    ),
    source=_SOURCE,
    measures=(
        Measure(
            name="ratio",
            label=Text("lowest over highest selection rate", "预警率最低组与最高组之比"),
            unit="ratio",
        ),
        Measure(
            name="ratio_high", label=Text("upper end of the ratio", "比值区间上限"), unit="ratio"
        ),
    ),
)

PREDICTIVE_EQUALITY: Final = Check(
    id="fairness.predictive_equality",
    family="fairness",
    title=Text("Predictive equality (false positives)", "预测平等（假阳率）"),
    purpose=Text(
        "Are honest customers of one group bothered more than those of another?",
        "某一组的正常客户是否比其他组更常被打扰？",
    ),
    method=_METHOD,
    signs=_SIGNS,
    limits=_LIMITS,
    source=_SOURCE,
    measures=(
        Measure(
            name="ratio",
            label=Text("lowest over highest false-positive rate", "假阳率最低组与最高组之比"),
            unit="ratio",
        ),
        Measure(
            name="ratio_high", label=Text("upper end of the ratio", "比值区间上限"), unit="ratio"
        ),
    ),
)

OPPORTUNITY: Final = Check(
    id="fairness.equal_opportunity",
    family="fairness",
    title=Text("Equal opportunity (recall)", "机会均等（召回率）"),
    purpose=Text(
        "Is misconduct found as often in one group as in another?",
        "各组的问题被发现的比例是否相当？",
    ),
    method=_METHOD,
    signs=_SIGNS,
    limits=_LIMITS,
    source=_SOURCE,
    measures=(
        Measure(
            name="ratio",
            label=Text("lowest over highest recall", "召回率最低组与最高组之比"),
            unit="ratio",
        ),
        Measure(
            name="ratio_high", label=Text("upper end of the ratio", "比值区间上限"), unit="ratio"
        ),
    ),
)

CALIBRATION: Final = Check(
    id="fairness.calibration",
    family="fairness",
    title=Text("Calibration by group", "分组校准"),
    purpose=Text(
        "Does a probability mean the same for every group?", "相同概率对各组的含义是否一致？"
    ),
    method=Text(
        "Observed over expected by group, with Poisson intervals of counts divided by the design "
        "effect of customers; what counts is the end of the interval nearer to 1.",
        "按组计算 O/E 及按客户设计效应折算计数的泊松区间，以区间中较接近 1 的一端为准。",
    ),
    signs=Text(
        "A group whose whole interval lies beyond 0.8 to 1.25.", "某组的整个区间超出 0.8–1.25。"
    ),
    limits=Text(
        "Of many groups some stray by chance: intervals are not corrected for their number. "
        "Outcomes may be biased themselves.",
        "组别较多时会有偶然偏离，区间未作多重性校正；结果标签本身可能存在偏差。",
    ),
    source="Chouldechova 2017, Big Data 5, 153-163; Garwood 1936, Biometrika 28, 437-442; "
    "Rao and Scott 1992, Biometrics 48, 577-585",
    measures=(
        Measure(
            name="highest_low",
            label=Text("highest lower end of O/E", "O/E 区间下限的最高值"),
            unit="ratio",
        ),
        Measure(
            name="lowest_high",
            label=Text("lowest upper end of O/E", "O/E 区间上限的最低值"),
            unit="ratio",
        ),
        Measure(name="groups", label=Text("groups judged", "已评估组数"), unit="count"),
    ),
)
