"""run_reproduce: train again from a run's own record, and compare the bundles byte by byte."""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kyc_ml import registry
from kyc_ml.config import SourceMapping
from kyc_ml.contract import digest_files, find_files
from kyc_ml.decision import RunFiles
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import Faults, SourceError
from kyc_ml.features import compare_definitions
from kyc_ml.history import read_tables
from kyc_ml.training.train_job import train_on

_FEATURES_UNKNOWN: Final = ("not known: the run was recorded by an older version",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproductionResult:
    """The comparison of a recorded bundle with the one trained again."""

    run_id: str
    """Of the run in MLflow."""
    name: str
    command: str
    recorded: str
    again: str
    """`recorded` and `again`: digest of the recorded bundle and of the new one, in the recorded
    format."""
    differing: tuple[str, ...]
    """Files of the bundle that differ, the manifest with its entries."""
    features: tuple[str, ...]
    """Features that were added, removed or have another definition, a line each; unknown for a run
    that an older version recorded."""
    changes: tuple[str, ...]
    """Differences in code, Python and libraries, a line each."""
    seconds: dict[str, float]

    @property
    def reproduced(self) -> bool:
        """True if the bundles are equal to the last byte."""
        return self.recorded == self.again


def run_reproduce(
    *,
    run: str,
    data: Path,
    threads: int | None,
    quarantine: Path | None,
    reporter: ProgressReporter,
) -> ReproductionResult:
    """Train again from a run's own record and compare the bundles; nothing is registered.

    `run`: id of the run, or ``models:/name@alias`` or ``models:/name/version``.
    `data`: folder with exactly the files that the run was trained on.
    `threads`: threads to train with; None takes as many as the run.
    Raises RegistryError if there is no such run, or it has no record; SourceError if a data file is
    missing or differs from the record; all are named.
    """
    clock = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        run_id, folder = registry.fetch_record(run, Path(scratch))
        record = registry.load_record(folder, subject=f"run {run_id}")
        require_same_files(record.mapping, data, files=record.files, subject=f"run {run_id}")
        tables, mapping = read_tables(
            folder / registry.SOURCE,
            data,
            quarantine=quarantine,
            reporter=reporter,
            folder=Path(scratch),
        )
        seconds = {"reading": time.perf_counter() - clock}
        clock = time.perf_counter()
        model = record.run.model
        if threads is not None:
            model = model.model_copy(update={"n_jobs": threads})
        run_again = record.run.model_copy(update={"model": model})
        files = RunFiles(run=run_again, policy=record.policy, card=record.card)
        trained = train_on(tables, mapping, files=files, as_of=record.as_of, reporter=reporter)
        bundle = Path(scratch) / "bundle"
        # in the recorded format: otherwise other key names alone would make another digest
        written = max(record.manifest.get("format_version", registry.FORMAT_VERSION), 2)
        again = registry.save_bundle(trained.bundle, bundle, format_version=written)
        manifest = json.loads((bundle / registry.MANIFEST).read_text(encoding="utf-8"))
    return ReproductionResult(
        run_id=run_id,
        name=record.run.name,
        command=record.command,
        recorded=record.digest,
        again=again,
        differing=registry.compare_manifests(record.manifest, manifest),
        features=_FEATURES_UNKNOWN
        if record.features is None
        else compare_definitions(record.features, registry.digest_each(trained.bundle.specs)),
        changes=record.environment.changes(registry.Environment.current()),
        seconds={**seconds, "training": time.perf_counter() - clock},
    )


def require_same_files(
    mapping: SourceMapping, data: Path, *, files: Mapping[str, str], subject: str
) -> None:
    """Raise if the files of a data folder are not those of a record.

    `files` maps names, relative to the data folder, to SHA-256.

    Raises SourceError naming every file that is missing, was added or has other bytes.
    """
    if not data.is_dir():
        msg = f"data folder {data} of {subject} does not exist: name the one it was trained on"
        raise SourceError(msg)
    faults = Faults(f"data folder {data} is not what {subject} was trained on", SourceError)
    unusable = Faults(subject, SourceError)  # its faults are repeated below, file by file
    found = digest_files(find_files(mapping.files, data=data, faults=unusable).values())
    for name in sorted(files.keys() | found.keys()):
        was, now = files.get(name), found.get(name)
        if was is None:
            faults.add(f"{name} is not in the record: move it away")
        elif now is None:
            faults.add(f"{name} is missing or empty; restore the file of that day")
        elif now != was:
            faults.add(
                f"{name} was changed: its SHA-256 is {now[:12]}, recorded is {was[:12]}; "
                "restore the file of that day"
            )
    faults.raise_if_any()
