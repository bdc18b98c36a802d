"""What the checks of calibration ask, how, and what they cannot see."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.check import Check, Measure
from kyc_ml.validation.text import Text

_MANY = Text(
    "With many rows it finds deviations too small to matter; rows count as independent.",
    "样本量大时会检出无实质意义的微小偏差；假定样本相互独立。",
)

OVERALL: Final = Check(
    id="calibration.overall",
    family="calibration",
    title=Text("Level and spread of probabilities", "概率的整体水平与离散程度"),
    purpose=Text(
        "Are there as many positives as predicted, and are probabilities neither too extreme nor "
        "too timid?",
        "实际正样本数是否与预测一致？概率是否过于极端或过于保守？",
    ),
    method=Text(
        "Observed over expected positives with the Poisson interval of counts divided by the "
        "design effect of customers; intercept and slope of logit P = a + b logit p, which are 0 "
        "and 1 for a calibrated model, with Wald intervals.",
        "实际与预期正样本数之比（O/E）及按客户设计效应折算计数的泊松区间；"
        "logit P = a + b·logit p 的截距与斜率（校准时为 0 和 1）及 Wald 区间。",
    ),
    signs=Text(
        "O/E far from 1: the base rate moved. A slope below 1: overfitted, too extreme.",
        "O/E 远离 1：基准率发生变化。斜率低于 1：过拟合，概率过于极端。",
    ),
    limits=Text(
        "Errors in opposite directions can cancel out over all rows: see tiers and segments. With "
        "few positives O/E leaves 0.8 to 1.25 by chance: read the interval.",
        "相反方向的误差会在整体上抵消，应结合等级与客群查看。正样本较少时 O/E 可能偶然超出 "
        "0.8–1.25，应参看区间。",
    ),
    source="Cox 1958, Biometrika 45, 562-565; Garwood 1936, Biometrika 28, 437-442; Rao and "
    "Scott 1992, Biometrics 48, 577-585",
    measures=(
        Measure(name="o_e", label=Text("observed over expected", "O/E"), unit="ratio"),
        Measure(name="o_e_low", label=Text("lower end of O/E", "O/E 区间下限"), unit="ratio"),
        Measure(name="o_e_high", label=Text("upper end of O/E", "O/E 区间上限"), unit="ratio"),
        Measure(name="intercept", label=Text("intercept", "截距"), unit="log-odds"),
        Measure(name="slope", label=Text("slope", "斜率"), unit="ratio"),
        Measure(
            name="p_value",
            label=Text("p-value of (0, 1)", "截距与斜率为 (0, 1) 的 p 值"),
            unit="p-value",
        ),
    ),
)

RELIABILITY: Final = Check(
    id="calibration.reliability",
    family="calibration",
    title=Text("Reliability", "可靠性曲线"),
    purpose=Text(
        "How far are predicted from observed rates along the whole scale?",
        "在整个概率区间上，预测率与实际率相差多少？",
    ),
    method=Text(
        "Bins of equal mass with Jeffreys intervals; mean (ECE) and largest (MCE) distance of "
        "both rates.",
        "等量分箱并给出 Jeffreys 区间；两者之差的平均值（ECE）与最大值（MCE）。",
    ),
    signs=Text(
        "Bins whose interval misses the predicted rate, one after the other.",
        "连续多个分箱的区间不包含预测率。",
    ),
    limits=Text(
        "ECE depends on the bins, and is never exactly 0 by chance alone. Intervals of bins count "
        "rows as independent.",
        "ECE 依赖分箱方式，且因抽样波动不会恰好为 0。分箱区间假定样本相互独立。",
    ),
    source="Naeini, Cooper and Hauskrecht 2015, AAAI, 2901-2907",
    measures=(
        Measure(name="ece", label=Text("mean distance (ECE)", "平均偏差（ECE）"), unit="share"),
        Measure(name="mce", label=Text("largest distance (MCE)", "最大偏差（MCE）"), unit="share"),
        Measure(
            name="ece_over_prevalence",
            label=Text("ECE over prevalence", "ECE 与正样本占比之比"),
            unit="ratio",
        ),
    ),
)

BRIER: Final = Check(
    id="calibration.brier",
    family="calibration",
    title=Text("Brier score and its parts", "Brier 分数及其分解"),
    purpose=Text(
        "How much of the error is miscalibration, and how much does the model tell apart?",
        "误差中有多少源于失准？模型的分辨贡献有多大？",
    ),
    method=Text(
        "Mean squared error = reliability - resolution + uncertainty (+ what varies within bins); "
        "skill is 1 - Brier / uncertainty.",
        "均方误差 = 可靠性 − 分辨度 + 不确定性（+ 分箱内波动）；技巧分 = 1 − Brier / 不确定性。",
    ),
    signs=Text(
        "A skill at or below 0: the base rate alone predicts as well.",
        "技巧分不高于 0：仅用基准率即可达到同样效果。",
    ),
    limits=Text(
        "With rare positives all Brier scores are small: read the skill.",
        "正样本稀少时 Brier 分数普遍很小，应看技巧分。",
    ),
    source="Murphy 1973, Journal of Applied Meteorology 12, 595-600",
    measures=(
        Measure(name="brier", label=Text("Brier score", "Brier 分数"), unit="index"),
        Measure(name="reliability", label=Text("reliability", "可靠性"), unit="index"),
        Measure(name="resolution", label=Text("resolution", "分辨度"), unit="index"),
        Measure(name="uncertainty", label=Text("uncertainty", "不确定性"), unit="index"),
        Measure(name="skill", label=Text("skill", "技巧分"), unit="index"),
        Measure(
            name="skill_high", label=Text("upper end of the skill", "技巧分区间上限"), unit="index"
        ),
    ),
)

SPIEGELHALTER: Final = Check(
    id="calibration.spiegelhalter",
    family="calibration",
    title=Text("Spiegelhalter's test", "Spiegelhalter 检验"),
    purpose=Text(
        "Is the Brier score what it would be if all probabilities were true?",
        "若所有概率均属实，Brier 分数是否应为该值？",
    ),
    method=Text(
        "z = sum (y - p)(1 - 2p) / sqrt(sum p (1 - p)(1 - 2p)^2), two-sided against the normal "
        "distribution.",
        "z = Σ(y−p)(1−2p) / √Σ p(1−p)(1−2p)²，对标准正态分布作双侧检验。",
    ),
    signs=Text(
        "A small p-value with an O/E or slope that matters.", "p 值小，且 O/E 或斜率有实质偏离。"
    ),
    limits=_MANY,
    source="Spiegelhalter 1986, Statistics in Medicine 5, 421-433",
    measures=(
        Measure(name="z", label=Text("z", "z"), unit="index"),
        Measure(name="p_value", label=Text("p-value", "p 值"), unit="p-value"),
    ),
)

HOSMER_LEMESHOW: Final = Check(
    id="calibration.hosmer_lemeshow",
    family="calibration",
    title=Text("Hosmer-Lemeshow test", "Hosmer-Lemeshow 检验"),
    purpose=Text(
        "Do observed and expected counts agree in ten groups of rising probability?",
        "按概率由低到高分为十组，各组实际与预期数量是否一致？",
    ),
    method=Text(
        "Sum of squared standardised differences over ten groups of equal mass, against chi-square "
        "with as many degrees of freedom as groups: the rows fitted nothing.",
        "十个等量组标准化差异平方和，自由度等于组数（样本未参与拟合）。",
    ),
    signs=Text(
        "A small p-value with a reliability curve that leaves the diagonal.",
        "p 值小，且可靠性曲线偏离对角线。",
    ),
    limits=_MANY,
    source="Hosmer and Lemeshow 1980, Communications in Statistics A9, 1043-1069",
    measures=(
        Measure(name="statistic", label=Text("statistic", "统计量"), unit="index"),
        Measure(name="degrees", label=Text("degrees of freedom", "自由度"), unit="count"),
        Measure(name="p_value", label=Text("p-value", "p 值"), unit="p-value"),
    ),
)

JEFFREYS: Final = Check(
    id="calibration.jeffreys",
    family="calibration",
    title=Text("Jeffreys test", "Jeffreys 检验"),
    purpose=Text(
        "Does any tier, or the whole, hold more risk than its probabilities say?",
        "是否有等级或整体的实际风险高于其预测概率？",
    ),
    method=Text(
        "After D positives of N rows the rate is Beta(D + 1/2, N - D + 1/2); p is its mass below "
        "the mean probability: small means risk is under-predicted. Holm's correction over tiers, "
        "which is milder than the ECB's test of each alone; all rows together are one test more. "
        "Gates are for counts divided by the design effect of customers with several rows.",
        "N 行中有 D 个正样本时，比率服从 Beta(D+½, N−D+½)；p 为低于平均预测概率的质量，"
        "过小表示低估风险。对各等级作 Holm 校正（较欧洲央行逐级检验宽松），全部样本另作一次检验。"
        "阈值适用于按客户设计效应折算后的计数。",
    ),
    signs=Text("A corrected p below 0.05 for under-prediction.", "低估方向的校正 p 值低于 0.05。"),
    limits=Text(
        "With many rows it finds deviations too small to matter. By rows, as the ECB has it, it "
        "takes them as independent, which those of one customer are not. By customer, where rows "
        "of one depend on each other, it rejects a true level for over-prediction in about 6.5 of "
        "100 at 0.05, and far more often where few customers have positives: in about 24 where 6 "
        "positives are expected of 50 customers.",
        "样本量大时会检出无实质意义的微小偏差。欧洲央行按行计算，假定样本独立，而同一客户的多行并不独立。"
        "按客户折算且客户内样本相关时，高估方向在 0.05 水平的误报率约为 6.5%；"
        "有正样本的客户很少时更高：50 个客户预期 6 个正样本时约为 24%。",
    ),
    source="ECB 2019, Instructions for reporting the validation results of internal models, "
    "2.5.3.1; Holm 1979, Scandinavian Journal of Statistics 6, 65-70; Rao and Scott 1992, "
    "Biometrics 48, 577-585",
    measures=(
        Measure(
            name="under_p",
            label=Text("lowest corrected p of under-prediction", "低估方向最低校正 p 值"),
            unit="p-value",
        ),
        Measure(
            name="over_p",
            label=Text("lowest corrected p of over-prediction", "高估方向最低校正 p 值"),
            unit="p-value",
        ),
        Measure(
            name="under_p_all",
            label=Text("p of under-prediction of all rows", "全部样本低估方向 p 值"),
            unit="p-value",
        ),
        Measure(
            name="under_p_rows",
            label=Text("the same of under-prediction, by rows", "同上（低估，按行）"),
            unit="p-value",
        ),
        Measure(
            name="over_p_rows",
            label=Text("the same of over-prediction, by rows", "同上（高估，按行）"),
            unit="p-value",
        ),
    ),
)

BINOMIAL: Final = Check(
    id="calibration.binomial",
    family="calibration",
    title=Text("Binomial test by tier", "分等级二项检验"),
    purpose=Text(
        "Does any tier hold more risk than its probabilities say?",
        "是否有等级的实际风险高于其预测概率？",
    ),
    method=Text(
        "p = P(X >= D) for X ~ Binomial(N, mean probability), exact; Holm's correction over tiers.",
        "X 服从二项分布 (N, 平均预测概率)，p = P(X ≥ D)，精确计算；对各等级作 Holm 校正。",
    ),
    signs=JEFFREYS.signs,
    limits=Text(
        "Conservative with few rows, where Jeffreys is not; rows count as independent.",
        "样本少时偏保守（Jeffreys 检验无此问题）；假定样本相互独立。",
    ),
    source="Basel Committee 2005, Working Paper 14; Holm 1979",
    measures=JEFFREYS.measures[:2],
)

SEGMENTS: Final = Check(
    id="calibration.segments",
    family="calibration",
    title=Text("Level of probabilities by segment", "分客群概率水平"),
    purpose=Text(
        "Is there a kind of customer whose risk is under- or overstated?",
        "是否存在风险被低估或高估的客群？",
    ),
    method=Text(
        "Observed over expected in each value of the policy's segments, with Poisson intervals of "
        "counts divided by the design effect of customers. What counts is the end of the interval "
        "nearer to 1.",
        "对策略所列客群的各取值计算 O/E 及按客户设计效应折算计数的泊松区间，"
        "以区间中较接近 1 的一端为准。",
    ),
    signs=Text(
        "A segment whose whole interval lies beyond the gates.", "某客群的整个区间超出阈值。"
    ),
    limits=Text(
        "Of many segments some stray by chance: intervals are not corrected for their number. A "
        "sound one has its lower end above 1.25 in at most 0.5 of 100, however few it expects.",
        "客群较多时会有偶然偏离，区间未作多重性校正。校准良好的客群，无论预期数多少，"
        "区间下限超过 1.25 的概率不超过 0.5%。",
    ),
    source="Garwood 1936, Biometrika 28, 437-442; Rao and Scott 1992, Biometrics 48, 577-585",
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
        Measure(name="judged", label=Text("segments judged", "已评估客群数"), unit="count"),
    ),
)
