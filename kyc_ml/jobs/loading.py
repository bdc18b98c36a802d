"""A model from a folder or the registry, and the features it needs."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pyarrow as pa

from kyc_ml.bundle import Bundle, load_bundle
from kyc_ml.contract.source import ContractedTables
from kyc_ml.errors import BundleError, DatasetError, RegistryError
from kyc_ml.features.build import build_features
from kyc_ml.features.table import FeatureTable
from kyc_ml.jobs.watch import Watch
from kyc_ml.tracking import fetch_bundle


def load_model(model: str) -> tuple[Bundle, str]:
    """Load a bundle from a folder or from the registry, with a name for the score table.

    Raises
    ------
    BundleError, RegistryError
        If it does not exist or was changed.
    """
    if not model.startswith("models:/"):
        if re.match(r"(models?|runs):", model):
            msg = (
                f"{model} is no model address: write models:/NAME@ALIAS or "
                "models:/NAME/VERSION, or name a bundle's folder"
            )
            raise RegistryError(msg)
        bundle = load_bundle(Path(model))
        return bundle, f"{bundle.config.name} {bundle.digest[:12]}"
    with tempfile.TemporaryDirectory() as scratch:
        folder, digest, label = fetch_bundle(model, Path(scratch))
        try:
            return load_bundle(folder, digest=digest), label
        except BundleError as error:
            msg = str(error).replace(str(folder), f"of {model}")
            msg += "; what the registry stores is damaged: name another version, or train again"
            raise BundleError(msg) from None


def features_of(
    bundle: Bundle, tables: ContractedTables, observations: pa.Table, watch: Watch
) -> FeatureTable:
    """Compute the bundle's own features; one that the source lacks is an error here.

    Raises
    ------
    DatasetError
        If a feature the model was trained on cannot be computed: scoring it as missing
        would change the model silently.
    """
    features = build_features(
        tables,
        observations,
        specs=bundle.specs,
        progress=lambda done, total: watch.step("building features", done, total),
    )
    if features.left_out:
        lines = [f"  - {name}: {reason}" for name, reason in features.left_out.items()]
        head = (
            f"model {bundle.config.name!r} needs {len(lines)} feature(s) that this source "
            "cannot give: map the missing tables and columns, or train a model without them"
        )
        raise DatasetError("\n".join([head, *lines]))
    return features.reorder(bundle.model.feature_names)
