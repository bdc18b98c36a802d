"""Compare and validate bundles in memory: for a notebook.

The rules are those of the command line, but nothing is read from a path, written, registered or
logged. Times are timestamps with a zone, or ISO text, which is UTC unless it says otherwise.
"""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from kyc_ml.config import TimeLike, parse_time, require_kind
from kyc_ml.contract import ContractedTables, digest_together, known_until, require_contracted
from kyc_ml.decision import Scorecard
from kyc_ml.display import ProgressReporter
from kyc_ml.registry import Bundle, require_bundle
from kyc_ml.validation.catalogue import CHECKS
from kyc_ml.validation.compare_job import compare_bundles, tuned_settings
from kyc_ml.validation.comparison.comparing import Comparison
from kyc_ml.validation.comparison.settings import ComparisonSettings
from kyc_ml.validation.policy import ValidationPolicy, load_policy
from kyc_ml.validation.report.arranging import panels
from kyc_ml.validation.report.drawing import draw
from kyc_ml.validation.report.naming import Naming
from kyc_ml.validation.result import CheckResult, DataIdentity, Report
from kyc_ml.validation.run.models import Champion, ReviewedModel, card_of_policy
from kyc_ml.validation.run.review import Review, review_model
from kyc_ml.validation.run.row_choice import ChosenPart
from kyc_ml.validation.text import Language


def compare(
    challenger: Bundle,
    champion: Bundle,
    source: ContractedTables,
    *,
    since: TimeLike | None = None,
    as_of: TimeLike | None = None,
    settings: ComparisonSettings | None = None,
) -> Comparison:
    """Compare a challenger with a champion on rows from which neither has learned.

    Parameters
    ----------
    since : Timestamp with a zone, ISO text or None
        First decision; None is the later of both training dates. Two models cross-validated
        by customer are then compared out of fold while no later rows are mature.
    as_of : Timestamp with a zone, ISO text or None
        What was known then is used; None is the end of the data.
    settings : ComparisonSettings, optional
        Figure that decides, and costs; default: what the champion was tuned for.

    Raises
    ------
    ConfigError
        If the models are the same, saved or not, they or the source are not of the same kind,
        or a time has no zone.
    LeakageError
        If a model may have learned from rows after `since`.
    DatasetError
        If no row is old enough, all are of one class, or a feature cannot be computed.

    Examples
    --------
    ::

        compared = kyc_ml.compare(trained.bundle, kyc_ml.load_bundle(folder), tables)
        compared.metrics
    """
    require_bundle(challenger, name="challenger")
    require_bundle(champion, name="champion")
    require_contracted(source)
    return compare_bundles(
        challenger,
        champion,
        source,
        since=parse_time(since, name="since", zone=source.timezone),
        as_of=known_until(source, parse_time(as_of, name="as_of", zone=source.timezone)),
        settings=settings or tuned_settings(champion),
        reporter=ProgressReporter(),
    )


def validate(
    bundle: Bundle,
    source: ContractedTables,
    *,
    policy: ValidationPolicy | Path,
    rows: ChosenPart | None = None,
    since: TimeLike | None = None,
    as_of: TimeLike | None = None,
    only: Sequence[str] = (),
    champion: Bundle | None = None,
    card: Scorecard | None = None,
    validator: str | None = None,
) -> Report:
    """Validate a bundle against a policy; every figure is computed from the tables.

    This report cannot promote a version: promotion needs a report of ``kyc-ml validate``, which
    names the registered version and is in the audit log.

    Parameters
    ----------
    policy : ValidationPolicy, or Path of its YAML
    rows : 'later', 'test', 'out_of_fold' or None
        Evaluate on rows after the training date, on the training run's own test part, or on the
        out-of-fold rows of a model cross-validated by customer. None is later rows, or
        out-of-fold rows where the mature later rows do not have both classes.
    since : Timestamp with a zone, ISO text or None
        First decision to evaluate; None is the training date.
    as_of : Timestamp with a zone, ISO text or None
        What was known then is used; None is the end of the data.
    only : sequence of str
        Checks or families to run; default: all.
    champion : Bundle, optional
        Model to compare with.
    card : Scorecard, optional
        Scorecard to compare with; default: that of the tier policy, if it has one.
    validator : str or None
        Name of the validator; None is the account of the operating system.

    Raises
    ------
    ConfigError
        If the policy breaks its rules, a check is unknown, the source is of another kind, or a
        time has no zone.
    LeakageError
        If `since` is before the training date.
    DatasetError
        If no row has a mature outcome, or a feature cannot be computed.

    Examples
    --------
    ::

        report = kyc_ml.validate(bundle, tables, policy=Path("configs/validation.yaml"))
        report.to_frame()
        report.result("calibration.jeffreys").table("tiers")
    """
    require_bundle(bundle, name="bundle")
    require_contracted(source)
    gates = load_policy(policy, checks=CHECKS) if isinstance(policy, Path) else policy
    require_kind(gates, ValidationPolicy, name="policy", cure="or give the Path of its YAML")
    call = "kyc_ml.validate(bundle, source, policy=policy{})"
    asked = Review(
        model=ReviewedModel(
            address="a bundle in memory",
            bundle=bundle,
            candidate=None,
            card=card or card_of_policy(bundle),
        ),
        tables=source,
        data=DataIdentity(
            source="tables in memory",
            mapping_digest="",
            files=dict(source.digests),
            digest=digest_together(source.digests),
            timezone=source.timezone,
        ),
        policy=gates,
        since=parse_time(since, name="since", zone=source.timezone),
        as_of=known_until(source, parse_time(as_of, name="as_of", zone=source.timezone)),
        rows=rows,
        only=tuple(only),
        champion=None if champion is None else Champion(champion, champion.config.name),
        validator=validator,
        command=lambda check: call.format(f", only=[{check!r}]" if check else ""),
    )
    return review_model(asked, reporter=ProgressReporter())


def plot_check(result: CheckResult, *, language: Language = "en") -> tuple[Figure, ...]:
    """Draw the plots of a check, as they are on the page of the report.

    Returns
    -------
    tuple of Figure
        One for each plot of the check, or for each attribute where a plot compares the groups of
        several; plots without a row to draw are left out.

    Examples
    --------
    ::

        report = kyc_ml.validate(bundle, tables, policy=policy, only=["calibration"])
        kyc_ml.plot_check(report.result("calibration.reliability"))[0]
    """
    naming = Naming(language=language)
    drawn = (
        draw(panel, rows, naming=naming)
        for plot in result.plots
        for _, panel, rows in panels(plot, result.table(plot.table), naming=naming)
    )
    return tuple(figure for figure in drawn if figure is not None)
