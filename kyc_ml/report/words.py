"""The words of a report that are its own, in English and Chinese."""

from __future__ import annotations

from typing import Final, Literal

from kyc_ml.report.columns import COLUMNS, VALUES
from kyc_ml.validation.text import Text

Language = Literal["en", "zh"]


def say(text: Text, language: Language) -> str:
    """Give a text in one language."""
    return text.zh if language == "zh" else text.en


def word(key: str, language: Language) -> str:
    """Give one of the report's own words."""
    return say(WORDS[key], language)


def name_column(column: str, language: Language) -> str:
    """Name a column of a table; one without a Chinese name keeps its own."""
    plain = column.replace("_", " ")
    return COLUMNS.get(column, plain) if language == "zh" else plain


def translate_value(value: str, language: Language) -> str:
    """Name a category; names of the user's own, such as tiers and segments, stay."""
    if language == "en":
        return value.replace("_", " ")
    return VALUES.get(value, value.replace("_", " "))


WORDS: Final[dict[str, Text]] = {
    "title": Text("Validation report", "模型验证报告"),
    "internal": Text(
        "Internal only: tiers, figures and findings must not be disclosed to customers.",
        "仅限内部使用：风险等级、指标与问题清单不得向客户披露。",
    ),
    "contents": Text("Contents", "目录"),
    "glance": Text("At a glance", "概览"),
    "pass": Text("Pass", "通过"),
    "pass_with_findings": Text("Pass with findings", "通过（有待整改问题）"),
    "fail": Text("Fail", "不通过"),
    "finding": Text("Finding", "发现问题"),
    "information": Text("No gate", "无阈值"),
    "not_judged": Text("Not judged", "未评估"),
    "standing_pass": Text("✓ its check passes", "✓ 所属检验通过"),
    "standing_finding": Text("! its check has a finding", "! 所属检验有发现"),
    "standing_fail": Text("✕ its check fails", "✕ 所属检验未通过"),
    "standing_information": Text("no gate", "无阈值"),
    "standing_not_judged": Text("not judged", "未评估"),
    "not_applicable": Text("Not applicable", "不适用"),
    "amber": Text("amber", "黄色"),
    "red": Text("red", "红色"),
    "said_pass": Text(
        "Every gate of the policy is kept. The version may be put forward for promotion.",
        "所有验证阈值均满足，该版本可提交审批上线。",
    ),
    "said_pass_with_findings": Text(
        "No red gate is broken. Each finding below needs an owner and a due date in the sign-off "
        "before the version may be promoted.",
        "未触发红色阈值。下列问题须在签署时逐项明确负责人与整改期限，方可审批上线。",
    ),
    "said_fail": Text(
        "At least one red gate is broken: kyc-ml refuses to promote this version.",
        "至少触发一项红色阈值：系统拒绝将该版本上线。",
    ),
    "comma": Text(", ", "，"),
    "colon": Text(": ", "："),
    "no_rows": Text("none.", "无。"),
    "said_checks": Text("{count} checks: {told}.", "共 {count} 项检验：{told}。"),
    "count_fail": Text("{n} failed", "不通过 {n} 项"),
    "count_finding": Text("{n} with a finding", "发现问题 {n} 项"),
    "count_pass": Text("{n} passed", "通过 {n} 项"),
    "count_not_judged": Text("{n} not judged", "未评估 {n} 项"),
    "count_information": Text("{n} without a gate", "无阈值 {n} 项"),
    "count_not_applicable": Text("{n} not applicable", "不适用 {n} 项"),
    "said_rows": Text(
        "Judged on {judged} rows with {positives} positives of {customers} customers, decided "
        "from {since} to before {until}.",
        "评估样本 {judged} 条，其中正样本 {positives} 条，涉及客户 {customers} 名，"
        "决策时间自 {since} 起、{until} 之前。",
    ),
    "partial": Text(
        "Only some checks were run. This report approves nothing.",
        "本报告仅运行了部分检验，不能作为批准依据。",
    ),
    "checks": Text("Checks", "检验"),
    "check": Text("Check", "检验"),
    "family": Text("Family", "类别"),
    "verdict": Text("Verdict", "结论"),
    "figures": Text("Figures that decide", "关键指标"),
    "figure": Text("Figure", "指标"),
    "value": Text("Value", "数值"),
    "interval": Text("95 % interval", "95% 区间"),
    "threshold": Text("Gate", "阈值"),
    "source": Text("Source", "依据"),
    "findings": Text("Findings", "发现的问题"),
    "no_findings": Text("No finding: every gate is kept.", "未发现问题：所有阈值均满足。"),
    "severity": Text("Severity", "严重程度"),
    "owner": Text("Owner", "负责人"),
    "due": Text("Due", "整改期限"),
    "id": Text("Id", "编号"),
    "what": Text("What was found", "问题说明"),
    "changes": Text("What changed since the last version", "与上一版本相比的变化"),
    "no_previous": Text(
        "No report of an earlier version was given: there is nothing to compare with.",
        "未提供上一版本的验证报告，无从比较。",
    ),
    "before": Text("Before", "上一版本"),
    "now": Text("Now", "本版本"),
    "change": Text("Change", "变化"),
    "chance": Text("Beyond chance", "超出抽样波动"),
    "chance_note": Text(
        "Listed are the figures that decide, and others that moved beyond chance: each value lies "
        "outside the other's 95 % interval. With many figures a few such moves are expected.",
        "列出关键指标，以及变化超出抽样波动的其他指标（双方数值均在对方 95% 区间之外）。"
        "指标较多时，少量此类变化属正常现象。",
    ),
    "other_gates": Text(
        "The earlier report was held against other gates: verdicts do not compare.",
        "上一份报告采用了不同的阈值，结论不可直接比较。",
    ),
    "new_findings": Text("New findings", "新增问题"),
    "gone_findings": Text("Findings that are gone", "已消除的问题"),
    "changed_verdicts": Text("Checks with another verdict", "结论发生变化的检验"),
    "nothing_moved": Text(
        "No figure that can be compared moved beyond chance.", "可比指标均未超出抽样波动。"
    ),
    "yes": Text("yes", "是"),
    "no": Text("no", "否"),
    "identity": Text("Model and evidence", "模型与证据"),
    "model": Text("Model", "模型"),
    "version": Text("Version", "版本"),
    "bundle": Text("Bundle digest (SHA-256)", "模型包摘要（SHA-256）"),
    "unit": Text("One observation is", "观测单位"),
    "fraud": Text("a transaction at its own time", "一笔交易（以交易发生时刻为准）"),
    "risk": Text("a customer at a review date", "一名客户（以评级日为准）"),
    "use": Text("Intended use", "预期用途"),
    "use_fraud": Text(
        "Rank transactions for review by people. Not for refusing a payment or a customer "
        "without a person's review, and not a proof of misconduct.",
        "为人工复核对交易进行排序。不得未经人工复核直接拒绝交易或客户，亦不构成违规证据。",
    ),
    "use_risk": Text(
        "Rank customers for due diligence by tier, beside rules and expert rating. Not for "
        "ending a relationship without a person's review, and not a proof of misconduct.",
        "结合规则与专家评级，按风险等级安排尽职调查。不得未经人工复核终止业务关系，亦不构成违规证据。",
    ),
    "trainer": Text("Trained by", "训练人"),
    "trained_at": Text("Trained at", "训练时间"),
    "known_until": Text("Learned from what was known until", "训练数据截止"),
    "features": Text("Features", "特征数"),
    "trees": Text("Trees", "树的数量"),
    "tier_policy": Text("Tier policy", "风险等级政策"),
    "validator": Text("Validated by", "验证人"),
    "created_at": Text("Made at (UTC)", "生成时间（UTC）"),
    "as_of": Text("Used what was known until", "验证数据截止"),
    "gates": Text("Validation policy", "验证政策"),
    "valid_until": Text("Valid for promotion until", "审批有效期至"),
    "data": Text("Data digest (SHA-256)", "数据摘要（SHA-256）"),
    "data_source": Text("Data source", "数据来源"),
    "files": Text("Data files", "数据文件"),
    "file": Text("File", "文件"),
    "command": Text("Command", "命令"),
    "took": Text("Took", "耗时"),
    "code": Text("Code", "代码版本"),
    "not_recorded": Text("not recorded", "未记录"),
    "rows": Text("Rows the figures come from", "指标所用样本"),
    "role": Text("Role", "用途"),
    "current": Text("judged", "评估"),
    "reference": Text("compared with", "对照"),
    "train": Text("learned from", "训练"),
    "origin": Text("What they are", "说明"),
    "period": Text("Decided from / before", "决策时间（起 / 止）"),
    "all_rows": Text("Rows", "样本数"),
    "judged": Text("With mature outcome", "结果已成熟"),
    "positives": Text("Positives", "正样本"),
    "customers": Text("Customers", "客户数"),
    "purpose": Text("Question", "检验问题"),
    "method": Text("Method", "方法"),
    "signs": Text("Signs of risk", "风险信号"),
    "limits": Text("What it cannot see", "局限"),
    "rerun": Text("Rerun", "重新运行"),
    "shown_rows": Text(
        "{shown} of {total} rows; all of them in {file}",
        "显示 {total} 行中的 {shown} 行，全部见 {file}",
    ),
    "seconds": Text("{seconds} s", "{seconds} 秒"),
    "why_not": Text("Does not apply: ", "不适用："),
    "undefined": Text("undefined", "无定义"),
    "no_gate": Text("none", "无"),
    "sign_off": Text("Conclusion and sign-off", "验证结论与签署"),
    "unsigned": Text(
        "Not signed off yet. kyc-ml sign-off enters the conclusion, and an owner and a due date "
        "for each finding, into the audit log.",
        "尚未签署。请使用 kyc-ml sign-off 将验证结论及各项问题的负责人与整改期限写入审计日志。",
    ),
    "concluded": Text("The validator's conclusion on it", "验证人据此得出的结论"),
    "conclusion": Text("Conclusion", "验证结论"),
    "approve": Text("Approved", "同意"),
    "approve_with_conditions": Text("Approved with conditions", "附条件同意"),
    "reject": Text("Rejected", "不同意"),
    "materiality": Text("Materiality", "重要性等级"),
    "conditions": Text("Conditions", "使用条件"),
    "comment": Text("Comment", "说明"),
    "signed_by": Text("Signed off by", "签署人"),
    "signed_at": Text("Signed off at (UTC)", "签署时间（UTC）"),
    "receipt": Text("Entry in the audit log", "审计日志条目"),
    "name_line": Text("Name", "姓名"),
    "date_line": Text("Date", "日期"),
    "signature_line": Text("Signature", "签字"),
    "glossary": Text("Glossary", "术语表"),
    "sorted_hint": Text("Click a heading to sort.", "点击表头可排序。"),
    "made_by": Text("Made by kyc_ml.", "由 kyc_ml 生成。"),
    "pages_note": Text(
        "Intervals are at 95 %. A gate's source stands beside it; convention is said to be one.",
        "区间均为 95%。每项阈值旁注明依据；属惯例者如实注明。",
    ),
    "was": Text("was", "上一版本"),
    "top": Text("Back to top", "回到顶部"),
    "data_of_plots": Text("Tables", "数据表"),
}
"""Every word of the page that no check brings with it."""
