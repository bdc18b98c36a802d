"""What the checks of stability ask, how, and what they cannot see."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.check import Check, Measure
from kyc_ml.validation.text import Text

_PSI_LIMITS = Text(
    "A shift of the population is no fault of the model, but may outdate it. Critical values "
    "take all rows of a customer for one piece of evidence (Kish's effective number of "
    "customers): where they differ, a shift must be larger than needed before it counts.",
    "人群变化并非模型缺陷，但可能使模型过时。临界值将同一客户的全部样本视为一份证据"
    "（Kish 有效客户数）；若客户内样本各异，则临界值偏保守。",
)
_PSI_SOURCE = (
    "Siddiqi 2006, Credit Risk Scorecards; Yurdakul and Naranjo 2020, Journal of Risk Model "
    "Validation 14(3), 89-100 (critical values); Kish 1965, Survey Sampling (effective number)"
)

SCORE: Final = Check(
    id="stability.score_psi",
    family="stability",
    title=Text("Drift of the score (PSI)", "分数漂移（PSI）"),
    purpose=Text(
        "Is the score spread as when the model was trained?", "分数分布是否与训练时一致？"
    ),
    method=Text(
        "PSI = sum (a - e) ln(a / e) over deciles frozen on the reference rows and over tiers, "
        "half a count added to each bin; beside it what 5 and 1 of 100 unshifted samples of "
        "these sizes exceed.",
        "PSI = Σ(a−e)ln(a/e)，分箱为参照样本冻结的十分位及等级，每箱加 0.5；"
        "并列出无漂移时该样本量下的 95% 与 99% 临界值。",
    ),
    signs=Text("Above 0.25, and above the critical value.", "高于 0.25 且高于临界值。"),
    limits=_PSI_LIMITS,
    source=_PSI_SOURCE,
    measures=(
        Measure(name="psi", label=Text("PSI of the score", "分数 PSI"), unit="index"),
        Measure(name="critical_95", label=Text("95 % critical value", "95% 临界值"), unit="index"),
        Measure(name="critical_99", label=Text("99 % critical value", "99% 临界值"), unit="index"),
        Measure(name="p_value", label=Text("p-value of no shift", "无漂移的 p 值"), unit="p-value"),
        Measure(name="tier_psi", label=Text("PSI of tiers", "等级 PSI"), unit="index"),
    ),
)

FEATURES: Final = Check(
    id="stability.feature_csi",
    family="stability",
    title=Text("Drift of features (CSI)", "特征漂移（CSI）"),
    purpose=Text(
        "Are the features that matter most still spread as they were?",
        "最重要特征的分布是否保持不变？",
    ),
    method=Text(
        "As for the score, for each feature with bins frozen on the reference rows and a bin for "
        "missing values; gates hold for the features with the largest contributions, each against "
        "its own critical value: told is the one that breaks most.",
        "方法同分数漂移，每个特征使用参照样本冻结的分箱并单设缺失箱；"
        "阈值仅适用于贡献最大的特征，各自与自身临界值比较，列出超出最甚者。",
    ),
    signs=Text(
        "A leading feature above 0.25: look for a change of source, code or conduct.",
        "主要特征高于 0.25：应排查数据源、代码或行为变化。",
    ),
    limits=Text(
        "Features that move with time alone (all history, days to a date, shares shrunk to the "
        "level of the whole bank) are gated apart, and only as a finding; seasons shift others. "
        "Critical values are of one feature: of many, some exceed theirs by chance, which the "
        "bounds of 0.10 and 0.25 absorb but for few customers.",
        "仅随时间变化的特征（全部历史、距某日期的天数、向全行水平收缩的占比）"
        "单独设阈值且仅作为发现；季节性也会造成偏移。"
        "临界值针对单个特征：特征较多时会有偶然超出，客户数少时 0.10 与 0.25 的界限不足以抵消。",
    ),
    source=_PSI_SOURCE,
    measures=(
        Measure(
            name="highest",
            label=Text(
                "highest CSI of a leading feature that time alone does not move",
                "主要特征（不随时间自然变化）最高 CSI",
            ),
            unit="index",
        ),
        Measure(
            name="highest_time_bound",
            label=Text(
                "highest CSI of a leading feature that moves with time alone",
                "主要特征（仅随时间变化）最高 CSI",
            ),
            unit="index",
        ),
        Measure(name="critical_95", label=Text("95 % critical value", "95% 临界值"), unit="index"),
        Measure(name="critical_99", label=Text("99 % critical value", "99% 临界值"), unit="index"),
        Measure(
            name="critical_99_time_bound",
            label=Text(
                "99 % critical value of the one that moves with time alone",
                "仅随时间变化特征的 99% 临界值",
            ),
            unit="index",
        ),
        Measure(
            name="above_amber",
            label=Text("leading features above 0.10", "高于 0.10 的主要特征数"),
            unit="count",
        ),
        Measure(
            name="highest_of_all",
            label=Text("highest CSI of any feature", "所有特征最高 CSI"),
            unit="index",
        ),
    ),
)

IMPORTANCE: Final = Check(
    id="stability.importance",
    family="stability",
    title=Text("Stability of what matters", "重要特征的稳定性"),
    purpose=Text(
        "Does the model still decide by the same features?", "模型是否仍依据相同的特征作判断？"
    ),
    method=Text(
        "Mean size of contributions over all reference and all current rows: overlap (Jaccard) of "
        "the ten strongest features, and Spearman's rank correlation of all.",
        "在全部参照样本与当前样本上计算平均贡献绝对值："
        "前十特征的 Jaccard 重合度及全部特征的 Spearman 秩相关。",
    ),
    signs=Text("An overlap below 0.6.", "重合度低于 0.6。"),
    limits=Text(
        "Correlated features may take turns without any change in what the model knows.",
        "相关特征之间可能互相替代，并不代表模型认知变化。",
    ),
    source="Lundberg et al. 2020, Nature Machine Intelligence 2, 56-67; the bound is convention",
    measures=(
        Measure(
            name="top_10_overlap",
            label=Text("overlap of the ten strongest", "前十特征重合度"),
            unit="share",
        ),
        Measure(name="rank_correlation", label=Text("rank correlation", "秩相关"), unit="index"),
    ),
)

REASONS: Final = Check(
    id="stability.reasons",
    family="stability",
    title=Text("Drift of reasons", "原因分布漂移"),
    purpose=Text(
        "Do analysts read the same first reasons as before?",
        "分析人员看到的首要原因是否与以往一致？",
    ),
    method=Text(
        "PSI of the first reason over features, reference against current rows.",
        "首要原因在各特征上的分布，比较参照样本与当前样本的 PSI。",
    ),
    signs=Text("A reason that was rare is now the commonest.", "原本少见的原因变为最常见。"),
    limits=_PSI_LIMITS,
    source=_PSI_SOURCE,
    measures=(
        Measure(name="psi", label=Text("PSI of first reasons", "首要原因 PSI"), unit="index"),
        Measure(name="critical_95", label=Text("95 % critical value", "95% 临界值"), unit="index"),
        Measure(
            name="largest_change",
            label=Text("largest change of a share", "占比最大变化"),
            unit="share",
        ),
    ),
)
