"""The case of the demo: launderers that the bank planted, and what the model made of one."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.config import read_packaged
from kyc_ml.contract import CASES, CUSTOMER_ID, KNOWN_AT, OUTCOME, TYPOLOGY, ContractedTables
from kyc_ml.decision import Language, name_grade
from kyc_ml.display import CaseStory, Said, format_rate
from kyc_ml.features import OBSERVATION_ID
from kyc_ml.registry import load_model
from kyc_ml.scoring import read_scores, write_sheets

_WORDS: Final[dict[str, Any]] = read_packaged(Path(__file__).with_name("demo_case.yaml"))
_NETWORKS: Final = ("fan_in", "fan_out", "cycle", "scatter_gather")
_SHEETS: Final = ("case.html", "case.zh.html")


def find_case(model: str, tables: ContractedTables, *, out: Path) -> CaseStory | None:
    """Choose a planted launderer in a network who is not yet reported, and write the case sheets.

    Of those the one with the highest probability; the sentence with the counts says how many of
    all planted the model has among as many customers of its highest probabilities. None where
    no launderer of the last 90 days is unreported, as may be in a small bank.

    `model`: address of the risk model whose scores are in ``scores_risk`` of `out`.
    """
    bundle, label = load_model(model)
    scores = read_scores(out / "scores_risk")
    key = pd.read_parquet(out / "bank" / "answer_key" / "customers.parquet")
    scores = scores.merge(key, on=CUSTOMER_ID, suffixes=("", "_planted"))
    scores = scores.sort_values(["margin", CUSTOMER_ID], ascending=[False, True], ignore_index=True)
    cases = tables[CASES].select([CUSTOMER_ID, OUTCOME, KNOWN_AT]).to_pandas()
    known = set(cases.loc[cases[OUTCOME] == "str_filed", CUSTOMER_ID])
    # laundering of the last days of the scores: what no report has come of yet
    recent = scores["end"] > scores["end"].max() - pd.Timedelta(days=90)
    hidden = scores["true_launderer"] & recent & ~scores[CUSTOMER_ID].isin(known)
    if not hidden.any():
        return None
    best = hidden.to_numpy(dtype=np.int64) * (
        1 + 2 * scores["pattern_code"].notna() + scores[TYPOLOGY].isin(_NETWORKS)
    )
    place = int(np.argmax(best))
    case = scores.iloc[place]
    sheets: dict[Language, Path] = {"en": out / _SHEETS[0], "zh": out / _SHEETS[1]}
    write_sheets(bundle, tables, str(case[OBSERVATION_ID]), label=label, sheets=sheets)
    found = int(hidden[: int(hidden.sum())].sum())
    return CaseStory(
        facts=_say(case, place + 1, len(scores), found, int(hidden.sum())), sheets=_SHEETS
    )


def _say(case: pd.Series, place: int, rows: int, found: int, hidden: int) -> tuple[Said, ...]:
    """Return what was planted, what the model and the tier say of it, and the pattern."""
    texts = []
    for language, suffix in (("en", ""), ("zh", "_zh")):
        tier = case["tier_zh"] if suffix else name_grade(str(case["tier"]))
        values = {
            "customer": case[CUSTOMER_ID],
            "typology": _WORDS["typologies"][case[TYPOLOGY]][language],
            "start": f"{case['start']:%Y-%m-%d}",
            "end": f"{case['end']:%Y-%m-%d}",
            "probability": format_rate(case["probability"]),
            "place": f"{place:,}",
            "rows": f"{rows:,}",
            "tier": tier,
            "set_by": case[f"tier_set_by_text{suffix}"],
            "found": f"{found:,}",
            "hidden": f"{hidden:,}",
        }
        pattern = case[f"pattern_text{suffix}"]
        said = [_WORDS["facts"][name][language].format(**values) for name in _WORDS["facts"]]
        texts.append([*said, *([] if pd.isna(pattern) else [pattern])])
    return tuple(zip(*texts, strict=True))
