"""Propose cut-offs with intervals and evidence, and the policy that contains them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from kyc_ml.config import check_section, dump_section
from kyc_ml.decision.tiers.cut_offs import assign_tiers
from kyc_ml.decision.tiers.fit_evaluation import FitRows, compare_with_limits
from kyc_ml.decision.tiers.fit_sections import (
    BadRateFit,
    CapacityFit,
    CostFit,
    FitMethod,
    FitPolicy,
    FixedFit,
)
from kyc_ml.decision.tiers.fitting import Ladder, fit_bad_rates, fit_capacities, observed_periods
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import WHOLE
from kyc_ml.decision.wording import Pair, write_both, write_text
from kyc_ml.display import say_count
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.metrics import Floats, Ints, Mask, draw_customers, number_customers

_TAIL: Final = 0.025
_EXAMPLES: Final = 10
"""Customers named for each move, so that a committee can look at some."""
_COLUMNS: Final = (
    *("segment", "tier", "in_force", "proposed", "low", "high", "rows", "alerts"),
    *("expected_rate", "positives", "observed_rate", "upper_rate", "limit", "met"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOffProposal:
    """Cut-offs by a policy's `fit` section; the policy itself is not changed."""

    policy: TierPolicy
    """The policy with the proposed cut-offs, the next version, without author and approver."""
    table: pd.DataFrame
    """One row per fitted segment and tier: segment, tier, in_force, proposed, low, high, rows,
    alerts (per day or month, for a capacity), expected_rate, positives, observed_rate, upper_rate
    (one-sided), limit (of rate or alerts) and met. low, high: bootstrap over customers, 95 %, of
    the cut-off at which the target is met exactly; for a bad rate the proposed one lies near its
    low end, because the bound of the rate must meet the target."""
    remarks: tuple[Pair, ...]
    """Tuple of (English, Chinese); cut-offs that are kept, shrinkage of segments, and bootstrap
    samples that failed."""
    moves: pd.DataFrame
    """One row per pair of tiers, by the cut-offs in force and by the proposed ones, the highest
    first: before, after, rows, and customers, at most ten of those that move."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the remarks in English."""
        return tuple(english for english, _ in self.remarks)

    @property
    def missed(self) -> pd.DataFrame:
        """Lines of `table` whose targets the proposed cut-offs miss on the rows fitted on."""
        return self.table[self.table["met"].eq(False)]  # noqa: FBT003  a value, no flag

    @property
    def empty(self) -> pd.DataFrame:
        """Lines of `table` whose tiers would have none of the rows fitted on."""
        return self.table[self.table["rows"] == 0]

    @property
    def unmet(self) -> tuple[str, ...]:
        """List the targets of `missed`."""
        return tuple(f"{row.tier} of {row.segment}" for row in self.missed.itertuples())

    @property
    def targets(self) -> int:
        """Number of targets that were compared."""
        return int(self.table["met"].notna().sum())

    @property
    def unreached(self) -> tuple[str, ...]:
        """List the tiers of `empty`, with their cut-offs."""
        return tuple(
            f"{row.tier} of {row.segment} (from {row.proposed:.4g}, in force {row.in_force:.4g})"
            for row in self.empty.itertuples()
        )


def propose(rows: FitRows, policy: TierPolicy) -> CutOffProposal:
    """Fit cut-offs by the policy's `fit` section, for all rows and for each segment.

    A segment's cut-offs c are shrunk towards those of all rows, w, in log-odds ::

        logit(proposed) = Z logit(c) + (1 - Z) logit(w),   Z = P / (P + K),

    with P its positives and K the policy's `borrow_strength`: few positives give the overall
    estimate nearly all weight. Cut-offs from costs alone need no rows and are not shrunk.

    Raises ConfigError if the policy has no `fit` section, or the proposal breaks a rule of
    policies; DatasetError if there are no rows, or they cannot meet a target.
    """
    fit = require_fit(policy)
    if not rows.proba.size:
        msg = "there are no calibrated, mature rows to fit cut-offs on: widen the period"
        raise DatasetError(msg)
    parts = {
        name: _Part.of(rows, name, method)
        for name, method in {WHOLE: fit.whole, **fit.segments}.items()
    }
    cuts, notes = _fit_all(parts, policy, fit)
    kept = _keep_unreached(cuts, parts, policy)
    notes += [
        write_both(
            "proposal",
            "note_kept",
            tier=(repr(rule.name), rule.name_zh),
            segment=(name, write_text("proposal", "all", "zh") if name == WHOLE else name),
            cut=cuts[name][place],
        )
        for name, tiers in kept.items()
        for place, rule in enumerate(policy.tiers)
        if rule.name in tiers
    ]
    drawn, failed = _bootstrap(rows, parts, policy, fit)
    if failed:
        notes.append(write_both("proposal", "note_failed", failed=failed, samples=fit.samples))
    proposed = _with_cut_offs(policy, cuts, sources=_sources(parts, notes, rows))
    tables = []
    for name, part in parts.items():
        evidence = compare_with_limits(rows, name, part.method, policy, proposed)
        low, high = _percentiles(drawn[name], len(policy.tiers))
        as_it_was = [tier in kept[name] for tier in policy.tier_names]
        low, high = np.where(as_it_was, np.nan, low), np.where(as_it_was, np.nan, high)
        tables.append(evidence.assign(low=low, high=high)[[*_COLUMNS]])
    return CutOffProposal(
        policy=proposed,
        table=pd.concat(tables, ignore_index=True),
        remarks=tuple(notes),
        moves=_find_moves(rows, policy, proposed),
    )


def _keep_unreached(
    cuts: dict[str, tuple[float, ...]], parts: dict[str, _Part], policy: TierPolicy
) -> dict[str, list[str]]:
    """Keep the cut-off in force of a tier whose fitted one is above every row; name such tiers."""
    # the rows of the tier below may all be within its target: then nothing is known of the tier
    # above it, and a cut-off of 1 would abolish it
    kept: dict[str, list[str]] = {name: [] for name in parts}
    for name, part in parts.items():
        own, in_force = list(cuts[name]), policy.cut_offs(name)
        for place in range(1, len(own)):
            if part.ladder.top < own[place] > in_force[place] > own[place - 1]:
                own[place] = in_force[place]
                kept[name].append(policy.tier_names[place])
        cuts[name] = tuple(own)
    return kept


def _find_moves(rows: FitRows, before: TierPolicy, after: TierPolicy) -> pd.DataFrame:
    """Count the rows fitted on by tier in force and proposed tier; see `CutOffProposal.moves`."""
    names = before.tier_names
    places = [
        assign_tiers(rows.proba, policy=policy, segment=rows.segment) for policy in (before, after)
    ]
    lines = []
    for one in reversed(range(len(names))):
        for other in reversed(range(len(names))):
            here = (places[0] == one) & (places[1] == other)
            some = pd.unique(rows.customers[here])[:_EXAMPLES] if one != other else []
            lines.append(
                {
                    "before": names[one],
                    "after": names[other],
                    "rows": int(here.sum()),
                    "customers": tuple(map(str, some)),
                }
            )
    return pd.DataFrame(lines)


def say_cut(cut: float) -> str:
    """Write a cut-off in percent, with four significant digits.

    Examples
    --------
    >>> say_cut(0.4), say_cut(0.0247), say_cut(0.000123456)
    ('40%', '2.47%', '0.01235%')
    """
    return f"{100.0 * cut:.4g}%"


def require_fit(policy: TierPolicy) -> FitPolicy:
    """Return the section `fit` of a policy; ConfigError if the policy does not have it."""
    if policy.fit is None:
        raise ConfigError(
            f"policy {policy.label!r} has no section fit: add it to a copy of the policy and give "
            "that as --policy; configs/tiers/three_grades.yaml has an example"
        )
    return policy.fit


def diff_policies(before: TierPolicy, after: TierPolicy) -> str:
    """Return a unified diff of two policies as YAML; '' if they are equal."""
    lines = difflib.unified_diff(
        dump_section(before).splitlines(keepends=True),
        dump_section(after).splitlines(keepends=True),
        fromfile=f"{before.label} (in force)",
        tofile=f"{after.label} (proposed)",
    )
    return "".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """All rows, or those of one segment, prepared for repeated fits."""

    name: str
    method: FitMethod
    ladder: Ladder
    mask: Mask
    periods: float

    @classmethod
    def of(cls, rows: FitRows, name: str, method: FitMethod) -> _Part:
        mask = np.ones(rows.proba.size, np.bool_) if name == WHOLE else rows.segment == name
        days = rows.days[mask]
        per = method.per if isinstance(method, CapacityFit) else "day"
        return cls(
            name=name,
            method=method,
            ladder=Ladder.of(rows.proba[mask], rows.target[mask]),
            mask=mask,
            periods=observed_periods(days, per=per) if days.size else 0.0,
        )

    def sampled(self, times: Ints) -> _Part:
        return replace(self, ladder=self.ladder.sampled(times[self.mask]))

    def exact(self) -> _Part:
        """Return the part with targets that the rates themselves must meet, not their bounds."""
        if not isinstance(self.method, BadRateFit):
            return self
        # an upper bound that is as often above the rate as below it
        return replace(self, method=self.method.model_copy(update={"confidence": 0.5}))

    def fit(self, policy: TierPolicy) -> tuple[float, ...]:
        """Fit the cut-offs of all tiers by this part's method and rows."""
        tiers, in_force = policy.tier_names, policy.cut_offs(self.name)
        match self.method:
            case FixedFit():
                return in_force
            case CostFit() as method:
                return (0.0, *(float(f"{cut:.6g}") for cut in method.thresholds(tiers)))
            case BadRateFit() as method:
                steps = fit_bad_rates(self.ladder, tiers, method)
            case CapacityFit() as method:
                steps = fit_capacities(self.ladder, tiers, method, periods=self.periods)
        kept = in_force[: len(tiers) - len(steps)]
        cuts = tuple(self.ladder.cut(step) for step in steps)
        if cuts[0] <= kept[-1]:
            first, below = tiers[len(kept)], tiers[len(kept) - 1]
            raise DatasetError(
                f"tier {first!r} would begin at {cuts[0]:g} by its alerts, but tier {below!r}, "
                f"which has no alerts and keeps its cut-off, begins at {kept[-1]:g}: set alerts "
                f"for {below!r} too, or fewer for {first!r}"
            )
        return (*kept, *cuts)


def _fit_all(
    parts: dict[str, _Part], policy: TierPolicy, fit: FitPolicy
) -> tuple[dict[str, tuple[float, ...]], list[Pair]]:
    """Fit all rows, then each segment, shrunk towards them; note the weights."""
    notes: list[Pair] = []
    cuts = {WHOLE: parts[WHOLE].fit(policy)}
    for name, part in parts.items():
        if name != WHOLE:
            cuts[name], note = _fit_segment(part, whole=cuts[WHOLE], policy=policy, fit=fit)
            notes.append(note)
    return cuts, notes


def _fit_segment(
    part: _Part, *, whole: tuple[float, ...], policy: TierPolicy, fit: FitPolicy
) -> tuple[tuple[float, ...], Pair]:
    """Fit one segment and shrink it towards all rows; note the weight."""
    rows, positives = part.ladder.rows[-1], part.ladder.hits[-1]
    about: dict[str, Any] = {
        "segment": part.name,
        "counted": (
            f"{say_count(rows, 'row')}, {say_count(positives, 'positive')}",
            f"样本 {rows:,} 条，正样本 {positives:,} 个",
        ),
    }
    if isinstance(part.method, FixedFit | CostFit):
        return part.fit(policy), write_both(
            "proposal", "note_own", method=part.method.method, **about
        )
    if positives < fit.fewest_positives:
        return whole, write_both("proposal", "note_few", fewest=fit.fewest_positives, **about)
    try:
        cuts = part.fit(policy)
    except DatasetError as error:
        return whole, write_both("proposal", "note_unfitted", error=str(error), **about)
    credibility = positives / (positives + fit.borrow_strength)
    # without the lowest tier, which starts at 0: its log-odds are infinite
    drawn = credibility * logit(cuts[1:]) + (1.0 - credibility) * logit(whole[1:])
    shrunk = tuple(float(f"{cut:.4g}") for cut in expit(drawn))
    return (0.0, *shrunk), write_both("proposal", "note_shrunk", weight=1.0 - credibility, **about)


def _bootstrap(
    rows: FitRows, parts: dict[str, _Part], policy: TierPolicy, fit: FitPolicy
) -> tuple[dict[str, list[tuple[float, ...]]], int]:
    """Fit again on samples of customers; count the samples that cannot be fitted."""
    groups = number_customers(rows.customers)
    rng = np.random.default_rng(fit.seed)
    exact = {name: part.exact() for name, part in parts.items()}
    drawn: dict[str, list[tuple[float, ...]]] = {name: [] for name in parts}
    failed = 0
    for _ in range(fit.samples):
        times = draw_customers(groups, rng)
        sample = {name: part.sampled(times) for name, part in exact.items()}
        try:
            cuts, _ = _fit_all(sample, policy, fit)
        except DatasetError:
            failed += 1
            continue
        for name, found in cuts.items():
            drawn[name].append(found)
    return drawn, failed


def _percentiles(drawn: list[tuple[float, ...]], k: int) -> tuple[Floats, Floats]:
    """Return both ends of the 95 % interval of k cut-offs; NaN without samples."""
    if not drawn:
        return np.full(k, np.nan), np.full(k, np.nan)
    low, high = np.quantile(np.array(drawn), [_TAIL, 1.0 - _TAIL], axis=0)
    return low, high


def _sources(parts: dict[str, _Part], notes: list[Pair], rows: FitRows) -> dict[str, str]:
    """Write the source of each segment's cut-offs; fixed ones keep their source."""
    fitted = [name for name in parts if name != WHOLE]
    decided = f"decided {rows.days.min()} to {rows.days.max()}"
    return {
        name: f"kyc-ml tiers fit by {parts[name].method.method}, rows {decided}; {note[0]}"
        for name, note in zip(fitted, notes, strict=False)  # one a segment, then those of samples
        if not isinstance(parts[name].method, FixedFit)
    }


def _with_cut_offs(
    policy: TierPolicy, cuts: dict[str, tuple[float, ...]], *, sources: dict[str, str]
) -> TierPolicy:
    """Put cut-offs into the next version of a policy, which is not approved yet."""
    content = policy.model_dump(mode="json", by_alias=True)
    content |= {"version": policy.version + 1, "author": None, "approver": None}
    content["valid_from"] = None
    for rule, cut in zip(content["tiers"], cuts[WHOLE], strict=True):
        rule["from_probability"] = cut
    for own in [] if policy.segments is None else content["segments"]["own"]:
        if own["name"] in cuts:
            named = zip(policy.tier_names[1:], cuts[own["name"]][1:], strict=True)
            own["from_probability"] = dict(named)
            own["source"] = sources.get(own["name"], own["source"])
    return check_section(content, TierPolicy, subject=f"the proposal for policy {policy.label!r}")
