"""Read a source into files once, when its tables are first needed."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from kyc_ml.config import SourceMapping, load_section, section_digest
from kyc_ml.contract.contracted import KeptHistory, StoredTables
from kyc_ml.contract.quality import read_quality, write_quality
from kyc_ml.contract.reading import tell_quality, tell_refused
from kyc_ml.contract.sinks import parts_of
from kyc_ml.contract.source import digest_source, store_source
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ContractError, GateError, KycMlError, NotReadyError, OutputError
from kyc_ml.storage import Checkpoints, RunDirectory, hold

TABLES: Final = "tables"
QUARANTINE: Final = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOnDisk:
    """The files of a source mapping, or tables that are on disk already."""

    mapping: SourceMapping
    data: Path
    memory: str
    """What DuckDB may use while it reads."""
    given: StoredTables | None = None
    """Tables that are on disk already; None reads the files."""
    history: KeptHistory | None = None
    """Where the rows that came earlier are, if the files hold new ones only."""
    digest: Callable[..., dict[str, str]] = digest_source
    store: Callable[..., StoredTables] = store_source
    """`digest`, `store`: who reads the files; takes the arguments of `digest_source` and
    `store_source`."""

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every file that a run depends on.

        Raises SourceError if a file is missing.
        """
        if self.given is not None:
            return dict(self.given.digests)
        return self.digest(self.mapping, data=self.data)

    def stored(
        self,
        place: RunDirectory,
        steps: Checkpoints,
        reporter: ProgressReporter,
        *,
        digests: Mapping[str, str],
    ) -> StoredTables:
        """Read the source into a work folder, or return what an earlier start has read.

        `digests`: result of `digests` when the run began: the files must not have changed since.
        Raises GateError if too many rows break the contract; SourceError if the mapping and the
        files do not fit; NotReadyError if a file has not arrived yet, or changed meanwhile.
        """
        if self.given is not None:
            return self.given
        done = steps.done(TABLES)
        if done is not None:
            reporter.info("reading: done by an earlier start")
        else:
            done = self._read(place, steps, reporter, digests=digests)
        return StoredTables(
            files={name: place.work / path for name, path in done["files"].items()},
            timezone=self.mapping.timezone,
            base_currency=self.mapping.base_currency,
            digests=done["digests"],
            quality=read_quality(done["quality"]),
            attributes=self.mapping.attributes,
        )

    def _read(
        self,
        place: RunDirectory,
        steps: Checkpoints,
        reporter: ProgressReporter,
        *,
        digests: Mapping[str, str],
    ) -> dict[str, Any]:
        """Read the source, and write its checkpoint."""
        reporter.progress("reading", 0, 1)
        work, quarantine = place.work, place.work / QUARANTINE
        # what a start that was killed has left is incomplete
        place.remove((TABLES, QUARANTINE))
        try:
            tables = self.store(
                self.mapping,
                data=self.data,
                folder=work / TABLES,
                quarantine=quarantine,
                memory=self.memory,
                scratch=place.scratch,
                history=self.history,
            )
        except ContractError as error:
            tell_refused(error, reporter)
            raise GateError(str(error)) from None
        if tables.digests != digests:
            msg = f"source {self.mapping.name!r}: a file changed while it was read: start again"
            raise NotReadyError(msg)
        reporter.progress("reading", 1, 1)
        tell_quality(tables.quality, reporter)
        files = {name: str(path.relative_to(work)) for name, path in tables.files.items()}
        return steps.note(
            TABLES,
            [*chain(*map(parts_of, tables.files.values())), *sorted(quarantine.glob("*.parquet"))],
            {
                "files": files,
                "digests": dict(tables.digests),
                "quality": write_quality(tables.quality),
            },
        )


@contextmanager
def read_once(
    source: Path,
    data: Path,
    *,
    place: Path,
    reporter: ProgressReporter,
    memory: str = "512MB",
    history: KeptHistory | None = None,
) -> Iterator[StoredTables]:
    """Read a source for several runs; the next start continues one that was killed.

    Parameters
    ----------
    place : Path
        Folder for the tables, which are removed at the end; refused rows stay in a folder
        ``quarantine`` next to it. A second job with the same folder fails.
    history : KeptHistory, optional
        Where the rows that came earlier are, if the files hold new ones only.

    Raises
    ------
    GateError
        If too many rows break the contract; they are in ``PLACE.failed``.
    """
    mapping = load_section(source, SourceMapping)
    with hold(place, known_as=place.parent) as held:
        steps = Checkpoints(held.work)
        on_disk = SourceOnDisk(mapping=mapping, data=data, memory=memory, history=history)
        digests = on_disk.digests()
        identity = {**digests, "source mapping": section_digest(mapping)}
        if steps.identity() != identity:  # of other files; they hold no result, so no error
            held.clear()
            steps.begin(identity)
        try:
            tables = on_disk.stored(held, steps, reporter, digests=digests)
        except OutputError:
            raise  # what is done so far is sound: the next start resumes
        except GateError as error:
            held.keep((QUARANTINE,))
            held.put_aside()
            aside = held.failed / QUARANTINE
            msg = f"{error}\nthe refused rows, with their reasons, are in {aside}"
            raise GateError(msg) from None
        except KycMlError:
            held.keep(())  # the input is faulty: nothing of this can be used
            raise
        try:
            yield tables
        except NotReadyError:
            held.keep(())  # the next attempt reads other files
            raise
        quarantine = held.work / QUARANTINE
        if quarantine.is_dir():
            target = place.with_name(QUARANTINE)
            shutil.rmtree(target, ignore_errors=True)
            quarantine.replace(target)
        shutil.rmtree(held.work, ignore_errors=True)
