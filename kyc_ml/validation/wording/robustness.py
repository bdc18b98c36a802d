"""What the checks of robustness ask, how, and what they cannot see."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.check import Check, Measure
from kyc_ml.validation.text import Text

NOISE: Final = Check(
    id="robustness.noise",
    family="robustness",
    title=Text("Noise", "噪声扰动"),
    purpose=Text(
        "Do small errors in the data change ranking or tiers?",
        "数据的微小误差是否会改变排序或等级？",
    ),
    method=Text(
        "In a sample of rows each number is moved to a neighbouring rank of its column, by a "
        "normal draw of 5 % of the ranks (and half and twice as much); AUC, tiers and "
        "probabilities are computed again.",
        "对抽样样本的各数值特征，按其排名作标准差为 5%（及其一半与两倍）的正态移动，"
        "取列内邻近排名的值，重新计算 AUC、等级与概率。",
    ),
    signs=Text(
        "A drop of the AUC above 0.02, or many rows of another tier.",
        "AUC 下降超过 0.02，或大量样本等级改变。",
    ),
    limits=Text(
        "All features are disturbed at once and apart from each other: it is harsher than life.",
        "所有特征同时且相互独立地被扰动，比实际情况更苛刻。",
    ),
    source="PiML, robustness by quantile perturbation; the size of the noise is convention",
    measures=(
        Measure(name="auc", label=Text("AUC of the sample", "抽样 AUC"), unit="index"),
        Measure(name="auc_drop", label=Text("drop of the AUC", "AUC 降幅"), unit="index"),
        Measure(
            name="moved",
            label=Text("share of rows of another tier", "等级改变的样本占比"),
            unit="share",
        ),
    ),
)

MISSING: Final = Check(
    id="robustness.missing_columns",
    family="robustness",
    title=Text("Missing columns", "缺失列"),
    purpose=Text(
        "What does the model do on the night a source delivers nothing?",
        "若某晚数据源未送达，模型表现如何？",
    ),
    method=Text(
        "Each leading feature, then each family of features, is set to missing in a sample of "
        "rows; AUC, tiers and the level of probabilities are computed again.",
        "在抽样样本中依次将每个主要特征及每个特征族置为缺失，重新计算 AUC、等级与概率水平。",
    ),
    signs=Text(
        "One feature whose loss costs more than 0.05 of AUC: a single point of failure.",
        "单一特征缺失使 AUC 下降超过 0.05，即单点故障。",
    ),
    limits=Text(
        "All rows lose the value at once; features that are computed from one another are set "
        "apart.",
        "所有样本同时缺失；相互派生的特征分别处理。",
    ),
    source="convention",
    measures=(
        Measure(
            name="feature_drop",
            label=Text("largest drop by one feature", "单特征最大 AUC 降幅"),
            unit="index",
        ),
        Measure(
            name="family_drop",
            label=Text("largest drop by one family", "单特征族最大 AUC 降幅"),
            unit="index",
        ),
        Measure(
            name="level",
            label=Text("largest change of the mean probability", "平均概率最大变化倍数"),
            unit="ratio",
        ),
    ),
)

WEAK_SPOTS: Final = Check(
    id="robustness.weak_spots",
    family="robustness",
    title=Text("Weak spots", "薄弱区域"),
    purpose=Text(
        "Is there a region, that nobody thought of, in which the model is wrong?",
        "是否存在事先未想到的、模型失准的区域？",
    ),
    method=Text(
        "A shallow tree on half of the customers looks for regions where the log loss exceeds "
        "what the probabilities promise; the other half judges them: O/E with Poisson intervals of "
        "counts divided by the design effect of customers, and AUC.",
        "用一半客户训练浅层决策树，寻找对数损失超出概率预期的区域；另一半客户用于评估："
        "O/E（按客户设计效应折算计数的泊松区间）与 AUC。",
    ),
    signs=Text(
        "A region whose whole interval of O/E lies beyond 0.67 to 1.5.",
        "某区域的整个 O/E 区间超出 0.67–1.5。",
    ),
    limits=Text(
        "It finds large regions along few features; small or slanted ones it misses.",
        "只能发现由少数特征界定的较大区域，难以发现小的或斜向区域。",
    ),
    source="Chung et al. 2019, IEEE ICDE, 1550-1553 (slices); the honest halves after Athey and "
    "Imbens 2016, PNAS 113, 7353-7360",
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
        Measure(name="lowest_auc", label=Text("lowest AUC", "最低 AUC"), unit="index"),
        Measure(name="regions", label=Text("regions judged", "已评估区域数"), unit="count"),
    ),
)

OVERFIT: Final = Check(
    id="robustness.overfit",
    family="robustness",
    title=Text("Overfitting by region", "分区域过拟合"),
    purpose=Text(
        "Does the model know its training rows better than new ones, and where?",
        "模型对训练样本的表现是否优于新样本，集中在何处？",
    ),
    method=Text(
        "AUC on training rows less AUC on current rows, over all and in quarters of each leading "
        "feature; what counts is the lower end of a gap's interval.",
        "训练样本 AUC 减去当前样本 AUC，分别在整体及各主要特征的四分位区域计算，"
        "以差值区间的下限为准。",
    ),
    signs=Text("A gap above 0.04 that chance does not explain.", "差值超过 0.04 且非偶然。"),
    limits=Text(
        "A gap may also come from later times being harder; compare with the decline of the AUC. "
        "Intervals count rows as independent and are not corrected for the number of regions: "
        "of many regions with few positives some stray by chance.",
        "差值也可能源于后期样本更难区分，应结合 AUC 下降检验判断。"
        "区间假定样本相互独立且未按区域数校正：区域多而正样本少时会有偶然偏离。",
    ),
    source="ValidMind, OverfitDiagnosis (the bound)",
    measures=(
        Measure(
            name="gap", label=Text("AUC, training less current", "AUC 训练减当前"), unit="index"
        ),
        Measure(
            name="largest_low",
            label=Text("largest lower end of a region's gap", "区域差值区间下限的最大值"),
            unit="index",
        ),
        Measure(name="regions", label=Text("regions judged", "已评估区域数"), unit="count"),
    ),
)

RANGE: Final = Check(
    id="robustness.training_range",
    family="robustness",
    title=Text("Outside the training range", "超出训练范围"),
    purpose=Text(
        "How much of what is scored is unlike anything the model learned from?",
        "有多少待评分样本的取值为训练样本所未有？",
    ),
    method=Text(
        "Share of rows in which a leading feature is below the smallest or above the largest of "
        "the training rows, as the bundle keeps them, or a category it has never seen; O/E of "
        "such rows. Features that move with time alone, such as the age of the oldest row, are "
        "counted apart: all history grows beyond what training knew. The table has all features.",
        "主要特征值小于训练最小值或大于最大值（取自模型包），或出现未见过类别的样本占比，"
        "及其 O/E。仅随时间变动的特征（如历史长度）必然超出训练范围，另行统计；"
        "表中列出全部特征。",
    ),
    signs=Text(
        "Many such rows with an O/E above 1: trees cannot go on rising beyond what they saw.",
        "此类样本较多且 O/E 高于 1：树模型无法外推。",
    ),
    limits=Text(
        "Each feature is looked at alone: a new combination of usual values is not seen.",
        "逐个特征检查，无法发现常见取值的新组合。",
    ),
    source="convention",
    measures=(
        Measure(
            name="rows",
            label=Text("share of rows with such a value", "任一主要特征超范围的样本占比"),
            unit="share",
        ),
        Measure(
            name="rows_time_bound",
            label=Text(
                "the same of features that move with time alone", "同上（仅随时间变动的特征）"
            ),
            unit="share",
        ),
        Measure(
            name="highest",
            label=Text("highest share of a leading feature", "主要特征最高占比"),
            unit="share",
        ),
        Measure(
            name="o_e",
            label=Text("observed over expected of such rows", "此类样本的 O/E"),
            unit="ratio",
        ),
    ),
)
