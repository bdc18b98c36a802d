"""Amounts: how a payment compares with the customer's and the counterparty's own history.

Round and repeated amounts, and small payments that may test an account, are counted by
the amounts that a configuration names.
"""

from __future__ import annotations

import math
from typing import Final

from kyc_ml.config import AmountsOfInterest, FeatureConfig
from kyc_ml.contract.tables import (
    AMOUNT,
    BALANCE,
    COUNTERPARTY_ID,
    CUSTOMER_ID,
    TRANSACTIONS,
)
from kyc_ml.features.families.declaring import Family, transactions_in
from kyc_ml.features.spec import (
    D1,
    D7,
    D30,
    D90,
    D365,
    H1,
    H6,
    Cell,
    FeatureSpec,
    Formula,
    Latest,
    Own,
    Period,
    RowColumn,
    Statistic,
    Window,
)

_SOURCE: Final = "Fraud Detection Handbook, ch. 3"
_WORDS: Final[dict[Statistic, tuple[str, str]]] = {
    "mean": ("mean amount", "平均金额"),
    "std": ("standard deviation of the amounts", "金额标准差"),
    "max": ("largest amount", "最大金额"),
    "min": ("smallest amount", "最小金额"),
    "median": ("median amount", "金额中位数"),
}
_BALANCE_SOURCE: Final = "FFIEC manual, appendix F: pass-through 快进快出/不留余额"
_ROUND_SOURCE: Final = "FFIEC manual, appendix F: round amounts 整数"
_PROBE_SOURCE: Final = "typology: probe-then-big 小额测试 (practice)"
_LARGE_RANK: Final = 0.95
"""From it a payment is large for its customer. Convention."""

AMOUNT_TEXT: Final = RowColumn(name="amount_text", how=Cell(operation="text", inputs=(AMOUNT,)))
TRAILING_ZEROS: Final = RowColumn(
    name="trailing_zeros", how=Cell(operation="trailing_zeros", inputs=(AMOUNT,))
)

_WHOSE: Final = {
    "customer": ("the customer's", "客户"),
    "counterparty": ("this counterparty's", "该对手方"),
}
_CUSTOMER: Final = (CUSTOMER_ID,)
_COUNTERPARTY: Final = (COUNTERPARTY_ID,)
_PAIR: Final = (CUSTOMER_ID, COUNTERPARTY_ID)


_feature: Final = Family(family="amounts", source=_SOURCE)


def _customer(statistic: Statistic, period: Period) -> FeatureSpec:
    english, chinese = _WORDS[statistic]
    return _feature(
        f"customer_amount_{statistic}_{period.label}",
        transactions_in(_CUSTOMER, statistic, period, AMOUNT),
        unit="base currency",
        english=f"{english} in {period.english}",
        chinese=f"{period.chinese}{chinese}",
    )


def _counterparty(statistic: Statistic, period: Period) -> FeatureSpec:
    english, chinese = _WORDS[statistic]
    return _feature(
        f"counterparty_amount_{statistic}_{period.label}",
        transactions_in(_COUNTERPARTY, statistic, period, AMOUNT),
        unit="base currency",
        english=f"{english} of all customers with this counterparty in {period.english}",
        chinese=f"{period.chinese}全部客户与该对手方交易的{chinese}",
        units=("fraud",),
    )


def _against(who: str, statistic: Statistic, period: Period) -> FeatureSpec:
    english, chinese = _WORDS[statistic]
    return _feature(
        f"amount_to_{who}_{statistic}_{period.label}",
        Formula(operation="ratio", inputs=("amount", f"{who}_amount_{statistic}_{period.label}")),
        unit="times",
        english=f"this amount over {_WHOSE[who][0]} {english} of {period.english}",
        chinese=f"本笔金额与{_WHOSE[who][1]}{period.chinese}{chinese}之比",
        units=("fraud",),
    )


def _z_score(who: str, period: Period) -> FeatureSpec:
    stem = f"{who}_amount"
    return _feature(
        f"amount_z_{who}_{period.label}",
        Formula(
            operation="z_score",
            inputs=("amount", f"{stem}_mean_{period.label}", f"{stem}_std_{period.label}"),
        ),
        unit="standard deviations",
        english=f"distance of this amount from {_WHOSE[who][0]} mean of {period.english}",
        chinese=f"本笔金额偏离{_WHOSE[who][1]}{period.chinese}均值的标准差数",
        units=("fraud",),
    )


def _balance(statistic: Statistic, period: Period) -> FeatureSpec:
    english = {"mean": "mean", "min": "lowest", "std": "standard deviation of the"}[statistic]
    chinese = {"mean": "交易后余额均值", "min": "交易后最低余额", "std": "交易后余额标准差"}[
        statistic
    ]
    return _feature(
        f"customer_balance_{statistic}_{period.label}",
        transactions_in(_CUSTOMER, statistic, period, BALANCE),
        unit="base currency",
        english=f"{english} balance after bookings of {period.english}",
        chinese=f"{period.chinese}{chinese}",
        source=_BALANCE_SOURCE,
    )


def _rank(who: str, key: str, period: Period) -> FeatureSpec:
    whose, chinese = _WHOSE[who]
    return _feature(
        f"amount_rank_{who}_{period.label}",
        Window(
            table=TRANSACTIONS,
            key=(key,),
            statistic="rank",
            period=period,
            value=AMOUNT,
            own=AMOUNT,
        ),
        unit="share",
        english=f"share of {whose} amounts of {period.english} that are below this one",
        chinese=f"本笔金额在{chinese}{period.chinese}金额中的百分位",
        units=("fraud",),
    )


def _pair_mean(period: Period) -> tuple[FeatureSpec, FeatureSpec]:
    mean = _feature(
        f"pair_counterparty_amount_mean_{period.label}",
        transactions_in(_PAIR, "mean", period, AMOUNT),
        unit="base currency",
        english=f"mean amount of the customer with this counterparty in {period.english}",
        chinese=f"{period.chinese}客户与该对手方交易的平均金额",
        units=("fraud",),
        hidden=True,
    )
    against = _feature(
        f"amount_to_pair_counterparty_mean_{period.label}",
        Formula(operation="ratio", inputs=("amount", mean.name)),
        unit="times",
        english=(
            f"this amount over the customer's mean amount with this counterparty of "
            f"{period.english}"
        ),
        chinese=f"本笔金额与客户{period.chinese}同该对手方交易的平均金额之比",
        units=("fraud",),
    )
    return mean, against


def _same_amount(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_same_amount_count_{period.label}",
        transactions_in((CUSTOMER_ID, AMOUNT_TEXT), "count", period),
        unit="transactions",
        english=f"transactions of exactly this amount in {period.english}",
        chinese=f"{period.chinese}与本笔金额相同的交易笔数",
        source=_ROUND_SOURCE,
        typology="round_amounts",
        units=("fraud",),
    )


def _repeated_share(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_repeated_amount_share_{period.label}",
        transactions_in(_CUSTOMER, "first_share", period, AMOUNT_TEXT),
        unit="share",
        english=f"share of the most frequent amount among transactions of {period.english}",
        chinese=f"{period.chinese}出现最多的同一金额的交易占比",
        source=_ROUND_SOURCE,
        typology="round_amounts",
    )


def _trailing_zeros(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_trailing_zeros_mean_{period.label}",
        transactions_in(_CUSTOMER, "mean", period, TRAILING_ZEROS),
        unit="zeros",
        english=f"mean number of zeros that amounts of {period.english} end with",
        chinese=f"{period.chinese}金额末尾零的平均个数",
        source=_ROUND_SOURCE,
        typology="round_amounts",
    )


_STATIC: Final = (
    _feature(
        "amount",
        Own(reading="value", column=AMOUNT),
        unit="base currency",
        english="amount of this transaction",
        chinese="本笔交易金额",
        units=("fraud",),
    ),
    *(
        _customer(statistic, period)
        for period in (D1, D7, D30, D90, D365)
        for statistic in ("mean", "std", "max", "min")
    ),
    *(_customer("max", period) for period in (H1, H6)),
    _customer("median", D90),
    *(_counterparty(statistic, D30) for statistic in ("mean", "std", "max")),
    *(_against("customer", "mean", period) for period in (D1, D7, D30, D90)),
    *(_against("customer", "max", period) for period in (D30, D90, D365)),
    _against("customer", "median", D90),
    _against("counterparty", "mean", D30),
    *_pair_mean(D365),
    *(_z_score("customer", period) for period in (D7, D30, D90, D365)),
    _z_score("counterparty", D30),
    _rank("customer", CUSTOMER_ID, D90),
    _rank("counterparty", COUNTERPARTY_ID, D30),
    *(_balance(statistic, period) for period in (D30, D90) for statistic in ("mean", "min", "std")),
    _feature(
        "customer_balance_latest",
        Latest(table=TRANSACTIONS, key=(CUSTOMER_ID,), reading="value", column=BALANCE),
        unit="base currency",
        english="balance after the latest booking",
        chinese="最近一笔交易后的余额",
        source=_BALANCE_SOURCE,
    ),
    *(_same_amount(period) for period in (D7, D30)),
    *(_repeated_share(period) for period in (D30, D90)),
    _trailing_zeros(D90),
)


def features_of(config: FeatureConfig) -> tuple[FeatureSpec, ...]:
    """Declare the features of amounts; what is round or small is the configuration's."""
    return (*_STATIC, *_round(config.amounts), *_probes(config.amounts))


def _round(amounts: AmountsOfInterest) -> tuple[FeatureSpec, ...]:
    """Declare the own payment's roundness and the share of round amounts before it."""
    multiple = f"{amounts.round_to:,.15g}"
    is_round = RowColumn(
        name="is_round_amount",
        how=Cell(operation="multiple_of", inputs=(AMOUNT,), parameters=(amounts.round_to,)),
    )
    own = _feature(
        "round_amount",
        Own(reading="value", column=is_round),
        unit="0 or 1",
        english=f"amount of this transaction a multiple of {multiple}",
        chinese=f"本笔金额为{multiple}的整数倍",
        source=_ROUND_SOURCE,
        typology="round_amounts",
        units=("fraud",),
    )
    shares = (
        _feature(
            f"customer_round_share_{period.label}",
            transactions_in(_CUSTOMER, "mean", period, is_round),
            unit="share",
            english=f"share of transactions in multiples of {multiple} in {period.english}",
            chinese=f"{period.chinese}金额为{multiple}整数倍的交易占比",
            source=_ROUND_SOURCE,
            typology="round_amounts",
        )
        for period in (D30, D90)
    )
    return own, *shares


def _probes(amounts: AmountsOfInterest) -> tuple[FeatureSpec, ...]:
    """Declare small payments, and a large one that follows one to the same counterparty."""
    largest = f"{amounts.probe:,.15g}"
    # `between` leaves its upper bound out, a probe may be as large as it
    is_probe = RowColumn(
        name="is_probe",
        how=Cell(
            operation="between",
            inputs=(AMOUNT,),
            parameters=(0.0, math.nextafter(amounts.probe, math.inf)),
        ),
    )
    by_customer = _feature(
        "customer_probe_count_1d",
        transactions_in(_CUSTOMER, "sum", D1, is_probe),
        unit="transactions",
        english=f"transactions of up to {largest} in {D1.english}",
        chinese=f"{D1.chinese}金额不超过{largest}的交易笔数",
        source=_PROBE_SOURCE,
        typology="probe_then_big",
    )
    by_pair = _feature(
        "pair_counterparty_probe_count_1h",
        transactions_in(_PAIR, "sum", H1, is_probe),
        unit="transactions",
        english=(
            f"transactions of up to {largest} of the customer with this counterparty in "
            f"{H1.english}"
        ),
        chinese=f"{H1.chinese}客户与该对手方金额不超过{largest}的交易笔数",
        source=_PROBE_SOURCE,
        typology="probe_then_big",
        units=("fraud",),
    )
    probed = _flag(
        "pair_counterparty_probed_1h",
        Formula(operation="at_least", inputs=(by_pair.name,), parameter=1.0),
        english=f"transaction of up to {largest} with this counterparty in {H1.english}",
        chinese=f"{H1.chinese}与该对手方有金额不超过{largest}的交易",
        hidden=True,
    )
    large = _flag(
        "amount_large_for_customer_90d",
        Formula(operation="at_least", inputs=("amount_rank_customer_90d",), parameter=_LARGE_RANK),
        english=f"this amount above {_LARGE_RANK:.0%} of the customer's of {D90.english}",
        chinese=f"本笔金额高于客户{D90.chinese}{_LARGE_RANK:.0%}的金额",
        hidden=True,
    )
    both = _flag(
        "probe_then_big_1h",
        Formula(operation="product", inputs=(probed.name, large.name)),
        english=f"large amount soon after one of up to {largest} with this counterparty",
        chinese=f"与该对手方小额（不超过{largest}）测试后随即大额交易",
        hidden=False,
    )
    return by_customer, by_pair, probed, large, both


def _flag(name: str, how: Formula, *, english: str, chinese: str, hidden: bool) -> FeatureSpec:
    return _feature(
        name,
        how,
        unit="0 or 1",
        english=english,
        chinese=chinese,
        source=_PROBE_SOURCE,
        typology="probe_then_big",
        monotone=0 if hidden else 1,
        units=("fraud",),
        hidden=hidden,
    )
