"""The register of findings: status, owners, due dates and conditions of use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from kyc_ml.registry.governance.chain import Entry
from kyc_ml.registry.governance.promotion import champions
from kyc_ml.registry.governance.sign_off import OwnedFinding, SignOff

_Signed = tuple[Entry, OwnedFinding]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredFinding:
    """A finding and its current status."""

    model: str
    version: str
    """`model` and `version`: the version it was last signed off for."""
    is_champion: bool
    """True if the version is champion now, by the log."""
    finding: OwnedFinding
    status: str
    """'open'; 'overdue' from the day after it was due; or 'closed' where a later complete
    validation no longer has it: for the champion one of the same version, for others one of any
    version of the model."""
    since: str
    """When the model's finding of this ID was first signed off, ISO."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionsOfUse:
    """A condition of use of a version, and whether the version is champion now, by the log."""

    model: str
    version: str
    is_champion: bool
    texts: tuple[str, ...]


def findings_register(entries: Sequence[Entry], *, today: date) -> tuple[RegisteredFinding, ...]:
    """List the findings that were signed off, open ones first, then by due date.

    Of each ID of a model the last sign-off counts. The champion's sign-off counts in addition to
    that of another version: what is found of a later model cures nothing in the one in use, which
    may be an earlier one after a rollback.
    """
    in_use = _versions_in_use(entries)
    since: dict[tuple[str, str], str] = {}
    for entry, each in _signed(entries):
        since.setdefault((entry.model, each.id), entry.time)
    found = [
        RegisteredFinding(
            model=entry.model,
            version=entry.version,
            is_champion=in_use.get(entry.model) == entry.version,
            finding=each,
            status=_status(each, _later_verdicts(entry, entries, in_use), today=today),
            since=since[entry.model, each.id],
        )
        for entry, each in _last_signed(entries, in_use)
    ]
    return tuple(sorted(found, key=lambda one: (one.status == "closed", one.finding.due)))


def conditions_in_force(entries: Sequence[Entry]) -> tuple[ConditionsOfUse, ...]:
    """List what use of each version is subject to; versions without conditions are left out.

    Its last sign-off counts, with what was added when it was promoted after that.
    """
    in_use = _versions_in_use(entries)
    texts: dict[tuple[str, str], dict[str, None]] = {}
    for entry in entries:
        place = entry.model, entry.version
        if entry.kind == "sign_off":
            texts[place] = dict.fromkeys(SignOff.from_facts(entry.facts).conditions)
        elif entry.kind == "promotion":
            texts.setdefault(place, {}).update(dict.fromkeys(entry.facts.get("conditions", ())))
    return tuple(
        ConditionsOfUse(
            model=model,
            version=version,
            is_champion=in_use.get(model) == version,
            texts=tuple(named),
        )
        for (model, version), named in texts.items()
        if named
    )


def _versions_in_use(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the champion of each model that has one."""
    stacks = {name: champions(entries, model=name) for name in {each.model for each in entries}}
    return {name: stack[-1] for name, stack in stacks.items() if stack}


def _signed(entries: Sequence[Entry]) -> list[_Signed]:
    return [
        (entry, each) for entry in entries
        if entry.kind == "sign_off" for each in SignOff.from_facts(entry.facts).findings
    ]  # fmt: skip


def _last_signed(entries: Sequence[Entry], in_use: Mapping[str, str]) -> list[_Signed]:
    """Return the last sign-off of each ID of a model, and the last one for its champion."""
    signed = _signed(entries)
    last = {(entry.model, each.id): (entry, each) for entry, each in signed}
    own = {
        (entry.model, each.id): (entry, each)
        for entry, each in signed
        if in_use.get(entry.model) == entry.version
    }
    both = [*last.values(), *own.values()]
    return list({(entry.sequence, each.id): (entry, each) for entry, each in both}.values())


def _later_verdicts(
    signed: Entry, entries: Sequence[Entry], in_use: Mapping[str, str]
) -> list[Entry]:
    """List the complete validations since a sign-off that may close its findings."""
    any_version = in_use.get(signed.model) != signed.version
    return [
        each for each in entries[signed.sequence :]
        if each.kind == "verdict" and each.model == signed.model and each.facts["complete"]
        and (any_version or each.version == signed.version)
    ]  # fmt: skip


def _status(finding: OwnedFinding, later: Sequence[Entry], *, today: date) -> str:
    if later and finding.id not in later[-1].facts["findings"]:
        return "closed"
    return "overdue" if finding.due < today.isoformat() else "open"
