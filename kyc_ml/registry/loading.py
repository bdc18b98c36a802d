"""A model from a folder or the registry, and the features it needs."""

import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa

from kyc_ml.contract import ContractedTables
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import BundleError, ConfigError, DatasetError, RegistryError
from kyc_ml.features import FeatureSpec, FeatureTable, build_features
from kyc_ml.history import History
from kyc_ml.registry.bundle import Bundle, FetchedBundle, digest_bundle, load_bundle
from kyc_ml.registry.score import graded_specs

_RESTORE: Final = (
    "what the registry stores is damaged: restore its artifacts (mlruns/) from the backup; "
    "without one, train again"
)
_ADDRESS_WITHOUT_SCHEME: Final = re.compile(r"[^/@\s]+(/\d+|@[^/@\s]+)")


def load_model(model: str) -> tuple[Bundle, str]:
    """Load a bundle from a folder or from the registry, with a name for the score table.

    Raises
    ------
    BundleError, RegistryError
        If it does not exist or was changed.
    """
    if not model.startswith("models:/"):
        if re.match(r"(models?|runs):", model):
            raise RegistryError(
                f"{model} is not a model address: write models:/NAME@ALIAS or "
                "models:/NAME/VERSION, or name a bundle's folder"
            )
        if _ADDRESS_WITHOUT_SCHEME.fullmatch(model) and not Path(model).exists():
            msg = f"{model} is not a bundle: no such folder (did you mean models:/{model}?)"
            raise BundleError(msg)
        bundle = load_bundle(Path(model))
        return bundle, f"{bundle.config.name} {bundle.digest[:12]}"
    bundle, registered = load_registered(model)
    return bundle, registered.label


def load_registered(model: str) -> tuple[Bundle, FetchedBundle]:
    """Load a bundle from the registry, with the version that its address means now.

    Raises BundleError or RegistryError if it does not exist or was changed.
    """
    from kyc_ml.registry.tracking.registry import fetch_bundle

    with tempfile.TemporaryDirectory() as scratch:
        fetched = fetch_bundle(model, Path(scratch))
        folder = fetched.folder
        try:
            return load_bundle(folder, digest=fetched.digest, cure=_RESTORE), fetched
        except BundleError as error:
            # the temporary folder means nothing to a reader
            raise BundleError(str(error).replace(str(folder), f"of {model}")) from None


def features_of_bundle(
    bundle: Bundle,
    tables: ContractedTables,
    observations: pa.Table,
    reporter: ProgressReporter,
    history: History | None = None,
) -> FeatureTable:
    """Compute the bundle's own features; see `columns_of_bundle` and `features_and_facts`."""
    return columns_of_bundle(bundle, _build(bundle.specs, tables, observations, reporter, history))


def features_and_facts(
    bundle: Bundle,
    tables: ContractedTables,
    observations: pa.Table,
    reporter: ProgressReporter,
    history: History | None = None,
) -> tuple[FeatureTable, FeatureTable]:
    """Compute the features of the bundle, and the facts that its policy reads.

    `history`: where rows are found by key, instead of in the tables.

    Returns `features`: the model's columns, in its order; one that the source lacks is an error
    here.
    Returns `facts`: all that was computed, for `kyc_ml.decision.grade`; a fact that the source
    lacks is left out of it, and the policy says what that means.
    Raises ConfigError if the policy reads something that is not a feature of this unit;
    DatasetError if a feature the model was trained on cannot be computed; see `columns_of_bundle`.
    """
    facts = _build(graded_specs(bundle), tables, observations, reporter, history)
    return columns_of_bundle(bundle, facts), facts


def _build(
    specs: tuple[FeatureSpec, ...],
    tables: ContractedTables,
    observations: pa.Table,
    reporter: ProgressReporter,
    history: History | None,
) -> FeatureTable:
    if history is not None:
        return history.features(observations, specs)
    return build_features(
        tables,
        observations,
        specs=specs,
        progress=lambda done, total: reporter.progress("building features", done, total),
    )


def columns_of_bundle(bundle: Bundle, built: FeatureTable) -> FeatureTable:
    """Select the columns of a model, in its order, from a table that may hold more.

    Raises DatasetError if a feature the model was trained on was left out: scoring it as missing
    would change the model silently.
    """
    if built.unavailable:
        own = {spec.name for spec in bundle.specs}
        require_own(own, built.unavailable, model=f"model {bundle.config.name!r}")
    return built.reorder(bundle.model.feature_names)


def require_own(own: Collection[str], unavailable: Mapping[str, str], *, model: str) -> None:
    """Refuse to score without a feature that the model was trained on.

    Raises DatasetError naming each, and why it was left out.
    """
    lines = [f"  - {name}: {why}" for name, why in unavailable.items() if name in own]
    if lines:
        head = (
            f"{model} needs {len(lines)} feature(s) that this source cannot give: map the "
            "missing tables and columns, or train a model without them"
        )
        raise DatasetError("\n".join([head, *lines]))


def require_currency(bundle: Bundle, tables: ContractedTables) -> None:
    """Refuse a source of another base currency than the models'.

    Raises ConfigError naming both, or that the bundle, of an older kyc_ml.train, names none.
    """
    stated = bundle.data.get("base_currency")
    if stated is None:
        raise ConfigError(
            f"bundle {bundle.config.name!r} does not say in what base_currency it was trained: "
            "train it again"
        )
    if tables.base_currency != stated:
        raise ConfigError(
            f"the source's base_currency is {tables.base_currency}, but the models were trained "
            f"on {stated}: map the amounts to that currency"
        )


def version_of(model: str) -> str:
    """Return what a model's address means now: name and version, or the digest of a folder.

    Raises RegistryError or BundleError if there is no such model.
    """
    if not model.startswith("models:/"):
        return digest_bundle(Path(model))
    from kyc_ml.registry.tracking.registry import resolved

    return "/".join(resolved(model))
