"""Append to a history store, and make it again: for other models, or without what is too old."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from kyc_ml.config import IdentifierForm, RunConfig, SourceMapping, load_section
from kyc_ml.contract import read_once
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, OutputError
from kyc_ml.features import DAY_US, FeatureSpec, Window, choose_features, from_plain
from kyc_ml.history import (
    SERVED_UNTIL,
    Appended,
    History,
    HistoryStore,
    append_tables,
    create_history,
    open_history,
    store_tables,
)
from kyc_ml.registry import graded_specs, load_model
from kyc_ml.storage import sync_folder, written_whole

KEEP_DAYS: Final = 31
_REBUILT: Final = ".rebuilt"
_FILE: Final = "history.db"


def run_history_append(
    *,
    history: Path,
    source: Path,
    data: Path,
    model: Sequence[str] = (),
    config: Sequence[Path] = (),
    reporter: ProgressReporter,
) -> Appended:
    """Append the rows of a source to a store, which the first append makes.

    Rows that the store has already are skipped. Rows that break the contract go to the folder
    ``quarantine`` of the store, those with the key of another to its ``refused.parquet``.

    `history`: folder of the store.
    `model`: addresses of bundles whose features the store is for; a later append needs none.
    `config`: run configurations whose features it is for.
    Raises ConfigError if there is no store and no model or configuration, the store is for other
    features, or the source has another zone or currency; OutputError if another process writes the
    store.
    """
    sets = _feature_sets(model, config, source)
    there = (history / _FILE).exists()
    if not there and not sets:
        msg = f"history store {history} does not exist: name --model or --config to make it for"
        raise ConfigError(msg)
    mapping = load_section(source, SourceMapping)
    with ExitStack() as opened:
        earlier = (
            opened.enter_context(open_history(history, mapping, write=True)) if there else None
        )
        place = history / "arrivals"
        tables = opened.enter_context(
            read_once(source, data, place=place, reporter=reporter, history=earlier)
        )
        store = earlier or opened.enter_context(
            create_history(history, tables, sets, identifiers=mapping.identifiers)
        )
        for specs in sets:
            History(store).require(specs)
        reporter.progress("appending", 0, 1)
        done = append_tables(store, tables, note={})
        reporter.progress("appending", 1, 1)
    if done.quarantine.num_rows:
        with written_whole(history / "refused.parquet") as file:
            pq.write_table(done.quarantine, file)
    return done


def run_history_compact(
    *,
    history: Path,
    model: Sequence[str] = (),
    config: Sequence[Path] = (),
    source: Path | None = None,
    older_than_days: int | None = None,
    keep_days: int = KEEP_DAYS,
    reporter: ProgressReporter,
) -> None:
    """Write a store again: smaller, for other features, or without rows that are too old.

    `model`, `config`: sequences; features that it is for from now on; without them it stays for
    those of now.
    `source`: Mapping whose attributes define features of the configurations.
    `older_than_days`: age, from the last event on, of rows to drop. As old rows are gone then,
    decisions of long ago cannot be computed again.
    `keep_days`: days, before the last transaction that was served, whose answers are kept: they can
    be replayed, and are given again to who asks again.
    Raises ConfigError if a feature needs older rows than these, or all of history.
    """
    sets = _feature_sets(model, config, source)
    reporter.progress("compacting", 0, 1)
    with HistoryStore.open(history, write=True) as store:
        since_us = None
        if older_than_days is not None:
            kept = [[from_plain(each) for each in own] for own in store.about["feature_sets"]]
            since_us = _start_of_age(store, older_than_days, [*(sets or kept)])
        if sets:
            _rebuild(store, sets)
    if sets:
        _exchange(history)
    with HistoryStore.open(history, write=True) as store:
        store.compact(since_us=since_us, keep_us=keep_days * DAY_US)
    reporter.progress("compacting", 1, 1)


def _feature_sets(
    model: Sequence[str], config: Sequence[Path], source: Path | None
) -> list[Sequence[FeatureSpec]]:
    """List the features of models, and those that configurations choose."""
    declared = () if source is None else load_section(source, SourceMapping).attributes
    runs = [load_section(path, RunConfig) for path in config]
    return [
        *(graded_specs(load_model(each)[0]) for each in model),
        *(choose_features(run.features, unit=run.unit, attributes=declared) for run in runs),
    ]


def _start_of_age(store: HistoryStore, days: int, sets: Sequence[Sequence[FeatureSpec]]) -> int:
    """Return the instant before which no feature of a decision from now on reads a row."""
    limit = days * DAY_US
    needed = {spec.name: _reach(spec) for specs in sets for spec in specs}
    without = [name for name, reach in needed.items() if reach is None or reach > limit]
    if without:
        raise ConfigError(
            f"rows older than {days} days cannot be dropped: {len(without)} of {len(needed)} "
            f"features need them, {without[0]} for one; name more days, or features that read "
            "windows only"
        )
    ends = [end for table in store.tables for end in store.days(table)["last"].to_pylist()]
    return int(max(ends, default=0)) - limit


def _reach(spec: FeatureSpec) -> int | None:
    """Return how long before a decision a feature may read rows; None for all of history.

    Windows of rows that a window reads add up; peers are measured when their month begins.
    """
    longest = 31 * DAY_US
    for part in _parts(spec.how):
        if isinstance(part, Window):
            if part.period.us is None:
                return None
            longest += part.period.us + part.lag_us
        elif hasattr(part, "table"):
            return None
    return longest


def _parts(declared: object) -> Iterator[object]:
    if isinstance(declared, tuple):
        for each in declared:
            yield from _parts(each)
    elif is_dataclass(declared):
        yield declared
        for each in fields(declared):
            yield from _parts(getattr(declared, each.name))


def _rebuild(store: HistoryStore, sets: Sequence[Sequence[FeatureSpec]]) -> None:
    """Make the store again beside its file, with all its rows."""
    place = store.folder / _REBUILT
    shutil.rmtree(place, ignore_errors=True)
    if store.pending(1):
        msg = f"history store {store.folder} has served requests to append first: append, then try"
        raise ConfigError(msg)
    tables = store_tables(store, place / "tables")
    form = IdentifierForm(**store.about.get("identifiers", {}))
    with create_history(place / "store", tables, sets, identifiers=form) as made:
        append_tables(made, tables, note={})
        with made.writing() as batch:
            batch.keep(SERVED_UNTIL, store.kept(SERVED_UNTIL) or b"0")
            batch.fold(store.folded())


def _exchange(history: Path) -> None:
    """Put the file that was made again in the place of the earlier one."""
    if (history / f"{_FILE}-wal").exists():
        msg = f"history store {history} is being read: stop serving, then compact it again"
        raise OutputError(msg)
    (history / _REBUILT / "store" / _FILE).replace(history / _FILE)
    sync_folder(history)
    shutil.rmtree(history / _REBUILT)
