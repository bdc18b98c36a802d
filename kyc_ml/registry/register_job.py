"""run_register: register a trained model, also after MLflow could not take it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kyc_ml.display import ProgressReporter
from kyc_ml.errors import RegistryError
from kyc_ml.registry.tracking.keeping import FACTS
from kyc_ml.registry.tracking.registry import RegisteredModel
from kyc_ml.registry.tracking.training import register_kept

UNREGISTERED: Final = Path("build") / "unregistered"


def run_register(
    folder: Path, *, trained_by: str | None, reporter: ProgressReporter
) -> RegisteredModel:
    """Register a model from a folder, as its training would have done; it trains nothing.

    Done twice it registers once.

    `folder`: what ``kyc-ml train`` has left because MLflow did not take it, or a bundle's folder,
    as on a machine that only scores.
    `trained_by`: who trained a bundle that comes without its training's folder.
    Raises BundleError if the folder is not a bundle, or it was changed; RegistryError if it is not
    known who trained it, or MLflow refuses; UnreachableError if MLflow does not answer: try again
    later.
    """
    reporter.progress("registering", 0, 1)
    registered = register_kept(folder, trained_by=trained_by or "")
    reporter.progress("registering", 1, 1)
    return registered


@contextmanager
def kept_unless_registered(name: str, reporter: ProgressReporter) -> Iterator[Path]:
    """Return a private folder to register from, and keep it if that fails.

    `name`: of the model: the folder that is kept is called by it.
    Raises RegistryError: the one that was raised inside, with the folder and the command that
    registers it.
    """
    scratch = Path(tempfile.mkdtemp(prefix="kyc_ml_"))
    try:
        yield scratch
    except BaseException as error:  # a signal, a defect: what took hours to train is kept
        if not (scratch / FACTS).is_file():
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        kept = _keep(scratch, name)
        if isinstance(error, RegistryError):
            raise type(error)(f"{error}\n{kept}") from None
        reporter.warning(f"{kept}")
        raise
    shutil.rmtree(scratch, ignore_errors=True)


def _keep(scratch: Path, name: str) -> str:
    """Move the folder to where it is looked for; it stays where it is if that is not possible."""
    number = 1
    while (place := UNREGISTERED / f"{name}-{number}").exists():
        number += 1
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(scratch, place)
    except OSError:
        place = scratch
    return (
        f"the trained model is kept in {place}: kyc-ml register {place} registers it, without "
        "training again"
    )
