"""What the checks of data ask, how, and what they cannot see."""

from __future__ import annotations

from typing import Final

from kyc_ml.validation.check import Check, Measure
from kyc_ml.validation.text import Text

LINEAGE: Final = Check(
    id="data.lineage",
    family="data",
    title=Text("Lineage", "数据血缘"),
    purpose=Text(
        "Is this the data that the model was trained on, and what came since?",
        "这是否为训练所用数据？其后新增了什么？",
    ),
    method=Text(
        "SHA-256 of every file read now against those that the bundle recorded.",
        "将当前读取的每个文件的 SHA-256 与模型包记录比较。",
    ),
    signs=Text("A file of the past that changed without a reason.", "历史文件无故变化。"),
    limits=Text(
        "A file that grows every day has another digest every day.", "每日追加的文件摘要每日不同。"
    ),
    source="convention",
    measures=(
        Measure(name="files", label=Text("files read", "读取文件数"), unit="count"),
        Measure(
            name="changed",
            label=Text("files changed since training", "训练后变化的文件数"),
            unit="count",
        ),
        Measure(
            name="missing",
            label=Text("files of training that are gone", "训练文件缺失数"),
            unit="count",
        ),
    ),
)

QUARANTINE: Final = Check(
    id="data.quarantine",
    family="data",
    title=Text("Quarantine", "隔离数据"),
    purpose=Text(
        "How much of the data was refused, and does the count reconcile?",
        "有多少数据被拒收？数量是否勾稽一致？",
    ),
    method=Text(
        "Rows read = accepted + quarantined for each table; rows refused by rule; warnings.",
        "逐表核对：读取 = 接受 + 隔离；按规则统计被拒行与警告。",
    ),
    signs=Text("More than 1 % of a table refused.", "某表被拒超过 1%。"),
    limits=Text(
        "Rules find what is impossible, not what is wrong but plausible.",
        "规则只能发现不可能的数据，无法发现看似合理的错误。",
    ),
    source="convention",
    measures=(
        Measure(
            name="highest_share", label=Text("highest share refused", "最高被拒占比"), unit="share"
        ),
        Measure(name="refused", label=Text("rows refused", "被拒行数"), unit="count"),
        Measure(name="warnings", label=Text("rows with warnings", "警告行数"), unit="count"),
    ),
)

REPRESENTATIVENESS: Final = Check(
    id="data.representativeness",
    family="data",
    title=Text("Representativeness", "代表性"),
    purpose=Text(
        "Are the customers judged here of the kinds that the model learned from?",
        "当前客户群体是否与模型学习时的群体一致？",
    ),
    method=Text(
        "PSI of each segment's shares, training sample against current rows, beside the critical "
        "value; share of rows in a segment that training never saw.",
        "对各客群占比计算训练抽样与当前样本的 PSI 及临界值；以及训练中未出现客群的样本占比。",
    ),
    signs=Text("A segment that is new or has grown a lot.", "新出现或大幅增长的客群。"),
    limits=Text("Only the segments that the policy names are looked at.", "仅检查策略所列客群。"),
    source="Yurdakul and Naranjo 2020, Journal of Risk Model Validation 14(3), 89-100",
    measures=(
        Measure(
            name="highest_psi", label=Text("highest PSI of a segment", "客群最高 PSI"), unit="index"
        ),
        Measure(name="critical_95", label=Text("95 % critical value", "95% 临界值"), unit="index"),
        Measure(
            name="unseen", label=Text("rows in unseen segments", "未见客群样本占比"), unit="share"
        ),
    ),
)

MISSINGNESS: Final = Check(
    id="data.missingness",
    family="data",
    title=Text("Missing values", "缺失值"),
    purpose=Text(
        "Do features go missing that were there when the model was trained?",
        "训练时存在的特征现在是否缺失？",
    ),
    method=Text(
        "Share of missing values of each feature, reference against current rows.",
        "比较参照样本与当前样本各特征的缺失占比。",
    ),
    signs=Text(
        "A feature that is now missing everywhere: a source has stopped, or a mapping broke.",
        "某特征现在全部缺失：数据源中断或映射失效。",
    ),
    limits=Text("A value that is there may still be wrong.", "有值不代表正确。"),
    source="convention",
    measures=(
        Measure(
            name="emptied",
            label=Text("features now missing everywhere", "现全部缺失的特征数"),
            unit="count",
        ),
        Measure(
            name="largest_rise",
            label=Text("largest rise of a missing share", "缺失占比最大上升"),
            unit="share",
        ),
        Measure(name="features", label=Text("features", "特征数"), unit="count"),
    ),
)

MATURITY: Final = Check(
    id="data.label_maturity",
    family="data",
    title=Text("Label maturity", "标签成熟度"),
    purpose=Text(
        "Are outcomes old enough to be believed, and does the maturity suit how they arrive?",
        "结果是否已足够成熟？成熟期是否符合结果到达规律？",
    ),
    method=Text(
        "States of the current rows' outcomes; days from decision to outcome of the reference "
        "rows' positives, and the share known within horizon and maturity.",
        "当前样本结果状态；参照样本中正样本从决策到结果已知的天数，"
        "以及在观察期加成熟期内已知的占比。",
    ),
    signs=Text(
        "Less than nine in ten positives known by then: the rest are counted as negatives.",
        "届时已知的正样本不足九成：其余被当作负样本。",
    ),
    limits=Text(
        "Positives that are known to no one even now are in no curve.",
        "至今无人知晓的正样本不在曲线中。",
    ),
    source="convention",
    measures=(
        Measure(
            name="judged",
            label=Text("share of rows with a mature outcome", "结果成熟样本占比"),
            unit="share",
        ),
        Measure(name="immature", label=Text("share too young", "未成熟占比"), unit="share"),
        Measure(name="open", label=Text("share under investigation", "调查中占比"), unit="share"),
        Measure(
            name="known_at_maturity",
            label=Text("positives known at maturity", "成熟时已知正样本占比"),
            unit="share",
        ),
    ),
)

POINT_IN_TIME: Final = Check(
    id="data.point_in_time",
    family="data",
    title=Text("Point-in-time audit", "时点一致性审计"),
    purpose=Text("Does any feature know the future?", "是否有特征使用了未来信息？"),
    method=Text(
        "At sampled decision times rows that nobody could know are deleted, corrupted and added, "
        "rows of equal times are shuffled, and features are computed again: none may move.",
        "在抽样决策时点删除、破坏、增加当时不可知的行，并打乱同一时刻的行，重新计算特征："
        "均不得变化。",
    ),
    signs=Text("Any feature that moves.", "任何特征发生变化。"),
    limits=Text(
        "A wrong known_at in the data itself deceives it; a sample of times is tried.",
        "若数据中的 known_at 本身有误则无法识破；仅抽查部分时点。",
    ),
    source="kyc-ml audit",
    measures=(
        Measure(name="moved", label=Text("features that moved", "发生变化的特征数"), unit="count"),
        Measure(
            name="observations", label=Text("observations audited", "审计样本数"), unit="count"
        ),
        Measure(name="touched", label=Text("rows tampered with", "篡改行数"), unit="count"),
    ),
)

LEAKAGE: Final = Check(
    id="data.leakage",
    family="data",
    title=Text("Leakage probes", "信息泄漏探测"),
    purpose=Text(
        "Does a feature know the label, or can noise be learned?",
        "是否有特征直接包含标签信息？能否从噪声中学到规律？",
    ),
    method=Text(
        "AUC of each feature alone on judged rows; AUC of a small model that learned shuffled "
        "labels, whose interval must hold 0.5.",
        "在可评估样本上计算单特征 AUC；用打乱标签训练小模型，其 AUC 区间须包含 0.5。",
    ),
    signs=Text("A feature above 0.95 alone.", "单特征 AUC 高于 0.95。"),
    limits=Text(
        "A leak that only shows in combination, or is faint, stays hidden.",
        "仅在组合中显现或很弱的泄漏无法发现。",
    ),
    source="convention",
    measures=(
        Measure(
            name="highest_auc",
            label=Text("highest AUC of one feature", "单特征最高 AUC"),
            unit="index",
        ),
        Measure(
            name="shuffled_auc",
            label=Text("AUC of shuffled labels", "打乱标签的 AUC"),
            unit="index",
        ),
        Measure(
            name="shuffled_miss",
            label=Text("how far its interval misses 0.5", "区间偏离 0.5 的距离"),
            unit="index",
        ),
    ),
)
