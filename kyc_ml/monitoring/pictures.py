"""Pictures of the page of monitoring, from the tables of one model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.config import read_packaged
from kyc_ml.decision import Language
from kyc_ml.display import Drawing, Series, choose_words, draw_series, format_rate
from kyc_ml.metrics import Floats
from kyc_ml.monitoring.nights import list_days
from kyc_ml.monitoring.watched import FIGURES, Watched
from kyc_ml.validation import Text

WORDS: Final[dict[str, Any]] = read_packaged(Path(__file__).with_name("page.yaml"))
YEAR: Final = 365
_MEGABYTE: Final = 1e6
_ROLES: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A picture with its title and the key of its colours."""

    title: str
    drawing: Drawing
    key: tuple[tuple[str, str], ...] = ()
    note: str = ""


class Pictures:
    """Pictures with the words of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.words = choose_words(WORDS, language)

    def say(self, key: str, **values: object) -> str:
        """Fill a sentence; see `Text.fill`."""
        return Text(en=self.words[key], zh="").fill(**values).en

    def tier(self, each: Watched, name: str) -> str:
        """Name a tier in the language of the page."""
        rules = () if each.bundle is None else each.bundle.policy.tiers
        found = next((rule.name_zh for rule in rules if rule.name == name), "")
        return found if self.language == "zh" and found else name.replace("_", " ")

    def plots(self, each: Watched) -> Iterator[Plot | None]:
        """Yield every picture of a model; None for one without a figure."""
        if each.months is not None:
            yield from self._monthly(each)
        if each.level is not None and not each.level.path.empty:
            yield self._evidence(each)
        nights = each.nights[each.nights["status"].isin(["published", "served"])]
        if nights.empty:
            return
        days = list_days(set(nights["day"]))[-YEAR:]
        daily = nights.set_index("day").reindex(days)
        details = [each if isinstance(each, dict) else {} for each in daily["detail"]]

        def figures(key: str, name: str, *, per: Floats | float = 1.0) -> Floats:
            values = [each.get(key, {}).get(name, np.nan) for each in details]
            return np.asarray(values, dtype=np.float64) / per

        scored = daily["scored"].to_numpy(np.float64)
        yield self.lines("scored", days, {self.words["scored"]: scored}, write=tick)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = {
                self.tier(each, name): figures("tiers", name, per=scored) for name in each.tiers
            }
            refused = daily["quarantined"].to_numpy(np.float64) / daily["rows_read"].to_numpy()
        yield self.lines("tiers", days, shares, write=format_rate, logarithmic=True)
        psi = {"PSI": figures("drift", "drift/score_psi")}
        yield self.lines("score_psi", days, psi, write=tick)
        yield self.lines("quarantined", days, {"": refused}, write=format_rate)
        for key, unit in (("seconds", 1.0), ("bytes", _MEGABYTE)):
            names = dict.fromkeys(name for one in details for name in one.get(key, {}))
            spent = {name: figures(key, name, per=unit) for name in names}
            yield self.lines(key, days, spent, write=tick)

    def lines(
        self,
        key: str,
        labels: Sequence[str],
        values: Mapping[str, Floats],
        *,
        write: Callable[[float], str],
        note: str = "",
        **options: Any,  # noqa: ANN401  those of `draw_series`
    ) -> Plot | None:
        """Draw one line for each name."""
        series = [
            Series(name=name, role=f"r{place % _ROLES}", values=each)
            for place, (name, each) in enumerate(values.items())
        ]
        return self._plot(key, draw_series(labels, series, write=write, **options), series, note)

    def _plot(
        self, key: str, drawing: Drawing | None, series: Sequence[Series], note: str = ""
    ) -> Plot | None:
        if drawing is None:
            return None
        names = tuple(dict.fromkeys((each.role, each.name) for each in series))
        return Plot(title=self.words[key], drawing=drawing, key=names, note=note)

    def _evidence(self, each: Watched) -> Plot | None:
        if each.level is None:
            return None
        path = each.level.path[each.level.path["family"] != "segment"]
        days = list_days(set(path["day"]))[-YEAR:]
        values = {}
        for (family, subject), part in path.groupby(["family", "subject"], sort=False):
            name = self.say(f"subject_{family}", name=self.tier(each, str(subject)))
            # evidence stays as it is on days without a closed window
            own = part.drop_duplicates("day", keep="last").set_index("day")["evidence"]
            values[name] = own.reindex(days).ffill().to_numpy(np.float64)
        return self.evidence(days, values, note=self.words["evidence_note"])

    def evidence(
        self, days: Sequence[str], values: Mapping[str, Floats], *, note: str = ""
    ) -> Plot | None:
        """Draw evidence over its limit."""
        return self.lines(
            "evidence", days, values, write=tick, note=note, reference=1.0, logarithmic=True
        )

    def _monthly(self, each: Watched) -> Iterator[Plot | None]:
        """Yield the course of each figure, with its estimate and the truth in one picture."""
        months, estimates = each.months, each.estimates
        if months is None:
            return
        guesses = estimates
        if guesses is None:
            guesses = pd.DataFrame(columns=["month", "estimator", "figure"])
        labels = sorted({*months["month"], *guesses["month"]})
        for figure in FIGURES:
            series = []
            for place, name in ((1, "cbpe"), (2, "pape")):
                own = guesses[(guesses["estimator"] == name) & (guesses["figure"] == figure)]
                if len(own):
                    said = self.words[f"estimate_{name}"]
                    series.append(_monthly_series(own, said, labels, "estimate", "", place))
            said = self.words["observed" if figure == "o_e" else "truth"]
            series.append(_monthly_series(months, said, labels, figure, f"{figure}_", 0))
            reference = 1.0 if figure == "o_e" else None
            drawing = draw_series(labels, series, write=tick, reference=reference)
            yield self._plot(figure, drawing, series)


def _monthly_series(  # noqa: PLR0917  private
    table: pd.DataFrame, name: str, labels: Sequence[str], value: str, stem: str, place: int
) -> Series:
    """Return a figure by month with its interval: points if observed, a line if estimated."""
    by_month = table.set_index("month").reindex(pd.Index(labels))
    columns = {"values": value, "low": f"{stem}low", "high": f"{stem}high"}
    found = {end: by_month[column].to_numpy(np.float64) for end, column in columns.items()}
    return Series(name=name, role=f"r{place}", dots=place == 0, **found)


def tick(value: float) -> str:
    """Write a figure of an axis in few characters."""
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
