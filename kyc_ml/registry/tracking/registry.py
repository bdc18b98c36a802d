"""The registry of models: versions, their addresses and what is fetched from them."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mlflow

from kyc_ml.errors import BundleError, RegistryError, UnreachableError
from kyc_ml.registry.bundle import MANIFEST, FetchedBundle, digest_bundle
from kyc_ml.registry.tracking.server import connected
from kyc_ml.registry.tracking.store import is_here, path_of_files

RECORD: Final = "record"
DIGEST: Final = "kyc_ml.bundle_digest"
_OF_TRAINING: Final = "bundle_digest"
"""Tag that only runs have that made a bundle."""
TRAINED_BY: Final = "kyc_ml.trained_by"
"""Account of the operating system that registered a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A version in the registry."""

    name: str
    version: str
    run_id: str
    digest: str
    runs: str
    """How to compare its run with others: a page of MLflow, in words."""
    was_there: bool = False
    """True where the registry had it already."""
    is_challenger: bool = True
    """False where a newer version has that alias."""

    @property
    def uri(self) -> str:
        """Registry address of exactly this version."""
        return f"models:/{self.name}/{self.version}"


def fetch_bundle(uri: str, into: Path) -> FetchedBundle:
    """Bring a registered bundle to a local folder.

    `uri`: ``models:/name@alias`` or ``models:/name/version``.
    Raises RegistryError if the model, version or alias does not exist; UnreachableError if the
    server cannot be reached, or its files are missing: MLflow returns nothing for a folder that is
    not mounted, and gives no error.
    """
    with connected(uri=uri):
        name, number = resolve(uri)
        client = mlflow.MlflowClient()
        tags = client.get_model_version(name, number).tags
        _require_files(client.get_model_version_download_uri(name, number), subject=uri)
        fetched = mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{name}/{number}", dst_path=str(into)
        )
    manifests = sorted(Path(fetched).rglob(MANIFEST))
    if len(manifests) != 1:
        msg = f"{uri} holds {len(manifests)} kyc_ml bundles, must hold 1: was it logged by kyc_ml?"
        raise RegistryError(msg)
    if DIGEST not in tags:
        raise RegistryError(
            f"{uri} has no tag {DIGEST}: without the digest that was registered the bundle "
            "cannot be trusted; register it again with kyc-ml train"
        )
    return FetchedBundle(
        folder=manifests[0].parent,
        digest=tags[DIGEST],
        name=name,
        version=number,
        alias=uri.partition("@")[2],
    )


def digest_registered(name: str, version: str) -> str:
    """Return the digest of a version's bundle, computed from its files and not from the tag.

    Raises BundleError if the files differ from their manifest; RegistryError if there is no such
    version, or the server cannot be reached.
    """
    uri = f"models:/{name}/{version}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = fetch_bundle(uri, Path(scratch)).folder
        try:
            return digest_bundle(folder)
        except BundleError as error:
            # the temporary folder means nothing to a reader
            raise BundleError(str(error).replace(str(folder), f"of {uri}")) from None


def fetch_record(run: str, into: Path) -> tuple[str, Path]:
    """Bring what a training run recorded of itself to a local folder.

    `run`: id of the run, or ``models:/name@alias`` or ``models:/name/version`` for the run that
    made this version.
    Returns `run_id`.
    Returns `folder`.
    Raises RegistryError if there is no such run, or it has no record; UnreachableError if the
    server cannot be reached, or its files are missing.
    """
    with connected(uri=run):
        run_id = _run_of(run) if run.startswith("models:/") else run
        client = mlflow.MlflowClient()
        logged = client.get_run(run_id)
        made_a_bundle = run.startswith("models:/") or _OF_TRAINING in logged.data.tags
        if made_a_bundle:  # another run may have left no file, and so no folder
            _require_files(logged.info.artifact_uri, subject=f"run {run_id}")
        if not client.list_artifacts(run_id, RECORD):
            raise RegistryError(
                f"run {run_id} has no record to train again from: it is not a training run, or "
                "an older kyc-ml logged it; name another run, or train again"
            )
        return run_id, Path(client.download_artifacts(run_id, RECORD, str(into)))


def resolve(uri: str) -> tuple[str, str]:
    """Return name and version of a registry address, as the registry itself writes them.

    It may take another spelling (02 for version 2), which the audit log would not know.
    """
    rest = uri.removeprefix("models:/")
    client = mlflow.MlflowClient()
    if "@" in rest:
        name, alias = rest.split("@", 1)
        found = client.get_model_version_by_alias(name, alias)
        return str(found.name), str(found.version)
    name, slash, number = rest.partition("/")
    if not slash or not number.isdecimal():
        msg = f"{uri} is not a model address: write models:/NAME@ALIAS or models:/NAME/VERSION"
        raise RegistryError(msg)
    found = client.get_model_version(name, number)
    return str(found.name), str(found.version)


def _require_files(location: str, *, subject: str) -> None:
    """Refuse files of this machine that are not where MLflow's store says they are."""
    path = path_of_files(location)
    if is_here(location) and not path.exists():
        raise UnreachableError(
            f"MLflow knows {subject}, but its files are not at {path}: mount that disk, or "
            "restore them to this very path, which the store holds; try again then"
        )


def _run_of(uri: str) -> str:
    """Find the run that made a registered version."""
    name, number = resolve(uri)
    run_id = mlflow.MlflowClient().get_model_version(name, number).run_id
    if not run_id:
        msg = f"{uri} names no run that made it: name the id of a run of kyc-ml train"
        raise RegistryError(msg)
    return str(run_id)


def resolved(uri: str) -> tuple[str, str]:
    """Return name and version that a registry address means now.

    Raises RegistryError if there is no such model, or the server cannot be reached.
    """
    with connected(uri=uri):
        return resolve(uri)
