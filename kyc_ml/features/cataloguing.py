"""What features there are: lists, one feature in full, and the catalogue as a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args

from kyc_ml.config import (
    FeatureConfig,
    RunConfig,
    SourceMapping,
    TableAttribute,
    Unit,
    load_section,
)
from kyc_ml.errors import ConfigError, hint
from kyc_ml.features.catalog import FAMILIES, choose_features, declare_features
from kyc_ml.features.how import row_columns_of
from kyc_ml.features.spec import FeatureSpec

_UNITS: Final = get_args(Unit)


def run_list(
    *, config: Path | None, source: Path | None = None, family: str | None, unit: str | None
) -> tuple[FeatureSpec, ...]:
    """List declared features, or with a configuration those that it chooses.

    `source`: source mapping, whose attributes give features.
    Raises ConfigError if the family or the unit does not exist, or the configuration is wrong.
    """
    if unit is not None and unit not in _UNITS:
        raise ConfigError(f"--unit must be {' or '.join(_UNITS)}, got {unit!r}")
    if family is not None and family not in FAMILIES:
        raise ConfigError(
            f"{family!r} is not a feature family{hint(family, FAMILIES)}; "
            f"known: {', '.join(FAMILIES)}"
        )
    if config is None:
        specs = tuple(declared_features(None, source=source).values())
    else:
        run = load_section(config, RunConfig)
        own = None if source is None else _attributes(source)
        specs = choose_features(run.features, unit=run.unit, attributes=own)
    return tuple(
        spec
        for spec in specs
        if not spec.intermediate
        and (family is None or spec.family == family)
        and (unit is None or unit in spec.observation_units)
    )


def run_show(
    name: str, *, config: Path | None, source: Path | None = None
) -> tuple[FeatureSpec, str, Mapping[str, str]]:
    """Return one feature, its definition, and the definitions of the columns it reads.

    Raises ConfigError if there is no such feature; the nearest name is suggested.
    """
    declared = declared_features(config, source=source)
    if name not in declared:
        msg = f"{name!r} is not a declared feature{hint(name, declared)}; see kyc-ml features list"
        raise ConfigError(msg)
    spec = declared[name]
    return spec, spec.how.define(), row_columns_of(spec.how)


def declared_features(config: Path | None, *, source: Path | None = None) -> dict[str, FeatureSpec]:
    """Declare every feature, under a configuration's items, lists and amounts if given.

    `source`: source mapping, whose attributes give features.
    """
    features = FeatureConfig(families=tuple(FAMILIES))
    if config is not None:
        features = load_section(config, RunConfig).features
    if source is not None:
        features = features.model_copy(update={"attributes": _attributes(source)})
    return declare_features(features)


def _attributes(source: Path) -> tuple[TableAttribute, ...]:
    return load_section(source, SourceMapping).attributes


def run_page(config: Path | None, *, source: Path | None = None) -> str:
    """Write the catalogue as Markdown: one table a family."""
    declared = declared_features(config, source=source)
    shown = [spec for spec in declared.values() if not spec.intermediate]
    lines = [
        "# Feature catalogue",
        "",
        f"{len(shown)} features. Written by `kyc-ml features list --markdown`; do not edit.",
        "",
        "Windows are half open and end before the decision; rows count from when they were",
        "known. T: a transaction has it; R: a review has it. + and − are directions in which",
        "risk may move with the value. With lists of countries or items of third parties in",
        "the configuration there are more: `kyc-ml features list --config FILE`; and with",
        "attributes in a source mapping: `kyc-ml features list --source FILE`. Definitions are",
        "written as in the tables of the families, `kyc_ml/features/families/*.yaml`; compared",
        "with other customers: (x - median) / (1.4826 MAD) of theirs.",
        "",
    ]
    for family in FAMILIES:
        members = [spec for spec in shown if spec.family == family]
        if not members:
            continue
        lines += [
            f"## {family}",
            "",
            "| feature | meaning | 含义 | unit | for | definition | typology | source |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [_line(spec) for spec in members]
        lines.append("")
    columns = {name: text for spec in shown for name, text in row_columns_of(spec.how).items()}
    lines += [
        "## Columns of rows",
        "",
        "Computed for each row before features read it, as known when the row happened.",
        "",
        "| column | definition |",
        "|---|---|",
        *(f"| `{name}` | {text} |" for name, text in sorted(columns.items())),
        "",
    ]
    return "\n".join(lines)


def _line(spec: FeatureSpec) -> str:
    direction = {1: " +", -1: " −", 0: ""}[spec.monotone]
    units = "".join({"fraud": "T", "risk": "R"}[unit] for unit in spec.observation_units)
    cells = (
        f"`{spec.name}`{direction}",
        spec.description,
        spec.description_zh,
        spec.unit,
        units,
        spec.how.define(),
        spec.typology or "",
        spec.source,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
