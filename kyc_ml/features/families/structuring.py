"""Structuring: amounts kept below the threshold from which a bank must report.

Cash is added up one-sidedly, money in and money out apart, as PBOC Order 〔2016〕No. 3
does. A report counts the cash of a day, so what is split over a day does not evade it:
the sums here run over 2, 3 and 5 days, and the single amounts stay below the threshold.
"""

from __future__ import annotations

from typing import Final, Literal

from kyc_ml.config import AmountsOfInterest, FeatureConfig
from kyc_ml.contract.tables import (
    AMOUNT,
    COUNTERPARTY_ID,
    CUSTOMER_ID,
    DIRECTION,
    TRANSACTIONS,
)
from kyc_ml.features.families.declaring import Family, transactions_in
from kyc_ml.features.families.instruments import CASH, IS_CASH
from kyc_ml.features.spec import (
    D1,
    D2,
    D3,
    D5,
    D14,
    D30,
    D90,
    AsOf,
    Cell,
    FeatureSpec,
    Formula,
    Mix,
    Own,
    Period,
    RowColumn,
    Statistic,
    Where,
    Window,
)

_SOURCE: Final = "FFIEC manual, appendix F: structuring 化整为零"
_PAIR_SOURCE: Final = "PBOC Order 2006 No. 2, art. 11 (2): same payer and payee, near-threshold"
_FREQUENT_SOURCE: Final = "PBOC Order 2006 No. 2: 频繁, 3 times a day or more"
_FREQUENT: Final = 3.0
_SPLIT_PERIODS: Final = (D2, D3, D5)
_BUNCH: Final = 0.1
"""Half-width of the bands compared around a threshold. Convention."""


_feature: Final = Family(family="structuring", source=_SOURCE, typology="structuring")


def _window(
    statistic: Statistic,
    period: Period,
    value: RowColumn | None = None,
    where: Where | None = CASH,
) -> Window:
    return transactions_in((CUSTOMER_ID,), statistic, period, value, where=where)


def _between(name: str, low: float, high: float) -> RowColumn:
    return RowColumn(
        name=name, how=Cell(operation="between", inputs=(AMOUNT,), parameters=(low, high))
    )


def _product(name: str, *inputs: str | RowColumn) -> RowColumn:
    return RowColumn(name=name, how=Mix(operation="product", inputs=inputs))


_ONE: Final = RowColumn(
    name="one",
    how=Mix(operation="at_least", inputs=(AMOUNT,), parameter=0.0),  # no amount is below 0
)
_OF_DAY_BEFORE: Final = RowColumn(
    name="transactions_of_day_before",
    how=AsOf(how=Window(table=TRANSACTIONS, key=(CUSTOMER_ID,), statistic="count", period=D1)),
)
OF_DAY: Final = RowColumn(
    name="transactions_of_day", how=Mix(operation="sum", inputs=(_OF_DAY_BEFORE, _ONE))
)
"""Transactions of the customer in the 24 hours that end with the row, itself included."""


def features_of(config: FeatureConfig) -> tuple[FeatureSpec, ...]:
    """Declare the features of the thresholds that the configuration names."""
    amounts = config.amounts
    return (
        *_near(amounts),
        *_bunching(amounts),
        *(spec for period in _SPLIT_PERIODS for spec in _split(period, amounts)),
        *_pairs(amounts),
        *_frequent(),
    )


def _near(amounts: AmountsOfInterest) -> tuple[FeatureSpec, ...]:
    """Declare the cash just below the threshold: its number, its share, and the own one."""
    reported = amounts.cash_report
    low, high = _said(amounts.near_share * reported), _said(reported)
    near = _between("is_near_cash_report", amounts.near_share * reported, reported)
    own = _feature(
        "cash_near_threshold",
        Own(reading="value", column=_product("is_near_cash", near, IS_CASH)),
        unit="0 or 1",
        english=f"cash amount from {low} to just below {high}",
        chinese=f"本笔现金金额在{low}（含）至{high}（不含）之间",
        monotone=1,
        units=("fraud",),
    )
    return own, *(
        spec
        for period in (D30, D90)
        for spec in (
            _feature(
                f"customer_cash_near_threshold_count_{period.label}",
                _window("sum", period, near),
                unit="transactions",
                english=f"cash transactions just below {high} in {period.english}",
                chinese=f"{period.chinese}略低于{high}的现金交易笔数",
            ),
            _feature(
                f"customer_cash_near_threshold_share_{period.label}",
                _window("mean", period, near),
                unit="share",
                english=f"share of the cash transactions of {period.english} just below {high}",
                chinese=f"{period.chinese}略低于{high}的现金交易占现金交易的比例",
                monotone=1,
            ),
        )
    )


def _bunching(amounts: AmountsOfInterest) -> tuple[FeatureSpec, ...]:
    """Compare the cash transactions just below the threshold with those just above."""
    reported = _said(amounts.cash_report)
    low, high = (1.0 - _BUNCH) * amounts.cash_report, (1.0 + _BUNCH) * amounts.cash_report
    below = _feature(
        f"customer_cash_band_below_count_{D90.label}",
        _window("sum", D90, _between("is_cash_band_below", low, amounts.cash_report)),
        unit="transactions",
        english=f"cash transactions up to {_BUNCH:.0%} below {reported} in {D90.english}",
        chinese=f"{D90.chinese}低于{reported}不超过{_BUNCH:.0%}的现金交易笔数",
        hidden=True,
    )
    above = _feature(
        f"customer_cash_band_above_count_{D90.label}",
        _window("sum", D90, _between("is_cash_band_above", amounts.cash_report, high)),
        unit="transactions",
        english=f"cash transactions from {reported} to {_BUNCH:.0%} above it in {D90.english}",
        chinese=f"{D90.chinese}达到{reported}且超出不足{_BUNCH:.0%}的现金交易笔数",
        hidden=True,
    )
    bunching = _feature(
        f"customer_cash_bunching_{D90.label}",
        Formula(operation="log_ratio", inputs=(below.name, above.name), parameter=1.0),
        unit="log ratio",
        english=f"excess of cash transactions just below {reported} over those just above in "
        f"{D90.english}",
        chinese=f"{D90.chinese}略低于与略高于{reported}的现金交易笔数之对数比",
    )
    return below, above, bunching


def _split(period: Period, amounts: AmountsOfInterest) -> tuple[FeatureSpec, ...]:
    """Declare sums over the threshold of cash whose single amounts stay below it."""
    reported, label = amounts.cash_report, period.label
    days = label.removesuffix("d")
    completes, excess = _split_columns(period, reported)
    own = _feature(
        f"cash_completes_split_{label}",
        Own(reading="value", column=completes),
        unit="0 or 1",
        english=f"cash that brings {days} days' sum to {_said(reported)}, each amount below it",
        chinese=f"本笔使{days}天现金累计达到{_said(reported)}而单笔均低于该金额",
        monotone=1,
        units=("fraud",),
    )
    return own, *(
        spec
        for within in (D30, D90)
        for spec in (
            _feature(
                f"customer_cash_split_{label}_count_{within.label}",
                _window("sum", within, completes),
                unit="transactions",
                english=f"cash transactions of {within.english} that brought {days} days' sum to "
                f"{_said(reported)}, each amount below it",
                chinese=f"{within.chinese}使{days}天累计达到{_said(reported)}而单笔均低于该金额的"
                "现金交易笔数",
                monotone=1,
            ),
            _feature(
                f"customer_cash_split_{label}_excess_{within.label}",
                _window("max", within, excess),
                unit="times",
                english=f"largest sum in {within.english} of {days} days' cash below "
                f"{_said(reported)} each, over that amount",
                chinese=f"{within.chinese}单笔均低于{_said(reported)}的{days}天现金累计最大值与该"
                "金额之比",
                monotone=1,
            ),
        )
    )


def _split_columns(period: Period, reported: float) -> tuple[RowColumn, RowColumn]:
    """Give whether a row completes a split, and how many times the threshold it then is.

    Money in and money out add up apart: the key holds the direction.
    """
    label = period.label
    is_reported = RowColumn(
        name="is_reported", how=Mix(operation="at_least", inputs=(AMOUNT,), parameter=reported)
    )
    is_below = RowColumn(
        name="is_not_reported", how=Mix(operation="equals_zero", inputs=(is_reported,))
    )

    def before(name: str, value: str | RowColumn) -> RowColumn:
        earlier = Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID, DIRECTION),
            statistic="sum",
            period=period,
            value=value,
            where=CASH,
        )
        return RowColumn(name=f"{name}_{label}", how=AsOf(how=earlier))

    def mix(
        name: str,
        operation: Literal["sum", "at_least", "equals_zero", "scaled"],
        *inputs: str | RowColumn,
        parameter: float = 0.0,
    ) -> RowColumn:
        return RowColumn(
            name=f"{name}_{label}",
            how=Mix(operation=operation, inputs=inputs, parameter=parameter),
        )

    total = mix("cash_with_own", "sum", before("cash_before", AMOUNT), AMOUNT)
    reaches = mix("cash_reaches_report", "at_least", total, parameter=reported)
    none_reported = mix("no_cash_reported", "equals_zero", before("cash_reported", is_reported))
    completes = _product(f"completes_cash_split_{label}", IS_CASH, reaches, none_reported, is_below)
    times = mix("cash_times_report", "scaled", total, parameter=1.0 / reported)
    return completes, _product(f"cash_split_excess_{label}", completes, times)


def _pairs(amounts: AmountsOfInterest) -> tuple[FeatureSpec, ...]:
    """Declare how often the same payer and payee move amounts just below the threshold."""
    reported = amounts.transfer_report
    near = _between("is_near_transfer_report", amounts.near_share * reported, reported)
    earlier = RowColumn(
        name="near_transfers_of_pair_before",
        how=AsOf(
            how=Window(
                table=TRANSACTIONS,
                key=(CUSTOMER_ID, COUNTERPARTY_ID, DIRECTION),
                statistic="sum",
                period=D14,
                value=near,
            )
        ),
    )
    of_pair = RowColumn(
        name="near_transfers_of_pair", how=Mix(operation="sum", inputs=(earlier, near))
    )
    words = f"just below {_said(reported)} between the same two within 14 days"
    words_zh = f"14天内同一收付款人之间略低于{_said(reported)}的交易笔数"
    return (
        _feature(
            "pair_near_threshold_count_14d",
            Own(reading="value", column=of_pair),
            unit="transactions",
            english=f"transactions {words}, this one included",
            chinese=f"{words_zh}（含本笔）",
            source=_PAIR_SOURCE,
            monotone=1,
            units=("fraud",),
        ),
        *(
            _feature(
                f"customer_pair_near_threshold_max_{period.label}",
                _window("max", period, of_pair, None),
                unit="transactions",
                english=f"most transactions {words}, in {period.english}",
                chinese=f"{period.chinese}{words_zh}最大值",
                source=_PAIR_SOURCE,
                monotone=1,
            )
            for period in (D30, D90)
        ),
    )


def _frequent() -> tuple[FeatureSpec, ...]:
    """Declare the busiest 24 hours, and whether they count as frequent."""
    busiest = _feature(
        f"customer_busiest_day_count_{D30.label}",
        _window("max", D30, OF_DAY, None),
        unit="transactions",
        english=f"most transactions within 24 hours in {D30.english}",
        chinese=f"{D30.chinese}任一24小时内最多交易笔数",
        source=_FREQUENT_SOURCE,
    )
    frequent = _feature(
        f"customer_frequent_day_{D30.label}",
        Formula(operation="at_least", inputs=(busiest.name,), parameter=_FREQUENT),
        unit="0 or 1",
        english=f"3 or more transactions within 24 hours in {D30.english}",
        chinese=f"{D30.chinese}存在24小时内3笔及以上的频繁交易",
        source=_FREQUENT_SOURCE,
    )
    return busiest, frequent


def _said(amount: float) -> str:
    return f"{amount:,.15g}"
