"""Frozen configuration sections, and the only reader of YAML.

A function takes the section it needs, never the whole configuration. Units are part of
the names: days are whole days of 24 hours.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from kyc_ml.errors import ConfigError, Faults, hint

Unit = Literal["fraud", "risk"]
CalibrationMethod = Literal["none", "platt", "beta", "isotonic", "venn_abers"]


class Section(BaseModel):
    """Base of every section: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FileSource(Section):
    """One file, or one pattern of files, that a mapping expects in the data folder.

    CSV and JSON columns arrive as text: an expression that computes with one casts it first.
    """

    path: str
    format: Literal["csv", "parquet", "json", "duckdb"]
    delimiter: str = ","
    table: str | None = None

    @model_validator(mode="after")
    def _duckdb_names_its_table(self) -> Self:
        if (self.format == "duckdb") != (self.table is not None):
            msg = "`table` names the table inside a duckdb file: give it there and only there"
            raise ValueError(msg)
        return self


class TableMapping(Section):
    """One contracted table: rows `from` (SQL) `where` (SQL), an expression a column."""

    from_: str = Field(alias="from")
    where: str | None = None
    columns: dict[str, str] = Field(min_length=1)


class SourceMapping(Section):
    """How a user's files become contracted tables."""

    name: str
    description: str = ""
    timezone: str = "UTC"
    """Zone of timestamps that carry none, and of the hours a customer lives by."""
    base_currency: str
    max_quarantined_share: float = Field(default=0.001, ge=0.0, le=1.0)
    """Share of a table's rows that may be quarantined before reading fails."""
    files: dict[str, FileSource] = Field(min_length=1)
    tables: dict[str, TableMapping] = Field(min_length=1)


class DatasetConfig(Section):
    """Which observations there are and when their labels count."""

    history_start: str | None = None
    """First day (ISO date) whose observations are used; earlier rows are history only."""
    adverse_outcomes: tuple[Literal["confirmed_fraud", "str_filed", "default"], ...] = (
        "confirmed_fraud",
        "str_filed",
        "default",
    )
    horizon_days: int = Field(default=0, ge=0)
    """A review is positive if the institution learns of an adverse outcome (report filed,
    fraud confirmed, default) in the so many days after it (risk only)."""
    label_maturity_days: int = Field(default=90, ge=0)
    """Age, counted from the end of the horizon, at which an observation without an
    adverse case counts as negative."""
    review_every_months: int = Field(default=1, ge=1)
    """Review calendar where the source has no reviews table (risk only)."""

    @field_validator("history_start")
    @classmethod
    def _history_start_is_a_day(cls, text: str | None) -> str | None:
        try:
            iso = None if text is None else date.fromisoformat(text).isoformat()
        except ValueError:
            iso = None
        if iso != text:
            msg = f"must be an ISO date such as 2024-05-01, got {text!r}"
            raise ValueError(msg)
        return text


class SplitConfig(Section):
    """Parts in order of time: train, early stopping, calibration, test.

    The test ends where labels are mature on the training date. Its start less
    `embargo_days` is the development cut-off: the labels of the other parts are those
    known and mature then, as if the model had been built on that day.
    """

    method: Literal["out_of_time"] = "out_of_time"
    train_days: int | None = Field(default=None, gt=0)
    early_stopping_days: int = Field(default=14, gt=0)
    calibration_days: int = Field(default=14, gt=0)
    test_days: int = Field(default=28, gt=0)
    embargo_days: int = Field(default=7, ge=0)
    inner_embargo_days: int = Field(default=1, ge=0)
    """Days left out between train, early stopping and calibration."""


class CustomerFoldsConfig(Section):
    """Cross-validation by customer, for data too small to be parted in time.

    Every observation is predicted by a model that saw none of its customer. It says
    nothing of a change over time: prefer `out_of_time` where the data allow it.
    """

    method: Literal["customer_folds"]
    folds: int = Field(default=5, ge=2)


class PrequentialConfig(Section):
    """Folds with a rolling origin, counted back from the end; for tuning.

    Each trains on its own past, waits until the labels are known, and tests what follows.
    """

    method: Literal["prequential"]
    folds: int = Field(default=4, ge=1)
    train_days: int | None = Field(default=None, gt=0)
    """None trains on all the past."""
    delay_days: int | None = Field(default=None, ge=0)
    """None waits for the dataset's horizon and label maturity."""
    embargo_days: int = Field(default=0, ge=0)
    """Days left out between delay and test."""
    test_days: int = Field(default=28, gt=0)
    step_days: int | None = Field(default=None, gt=0)
    """Days from one test to the next; None is `test_days`."""


class OutOfTimeCustomersConfig(Section):
    """Folds by customer that are also parted in time: later rows of customers never seen."""

    method: Literal["out_of_time_customers"]
    folds: int = Field(default=5, ge=2)
    train_days: int | None = Field(default=None, gt=0)
    delay_days: int | None = Field(default=None, ge=0)
    """None waits for the dataset's horizon and label maturity."""
    embargo_days: int = Field(default=0, ge=0)
    test_days: int = Field(default=28, gt=0)


FoldsConfig = Annotated[
    PrequentialConfig | CustomerFoldsConfig | OutOfTimeCustomersConfig,
    Field(discriminator="method"),
]
"""How a tuning study or a cross-validation parts its rows; see `splits.make_splitter`."""


class CountryEntry(Section):
    """One country's stay on a list: from its first day, to the first day off it."""

    country: str = Field(pattern="^[A-Z]{2}$")
    since: date
    until: date | None = None

    @model_validator(mode="after")
    def _leaves_after_it_came(self) -> Self:
        if self.until is not None and self.until <= self.since:
            msg = f"until ({self.until}) must lie after since ({self.since})"
            raise ValueError(msg)
        return self


class CountryList(Section):
    """A list of countries, with the history of who stood on it when."""

    name: str = Field(pattern="^[a-z][a-z0-9_]*$")
    english: str
    """Who stands on it, as a plural noun: "jurisdictions under increased monitoring"."""
    chinese: str
    source: str
    verified_on: date
    entries: tuple[CountryEntry, ...] = Field(min_length=1)


class AmountsOfInterest(Section):
    """Amounts in base currency that typologies are measured against.

    Defaults: PBOC Order 〔2016〕No. 3 for cash and for transfers of natural persons, in
    CNY. Another jurisdiction or currency gives its own.
    """

    cash_report: float = Field(default=50_000.0, gt=0.0)
    """Cash of a day from which the bank reports it."""
    transfer_report: float = Field(default=500_000.0, gt=0.0)
    """Domestic transfers of a natural person's day from which the bank reports them."""
    near_share: float = Field(default=0.8, gt=0.0, lt=1.0)
    """Share of a threshold from which an amount counts as just below it (convention)."""
    round_to: float = Field(default=100.0, ge=0.01)
    """A whole multiple of it is a round amount (convention)."""
    probe: float = Field(default=10.0, gt=0.0)
    """Up to it a payment may be a probe before a large one (convention)."""


class FeatureConfig(Section):
    """A named set of declared features: whole families, and features by name."""

    name: str = "unnamed"
    description: str = ""
    families: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    """Features to add to those of the families, by name."""
    exclude: tuple[str, ...] = ()
    """Features to take out of those of the families, by name."""
    third_party_items: tuple[str, ...] = ()
    """Items of the third_party table to read; providers and items are the user's own."""
    country_lists: tuple[CountryList, ...] = ()
    """Lists of countries, as they stood at any time; none leaves their features out."""
    amounts: AmountsOfInterest = AmountsOfInterest()

    @model_validator(mode="after")
    def _chooses_something(self) -> Self:
        faults = []
        if not self.families and not self.include:
            faults.append("families and include are both empty: choose at least one")
        both = sorted(set(self.include) & set(self.exclude))
        if both:
            faults.append(f"{', '.join(both)}: both included and excluded")
        names = [each.name for each in self.country_lists]
        if len(set(names)) < len(names):
            faults.append("two country_lists have the same name")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class ModelConfig(Section):
    """LightGBM parameters. Defaults suit 10^5 to 10^6 rows with few positives."""

    seed: int = Field(default=20130105, ge=0)
    num_threads: int = Field(default=2, ge=1)
    rounds: int = Field(default=600, ge=1)
    stopping_rounds: int = Field(default=50, ge=1)
    learning_rate: float = Field(default=0.05, gt=0.0, le=1.0)
    num_leaves: int = Field(default=31, ge=2)
    min_data_in_leaf: int = Field(default=100, ge=1)
    feature_fraction: float = Field(default=0.5, gt=0.0, le=1.0)
    bagging_fraction: float = Field(default=1.0, gt=0.0, le=1.0)
    lambda_l2: float = Field(default=5.0, ge=0.0)
    max_bin: int = Field(default=255, ge=2)
    metric: Literal["average_precision", "binary_logloss", "auc"] = "average_precision"
    monotone: bool = False
    """Keep the directions that features declare: risk never falls, or never rises, with them."""
    negative_share: float = Field(default=1.0, gt=0.0, le=1.0)
    """Share of the negatives of the training rows that are kept, chosen by the seed and by
    what the rows hold; margins are corrected for it. No other rows are ever left out."""
    positive_weight: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    """Weight of a positive training row against a negative; margins are corrected for it."""


class IntRange(Section):
    """Whole numbers to search, both ends included."""

    low: int
    high: int
    log: bool = True

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _require_range(self.low, self.high, log=self.log)
        return self


class FloatRange(Section):
    """Numbers to search, both ends included."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _require_range(self.low, self.high, log=self.log)
        return self


def _require_range(low: float, high: float, *, log: bool) -> None:
    if low > high:
        msg = f"low ({low}) must not exceed high ({high})"
        raise ValueError(msg)
    if log and low <= 0:
        msg = f"low must be above 0 where log is true, got {low}"
        raise ValueError(msg)


class SearchConfig(Section):
    """Which values tuning tries, by the name of the parameter; convention, not theory.

    Where the configuration's own value lies outside, the range is widened to hold it.
    """

    num_leaves: IntRange = IntRange(low=4, high=128)
    learning_rate: FloatRange = FloatRange(low=0.02, high=0.3, log=True)
    min_data_in_leaf: IntRange = IntRange(low=10, high=500)
    feature_fraction: FloatRange = FloatRange(low=0.1, high=1.0)
    bagging_fraction: FloatRange = FloatRange(low=0.5, high=1.0)
    lambda_l2: FloatRange = FloatRange(low=0.0, high=50.0)
    max_bin: IntRange = IntRange(low=31, high=255)

    @model_validator(mode="after")
    def _models_can_have_them(self) -> Self:
        for end in ("low", "high"):
            ModelConfig(
                **{name: getattr(getattr(self, name), end) for name in type(self).model_fields}
            )
        return self


SEARCHED: Final = tuple(SearchConfig.model_fields)
"""Names of the model parameters that tuning searches."""

Objective = Literal["average_precision", "log_loss", "recall_at_capacity", "expected_cost"]


class TuningConfig(Section):
    """How `kyc-ml tune` searches LightGBM parameters: on which folds, for what, how long."""

    folds: PrequentialConfig = PrequentialConfig(method="prequential", folds=3)
    objective: Objective = "average_precision"
    capacity_per_day: float = Field(default=50.0, gt=0.0, allow_inf_nan=False)
    """Reviews a day that recall_at_capacity allows for."""
    review_cost: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    """Cost of one review, for expected_cost; in the unit of `miss_cost`."""
    miss_cost: float = Field(default=100.0, gt=0.0, allow_inf_nan=False)
    """Cost of one positive that is not reviewed. What pays is reviewed: every row whose
    probability times `miss_cost` is at least `review_cost`."""
    trials: int = Field(default=40, ge=1)
    """Trials of the whole study; those of earlier, interrupted runs count."""
    minutes: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    """No trial of a run starts after so many minutes; None sets no limit."""
    negative_share: float | None = Field(default=None, gt=0.0, le=1.0)
    """Share of the negatives that trials train on, for speed; None takes the model's own. What
    counts rows, such as min_data_in_leaf, is then found for fewer rows than training has."""
    seed: int = Field(default=20130105, ge=0)
    """Draws the parameters to try and the samples of the comparison."""
    search: SearchConfig = SearchConfig()


class SelectionConfig(Section):
    """Which features are dropped before fitting, judged by training rows only.

    Without a source, what is not said otherwise is convention.
    """

    method: Literal["none", "noise"] = "none"
    """noise drops features no better than shuffled ones, and features unstable over time."""
    keep: tuple[str, ...] = ()
    """Features that stay whatever is found, such as the one that calibration segments by."""
    seed: int = Field(default=20130105, ge=0)
    repetitions: int = Field(default=5, ge=1)
    noise_features: int = Field(default=50, ge=1)
    """Shuffled features added at each repetition: as many of few values as of many."""
    quantile: float = Field(default=0.9, ge=0.0, le=1.0)
    """A feature must gain more than this quantile of the shuffled ones, in most repetitions."""
    most_rows: int = Field(default=50_000, ge=100)
    """Rows of a repetition; negatives are left out first."""
    rounds: int = Field(default=60, ge=1)
    num_leaves: int = Field(default=15, ge=2)
    time_blocks: int = Field(default=4, ge=2)
    """Equally many training rows each, in order of time."""
    psi_limit: float | None = Field(default=None, gt=0.0)
    """Shift of a feature between two blocks above which it is dropped, by convention 0.25;
    None drops none. On the synthetic bank 0.25 lowered average precision from 0.65 to 0.59:
    what looks back far shifts while the history grows, and says much all the same."""
    flip_level: float | None = Field(default=0.01, gt=0.0, lt=1.0)
    """Level at which a feature's relation to the outcome must be significant, with opposite
    signs in two blocks, for it to be dropped; None drops none."""


class StabilityConfig(Section):
    """Refits that tell how much of a model is chance; 0 refits leaves a kind out."""

    seed_refits: int = Field(default=0, ge=0)
    bootstrap_refits: int = Field(default=0, ge=0)
    seed: int = Field(default=20130105, ge=0)
    """Draws the bootstrap samples and the rows explained."""
    top_features: int = Field(default=20, ge=1)
    """So many features of largest mean contribution are compared between refits."""
    top_reasons: int = Field(default=5, ge=1)
    """So many reasons of each row are compared between refits."""
    explained_rows: int = Field(default=2_000, ge=1)

    @field_validator("seed_refits", "bootstrap_refits")
    @classmethod
    def _one_has_no_spread(cls, refits: int) -> int:
        if refits == 1:
            msg = "must be 0 or at least 2: one refit has no spread"
            raise ValueError(msg)
        return refits


class CalibrationConfig(Section):
    """Candidates compared by log loss on the calibration rows."""

    candidates: tuple[CalibrationMethod, ...] = Field(
        default=("none", "platt", "beta", "isotonic", "venn_abers"), min_length=1
    )
    folds: int = Field(default=5, ge=2)
    seed: int = Field(default=20130105, ge=0)
    """Draws the folds."""
    segment: str | None = None
    """Category feature, such as profile_segment, whose values have shifts of their own."""
    segment_strength: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    """Expected positives' worth of pseudo-observations that pull a segment to the whole:
    0 leaves it to itself; none given, they are estimated from how far segments differ."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        faults = []
        if len(set(self.candidates)) < len(self.candidates):
            faults.append("a candidate is named twice")
        if self.segment_strength is not None and self.segment is None:
            faults.append("segment_strength is given, but no segment: name the feature")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class ExplainConfig(Section):
    """How many reasons each scored row carries."""

    reasons: int = Field(default=3, ge=1, le=20)


class RunConfig(Section):
    """Everything one training run needs besides the data."""

    name: str
    unit: Unit
    features: FeatureConfig
    dataset: DatasetConfig = DatasetConfig()
    splits: SplitConfig | CustomerFoldsConfig = Field(default=SplitConfig(), discriminator="method")
    model: ModelConfig = ModelConfig()
    selection: SelectionConfig = SelectionConfig()
    stability: StabilityConfig = StabilityConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    tuning: TuningConfig = TuningConfig()
    explain: ExplainConfig = ExplainConfig()
    tiers: str
    """Path of the tier policy, relative to this file."""
    rating: str | None = None
    """Path of an expert rating card to hold the model against, relative to this file."""

    @field_validator("name")
    @classmethod
    def _name_names_a_model_and_files(cls, name: str) -> str:
        if not re.fullmatch(r"\w([\w .-]*\w)?", name):
            msg = f"must be letters, digits, '_', and '-', '.' or blanks between them, got {name!r}"
            raise ValueError(msg)
        return name

    @model_validator(mode="after")
    def _risk_has_a_horizon(self) -> Self:
        if (self.unit == "risk") != (self.dataset.horizon_days > 0):
            msg = (
                f"dataset.horizon_days is {self.dataset.horizon_days} for unit {self.unit!r}: "
                "a risk model needs a horizon above 0, a fraud model has none"
            )
            raise ValueError(msg)
        gap = self.splits.inner_embargo_days if isinstance(self.splits, SplitConfig) else None
        if gap is not None and gap < self.dataset.horizon_days:
            msg = (
                f"splits.inner_embargo_days ({gap}) must be at least dataset.horizon_days "
                f"({self.dataset.horizon_days}): otherwise one outcome labels rows of two parts"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _selection_keeps_the_segment(self) -> Self:
        segment = self.calibration.segment
        if self.selection.method != "none" and segment not in {None, *self.selection.keep}:
            msg = (
                f"calibration.segment is {segment!r}, but selection may drop it: add it to "
                "selection.keep"
            )
            raise ValueError(msg)
        return self


class TierRule(Section):
    """One tier: its lowest probability and what follows from it."""

    name: str
    name_zh: str
    from_probability: float = Field(ge=0.0, le=1.0)
    due_diligence: Literal["simplified", "standard", "enhanced"]
    review_months: int = Field(gt=0)
    monitoring: str


class TierPolicy(Section):
    """A versioned tier policy; tiers run from the lowest to the highest risk.

    Source of the review rule: 银发〔2013〕2号: the highest grade at least every half year,
    each lower one at most twice the period of the grade above it.
    """

    name: str
    version: int = Field(ge=1)
    disclosure: Literal["internal_only"] = "internal_only"
    tiers: tuple[TierRule, ...] = Field(min_length=3, max_length=10)

    @model_validator(mode="after")
    def _tiers_are_lawful(self) -> Self:
        faults = []
        bounds = [tier.from_probability for tier in self.tiers]
        if bounds[0] != 0.0:
            faults.append(f"the lowest tier must start at probability 0, got {bounds[0]}")
        if any(high <= low for low, high in itertools.pairwise(bounds)):
            faults.append(f"from_probability must increase from tier to tier, got {bounds}")
        names = [tier.name for tier in self.tiers]
        if len(set(names)) < len(names):
            faults.append("tier names must differ")
        months = [tier.review_months for tier in self.tiers]
        if months[-1] > 6:
            faults.append(f"the highest tier is reviewed at most every 6 months, got {months[-1]}")
        faults.extend(
            f"tier {name!r} is reviewed every {low} months, more than twice the {high} "
            "months of the tier above it"
            for name, low, high in zip(names, months, months[1:], strict=False)
            if low > 2 * high
        )
        if faults:
            raise ValueError("; ".join(faults))
        return self


SectionT = TypeVar("SectionT", bound=Section)

_DEEPEST_INCLUDE = 8


def load_section(path: Path, section: type[SectionT]) -> SectionT:
    """Read a YAML file as `section`.

    Raises
    ------
    ConfigError
        If the file is absent, is no YAML, or breaks the section's rules; all faults are
        listed, misspelt keys with the key that was probably meant.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        near = hint(path.name, [item.name for item in path.parent.glob("*.y*ml")])
        msg = f"configuration file {path} cannot be read: {error.strerror}{near}"
        raise ConfigError(msg) from None
    except UnicodeDecodeError:
        msg = f"configuration file {path} is not UTF-8 text: save it as UTF-8"
        raise ConfigError(msg) from None
    return check_section(_content(text, subject=str(path), path=path), section, subject=str(path))


def parse_section(text: str, section: type[SectionT], *, subject: str) -> SectionT:
    """Read YAML text as `section`; `subject` names it in errors. See `load_section`."""
    return check_section(_content(text, subject=subject, path=None), section, subject=subject)


def _content(text: str, *, subject: str, path: Path | None) -> dict[str, Any]:
    """Read keys and values; with a `path`, ``!include FILE`` beside it stands for its content."""
    loader = _UniqueKeyLoader(text)
    loader.file = path
    try:
        content = loader.get_single_data()
    except yaml.YAMLError as error:
        msg = f"{subject} is not valid YAML: {' '.join(str(error).split())}"
        raise ConfigError(msg) from None
    finally:
        loader.dispose()
    if not isinstance(content, dict):
        msg = f"{subject} must hold keys and values, got {type(content).__name__}"
        raise ConfigError(msg)
    return content


def check_section(content: Mapping[str, Any], section: type[SectionT], *, subject: str) -> SectionT:
    """Check keys and values as `section`; `subject` names them in errors.

    Raises
    ------
    ConfigError
        With every fault listed.
    """
    try:
        return section.model_validate(content)
    except ValidationError as error:
        faults = Faults(subject, ConfigError)
        faults.extend(_explain(fault, section) for fault in error.errors(include_url=False))
        faults.raise_if_any()
        raise  # unreachable: pydantic never raises without a fault


def section_digest(section: Section) -> str:
    """SHA-256 of a section's canonical JSON: equal settings have equal digests."""
    text = json.dumps(section.model_dump(mode="json", by_alias=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def dump_section(section: Section) -> str:
    """Write a section as YAML that `parse_section` reads back to an equal one."""
    content = section.model_dump(mode="json", by_alias=True)
    # PyYAML writes these line breaks bare among Unicode text, but reads them as a space
    odd = any(mark in json.dumps(content, ensure_ascii=False) for mark in "\x85\u2028\u2029")
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=not odd)


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key written twice: YAML would keep the last one.

    ``!include lists/fatf.yaml`` stands for the content of that file, relative to the file
    that names it, so that configurations can share feature sets and lists.
    """

    file: Path | None = None
    """The file being read; None where there is none to be relative to."""
    depth: int = 0


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise yaml.constructor.ConstructorError(
            None, None, f"key {', '.join(twice)} is given twice", node.start_mark
        )
    return loader.construct_mapping(node, deep=True)


def _included(loader: _UniqueKeyLoader, node: yaml.ScalarNode) -> Any:  # noqa: ANN401  YAML
    name = str(loader.construct_scalar(node))
    if loader.file is None or Path(name).is_absolute():
        raise yaml.constructor.ConstructorError(
            None, None, f"!include {name}: only a path relative to a file can be included",
            node.start_mark,
        )  # fmt: skip
    path = loader.file.parent / name
    try:
        inner = _UniqueKeyLoader(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise yaml.constructor.ConstructorError(
            None, None, f"!include {name} cannot be read: {why}", node.start_mark
        ) from None
    inner.file = path  # an included file may include others; a circle would never end
    inner.depth = loader.depth + 1
    if inner.depth > _DEEPEST_INCLUDE:
        raise yaml.constructor.ConstructorError(
            None, None, f"!include {name}: files include each other in a circle", node.start_mark
        )
    try:
        return inner.get_single_data()
    finally:
        inner.dispose()


_UniqueKeyLoader.add_constructor("!include", _included)
_UniqueKeyLoader.add_constructor(yaml.resolver.Resolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def _explain(fault: Any, section: type[Section]) -> str:  # noqa: ANN401  pydantic's dict
    """Say one pydantic fault in a line: where, what, and for a key the near miss."""
    path, holder = _place_of(section, fault["loc"])
    where = ".".join(str(part) for part in path)
    if fault["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in holder.model_fields.items()]
        return f"{where}: unknown key{hint(str(path[-1]), known)}; known: {', '.join(known)}"
    if fault["type"] == "missing":
        return f"{where}: required, but absent"
    if fault["type"] == "union_tag_not_found":
        return f"{where}: key {fault['ctx']['discriminator']} is required: other keys hang on it"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _place_of(
    section: type[Section], location: tuple[str | int, ...]
) -> tuple[list[str | int], type[Section]]:
    """Find the path of a fault as the file spells it, and the section that holds its key.

    Pydantic's location also names the kind of section where there are several to choose
    from, such as ``splits.customer_folds.folds``: no key of the file.
    """
    path: list[str | int] = []
    holder, choices = section, [section]
    for part in location:
        if len(choices) > 1:
            choices = [kind for kind in choices if part in get_args(_method_of(kind))]
            continue
        path.append(part)
        holder = choices[0] if choices else holder
        fields = {field.alias or name: field for name, field in holder.model_fields.items()}
        if str(part) in fields:
            choices = _sections_inside(fields[str(part)].annotation)
    return path, holder


def _method_of(kind: type[Section]) -> Any:  # noqa: ANN401  an annotation
    return kind.model_fields["method"].annotation


def _sections_inside(annotation: Any) -> list[type[Section]]:  # noqa: ANN401
    """List the section classes in an annotation such as dict[str, TableMapping]."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _sections_inside(argument)]
