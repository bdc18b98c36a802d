"""The model card: purpose, data, performance and limitations of a model, a page of Markdown.

Every figure is computed from the training run; none is written by hand.

Source of the form: Mitchell et al. 2019, "Model Cards for Model Reporting", FAT*, 220-229.
"""

import math
import re
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import pandas as pd

from kyc_ml.config import CALIBRATION, CustomerFoldsConfig
from kyc_ml.contract import digest_together
from kyc_ml.dataset import BETWEEN, LEFT_OUT
from kyc_ml.display import template_environment
from kyc_ml.metrics import ModelMetrics
from kyc_ml.registry import Bundle
from kyc_ml.training.evidence import MODEL, Trained
from kyc_ml.training.fitting import learned_parts
from kyc_ml.training.model_card.limitations import find_limitations

_FEATURES_SHOWN: Final = 15
_FILES_SHOWN: Final = 20
_NONE: Final = "–"
_NUMBERS: Final = ("observations", "used", "positives", "customers", *LEFT_OUT)
_SAID: Final = {BETWEEN: "the days between them"}


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
    config, importance = trained.bundle.config, trained.importance
    learned = learned_parts(config.model)
    environment = template_environment().overlay(autoescape=False)
    environment.filters["cell"] = _cell
    text = environment.get_template("model_card.md.j2").render(
        bundle=bundle,
        trained=trained,
        tiers=tiers,
        quality=trained.quality,
        model=MODEL,
        part=trained.evidence.part,
        limitations=find_limitations(bundle, trained),
        version=version("kyc-ml"),
        data_digest=digest_together(bundle.data.get("files", {})),
        folds=isinstance(config.splits, CustomerFoldsConfig),
        averaged=config.model.averaged,
        learned=[
            _SAID.get(name, name.replace("_", " "))
            for name in learned
            if name in set(trained.parts["part"])
        ],
        calibrated_apart=CALIBRATION in learned,
        numbers=_NUMBERS,
        counts=lambda row: [f"{row[name]:,}" for name in _NUMBERS],
        segments=trained.calibration.segments,
        overlaps=lambda found: found.overlaps.set_index("overlap")["mean"],
        features=importance[importance["share"] > 0].head(_FEATURES_SHOWN),
        meaning={spec.name: spec.description for spec in bundle.inputs},
        files=bundle.data.get("files", {}),
        files_shown=_FILES_SHOWN,
        head=lambda *names: f"{_line(*names)}\n{_line(*['---'] * len(names))}",
        line=_line,
        interval=_interval,
        number=_number,
        percent=lambda value: _NONE if math.isnan(value) else f"{100 * value:.2f} %",
    )
    first, *parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    headline, purpose = first.strip().split("\n\n")
    pairs = zip(parts[::2], (body.strip("\n") for body in parts[1::2]), strict=True)
    return ModelCard(
        name=bundle.config.name,
        digest=bundle.digest,
        headline=headline,
        purpose=purpose,
        sections=tuple((heading, body) for heading, body in pairs if body),
    )


def _section(section: tuple[str, str]) -> str:
    heading, body = section
    return f"## {heading}\n\n{body}\n"


def _line(*cells: object) -> str:
    # names of files and categories are the user's own and may contain a mark of the table
    written = (" ".join(str(cell).replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(written)} |"


def _interval(quality: ModelMetrics, name: str, digits: int = 3) -> str:
    value, low, high = (getattr(quality, f"{name}{end}") for end in ("", "_low", "_high"))
    if math.isnan(value):
        return _NONE
    shown = [_number(number, digits) for number in (value, low, high)]
    return shown[0] if math.isnan(low) else f"{shown[0]} ({shown[1]} to {shown[2]})"


def _number(value: float, digits: int = 4) -> str:
    return _NONE if math.isnan(value) else f"{value:.{digits}f}"


def _cell(value: Any) -> str:  # noqa: ANN401  a data frame's cell
    if isinstance(value, float):
        return _number(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
