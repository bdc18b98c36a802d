"""Peers: how far a customer's behaviour is from that of customers like it.

Source: Iglewicz and Hoaglin 1993: robust z by segment and industry, with median and MAD, which a
few strange peers do not move. Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers.
"""

from __future__ import annotations

from typing import Final

from kyc_ml.features.spec import FeatureSpec, Peer

_SOURCE: Final = "Iglewicz and Hoaglin 1993: robust z, by segment and industry"
_BY: Final = ("profile_segment", "profile_industry")
# feature, English and Chinese noun phrase, typology
_MEASURES: Final = (
    ("customer_in_sum_30d", "amount received in the last 30 days", "近30天转入金额",
     "profile_mismatch"),
    ("customer_in_sum_90d", "amount received in the last 90 days", "近90天转入金额",
     "profile_mismatch"),
    ("customer_out_sum_30d", "amount sent in the last 30 days", "近30天转出金额",
     "profile_mismatch"),
    ("customer_out_sum_90d", "amount sent in the last 90 days", "近90天转出金额",
     "profile_mismatch"),
    ("customer_count_30d", "number of transactions in the last 30 days", "近30天交易笔数",
     "profile_mismatch"),
    ("customer_count_90d", "number of transactions in the last 90 days", "近90天交易笔数",
     "profile_mismatch"),
    ("customer_payers_30d", "number of payers in the last 30 days", "近30天付款方数", "fan_in"),
    ("customer_payees_30d", "number of payees in the last 30 days", "近30天收款方数", "fan_out"),
    ("customer_new_counterparties_30d", "number of new counterparties in the last 30 days",
     "近30天新增对手方数", "new_counterparty"),
    ("customer_cash_share_90d", "share of cash in the amount moved in the last 90 days",
     "近90天现金金额占比", "cash_intensive"),
    ("customer_cash_in_share_90d", "share of cash in the amount received in the last 90 days",
     "近90天转入金额中现金占比", "cash_intensive"),
    ("customer_round_share_90d", "share of round amounts in the last 90 days",
     "近90天整数金额交易占比", "round_amounts"),
    ("customer_night_share_90d", "share of night transactions in the last 90 days",
     "近90天夜间交易占比", "unusual_hour"),
    ("customer_countries_90d", "number of countries in the last 90 days",
     "近90天往来国家或地区数", "high_risk_geography"),
    ("customer_through_ratio_90d", "balance between amounts received and sent in 90 days",
     "近90天转入与转出金额的均衡度", "flow_through"),
)  # fmt: skip


def _z(feature: str, english: str, chinese: str, typology: str) -> FeatureSpec:
    return FeatureSpec(
        name=f"{feature}_peer_z",
        family="peers",
        how=Peer(feature=feature, by=_BY),
        unit="standard deviations",
        description=f"{english}, against customers of the same segment and industry",
        description_zh=f"{chinese}与同条线同行业客户的偏离",
        source=_SOURCE,
        typology=typology,
    )


FEATURES: Final = tuple(_z(*measure) for measure in _MEASURES)
