"""Turn a refusal of MLflow or its database into one error with the cause and the cure."""

import errno
import re
from typing import Final

import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from kyc_ml.errors import RegistryError, UnreachableError
from kyc_ml.registry.bundle import REGISTERED
from kyc_ml.registry.governance.log import current_account
from kyc_ml.registry.tracking.listing import say_near
from kyc_ml.registry.tracking.store import address

_NOT_NOW: Final = frozenset(
    {"DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "TEMPORARILY_UNAVAILABLE"}
)
"""Codes by which MLflow asks to try again later."""
_NOT_THERE: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""Codes by which MLflow says that an address names nothing; the second one of an alias."""

_NO_ANSWER: Final = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.RetryError,
)

_CLOSED: Final = (
    "does not exist",
    "authentication failed",
    "no pg_hba.conf entry",
    "Access denied",
    "Unknown database",
)
"""How a database reports that its address names nothing, or that it refuses this user, for good."""
_FULL: Final = ("database or disk is full", "No space left on device")
_UNWRITABLE: Final = ("readonly database", "unable to open database file", "Permission denied")


def without_password(text: str) -> str:
    """Return a text with the password of each address masked."""
    return re.sub(r"(://[^/\s:@]*:)[^/\s]*@", r"\1***@", text)


def explained(error: Exception, *, uri: str) -> RegistryError:
    """Make one message of what MLflow or its database says.

    `uri`: the model or run that was asked for; empty where it was the store alone.
    """
    kind = "model" if uri.startswith(REGISTERED) else "run"
    subject = f"{kind} {uri}" if uri else "MLflow"
    reason = _reason(error)
    said = f"{subject} at {without_password(address())}: {reason}"
    if _is_away(error):
        msg = f"{said}; no answer, or too busy: try again later, or check MLFLOW_TRACKING_URI"
        return UnreachableError(msg)
    if any(full in reason for full in _FULL) or getattr(error, "errno", None) == errno.ENOSPC:
        return RegistryError(f"{said}; free space there, or name another MLFLOW_TRACKING_URI")
    if any(words in reason for words in _UNWRITABLE) or isinstance(error, OSError):
        cure = "give this user the right to read and write it, or name another"
        return RegistryError(f"{said}, for {current_account()}; {cure} MLFLOW_TRACKING_URI")
    if uri and isinstance(error, MlflowException) and error.error_code in _NOT_THERE:
        cure = "check the name (kyc-ml train registers one), the alias, and MLFLOW_TRACKING_URI"
        return RegistryError(f"{said}{_near(uri)}; {cure}")
    return RegistryError(f"{said}; ask who keeps this store, or check MLFLOW_TRACKING_URI")


def _reason(error: Exception) -> str:
    """Return what was said, without SQL, its values or a password."""
    said = str(error).partition("[SQL:")[0].partition("(Background on this error")[0]
    return without_password(" ".join(said.split())).rstrip(".")


def _near(uri: str) -> str:
    """Describe what the registry has instead of an address that does not exist."""
    if not uri.startswith(REGISTERED):
        return ""
    try:
        return say_near(uri)
    except (MlflowException, SQLAlchemyError, OSError):  # the first error is the one to report
        return ""


def _is_away(error: BaseException) -> bool:
    """Return whether the store may serve later what it does not serve now."""
    # MLflow puts the message of the network or the database into its own error, from which it
    # follows. A database in a file is always there: only a lock on it passes by itself
    causes: list[BaseException] = []
    follows: BaseException | None = error
    while follows is not None and follows not in causes:
        causes.append(follows)
        follows = follows.__cause__ or follows.__context__
    if any(isinstance(each, _NO_ANSWER) for each in causes):
        return True
    for each in causes:
        if isinstance(each, OperationalError):
            if any(words in str(each) for words in _CLOSED):
                return False
            # a file that is not locked stays as it is; only a server may come back
            return not address().startswith("sqlite:") or "database is locked" in str(each)
    return isinstance(error, MlflowException) and error.error_code in _NOT_NOW
