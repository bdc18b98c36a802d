"""What the checks of explanation ask, how, and what they cannot see."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.check import Check, Measure
from kyc_ml.validation.text import Text

ADDITIVITY: Final = Check(
    id="explanation.additivity",
    family="explanation",
    title=Text("Additivity", "可加性"),
    purpose=Text(
        "Do base value and contributions add up to the score, for every row?",
        "每一行的基准值与各贡献之和是否等于模型得分？",
    ),
    method=Text(
        "Largest distance of base plus contributions from the margin, over all current rows.",
        "在全部当前样本上，基准值加贡献与原始得分（对数几率）之差的最大绝对值。",
    ),
    signs=Text(
        "More than rounding: reasons that do not explain the score.",
        "超出舍入误差：原因不能解释得分。",
    ),
    limits=Text(
        "It proves that nothing is lost, not that each share is fair.",
        "仅证明没有遗漏，不证明分配公平。",
    ),
    source="Lundberg et al. 2020, Nature Machine Intelligence 2, 56-67",
    measures=(
        Measure(name="worst_error", label=Text("largest error", "最大误差"), unit="log-odds"),
        Measure(name="rows", label=Text("rows", "样本数"), unit="count"),
    ),
)

AGREEMENT: Final = Check(
    id="explanation.shap_agreement",
    family="explanation",
    title=Text("Agreement with another implementation", "与其他实现的一致性"),
    purpose=Text("Does other code give the same contributions?", "其他实现是否得到相同的贡献值？"),
    method=Text(
        "Contributions of a sample of rows by kyc_ml's compiled tables against LightGBM's own "
        "TreeSHAP, which the package shap hands through for LightGBM models.",
        "抽样比较 kyc_ml 编译表与 LightGBM 自带 TreeSHAP 的贡献值（shap 包对 LightGBM 模型即调用"
        "后者）。",
    ),
    signs=Text("More than rounding.", "超出舍入误差。"),
    limits=Text(
        "Both compute path-dependent SHAP values: the check does not question that choice.",
        "两者均为路径依赖的 SHAP 值，本检验不评价该选择。",
    ),
    source="Lundberg et al. 2020, Nature Machine Intelligence 2, 56-67",
    measures=(
        Measure(
            name="largest_difference", label=Text("largest difference", "最大差异"), unit="log-odds"
        ),
        Measure(
            name="same_first_reason",
            label=Text("rows of the same first reason", "首要原因一致的样本占比"),
            unit="share",
        ),
    ),
)

MONOTONE: Final = Check(
    id="explanation.monotone",
    family="explanation",
    title=Text("Monotone directions", "单调方向"),
    purpose=Text(
        "Where more of a feature is declared to be more risk, does the score never fall?",
        "对声明为单调的特征，取值增大时得分是否从不反向变化？",
    ),
    method=Text(
        "Each declared feature of a sample of rows is set to the 21 training quantiles one after "
        "the other; the margin may not move against the declared direction.",
        "对抽样样本的每个声明特征依次取训练集 21 个分位值，"
        "原始得分（对数几率）不得逆声明方向变化。",
    ),
    signs=Text("Any movement against the direction.", "任何反向变化。"),
    limits=Text(
        "Between two quantiles, and for rows not drawn, nothing is seen.",
        "分位点之间以及未抽取的样本未检查。",
    ),
    source="LightGBM documentation, monotone_constraints",
    measures=(
        Measure(
            name="violations",
            label=Text("steps against the direction", "反向变化次数"),
            unit="count",
        ),
        Measure(name="largest", label=Text("largest such step", "最大反向幅度"), unit="log-odds"),
        Measure(name="features", label=Text("features checked", "检查的特征数"), unit="count"),
    ),
)

REASONS: Final = Check(
    id="explanation.reasons",
    family="explanation",
    title=Text("Steadiness of reasons", "原因的稳健性"),
    purpose=Text(
        "Do the reasons survive an error of rounding in the data?",
        "数据出现舍入级误差时，原因是否保持不变？",
    ),
    method=Text(
        "Each number is moved in its ranks by a normal draw of half a percent of the rows; "
        "overlap (Jaccard) of each row's reasons before and after, and how often the first one "
        "stays.",
        "将各数值按排名作标准差为 0.5% 的移动，"
        "计算每行原因前后的 Jaccard 重合度及首要原因保持比例。",
    ),
    signs=Text(
        "An overlap below 0.8: reasons that an analyst cannot rely on.",
        "重合度低于 0.8：分析人员难以依赖。",
    ),
    limits=Text(
        "Counts and flags get values they cannot have; reasons near each other may swap harmless"
        "ly.",
        "所有特征同时移动；强度相近的原因互换并无妨害。",
    ),
    source="Alvarez-Melis and Jaakkola 2018, arXiv 1806.08049; the bound is convention",
    measures=(
        Measure(name="overlap", label=Text("overlap of reasons", "原因重合度"), unit="share"),
        Measure(
            name="first_kept",
            label=Text("rows that keep the first reason", "首要原因不变的占比"),
            unit="share",
        ),
    ),
)
