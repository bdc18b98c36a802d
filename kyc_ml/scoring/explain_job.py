"""Explain one observation: to an analyst with everything behind its tier, or to its customer."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import pandas as pd
import pyarrow as pa

from kyc_ml import decision, registry
from kyc_ml.config import SourceMapping, Unit, load_section
from kyc_ml.contract import ContractedTables
from kyc_ml.display import ProgressReporter, say_in_html, say_moment, say_plainly
from kyc_ml.features import DAY_US, DECISION_TIME, OBSERVATION_ID, FeatureSpec, FeatureTable
from kyc_ml.history import (
    History,
    is_history,
    open_history,
    read_tables,
    tables_around,
    tables_of_customer,
)
from kyc_ml.scoring.case import Case, make_case
from kyc_ml.scoring.counterfactual import find_counterfactual
from kyc_ml.scoring.earlier import read_history
from kyc_ml.scoring.one_observation import find_observation, in_form
from kyc_ml.scoring.request import ExplainRequest
from kyc_ml.scoring.sheet_content import make_sheet
from kyc_ml.storage import require_place

_SHEET_US: Final = max(decision.EARLIEST_US, decision.WEEKS * 7 * DAY_US)
"""How long before a decision a sheet compares with the rows of other customers."""
_SHOWN: Final = ("probability", "tier", "tier_zh", "margin", "base_value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """The score of one observation, with its reasons.

    Attributes
    ----------
    decided : Timestamp
        Time of the decision, in the time zone of the source.
    score : mapping
        The observation's row of the score table.
    contributions : DataFrame
        One row per reason, the first ones first: code, family, text, text_zh, value (NaN where
        missing or a category), peer_median, percentile, contribution (log-odds), share, feature;
        see `make_reasons`. Where nothing stands out, one row of code and text.
    patterns : tuple of Pattern
        See `Case.patterns`.
    lowering : Counterfactual
        The nearest change that would lower the tier, in English and Chinese.
    sheet : Path or None
        Where the case sheet was written; None without one.
    """

    observation_id: str
    decided: pd.Timestamp
    probability: float
    tier: str
    tier_zh: str
    margin: float
    base_value: float
    score: Mapping[str, Any]
    contributions: pd.DataFrame
    lowering: decision.Counterfactual
    patterns: tuple[decision.Pattern, ...] = ()
    sheet: Path | None = None

    @classmethod
    def of(
        cls, case: Case, lowering: decision.Counterfactual, *, sheet: Path | None = None
    ) -> Self:
        """Return what the reader of a case asks first."""
        score = case.score
        return cls(
            observation_id=score[OBSERVATION_ID],
            decided=case.decided,
            score=score,
            contributions=case.reasons,
            lowering=lowering,
            patterns=case.patterns,
            sheet=sheet,
            **{name: score[name] for name in _SHOWN},
        )

    def _facts(self) -> dict[str, object]:
        lines = [english for english, _ in self.lowering.lines]
        return {
            "decided": say_moment(self.decided),
            "probability": f"{self.probability:.2%}",
            "tier": f"{self.tier} {self.tier_zh}",
            "set by": self.score["tier_set_by_text"],
            **{pattern.name[0]: pattern.text[0] for pattern in self.patterns},
            "margin": f"{self.margin:.3f} = {self.base_value:.3f} + all contributions",
            "would lower it": " ".join([*lines, self.lowering.note[0]]),
        }

    def __repr__(self) -> str:
        said, pushed = (self.contributions[name].tolist() for name in ("text", "contribution"))
        reasons = {
            f"reason {place}": text if math.isnan(push) else f"{text} ({push:+.2f})"
            for place, (text, push) in enumerate(zip(said, pushed, strict=True), 1)
        }
        return say_plainly(f"Observation {self.observation_id}", {**self._facts(), **reasons})

    def _repr_html_(self) -> str:
        reasons = self.contributions[["text", "contribution", "share"]]
        return say_in_html(
            f"Observation {self.observation_id}", self._facts(), tables=[reasons.round(3)]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerFacts:
    """What may be disclosed to the customer of one observation, and nothing else."""

    observation_id: str
    decision_time: pd.Timestamp
    facts: pd.DataFrame
    """One row per fact: fact, value, fact_zh, value_zh; values in words."""


def run_explain(request: ExplainRequest, *, reporter: ProgressReporter) -> Explained:
    """Explain one observation, and write its case sheet if the request names a file for it.

    Raises DatasetError if the source has no such observation; KycMlError if the model, the source
    or a file of the request is faulty.
    """
    if request.sheet is not None:
        require_place(request.sheet)
    bundle, label = _load(request, reporter)
    form = load_section(request.source, SourceMapping).identifiers
    book = decision.load_overrides(request.overrides, form=form)
    bundle = replace(bundle, policy=bundle.policy.with_rules(book.rules))
    earlier = read_history(request.previous, bundle.policy)
    observation = in_form(request.observation, form)
    specs, unit = registry.graded_specs(bundle), bundle.config.unit
    with _opened(request, observation, specs, unit, reporter) as (tables, store):
        case = make_case(
            bundle,
            tables,
            observation,
            reporter=reporter,
            book=book,
            history=earlier,
            reasons=request.reasons,
            store=store,
        )
        lowering = find_counterfactual(case)
        if request.sheet is not None:
            content = make_sheet(
                case, tables, label=label, lowering=lowering, language=request.language
            )
            decision.save_sheet(content, request.sheet)
    return Explained.of(case, lowering, sheet=request.sheet)


def run_customer_safe(request: ExplainRequest, *, reporter: ProgressReporter) -> CustomerFacts:
    """List what may be disclosed to the customer of one observation; see `customer_safe`.

    Raises DatasetError if the source has no such observation.
    """
    bundle, _ = _load(request, reporter)
    unit = bundle.config.unit
    form = load_section(request.source, SourceMapping).identifiers
    asked = in_form(request.observation, form)
    with _opened(request, asked, bundle.specs, unit, reporter) as (tables, store):
        observations = find_observation(tables, asked, unit=unit)
        features = registry.features_of_bundle(bundle, tables, observations, reporter, store)
    return list_customer_facts(bundle, features)


def _load(request: ExplainRequest, reporter: ProgressReporter) -> tuple[registry.Bundle, str]:
    loaded = registry.load_in_use(
        request.model,
        log=request.audit_log,
        allow_unpromoted=request.allow_unpromoted,
        job="explain",
        reporter=reporter,
    )
    return loaded.bundle, loaded.label


@contextmanager
def _opened(
    request: ExplainRequest,
    asked: str,
    specs: Sequence[FeatureSpec],
    unit: Unit,
    reporter: ProgressReporter,
) -> Iterator[tuple[ContractedTables, History | None]]:
    """Read the tables; of a history store the rows that matter, and the store itself."""
    if not is_history(request.data):
        tables, _ = read_tables(
            request.source,
            request.data,
            quarantine=request.quarantine,
            reporter=reporter,
            telling="line",
        )
        yield tables, None
        return
    mapping = load_section(request.source, SourceMapping)
    with open_history(request.data, mapping, write=False) as store:
        history = History(store)
        own = find_observation(tables_of_customer(history, asked), asked, unit=unit)
        reach_us = decision.EARLIEST_US if request.sheet is None else _SHEET_US
        yield tables_around(history, own, specs, reach_us=reach_us), history


def list_customer_facts(bundle: registry.Bundle, features: FeatureTable) -> CustomerFacts:
    """List what may be disclosed of the one row of a table, considering all of its reasons."""
    columns = registry.reasons_of(
        bundle,
        features,
        registry.explain_rows(bundle, features),
        k=len(features.specs),
        contrast=False,  # plain facts, whether or not they are usual
    )
    allowed = decision.disclosable(
        {spec.name: spec for spec in bundle.specs}, families=bundle.policy.tellable_families
    )
    keys = {name: features.keys[name] for name in features.keys.column_names}
    safe = decision.customer_safe(pa.table({**keys, **columns}), allowed).to_pylist()[0]
    codes = [code for name, code in safe.items() if name.endswith("_code") and code is not None]
    currency = bundle.data["base_currency"]
    rows = []
    known = {spec.code: spec for spec in allowed.values()}
    for place, code in enumerate(codes, start=1):
        spec = known[code]
        category = spec.kind == "category"
        value = features.category(spec.name)[0] if category else safe[f"fact_{place}_value"]
        rows.append(
            {
                "fact": safe[f"fact_{place}"],
                "value": decision.say_value(spec, value, currency=currency, language="en"),
                "fact_zh": safe[f"fact_{place}_zh"],
                "value_zh": decision.say_value(spec, value, currency=currency, language="zh"),
            }
        )
    return CustomerFacts(
        observation_id=safe[OBSERVATION_ID],
        decision_time=pd.Timestamp(safe[DECISION_TIME]),
        facts=pd.DataFrame(rows, columns=["fact", "value", "fact_zh", "value_zh"]),
    )
