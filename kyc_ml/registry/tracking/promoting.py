"""Champions in the registry, and the anchors of the audit log that are kept there."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.utils.mlflow_tags import MLFLOW_USER

from kyc_ml.errors import RegistryError
from kyc_ml.registry.governance.chain import LogAnchor
from kyc_ml.registry.governance.evidence import Candidate
from kyc_ml.registry.governance.standing import CHAMPION
from kyc_ml.registry.tracking.listing import list_models, list_versions
from kyc_ml.registry.tracking.registry import DIGEST, TRAINED_BY, resolve
from kyc_ml.registry.tracking.server import connected

PREVIOUS_CHAMPION: Final = "previous_champion"
_ANCHOR: Final = "kyc_ml.audit_anchor"


def fetch_candidate(uri: str) -> Candidate:
    """Describe a registered version: its bundle, who trained it, and who is champion.

    `uri`: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
    Raises RegistryError if there is no such version, it has no digest, or the server cannot be
    reached.
    """
    with connected(uri=uri):
        client = mlflow.MlflowClient()
        name, number = resolve(uri)
        found = client.get_model_version(name, number)
        if DIGEST not in found.tags:
            raise RegistryError(f"{uri} has no tag {DIGEST}: it was not registered by kyc-ml train")
        return Candidate(
            name=name,
            version=number,
            digest=found.tags[DIGEST],
            trainers=tuple(dict.fromkeys(_trainers(client, found))),
            champion=_under(client, name, CHAMPION),
            previous=_under(client, name, PREVIOUS_CHAMPION),
            trained_at=_started(client, found),
        )


def fetch_champion(name: str) -> Candidate | None:
    """Describe the champion of a registered model; None where it has none.

    Raises RegistryError if there is no such model, or the server cannot be reached.
    """
    with connected(uri=f"models:/{name}"):
        number = _under(mlflow.MlflowClient(), name, CHAMPION)
    return fetch_candidate(f"models:/{name}/{number}") if number else None


def fetch_champions() -> dict[str, str]:
    """Return the champion of each registered model that has one of kyc_ml's making."""
    with connected():
        client = mlflow.MlflowClient()
        found = {each.name: _under(client, each.name, CHAMPION) for each in list_models(client)}
        return {
            name: number
            for name, number in found.items()
            if number and DIGEST in client.get_model_version(name, number).tags
        }


def set_champion(name: str, version: str, *, previous: str) -> None:
    """Point `champion` at a version and `previous_champion` at another, or at none.

    Raises RegistryError if the server cannot be reached or refuses.
    """
    with connected(uri=f"models:/{name}/{version}"):
        client = mlflow.MlflowClient()
        # `champion` is moved last: an interruption leaves the old one in place
        if previous:
            client.set_registered_model_alias(name, PREVIOUS_CHAMPION, previous)
        elif _under(client, name, PREVIOUS_CHAMPION):
            client.delete_registered_model_alias(name, PREVIOUS_CHAMPION)
        client.set_registered_model_alias(name, CHAMPION, version)


def withdraw_champion(name: str) -> None:
    """Remove the aliases `champion` and `previous_champion`.

    Raises RegistryError if the server cannot be reached or refuses.
    """
    with connected(uri=f"models:/{name}"):
        client = mlflow.MlflowClient()
        for alias in (CHAMPION, PREVIOUS_CHAMPION):
            if _under(client, name, alias):
                client.delete_registered_model_alias(name, alias)


def keep_anchor(anchor: LogAnchor, *, name: str, version: str) -> None:
    """Keep the head of the audit log in the tags of a registered model and its version.

    An anchor with more entries is kept: two writers may come here in any order.

    `version`: '' for none.
    """
    with connected(uri=f"models:/{name}"):
        client = mlflow.MlflowClient()
        kept = LogAnchor.parse(client.get_registered_model(name).tags.get(_ANCHOR, ""))
        # an anchor never moves back: later entries could then be cut off unnoticed
        if kept is None or kept.count < anchor.count:
            client.set_registered_model_tag(name, _ANCHOR, str(anchor))
        if version:
            client.set_model_version_tag(name, version, _ANCHOR, str(anchor))


def fetch_anchors() -> list[tuple[str, LogAnchor]]:
    """List the anchors in the registry, each with where it is kept.

    Raises RegistryError if one is not an anchor, or the server cannot be reached.
    """
    with connected():
        client = mlflow.MlflowClient()
        return [
            (f"MLflow's tag {_ANCHOR} of {place}", _read(tags[_ANCHOR], place=place))
            for place, tags in _tagged(client)
            if _ANCHOR in tags
        ]


def _read(text: str, *, place: str) -> LogAnchor:
    anchor = LogAnchor.parse(text)
    if anchor is None:
        raise RegistryError(
            f"MLflow's tag {_ANCHOR} of {place} is not COUNT:HASH: it was changed; restore it "
            "from a receipt that kyc-ml printed"
        )
    return anchor


def _tagged(client: mlflow.MlflowClient) -> Iterator[tuple[str, dict[str, str]]]:
    for model in list_models(client):
        yield model.name, model.tags
        for version in list_versions(client, model.name):
            yield f"{model.name} v{version.version}", version.tags


def _trainers(client: mlflow.MlflowClient, version: ModelVersion) -> Iterator[str]:
    """Return the account that registered a version, and the user that its run recorded."""
    # MLflow takes its user from the environment, which the person who trains can set; the account
    # is the operating system's. Whoever may write to the registry can change both later
    if version.tags.get(TRAINED_BY):
        yield str(version.tags[TRAINED_BY])
    if version.run_id:
        user = client.get_run(version.run_id).data.tags.get(MLFLOW_USER)
        if user:
            yield str(user)


def _started(client: mlflow.MlflowClient, version: ModelVersion) -> str:
    """Return the start of the run that trained a version, ISO in UTC; '' without a run."""
    if not version.run_id:
        return ""
    moment = client.get_run(version.run_id).info.start_time
    return datetime.fromtimestamp(moment // 1000, UTC).isoformat()


def _under(client: mlflow.MlflowClient, name: str, alias: str) -> str:
    """Return the version under an alias; '' where nothing is."""
    return str(client.get_registered_model(name).aliases.get(alias, ""))
