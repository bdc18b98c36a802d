"""run_validate: validate a model against a policy, from its bundle and the data alone."""

import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from kyc_ml.config import section_digest
from kyc_ml.contract import digest_together, known_until
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError
from kyc_ml.history import read_tables
from kyc_ml.registry import current_account, is_among, reach_store
from kyc_ml.storage import require_place, written_whole
from kyc_ml.validation.catalogue import CHECKS, choose_checks
from kyc_ml.validation.policy import load_policy
from kyc_ml.validation.report.storage import REPORT
from kyc_ml.validation.result import DataIdentity, Report
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.run import keeping
from kyc_ml.validation.run.models import ReviewedModel, load_champion, load_reviewed, train_again
from kyc_ml.validation.run.review import Review, require_later, review_model
from kyc_ml.validation.run.row_choice import ChosenPart, choose_rows
from kyc_ml.validation.text import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRequest:
    """What a validation is asked to do."""

    model: str
    """Registry address or a bundle's folder."""
    source: Path
    data: Path
    """`source` and `data`: source mapping, and the folder of the files that it names."""
    policy: Path
    """Validation policy (YAML)."""
    out: Path
    """Folder for the report, its page and its tables."""
    rows: ChosenPart | None = None
    """'later', 'test', 'out_of_fold' or None; evaluate on rows after the training date, on the
    training run's own test part, or on the out-of-fold rows of a model cross-validated by customer;
    None is the rule of `choose_rows`."""
    since: pd.Timestamp | None = None
    """First decision to evaluate; None is the training date."""
    as_of: pd.Timestamp | None = None
    """What was known then is used; None is the end of the data: see `end_of_data`."""
    only: tuple[str, ...] = ()
    """Checks or families to run; empty runs all."""
    champion: str | None = None
    """Model to compare with; None is the registry's champion, if it is another version."""
    retrain: bool = False
    """Train again from the run's own record, which takes as long as training did."""
    validator: str | None = None
    """Name of the validator; None is the account of the operating system."""
    language: Language = "en"
    """'en' or 'zh'; language of the page; the JSON has both."""
    log: Path = Path("audit.jsonl")
    """Audit log; only a validation of all checks is entered."""
    quarantine: Path | None = None
    """Parquet file for rows that break the contract."""
    force: bool = False
    """Replace another report in `out`."""
    judged_rows: Path | None = None
    """Parquet file for the evaluated rows one by one; they are written nowhere else."""


def run_validate(asked: ValidationRequest, *, reporter: ProgressReporter) -> Report:
    """Validate a model; write the report and its tables, and enter the verdict into the log.

    Raises ConfigError if the policy breaks its rules, or the source is of another kind;
    LeakageError if `since` is before the training date; DatasetError if no row has a mature
    outcome, or a feature cannot be computed; OutputError if `out` has another report, which would
    be lost.
    """
    require_place(asked.out / REPORT)
    if asked.judged_rows is not None:
        require_place(asked.judged_rows)
    policy = load_policy(asked.policy, checks=CHECKS)
    choose_checks(asked.only)  # an unknown check is refused before any data is read
    reach_store(asked.model, asked.champion or "")
    start, began = time.perf_counter(), time.time()
    model = load_reviewed(asked.model, reporter)
    reach_store(asked.model, asked.champion or "", writes_to=model.bundle.config.name)
    _require_another(asked.validator, model, reporter)
    require_later(asked.since, model.bundle)
    tables, mapping = read_tables(
        asked.source, asked.data, quarantine=asked.quarantine, reporter=reporter
    )
    as_of = known_until(tables, asked.as_of)
    rows = choose_rows(model.bundle, tables, asked.rows, since=asked.since, as_of=as_of)
    reading = time.perf_counter() - start
    review = Review(
        model=model,
        tables=tables,
        data=DataIdentity(
            source=mapping.name,
            mapping_digest=section_digest(mapping),
            files=dict(tables.digests),
            digest=digest_together(tables.digests),
            timezone=tables.timezone,
        ),
        policy=policy,
        as_of=as_of,
        rows=rows,
        since=asked.since,
        only=asked.only,
        champion=load_champion(model, asked.champion, reporter),
        validator=asked.validator,
        command=lambda check: _command(asked, rows, as_of, check),
    )
    kept = None if asked.force else keeping.read_kept(asked.out)
    if kept is not None:
        keeping.require_same_request(kept, review, out=asked.out)

    def hand_out(found: ScoredRows) -> None:
        if asked.judged_rows is not None:
            with written_whole(asked.judged_rows) as handle:
                pq.write_table(found.to_table(model.bundle.policy.tier_names), handle)

    report = review_model(
        review,
        reporter=reporter,
        retrain=lambda: (
            train_again(asked.model, asked.data, asked.quarantine, reporter)
            if asked.retrain
            else None
        ),
        hand_out=hand_out,
    )
    report = replace(report, seconds={"reading": reading, **report.seconds})
    if kept is not None:
        report = keeping.keep_times(kept, report, out=asked.out)
    return keeping.keep_validation(
        report,
        asked.out,
        candidate=model.candidate,
        language=asked.language,
        log=asked.log,
        reporter=reporter,
        part=rows,
        began=began,
    )


def _require_another(
    validator: str | None, model: ReviewedModel, reporter: ProgressReporter
) -> None:
    """Refuse a named validator who trained the model; warn where no name was given."""
    trainers = () if model.candidate is None else model.candidate.trainers
    who = validator or current_account()
    if not is_among(who, trainers):
        return
    if validator is not None:
        raise ConfigError(f"--validator {who} trained the model: another person must validate it")
    reporter.warning(
        f"you are logged in as {who}, who trained the model: this report cannot promote it; name "
        "another person with --validator"
    )


def _command(asked: ValidationRequest, rows: ChosenPart, as_of: pd.Timestamp, check: str) -> str:
    """Return the command that makes the report, or one check, again; dates are written out."""
    options = {
        "--source": asked.source,
        "--data": asked.data,
        "--policy": asked.policy,
        "--rows": rows,
        "--as-of": as_of.isoformat(),
        "--since": None if asked.since is None else asked.since.isoformat(),
        "--champion": asked.champion,
    }
    words = ["kyc-ml", "validate", asked.model]
    for name, value in options.items():
        words += [] if value is None else [name, str(value)]
    words += ["--retrain"] if asked.retrain else []
    words += ["--out", str(asked.out / "again" / check if check else asked.out)]
    return shlex.join([*words, *(["--only", check] if check else [])])
