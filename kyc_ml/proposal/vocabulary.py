"""What banks call their columns, files and codes: English, Chinese and pinyin.

General words only. A name is evidence, never proof: values have to agree with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from kyc_ml.contract.tables import CONTRACT

# Roles that are no contracted column of their own, but help to make one.
PAYER: Final = "payer"
PAYEE: Final = "payee"
DEBIT: Final = "debit_amount"
CREDIT: Final = "credit_amount"
CURRENCY: Final = "currency"
CLOCK: Final = "clock"
LABEL: Final = "label"
LABEL_TIME: Final = "label_time"
DURATION: Final = "duration"
OPENED: Final = "opened"
RESOLVED: Final = "resolved"
CONFIRMED: Final = "confirmed"
HOLDER: Final = "holder"
CARD: Final = "card"


WHOLE: Final = "="
"""Before a word that speaks for a role only where it is the whole name."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORDS: Final[Mapping[str, str]] = {
    "transaction_id": "transaction_id trans_id tran_id tx_id txn_id trx_id payment_id booking_id "
    "transaction_no transaction_number txn_no trans_no trn_ref booking_ref payment_ref "
    "reference_no payment_no booking_no pmt_id pmt_no pmt_ref txn_ref tx_ref trx_ref trans_ref "
    "transaction_ref tran_ref 流水号 交易流水 交易号 交易编号 lsh jylsh liushuihao jiaoyihao",
    "customer_id": "customer_id cust_id client_id customer cust_no customer_no customer_number "
    "client_no cif cif_no party_id person_id user_id =user =uid user_no member_id =member "
    "subscriber_id borrower_id applicant_id consumer_id buyer_id holder_id =holder "
    "=account_holder cc_num client_ref "
    "cust_ref customer_ref client_number party_ref client 客户号 客户编号 客户id "
    "客户代码 客户标识 =客户 用户号 用户编号 用户id =用户 会员号 会员编号 持卡人 借款人编号 "
    "khh khbh khid kehuhao kehu_id kehu yhh yonghu yonghu_id huiyuanhao",
    "account_id": "account_id acct_id acc_id account_no account_number acct_no acct_num acc_no "
    "iban acct =account account_ref acct_ref acc_ref wallet_id 账号 "
    "账户号 账户编号 帐号 帐户 账户 卡号 银行卡号 交易卡号 zh zhanghao zhanghu kahao kh "
    "card_no card_number",
    "counterparty_id": "counterparty_id counterparty merchant_id merchant merch_id terminal_id "
    "terminal counter_account cp_id other_account opponent partner shop_id store_id payee_id "
    "account_to beneficiary_account merchant_no merchant_number merchant_code 对方账号 对手账号 "
    "对方账户 交易对手 对手 商户号 商户编号 商户代码 商户 终端号 "
    "dfzh shanghu duifang_zhanghao",
    PAYER: "payer source_account source_node source sender sender_id from_account from_acct orig "
    "name_orig originator orig_acct src src_acct source_id from_id payer_account "
    "from_bank_account debtor account_from ordering_account 付款账号 付款方 付款人 转出账号 "
    "汇款人 fkzh fukuan_zhanghao",
    PAYEE: "payee target_account target_node target receiver receiver_id recipient to_account "
    "to_acct bene name_dest beneficiary bene_acct dest dst dest_acct target_id to_id "
    "payee_account destination creditor 收款账号 收款方 收款人 转入账号 skzh shoukuan_zhanghao",
    "device_id": "device_id device device_fingerprint imei mac_address terminal_device 设备号 "
    "设备 shebei shebeihao",
    "event_id": "event_id log_id session_id login_id 事件号 日志号",
    "report_id": "report_id 报告号",
    "case_id": "case_id alert_id sar_id str_id incident_id fraud_id case_no case_ref "
    "alert_no alert_ref dispute_id dispute_no dispute_ref 案件号 预警号 案件编号",
    "review_id": "review_id loan_id application_id appl_id loan_no application_no "
    "application_number 贷款号 贷款编号 申请号 申请编号 申请单号 审查号 借据号 jjh",
    "event_time": "event_time transaction_time transaction_date transaction_datetime tx_datetime "
    "tx_time tx_date txn_date txn_time trans_date trans_time trans_date_trans_time trx_date "
    "tran_date tran_timestamp timestamp datetime date_time booking_date booked_on value_date "
    "payment_date event_date occurred_at date time ts step unix_time created_at opened_at "
    "open_date opening_date start_date since issued issue_date valid_from effective_date as_of "
    "review_date granted_on loan_date application_date applied_on report_date value_stamp stamp "
    "month_end month period statement_date snapshot_date observation_date data_date cutoff_date "
    "数据日期 观察日期 统计日期 月末 月份 账期 申请日期 申请时间 "
    "交易时间 交易日期 发生时间 日期 时间 开户日期 开户时间 生效日期 放款日期 "
    "jysj jyrq jiaoyi_shijian jiaoyi_riqi riqi shijian",
    "known_at": "known_at recorded_at booked_at posted_at posting_date post_date posted "
    "reported_at reported_on loaded_at ingested_at confirmed_at confirmed_on discovered_at "
    "detected_at decided_at 入账时间 入账日期 记账日期 记账时间 录入时间 登记时间 "
    "确认时间 rzrq ruzhang",
    CLOCK: "time tx_time txn_time trans_time transaction_time time_of_day clock hour_minute 时间 "
    "交易时间 jysj shijian",
    "amount": "amount amt transaction_amount tx_amount txn_amount trans_amount trn_amt value sum "
    "base_amt amount_cents amount_fen payment_amount amount_paid amount_usd paid_amount =price "
    "transaction_value 金额 交易金额 发生额 支付金额 转账金额 jine jyje je fse zfje",
    DEBIT: "debit_amount debit_amt withdrawal_amount withdrawals money_out paid_out out_amount "
    "debit outflow 借方金额 借方发生额 支出金额 支出 jffse",
    CREDIT: "credit_amount credit_amt deposit_amount deposits money_in paid_in in_amount credit "
    "inflow 贷方金额 贷方发生额 收入金额 收入 dffse",
    "direction": "direction dc dr_cr cr_dr dc_flag debit_credit credit_debit dc_ind dc_indicator "
    "sign in_out flow type transaction_type tx_type txn_type trans_type 借贷标志 收付标志 "
    "借贷方向 借贷 收支 jdbz jiedai shoufu 交易方向",
    "balance": "balance balance_after running_balance acct_balance account_balance new_balance "
    "new_balance_orig 余额 账户余额 ye yue zhye",
    CURRENCY: "payment_currency currency ccy curr currency_code iso_currency transaction_currency "
    "币种 货币 币别 货币种类 bz bizhong",
    "instrument": "instrument payment_method payment_type payment_format method operation means "
    "transaction_type tx_type txn_type trans_type type use_chip 交易类型 交易方式 支付方式 "
    "结算方式 jylx zffs",
    "channel": "channel tx_channel txn_channel delivery_channel entry_mode chan 渠道 交易渠道 "
    "qudao jyqd",
    "country": "country country_code counterparty_country merchant_country beneficiary_country "
    "cntry bene_country ip_country ctry 国家 国别 对方国家 guojia",
    "region": "region province state city district area 省份 地区 省 城市 diqu shengfen",
    "customer_type": "customer_type client_type cust_type party_type entity_type person_type "
    "legal_form kind 客户类型 客户类别 khlx kehu_leixing",
    "segment": "segment customer_segment business_line tier_segment client_segment 客群 客户分层",
    "industry": "industry occupation job profession sector naics sic 行业 职业 hangye zhiye",
    "residence_country": "residence_country country_of_residence residence domicile 居住国 "
    "常住国家",
    "nationality": "nationality citizenship country_of_birth 国籍 guoji",
    "birth_date": "birth_date date_of_birth dob birthday birthdate birth_number founded_on born "
    "date_of_founding 出生日期 生日 成立日期 csrq shengri",
    "onboarded_at": "onboarded_at onboarding_date customer_since client_since registration_date "
    "registered_at join_date relationship_start 开户日期 建立关系日期 注册日期 khrq",
    "onboarding_channel": "onboarding_channel acquisition_channel signup_channel 开户渠道",
    "document_type": "document_type id_type doc_type 证件类型 证件种类 zjlx",
    "document_number": "document_number id_number id_no national_id passport_no doc_no ssn "
    "证件号码 证件号 身份证号 身份证 sfzh zjhm",
    "document_expiry": "document_expiry id_expiry expiry_date doc_expiry 证件到期日 证件有效期 "
    "zjdqr",
    "declared_income": "declared_income income annual_income yearly_income salary turnover "
    "年收入 收入 申报收入 nsr nianshouru",
    "pep_status": "pep_status pep is_pep politically_exposed 政治人物 政要",
    "list_hit": "list_hit sanctioned is_sanctioned watchlist watch_list sanctions_hit 名单命中 "
    "黑名单",
    "account_type": "account_type acct_type product product_type card_type 账户类型 产品 zhlx",
    "status": "status account_status acct_status state 账户状态 状态 zhzt",
    HOLDER: "type role relation relation_type holder_type disposition ownership 关系 角色 持有类型",
    "event_type": "event_type action activity event type log_type 事件类型 事件 操作类型 caozuo",
    "provider": "provider source_system bureau vendor 机构 来源",
    "item": "item indicator metric measure 指标 项目",
    "value": "value score item_value 值 分值 得分",
    "outcome": "outcome disposition result decision resolution conclusion verdict finding 结论 "
    "结果 处理结果 五级分类 贷款分类 风险分类 "
    "loan_grade asset_grade jielun",
    "typology": "typology fraud_scenario scenario fraud_type alert_type crime_type pattern "
    "scheme 类型学 手法 案件类型",
    LABEL: "label is_fraud fraud fraud_flag tx_fraud fraud_label is_laundering is_sar sar "
    "sar_flag is_suspicious suspicious is_alert alert class target is_bad bad default is_default "
    "defaulted default_flag chargeback is_flagged 是否违约 是否逾期 是否坏账 五级分类 贷款分类 "
    "loan_grade 是否欺诈 欺诈 欺诈标志 是否可疑 可疑 违约 逾期 标签 sfqz "
    "loan_status status",
    LABEL_TIME: "fraud_step fraud_date fraud_time alert_date sar_date label_date default_date "
    "fraud_at defaulted_on default_day charge_off_date 违约日期 违约时间 逾期日期 欺诈日期",
    OPENED: "opened opened_at opened_on raised raised_at raised_on dispute_date",
    RESOLVED: "resolved resolved_at resolved_on closed closed_at closed_on closed_date "
    "closing_date resolution_date",
    CONFIRMED: "confirmed confirmed_at confirmed_on confirmed_date confirmed_time confirm_date "
    "confirm_time confirmation_date confirmation_time verified_at verified_on verification_date "
    "decided_at decided_on decision_date verdict_date adjudicated_at adjudicated_on 确认日期 "
    "确认时间 核实日期 核实时间 查实日期 查实时间 认定日期 认定时间 定性日期 定性时间 判定日期 "
    "判定时间 结案日期 结案时间 分类日期 分类时间 评级日期 graded_on graded_at grade_date "
    "grading_date classified_on classification_date qrrq qrsj queren_riqi queren_shijian hsrq "
    "heshi_riqi rdrq rending_riqi dxrq dingxing_riqi jarq jiean_riqi",
    CARD: "card_id =card =pan cardno",
    DURATION: "duration term months tenor loan_term 期限 期数 qixian",
}
ROLES: Final = {role: tuple(words.split()) for role, words in _WORDS.items()}

# Words in the name of a file that tell what its rows are.
_FILE_WORDS: Final = {
    "transactions": "transaction transactions trans tx txn payment payments transfer transfers "
    "booking bookings ledger statement 交易 流水 明细 liushui jiaoyi zhuanzhang",
    "customers": "customer customers client clients cust party parties person persons kyc nodes "
    "客户 kehu",
    "accounts": "account accounts acct 账户 帐户 zhanghu",
    "events": "event events login logins log logs session card cards device devices 登录 事件 日志 "
    "denglu",
    "third_party": "third_party bureau report reports due_diligence external 征信 尽调 外部",
    "cases": "case cases alert alerts fraud frauds sar str chargeback chargebacks label labels "
    "incident incidents dispute disputes complaint complaints 案件 预警 欺诈 可疑 标签 anjian",
    "reviews": "review reviews loan loans application applications credit 审查 贷款 申请 daikuan",
}
FILE_WORDS: Final = {table: tuple(words.split()) for table, words in _FILE_WORDS.items()}

# Codes by what they mean; the first word of a longer code counts too.
INTO: Final = _words(
    "in credit cr c deposit incoming received receive inflow cash_in payin topup refund interest "
    "credited salary 贷 收 贷方 收入 转入 存入 存款 入账 来账 收款 进"
)
OUT_OF: Final = _words(
    "out debit dr d withdrawal withdraw outgoing payment paid purchase spend outflow cash_out "
    "payout transfer_out fee sent debited pos 借 付 支 借方 支出 转出 取款 支取 往账 付款 消费 出"
)
INSTRUMENTS: Final = {
    "cash": "cash atm 现金 取现 xianjin",
    "card": "card credit_card debit_card pos chip swipe 卡 刷卡 银行卡",
    "transfer": "transfer wire remittance collection ach sepa eft swift standing_order "
    "转账 汇款 zhuanzhang",
    "cheque": "cheque check 支票",
}
PERSONS: Final = _words("person individual natural retail private i p 个人 自然人 对私")
ENTITIES: Final = _words(
    "entity company corporate legal business organisation organization c e 企业 公司 单位 对公 法人"
)
OWNERS: Final = _words("owner primary main holder principal 户主 主 本人 持有人 所有人")
STATUSES: Final = {
    "open": "open active opened live normal 正常 活跃 开户",
    "closed": "closed inactive terminated cancelled 销户 注销 关闭",
    "frozen": "frozen blocked suspended 冻结 止付",
}
OUTCOMES: Final = {
    "confirmed_fraud": "confirmed_fraud fraud fraudulent confirmed chargeback 欺诈 确认欺诈 盗刷",
    "str_filed": "str_filed sar str reported laundering suspicious filed 可疑 已上报 洗钱",
    "default": "default defaulted bad charged unpaid overdue debt late delinquent 违约 逾期 坏账",
    "cleared": "cleared clear legitimate genuine good paid false closed normal no_action current "
    "正常 排除 误报 结清",
    "open": "open pending investigating in_progress 处理中 待定",
}
GRADES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("正常", "关注", "pass", "normal", "special mention", "special_mention"), "cleared"
    ),
    **dict.fromkeys(("次级", "可疑", "损失", "substandard", "doubtful", "loss"), "default"),
}
"""Five grades of loans, as they become outcomes: the last three are non-performing.

Source: 商业银行金融资产风险分类办法 (银保监会、人民银行令〔2023〕第1号), articles 5 to 11.
"""
# A negated allegation clears; what is negated or doubted otherwise, only the user can say.
ALLEGATIONS: Final = _words(
    "fraud fraudulent chargeback laundering suspicious default defaulted 欺诈 盗刷 可疑 洗钱 违约 "
    "逾期"
)
NEGATIONS: Final = _words("not no non none never without isn isnt")
NEGATING_SIGNS: Final = ("非", "未", "无", "不", "没")
UNPROVEN: Final = _words(
    "unconfirmed unproven unfounded unsubstantiated suspected possible potential alleged rejected "
    "dismissed withdrawn denied"
)
SAID_IN_CHINESE: Final[Mapping[str, str]] = {
    "年龄": "age", "性别": "sex", "学历": "education", "教育程度": "education",
    "婚姻状况": "marital_status", "婚姻": "marital_status", "住房": "housing",
    "住房状况": "housing", "月收入": "monthly_income", "年收入": "annual_income",
    "授信额度": "credit_limit", "信用额度": "credit_limit", "额度": "credit_limit",
    "额度使用率": "utilisation", "使用率": "utilisation", "余额": "balance",
    "逾期次数": "overdue_payments", "近半年逾期次数": "overdue_payments_180d",
    "近一年逾期次数": "overdue_payments_365d", "逾期天数": "days_past_due",
    "贷款金额": "loan_amount", "贷款期限": "loan_term", "利率": "interest_rate",
    "工作年限": "years_employed", "职业": "occupation", "单位性质": "employer_type",
    "子女数": "children", "家庭人数": "household_size", "城市": "city", "省份": "province",
    "产品": "product", "产品类型": "product_type", "客户等级": "customer_grade",
    "风险等级": "risk_grade", "信用评分": "credit_score", "评分": "score",
    "担保方式": "collateral_type", "还款方式": "repayment_method", "就业状况": "employment",
    "摘要": "booking_text", "商户类别": "mcc", "行业代码": "industry_code",
}  # fmt: skip
"""Usual attributes of customers and loans, and what they are called in English."""
LATER_WORDS: Final = _words(
    "return returned returns refund chargeback dispute closed closing resolved resolution outcome "
    "result recovery recovered collection written label target flag fraud default 退回 结案 核销 "
    "追回 催收"
)
"""Words of what is known only after the fact."""
KINDS: Final = re.compile(
    r"类别|类型|种类|分类|行业|城市|(^|_)(category|type|class|mcc|city|state|country|zip)($|_)"
)
"""Words of a name that tell what kind somebody is of, or where, and not who."""
ENDLESS: Final = frozenset(
    {"长期", "永久", "长期有效", "永久有效", "无期限", "无限期", "终身", "long-term", "long term",
     "longterm", "permanent", "indefinite", "unlimited", "forever", "lifetime", "never",
     "no expiry"}
)  # fmt: skip
"""Written for the end of a validity that never ends, in small letters."""

DOCUMENTS: Final[Mapping[str, str]] = {
    word.replace("_", " "): kind
    for kind, words in {
        "resident_id": "resident_id 身份证 居民身份证 二代身份证 第二代身份证 二代居民身份证 "
        "第二代居民身份证 中国居民身份证 sfz shenfenzheng",
        "company_code": "company_code 统一社会信用代码 社会信用代码 统一社会信用代码证 营业执照 "
        "uscc unified_social_credit_code yyzz",
        "passport": "passport 护照 中国护照 外国护照 huzhao",
    }.items()
    for word in words.split()
}
"""Kind of an identity document by the words for it, in small letters."""
ANY_IDENTITY_CARDS: Final = ("id card", "identity card", "national id", "id", "nid", "idcard")
"""Cards of any country: those of 18 characters are taken for Chinese ones."""

# What stands beside a number.
DEBIT_MARKS: Final = _words("DR Dr dr DB DEBIT Debit debit D J 借 借方 支 支出 付 支取")
CREDIT_MARKS: Final = _words("CR Cr cr CREDIT Credit credit C 贷 贷方 收 收入 存入")
UNITS: Final[Mapping[str, float]] = {
    **{"百": 1e2, "千": 1e3, "仟": 1e3, "万": 1e4, "萬": 1e4, "百万": 1e6, "千万": 1e7},
    **{"亿": 1e8, "億": 1e8, "万亿": 1e12, "角": 0.1, "分": 0.01, "%": 0.01},
    **{"k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6, "mn": 1e6, "MM": 1e6, "Mio": 1e6, "mio": 1e6},
    **{"bn": 1e9, "B": 1e9, "Mrd": 1e9, "T": 1e12, "lakh": 1e5, "crore": 1e7},
}
_CURRENCIES: Final = {
    "CNY": "¥ 元 圆 RMB 人民币",
    "USD": "$ US$ 美元",
    "EUR": "€ 欧元",
    "GBP": "£ 英镑",
    "HKD": "HK$ 港币 港元",
    "JPY": "円 日元",
    "INR": "₹ Rs Rs.",
    **{"KRW": "₩", "RUB": "₽", "TRY": "₺", "VND": "₫", "THB": "฿", "BRL": "R$", "CZK": "Kč"},
    **{"PLN": "zł", "SEK": "kr", "SGD": "S$", "AUD": "A$", "CAD": "C$", "TWD": "NT$"},
    **dict.fromkeys(_words("CHF NOK DKK HUF MXN ZAR IDR MYR PHP AED SAR NGN KES ILS NZD"), ""),
}
_CURRENCY_NAMES: Final = (
    "CNY yuan|chinese yuan|renminbi, USD us dollar|dollar, EUR euro, GBP uk pound|pound|"
    "pound sterling, JPY yen|japanese yen, HKD hong kong dollar, INR rupee|indian rupee, RUB ruble|"
    "russian ruble, CHF swiss franc, AUD australian dollar, CAD canadian dollar, MXN mexican peso, "
    "BRL brazil real|real, SAR saudi riyal, ILS shekel, KRW won, SGD singapore dollar"
)
CURRENCY_CODES: Final[Mapping[str, str]] = {
    name.lower(): code
    for line in _CURRENCY_NAMES.split(", ")
    for code, _, names in [line.partition(" ")]
    for name in (code, *names.split("|"))
} | {sign.lower(): code for code, signs in _CURRENCIES.items() for sign in (code, *signs.split())}
"""ISO 4217 codes of currencies by code, sign or name, in small letters."""
CURRENCY_SIGNS: Final[Mapping[str, str]] = {
    sign: code for code, signs in _CURRENCIES.items() for sign in (code, *signs.split())
}
NAMED_UNITS: Final[Mapping[str, float]] = {
    **dict.fromkeys(("cents", "cent", "fen", "minor", "pence", "分"), 0.01),
    **{
        "百万元": 1e6,
        "千万元": 1e7,
        "亿元": 1e8,
        "万元": 1e4,
        "wanyuan": 1e4,
        "千元": 1e3,
        "角": 0.1,
    },
    **{"thousand": 1e3, "thousands": 1e3, "million": 1e6, "millions": 1e6},
}
"""Units that the name of a column says its amounts are in."""
MONTHS: Final = ("month", "months", "term", "duration", "期")


def normalise(name: str) -> str:
    """Write a column's name in small letters, words parted by ``_``.

    Examples
    --------
    >>> normalise("sourceNodeId"), normalise("TX_DATETIME"), normalise("交易金额(元)")
    ('source_node_id', 'tx_datetime', '交易金额_元')
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"\W+|_+", "_", parted).strip("_").lower()


def names_key(name: str) -> bool:
    """Tell whether a normalised name ends as those of identifiers do.

    Examples
    --------
    >>> names_key("nodeid"), names_key("amount_paid")
    (True, False)
    """
    return name.endswith("id") and not name.endswith(("paid", "valid", "bid"))


def name_score(role: str, name: str) -> float:
    """How well a normalised name speaks for a role, in [0, 1].

    1 is the contract's own word, 0.9 a usual one, less where the word is only a part.
    """
    if name == role and any(role in table.names for table in CONTRACT.values()):
        return 1.0
    best = 0.0
    latin = "_" + re.sub(r"[^\x00-\x7f]+", "_", name) + "_"
    for place, written in enumerate(ROLES[role]):
        usual = 0.95 - 0.2 * place / len(ROLES[role])
        word = written.removeprefix(WHOLE)
        if word not in {written, name}:
            continue
        # an identifier may lack its ending, and words may be written together
        if name in {word, word.replace("_", ""), f"{word}_id", f"{word}id"}:
            best = max(best, usual)
        elif f"_{word}_" in latin:
            best = max(best, usual - (0.15 if "_" in word else 0.25))
        elif not word.isascii() and word in name:
            best = max(best, usual - 0.3 * (1 - len(word) / len(name)))
    return best


def file_score(table: str, name: str) -> float:
    """1 where a file's normalised name holds a word of a contracted table, else 0."""
    parts = f"_{name}_"
    return float(
        any(
            f"_{word}_" in parts or (not word.isascii() and word in name)
            for word in FILE_WORDS[table]
        )
    )


def means(code: str, words: frozenset[str] | str) -> bool:
    """Tell whether a code is, or begins or ends with, one of the words.

    Examples
    --------
    >>> means("Withdrawal in cash", OUT_OF), means("PRIJEM", INTO)
    (True, False)
    """
    known = frozenset(words.split()) if isinstance(words, str) else words
    text = normalise(code)
    parts = text.split("_")
    if text in known or parts[0] in known:
        return True
    return any(not word.isascii() and len(word) > 1 and word in text for word in known)
