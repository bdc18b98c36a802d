"""run_validate: a model held against a validation policy, from its bundle and data alone."""

from __future__ import annotations

import itertools
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow.parquet as pq

from kyc_ml.config import SourceMapping, isoformat, section_digest
from kyc_ml.contract import ContractedTables, digest_together, known_until, read_tables
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, LeakageError
from kyc_ml.registry import (
    Bundle,
    Environment,
    current_account,
    is_among,
    reach_store,
    require_currency,
    trained_until,
)
from kyc_ml.storage import require_place, written_whole
from kyc_ml.validation.catalogue import CHECKS, choose_checks
from kyc_ml.validation.check import Check
from kyc_ml.validation.evidence import ChampionScores, Retrained, ReviewEvidence
from kyc_ml.validation.out_of_fold import caveat
from kyc_ml.validation.outcome import Procedure
from kyc_ml.validation.policy import ValidationPolicy, load_policy
from kyc_ml.validation.result import CheckResult, DataIdentity, Finding, Report, conclude
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.running import run_checks
from kyc_ml.validation.storage import REPORT
from kyc_ml.validation.text import Language
from kyc_ml.validation.validation_keeping import (
    ValidationResult,
    keep_times,
    keep_validation,
    read_kept,
    require_same_request,
)
from kyc_ml.validation.validation_model import ReviewedModel, load_reviewed, load_rival, train_again
from kyc_ml.validation.validation_parts import ChosenPart, choose_rows
from kyc_ml.validation.validation_rows import ValidationRows, collect_rows

_STAGES: Final = ("features", "retraining", "checking")


def run_validate(
    *,
    model: str,
    source: Path,
    data: Path,
    policy: Path,
    out: Path,
    rows: ChosenPart | None,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp | None,
    only: Sequence[str],
    champion: str | None,
    retrain: bool,
    validator: str | None,
    language: Language,
    log: Path,
    quarantine: Path | None,
    reporter: ProgressReporter,
    force: bool = False,
    judged_rows: Path | None = None,
) -> ValidationResult:
    """Validate a model and write the report, its tables and the verdict's entry in the log.

    Parameters
    ----------
    model : str
        Registry address or a bundle's folder.
    policy : Path
        Validation policy (YAML).
    rows : 'later', 'test', 'out_of_fold' or None
        Judge by rows after the training date, by the training run's own test part, or by the
        out-of-fold rows of a model cross-validated by customer; None is later ones, and of
        such a model its out-of-fold rows until later ones of both classes are mature.
    since : Timestamp or None
        First decision to judge by; None is the training date.
    only : sequence of str
        Checks or families to run; empty runs all.
    champion : str or None
        Model to hold it against; None is the registry's champion, if it is another version.
    retrain : bool
        Train again from the run's own record, which takes as long as training did.
    validator : str or None
        Who validates; None is the account of the operating system.
    language : 'en' or 'zh'
        Of the page; the JSON has both.
    log : Path
        Audit log; only a validation of all checks is entered.
    force : bool
        Replace another report that `out` holds.
    judged_rows : Path or None
        Parquet file for the rows that are judged, one by one; they go nowhere else.

    Raises
    ------
    ConfigError
        If the policy breaks its rules, or the source is of another kind.
    LeakageError
        If `since` is before the training date.
    DatasetError
        If no row has a mature outcome, or a feature cannot be computed.
    OutputError
        If `out` holds another report, which would be lost.
    """
    require_place(out / REPORT)
    if judged_rows is not None:
        require_place(judged_rows)
    rules = load_policy(policy, checks=CHECKS)
    procedures = choose_checks(tuple(only))
    reach_store(model, champion or "")
    start_reading, began = time.perf_counter(), time.time()
    reviewed = load_reviewed(model, reporter)
    reach_store(model, champion or "", writes_to=reviewed.bundle.config.name)
    _require_another(validator, reviewed, reporter)
    if since is not None:
        require_later(since, reviewed.bundle)
    tables, mapping = read_tables(source, data, quarantine=quarantine, reporter=reporter)
    moment = known_until(tables, as_of)
    rows = choose_rows(reviewed.bundle, tables, rows, since=since, as_of=moment)
    reading = time.perf_counter() - start_reading
    options: dict[str, object] = {
        "--source": source,
        "--data": data,
        "--policy": policy,
        "--rows": rows,
    }
    options |= {
        "--as-of": moment.isoformat(),
        "--since": None if since is None else isoformat(since),
        "--champion": champion,
    }
    command = _command(model, options, retrain=retrain)
    identity = _data_identity(tables, mapping)
    kept = None if force else read_kept(out)
    if kept is not None:
        require_same_request(
            kept,
            out=out,
            command=_with_out(command, out),
            complete=not only,
            digests=(reviewed.bundle.digest, identity.digest, rules.identity().digest),
        )
    report = review_model(
        reviewed,
        tables,
        data=identity,
        policy=rules,
        procedures=procedures,
        complete=not only,
        rows=rows,
        since=since,
        as_of=moment,
        rival=lambda found: load_rival(reviewed, champion, tables, found, reporter),
        retrain=lambda: train_again(model, data, quarantine, reporter) if retrain else None,
        validator=validator,
        command=_with_out(command, out),
        rerun=lambda check: f"{_with_out(command, out / 'again' / check.id)} --only {check.id}",
        reporter=reporter,
        hand_out=lambda rows: _write_rows(rows, reviewed.bundle, judged_rows),
    )
    report = replace(report, seconds={"reading": reading, **report.seconds})
    if kept is not None:
        report = keep_times(kept, report, out=out)
    return keep_validation(
        report,
        out,
        candidate=reviewed.candidate,
        language=language,
        log=log,
        reporter=reporter,
        part=rows,
        began=began,
    )


def review_model(
    reviewed: ReviewedModel,
    tables: ContractedTables,
    *,
    data: DataIdentity,
    policy: ValidationPolicy,
    procedures: tuple[Procedure, ...],
    complete: bool,
    rows: ChosenPart,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    rival: Callable[[ValidationRows], ChampionScores | None],
    retrain: Callable[[], Retrained | None],
    validator: str | None,
    command: str,
    rerun: Callable[[Check], str],
    reporter: ProgressReporter,
    hand_out: Callable[[ScoredRows], None] = lambda _: None,
) -> Report:
    """Hold a model against a validation policy; nothing is written.

    Parameters
    ----------
    procedures : tuple of Procedure
        The checks to carry out; `complete` says whether they are all there are.
    rival : callable
        Gives the champion, scored on the rows judged.
    retrain : callable
        Gives what training again gave.
    command, rerun
        How the report is made again, and one of its checks alone.
    hand_out : callable
        Is given the rows that are judged, before they are.

    Raises
    ------
    ConfigError, DatasetError
        As `run_validate` does.
    """
    require_currency(reviewed.bundle, tables)
    if rows == "out_of_fold":  # what was known at the training is not unknown later
        as_of = max(as_of, trained_until(reviewed.bundle))
    clock = [time.perf_counter()]
    found = collect_rows(
        reviewed.bundle,
        tables,
        chosen=rows,
        since=since,
        as_of=as_of,
        settings=policy.settings,
        card=reviewed.card,
        reporter=reporter,
    )
    hand_out(found.current)
    other = rival(found)
    clock.append(time.perf_counter())
    again = retrain()
    clock.append(time.perf_counter())
    evidence = _evidence(
        reviewed, found, tables, as_of, other, retrained=again, chosen=rows, reporter=reporter
    )
    results, findings = run_checks(procedures, evidence, policy=policy, command=rerun)
    clock.append(time.perf_counter())
    spent = [end - begin for begin, end in itertools.pairwise(clock)]
    findings = (*findings, *_caveats(reviewed.bundle, rows))
    before = () if found.reference is found.current else (found.reference,)
    used = (found.current, *before, found.train)
    return Report(
        model=reviewed.identity(),
        validator=validator or current_account(),
        as_of=as_of.isoformat(),
        data=data,
        policy=policy.identity(),
        rows=tuple(each.used() for each in used),
        verdict=conclude(results, findings),
        complete=complete,
        findings=findings,
        results=results,
        headline=tuple(pair for pair in policy.headline if _has(results, pair)),
        command=command,
        environment=Environment.current().to_dict(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=dict(zip(_STAGES, spent, strict=True)),
    )


def _caveats(bundle: Bundle, rows: ChosenPart) -> tuple[Finding, ...]:
    """Say what rows that are not later than the training leave open."""
    if rows != "out_of_fold":
        return ()
    return (caveat(trained_until(bundle), bundle.config.dataset.label_delay),)


def _write_rows(rows: ScoredRows, bundle: Bundle, path: Path | None) -> None:
    if path is None:
        return
    with written_whole(path) as handle:
        pq.write_table(rows.to_table(bundle.policy.tier_names), handle)


def _require_another(
    validator: str | None, reviewed: ReviewedModel, reporter: ProgressReporter
) -> None:
    """Refuse a validator who trained the model; say so where nobody was named."""
    trainers = () if reviewed.candidate is None else reviewed.candidate.trainers
    who = validator or current_account()
    if not is_among(who, trainers):
        return
    if validator is not None:
        msg = f"--validator {who} trained the model: somebody else must validate it"
        raise ConfigError(msg)
    reporter.warning(
        f"{who}, whose account this is, trained the model: the report will promote nothing; name "
        "who validates with --validator"
    )


def require_later(since: pd.Timestamp, bundle: Bundle) -> None:
    """Refuse to judge a model by rows that it may have learnt from.

    Raises
    ------
    LeakageError
        If `since` is before the training date.
    """
    known = trained_until(bundle)
    if since < known:
        msg = (
            f"--since is {since:%Y-%m-%d}, but the model was trained with what was known on "
            f"{known:%Y-%m-%d}: it may have learnt from the rows between; name that date or a "
            "later one, or leave it out"
        )
        raise LeakageError(msg)


def _evidence(
    reviewed: ReviewedModel,
    rows: ValidationRows,
    tables: ContractedTables,
    as_of: pd.Timestamp,
    rival: ChampionScores | None,
    *,
    retrained: Retrained | None,
    chosen: ChosenPart,
    reporter: ProgressReporter,
) -> ReviewEvidence:
    return ReviewEvidence(
        bundle=reviewed.bundle,
        as_of=as_of,
        current=rows.current,
        reference=rows.reference,
        train=rows.train,
        recorded=rows.recorded,
        recorded_part=rows.recorded_part,
        current_is_recorded=chosen != "later",
        fitted=rows.fitted,
        baseline=rows.baseline,
        tables=tables,
        observations=rows.observations,
        card=reviewed.card,
        rival=rival,
        retrained=retrained,
        left_out=rows.left_out,
        reporter=reporter,
    )


def _data_identity(tables: ContractedTables, mapping: SourceMapping) -> DataIdentity:
    return DataIdentity(
        source=mapping.name,
        mapping_digest=section_digest(mapping),
        files=dict(tables.digests),
        digest=digest_together(tables.digests),
    )


def _command(model: str, options: Mapping[str, object], *, retrain: bool) -> str:
    """Write the command that makes this report again, but for where it is written to."""
    words = ["kyc-ml", "validate", model]
    for name, value in options.items():
        words += [] if value is None else [name, str(value)]
    return shlex.join([*words, *(["--retrain"] if retrain else [])])


def _with_out(command: str, out: Path) -> str:
    return f"{command} --out {shlex.quote(str(out))}"


def _has(results: tuple[CheckResult, ...], pair: tuple[str, str]) -> bool:
    """Tell whether a headline figure was computed."""
    check, figure = pair
    return any(
        result.check.id == check and figure in {each.name for each in result.figures}
        for result in results
    )
