"""The model card: purpose, data, performance and limitations of a model, a page of Markdown.

Every figure is computed from the training run; none is written by hand.

Source of the form: Mitchell et al. 2019, "Model Cards for Model Reporting", FAT*, 220-229.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import pandas as pd

from kyc_ml.config import CALIBRATION, CustomerFoldsConfig, DatasetConfig, Unit
from kyc_ml.contract import digest_together
from kyc_ml.dataset import BETWEEN, LEFT_OUT
from kyc_ml.metrics import ModelMetrics
from kyc_ml.registry import Bundle
from kyc_ml.training.evidence import MODEL, Trained
from kyc_ml.training.fitting import learned_parts
from kyc_ml.training.model_card.limitations import find_limitations
from kyc_ml.training.stability import Stability

_FEATURES_SHOWN: Final = 15
_FILES_SHOWN: Final = 20
_NONE: Final = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model card by its sections."""

    name: str
    digest: str
    headline: str
    """The three figures that matter, in one sentence."""
    purpose: str
    sections: tuple[tuple[str, str], ...]
    """Tuple of (heading, body); bodies are Markdown without a heading, what decides first."""

    def render(self, run: str) -> str:
        """Write the whole card; `run` is the id of the run that trained the model."""
        title = f"# Model {self.name}, bundle {self.digest[:12]}\n"
        return "\n".join([title, self._head(run), *map(_section, self.sections)])

    def shorten(self, run: str, *, longest: int) -> str:
        """Write the first sections that fit into `longest` characters; name the others.

        It begins with the figures: lists show the first line only.
        """
        text = self._head(run)
        for place, section in enumerate(self.sections):
            rest = ", ".join(heading for heading, _ in self.sections[place:])
            pointer = f"\nMore in model_card.md of the run: {rest}.\n"
            longer = f"{text}\n{_section(section)}"
            if len(longer) + len(pointer) > longest:
                return (text + pointer)[:longest]
            text = longer
        return text

    def _head(self, run: str) -> str:
        return (
            f"{self.headline}\n\n{self.purpose}\n\n"
            f"Train it again and compare: `kyc-ml reproduce {run} --data FOLDER`\n"
        )


def make_model_card(bundle: Bundle, trained: Trained, *, tiers: pd.DataFrame) -> ModelCard:
    """Make the card of a saved bundle from the evidence of its training.

    `bundle`: as it was saved: it knows its digest.
    """
    sections = {
        "Quality on rows it was not fitted on": _quality(trained),
        "Known limitations": _bullets(find_limitations(bundle, trained)),
        "Intended use": _use(bundle),
        "Identity": _identity(bundle, trained),
        "Calibration": _calibration(trained),
        "Tiers": _tiers(tiers),
        "What learned from which rows": _say_learned(trained),
        "Periods": _periods(trained),
        "Segments": _segments(trained),
        "Stability": "\n\n".join(map(_stability, trained.stability)),
        f"Features of largest share of the gain (of {len(bundle.inputs)})": _features(
            bundle, trained
        ),
        "Data files": _files(bundle),
    }
    return ModelCard(
        name=bundle.config.name,
        digest=bundle.digest,
        headline=_headline(trained),
        purpose=_PURPOSE[bundle.config.unit],
        sections=tuple((heading, body) for heading, body in sections.items() if body),
    )


_PURPOSE: Final[dict[Unit, str]] = {
    "fraud": (
        "Gives each transaction, at its own time, the probability that it turns out "
        "fraudulent, with a tier and its reasons."
    ),
    "risk": (
        "Gives each customer, at a review date, the probability that the institution learns of "
        "an adverse outcome within the horizon, with a tier and its reasons."
    ),
}


def _headline(trained: Trained) -> str:
    part = trained.evidence.part
    seen = trained.quality[MODEL][part]
    others = "".join(
        f"; AP of the {who} {parts[part].average_precision:.3f}"
        for who, parts in trained.quality.items()
        if who != MODEL and part in parts
    )
    auc = _interval(seen.auc, seen.auc_low, seen.auc_high)
    return (
        f"AP {_precision(seen, 3)}, AUC {auc}, observed / expected {_ratio(seen)} on "
        f"{seen.rows:,} {part.replace('_', ' ')} rows with {seen.positives:,} positives{others}; "
        "AP is average precision, intervals are at 95 %."
    )


def _ratio(quality: ModelMetrics) -> str:
    return _interval(
        quality.observed_over_expected,
        quality.observed_over_expected_low,
        quality.observed_over_expected_high,
    )


def _use(bundle: Bundle) -> str:
    run = bundle.config
    lines = [
        f"Positive: {_label(run.unit, run.dataset)}",
        f"Negative: no such case {run.dataset.label_maturity_days} days after "
        + ("the transaction." if run.unit == "fraud" else "the end of the horizon.")
        + " What is younger or under investigation was left out, never counted as negative.",
        "Known at the decision: rows that happened before it and were known by then.",
        "For: ranking, review by people, and due diligence by tier.",
        "Not for: a decision without a person's review; proof of misconduct; another source, "
        f"product or currency than it was trained on ({bundle.data['base_currency']}).",
    ]
    if bundle.policy.disclosure == "internal_only":
        lines.append(
            "Probability, tier and reasons are internal: never disclose them to customers."
        )
    return _bullets(lines)


_OUTCOME: Final = {
    "confirmed_fraud": "confirmed fraud",
    "str_filed": "suspicious-transaction report filed",
    "default": "default",
}


def _label(unit: Unit, dataset: DatasetConfig) -> str:
    outcomes = " or ".join(_OUTCOME[name] for name in dataset.adverse_outcomes)
    if unit == "fraud":
        return f"a case that names the transaction ended as {outcomes}."
    return (
        f"a case of the customer became known as {outcomes} in the {dataset.horizon_days} days "
        "after the review."
    )


def _identity(bundle: Bundle, trained: Trained) -> str:
    data = bundle.data
    facts = {
        "name": bundle.config.name,
        "bundle digest (SHA-256)": f"`{bundle.digest}`",
        "one observation is": "a transaction" if bundle.config.unit == "fraud" else "a review",
        "code": f"kyc-ml {version('kyc-ml')}",
        "algorithm": f"LightGBM, {bundle.model.n_trees} trees, {len(bundle.inputs)} features",
        "source": str(data["source"]),
        "data digest (SHA-256)": f"`{digest_together(data.get('files', {}))}`",
        "known up to": str(data["as_of"]),
        "tier policy": f"{bundle.policy.name} v{bundle.policy.version}",
        "evaluated on": f"part {trained.evidence.part.replace('_', ' ')}",
    }
    return _table(["", ""], [[name, value] for name, value in facts.items()])


def _quality(trained: Trained) -> str:
    part = trained.evidence.part
    seen = trained.quality[MODEL][part]
    head = [
        "", "AUC (95 %)", "average precision (95 %)", "recall at 5 % FPR", "Brier",
        "calibration error", "observed / expected (95 %)",
    ]  # fmt: skip
    rows = [_judged(who, parts[part]) for who, parts in trained.quality.items() if part in parts]
    text = (
        f"{seen.rows:,} rows of part {part.replace('_', ' ')}, {seen.positives:,} positives. "
        f"Without a model average precision is {seen.prevalence:.4f}, the prevalence."
    )
    return f"{_table(head, rows)}\n\n{text}\n\n{trained.added_value.sentence}"


def _precision(quality: ModelMetrics, digits: int) -> str:
    low, high = quality.average_precision_low, quality.average_precision_high
    return _interval(quality.average_precision, low, high, digits)


def _judged(who: str, quality: ModelMetrics) -> list[str]:
    return [
        who,
        _interval(quality.auc, quality.auc_low, quality.auc_high),
        _precision(quality, 4),
        _number(quality.recall_at_5_percent_fpr),
        _number(quality.brier),
        _number(quality.calibration_error),
        _ratio(quality),
    ]


def _calibration(trained: Trained) -> str:
    candidates = trained.calibration.candidates
    rows = [
        [str(row["method"]), _number(row["log_loss"], 5), _number(row["calibration_error"], 5)]
        for row in candidates.to_dict("records")
    ]
    chosen = trained.bundle.calibrator.method
    return (
        f"Chosen: {chosen}, the lowest cross-validated log loss on the calibration rows.\n\n"
        + _table(["candidate", "log loss", "calibration error"], rows)
    )


def _tiers(tiers: pd.DataFrame) -> str:
    head = ["tier", "from probability", "rows", "share", "expected rate", "observed rate (95 %)"]
    rows = [
        [
            f"{row['tier']} {row['tier_zh']}",
            f"{row['from_probability']:g}",
            f"{row['rows']:,}",
            _percent(row["share"]),
            _percent(row["expected_rate"]),
            f"{_percent(row['observed_rate'])} ({_percent(row['ci_low'])} to "
            f"{_percent(row['ci_high'])})"
            if row["rows"]
            else _NONE,
        ]
        for row in tiers.iloc[::-1].to_dict("records")
    ]
    return _table(head, rows)


def _periods(trained: Trained) -> str:
    """Tabulate the parts: rows used, and those left out, add up to the observations."""
    numbers = ("observations", "used", "positives", "customers", *LEFT_OUT)
    head = ["part", "from", "until", *(name.replace("_", " ") for name in numbers)]
    rows = [
        [
            str(row["part"]).replace("_", " "),
            _day(row["start"]),
            _day(row["end"]),
            *(f"{row[name]:,}" for name in numbers),
        ]
        for row in trained.parts.to_dict("records")
    ]
    return _table(head, rows)


_SAID: Final = {BETWEEN: "the days between them"}


def _say_learned(trained: Trained) -> str:
    """Name the rows that gave the model, its number of trees, its probabilities and its figures."""
    config = trained.bundle.config
    fits = config.model.averaged
    mean = "" if fits == 1 else f" It is the mean of {fits} fits with different seeds."
    if isinstance(config.splits, CustomerFoldsConfig):
        return (
            f"The model learned from all rows.{mean} Its probabilities and figures come from "
            "models of the folds: each row is predicted by one that learned from no row of its "
            "customer."
        )
    learned = learned_parts(config.model)
    named = [name for name in learned if name in set(trained.parts["part"])]
    *others, last = (_SAID.get(name, name.replace("_", " ")) for name in named)
    rows = f"{', '.join(others)} and {last}" if others else last
    calibrating, whose = (
        ("learned rows after the train part", "models that learned from no row of their customer")
        if CALIBRATION in learned
        else ("calibration rows", "the model, which learned from none of them")
    )
    return (
        f"The model learned from the rows of {rows}.{mean} The early stopping rows chose "
        f"{trained.best_round} trees a fit. The map to probabilities was fitted on the margins "
        f"that the {calibrating} get from {whose}. The test rows took part in nothing: the "
        "figures come from them."
    )


def _segments(trained: Trained) -> str:
    table = trained.calibration.segments
    if table is None:
        return ""
    head = [str(name).replace("_", " ") for name in table.columns]
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    name = trained.bundle.config.calibration.segment
    return f"Probabilities have a separate shift for each {name}.\n\n{_table(head, rows)}"


def _stability(found: Stability) -> str:
    rows = [
        [str(row["metric"]).replace("_", " "), *(_number(row[column]) for column in _SPREAD)]
        for row in found.metrics.to_dict("records")
    ]
    overlap = found.overlaps.set_index("overlap")["mean"]
    refits = len(found.runs)
    return (
        f"{refits} refits ({found.kind}). Overlap of two refits, mean: top features "
        f"{overlap['top_features']:.2f}, reasons of a row {overlap['reasons']:.2f}, rank "
        f"correlation {overlap['rank_correlation']:.3f}.\n\n"
        + _table(["figure on test rows", *_SPREAD], rows)
    )


_SPREAD: Final = ["mean", "sd", "min", "max"]


def _features(bundle: Bundle, trained: Trained) -> str:
    meaning = {spec.name: spec.description for spec in bundle.inputs}
    top = trained.importance[trained.importance["share"] > 0].head(_FEATURES_SHOWN)
    rows = [
        [f"`{row['feature']}`", str(row["family"]), _percent(row["share"]), meaning[row["feature"]]]
        for row in top.to_dict("records")
    ]
    return _table(["feature", "family", "share of gain", "meaning"], rows)


def _files(bundle: Bundle) -> str:
    files: Mapping[str, str] = bundle.data.get("files", {})
    rows = [[name, f"`{digest}`"] for name, digest in list(files.items())[:_FILES_SHOWN]]
    left = len(files) - len(rows)
    more = f"\n\nAnd {left} more; record/facts.json of the run lists all." if left else ""
    return _table(["file", "SHA-256"], rows) + more if rows else ""


def _section(section: tuple[str, str]) -> str:
    heading, body = section
    return f"## {heading}\n\n{body}\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_escape, line))} |" for line in lines)


def _escape(cell: str) -> str:
    # names of files and categories are the user's own and may contain a mark of the table
    return " ".join(cell.replace("|", "\\|").split())


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _interval(value: float, low: float, high: float, digits: int = 3) -> str:
    if math.isnan(value):
        return _NONE
    shown = [_number(number, digits) for number in (value, low, high)]
    return shown[0] if math.isnan(low) else f"{shown[0]} ({shown[1]} to {shown[2]})"


def _number(value: float, digits: int = 4) -> str:
    return _NONE if math.isnan(value) else f"{value:.{digits}f}"


def _percent(value: float) -> str:
    return _NONE if math.isnan(value) else f"{100 * value:.2f} %"


def _day(moment: pd.Timestamp | None) -> str:
    return _NONE if pd.isna(moment) else f"{moment:%Y-%m-%d}"


def _cell(value: Any) -> str:  # noqa: ANN401  a data frame's cell
    if isinstance(value, float):
        return _number(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
