"""A run from a history store: its arrivals are appended, and rows are found by key."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import CUSTOMERS, QUARANTINE, TRANSACTIONS, StoredTables
from kyc_ml.dataset import ChosenObservations
from kyc_ml.decision import EARLIEST_US
from kyc_ml.display import ProgressReporter, say_count
from kyc_ml.features import DAY_US, BucketedFeatures, FeatureSpec, write_as_in_buckets
from kyc_ml.history import (
    History,
    HistoryStore,
    append_tables,
    files_of,
    fold_served,
    open_history,
    refused_rows,
)
from kyc_ml.scoring.extract_profile import RECENT_DAYS
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.storage import RunDirectory, written_whole


@contextmanager
def rows_of_history(request: ScoringRequest, *, write: bool) -> Iterator[HistoryStore | None]:
    """Open the store of a request; None without one."""
    if request.history is None:
        yield None
        return
    mapping = load_section(request.source, SourceMapping)
    with open_history(request.history, mapping, write=write) as store:
        yield store


@dataclass(frozen=True, slots=True, kw_only=True)
class NightHistory:
    """The store of a run, which no other process writes meanwhile."""

    store: HistoryStore
    files: Mapping[str, str]
    """Digests of the run's own files."""

    def inputs(self, *, published: bool) -> dict[str, str]:
        """Return the digests of all files that the result depends on; not those of later nights.

        What was served so far moves into the tables, unless the run is `published`.
        """
        if not published:
            fold_served(self.store)
        return files_of(self.store, then=self.files, until=self.files)

    def append(self, tables: StoredTables, place: RunDirectory, reporter: ProgressReporter) -> None:
        """Append the arrivals, unless an earlier start has."""
        notes = [note for note in self.store.notes() if note.get("files") == self.files]
        if not notes:
            append_tables(self.store, tables, note={})
            notes = self.store.notes()[-1:]
        rows = {name: sum(counts.values()) for name, counts in notes[0]["rows"].items()}
        reporter.info(
            f"history store: {say_count(rows['appended'], 'row')} appended, {rows['repeated']:,} "
            f"there already, {rows['refused']:,} refused"
        )
        if rows["refused"]:
            with written_whole(place.work / QUARANTINE / "history.parquet") as handle:
                pq.write_table(refused_rows(self.store, tables), handle)

    def since_us(self, chosen: ChosenObservations) -> int | None:
        """Return since when rows are read as files, in microseconds; None needs all of them."""
        first = as_of = chosen.as_of.value // 1000
        if chosen.unit == "fraud" or chosen.by_plan:
            if chosen.since is None:
                return None
            first = chosen.since.value // 1000
        if chosen.unit == "risk" and CUSTOMERS not in self.store.about["columns"]:
            return None  # customers are those whom any row names
        if chosen.unit == "fraud":
            days = self.store.days(TRANSACTIONS)
            late = days.filter(pc.greater_equal(days["known"], first))["day"]
            first = min(first, (pc.min(late).as_py() or first // DAY_US) * DAY_US)
        return min(first - EARLIEST_US, as_of - (RECENT_DAYS + 1) * DAY_US)

    def build(
        self,
        tables: StoredTables,
        observations: Path,
        *,
        specs: Sequence[FeatureSpec],
        **settings: Any,  # noqa: ANN401  those of `write_as_in_buckets`
    ) -> BucketedFeatures:
        """Compute features of observations by key into a file."""
        history = History(self.store, keep=True)
        rows = {name: each.num_rows for name, each in tables.columns().items()}
        return write_as_in_buckets(
            observations,
            lambda some: history.features(some, specs),
            rows=rows | {name: whole.rows for name, whole in tables.whole.items()},
            columns=self.store.about["columns"],
            specs=specs,
            **settings,
        )
