"""Which declared features a policy or a card reads, so that one table serves them and a model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from kyc_ml import features as f
from kyc_ml.config import FeatureConfig, Unit
from kyc_ml.contract import CASE_ID, CASES, CUSTOMER_ID, OUTCOME
from kyc_ml.decision.rating.card import Scorecard
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.errors import ConfigError, Faults, hint

FACTS: Final = (
    f.FeatureSpec(
        name="customer_reports_filed_ever",
        family="label_history",
        how=f.Window(
            table=CASES,
            key=(CUSTOMER_ID,),
            statistic="distinct",
            value=CASE_ID,
            where=f.Where(column=OUTCOME, values=("str_filed",)),
            period=f.EVER,
        ),
        unit="outcomes",
        description="suspicious-transaction reports filed on the customer, as known then",
        description_zh="截至当时已提交的涉及客户的可疑交易报告数",
        source="银发〔2013〕2号: 多次涉及可疑交易报告",
    ),
)
"""Facts for policies only: a model that read them would learn what the bank has decided."""


def declare_facts(config: FeatureConfig, policy: TierPolicy) -> dict[str, f.FeatureSpec]:
    """Declare all that a policy may read.

    These are the configuration's features, `FACTS`, and the third-party items of the policy.
    """
    items = dict.fromkeys((*config.third_party_items, *policy.facts.third_party_items))
    wider = config.model_copy(update={"third_party_items": tuple(items)})
    return {**f.declare_features(wider), **{spec.name: spec for spec in FACTS}}


def features_needed(
    policy: TierPolicy, declared: Mapping[str, f.FeatureSpec], *, unit: Unit
) -> tuple[f.FeatureSpec, ...]:
    """List the features a policy reads and, intermediate, those that they are made of.

    `declared`: mapping of name to FeatureSpec; as `declare_facts` returns it.
    Raises ConfigError if the policy reads a feature that is not declared, is of another kind or is
    not of this unit; all faults are listed.
    """
    subject = f"policy {policy.label!r}"
    if policy.expert is not None and policy.expert.card.unit != unit:
        raise ConfigError(
            f"{subject}: its card rates {policy.expert.card.unit} observations, not {unit}: name a "
            "card of this unit"
        )
    return _specs_read(_reads_of(policy), declared, unit=unit, subject=subject)


def policy_features(
    policy: TierPolicy, config: FeatureConfig, *, unit: Unit
) -> tuple[f.FeatureSpec, ...]:
    """List what a policy reads of a run's features, and of the facts for policies only.

    Raises ConfigError: see `features_needed`.
    """
    return features_needed(policy, declare_facts(config, policy), unit=unit)


def card_features(
    card: Scorecard, declared: Mapping[str, f.FeatureSpec]
) -> tuple[f.FeatureSpec, ...]:
    """List the features a card reads and, intermediate, those that they are made of.

    The list is enough to build a table for `rate`.

    `declared`: mapping of name to FeatureSpec; as `kyc_ml.features.declare_features` returns it.
    Features of country lists and of third-party items are declared only where the configuration
    names them.
    Raises ConfigError if the card reads a feature that is not declared, is of another kind or is
    not of the card's unit; all faults are listed.
    """
    return _specs_read(card.reads, declared, unit=card.unit, subject=f"rating card {card.name!r}")


def specs_of(
    names: Sequence[str], declared: Mapping[str, f.FeatureSpec]
) -> tuple[f.FeatureSpec, ...]:
    """List features by name, with the intermediate features they are made of."""
    needed = {name: replace(declared[name], intermediate=False) for name in dict.fromkeys(names)}
    # a copy: the dictionary grows in the loop
    for name in tuple(needed):
        for part in f.all_made_of(declared[name], declared):
            needed.setdefault(part, replace(declared[part], intermediate=True))
    return tuple(needed.values())


def merge_specs(
    own: Iterable[f.FeatureSpec], needed: Iterable[f.FeatureSpec]
) -> tuple[f.FeatureSpec, ...]:
    """Add what a policy or a card needs to a model's features.

    A model's own feature stays as the model knows it; it is only no longer intermediate where it
    is read. The model's columns are ``table.reorder`` of the names it had before.
    """
    both = {spec.name: spec for spec in own}
    for spec in needed:
        known = both.get(spec.name)
        if known is None:
            both[spec.name] = spec
        elif known.intermediate and not spec.intermediate:
            both[spec.name] = replace(known, intermediate=False)
    return tuple(both.values())


def _reads_of(policy: TierPolicy) -> dict[str, tuple[str, f.Kind]]:
    """List feature and kind by the place in the policy that reads it."""
    found: dict[str, tuple[str, f.Kind]] = {}
    if policy.segments is not None:
        found["segments"] = (policy.segments.feature, "category")
    for rule in policy.overrides:
        for number, condition in enumerate(rule.when, start=1):
            found[f"overrides.{rule.code}.when.{number}"] = (condition.feature, condition.kind)
    if policy.expert is not None:
        card = policy.expert.card.reads
        found |= {f"expert.card.{where}": read for where, read in card.items()}
    return found


def _specs_read(
    reads: Mapping[str, tuple[str, f.Kind]],
    declared: Mapping[str, f.FeatureSpec],
    *,
    unit: Unit,
    subject: str,
) -> tuple[f.FeatureSpec, ...]:
    """Compare what a file reads with what is declared; `subject` names the file."""
    faults = Faults(subject, ConfigError)
    for where, (name, kind) in reads.items():
        spec = declared.get(name)
        if spec is None:
            faults.add(
                f"{where}: {name!r} is not a declared feature{hint(name, declared)}; features of "
                "country_lists and third_party_items need the list or item in the configuration"
            )
            continue
        if spec.kind != kind:
            faults.add(f"{where}: {name!r} is a {spec.kind}, but is read as a {kind}")
        if unit not in spec.observation_units:
            faults.add(
                f"{where}: {name!r} is a feature of {' and '.join(spec.observation_units)} "
                f"observations, not of {unit}"
            )
    faults.raise_if_any()
    return specs_of([name for name, _ in reads.values()], declared)
