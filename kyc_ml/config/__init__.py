"""Frozen configuration sections, and the only reader of YAML.

A function takes the section it needs, never the whole configuration. Units are part of
the names: days are whole days of 24 hours.
"""

from __future__ import annotations

from kyc_ml.config.attributes import (
    ATTRIBUTE_TABLES,
    Attribute,
    AttributeUnit,
    MappedAttribute,
    TableAttribute,
)
from kyc_ml.config.calibration import CalibrationConfig, CalibrationMethod
from kyc_ml.config.dataset import DatasetConfig, Unit
from kyc_ml.config.features import AmountsOfInterest, CountryEntry, CountryList, FeatureConfig
from kyc_ml.config.identifiers import IdentifierForm
from kyc_ml.config.limits import DriftLimits, LimitsConfig
from kyc_ml.config.model import ModelConfig
from kyc_ml.config.reading import (
    check_section,
    dump_section,
    load_section,
    parse_section,
    require_section,
    section_digest,
)
from kyc_ml.config.run import ExplainConfig, RunConfig
from kyc_ml.config.section import Day, Section
from kyc_ml.config.selection import SelectionConfig
from kyc_ml.config.source import FileSource, SourceMapping, TableMapping
from kyc_ml.config.splits import (
    CALIBRATION,
    EARLY_STOPPING,
    PARTS,
    TEST,
    TRAIN,
    CustomerFoldsConfig,
    FoldsConfig,
    OutOfTimeCustomersConfig,
    PrequentialConfig,
    SplitConfig,
)
from kyc_ml.config.stability import StabilityConfig
from kyc_ml.config.tuning import (
    SEARCHED,
    FloatRange,
    IntRange,
    Objective,
    SearchConfig,
    TuningConfig,
)

__all__ = [
    "ATTRIBUTE_TABLES",
    "CALIBRATION",
    "EARLY_STOPPING",
    "PARTS",
    "SEARCHED",
    "TEST",
    "TRAIN",
    "AmountsOfInterest",
    "Attribute",
    "AttributeUnit",
    "CalibrationConfig",
    "CalibrationMethod",
    "CountryEntry",
    "CountryList",
    "CustomerFoldsConfig",
    "DatasetConfig",
    "Day",
    "DriftLimits",
    "ExplainConfig",
    "FeatureConfig",
    "FileSource",
    "FloatRange",
    "FoldsConfig",
    "IdentifierForm",
    "IntRange",
    "LimitsConfig",
    "MappedAttribute",
    "ModelConfig",
    "Objective",
    "OutOfTimeCustomersConfig",
    "PrequentialConfig",
    "RunConfig",
    "SearchConfig",
    "Section",
    "SelectionConfig",
    "SourceMapping",
    "SplitConfig",
    "StabilityConfig",
    "TableAttribute",
    "TableMapping",
    "TuningConfig",
    "Unit",
    "check_section",
    "dump_section",
    "load_section",
    "parse_section",
    "require_section",
    "section_digest",
]
