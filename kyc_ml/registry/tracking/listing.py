"""List the models of the registry and their versions, and suggest a similar address."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import mlflow
from mlflow.entities.model_registry import ModelVersion, RegisteredModel

from kyc_ml.errors import hint

_LISTED: Final = 10
"""Models, or newest versions, that a message lists; convention."""


def list_models(client: mlflow.MlflowClient) -> Iterator[RegisteredModel]:
    """Return every registered model."""
    return _every(client.search_registered_models)


def list_versions(client: mlflow.MlflowClient, name: str) -> Iterator[ModelVersion]:
    """Return every version of a registered model."""
    quoted = name.replace("'", "''")
    return _every(partial(client.search_model_versions, f"name = '{quoted}'"))


def _every(search: Callable[..., Any]) -> Iterator[Any]:
    """Yield all that a search finds; MLflow answers page by page."""
    token = None
    while True:
        page = search(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def say_near(uri: str) -> str:
    """Describe what the registry has instead of an address: a model, or versions and aliases.

    `uri`: ``models:/NAME``, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
    """
    client = mlflow.MlflowClient()
    name, _, alias = uri.removeprefix("models:/").partition("@")
    name = name.partition("/")[0]
    models = {model.name: model for model in list_models(client)}
    if name not in models:
        near = hint(name, models)
        return near or (f"; registered are {_some(sorted(models))}" if models else "")
    numbers = sorted(int(each.version) for each in list_versions(client, name))
    if not numbers:
        return f"; {name} has no version"
    aliases = sorted(models[name].aliases)
    known = f" and aliases {_some(aliases)}" if aliases else " and no alias"
    return f"{hint(alias, aliases)}; {name} has versions {_some(numbers)}{known}"


def _some(names: list[str] | list[int]) -> str:
    """Join the last of them; versions are in order of age."""
    shown = ", ".join(map(str, names[-_LISTED:]))
    return shown if len(names) <= _LISTED else f"…, {shown}"
