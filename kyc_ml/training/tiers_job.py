"""run_tiers_fit: read a model and its data, propose the cut-offs of its tier policy, write them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from kyc_ml.config import dump_section, load_section
from kyc_ml.contract import known_until
from kyc_ml.decision import Language, TierPolicy, render_proposal, require_fit
from kyc_ml.display import ProgressReporter, say_count, say_moment
from kyc_ml.history import read_tables
from kyc_ml.registry import load_model, require_currency
from kyc_ml.storage import require_place, write_whole
from kyc_ml.training.tier_fitting import FitResult, fit_policy, require_unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class TiersFitRequest:
    """What to propose cut-offs for, and from which rows."""

    model: str
    """Registry address or a bundle's folder."""
    source: Path
    data: Path
    """`source` and `data`: source mapping, and the folder of the files it names."""
    since: pd.Timestamp | None = None
    """First decision to fit on; None is the first of the test part of the training, whose rows the
    model has not seen, or all out-of-fold rows of a cross-validated model."""
    as_of: pd.Timestamp | None = None
    """Outcomes known then are used; None is the end of the data."""
    learned_rows: bool = False
    """Use rows that the model learned from too; the proposal then says so."""
    policy: Path | None = None
    """The policy in force; None is the bundle's own."""
    out: Path | None = None
    """YAML file to write the proposed policy to; a page for those who decide is beside it, in
    English and Chinese (`pages_of`)."""
    quarantine: Path | None = None


def run_tiers_fit(request: TiersFitRequest, *, reporter: ProgressReporter) -> FitResult:
    """Propose cut-offs by the `fit` section of a policy; nothing is changed.

    Raises ConfigError, DatasetError or LeakageError as `fit_policy` does.
    """
    if request.out is not None:
        require_place(request.out)
    bundle, label = load_model(request.model)
    policy = request.policy
    in_force = bundle.policy if policy is None else load_section(policy, TierPolicy)
    # both are refused here, before any data is read, and again in `fit_policy`
    require_fit(in_force)
    require_unseen(bundle, request.since, learned_rows=request.learned_rows)
    tables, _ = read_tables(
        request.source, request.data, quarantine=request.quarantine, reporter=reporter
    )
    require_currency(bundle, tables)
    found = fit_policy(
        bundle,
        tables,
        in_force,
        since=request.since,
        as_of=known_until(tables, request.as_of),
        reporter=reporter,
        learned_rows=request.learned_rows,
    )
    found = replace(found, model=label, path=request.out)
    if request.out is not None:
        write_whole(request.out, write_proposal(found).encode())
        facts = {
            "model": found.model,
            "rows": f"{found.rows:,} ({found.positives:,} +)",
            "decided": f"{found.since:%Y-%m-%d} – {found.until:%Y-%m-%d}",
            "basis": found.basis,
        }
        for path, language in pages_of(request.out).items():
            page = render_proposal(
                found.proposal,
                in_force=in_force,
                evaluated=found.judged,
                facts=facts,
                language=language,
            )
            write_whole(path, page.encode())
    return found


def pages_of(out: Path) -> dict[Path, Language]:
    """Name the pages beside a proposed policy, by language: NAME.html and NAME.zh-CN.html."""
    return {out.with_suffix(".html"): "en", out.with_suffix(".zh-CN.html"): "zh"}


def write_proposal(found: FitResult) -> str:
    """Write the proposed policy as YAML, headed by what it was fitted on, as comments."""
    facts = {
        "proposed by": f"kyc-ml tiers fit; not approved; still in force: {found.in_force.label}",
        "model": f"{found.model}, SHA-256 {found.model_digest}",
        "data": f"SHA-256 {found.data_digest}, known on {say_moment(found.as_of)}",
        "rows": f"{found.rows:,}, {say_count(found.positives, 'positive')}, "
        f"{found.left_out:,} left out",
        "decided": f"{found.since:%Y-%m-%d} to before {found.until:%Y-%m-%d}",
        **found.findings(),
    }
    head = "".join(f"# {name}: {fact}\n" for name, fact in facts.items())
    return head + dump_section(found.proposal.policy)
