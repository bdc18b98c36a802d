"""Which declared features a policy reads, so that one table serves model and policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from kyc_ml.config import FeatureConfig, Unit
from kyc_ml.contract import CASE_ID, CASES, CUSTOMER_ID, OUTCOME
from kyc_ml.decision.rating.needs import check_reads, specs_of
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.errors import ConfigError
from kyc_ml.features import EVER, FeatureSpec, Kind, Where, Window, declare_features

FACTS: Final = (
    FeatureSpec(
        name="customer_reports_filed_ever",
        family="label_history",
        how=Window(
            table=CASES,
            key=(CUSTOMER_ID,),
            statistic="distinct",
            value=CASE_ID,
            where=Where(column=OUTCOME, values=("str_filed",)),
            period=EVER,
        ),
        unit="outcomes",
        description="suspicious-transaction reports filed on the customer, as known then",
        description_zh="截至当时已提交的涉及客户的可疑交易报告数",
        source="银发〔2013〕2号: 多次涉及可疑交易报告",
    ),
)
"""Facts for policies only: a model that read them would learn what the bank has decided."""


def declare_facts(config: FeatureConfig, policy: TierPolicy) -> dict[str, FeatureSpec]:
    """Declare all that a policy may read: the configuration's features, `FACTS`, its own items."""
    items = dict.fromkeys((*config.third_party_items, *policy.facts.third_party_items))
    wider = config.model_copy(update={"third_party_items": tuple(items)})
    return {**declare_features(wider), **{spec.name: spec for spec in FACTS}}


def reads_of(policy: TierPolicy) -> dict[str, tuple[str, Kind]]:
    """Feature and its kind by the place in the policy that reads it."""
    found: dict[str, tuple[str, Kind]] = {}
    if policy.segments is not None:
        found["segments"] = (policy.segments.feature, "category")
    for rule in policy.overrides:
        for number, condition in enumerate(rule.when, start=1):
            found[f"overrides.{rule.code}.when.{number}"] = (condition.feature, condition.kind)
    if policy.expert is not None:
        card = policy.expert.card.reads
        found |= {f"expert.card.{where}": read for where, read in card.items()}
    return found


def features_needed(
    policy: TierPolicy, declared: Mapping[str, FeatureSpec], *, unit: Unit
) -> tuple[FeatureSpec, ...]:
    """List the features a policy reads and the intermediate features they are made of.

    Parameters
    ----------
    declared : mapping of name to FeatureSpec
        As `declare_facts` gives it.

    Raises
    ------
    ConfigError
        If the policy reads a feature that is not declared, is of another kind or is not of
        this unit; all faults are listed.
    """
    reads = reads_of(policy)
    if policy.expert is not None and policy.expert.card.unit != unit:
        msg = (
            f"policy {policy.label!r}: its card rates {policy.expert.card.unit} observations, not "
            f"{unit}: name a card of this unit"
        )
        raise ConfigError(msg)
    check_reads(reads, declared, unit=unit, subject=f"policy {policy.label!r}")
    return specs_of([name for name, _ in reads.values()], declared)


def policy_features(
    policy: TierPolicy, config: FeatureConfig, *, unit: Unit
) -> tuple[FeatureSpec, ...]:
    """List what a policy reads of a run's features, and of the facts for policies only.

    Raises
    ------
    ConfigError
        As `features_needed` does.
    """
    return features_needed(policy, declare_facts(config, policy), unit=unit)


def merge_specs(
    own: Iterable[FeatureSpec], needed: Iterable[FeatureSpec]
) -> tuple[FeatureSpec, ...]:
    """Add what a policy needs to a model's features.

    A model's own feature stays as the model knows it; it is only no longer intermediate where the
    policy reads it.
    """
    both = {spec.name: spec for spec in own}
    for spec in needed:
        known = both.get(spec.name)
        if known is None:
            both[spec.name] = spec
        elif known.intermediate and not spec.intermediate:
            both[spec.name] = replace(known, intermediate=False)
    return tuple(both.values())
