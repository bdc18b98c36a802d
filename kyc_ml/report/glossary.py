"""Words of a report explained to a reader who is no statistician."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.text import Text

GLOSSARY: Final[tuple[tuple[Text, Text], ...]] = (
    (
        Text("AUC, Gini", "AUC、Gini"),
        Text(
            "AUC is the chance that a positive, drawn at random, scores above a negative: 0.5 is "
            "guessing, 1 perfect. Gini is 2 AUC − 1. Neither depends on how rare positives are.",
            "AUC 为随机抽取的正样本得分高于负样本的概率：0.5 为随机，1 为完美。"
            "Gini = 2·AUC − 1。两者均与正样本稀少程度无关。",
        ),
    ),
    (
        Text("Average precision", "平均精确率"),
        Text(
            "Mean precision along the precision-recall curve. Its floor is the prevalence.",
            "精确率-召回率曲线上的平均精确率，其下限为正样本占比。",
        ),
    ),
    (
        Text("Bootstrap", "自助法"),
        Text(
            "Figures computed again on samples drawn with replacement, customers drawn whole; "
            "their spread gives the interval.",
            "有放回地按客户整体抽样并重新计算指标，以其离散程度给出区间。",
        ),
    ),
    (
        Text("Brier score", "Brier 分数"),
        Text(
            "Mean squared distance of probability and outcome; lower is better. Small by nature "
            "where positives are rare.",
            "概率与结果之差的平方均值，越小越好；正样本稀少时数值天然较小。",
        ),
    ),
    (
        Text("Calibration", "校准"),
        Text(
            "Whether a probability of 2 % comes true in two cases out of a hundred.",
            "预测概率为 2% 的样本是否确有百分之二发生。",
        ),
    ),
    (
        Text("Capacity", "复核容量"),
        Text(
            "How many cases people can review in a day; precision and recall there are what "
            "operations will meet.",
            "每日可人工复核的案件数；该处的精确率与召回率即业务实际体验。",
        ),
    ),
    (
        Text("Contribution", "特征贡献"),
        Text(
            "What a feature added to one score, in log-odds (SHAP value); base and contributions "
            "sum to the score before calibration.",
            "特征对单个分数的增量（对数几率，SHAP 值）；基准值与全部贡献之和等于校准前分数。",
        ),
    ),
    (
        Text("Finding", "问题"),
        Text(
            "A gate that is broken. Amber must be mended by its owner until its due date; red "
            "fails the model.",
            "被触发的阈值。黄色须由负责人限期整改；红色则模型不通过。",
        ),
    ),
    (
        Text("Gate", "阈值"),
        Text(
            "A bound that the validation policy sets for a figure, with its source and severity. "
            "Equal to the bound passes.",
            "验证政策为指标设定的界限，注明依据与严重程度；等于界限视为满足。",
        ),
    ),
    (
        Text("Holm's correction", "Holm 校正"),
        Text(
            "Makes p-values of several tests larger, so that chance alone seldom gives even one "
            "small one among them.",
            "对多重检验的 p 值进行上调，使仅因偶然出现小 p 值的概率受控。",
        ),
    ),
    (
        Text("Jeffreys test", "Jeffreys 检验"),
        Text(
            "How likely the true rate of a tier lies at or below its predicted one, given the "
            "positives that came. Small: the risk is underestimated.",
            "在已发生正样本条件下，等级真实率不高于预测率的概率；过小表示风险被低估。",
        ),
    ),
    (
        Text("KS", "KS"),
        Text(
            "Largest distance between the shares of positives and negatives above a threshold.",
            "在任一阈值之上，正、负样本占比之差的最大值。",
        ),
    ),
    (
        Text("Mature outcome", "结果成熟"),
        Text(
            "Old enough that a positive would be known by now. Younger rows are left out, never "
            "counted as negative.",
            "已足够久、若为正样本应已获知。未成熟样本不纳入评估，绝不计为负样本。",
        ),
    ),
    (
        Text("Observed / expected (O/E)", "实际/预期（O/E）"),
        Text(
            "Positives that came over those the probabilities promised. Above 1 the risk was "
            "underestimated.",
            "实际正样本数与预测之比；大于 1 表示风险被低估。",
        ),
    ),
    (
        Text("p-value", "p 值"),
        Text(
            "Chance of a result at least as far off if nothing were wrong. Small speaks against "
            "chance; large proves nothing.",
            "在一切正常的前提下出现至少如此偏离结果的概率；小则不支持偶然，大并不证明无问题。",
        ),
    ),
    (
        Text("Precision, recall", "精确率、召回率"),
        Text(
            "Share of the flagged that are positive; share of the positives that are flagged.",
            "被标记样本中正样本的占比；正样本中被标记的占比。",
        ),
    ),
    (
        Text("PSI, CSI", "PSI、CSI"),
        Text(
            "How far the distribution of scores, or of a feature, moved from the reference. By "
            "chance alone it is above 0 where rows are few: critical values allow for it.",
            "分数或特征分布相对参照的偏移程度。样本少时仅因抽样也会大于 0，临界值已予考虑。",
        ),
    ),
    (
        Text("Prevalence", "正样本占比"),
        Text("Share of positives among all rows.", "全部样本中正样本的占比。"),
    ),
    (
        Text("Tier", "风险等级"),
        Text(
            "Band of probability with rules for due diligence and review.",
            "对应尽职调查与复核要求的概率区间。",
        ),
    ),
    (
        Text("95 % interval", "95% 区间"),
        Text(
            "Range that would hold the true value in 95 of 100 such samples. Wide means few "
            "positives, not a poor model.",
            "在 100 次同类抽样中约有 95 次包含真值的范围。区间宽说明正样本少，并非模型差。",
        ),
    ),
)
"""Term and explanation, in the order of the English alphabet."""
