"""run_replay: score in batch what was served, and compare every bit."""

import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.config import IdentifierForm, parse_time
from kyc_ml.contract import TRANSACTION_ID, TRANSACTIONS, StoredTables, rows_from_json
from kyc_ml.dataset import as_observations
from kyc_ml.decision import load_overrides
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, GateError, SourceError
from kyc_ml.features import (
    OBSERVATION_ID,
    FeatureSpec,
    FeatureTable,
    build_features_in_buckets,
    name_of,
)
from kyc_ml.history import (
    History,
    HistoryStore,
    Served,
    contracted_schemas,
    fold_served,
    store_tables,
)
from kyc_ml.registry import Bundle, graded_specs, load_model
from kyc_ml.serving.scoring import pack_features, score_rows, unpack_features
from kyc_ml.storage import private_folder

_LABEL: Final = re.compile(r"(?P<name>.+) v(?P<version>\d+)")
_PIECE: Final = 4_096
"""Transactions that are compared at a time; limits memory."""
_END_US: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What is scored again; paths may be given as text."""

    history: Path
    """Folder of the history store."""
    model: Sequence[str] = ()
    """Addresses of bundles; others that served are taken from the registry, by their versions."""
    since: str | pd.Timestamp | None = None
    until: str | pd.Timestamp | None = None
    """`since`, `until`: when the bank knew the transactions, from `since` to before `until`; text
    is of the zone of the store."""
    pending: bool = False
    """Only what no append has moved into the tables, and was served from the rows of now."""
    sample: int | None = None
    """How many of these, drawn by `seed`; None compares all."""
    seed: int = 0
    overrides: Path | None = None
    """Those that were in use when the transactions were served."""
    all_rows: bool = False
    """Compute features from all rows again, without what the store keeps of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that differs; it is not shown, as it may be of a customer."""

    observation_id: str
    what: str
    """A feature, a field of the answer, or 'transactions' for the row itself."""
    key: str
    """Columns by which the feature finds its rows; empty for a field of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay found."""

    served: int
    """Transactions that were served in the period."""
    compared: int
    cells: int
    """Features that were compared, of all transactions together."""
    models: Mapping[str, int]
    """Mapping of name of the model to transactions that were compared."""
    differences: tuple[Difference, ...]
    by_model: Mapping[str, Mapping[str, int]]
    """Mapping of name of the model to what differs, and in how many transactions."""

    @property
    def code(self) -> int:
        """Exit code: 0; 1 if anything differs."""
        return GateError.exit_code if self.differences else 0


def run_replay(request: ReplayRequest, *, reporter: ProgressReporter | None = None) -> Replay:
    """Score in batch what was served, and compare rows, features, scores and reasons to the bit.

    What was served moves into the tables first. Rows that were appended after a transaction was
    served, and that claim to have been known before it, are honest differences: replay before
    the rows of the night are appended.

    Raises ConfigError if there is no store, or the bundle that served is neither given nor in the
    registry; OutputError if another process writes the store.
    """
    reporter = reporter or ProgressReporter()
    if request.sample is not None and request.sample < 1:
        raise ConfigError(f"sample must be at least 1 transaction, got {request.sample}")
    with ExitStack() as opened:
        store = opened.enter_context(HistoryStore.open(request.history, write=True))
        served = store.served_known(
            _instant(request.since, "--since", store, else_=-_END_US),
            _instant(request.until, "--until", store, else_=_END_US),
            pending=request.pending,
        )
        fold_served(store)
        chosen = served
        if request.sample is not None and request.sample < len(served):
            drawn = np.random.default_rng(request.seed).choice(
                len(served), request.sample, replace=False
            )
            chosen = [served[place] for place in sorted(drawn)]
        folder = None
        if request.all_rows and chosen:
            folder = opened.enter_context(private_folder(None))
        comparing = _Comparing(request, store, folder)
        for start in range(0, len(chosen), _PIECE):
            comparing.compare(store.served_numbered(chosen[start : start + _PIECE]))
            reporter.progress("replaying", min(start + _PIECE, len(chosen)), len(chosen))
        return Replay(
            served=len(served),
            compared=len(chosen),
            cells=comparing.cells,
            models={**comparing.models},
            differences=tuple(comparing.found),
            by_model={name: {**each} for name, each in comparing.by_model.items()},
        )


def _instant(
    given: str | pd.Timestamp | None, name: str, store: HistoryStore, *, else_: int
) -> int:
    """Return a time in microseconds."""
    if given is None:
        return else_
    if isinstance(given, str):
        given = parse_time(given, name=name, zone=store.about["timezone"])
    return int(given.value // 1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """A transaction that was served, and what its entry in the log says."""

    entry: Served
    answer: dict[str, Any]
    features: list[object]


class _Comparing:
    """Compares some served transactions after others."""

    def __init__(self, request: ReplayRequest, store: HistoryStore, folder: Path | None) -> None:
        self._history, self._store, self._folder = History(store), store, folder
        self._tables: StoredTables | None = None
        form = IdentifierForm(**store.about.get("identifiers", {}))
        self._book = load_overrides(request.overrides, form=form)
        given = [load_model(address)[0] for address in request.model]
        self._bundles = {each.digest: each for each in given}
        self.found: list[Difference] = []
        self.cells = 0
        self.models: Counter[str] = Counter()
        self.by_model: dict[str, Counter[str]] = defaultdict(Counter)

    def compare(self, entries: Sequence[Served]) -> None:
        """Compare some transactions, those of one bundle together."""
        by_bundle: dict[str, list[_Answered]] = defaultdict(list)
        for entry in entries:
            each = self._read(entry)
            by_bundle[each.answer["model_digest"]].append(each)
        for digest, those in by_bundle.items():
            bundle = self._bundle(digest, those[0].answer["model_version"])
            self.models[bundle.config.name] += len(those)
            self._compare(bundle, those)

    def _read(self, entry: Served) -> _Answered:
        try:
            answer, features = json.loads(entry.answer), unpack_features(entry.features)
            return _Answered(entry=entry, answer=answer, features=features)
        except (ValueError, zlib.error):
            msg = f"the log of history store {self._store.folder} is damaged: restore its served.db"
            raise SourceError(msg) from None

    def _bundle(self, digest: str, label: str) -> Bundle:
        """Return the bundle that served, from those given or from the registry."""
        named = _LABEL.fullmatch(label)
        if digest not in self._bundles and named is not None:
            loaded, _ = load_model(f"models:/{named['name']}/{named['version']}")
            self._bundles[loaded.digest] = loaded
        if digest not in self._bundles:
            raise ConfigError(
                f"bundle {digest[:12]} served, and is neither in the registry as {label} nor "
                "given: name its folder or address with --model"
            )
        bundle = self._bundles[digest]
        return replace(bundle, policy=bundle.policy.with_rules(self._book.rules))

    def _compare(self, bundle: Bundle, those: Sequence[_Answered]) -> None:
        name, specs = bundle.config.name, graded_specs(bundle)
        rows = self._history.payments([each.entry.key for each in those])
        for entry in self._changed_rows([each.entry for each in those], rows):
            self._add(name, entry, [TRANSACTIONS], {})
        facts = self._features(as_observations(rows, TRANSACTION_ID), specs)
        names = [spec.name for spec in facts.specs]
        keys = {spec.name: spec for spec in specs}
        places = {ident: n for n, ident in enumerate(facts.keys[OBSERVATION_ID].to_pylist())}
        batch = [unpack_features(pack_features(facts, place)) for place in range(len(facts))]
        scored = [json.loads(json.dumps(row)) for row in score_rows(bundle, facts, book=self._book)]
        for each in those:
            place = places.get(each.entry.key)
            if place is None:
                continue
            self.cells += len(names)
            pairs = zip_longest(names, each.features, batch[place])
            self._add(name, each.entry, [str(n) for n, a, b in pairs if a != b], keys)
            own = sorted(n for n, value in scored[place].items() if each.answer.get(n) != value)
            self._add(name, each.entry, own, {})

    def _changed_rows(self, entries: Sequence[Served], rows: pa.Table) -> Iterator[Served]:
        """Yield the transactions whose row in the tables is not the one that was served."""
        there = {row[TRANSACTION_ID]: row for row in rows.to_pylist()}
        schema = contracted_schemas(self._store)[TRANSACTIONS]
        kept = [entry for entry in entries if entry.row]
        served = rows_from_json([entry.row for entry in kept], schema).select(rows.column_names)
        for entry, row in zip(kept, served.to_pylist(), strict=True):
            if there.get(entry.key) != row:
                yield entry
        yield from (entry for entry in entries if not entry.row and entry.key not in there)

    def _features(self, observed: pa.Table, specs: Sequence[FeatureSpec]) -> FeatureTable:
        if self._folder is None:
            return self._history.features(observed, specs)
        if self._tables is None:
            self._tables = store_tables(self._store, self._folder / "tables")
        given, out = self._folder / "observations.parquet", self._folder / "features.parquet"
        pq.write_table(observed, given)
        built = build_features_in_buckets(
            self._tables.files,
            given,
            specs=specs,
            timezone=self._tables.timezone,
            out=out,
            scratch=self._folder,
        )
        return FeatureTable.from_arrow(
            pq.read_table(out), built.specs, unavailable=built.unavailable
        )

    def _add(
        self, model: str, entry: Served, differ: Iterable[str], keys: Mapping[str, FeatureSpec]
    ) -> None:
        for what in differ:
            key = ", ".join(sorted(_key_of(what, keys)))
            self.found.append(Difference(observation_id=entry.key, what=what, key=key))
            self.by_model[model][what] += 1


def _key_of(name: str, specs: Mapping[str, FeatureSpec]) -> set[str]:
    """Return the columns by which a feature, and those that it is made of, find their rows."""
    if name not in specs:
        return set()
    how = specs[name].how
    own = {name_of(column) for column in getattr(how, "key", ())}
    return own.union(*(_key_of(each, specs) for each in how.features_read()))
