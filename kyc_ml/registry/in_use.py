"""Load the model of a job that decides: what was promoted is what scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from kyc_ml.display import ProgressReporter
from kyc_ml.errors import AuditError, BundleError, KycMlError, RegistryError, UnreachableError
from kyc_ml.registry.bundle import REGISTERED, Bundle, FetchedBundle
from kyc_ml.registry.governance.chain import Entry
from kyc_ml.registry.governance.log import AuditLog, current_account
from kyc_ml.registry.governance.names import is_among
from kyc_ml.registry.governance.standing import CHAMPION, Standing, find_standing, promotion_of
from kyc_ml.registry.governance.words import say_other_bundle
from kyc_ml.registry.loading import load_model, load_registered

_MOVED_WITHIN: Final = timedelta(minutes=1)
"""From the entry of a decision to the move of its alias (convention; usually under a second)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInUse:
    """A model, its name for the score table, and what the audit log says of it."""

    bundle: Bundle
    label: str
    standing: Standing


def load_in_use(
    model: str, *, log: Path, allow_unpromoted: bool, job: str, reporter: ProgressReporter
) -> ModelInUse:
    """Load a model and compare its bundle, byte for byte, with the one that was promoted.

    ``@champion`` must be the champion of a sound audit log. Other addresses, for rehearsals, are
    compared with the log if there is one.

    `log`: the audit log of the registry.
    `allow_unpromoted`: use a champion that the log does not confirm. The log, where it can be
    written, and the result record this. A bundle that differs from what was promoted is still
    refused.
    `job`: command that uses the model, for the log.
    Raises BundleError if the bundle is not the one that was promoted, or was changed; RegistryError
    if there is no such model, or the alias is at a version that was not promoted; UnreachableError
    if a decision of the last minute may still be moving the alias: try again; AuditError if the log
    is not intact or, for the champion, absent.
    """
    if not model.startswith(REGISTERED):
        bundle, label = load_model(model)
        return ModelInUse(bundle=bundle, label=label, standing=Standing(status="not_promoted"))
    bundle, registered = load_registered(model)
    try:
        standing = _confirm(registered, digest=bundle.digest, log=AuditLog(log))
    except UnreachableError:
        raise
    except (AuditError, RegistryError) as error:
        if not allow_unpromoted:
            raise
        standing = _allowed(registered, bundle, log=log, job=job, why=error, reporter=reporter)
    return ModelInUse(bundle=bundle, label=registered.label, standing=standing)


def _confirm(registered: FetchedBundle, *, digest: str, log: AuditLog) -> Standing:
    from kyc_ml.registry.tracking.promoting import fetch_anchors

    # as a person reads the alias: MLflow takes letters of any script, and some stores any case
    as_champion = is_among(registered.alias, [CHAMPION])
    if as_champion:
        log.require_kept()
    elif not log.path.exists():
        return Standing(status="not_compared")
    entries = log.require_sound()
    promotion = promotion_of(entries, model=registered.name, version=registered.version)
    if promotion is not None and (fault := say_other_bundle(promotion, found=digest)):
        raise BundleError(fault)
    # the anchors are fetched first: an entry that is added meanwhile is not a fault
    entries = log.require_sound(fetch_anchors())
    standing = find_standing(entries, model=registered.name, version=registered.version)
    if as_champion and standing.status != "champion":
        raise (UnreachableError if _is_moving(entries, registered) else RegistryError)(
            f"{registered.label} is under the alias {registered.alias}, but by the audit log "
            f"{log.path} it is not champion ({standing.status}): the alias was set without "
            "kyc-ml, or a promotion was interrupted; run kyc-ml promote or rollback, which set "
            f"it, or for a rehearsal name the version, {REGISTERED}{registered.name}/"
            f"{registered.version}; --allow-unpromoted uses it and is recorded"
        )
    return standing


def _is_moving(entries: Sequence[Entry], registered: FetchedBundle) -> bool:
    """Return whether the alias may be moved in a moment: the log comes first."""
    moves = [
        each for each in entries
        if each.model == registered.name and each.kind in ("promotion", "rollback", "withdrawal")
    ]  # fmt: skip
    if not moves:
        return False
    last = moves[-1]
    before = last.facts.get("previous_champion") or last.facts.get("from") or last.version
    age = datetime.now(UTC) - datetime.fromisoformat(last.time)
    return bool(before == registered.version) and age < _MOVED_WITHIN


def _allowed(
    registered: FetchedBundle,
    bundle: Bundle,
    *,
    log: Path,
    job: str,
    why: KycMlError,
    reporter: ProgressReporter,
) -> Standing:
    """Record that a model is used although the log does not confirm it."""
    from kyc_ml.registry.audit_trail import record_entry

    reason = str(why).splitlines()[0]
    reporter.warning(f"--allow-unpromoted: {registered.label} is used although {why}")
    try:
        record_entry(
            "unpromoted_use",
            actor=current_account(),
            model=registered.name,
            version=registered.version,
            facts={"command": job, "reason": reason, "bundle_digest": bundle.digest},
            log=log,
        )
        entries = AuditLog(log).require_sound()
    except KycMlError as error:  # the job was allowed; that the log cannot say so is said here
        reporter.warning(f"the audit log does not record this use: {error}")
        return Standing(status="not_compared", allowed=reason)
    standing = find_standing(entries, model=registered.name, version=registered.version)
    return replace(standing, allowed=reason)
