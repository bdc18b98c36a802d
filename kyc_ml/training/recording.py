"""The names that MLflow shows of a training run; see `kyc_ml.registry.tracking`."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from kyc_ml.config import TRAIN, section_digest
from kyc_ml.contract import ContractedTables, digest_together
from kyc_ml.features import definitions_digest
from kyc_ml.registry import Bundle, LoggedPart, RunRecord
from kyc_ml.training.evidence import BASELINE, MODEL, RATING, Trained

_OWNER: Final = {MODEL: "", BASELINE: "baseline/", RATING: "rating/"}
_CONTEXT: Final = {TRAIN: "training"}
"""The context that MLflow's users expect, where the name of the part differs."""
_DECISIVE: Final = ("average_precision", "auc", "observed_over_expected", "log_loss", "brier")
"""Figures logged first, and the only ones of baselines and of other parts than the evaluated one.
Table ``quality`` has all: a page of a hundred metrics hides those that decide."""


def make_run_record(
    trained: Trained,
    bundle: Bundle,
    tables: ContractedTables,
    *,
    tiers: pd.DataFrame,
    figures: Mapping[str, Figure],
    seconds: Mapping[str, float],
    note: str,
    began: float,
) -> RunRecord:
    """Collect what a training run leaves in MLflow besides bundle, card and own record."""
    return RunRecord(
        parameters=_parameters(trained),
        metrics=_metrics(trained, seconds),
        tags={
            "job": "train",
            "unit": bundle.config.unit,
            "as_of": str(bundle.data["as_of"]),
            "source": str(bundle.data["source"]),
            "policy": f"{bundle.policy.name} v{bundle.policy.version}",
            "code_version": version("kyc-ml"),
            "bundle_digest": bundle.digest,
            "config_digest": section_digest(bundle.config),
            "data_digest": digest_together(tables.digests),
        },
        tables={
            "quality": pd.DataFrame(
                [
                    {"who": who, "part": part, **quality.as_dict()}
                    for who, parts in trained.quality.items()
                    for part, quality in parts.items()
                ]
            ),
            "parts": trained.parts,
            "tiers": tiers,
            "importance": trained.importance,
            "added_value": trained.added_value.table,
            "calibration_candidates": trained.calibration.candidates,
            "data_quality": tables.quality.to_frame(),
            "reliability_of_calibration_rows": trained.calibration.reliability,
            **{f"stability_{found.kind}": found.runs for found in trained.stability},
            **({} if trained.folds is None else {"folds": trained.folds}),
            **({} if trained.selection is None else {"selection": trained.selection.table}),
        },
        figures=figures,
        note=note,
        parts=_parts(trained, bundle),
        began=began,
    )


def _parameters(trained: Trained) -> dict[str, object]:
    """Choose the settings to compare runs by; record/run.yaml has all of them."""
    run = trained.bundle.config
    sections = {"model": run.model, "splits": run.splits, "dataset": run.dataset}
    own = {
        f"{section}.{name}": value
        for section, settings in sections.items()
        for name, value in settings.model_dump().items()
    }
    return {
        **own,
        "features.name": run.features.name,
        "features.families": ",".join(run.features.families),
        "features.count": len(trained.bundle.inputs),
        "selection.method": run.selection.method,
        "calibration.segment": run.calibration.segment,
        "calibration.chosen": trained.bundle.calibrator.method,
    }


def _metrics(trained: Trained, seconds: Mapping[str, float]) -> dict[str, float]:
    """Name every figure, the decisive ones first: MLflow shows them in this order."""
    evaluated = trained.evidence.part
    named = {
        (who, part, name): value
        for who, parts in trained.quality.items()
        for part, quality in parts.items()
        for name, value in quality.as_dict().items()
        if (who, part) == (MODEL, evaluated) or name in _DECISIVE
    }

    def place(key: tuple[str, str, str]) -> tuple[bool, bool, int]:
        _, part, name = key
        rank = _DECISIVE.index(name) if name in _DECISIVE else len(_DECISIVE)
        return part != evaluated, name not in _DECISIVE, rank

    return {
        **{f"{_OWNER[key[0]]}{key[1]}/{key[2]}": named[key] for key in sorted(named, key=place)},
        "train/trees": trained.best_round,
        **{f"seconds/{stage}": spent for stage, spent in seconds.items()},
    }


def _parts(trained: Trained, bundle: Bundle) -> tuple[LoggedPart, ...]:
    """Describe the rows of each part by everything that determines them."""
    data = bundle.data
    common = {
        "source": str(data["source"]),
        "source_digest": str(data["source_digest"]),
        "data_digest": digest_together(data["files"]),
        "files": str(len(data["files"])),
        "as_of": str(data["as_of"]),
        "features": definitions_digest(bundle.specs),
        "labels": section_digest(bundle.config.dataset),
    }
    found = []
    for row in trained.parts.to_dict("records"):
        part = str(row["part"])
        if part not in trained.quality[MODEL]:  # rows between the parts
            continue
        period = {
            name: "" if pd.isna(row[name]) else row[name].isoformat() for name in ("start", "end")
        }
        facts = {**common, "part": part, **period}
        found.append(
            LoggedPart(
                name=f"{data['source']} {part}",
                context=_CONTEXT.get(part, part),
                digest=hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
                facts=facts,
                rows=int(row["used"]),
                positives=int(row["positives"]),
            )
        )
    return tuple(found)
