"""Open a model and a history store, and score transactions with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Self

import pyarrow as pa

from kyc_ml.config import IdentifierForm, TableAttribute
from kyc_ml.contract import CONTRACT, TRANSACTION_ID, TRANSACTIONS, Column, RowRules
from kyc_ml.dataset import as_observations
from kyc_ml.decision import load_overrides
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, ContractError, NotReadyError, OutputError, some_of
from kyc_ml.features import FeatureSpec, not_in_time
from kyc_ml.history import HistoryStore
from kyc_ml.registry import graded_specs, load_in_use
from kyc_ml.serving.live import LiveHistory, fold
from kyc_ml.serving.request import ServeRequest
from kyc_ml.serving.scoring import SCORED, Asked, ModelNow, Scoring

_WARM_ROWS: Final = 64
_CURE: Final = (
    "train a model whose configuration has `features: {real_time: true}`, which leaves them out"
)


class Scorer:
    """Scores transactions one at a time, and keeps each before its score is returned.

    Of one thread. The features are those of a batch run that knows the same rows, to the bit.

    Examples
    --------
    ``with Scorer.open(history="history", model="models:/fraud@champion") as scorer:``
    ``    print(scorer.score({"transaction_id": "t1", ...})["tier"])``
    """

    def __init__(
        self,
        request: ServeRequest,
        *,
        reporter: ProgressReporter | None = None,
        observe: Callable[[str, float], None] = lambda _stage, _seconds: None,
    ) -> None:
        self.request = request
        self._reporter = reporter or ProgressReporter()
        self._observe = observe
        self.store = HistoryStore.open(request.history)
        try:
            self.model = self.load()
            self._state: Scoring | None = None
        except BaseException:
            self.store.close()
            raise

    @classmethod
    def open(cls, history: str, model: str, **options: Any) -> Self:  # noqa: ANN401  those of ServeRequest
        """Open a model and a history store.

        Parameters
        ----------
        history, model
            See `ServeRequest`, which has the other options too.

        Raises
        ------
        ConfigError
            If the store is absent, or was made for other features; if the model is not of unit
            fraud, or has features that no request can have.
        KycMlError
            If the model cannot be loaded, or is not what was promoted.
        """
        return cls(ServeRequest(history=history, model=model, **options))  # type: ignore[arg-type]

    def load(self) -> ModelNow:
        """Load the model that the address means now, with features from the store.

        Raises KycMlError as `open` does.
        """
        request = self.request
        loaded = load_in_use(
            request.model,
            log=request.audit_log,
            allow_unpromoted=request.allow_unpromoted,
            job="serve",
            reporter=self._reporter,
        )
        book = load_overrides(request.overrides, form=self._rules().form)
        policy = loaded.bundle.policy.with_rules(book.rules)
        bundle = replace(loaded.bundle, policy=policy)
        specs = graded_specs(bundle)
        _require_real_time(bundle.config.unit, specs, model=loaded.label)
        live = LiveHistory(self.store, specs)
        return ModelNow(bundle=bundle, label=loaded.label, live=live, book=book)

    def begin(self) -> Scoring:
        """Begin the state of scoring from what is stored; in the thread that goes on with it.

        What was served moves into the tables first, unless another process writes them.
        """
        with (
            suppress(NotReadyError, OutputError),
            HistoryStore.open(self.request.history, write=True) as written,
        ):
            fold(written)
        self._appends = self.store.appends()
        live = LiveHistory(self.store, graded_specs(self.model.bundle))
        self.model = replace(self.model, live=live)
        for row in as_observations(live.recent(_WARM_ROWS), TRANSACTION_ID).to_batches(max_chunksize=1):
            self.model.score(pa.Table.from_batches([row]))  # compiles, and reads what all need
        return Scoring(
            self.model,
            self.store,
            schema=live.schema,
            rules=self._rules(),
            latest_us=live.latest_us,
            ahead=timedelta(seconds=self.request.ahead_seconds),
            observe=self._observe,
        )

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
        state = self._state or self.begin()
        self._state = None  # not to go on with what is in memory and not in the log
        asked = Asked(transactions=transactions)
        state.turn([asked])
        self._state = state
        if asked.status != SCORED:
            rules = {f"{broken.column}: {broken.key}" for _, broken in asked.faults}
            count = len(transactions)
            msg = f"nothing of {count} transaction(s) was scored: {some_of(sorted(rules))}"
            raise ContractError(msg)
        return [json.loads(answer) for answer in asked.answers]

    def columns(self) -> tuple[list[Column], dict[str, str]]:
        """Return the columns that a transaction may have, and Chinese for those of the bank."""
        own = self._attributes()
        contract = CONTRACT[TRANSACTIONS].extended(own)
        names = self.store.about["columns"][TRANSACTIONS]
        return [contract.column(name) for name in names], {
            each.column: each.description_zh for each in own if each.description_zh
        }

    def up_to_date(self, state: Scoring) -> Scoring:
        """Return the state to go on with: anew if the store was written, or the model is new."""
        appends = self.store.appends()
        if appends == self._appends and state.model is self.model:
            return state
        return self.begin()

    def about_model(self) -> dict[str, Any]:
        """Return what a client may ask about the model that scores."""
        bundle = self.model.bundle
        return {
            "name": bundle.config.name,
            "version": self.model.label,
            "digest": bundle.digest,
            "tiers": list(bundle.policy.tier_names),
            "policy": bundle.policy.label,
            "features": len(bundle.inputs),
        }

    def _attributes(self) -> list[TableAttribute]:
        return [TableAttribute(**each) for each in self.store.about.get("attributes", ())]

    def _rules(self) -> RowRules:
        about = self.store.about
        form = IdentifierForm(**about.get("identifiers", {}))
        return RowRules(zone=about["timezone"], form=form)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Self:
        """Return the scorer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()


def _require_real_time(unit: str, specs: Sequence[FeatureSpec], *, model: str) -> None:
    """Raise ConfigError for a model whose observations or features no request has."""
    if unit != "fraud":
        msg = f"{model} is of unit {unit}: only models of unit fraud score transactions"
        raise ConfigError(msg)
    late = not_in_time({spec.name: spec for spec in specs})
    if late:
        msg = (
            f"{model} reads {len(late)} feature(s) of money-flow patterns, for which the whole "
            f"bank is searched and no request can wait: {some_of(late)}; {_CURE}"
        )
        raise ConfigError(msg)
