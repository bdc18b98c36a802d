"""The direction in which a feature means more risk: declared, or by convention for conduct."""

from collections.abc import Mapping
from typing import Final

from kyc_ml.contract import ACCOUNT_ID, CUSTOMER_ID
from kyc_ml.features import DAY_US, Direction, FeatureSpec, Formula, Window

_MONEY: Final = "base currency"

RISING: Final[Mapping[str, frozenset[tuple[str, str]]]] = {
    "velocity": frozenset({("count", "transactions"), ("sum", _MONEY)}),
    "amounts": frozenset(
        {
            ("max", _MONEY),
            ("count", "transactions"),  # of one amount, again and again
            ("sum", "transactions"),  # tiny ones, to probe
            ("mean", "share"),  # round ones
            ("first_share", "share"),  # the same amount
        }
    ),
    "timing": frozenset({("mean", "share"), ("sum", _MONEY), ("ratio", "share")}),  # at night
    "counterparties": frozenset(
        {
            ("distinct", "counterparties"),
            ("product", "counterparties"),  # many payers to one payee, or the reverse
            *(("sum", "counterparties"), ("sum", _MONEY), ("ratio", "share")),  # new ones
        }
    ),
    "geography": frozenset(
        {
            *(("distinct", "countries"), ("distinct", "regions")),
            *(("sum", "countries"), ("sum", "regions"), ("sum", "events")),
            *(("sum", "transactions"), ("sum", _MONEY), ("ratio", "share")),
        }
    ),
    "instruments": frozenset(  # cash
        {("count", "transactions"), ("sum", _MONEY), ("minimum", _MONEY), ("ratio", "share")}
    ),
    "structuring": frozenset(
        {
            ("sum", "transactions"),
            ("max", "transactions"),
            ("mean", "share"),
            ("at_least", "0 or 1"),
        }
    ),
    "flow_through": frozenset({("sum", _MONEY), ("ratio", "share"), ("ratio", "ratio")}),
}
"""By family of what customers do themselves: (statistic or operation, unit) for which a higher
value is more of the conduct that the family looks for, so that a lower value is less risk.

Convention, after 银发〔2013〕2号, which rates cash, cross-border and frequent business higher:
counts, sums, largest values and shares. Means, spreads, entropies, gaps and concentrations
are absent, since misconduct is found at both ends. A new family is absent until it is listed;
who customers are, what others report about them, outcomes and peers are always absent."""


LONGEST_US: Final = 180 * DAY_US
"""Longest window that future conduct can fill before the next review: half a year, the review
interval of the highest tier (银发〔2013〕2号). What lies further back cannot be changed."""


def direction_of(spec: FeatureSpec, specs: Mapping[str, FeatureSpec]) -> Direction:
    """Return the direction of risk of a feature that a customer's future conduct can change.

    A profile, the payment itself, and what lies further back than `LONGEST_US` cannot be
    changed: only windows over the customer's rows since then count, and formulas of them.

    `specs`: mapping of name to FeatureSpec; features that it may be made of.
    Returns {-1, 0, 1}; what the feature declares (`monotone`), else 1 if it is listed in `RISING`;
    0 where no direction is known or it cannot be changed.
    """
    if spec.family not in RISING or spec.kind != "number" or not _is_conduct(spec, specs):
        return 0
    if spec.monotone != 0:
        return spec.monotone
    return 1 if (_reading(spec), spec.unit) in RISING[spec.family] else 0


def _reading(spec: FeatureSpec) -> str | None:
    match spec.how:
        case Window(statistic=statistic):
            return statistic
        case Formula(operation=operation):
            return operation
        case _:
            return None


def _is_conduct(spec: FeatureSpec, specs: Mapping[str, FeatureSpec]) -> bool:
    match spec.how:
        case Window(key=key, period=period, at=at):
            own = at is None and any(each in {CUSTOMER_ID, ACCOUNT_ID} for each in key)
            return own and period.us is not None and period.us <= LONGEST_US
        case Formula(inputs=inputs):
            return all(name in specs and _is_conduct(specs[name], specs) for name in inputs)
        case _:
            return False
