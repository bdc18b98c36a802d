"""Score transactions as they come: check, features, probability, tier, reasons, durable log."""

import json
import math
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from kyc_ml.contract import (
    CONTRACT,
    EVENT_TIME,
    KNOWN_AT,
    TRANSACTION_ID,
    TRANSACTIONS,
    BrokenRule,
    OneRow,
    RowRules,
    RowValue,
    row_to_json,
    rows_as_table,
)
from kyc_ml.dataset import as_observations
from kyc_ml.decision import NO_OVERRIDES, OverrideBook
from kyc_ml.errors import OutputError
from kyc_ml.features import FeatureTable, microseconds
from kyc_ml.history import HistoryStore, Served
from kyc_ml.registry import Bundle, columns_of_bundle, score_and_grade
from kyc_ml.serving.live import LiveHistory

SCORED, REFUSED, CONFLICT, FAILED, NOT_KEPT = 200, 422, 409, 500, 507
"""Status of HTTP."""
IN_FUTURE, TWICE, OTHER_CONTENT = "in the future", "duplicate", "different"
KEY_HEADER: Final = "Idempotency-Key"
_HEADER: Final = " header:"
"""Before the key of a whole request in the log, where ids of transactions are keys too: the space
makes it no id."""
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNow:
    """The model that scores, and what its features are computed from."""

    bundle: Bundle
    label: str
    """Name and version."""
    live: LiveHistory
    book: OverrideBook = NO_OVERRIDES

    def score(self, observation: pa.Table) -> tuple[dict[str, Any], bytes]:
        """Return the score row of one observation, and its features as `pack_features` does."""
        facts = self.live.compute(observation)
        [scored] = score_rows(self.bundle, facts, book=self.book, threads=1)
        return {**scored, "model_version": self.label}, pack_features(facts, 0)


def score_rows(
    bundle: Bundle, facts: FeatureTable, *, book: OverrideBook, threads: int = 2
) -> Iterator[dict[str, Any]]:
    """Yield the score rows of observations as values of JSON, their reasons as a list."""
    own = columns_of_bundle(bundle, facts)
    columns = score_and_grade(bundle, own, facts=facts, book=book, threads=threads).columns
    for place in range(len(facts)):
        row = {name: _plain(each[place].as_py()) for name, each in columns.items()}
        reasons: dict[str, dict[str, Any]] = {}
        for name in [each for each in row if each[:7] == "reason_" and each[7].isdigit()]:
            number, _, what = name[7:].partition("_")
            reasons.setdefault(number, {})[what] = row.pop(name)
        yield {**row, "reasons": [each for each in reasons.values() if each["code"] is not None]}


def pack_features(facts: FeatureTable, row: int) -> bytes:
    """Pack the features of one observation: their number, numbers to the bit, then categories."""
    n = len(facts.specs) - len(facts.categories)
    numbers = facts.numbers[row, :n]
    same = np.where(np.isnan(numbers), np.nan, numbers)  # a missing value has many bit patterns
    words = [facts.categories[spec.name][row].as_py() for spec in facts.specs[n:]]
    content = n.to_bytes(4, "little") + same.astype("<f8").tobytes() + json.dumps(words).encode()
    return zlib.compress(content, 1)


def unpack_features(packed: bytes) -> list[object]:
    """Return what `pack_features` packed: the bits of each number, then the categories."""
    content = zlib.decompress(packed)
    n = int.from_bytes(content[:4], "little")
    return [*np.frombuffer(content, "<u8", n, 4), *json.loads(content[4 + 8 * n :])]


def _plain(value: object) -> object:
    """Return a value that JSON has."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, date) else value


@dataclass(slots=True, kw_only=True)
class Asked:
    """One request: transactions of which all are scored, or none."""

    transactions: Sequence[Mapping[str, Any]]
    key: str | None = None
    """Idempotency key of the whole request; the id of each transaction is one too."""
    status: int = FAILED
    answers: list[bytes] = field(default_factory=list)
    """JSON, one a transaction, if they were scored."""
    faults: list[tuple[int, BrokenRule]] = field(default_factory=list)
    """Place of a transaction in the request, from 0, and a rule that it breaks."""


class Scoring:
    """Contract, idempotency, order of times and the log of what is served; for one thread.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the contracted transactions in the store.
    latest_us : int
        Greatest decision time that was served before.
    ahead : timedelta
        How far in the future a transaction may lie, as clocks differ.
    observe : callable
        Called with a stage (check, features and score, commit) and its seconds.
    """

    def __init__(
        self,
        model: ModelNow,
        store: HistoryStore,
        *,
        schema: pa.Schema,
        rules: RowRules,
        latest_us: int,
        ahead: timedelta,
        observe: Callable[[str, float], None] = lambda _stage, _seconds: None,
    ) -> None:
        self.model = model
        self.latest_us = latest_us
        self._store, self._schema = store, schema
        self._ahead_us = ahead // timedelta(microseconds=1)
        self._row = OneRow(CONTRACT[TRANSACTIONS], schema.names, rules=rules)
        self._observe = observe
        self._fresh: dict[str, Served] = {}
        self._late: list[pa.Table] = []

    def turn(self, requests: Sequence[Asked]) -> None:
        """Answer some requests, and keep what is new of them in one commit.

        After an error nothing new is kept, no request has an answer, and rows may be in memory
        that are not in the log: the state must be made again.
        Raises OutputError if the log cannot be written.
        """
        self._fresh = {}
        try:
            for asked in requests:
                self._answer(asked)
            if self._fresh:
                with self._stage("commit"):
                    self._store.log(list(self._fresh.values()))
        except BaseException as error:
            for asked in requests:
                if asked.status == SCORED:
                    asked.status = NOT_KEPT if isinstance(error, OutputError) else FAILED
                    asked.answers = []
            raise

    def settle(self) -> None:
        """Take in what was scored: before the next score at the latest, so after an answer."""
        late, self._late = self._late, []
        for row in late:
            with self._stage("add"):
                self.model.live.add(TRANSACTIONS, row)

    @property
    def logged(self) -> int:
        """Number of transactions that the last turn added to the log."""
        return sum(bool(entry.row) for entry in self._fresh.values())

    def _answer(self, asked: Asked) -> None:
        with self._stage("check"):
            rows = self._checked(asked)
            if asked.faults:
                asked.status = REFUSED
                return
            sent = [row_to_json(row) for row in rows]
            ids = [str(row[TRANSACTION_ID]) for row in rows]
            whole = None if asked.key is None else f"{_HEADER}{asked.key}"
            known = self._known([*ids, *([whole] if whole else [])])
            contents = b"\n".join(sent)
            if whole in known and known[whole].request != contents:
                asked.faults.append((0, BrokenRule(KEY_HEADER, OTHER_CONTENT)))
            there = self._in_tables(ids, rows, known)
            for place, name in enumerate(ids):
                same = known[name].request == sent[place] if name in known else there.get(name)
                if same is False:
                    asked.faults.append((place, BrokenRule(TRANSACTION_ID, OTHER_CONTENT)))
            if asked.faults:
                asked.status = CONFLICT
                return
        for name, row, content in zip(ids, rows, sent, strict=True):
            if name not in known:
                known[name] = self._score(row, content, there=name in there)
                self._fresh[name] = known[name]
        asked.answers = [known[name].answer for name in ids]
        if whole is not None and whole not in known:
            self._fresh[whole] = Served(key=whole, request=contents, answer=b"", row=b"")
        asked.status = SCORED

    def _checked(self, asked: Asked) -> list[dict[str, RowValue]]:
        """Check the rows of a request by the contract and the clock; note their faults."""
        rows, seen = [], set()
        limit = int(time.time() * _SECOND_US) + self._ahead_us
        for place, given in enumerate(asked.transactions):
            row, broken = self._row.check(given)
            for name in (EVENT_TIME, KNOWN_AT):
                value = row.get(name)
                if isinstance(value, int) and value > limit and given.get(name) is not None:
                    broken.append(BrokenRule(name, IN_FUTURE))
            if row[TRANSACTION_ID] in seen:
                broken.append(BrokenRule(TRANSACTION_ID, TWICE))
            seen.add(row[TRANSACTION_ID])
            asked.faults += [(place, each) for each in broken]
            rows.append(row)
        return rows

    def _known(self, keys: Sequence[str]) -> dict[str, Served]:
        """Return what was served for keys, of this turn or before."""
        new = {key: self._fresh[key] for key in keys if key in self._fresh}
        return {**self._store.served([key for key in keys if key not in new]), **new}

    def _in_tables(
        self,
        ids: Sequence[str],
        rows: Sequence[Mapping[str, RowValue]],
        known: Mapping[str, Served],
    ) -> dict[str, bool]:
        """Return which ids are in the tables, not being served, and whether as the same row."""
        absent = [name for name in ids if name not in known]
        if not absent:
            return {}
        found = self._store.find(TRANSACTIONS, pa.array(absent, pa.string()))
        if not found.num_rows:
            return {}
        names = [name for name in self._schema.names if name != KNOWN_AT]
        stored = {row[TRANSACTION_ID]: row for row in found.select(names).to_pylist()}
        sent = rows_as_table(rows, self._schema).select(names).to_pylist()
        return {
            row[TRANSACTION_ID]: row == stored[row[TRANSACTION_ID]]
            for row in sent
            if row[TRANSACTION_ID] in stored
        }

    def _score(self, row: dict[str, RowValue], content: bytes, *, there: bool) -> Served:
        """Score one new transaction; it is taken in later unless the tables have it (`there`)."""
        self.settle()
        event, known = row[EVENT_TIME], row[KNOWN_AT]
        assert isinstance(event, int) and isinstance(known, int)  # noqa: S101, PT018  checked
        if not there and max(event + 1, known) <= self.latest_us:
            # no decision so far has seen it: the bank knows it from now on, in batch as well
            row[KNOWN_AT] = self.latest_us + 1
        self.latest_us = max(self.latest_us, event)
        table = rows_as_table([row], self._schema)
        with self._stage("score"):
            scored, features = self.model.score(as_observations(table, TRANSACTION_ID))
            answer = {**scored, KNOWN_AT: _plain(table[KNOWN_AT][0].as_py())}
        if not there:
            self._late.append(table)
        return Served(
            key=str(row[TRANSACTION_ID]),
            request=content,
            answer=json.dumps(answer, ensure_ascii=False, allow_nan=False).encode(),
            row=b"" if there else row_to_json(row),
            features=features,
            known_us=int(microseconds(table[KNOWN_AT])[0]),
            appends=self.model.live.appends,
        )

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._observe(name, time.perf_counter() - began)
