"""Open a model and a history store, and score transactions with them."""

import gc
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa

from kyc_ml.config import IdentifierForm, TableAttribute, read_path
from kyc_ml.contract import CONTRACT, TRANSACTION_ID, TRANSACTIONS, Column, RowRules
from kyc_ml.dataset import as_observations
from kyc_ml.decision import load_overrides
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, ContractError, NotReadyError, OutputError, some_of
from kyc_ml.features import FeatureSpec, not_in_time
from kyc_ml.history import HistoryStore, fold_served, lock_writer
from kyc_ml.registry import AUDIT_LOG, graded_specs, load_in_use
from kyc_ml.serving.live import LiveHistory
from kyc_ml.serving.scoring import SCORED, Asked, ModelNow, Scoring

_WARM_ROWS: Final = 64
_WARM_DAYS: Final = 31
"""Payments that are scored, and days with payments whose keys are read, before requests."""
_AT_ONCE: Final = 10_000
_BESIDE: Final = 500
"""Payments whose keys are read together: before the first request, and beside requests."""
_FEW: Final = 8
_MOST_ROUNDS: Final = 100
"""Payments that the next state may take in between two requests, and attempts to reach that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """A server of scores, or a scorer; paths may be given as text."""

    history: Path
    """Folder of the history store."""
    model: str
    """Registry address or folder of a bundle of unit fraud."""
    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free one, which the first line of the log names."""
    overrides: Path | None = None
    """Overrides entered for single customers."""
    waiting: int = 256
    """Transactions that may wait; more are refused with status 503."""
    most_transactions: int = 100
    most_bytes: int = 1_000_000
    """`most_transactions`, `most_bytes`: of one request."""
    ahead_seconds: float = 5.0
    """How far in the future a transaction may lie, as clocks differ."""
    poll_seconds: float = 60.0
    """How often the registry is asked whether the address means another version."""
    audit_log: Path = AUDIT_LOG
    allow_unpromoted: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", str(self.model))
        for name in ("history", "audit_log", "overrides"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_path(getattr(self, name), name=name))


class Scorer:
    """Scores transactions one at a time, and keeps each before its score is returned.

    Of one thread. The features are those of a batch run that knows the same rows, to the bit.
    """

    def __init__(
        self,
        request: ServeRequest,
        *,
        reporter: ProgressReporter | None = None,
        observe: Callable[[str, float], None] = lambda _stage, _seconds: None,
    ) -> None:
        self.request, self._reporter = request, reporter or ProgressReporter()
        self._observe = observe
        self._state: Scoring | None = None
        self._beside, self._closing = ThreadPoolExecutor(1, "next state"), False
        self._next: Future[LiveHistory] | None = None
        self._lives: list[LiveHistory] = []
        self._seen = -1
        self.store = HistoryStore.open(request.history)
        self._lock = -1
        try:
            self._lock = lock_writer(request.history, "server.lock")
            self.model = self.load()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, history: str | Path, model: str | Path, **options: Any) -> Self:  # noqa: ANN401
        """Open a model and a history store.

        Parameters
        ----------
        history, model, **options
            As in `ServeRequest`.

        Raises
        ------
        ConfigError
            If the store is absent, or was made for other features; if the model is not of unit
            fraud, or has features that no request can wait for.
        KycMlError
            If the model cannot be loaded, or is not what was promoted; if another process serves
            the store.
        """
        return cls(ServeRequest(history=Path(history), model=str(model), **options))

    def load(self) -> ModelNow:
        """Load the model that the address means now, with features from the store; see `open`."""
        request, reporter = self.request, self._reporter
        loaded = load_in_use(
            request.model,
            log=request.audit_log,
            allow_unpromoted=request.allow_unpromoted,
            job="serve",
            reporter=reporter,
        )
        book = load_overrides(request.overrides, form=self._rules().form)
        bundle = replace(loaded.bundle, policy=loaded.bundle.policy.with_rules(book.rules))
        specs = graded_specs(bundle)
        require_real_time(bundle.config.unit, specs, model=loaded.label)
        return ModelNow(bundle=bundle, label=loaded.label, live=self._open(specs), book=book)

    def _open(self, specs: Sequence[FeatureSpec]) -> LiveHistory:
        live = LiveHistory(HistoryStore.open(self.request.history), specs)
        self._lives.append(live)
        return live

    def _drop(self, live: LiveHistory) -> None:
        self._lives.remove(live)
        live.close()

    def begin(self) -> Scoring:
        """Begin the state of scoring from what is stored; in the thread that uses it.

        What was served moves into the tables first, unless another process writes them.
        """
        with (
            suppress(NotReadyError, OutputError),
            HistoryStore.open(self.request.history, write=True) as written,
        ):
            fold_served(written)
        old, _ = self.model.live, self.store.brought()  # reads the notes so far, for `take`
        live = self._open(old.specs)
        self.model = self.warm(replace(self.model, live=live), at_once=_AT_ONCE)
        self._drop(old)
        return Scoring(
            self.model,
            self.store,
            schema=live.schema,
            rules=self._rules(),
            latest_us=live.latest_us,
            ahead=timedelta(seconds=self.request.ahead_seconds),
            observe=self._observe,
        )

    def warm(self, model: ModelNow, *, at_once: int) -> ModelNow:
        """Score the last payments: compiles, and reads what all requests need."""
        recent = as_observations(model.live.recent(_WARM_DAYS), TRANSACTION_ID)
        keys = model.live.warm(recent, at_once=at_once, stop=self._stops)
        self._reporter.info(f"keys of the last {keys:,} payments are in memory")
        for row in recent.slice(max(len(recent) - _WARM_ROWS, 0)).to_batches(max_chunksize=1):
            model.score(pa.Table.from_batches([row]))
        return model

    def _stops(self) -> bool:
        """Return whether reading ends; asked between its pieces, which collections leave out."""
        if self._next is not None:  # requests would wait while a collection looks through all rows
            gc.freeze()
        return self._closing

    def renew(self) -> ModelNow:
        """Load the model again; one of the same features uses the rows that are in memory."""
        new = self.load()
        return new if new.live.specs == self.model.live.specs else self.warm(new, at_once=_BESIDE)

    def take(self, state: Scoring, new: ModelNow | None) -> Scoring:
        """Return the state with another model, or with rows of the store after an append.

        Those are read beside the requests that come meanwhile: they are answered from the rows
        before the append. Between two requests only the last of what was served is taken in.
        """
        live = state.model.live
        if new is not None:
            if new.live.specs == live.specs:
                self._beside.submit(self._drop, new.live)
                new = replace(new, live=live)
            self._exchange(state, new)
        elif self._next is not None and self._next.done():
            beside, self._next = self._next.result(), None
            if beside.specs == live.specs:
                self._exchange(state, replace(state.model, live=beside))
            else:  # another model has come since
                self._beside.submit(self._drop, beside)
        elif self._next is None and self._has_new_rows(live):
            self._next = self._beside.submit(self._prepare, state.model)
        return state

    def _has_new_rows(self, live: LiveHistory) -> bool:
        """Return whether an append has brought rows that a state does not show."""
        last = self.store.appends()
        if last == self._seen:
            return False
        self._seen = last
        return self.store.brought() > live.appends

    def _prepare(self, model: ModelNow) -> LiveHistory:
        live = self._open(model.live.specs)
        self.warm(replace(model, live=live), at_once=_BESIDE)
        for _ in range(_MOST_ROUNDS):
            if live.catch_up() <= _FEW:
                break
        return live

    def _exchange(self, state: Scoring, new: ModelNow) -> None:
        """Take in what was served since, and free the state before."""
        state.settle()
        old = state.model.live
        if new.live is not old:
            new.live.catch_up()
            state.latest_us = max(state.latest_us, new.live.latest_us)
            self._beside.submit(self._drop, old)
        self.model = state.model = new

    def score(self, transaction: Mapping[str, Any]) -> dict[str, Any]:
        """Score one transaction; see `score_many`."""
        return self.score_many([transaction])[0]

    def score_many(self, transactions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Score transactions in their order: all of them, or none.

        Parameters
        ----------
        transactions : sequence of mappings
            Values of JSON by contracted column; times are ISO 8601.

        Returns
        -------
        list of dict
            Columns of the score table, `reasons` as a list, `known_at` and `model_version`. The
            same transaction has the same answer again.

        Raises
        ------
        ContractError
            With every rule that a transaction breaks; nothing is kept then.
        OutputError
            If the store cannot be written; nothing is kept then.
        """
        state = self.begin() if self._state is None else self.take(self._state, None)
        asked = Asked(transactions=transactions)
        self._state = None  # after an error, memory may have what the store lacks
        state.turn([asked])
        self._state = state
        if asked.status != SCORED:
            rules = sorted({f"{broken.column}: {broken.key}" for _, broken in asked.faults})
            msg = f"nothing of {len(transactions)} transaction(s) was scored: {some_of(rules)}"
            raise ContractError(msg)
        return [json.loads(answer) for answer in asked.answers]

    def columns(self) -> tuple[list[Column], dict[str, str]]:
        """Return the columns that a transaction may have, and Chinese for those of the bank."""
        own = [TableAttribute(**each) for each in self.store.about.get("attributes", ())]
        contract = CONTRACT[TRANSACTIONS].extended(own)
        chinese = {each.column: each.description_zh for each in own if each.description_zh}
        return [contract.column(n) for n in self.store.about["columns"][TRANSACTIONS]], chinese

    def rows(self) -> dict[str, int]:
        """Count the rows of each table of the store."""
        tables = self.store.about["columns"]
        return {name: sum(self.store.days(name)["rows"].to_pylist()) for name in tables}

    def about_model(self) -> dict[str, Any]:
        """Return what a client may ask about the model that scores."""
        bundle, label = self.model.bundle, self.model.label
        facts = {"name": bundle.config.name, "version": label, "digest": bundle.digest}
        return {**facts, "tiers": list(bundle.policy.tier_names), "policy": bundle.policy.label}

    def _rules(self) -> RowRules:
        form = IdentifierForm(**self.store.about.get("identifiers", {}))
        return RowRules(zone=self.store.about["timezone"], form=form)

    def close(self) -> None:
        """Close the store, and let another process serve it."""
        self._closing = True
        self._beside.shutdown(cancel_futures=True)
        while self._lives:
            self._lives.pop().close()
        gc.unfreeze()
        self.store.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        """Return the scorer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()


def require_real_time(unit: str, specs: Sequence[FeatureSpec], *, model: str) -> None:
    """Raise ConfigError for a model whose observations or features no request has."""
    late = not_in_time({spec.name: spec for spec in specs})
    if unit != "fraud":
        msg = f"{model} is of unit {unit}: only models of unit fraud score transactions"
        raise ConfigError(msg)
    if late:
        raise ConfigError(
            f"{model} has {len(late)} feature(s) for which the whole bank is searched, and no "
            f"request can wait for that: {some_of(late)}; train a model whose configuration has "
            "`features: {real_time: true}`, which leaves them out"
        )
