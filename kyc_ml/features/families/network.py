"""Network: completed money-flow patterns that a customer took part in.

Patterns are found among the transactions between the bank's customers and others, each
dated by the payment that completes it: see `kyc_ml.features.network.patterns`. How many payers
and payees there are is the family `counterparties`.
"""

from __future__ import annotations

from typing import Final, Literal

from kyc_ml.contract.tables import AMOUNT, CUSTOMER_ID
from kyc_ml.features.spec import (
    D7,
    D30,
    D90,
    D365,
    LENGTH,
    PATTERN,
    PATTERNS,
    ROLE,
    WIDTH,
    FeatureSpec,
    Formula,
    How,
    Period,
    Statistic,
    Where,
    Window,
)

_SOURCE: Final = "IBM AMLSim alert models"

# pattern, role, name, English and Chinese of one participation, the direction of risk
_PARTS: Final[tuple[tuple[str, str, str, str, str, Literal[-1, 0, 1]], ...]] = (
    ("cycle", "member", "cycles", "circular flows passed through", "参与的资金回流环路", 1),
    ("stack", "receiver", "stack_receipts", "layered flows received", "接收的分层转移", 0),
    ("stack", "payer", "stack_payments", "layered flows passed on", "转出的分层转移", 1),
    ("stack", "origin", "stack_origins", "layered flows begun", "发起的分层转移", 0),
    ("scatter_gather", "source", "scatters", "scattered flows gathered elsewhere",
     "发起的分散后集中流转", 0),
    ("scatter_gather", "intermediary", "scatter_relays", "scattered flows passed on",
     "经手的分散后集中流转", 1),
    ("scatter_gather", "target", "scatter_gathers", "scattered flows gathered",
     "归集的分散后集中流转", 0),
    ("gather_scatter", "hub", "gather_scatters", "flows gathered and scattered again",
     "集中后分散流转", 1),
    ("butterfly", "payer", "butterflies", "payments that share payees with another payer",
     "与其他付款方共用收款方的付款", 0),
)  # fmt: skip

# pattern, roles, column, name, unit, English and Chinese of the largest one
_EXTREMES: Final = (
    ("stack", ("payer", "receiver"), LENGTH, "stack_depth", "layers",
     "depth of the deepest layered flow", "资金分层转移的最大层数"),
    ("scatter_gather", ("source", "intermediary", "target"), WIDTH, "scatter_gather_width",
     "customers", "intermediaries of the widest scattered flow", "分散后集中流转的最多中间方数"),
    ("gather_scatter", ("hub",), WIDTH, "gather_scatter_width", "counterparties",
     "payers and payees on the narrower side of the widest gathered and scattered flow",
     "集中后分散流转较少一侧的最多对手方数"),
    ("cycle", ("member",), LENGTH, "cycle_length_max", "payments",
     "payments of the longest circular flow", "资金回流环路的最大长度"),
)  # fmt: skip

# pattern, role, name, direction of the role's own payment, English and Chinese
_MOVED: Final = (
    ("cycle", "member", "cycle", "out", "circular flows", "资金回流环路"),
    ("stack", "payer", "stack", "out", "layered flows passed on", "转出的分层转移"),
    ("scatter_gather", "intermediary", "scatter_relay", "out", "scattered flows passed on",
     "经手的分散后集中流转"),
    ("scatter_gather", "target", "scatter_gather", "in", "scattered flows gathered",
     "归集的分散后集中流转"),
)  # fmt: skip
_TYPOLOGIES: Final = {"butterfly": "bipartite"}


def _feature(
    name: str,
    how: How,
    *,
    pattern: str,
    unit: str,
    english: str,
    chinese: str,
    monotone: Literal[-1, 0, 1] = 0,
    hidden: bool = False,
) -> FeatureSpec:
    return FeatureSpec(
        name=name,
        family="network",
        how=how,
        unit=unit,
        description=english,
        description_zh=chinese,
        source=_SOURCE,
        typology=_TYPOLOGIES.get(pattern, pattern),
        monotone=monotone,
        hidden=hidden,
    )


def _window(
    pattern: str,
    roles: tuple[str, ...],
    statistic: Statistic,
    period: Period,
    value: str | None = None,
) -> Window:
    return Window(
        table=PATTERNS,
        key=(CUSTOMER_ID,),
        statistic=statistic,
        period=period,
        value=value,
        where=Where(column=PATTERN, values=(pattern,), also=Where(column=ROLE, values=roles)),
    )


def _counts() -> tuple[FeatureSpec, ...]:
    return tuple(
        _feature(
            f"customer_{name}_{period.label}",
            _window(pattern, (role,), "count", period),
            pattern=pattern,
            unit="patterns",
            english=f"{english} in {period.english}",
            chinese=f"{period.chinese}{chinese}次数",
            monotone=monotone,
        )
        for pattern, role, name, english, chinese, monotone in _PARTS
        for period in (D30, D90, D365)
    )


def _extremes() -> tuple[FeatureSpec, ...]:
    largest = (
        _feature(
            f"customer_{name}_{period.label}",
            _window(pattern, roles, "max", period, column),
            pattern=pattern,
            unit=unit,
            english=f"{english} in {period.english}",
            chinese=f"{period.chinese}{chinese}",
        )
        for pattern, roles, column, name, unit, english, chinese in _EXTREMES
        for period in (D90, D365)
    )
    shortest = (
        _feature(
            f"customer_cycle_length_min_{period.label}",
            _window("cycle", ("member",), "min", period, LENGTH),
            pattern="cycle",
            unit="payments",
            english=f"payments of the shortest circular flow in {period.english}",
            chinese=f"{period.chinese}资金回流环路的最小长度",
        )
        for period in (D90, D365)
    )
    return *largest, *shortest


def _amounts(
    moved: tuple[str, str, str, str, str, str], period: Period
) -> tuple[FeatureSpec, FeatureSpec]:
    """Declare what the closing payments moved, over all that the customer sent or received.

    A payment that closes several patterns counts for each: the ratio may exceed 1.
    """
    pattern, role, name, direction, english, chinese = moved
    label = period.label
    words, words_zh = {"out": ("sent", "转出"), "in": ("received", "转入")}[direction]
    total = _feature(
        f"customer_{name}_sum_{label}",
        _window(pattern, (role,), "sum", period, AMOUNT),
        pattern=pattern,
        unit="base currency",
        english=f"amount of {english} in {period.english}",
        chinese=f"{period.chinese}{chinese}金额合计",
    )
    share = _feature(
        f"customer_{name}_share_{label}",
        Formula(operation="ratio", inputs=(total.name, f"customer_{direction}_sum_{label}")),
        pattern=pattern,
        unit="ratio",
        english=f"amount of {english} over the amount {words} in {period.english}",
        chinese=f"{period.chinese}{chinese}金额与{words_zh}金额之比",
        monotone=1,
    )
    return total, share


def _narrower(period: Period) -> FeatureSpec:
    """Declare how many payers there are, or payees if they are fewer."""
    return _feature(
        f"customer_gather_scatter_sides_{period.label}",
        Formula(
            operation="minimum",
            inputs=(f"customer_payers_{period.label}", f"customer_payees_{period.label}"),
        ),
        pattern="gather_scatter",
        unit="counterparties",
        english=f"different payers or payees, whichever are fewer, in {period.english}",
        chinese=f"{period.chinese}不同付款方数与收款方数的较小值",
    )


FEATURES: Final = (
    *_counts(),
    *_extremes(),
    *(spec for each in _MOVED for period in (D30, D90) for spec in _amounts(each, period)),
    *(_narrower(period) for period in (D7, D30)),
)
