"""Explain with a bundle and tables in memory, as in a notebook: nothing is logged."""

from collections.abc import Mapping
from pathlib import Path

from kyc_ml.config import require_kind
from kyc_ml.contract import ContractedTables, require_contracted
from kyc_ml.decision import NO_OVERRIDES, Language, OverrideBook, TierHistory, save_sheet
from kyc_ml.display import ProgressReporter
from kyc_ml.registry import Bundle
from kyc_ml.scoring.case import make_case
from kyc_ml.scoring.counterfactual import find_counterfactual
from kyc_ml.scoring.explain_job import Explained
from kyc_ml.scoring.sheet_content import make_sheet


def explain_one(
    bundle: Bundle,
    source: ContractedTables,
    observation: str,
    *,
    reasons: int = 5,
    book: OverrideBook = NO_OVERRIDES,
    history: TierHistory | None = None,
) -> Explained:
    """Score one observation, list its reasons, and find what would lower its tier.

    Parameters
    ----------
    observation : str
        A transaction id; for a risk model a review id, or CUSTOMER@DATE.
    reasons : int
        Number of reasons to list, the strongest first.
    book, history : optional
        Overrides entered for single customers, and tiers of earlier reviews.

    Raises
    ------
    DatasetError
        If the source has no such observation.
    ConfigError
        If `observation` is not text, or an argument is of another kind.

    Examples
    --------
    ::

        case = kyc_ml.explain_one(bundle, tables, "T0001234")
        case.contributions
    """
    cure = "give .bundle of what kyc_ml.train returns, or read a folder with kyc_ml.load_bundle"
    require_kind(bundle, Bundle, name="bundle", cure=cure)
    require_contracted(source)
    require_kind(observation, str, name="observation", cure="ids are text, give str() of it")
    case = make_case(
        bundle,
        source,
        observation,
        reporter=ProgressReporter(),
        book=book,
        history=history,
        reasons=reasons,
    )
    return Explained.of(case, find_counterfactual(case))


def write_sheets(
    bundle: Bundle,
    source: ContractedTables,
    observation: str,
    *,
    label: str,
    sheets: Mapping[Language, Path],
) -> None:
    """Write the case sheet of one observation once for each language.

    `label` names the model, as in the registry. Raises as `explain_one`, and OutputError if the
    disk refuses.
    """
    case = make_case(
        bundle,
        source,
        observation,
        reporter=ProgressReporter(),
        book=NO_OVERRIDES,
        history=None,
        reasons=10,
    )
    lowering = find_counterfactual(case)
    for language, path in sheets.items():
        sheet = make_sheet(case, source, label=label, lowering=lowering, language=language)
        save_sheet(sheet, path)
