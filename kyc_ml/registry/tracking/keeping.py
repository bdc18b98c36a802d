"""A trained model on its way to the registry: a folder with all that its run is to hold.

`kyc-ml train` writes it before it speaks to MLflow, and registers from it; so what MLflow did not
take can be registered later, with the same facts, by ``kyc-ml register``. A folder holds

- ``bundle/``: the bundle, as it was saved;
- ``run/``: the files of the run, as MLflow will show them: ``plots/``, ``tables/``, ``record/``,
  ``model_card.md`` and ``page.html``;
- ``registration.json``: parameters, metrics, tags and datasets of the run, and who trained it.

What only MLflow can say, the run's id and the version's number, is a mark in these texts.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, Protocol, Self

from pydantic import TypeAdapter

from kyc_ml.config import section_digest
from kyc_ml.errors import BundleError, RegistryError
from kyc_ml.registry.bundle import Bundle, load_bundle
from kyc_ml.registry.governance.log import current_account
from kyc_ml.registry.tracking.registry import RECORD
from kyc_ml.registry.tracking.runs import LoggedPart, RunRecord, facts_of, tags_of, write_files
from kyc_ml.storage import load_json

BUNDLE: Final = "bundle"
FILES: Final = "run"
FACTS: Final = "registration.json"
VERSION_MARK: Final = "VERSIONTOCOME"
_RUN_MARK: Final = "RUNIDTOCOME".ljust(32, "X")  # as long as an id: the description is cut to fit
CARD: Final = "model_card.md"
PAGE: Final = "page.html"
_FORMAT: Final = 1
_LONGEST_DESCRIPTION: Final = 5_000  # characters that MLflow's registry has room for
_SHORT: Final = 8  # characters of a digest that identify a model


class Card(Protocol):
    """The model card, as far as a registered version shows it."""

    @property
    def purpose(self) -> str:
        """One sentence on what the model gives."""

    def render(self, run: str) -> str:
        """Return the whole card as Markdown; `run` is the id of the training run."""

    def shorten(self, run: str, *, longest: int) -> str:
        """Return its first sections, at most `longest` characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is to be registered, but for the files."""

    name: str
    digest: str
    """`name` and `digest`: of the model, and of its bundle."""
    title: str
    """The run's name."""
    began: float
    ended: float
    """`began` and `ended`: when the job worked, in seconds since 1970."""
    trained_by: str
    """Account of the operating system that trained it."""
    purpose: str
    description: str
    """`purpose` and `description`: of the registered model, and of its version; Markdown."""
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    parts: tuple[LoggedPart, ...] = ()

    @classmethod
    def of_training(cls, bundle: Bundle, record: RunRecord, card: Card) -> Self:
        """Collect what a training run recorded."""
        description = card.shorten(_RUN_MARK, longest=_LONGEST_DESCRIPTION)
        texts = {"purpose": card.purpose, "description": description}
        return cls._of("train", bundle, record, trained_by=current_account(), **texts)

    @classmethod
    def of_bundle(cls, bundle: Bundle, *, trained_by: str) -> Self:
        """Collect what a bundle records; without a training record it cannot be reproduced."""
        metrics = {
            f"{part}/{figure}": value
            for part, figures in bundle.metrics.items()
            for figure, value in figures.items()
        }
        tags = {
            "job": "register",
            "unit": bundle.config.unit,
            **{name: str(bundle.data[name]) for name in ("as_of", "source") if name in bundle.data},
            "policy": f"{bundle.policy.name} v{bundle.policy.version}",
            "bundle_digest": bundle.digest,
            "config_digest": section_digest(bundle.config),
        }
        what = f"Registered from a bundle's folder, trained by {trained_by}; no record of its run."
        record = RunRecord(
            parameters={f"model.{n}": v for n, v in bundle.config.model.model_dump().items()},
            metrics=metrics, tags=tags, tables={}, figures={}, note=what,
        )  # fmt: skip
        purpose = f"Calibrated probabilities of the unit {bundle.config.unit}."
        texts = {"purpose": purpose, "description": what}
        return cls._of("register", bundle, record, trained_by=trained_by, **texts)

    @classmethod
    def _of(
        cls, verb: str, bundle: Bundle, record: RunRecord, *,
        trained_by: str, purpose: str, description: str,
    ) -> Self:  # fmt: skip
        now = time.time()
        return cls(
            name=bundle.config.name,
            digest=bundle.digest,
            # MLflow's list cuts a name off after some 25 characters; runs of one day differ in
            # their digest
            title=f"{verb} {str(bundle.data['as_of'])[:10]} {bundle.digest[:_SHORT]}",
            began=now if record.began is None else record.began,
            ended=now,
            trained_by=trained_by,
            purpose=purpose,
            description=description,
            parameters={name: str(value) for name, value in record.parameters.items()},
            metrics=facts_of(record),
            tags=tags_of(record),
            parts=record.parts,
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `keep_training` wrote.

        Raises RegistryError if it was changed or cut short, or a newer kyc_ml wrote it.
        """
        path = folder / FACTS
        try:
            content = load_json(path.read_text(encoding="utf-8"))
            if content.pop("format") != _FORMAT:
                msg = f"{path} has another format: register it with the kyc_ml that wrote it"
                raise RegistryError(msg)
            return TypeAdapter(cls).validate_python(content)
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            msg = f"{path} cannot be read or was changed ({type(error).__name__}): train again"
            raise RegistryError(msg) from None


def keep_training(
    folder: Path,
    bundle: Bundle,
    record: RunRecord,
    *,
    own: Mapping[str, str],
    card: Card,
    page: str = "",
) -> None:
    """Write everything that the run of a saved bundle holds besides it; the facts come last.

    `folder`: has the bundle below ``bundle``.
    `own`: mapping of file name to text; what a rerun needs; see `kyc_ml.registry.record`.
    `page`: HTML, with `VERSION_MARK` where the version's number belongs; none where it is empty.
    """
    files = folder / FILES
    (files / RECORD).mkdir(parents=True)
    write_files(record, files)
    texts = {f"{RECORD}/{name}": text for name, text in own.items()}
    texts |= {CARD: card.render(_RUN_MARK), **({PAGE: page} if page else {})}
    for name, text in texts.items():
        (files / name).write_bytes(text.encode())
    kept = Kept.of_training(bundle, record, card)
    content = {each.name: getattr(kept, each.name) for each in fields(kept)}
    content["parts"] = [asdict(part) for part in kept.parts]
    # not sorted: MLflow shows metrics in the order in which they come
    text = json.dumps({"format": _FORMAT, **content}, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / FACTS).write_bytes(f"{text}\n".encode())


def load_kept(folder: Path, *, trained_by: str) -> tuple[Kept, Bundle, Path]:
    """Load a folder of either kind: one that waits to be registered, or a bundle alone.

    `trained_by`: who trained a bundle that comes alone; the other folder says so itself.
    Returns `place`: the bundle's own folder.
    Raises BundleError or RegistryError if it is neither, was changed, or it is not known who
    trained it.
    """
    if (folder / FACTS).is_file():
        kept = Kept.read(folder)
        bundle = load_bundle(folder / BUNDLE, digest=kept.digest)
        if kept.name != bundle.config.name:
            msg = f"{folder / FACTS} names another model than its bundle does: train again"
            raise RegistryError(msg)
        return kept, bundle, folder / BUNDLE
    if not folder.is_dir():
        msg = f"{folder} is not a folder: name one that kyc-ml train has left, or a bundle's"
        raise BundleError(msg)
    bundle = load_bundle(folder)
    if not trained_by:
        raise RegistryError(
            f"{folder} is a bundle alone and does not say who trained it: name them with "
            "--trained-by, because no one may validate their own model"
        )
    return Kept.of_bundle(bundle, trained_by=trained_by), bundle, folder


def without_marks(text: str, *, run: str, version: str = VERSION_MARK) -> str:
    """Write the run's id, and the version's number where it is known, in place of their marks."""
    return text.replace(_RUN_MARK, run).replace(VERSION_MARK, version)
