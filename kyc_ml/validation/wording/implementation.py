"""What the checks of implementation ask, how, and what they cannot see."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.check import Check, Measure
from kyc_ml.validation.text import Text

REPRODUCTION: Final = Check(
    id="implementation.reproduction",
    family="implementation",
    title=Text("Reproduction", "可复现性"),
    purpose=Text(
        "Does training again give the same bundle, to the last byte?",
        "重新训练是否得到逐字节相同的模型包？",
    ),
    method=Text(
        "Training from the run's own record (kyc-ml reproduce), SHA-256 of both bundles.",
        "依据训练记录重新训练（kyc-ml reproduce），比较两个模型包的 SHA-256。",
    ),
    signs=Text("Another digest: nobody can say what was trained.", "摘要不同：无法说明训练内容。"),
    limits=Text(
        "It proves that the record is complete, not that the training was right.",
        "证明记录完整，不证明训练正确。",
    ),
    source="kyc-ml reproduce",
    measures=(
        Measure(name="differing", label=Text("files that differ", "不同的文件数"), unit="count"),
        Measure(name="changes", label=Text("versions that changed", "变化的版本数"), unit="count"),
    ),
)

RECORDED: Final = Check(
    id="implementation.recorded_figures",
    family="implementation",
    title=Text("Recorded figures", "记录指标复算"),
    purpose=Text(
        "Are the figures that the developer reported true?", "开发人员报告的指标是否属实？"
    ),
    method=Text(
        "Figures of the training run's test part are computed again from data, with the labels "
        "known on the training date, and held against those that the bundle recorded.",
        "用数据及训练日已知标签重新计算训练运行测试部分的指标，与模型包记录比较。",
    ),
    signs=Text(
        "Any difference: other data, other code, or labels that were known too early.",
        "任何差异：数据不同、代码不同或标签过早可知。",
    ),
    limits=Text(
        "A fault that training and validation share, in features or labels, is repeated.",
        "训练与验证共有的特征或标签错误会重复出现。",
    ),
    source="convention",
    measures=(
        Measure(
            name="auc_difference", label=Text("difference of the AUC", "AUC 差异"), unit="index"
        ),
        Measure(
            name="largest_difference",
            label=Text("largest difference of any figure", "指标最大差异"),
            unit="index",
        ),
        Measure(
            name="rows_difference", label=Text("difference of rows", "样本数差异"), unit="count"
        ),
    ),
)

PARITY: Final = Check(
    id="implementation.parity",
    family="implementation",
    title=Text("Batch, single and served scores", "批量、单笔与服务评分一致"),
    purpose=Text(
        "Does a row get the same score alone, in a batch, and from the served model?",
        "同一行在单笔、批量与在线服务中是否得到相同结果？",
    ),
    method=Text(
        "A sample is scored as a batch, row by row, and through the served model's face (pyfunc); "
        "probabilities, tiers and first reasons are compared.",
        "对抽样样本分别批量、逐行及通过服务接口（pyfunc）评分，比较概率、等级与首要原因。",
    ),
    signs=Text("Any difference.", "任何差异。"),
    limits=Text(
        "The served model is called in this process, not over a network.",
        "服务模型在本进程内调用，未经网络。",
    ),
    source="convention",
    measures=(
        Measure(
            name="largest_difference",
            label=Text("largest difference of a probability", "概率最大差异"),
            unit="share",
        ),
        Measure(
            name="other_tier", label=Text("rows of another tier", "等级不同的行数"), unit="count"
        ),
        Measure(
            name="other_reason",
            label=Text("rows of another first reason", "首要原因不同的行数"),
            unit="count",
        ),
        Measure(name="rows", label=Text("rows compared", "比较行数"), unit="count"),
    ),
)

RECONCILIATION: Final = Check(
    id="implementation.reconciliation",
    family="implementation",
    title=Text("Reconciliation", "勾稽核对"),
    purpose=Text("Was every observation scored exactly once?", "每个观测是否恰好评分一次？"),
    method=Text(
        "Observations listed = rows scored; no identifier twice; no undefined probability; the "
        "states of outcomes and the tiers each add up to all rows.",
        "观测数 = 评分行数；标识不重复；概率均有定义；结果状态与等级之和均等于总行数。",
    ),
    signs=Text("Any row lost, doubled or undefined.", "任何丢失、重复或未定义的行。"),
    limits=Text(
        "It counts what this validation scored, not what a past night did.",
        "仅核对本次验证的评分，不涉及历史批次。",
    ),
    source="convention",
    measures=(
        Measure(name="lost", label=Text("observations not scored", "未评分观测数"), unit="count"),
        Measure(name="doubled", label=Text("identifiers twice", "重复标识数"), unit="count"),
        Measure(
            name="undefined", label=Text("undefined probabilities", "未定义概率数"), unit="count"
        ),
        Measure(name="rows", label=Text("rows scored", "评分行数"), unit="count"),
    ),
)
