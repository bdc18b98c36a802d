"""The first screen in a committee's words: outcomes as counts, for the whole and by tier."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from kyc_ml.display import format_rate
from kyc_ml.validation.report.naming import Naming
from kyc_ml.validation.report.numbers import DASH, write_number
from kyc_ml.validation.report.view import SIGNIFICANT
from kyc_ml.validation.report.words import word
from kyc_ml.validation.result import Finding, Report

_IN_FORCE: Final = "in force"
_OF_MODEL: Final = "probability alone"

_STEPS: Final = ("by_model", "by_rating", "by_history", "by_override")

_LEVEL: Final = frozenset({"o_e", "o_e_low", "o_e_high", "missed", "missed_share", "surplus_share"})
"""Figures of `calibration.overall` that the counts of the whole portfolio explain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierView:
    """The tiers in force, the highest first, as text."""

    columns: tuple[str, ...]
    """Keys of the words that head the columns."""
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Tuple of (tier, cells); a cell is a text, and its interval or ''."""
    remarks: tuple[str, ...]
    """Inversions, and tiers that the model alone does not reach, as sentences."""


def say_level(report: Report, naming: Naming) -> str:
    """Write how many outcomes came and how many were predicted; '' if that was not computed.

    The percentage is observed over expected less 1, with the interval of `calibration.overall`.
    """
    ratio = report.find_figure("calibration.overall", "o_e")
    if ratio is None or ratio.value is None:
        return ""
    observed, low, high = report.current.positives, ratio.low, ratio.high
    expected = _expected(report, observed, ratio.value)
    if low is None or high is None or expected is None:
        return ""
    counts = {
        "observed": f"{observed:,}",
        "expected": f"{expected:,.0f}",
        "outcomes": word(f"outcomes_{report.model.unit}", naming.language),
    }
    key, ends = _meaning(ratio.value, low, high)
    return word(key, naming.language).format(**counts, **ends)


def _meaning(value: float, low: float, high: float) -> tuple[str, dict[str, str]]:
    if low > 1:
        return "said_level_low", _per_cent(change=value - 1, low=low - 1, high=high - 1)
    if high < 1:
        return "said_level_high", _per_cent(change=1 - value, low=1 - high, high=1 - low)
    return "said_level_right", {"low": f"{low:.2f}", "high": f"{high:.2f}"}


def _per_cent(**shares: float) -> dict[str, str]:
    return {name: f"{100 * share:.0f}%" for name, share in shares.items()}


def _expected(report: Report, observed: int, ratio: float) -> float | None:
    """Return the predicted number; reports of older versions have it by tier of the model."""
    tiers = report.find_table("tiers.concentration", "in_force")
    if tiers is not None:
        return float(tiers["expected"].sum())
    return observed / ratio if ratio else None


def view_tiers(report: Report, naming: Naming) -> TierView | None:
    """Return the tiers in force with their outcomes; None if the report does not have them."""
    rates = _of(_IN_FORCE, report.find_table("tiers.ordering", "rates"))
    if rates is None:
        return None
    language = naming.language
    counts = report.find_table("tiers.concentration", "in_force")
    columns = ["rows_of_tier"]
    if counts is not None:
        risky = report.model.unit == "risk"  # there a row is a customer at a review date
        columns = ["customers" if risky else "rows_of_tier"]
        columns += [name for name in _STEPS if counts[name].any()]
        columns += ["expected_outcomes"]
    columns += ["observed_outcomes", "observed_rate"]
    rows = []
    for place in reversed(range(len(rates))):
        rate = rates.iloc[place]
        empty = bool(pd.isna(rate["rate"]))
        ends = "" if empty else f"{format_rate(rate['low'])}{DASH}{format_rate(rate['high'])}"
        facts = {
            "rows_of_tier": f"{int(rate['rows']):,}",
            "observed_outcomes": f"{int(rate['positives']):,}",
            "observed_rate": DASH if empty else format_rate(rate["rate"]),
        }
        if counts is not None:
            count = counts.iloc[place]
            facts |= {name: f"{int(count[name]):,}" for name in _STEPS}
            facts["rows_of_tier"] = f"{int(count['rows']):,}"
            facts["customers"] = f"{int(count['customers']):,}"
            facts["expected_outcomes"] = f"{count['expected']:,.1f}"
        cells = ((facts[name], ends if name == "observed_rate" else "") for name in columns)
        rows.append((naming.value(str(rate["tier"])), tuple(cells)))
    return TierView(
        columns=tuple(word(name, language) for name in columns),
        rows=tuple(rows),
        remarks=(*_inversions(report, naming, _IN_FORCE), *_unreached(counts, naming)),
    )


def _inversions(report: Report, naming: Naming, which: str) -> Iterator[str]:
    """Yield a sentence for each higher tier that had a lower observed rate than the next one."""
    pairs = _of(which, report.find_table("tiers.ordering", "pairs"))
    rates = _of(which, report.find_table("tiers.ordering", "rates"))
    if pairs is None or rates is None:
        return
    of = rates.set_index("tier")
    for pair in pairs[pairs["inverted"].astype(bool)].to_dict("records"):
        facts: dict[str, str] = {}
        for place in ("higher", "lower"):
            tier = of.loc[pair[place]]
            facts |= {
                place: naming.value(str(pair[place])),
                f"{place}_rate": format_rate(float(tier["rate"])),
                f"{place}_hits": f"{int(tier['positives']):,}",
                f"{place}_rows": f"{int(tier['rows']):,}",
            }
        p_value = float(pair["p_holm"])
        meaning = "significant" if p_value < SIGNIFICANT else "maybe_chance"
        yield word("said_inversion", naming.language).format(
            **facts, meaning=word(meaning, naming.language), p=write_number(p_value, "p-value")
        )


def _unreached(counts: pd.DataFrame | None, naming: Naming) -> Iterator[str]:
    if counts is None:
        return
    empty = counts[(counts["by_model"] == 0) & (counts["rows"] > 0)]
    for tier, rows in zip(empty["tier"], empty["rows"], strict=True):
        yield word("said_not_by_model", naming.language).format(
            tier=naming.value(str(tier)), rows=f"{int(rows):,}"
        )


def periods_of(report: Report) -> list[dict[Any, Any]]:
    """Return the rows of each period of back-testing; none if the rows are of one period."""
    table = report.find_table("discrimination.periods", "auc")
    several = table is not None and len(table) > 1 and "expected" in table
    return table.to_dict("records") if several and table is not None else []


def say_finding(finding: Finding, report: Report, naming: Naming) -> str:
    """Write a finding in counts instead of a p-value; '' where its own text has no better one."""
    check, name = finding.id.split("/")[:2]
    if (check == "calibration.overall" and name in _LEVEL) or name == "under_p_all":
        return say_level(report, naming)
    if check == "tiers.ordering":
        which = _IN_FORCE if name.endswith("in_force") else _OF_MODEL
        return " ".join(_inversions(report, naming, which))
    if check == "calibration.jeffreys":
        return _tier_level(report, name, naming)
    return ""


def _tier_level(report: Report, name: str, naming: Naming) -> str:
    """Write the counts of the tier to which a figure of the test by tier belongs."""
    figure = report.find_figure("calibration.jeffreys", name)
    table = report.find_table("calibration.jeffreys", "tiers")
    if table is None or figure is None or figure.about not in set(table["grade"]):
        return ""
    tier = table.set_index("grade").to_dict("index")[figure.about]
    return word("said_tier", naming.language).format(
        tier=naming.value(figure.about),
        observed=f"{int(tier['positives']):,}",
        expected=f"{tier['rows'] * tier['expected_rate']:,.1f}",
        rows=f"{int(tier['rows']):,}",
        outcomes=word(f"outcomes_{report.model.unit}", naming.language),
    )


def _of(which: str, table: pd.DataFrame | None) -> pd.DataFrame | None:
    if table is None:
        return None
    return table[table["tiers"] == which].reset_index(drop=True)
