"""What the checks of tiers ask, how, and what they cannot see."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.check import Check, Measure
from kyc_ml.validation.text import Text

ORDERING: Final = Check(
    id="tiers.ordering",
    family="tiers",
    title=Text("Order of observed rates", "各等级实际率的排序"),
    purpose=Text("Does a higher tier hold more risk?", "等级越高，实际风险是否越高？"),
    method=Text(
        "Observed rates of neighbouring tiers; where the higher one has the lower rate, Fisher's "
        "exact test with mid-p, corrected after Holm. Tiers are those of the "
        "probability alone; those in force, with expert rating and overrides, are shown beside.",
        "比较相邻等级的实际率；若高等级实际率更低，作 Fisher 精确检验（mid-p）并作 Holm 校正。"
        "等级仅按概率划分；同时列出计入专家评级与规则调整后的现行等级。",
    ),
    signs=Text("An inversion that chance does not explain.", "无法用偶然性解释的倒置。"),
    limits=Text(
        "Tiers with few rows can only be inverted by a lot before it shows. Counts are divided by "
        "the design effect of customers with several rows, one for both tiers of a pair, and "
        "rounded.",
        "样本少的等级只有严重倒置才会被检出。计数按客户设计效应折算（每对等级共用一个）并取整。",
    ),
    source="Lancaster 1961, Journal of the American Statistical Association 56, 223-234 (mid-p)",
    measures=(
        Measure(name="inverted", label=Text("inverted pairs", "倒置的相邻等级对"), unit="count"),
        Measure(
            name="lowest_p",
            label=Text("lowest corrected p of an inversion", "倒置的最低校正 p 值"),
            unit="p-value",
        ),
        Measure(
            name="inverted_in_force",
            label=Text("inverted pairs of tiers in force", "现行等级中倒置的相邻等级对"),
            unit="count",
        ),
        Measure(
            name="lowest_p_in_force",
            label=Text(
                "lowest corrected p of an inversion in force", "现行等级倒置的最低校正 p 值"
            ),
            unit="p-value",
        ),
        Measure(name="tiers", label=Text("tiers with judged rows", "有样本的等级数"), unit="count"),
    ),
)

CONCENTRATION: Final = Check(
    id="tiers.concentration",
    family="tiers",
    title=Text("Concentration", "等级集中度"),
    purpose=Text(
        "Do the tiers still tell customers apart, or does one hold nearly all?",
        "等级是否仍能区分客户，还是集中于某一等级？",
    ),
    method=Text(
        "Shares of tiers; the ECB's Herfindahl index 1 + ln((CV^2 + 1) / K) / ln K, its change "
        "against the reference rows, and the plain sum of squared shares.",
        "各等级占比；欧洲央行赫芬达尔指数 1 + ln((CV²+1)/K)/ln K 及其相对参照样本的变化；"
        "各占比平方和。",
    ),
    signs=Text(
        "More than 60 % of all rows in one tier above the lowest.",
        "最低等级以外的某一等级占比超过 60%。",
    ),
    limits=Text(
        "With five tiers the test's p-value can hardly fall below 0.12: it is information only.",
        "五级分类下该检验的 p 值难以低于 0.12，仅供参考。",
    ),
    source="ECB 2019, Instructions for reporting the validation results of internal models, "
    "2.5.5.3",
    measures=(
        Measure(
            name="index",
            label=Text("Herfindahl index (ECB)", "赫芬达尔指数（ECB）"),
            unit="index",
        ),
        Measure(
            name="reference", label=Text("of the reference rows", "参照样本的指数"), unit="index"
        ),
        Measure(name="p_value", label=Text("p-value of a rise", "上升的 p 值"), unit="p-value"),
        Measure(name="herfindahl", label=Text("sum of squared shares", "占比平方和"), unit="index"),
        Measure(
            name="largest_share",
            label=Text("largest share above the lowest tier", "最低等级以外的最大占比"),
            unit="share",
        ),
        Measure(
            name="unreached",
            label=Text("tiers that no row's probability reaches", "概率未触及的等级数"),
            unit="count",
        ),
    ),
)

MIGRATION: Final = Check(
    id="tiers.migration",
    family="tiers",
    title=Text("Migration", "等级迁移"),
    purpose=Text(
        "How many customers change tier between the reference and now, how far, and which way?",
        "从参照期到当前有多少客户等级发生变化，幅度与方向如何？",
    ),
    method=Text(
        "Each customer's last tier in both periods. Matrix weighted bandwidth upward (to higher "
        "risk) and downward; z of neighbouring cells of a row, p small where moves grow with "
        "distance.",
        "取客户在两个时期的最后等级，计算向上（风险升高）与向下的矩阵加权带宽；"
        "逐行比较相邻单元的 z 值，若迁移随距离增加则 p 值小。",
    ),
    signs=Text(
        "A bandwidth near 1, or far moves more common than near ones.",
        "带宽接近 1，或远距离迁移多于近距离迁移。",
    ),
    limits=Text(
        "Customers seen in one period only are left out. Risk does change: movement is no fault. "
        "The lowest p is of many cells and not corrected for their number.",
        "仅在一个时期出现的客户不计入。风险本会变化，迁移本身并非缺陷。"
        "最低 p 值取自多个单元，未作多重性校正。",
    ),
    source="ECB 2019, Instructions for reporting the validation results of internal models, "
    "2.5.5.1 and 2.5.5.2",
    measures=(
        Measure(name="upward", label=Text("bandwidth upward", "向上带宽"), unit="index"),
        Measure(name="downward", label=Text("bandwidth downward", "向下带宽"), unit="index"),
        Measure(name="moved", label=Text("share that moved", "发生迁移的客户占比"), unit="share"),
        Measure(
            name="lowest_p",
            label=Text("lowest p of the z tests", "z 检验最低 p 值"),
            unit="p-value",
        ),
        Measure(
            name="customers", label=Text("customers in both", "两期均有的客户数"), unit="count"
        ),
    ),
)

OVERRIDES: Final = Check(
    id="tiers.overrides",
    family="tiers",
    title=Text("Overrides", "规则调整"),
    purpose=Text(
        "How often does a rule or a person overrule the model, and who was right?",
        "规则或人工推翻模型结果的频率如何？结果证明谁更准确？",
    ),
    method=Text(
        "Share of rows whose tier differs from the one before overrides, by direction, with the "
        "observed and the expected rate of these rows.",
        "等级与调整前不同的样本占比（分方向），以及这些样本的实际率与预期率。",
    ),
    signs=Text(
        "More than one in ten, or lowered rows that turn out bad.",
        "超过十分之一，或下调后出现问题的样本。",
    ),
    limits=Text(
        "Only rules of the policy file are seen, not overrides that people entered for a customer.",
        "仅包含策略文件中的规则，不含对单个客户录入的人工调整。",
    ),
    source="ECB 2019, section 2.5.2; the bound is convention",
    measures=(
        Measure(name="rate", label=Text("share overridden", "调整占比"), unit="share"),
        Measure(name="raised", label=Text("rows raised", "上调样本数"), unit="count"),
        Measure(name="lowered", label=Text("rows lowered", "下调样本数"), unit="count"),
        Measure(
            name="observed_over_expected",
            label=Text("observed over expected of overridden rows", "被调整样本的 O/E"),
            unit="ratio",
        ),
    ),
)
