"""The manifest of a published folder: inputs, versions, counts, parts and their digests.

It does not record when it was written: the same inputs, model, policy and code give the same
bytes. Start and duration of a run are in MLflow.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from kyc_ml.contract import DataQualityReport, read_quality, write_quality
from kyc_ml.errors import ConfigError
from kyc_ml.model import DRIFT_COLUMNS
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.extract_profile import TableSummary
from kyc_ml.scoring.schema import SCHEMA_VERSION
from kyc_ml.storage import MANIFEST, digest_file, dump_json, load_json, write_whole

FORMAT_VERSION: Final = 1

_NOT_JSON: Final = (json.JSONDecodeError, UnicodeDecodeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The record of a scoring run."""

    identity: Mapping[str, str]
    """Mapping of name to digest, version or date; all that the result depends on; see
    `identify_run`."""
    as_of: str
    """Decision time of the run: ISO, UTC."""
    scored_by: str
    """'model', or 'rating' if the fallback scored."""
    reason: str
    """Why the fallback scored; empty if it did not."""
    observations: int
    """Number of observations chosen, all of which are scored."""
    customers: int
    """Number of different customers among them."""
    not_scored: Mapping[str, int]
    """Mapping of reason to customers; customers of the source without a review in the run; see
    `count_not_scored`."""
    quality: DataQualityReport
    counts: Counts
    drift: pd.DataFrame | None
    """See `DriftFound.table`; None if nothing was compared. If the fallback replaced scores beyond
    a limit, the drift of those scores, which are not published."""
    faults: tuple[str, ...]
    """Limits exceeded; empty for a published run, unless the fallback replaced the scores."""
    files: Mapping[str, str]
    """Mapping of relative path to SHA-256."""
    promotion: Mapping[str, str] = field(default_factory=dict)
    """What the audit log said of the model when it was loaded, as `Standing.to_dict` gives it;
    empty if no model was loaded, and in manifests of before December 2026."""
    extract: Mapping[str, TableSummary] = field(default_factory=dict)
    """Mapping of table to TableSummary; what the tables held before `as_of`; empty in a manifest of
    before December 2026."""

    @property
    def run_id(self) -> str:
        """Identifier of the run; see `run_id`."""
        return run_id(self.identity)

    @property
    def read(self) -> int:
        """Number of rows read from all tables."""
        return sum(table.read for table in self.quality.tables)

    @property
    def quarantined(self) -> int:
        """Number of rows quarantined from all tables."""
        return sum(table.quarantined for table in self.quality.tables)

    def to_json(self) -> str:
        """Write the manifest as JSON, the same text for the same content."""
        content = {
            "format_version": FORMAT_VERSION,
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "identity": dict(self.identity),
            "as_of": self.as_of,
            "promotion": dict(self.promotion),
            "scored_by": self.scored_by,
            "reason": self.reason,
            "rows": {
                "read": self.read,
                "quarantined": self.quarantined,
                "observations": self.observations,
                "scored": self.counts.rows,
                "customers": self.customers,
            },
            "not_scored": dict(self.not_scored),
            "quality": write_quality(self.quality),
            "extract": {name: each.to_plain() for name, each in self.extract.items()},
            "counts": asdict(self.counts),
            "drift": write_drift(self.drift),
            "faults": list(self.faults),
            "files": dict(sorted(self.files.items())),
        }
        return dump_json(content)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the JSON of `to_json`."""
        content = load_json(text)
        return cls(
            identity=content["identity"],
            as_of=content["as_of"],
            scored_by=content["scored_by"],
            reason=content["reason"],
            observations=content["rows"]["observations"],
            customers=content["rows"]["customers"],
            not_scored=content.get("not_scored", {}),  # absent before December 2026
            quality=read_quality(content["quality"]),
            counts=Counts(**content["counts"]),
            drift=read_drift(content["drift"]),
            faults=tuple(content["faults"]),
            files=content["files"],
            promotion=content.get("promotion", {}),
            extract={
                name: TableSummary.of(each) for name, each in content.get("extract", {}).items()
            },
        )

    def write(self, folder: Path) -> None:
        """Write the manifest into a run's folder.

        Raises AssertionError if rows were lost or doubled: a defect of kyc_ml; OutputError if the
        file cannot be written.
        """
        if not self.observations == self.counts.rows == sum(self.counts.tiers.values()):
            msg = f"{self.observations} observations, but {self.counts.rows} scored: rows were lost"
            raise AssertionError(msg)
        write_whole(folder / MANIFEST, self.to_json().encode())


def run_id(identity: Mapping[str, str]) -> str:
    """Return the identifier of a run, 16 hexadecimal digits: the same for the same identity."""
    return hashlib.sha256(dump_json(dict(identity)).encode()).hexdigest()[:16]


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a published run.

    Raises ConfigError if the folder has no manifest, or one of another format.
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        if load_json(text)["format_version"] != FORMAT_VERSION:
            msg = f"{folder} was written by another version of kyc_ml: read it with that one"
            raise ConfigError(msg)
        return Manifest.from_json(text)
    except (OSError, KeyError, TypeError, AttributeError, *_NOT_JSON) as error:
        msg = f"{folder} is not the folder of a scoring run ({type(error).__name__}): name another"
        raise ConfigError(msg) from None


def score_files(published: Path) -> list[Path]:
    """List the score files of a published folder in order; of a score file, the file alone."""
    if not published.is_dir():
        return [published]
    names = sorted(read_manifest(published).files)
    return [published / name for name in names if name.startswith("scores/")]


def damaged(folder: Path, files: Mapping[str, str]) -> list[str]:
    """List the files that are missing, differ from the manifest, or were added later."""
    changed = [
        name
        for name, digest in files.items()
        if not (folder / name).is_file() or digest_file(folder / name) != digest
    ]
    folders = {str(Path(name).parent) for name in files} - {"."}
    present = {str(path.relative_to(folder)) for path in _below(folder, sorted(folders))}
    return [*changed, *sorted(present - files.keys())]


def digest_published(work: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of some files, and of all files below some folders, by relative path."""
    found = sorted(_below(work, names))
    return {str(path.relative_to(work)): digest_file(path) for path in found}


def _below(work: Path, names: Sequence[str]) -> list[Path]:
    paths = [path for name in names for path in (work / name, *(work / name).rglob("*"))]
    return [path for path in paths if path.is_file()]


def write_drift(table: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    """Convert a drift table to JSON records; an undefined value is null."""
    if table is None:
        return None
    return [
        {
            str(name): None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]


def read_drift(records: list[dict[str, Any]] | None) -> pd.DataFrame | None:
    """Convert the records of `write_drift` to a drift table."""
    return None if records is None else pd.DataFrame(records, columns=list(DRIFT_COLUMNS))
