"""What a scoring run is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from kyc_ml.config import parse_time, read_path
from kyc_ml.scoring.parts import PART_ROWS

_PATHS: Final = ("source", "data", "out", "overrides", "limits", "config")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRequest:
    """What a scoring run is asked to do; paths and times may be given as text.

    Attributes
    ----------
    model : str
        Registry address or a bundle's folder.
    source, data : Path
        Source mapping, and the folder of the files it names.
    out : Path
        Folder to publish; it must not exist, unless it holds this very run.
    since, as_of : Timestamp or None
        In UTC; see `Chosen`.
    full : bool
        All transactions, or planned reviews, before `as_of`.
    incremental : bool
        Only what none of the runs in `previous` has scored: see `Chosen`.
    previous : sequence of Path
        Earlier runs: history for the policy's hysteresis.
    overrides : Path or None
        Overrides entered for single customers.
    limits : Path or None
        Limits of the run; None takes those of `LimitsConfig`.
    fallback : 'rating' or None
        What scores where the model cannot be loaded or a limit is passed.
    config : Path or None
        Run configuration whose tier policy and features the fallback takes.
    contributions, csv, duckdb : bool
        What to write beside the scores.
    restart : bool
        Discard what an interrupted run has done.
    part_rows : int
        Rows scored and held at once.
    memory : str
        What DuckDB may use.
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
    overrides: Path | None = None
    limits: Path | None = None
    fallback: Literal["rating"] | None = None
    config: Path | None = None
    contributions: bool = False
    csv: bool = False
    duckdb: bool = False
    restart: bool = False
    part_rows: int = PART_ROWS
    memory: str = "512MB"

    def __post_init__(self) -> None:
        """Make paths and times of what was given as text."""
        for name in ("since", "as_of"):
            object.__setattr__(self, name, parse_time(getattr(self, name), name=name))
        given = {name: getattr(self, name) for name in _PATHS}
        for name, path in given.items():
            if path is not None:
                object.__setattr__(self, name, read_path(path, name=name))
        earlier = tuple(read_path(path, name="previous") for path in self.previous)
        object.__setattr__(self, "previous", earlier)
