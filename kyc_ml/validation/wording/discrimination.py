"""What the checks of discrimination ask, how, and what they cannot see."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.check import Check, Measure
from kyc_ml.validation.text import Text

AUC: Final = Check(
    id="discrimination.auc",
    family="discrimination",
    title=Text("Area under the ROC curve", "ROC 曲线下面积"),
    purpose=Text(
        "Does a positive usually score higher than a negative?",
        "正样本的得分是否通常高于负样本？",
    ),
    method=Text(
        "Share of pairs of a positive and a negative in which the positive scores higher; ties "
        "count half. DeLong interval of rows, and a bootstrap interval of customers.",
        "随机一对正负样本中正样本得分更高的比例，得分相同计 0.5；"
        "给出按样本的 DeLong 区间和按客户的自助法区间。",
    ),
    signs=Text(
        "An AUC near 0.5, or an interval that reaches it; near 1, look for a leak.",
        "AUC 接近 0.5 或区间包含 0.5；若接近 1，应排查信息泄漏。",
    ),
    limits=Text(
        "It weighs all thresholds alike, also those at which nobody works; with rare positives "
        "it flatters. DeLong counts rows as independent.",
        "对所有阈值一视同仁，包括实务中不会使用的阈值；正样本稀少时会偏乐观。"
        "DeLong 方法假定样本相互独立。",
    ),
    source="DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44, 837-845",
    measures=(
        Measure(name="auc", label=Text("AUC", "AUC"), unit="index"),
        Measure(name="gini", label=Text("Gini (accuracy ratio)", "基尼系数（AR）"), unit="index"),
        Measure(
            name="auc_low_by_customer",
            label=Text("lower end of the AUC by customers", "按客户自助法的 AUC 区间下限"),
            unit="index",
        ),
        Measure(
            name="auc_of_probability",
            label=Text("AUC of the calibrated probability", "校准后概率的 AUC"),
            unit="index",
        ),
        Measure(
            name="distinct",
            label=Text("distinct calibrated probabilities", "校准后概率的不同取值数"),
            unit="count",
        ),
    ),
)

RANKING: Final = Check(
    id="discrimination.ranking",
    family="discrimination",
    title=Text("Ranking at the top", "高分段排序能力"),
    purpose=Text(
        "How good is the order where alerts are raised, when positives are rare?",
        "在正样本稀少的情况下，预警所在的高分段排序质量如何？",
    ),
    method=Text(
        "Average precision beside the prevalence, which is its floor; the largest distance of "
        "both classes' distributions (KS); partial AUC up to 5 % false positives, standardised "
        "after McClish. Intervals by bootstrap over customers.",
        "平均精确率及其下限（正样本占比）；两类样本分布的最大距离（KS）；"
        "假阳率不超过 5% 的部分 AUC（McClish 标准化）。区间为按客户的自助法。",
    ),
    signs=Text("Average precision close to the prevalence.", "平均精确率接近正样本占比。"),
    limits=Text(
        "Average precision moves with the prevalence: compare it on the same rows only.",
        "平均精确率随正样本占比变化，只能在同一批样本上比较。",
    ),
    source="Davis and Goadrich 2006, ICML, 233-240; McClish 1989, Medical Decision Making 9",
    measures=(
        Measure(
            name="average_precision", label=Text("average precision", "平均精确率"), unit="index"
        ),
        Measure(name="prevalence", label=Text("prevalence", "正样本占比"), unit="share"),
        Measure(
            name="lift",
            label=Text("average precision over prevalence", "平均精确率与正样本占比之比"),
            unit="ratio",
        ),
        Measure(name="ks", label=Text("KS", "KS"), unit="index"),
        Measure(
            name="partial_auc",
            label=Text("partial AUC to 5 % false positives", "假阳率 5% 内的部分 AUC"),
            unit="index",
        ),
    ),
)

CAPACITY: Final = Check(
    id="discrimination.capacity",
    family="discrimination",
    title=Text("Precision and recall at capacity", "给定审查能力下的精确率与召回率"),
    purpose=Text(
        "What do reviewers find with the number of alerts they can work?",
        "在审查人员可处理的预警数量下，能发现多少问题？",
    ),
    method=Text(
        "Each day's highest scores are reviewed first, until the capacity is used up; at evenly "
        "spaced capacities to twice the model's own. Intervals by bootstrap over customers.",
        "每天按得分从高到低审查直至用完处理能力；能力取值均匀分布至模型设定能力的两倍。"
        "区间为按客户的自助法。",
    ),
    signs=Text(
        "A recall that hardly rises with capacity, or a precision below the prevalence.",
        "召回率几乎不随处理能力提高，或精确率低于正样本占比。",
    ),
    limits=Text(
        "Outcomes are known only of what was looked into: what no one ever reviewed may be missed.",
        "只有被调查过的样本才有结果，从未审查的样本可能遗漏问题。",
    ),
    source="Le Borgne et al. 2022, Reproducible Machine Learning for Credit Card Fraud Detection, "
    "chapter 4",
    measures=(
        Measure(name="capacity", label=Text("reviews a day", "每日审查数"), unit="count"),
        Measure(name="precision", label=Text("precision", "精确率"), unit="share"),
        Measure(name="recall", label=Text("recall", "召回率"), unit="share"),
    ),
)

RECALL_AT_FPR: Final = Check(
    id="discrimination.recall_at_fpr",
    family="discrimination",
    title=Text("Recall at 5 % false positives", "假阳率 5% 时的召回率"),
    purpose=Text(
        "What is found when one honest case in twenty is bothered, and does a threshold that was "
        "set earlier still keep to it?",
        "在打扰 5% 正常样本的条件下能发现多少问题？先前确定的阈值是否仍然有效？",
    ),
    method=Text(
        "Recall at the lowest threshold with at most 5 % false positives on these rows; then at "
        "the threshold that the reference rows gave, with the false positives it now makes.",
        "在当前样本上取假阳率不超过 5% 的最低阈值计算召回率；"
        "再用参照样本确定的阈值计算召回率及其实际假阳率。",
    ),
    signs=Text(
        "Far more false positives at the frozen threshold than the 5 % it was set for.",
        "冻结阈值下的实际假阳率远高于设定的 5%。",
    ),
    limits=Text(
        "One point of the curve; 5 % may be no capacity of this institution. Intervals count rows "
        "as independent.",
        "仅为曲线上的一个点，5% 未必符合本机构的处理能力。区间假定样本相互独立。",
    ),
    source="Jesus et al. 2022, NeurIPS Datasets and Benchmarks (Bank Account Fraud)",
    measures=(
        Measure(name="recall", label=Text("recall", "召回率"), unit="share"),
        Measure(
            name="recall_frozen",
            label=Text("recall at the frozen threshold", "冻结阈值下的召回率"),
            unit="share",
        ),
        Measure(
            name="fpr_frozen",
            label=Text("false positives at the frozen threshold", "冻结阈值下的假阳率"),
            unit="share",
        ),
    ),
)

AUC_DECLINE: Final = Check(
    id="discrimination.auc_decline",
    family="discrimination",
    title=Text("AUC against the initial validation", "与初始验证相比的 AUC"),
    purpose=Text(
        "Does the model rank worse than when it was first validated?",
        "模型的排序能力是否比初始验证时下降？",
    ),
    method=Text(
        "S = (initial AUC - current AUC) / standard error of the current AUC; the initial one is "
        "taken as fixed. p is the chance of so large a decline without any.",
        "S =（初始 AUC − 当前 AUC）/ 当前 AUC 的标准误，初始值视为固定；"
        "p 为无下降时出现如此降幅的概率。",
    ),
    signs=Text("A small p-value together with a drop that matters.", "p 值小且降幅有实质意义。"),
    limits=Text(
        "The initial AUC was uncertain too, which the test ignores; rows count as independent.",
        "检验忽略初始 AUC 的不确定性，并假定样本相互独立。",
    ),
    source="ECB 2019, Instructions for reporting the validation results of internal models, 2.5.4",
    measures=(
        Measure(name="initial", label=Text("initial AUC", "初始 AUC"), unit="index"),
        Measure(name="current", label=Text("current AUC", "当前 AUC"), unit="index"),
        Measure(name="drop", label=Text("decline of the AUC", "AUC 降幅"), unit="index"),
        Measure(name="p_value", label=Text("p-value of a decline", "下降的 p 值"), unit="p-value"),
    ),
)

SEGMENTS: Final = Check(
    id="discrimination.segments",
    family="discrimination",
    title=Text("AUC by segment", "分客群 AUC"),
    purpose=Text(
        "Is there a kind of customer for whom the model does not work?",
        "是否存在模型失效的客群？",
    ),
    method=Text(
        "AUC with DeLong interval in each value of the policy's segments that has enough of both "
        "classes. A shortfall is what even the upper end of a segment's interval lacks to the "
        "AUC of all rows.",
        "对策略所列客群中正负样本充足的各取值计算 AUC 及 DeLong 区间。"
        "差距是指该客群区间上限仍低于整体 AUC 的部分。",
    ),
    signs=Text(
        "A segment whose whole interval lies below the overall AUC.",
        "某客群的整个区间低于整体 AUC。",
    ),
    limits=Text(
        "Within a segment the easy differences between segments are gone: a lower AUC is usual. "
        "Intervals count rows as independent and are not corrected for the number of segments.",
        "客群内部消除了客群之间的差异，AUC 略低属正常。区间假定样本相互独立，未按客群数校正。",
    ),
    source="DeLong, DeLong and Clarke-Pearson 1988; the shortfall is convention",
    measures=(
        Measure(name="lowest", label=Text("lowest AUC", "最低 AUC"), unit="index"),
        Measure(name="shortfall", label=Text("largest shortfall", "最大差距"), unit="index"),
        Measure(name="judged", label=Text("segments judged", "已评估客群数"), unit="count"),
    ),
)

PERIODS: Final = Check(
    id="discrimination.periods",
    family="discrimination",
    title=Text("AUC by period", "分时段 AUC"),
    purpose=Text("Does the model wear out as time goes by?", "模型是否随时间老化？"),
    method=Text(
        "AUC with DeLong interval by month, week or day, and average precision; shortfall as for "
        "segments.",
        "按月、周或日计算 AUC 及 DeLong 区间和平均精确率；差距定义同分客群。",
    ),
    signs=Text("Periods that sink one after the other.", "各时段依次下降。"),
    limits=Text(
        "Late periods have fewer known positives. Intervals count rows as independent and are not "
        "corrected for the number of periods.",
        "较近时段已知的正样本较少。区间假定样本相互独立，未按时段数校正。",
    ),
    source="DeLong, DeLong and Clarke-Pearson 1988; the shortfall is convention",
    measures=(
        *SEGMENTS.measures[:2],
        Measure(name="judged", label=Text("periods judged", "已评估时段数"), unit="count"),
    ),
)

TYPOLOGIES: Final = Check(
    id="discrimination.typologies",
    family="discrimination",
    title=Text("Recall by typology", "分类型召回率"),
    purpose=Text(
        "Is there a kind of misconduct that the model never sees?",
        "是否存在模型无法识别的违规类型？",
    ),
    method=Text(
        "Share of each typology's positives that score above the threshold of 5 % false "
        "positives; Jeffreys intervals of counts divided by the design effect of customers.",
        "各类型正样本中得分高于假阳率 5% 阈值的比例，附按客户设计效应折算计数的 Jeffreys 区间。",
    ),
    signs=Text(
        "A typology with a recall near the 5 % that chance would give.",
        "某类型的召回率接近随机水平 5%。",
    ),
    limits=Text(
        "Typologies are what investigators wrote down; undetected kinds have none.",
        "类型来自调查记录，未被发现的类型没有记录。",
    ),
    source="Brown, Cai and DasGupta 2001, Statistical Science 16, 101-133 (intervals); Rao and "
    "Scott 1992, Biometrics 48, 577-585",
    measures=(
        Measure(name="lowest", label=Text("lowest recall", "最低召回率"), unit="share"),
        Measure(
            name="lowest_high",
            label=Text("lowest upper end of a recall", "召回率区间上限的最低值"),
            unit="share",
        ),
        Measure(name="judged", label=Text("typologies judged", "已评估类型数"), unit="count"),
    ),
)
