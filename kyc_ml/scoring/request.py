"""The request of each use case: what the command line, Python and the pipelines fill in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from kyc_ml.config import SourceMapping, load_section, parse_time, read_path
from kyc_ml.decision import Language
from kyc_ml.registry import AUDIT_LOG

PART_ROWS: Final = 32_768
"""Rows of a part: with 400 features about 0.1 GB, and as much again for contributions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRequest:
    """A scoring run; paths and times may be given as text, times in the zone of the source.

    Attributes
    ----------
    model : str
        Registry address or folder of a bundle.
    source, data : Path
        Source mapping, and the folder of the files it names.
    out : Path
        Folder to publish; it must not exist, unless it holds the result of this very request.
    since, as_of : Timestamp or None
        In UTC; see `ChosenObservations`.
    full : bool
        Score all transactions, or all planned reviews, before `as_of`.
    incremental : bool
        Score only what none of the runs in `previous` has scored; see `ChosenObservations`.
    previous : sequence of Path
        Earlier runs: tier history for the policy's hysteresis.
    night_before : Path or None
        Published run whose tables these must continue; None takes the latest of `previous`.
    overrides : Path or None
        Overrides entered for single customers.
    limits : Path or None
        Limits of the run; None takes the defaults of `LimitsConfig`.
    fallback : 'rating' or None
        What scores if the model cannot be loaded or a limit is exceeded.
    config : Path or None
        Run configuration whose tier policy and features the fallback uses.
    replaced : str
        Why the fallback scores although the model can be loaded, such as an incident; '' if it
        does not.
    contributions, csv, duckdb : bool
        What to write in addition to the scores.
    history : Path or None
        History store: the rows of the source's files that it lacks are appended to it. The result
        is that of all files appended so far.
    restart : bool
        Discard what an interrupted run has done.
    stands : bool
        A published run stands, with a warning, where only the input has changed since, such as
        by rows that arrived later: a scheduler runs a night again. Otherwise that is an error.
    wait : str or None
        How long to wait for input that has not arrived yet: a duration such as 2h, or a clock time
        of the source's zone such as 06:00; None does not wait.
    part_rows : int
        Rows scored and held in memory together.
    memory : str
        Memory limit of DuckDB.
    audit_log : Path
        Audit log of the registry: ``@champion`` must be its champion; see `load_in_use`.
    allow_unpromoted : bool
        Use a champion that the audit log does not confirm; log and manifest record this.
    engine : {'local', 'spark'}
        Who reads, builds and scores: this machine, or a cluster, with the same values.
    master : str or None
        The cluster of `engine` 'spark'; see `open_cluster`.
    shadow : bool
        The scores are those of a challenger, for comparison only; see `run_shadows`.
    """

    model: str
    source: Path
    data: Path
    out: Path
    since: pd.Timestamp | None = None
    as_of: pd.Timestamp | None = None
    full: bool = False
    incremental: bool = False
    previous: Sequence[Path] = ()
    night_before: Path | None = None
    overrides: Path | None = None
    limits: Path | None = None
    fallback: Literal["rating"] | None = None
    config: Path | None = None
    replaced: str = ""
    contributions: bool = False
    csv: bool = False
    duckdb: bool = False
    history: Path | None = None
    restart: bool = False
    stands: bool = False
    wait: str | None = None
    part_rows: int = PART_ROWS
    memory: str = "512MB"
    audit_log: Path = AUDIT_LOG
    allow_unpromoted: bool = False
    engine: Literal["local", "spark"] = "local"
    master: str | None = None
    shadow: bool = False

    def __post_init__(self) -> None:
        """Convert paths and times that were given as text."""
        _convert_paths(self, "source", "data", "out", "night_before", "overrides", "limits")
        _convert_paths(self, "config", "audit_log", "history")
        for name in ("since", "as_of"):
            given = getattr(self, name)
            as_text = isinstance(given, str)
            zone = load_section(self.source, SourceMapping).timezone if as_text else "UTC"
            object.__setattr__(self, name, parse_time(given, name=name, zone=zone))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """One observation to explain; paths may be given as text.

    Attributes
    ----------
    observation : str
        A transaction id; for a risk model a review id, or CUSTOMER@DATE.
    model, source, data, previous, overrides, audit_log, allow_unpromoted
        As in `ScoringRequest`.
    reasons : int
        Number of reasons to list, the strongest first.
    sheet : Path or None
        HTML file to write the case sheet to.
    language : {'en', 'zh'}
        Language of the case sheet.
    quarantine : Path or None
        File for refused rows; see `read_tables`.
    """

    observation: str
    model: str
    source: Path
    data: Path
    reasons: int = 10
    previous: Sequence[Path] = ()
    overrides: Path | None = None
    sheet: Path | None = None
    language: Language = "en"
    quarantine: Path | None = None
    audit_log: Path = AUDIT_LOG
    allow_unpromoted: bool = False

    def __post_init__(self) -> None:
        """Convert paths that were given as text."""
        _convert_paths(self, "source", "data", "overrides", "sheet", "quarantine", "audit_log")


def _convert_paths(request: ScoringRequest | ExplainRequest, *names: str) -> None:
    for name in names:
        given = getattr(request, name)
        if given is not None:
            object.__setattr__(request, name, read_path(given, name=name))
    previous = tuple(read_path(path, name="previous") for path in request.previous)
    object.__setattr__(request, "previous", previous)
