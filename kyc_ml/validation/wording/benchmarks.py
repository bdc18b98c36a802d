"""What the checks of benchmarks ask, how, and what they cannot see."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.check import Check, Family, Measure
from kyc_ml.validation.text import Text

_METHOD = Text(
    "Both on the same judged rows: AUC difference with DeLong's interval, average precision and "
    "log loss with a paired bootstrap over customers.",
    "在同一批可评估样本上比较：AUC 差值（DeLong 区间）、"
    "平均精确率与对数损失差值（按客户配对自助法）。",
)
_SIGNS = Text(
    "A difference in average precision whose interval lies below 0.",
    "平均精确率差值的整个区间低于 0。",
)
_SOURCE = "DeLong et al. 1988; Davison and Hinkley 1997, section 3.8"


def _measures(who: str, who_zh: str) -> tuple[Measure, ...]:
    return (
        Measure(name="auc", label=Text(f"AUC of {who}", f"{who_zh} AUC"), unit="index"),
        Measure(
            name="average_precision",
            label=Text(f"average precision of {who}", f"{who_zh}平均精确率"),
            unit="index",
        ),
        Measure(
            name="auc_difference",
            label=Text(f"AUC, model less {who}", f"模型与{who_zh} AUC 差值"),
            unit="index",
        ),
        Measure(
            name="ap_difference",
            label=Text(f"average precision, model less {who}", f"模型与{who_zh}平均精确率差值"),
            unit="index",
        ),
        Measure(
            name="ap_difference_high",
            label=Text("upper end of this difference", "该差值区间上限"),
            unit="index",
        ),
        Measure(
            name="log_loss_difference",
            label=Text(f"log loss, model less {who}", f"模型与{who_zh}对数损失差值"),
            unit="index",
        ),
    )


_FAMILY: Final[Family] = "benchmarks"

LOGISTIC: Final = Check(
    id="benchmarks.logistic",
    family=_FAMILY,
    title=Text("Logistic regression on bins", "分箱逻辑回归"),
    purpose=Text(
        "Is the model better than a simple one that anybody can read?",
        "模型是否优于易于理解的简单模型？",
    ),
    method=Text(
        f"Fitted here on a sample of the training rows, calibrated on the reference rows. "
        f"{_METHOD.en}",
        f"在训练样本的抽样上拟合，并用参照样本校准。{_METHOD.zh}",
    ),
    signs=_SIGNS,
    limits=Text(
        "It is fitted on a sample and untuned: a benchmark, not the best simple model there is.",
        "仅用抽样拟合且未调参，是基准而非最优简单模型。",
    ),
    source=_SOURCE,
    measures=_measures("the regression", "逻辑回归"),
)

RATING: Final = Check(
    id="benchmarks.rating",
    family=_FAMILY,
    title=Text("Expert rating card", "专家评分卡"),
    purpose=Text("Is the model better than the experts' card?", "模型是否优于专家评分卡？"),
    method=Text(
        f"The card that the training run recorded, calibrated on the reference rows. {_METHOD.en}",
        f"使用训练运行记录的评分卡，并用参照样本校准。{_METHOD.zh}",
    ),
    signs=_SIGNS,
    limits=Text(
        "Cases may have been found by that very card, which favours it.",
        "案件可能正是由该评分卡发现的，因而对其有利。",
    ),
    source=_SOURCE,
    measures=_measures("the card", "评分卡"),
)

CHAMPION: Final = Check(
    id="benchmarks.champion",
    family=_FAMILY,
    title=Text("Champion", "现行模型"),
    purpose=Text("Is the model at least as good as the one in force?", "模型是否不劣于现行模型？"),
    method=Text(
        f"{_METHOD.en} Beside it the share of rows whose tier differs.",
        f"{_METHOD.zh}并给出等级不同的样本占比。",
    ),
    signs=_SIGNS,
    limits=Text(
        "Rows must be new to both models; the champion's alerts decided what was investigated.",
        "样本须为两个模型均未见过；哪些样本被调查取决于现行模型的预警。",
    ),
    source=_SOURCE,
    measures=(
        *_measures("the champion", "现行模型"),
        Measure(
            name="moved", label=Text("rows of another tier", "等级不同的样本占比"), unit="share"
        ),
    ),
)

SAVINGS: Final = Check(
    id="benchmarks.savings",
    family=_FAMILY,
    title=Text("Cost and savings", "成本与节约"),
    purpose=Text(
        "Does the model save money, against reviewing all or nothing?",
        "与全部审查或完全不审查相比，模型是否节约成本？",
    ),
    method=Text(
        "Reviewed is what pays: p times loss at least the cost of a review. Savings = (cheaper of "
        "all and nothing - cost) / cheaper; interval by bootstrap over customers.",
        "当 p × 损失 ≥ 审查成本时审查。节约率 =（全审与不审中较低成本 − 模型成本）/ 较低成本；"
        "区间为按客户的自助法。",
    ),
    signs=Text("Savings whose whole interval lies below 0.", "节约率的整个区间低于 0。"),
    limits=Text(
        "Costs are the policy's or the model's own assumption; a review is taken to stop all of a "
        "loss.",
        "成本为策略或模型设定的假设；假定审查可避免全部损失。",
    ),
    source="Bahnsen, Stojanovic, Aouada and Ottersten 2014, SIAM Data Mining, 677-685",
    measures=(
        Measure(name="savings", label=Text("savings", "节约率"), unit="share"),
        Measure(
            name="savings_high",
            label=Text("upper end of the savings", "节约率区间上限"),
            unit="share",
        ),
        Measure(name="cost", label=Text("cost with the model", "使用模型的成本"), unit="cost"),
        Measure(
            name="cost_of_none", label=Text("cost without reviews", "不审查的成本"), unit="cost"
        ),
        Measure(
            name="cost_of_all", label=Text("cost of reviewing all", "全部审查的成本"), unit="cost"
        ),
        Measure(name="reviewed", label=Text("share reviewed", "审查占比"), unit="share"),
    ),
)
