"""The record of a training run, so that anyone who has the data can run it again.

A folder of text: the run's configuration as it was resolved, its tier policy, rating card
and source mapping, what was known when, the digests of the data files, the environment,
and the manifest of the bundle that came out. No path in it is absolute.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from kyc_ml.config import RunConfig, SourceMapping, dump_section, load_section
from kyc_ml.decision import Scorecard, TierPolicy
from kyc_ml.errors import KycMlError, RegistryError
from kyc_ml.features import FeatureSpec, definitions_digest
from kyc_ml.registry.bundle import MANIFEST
from kyc_ml.registry.environment import Environment
from kyc_ml.storage import dump_json, load_json

SOURCE: Final = "source.yaml"
_RUN: Final = "run.yaml"
_TIERS: Final = "tiers.yaml"
_RATING: Final = "rating.yaml"
_FACTS: Final = "facts.json"
_FEATURES: Final = "features.json"
_ENVIRONMENT: Final = "environment.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """All that training again needs, but the data."""

    run: RunConfig
    policy: TierPolicy
    card: Scorecard | None
    mapping: SourceMapping
    as_of: pd.Timestamp
    """What was known then was used; UTC."""
    command: str
    """What started the run."""
    files: Mapping[str, str]
    """Mapping of file name, relative to the data folder, to SHA-256."""
    manifest: Mapping[str, Any]
    """The bundle's own manifest."""
    digest: str
    """The bundle's: SHA-256 of its manifest."""
    environment: Environment
    features: Mapping[str, str] | None
    """Mapping of feature to the digest of its definition, or None; of the bundle, the intermediate
    ones included; None in the record of an older version."""


def write_record(
    *,
    run: RunConfig,
    policy: TierPolicy,
    card: Scorecard | None,
    mapping: SourceMapping,
    as_of: pd.Timestamp,
    command: str,
    files: Mapping[str, str],
    bundle: Path,
    specs: Iterable[FeatureSpec],
) -> dict[str, str]:
    """Write a record as text by file name; `bundle` is the folder it was saved in.

    The environment is that of this process; `specs` are those of the bundle.
    """
    facts = {"as_of": as_of.isoformat(), "command": command, "files": dict(files)}
    texts = {
        _RUN: dump_section(run),
        _TIERS: dump_section(policy),
        SOURCE: dump_section(mapping),
        _FACTS: dump_json(facts),
        _ENVIRONMENT: dump_json(asdict(Environment.current())),
        _FEATURES: dump_json(digest_each(specs)),
        # as bytes: reading as text would change line ends, and so the digest
        MANIFEST: (bundle / MANIFEST).read_bytes().decode(),
    }
    return texts if card is None else {**texts, _RATING: dump_section(card)}


def load_record(folder: Path, *, subject: str) -> TrainingRecord:
    """Read the files that `write_record` wrote; `subject` names the run in errors.

    Raises ConfigError if a configuration in it breaks its rules; RegistryError if a file is missing
    or cannot be read as what it should be.
    """
    needed = (_RUN, _TIERS, SOURCE, _FACTS, _ENVIRONMENT, MANIFEST)
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise RegistryError(
            f"the record of {subject} lacks {', '.join(missing)}: it was not logged by kyc-ml "
            "train, or by an older version; name another run, or train again"
        )
    rating, features = folder / _RATING, folder / _FEATURES
    raw = (folder / MANIFEST).read_bytes()
    try:
        facts = _read_json(folder / _FACTS)
        return TrainingRecord(
            run=load_section(folder / _RUN, RunConfig, stored=True),
            policy=load_section(folder / _TIERS, TierPolicy),
            card=load_section(rating, Scorecard) if rating.is_file() else None,
            mapping=load_section(folder / SOURCE, SourceMapping),
            as_of=pd.Timestamp(facts["as_of"]),
            command=facts["command"],
            files=facts["files"],
            manifest=load_json(raw),
            digest=hashlib.sha256(raw).hexdigest(),
            environment=Environment(**_read_json(folder / _ENVIRONMENT)),
            features=dict(_read_json(features).items()) if features.is_file() else None,
        )
    except KycMlError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RegistryError(
            f"the record of {subject} was changed or cut short ({type(error).__name__}); "
            "name another run, or train again"
        ) from None


def digest_each(specs: Iterable[FeatureSpec]) -> dict[str, str]:
    """Return the digest of each feature's definition by its name."""
    return {spec.name: definitions_digest([spec]) for spec in specs}


def _read_json(path: Path) -> Any:  # noqa: ANN401  what JSON holds
    return load_json(path.read_text(encoding="utf-8"))
