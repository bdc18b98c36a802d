"""One self-contained HTML page of a run: what went in, how good the models are, and why.

The page needs no network and holds no script; the same story gives the same bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kyc_ml.config import TEST, read_packaged
from kyc_ml.display.glossary import GLOSSARY
from kyc_ml.display.presentation import format_rate, say_moment
from kyc_ml.errors import hint
from kyc_ml.storage import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOTS: Final = (
    "roc",
    "precision_recall",
    "reliability",
    "score_distribution",
    "tiers",
    "importance",
    "beeswarm",
    "parts",
    "folds",
)
_DASH: Final = "–"
_TEMPLATE: Final = "page.html.j2"
WORDS: Final[dict[str, Any]] = read_packaged(Path(__file__).with_name("page.yaml"))
"""Words of the page, each in English (``en``) and Chinese (``zh``)."""

Said = tuple[str, str]
"""A text in English and in Chinese."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonLine:
    """One reason of a score, in words."""

    text: str
    text_zh: str
    """`text` and `text_zh`: the sentence in English and in Chinese."""
    contribution: float
    """What the feature added to the margin, in log-odds; above 0 it raises the risk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One scored observation with its reasons, as an analyst would meet it."""

    observation_id: str
    customer_id: str
    decision_time: pd.Timestamp
    """When the score would have been given."""
    probability: float
    """Calibrated probability of a positive outcome."""
    tier: str
    tier_zh: str
    tier_path: str
    """What but the probability decided the tier; empty where it decided alone."""
    outcome: str
    """Positive, negative or not known."""
    margin: float
    """Log-odds before calibration: `base_value` and all differences together."""
    base_value: float
    """Log-odds that reasons start from: the margin of comparable rows."""
    reasons: tuple[ReasonLine, ...]
    """The strongest contributions, in the order to show."""

    @property
    def listed(self) -> float:
        """Sum of the contributions of the reasons shown."""
        return float(sum(reason.contribution for reason in self.reasons))

    @property
    def rest(self) -> float:
        """Sum of the differences of all features not shown."""
        return self.margin - self.base_value - self.listed


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStory:
    """Content of the page about one model.

    Raises
    ------
    ValueError
        If a plot has a name that the page does not know.
    """

    name: str
    """Name in the registry."""
    unit: str
    """What is scored, such as "risk" or "fraud"."""
    title: str
    """Heading for a reader who does not know the name."""
    model_version: str
    model_digest: str
    """`model_version` and `model_digest`: which bundle gave the figures."""
    figures: pd.DataFrame
    """One row a predictor, the model first: who, auc, auc_low, auc_high, average_precision,
    average_precision_low, average_precision_high, recall_at_5_percent_fpr, brier,
    calibration_error, observed_over_expected, observed_over_expected_low,
    observed_over_expected_high; on the test part. NaN is shown as a dash."""
    added_value: pd.DataFrame
    """What the model adds over each baseline, as `compute_added_value` gives it."""
    added_sentence: str
    """The same in a sentence."""
    parts: pd.DataFrame
    """The split, as `summarise_parts` gives it."""
    left_out_features: Mapping[str, str]
    """Mapping of feature to the reason it was left out."""
    tiers: pd.DataFrame
    """As `compute_tier_table` gives it, with or without outcomes."""
    plots: Mapping[str, "Figure"]
    """Mapping of one of `PLOTS` to Figure; a plot that is absent is passed over."""
    examples: tuple[Example, ...]
    scored: int
    """Observations that were given a score."""
    seconds: Mapping[str, float]
    """Mapping of stage to seconds it took."""
    title_zh: str = ""
    """The heading in Chinese; empty: as in English."""
    verdict: tuple[Said, ...] = ()
    """What a validator would say of the figures."""
    drawn: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Mapping of a plot's name to DataFrame; the figures of the plot, by columns of `WORDS`; shown
    below it."""
    in_force: pd.DataFrame | None = None
    """As `tiers_set_table` gives it, of the latest scores; None where nothing was scored."""

    def __post_init__(self) -> None:
        unknown = [f"{name!r}{hint(name, PLOTS)}" for name in sorted(set(self.plots) - set(PLOTS))]
        if unknown:
            msg = f"model {self.name!r}: the page has no place for plots {', '.join(unknown)}"
            raise ValueError(msg)

    @property
    def test(self) -> dict[str, Any] | None:
        """The row of the test part, or None where the split has none."""
        rows = self.parts[self.parts["part"] == TEST].to_dict("records")
        return {str(name): value for name, value in rows[0].items()} if rows else None

    def place_of(self, tier: str) -> int:
        """Place of a tier among those of the table, lowest first; 0 where it is unknown."""
        names = [str(name) for name in self.tiers["tier"]]
        return names.index(tier) if tier in names else 0

    @property
    def reach(self) -> float:
        """Largest contribution of all examples, so that their bars share one scale."""
        sizes = [abs(line.contribution) for case in self.examples for line in case.reasons]
        return max(sizes, default=0.0) or 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStory:
    """A case that the page leads to."""

    facts: tuple[Said, ...]
    """Sentences about it."""
    sheets: Said
    """English and Chinese; files of the case sheet beside the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageStory:
    """All content of the page."""

    title: str
    subtitle: str
    facts: tuple[tuple[str, str], ...]
    """Tuple of (label, value); what identifies the run: source, dates, versions."""
    flow: pd.DataFrame
    """One row a table: table, read, accepted, quarantined, late, first_event, last_event."""
    findings: tuple[str, ...]
    """Lines on the quality of the data."""
    models: tuple[ModelStory, ...]
    case: CaseStory | None = None
    files: Said | None = None
    """Names of the page in English and Chinese, which link to each other."""
    title_zh: str = ""
    subtitle_zh: str = ""
    """`title_zh` and `subtitle_zh`: the titles in Chinese; empty: as in English."""


def render_page(story: PageStory, *, language: Literal["en", "zh"] = "en") -> str:
    """Write the page as HTML in one language; every value of the story is escaped."""
    from kyc_ml.display.plots.inline import inline_svg  # noqa: PLC0415  Matplotlib loads for long

    place = ("en", "zh").index(language)
    drawings = [
        {
            name: inline_svg(model.plots[name], prefix=f"m{place}-{name.replace('_', '-')}-")
            for name in PLOTS
            if name in model.plots
        }
        for place, model in enumerate(story.models, start=1)
    ]
    return (
        template_environment()
        .get_template(_TEMPLATE)
        .render(
            story=story,
            zh=language == "zh",
            title=(place and story.title_zh) or story.title,
            said=place,
            t=choose_words(WORDS, language),
            other=None if story.files is None else story.files[1 - place],
            counted=any(model.in_force is not None for model in story.models),
            running=f"Internal only 内部资料 · {story.title}",
            page="页" if place else "page",
            drawings=drawings,
            totals=story.flow[["read", "accepted", "quarantined", "late"]].sum().to_dict(),
            glossary=[each for each in GLOSSARY if each.on_page],
        )
    )


def choose_words(words: Mapping[str, Any], language: str) -> dict[str, Any]:
    """Return words in one language, which are written as ``{en: …, zh: …}`` at any depth."""
    return {
        key: each[language] if set(each) == {"en", "zh"} else choose_words(each, language)
        for key, each in words.items()
    }


def template_environment() -> Environment:
    """Return the templates with their filters; every value put in is escaped."""
    environment = Environment(
        loader=PackageLoader("kyc_ml.display", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {**_FILTERS, "css": css_string}
    return environment


def css_string(text: str) -> Markup:
    r"""Return text as a string of CSS; what is not a letter or digit is escaped.

    Examples
    --------
    >>> print(css_string('a"<'))
    "a\22 \3c "
    """
    return Markup('"' + "".join(c if c.isalnum() else f"\\{ord(c):x} " for c in text) + '"')  # noqa: S704  escaped here


def save_page(story: PageStory, path: Path, *, language: Literal["en", "zh"] = "en") -> None:
    """Write the page to `path`, under a temporary name first.

    Raises OutputError if the disk refuses; a page that was there before is untouched.
    """
    write_whole(path, render_page(story, language=language).encode())


def _missing(value: Any) -> bool:  # noqa: ANN401  a cell of any table
    return bool(pd.isna(value))


def _or_dash(write: Callable[..., str]) -> Callable[..., str]:
    """Show what is missing as a dash, the rest as `write` has it."""

    def shown(value: Any, *more: Any) -> str:  # noqa: ANN401
        return _DASH if _missing(value) else write(value, *more)

    return shown


def _figure(value: float, decimals: int = 3) -> str:
    return f"{value:.{decimals}f}"


def _interval(low: float, high: float, decimals: int = 3) -> str:
    """Write an interval; empty without one."""
    if _missing(low) or _missing(high):
        return ""
    return f"{_figure(low, decimals)}{_DASH}{_figure(high, decimals)}"


def _rate_interval(low: float, high: float) -> str:
    if _missing(low) or _missing(high):
        return ""
    return f"{format_rate(low)}{_DASH}{format_rate(high)}"


def _day(when: pd.Timestamp) -> str:
    return pd.Timestamp(when).date().isoformat()


def _records(table: pd.DataFrame) -> Sequence[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _groups(table: pd.DataFrame, column: str) -> list[pd.DataFrame]:
    """Split a table by a column's values, in the order they first come."""
    return [part for _, part in table.groupby(column, sort=False)]


def _change(value: float, decimals: int = 3) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")


def _quantity(value: float) -> str:
    return f"{value:,.1f}" if value < 1000.0 else f"{value:,.0f}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "count": _or_dash(lambda value: f"{int(value):,}"),
    "figure": _or_dash(_figure),
    "signed": _or_dash(partial(_change, decimals=2)),
    "change": _or_dash(_change),
    "decimals": lambda figure: 5 if figure == "log_loss" else 3,
    "missing": _missing,
    "groupby_column": _groups,
    "quantity": _or_dash(_quantity),
    "rate": _or_dash(format_rate),
    "day": _or_dash(_day),
    "moment": _or_dash(say_moment),
    "seconds": _or_dash(_seconds),
    "interval": _interval,
    "rate_interval": _rate_interval,
    "records": _records,
}
