"""The sentence of a pattern in English and Chinese: counts, amounts, days and parties."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kyc_ml.decision.patterns.rows import Rows
from kyc_ml.decision.patterns.rules import DECLARED, PATTERNS
from kyc_ml.decision.wording import Language, Pair
from kyc_ml.metrics import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The zone and the money of a source, and the amount from which it reports cash."""

    timezone: str
    currency: str
    cash_report: float

    def clock(self, moment: int) -> pd.Timestamp:
        """Return microseconds of UTC as a time of the source."""
        return pd.Timestamp(moment, unit="us", tz="UTC").tz_convert(self.timezone)

    def say(self, amount: float) -> str:
        """Write an amount in whole units, or with decimals below 10."""
        return f"{amount:,.{2 if 0 < amount < 10 else 0}f} {self.currency}"

    def days(self, times: Ints, language: Language) -> str:
        """Write the days from the first to the last of some times."""
        if not times.size:
            return "–"
        return say_days(self.clock(int(times[0])), self.clock(int(times[-1])), language)


def say_days(first: pd.Timestamp, last: pd.Timestamp, language: Language) -> str:
    """Write one day, or the first and the last of several.

    Examples
    --------
    >>> days = pd.Timestamp("2025-04-28"), pd.Timestamp("2025-05-03")
    >>> say_days(*days, "en"), say_days(*days, "zh")
    ('28 Apr to 3 May 2025', '2025年4月28日至5月3日')
    """
    same = first.year == last.year, first.month == last.month, first.day == last.day
    if language == "zh":
        head = f"{first.year}年{first.month}月{first.day}日"
        year = "" if same[0] else f"{last.year}年"
        month = "" if same[:2] == (True, True) else f"{last.month}月"
        return head if all(same) else f"{head}至{year}{month}{last.day}日"
    end = f"{last.day} {last.month_name()[:3]} {last.year}"
    if all(same):
        return end
    month = "" if same[:2] == (True, True) else f" {first.month_name()[:3]}"
    return f"{first.day}{month}{'' if same[0] else f' {first.year}'} to {end}"


def say_pattern(code: str, rows: Rows, figures: Mapping[str, float], amounts: Amounts) -> Pair:
    """Write a pattern's sentence; `figures` are those of `Pattern`."""
    english, chinese = (
        PATTERNS[code].text[language].format(**_values(code, rows, figures, amounts, language))
        for language in ("en", "zh")
    )
    return english, chinese


def _values(
    code: str, rows: Rows, figures: Mapping[str, float], amounts: Amounts, language: Language
) -> dict[str, str]:
    """Write every value that a sentence may hold."""
    rule = PATTERNS[code]
    into, out = rows.way > 0, rows.way < 0

    def count(name: str, number: float) -> str:
        one, many = DECLARED["words"][name][language]
        space = "" if language == "zh" else " "
        return f"{number:,.0f}{space}{one if number == 1 else many}"

    return {
        "payments": count("payments", figures["payments"]),
        "payments_in": count("payments", figures["payments_in"]),
        "payments_out": count("payments", figures["payments_out"]),
        "payers": count("new_payers", figures["parties_in"]),
        "payees": count("new_payees", figures["parties_out"]),
        "parties": count("customers", figures["payments"]),
        "amount": amounts.say(float(rows.amount.sum())),
        "amount_in": amounts.say(float(rows.amount[into].sum())),
        "amount_out": amounts.say(float(rows.amount[out].sum())),
        "first_amount": amounts.say(float(rows.amount[0])),
        "share": "–" if np.isnan(figures["sent_on"]) else f"{figures['sent_on']:.0%}",
        "days": amounts.days(rows.time, language),
        "days_in": amounts.days(rows.time[into], language),
        "days_out": amounts.days(rows.time[out], language),
        "first": amounts.days(rows.time[:1], language),
        "gap": count("days", figures.get("gap_days", 0.0)),
        "multiple": f"{figures.get('multiple', 0.0):,.1f}",
        "near": amounts.say(rule["near"] * amounts.cash_report),
        "threshold": amounts.say(amounts.cash_report),
        "pause_days": f"{rule['pause_days']:g}",
    }
