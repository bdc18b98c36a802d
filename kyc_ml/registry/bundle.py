"""All that scoring needs, as a folder of text with a hash of every file.

Nothing is pickled: LightGBM's text model, JSON, YAML, and a manifest that names each
file's SHA-256 and its own. A changed byte, a missing or an extra file is refused. That
finds accidents; only the digest in the registry finds a forger, who would seal the bundle again.
"""

import hashlib
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from platform import python_version
from typing import Any, Final

import numpy as np

from kyc_ml.config import (
    FilePath,
    ModelConfig,
    RunConfig,
    dump_section,
    parse_section,
    read_path,
    section_digest,
)
from kyc_ml.decision import PeerReference, TierPolicy
from kyc_ml.display import say_in_html, say_plainly
from kyc_ml.errors import BundleError, KycMlError, OutputError
from kyc_ml.features import (
    FeatureSpec,
    definitions_digest,
    digest_of_format_1,
    from_format_1,
    from_plain,
    incomplete,
    to_plain,
)
from kyc_ml.model import Calibrator, Model, Profile
from kyc_ml.registry.environment import DISTRIBUTION, digest_distributions, needed_distributions
from kyc_ml.storage import dump_json, load_json

FORMAT_VERSION: Final = 4
_READABLE: Final = (1, 2, 3, FORMAT_VERSION)
_WITHOUT_CONTRAST: Final = 3
"""The last format without groups of features and contributions of comparable rows."""
_FORMER_NAMES: Final = 2
"""The last format whose configuration has LightGBM's core names, such as ``lambda_l2``."""
REGISTERED: Final = "models:/"
"""How the address of a model in the registry begins; others are folders."""
MANIFEST: Final = "manifest.json"
REFITS: Final = "refits"
_MODEL: Final = "model.txt"
_FEATURES: Final = "features.json"
_CALIBRATION: Final = "calibration.json"
_PROFILE: Final = "profile.json"
_REFERENCE: Final = "reference.json"
_METRICS: Final = "metrics.json"
_SEAL: Final = "manifest_sha256"
_CONFIG: Final = "config.yaml"
_TIERS: Final = "tiers.yaml"
LIBRARIES: Final = ("lightgbm", "numba", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy")
"""What a bundle was made with, and what MLflow lists as its requirements. Not kyc-ml: the
name is not ours on any public index, so a stranger could publish a package there."""
_RESTORE: Final = "restore it from the registry, never edit it"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedBundle:
    """A registered bundle in a local folder."""

    folder: Path
    digest: str
    """The digest that was registered, as the version's tag has it."""
    name: str
    version: str
    alias: str
    """The alias by which it was asked for; '' where its number was named."""

    @property
    def label(self) -> str:
        """Name and version, for the score table."""
        return f"{self.name} v{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A model with everything that turns tables into tiers and reasons.

    Attributes
    ----------
    specs : tuple of FeatureSpec
        The model's columns and the intermediate features they are computed from.
    vocabularies : mapping of category feature to its known values
    metrics : mapping of part to figure to value
        `REFITS` beside the parts: the number of refits on bootstrap samples, and same_reasons, how
        far their reasons of the highest scores agree with the model's (mean Jaccard overlap).
    data : mapping
        Name and digests of the training source, the training date and its base currency.
    digest : str
        SHA-256 of the manifest; empty until the bundle was saved or loaded.
    profile : Profile or None
        Distribution of the rows that the model was evaluated on; None in older bundles.
    """

    model: Model
    calibrator: Calibrator
    policy: TierPolicy
    config: RunConfig
    specs: tuple[FeatureSpec, ...]
    vocabularies: Mapping[str, tuple[str, ...]]
    reference: PeerReference
    metrics: Mapping[str, Mapping[str, float]]
    data: Mapping[str, Any]
    digest: str = ""
    profile: Profile | None = None

    @property
    def inputs(self) -> tuple[FeatureSpec, ...]:
        """The specs of the model's own columns, in its order."""
        known = {spec.name: spec for spec in self.specs}
        return tuple(known[name] for name in self.model.feature_names)

    def _facts(self) -> dict[str, object]:
        return {
            "predicts": self.config.unit,
            "model": f"{self.model.n_trees:,} trees, {len(self.inputs):,} features",
            "calibration": self.calibrator.method,
            "tiers": f"{self.policy.label}: {', '.join(self.policy.tier_names)}",
            "knew until": self.data.get("as_of", "–"),
            "digest": self.digest[:12] or "not saved yet",
        }

    def __repr__(self) -> str:
        return say_plainly(f"Bundle {self.config.name!r}", self._facts())

    def _repr_html_(self) -> str:
        return say_in_html(f"Bundle {self.config.name!r}", self._facts())


def same_contents(one: Bundle, other: Bundle) -> bool:
    """Return whether two bundles would hold the same files, saved or not."""
    return one is other or _contents(one) == _contents(other)


def save_bundle(bundle: Bundle, folder: FilePath, *, format_version: int = FORMAT_VERSION) -> str:
    """Write a bundle into a new folder and return its digest.

    The folder appears whole or not at all.

    Parameters
    ----------
    format_version : 2, 3 or 4
        Formats 2 and 3 are written only to compare with a bundle of that format, byte by byte.

    Raises
    ------
    OutputError
        If the folder exists, or cannot be written.
    """
    folder = read_path(folder, name="folder")
    require_new(folder)
    files = _contents(bundle, format_version)
    manifest = _manifest(bundle, files, format_version)
    # in the same parent folder: a rename is atomic only inside one file system
    half = folder.with_name(f".{folder.name}.writing")
    try:
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        for name, text in {**files, MANIFEST: manifest}.items():
            (half / name).write_bytes(text.encode())
        # renamed at the end: the folder is complete or absent
        half.replace(folder)
    except OSError as error:
        shutil.rmtree(half, ignore_errors=True)
        reason = error.strerror or "the device refused"
        msg = f"bundle {folder} could not be written: {reason}; free space or rights"
        raise OutputError(msg) from None
    return _sha256(manifest.encode())


def require_new(folder: Path) -> None:
    """Refuse a folder that exists: a bundle is never written over.

    Raises OutputError if it exists.
    """
    if folder.exists():
        raise OutputError(f"bundle folder {folder} exists already: remove it or name another one")


class _DamagedError(BundleError):
    """A bundle is not as it was saved; who loads it knows where to restore it from."""


def load_bundle(folder: FilePath, *, digest: str | None = None, cure: str = _RESTORE) -> Bundle:
    """Read a bundle after checking every byte of it.

    Parameters
    ----------
    digest : str, optional
        Digest the bundle must have, as the registry recorded it.
    cure : str, optional
        What to do about a bundle that is not as it was saved.

    Raises
    ------
    BundleError
        If the folder is not a bundle, a file was changed, removed or added, or the format is
        not supported.
    """
    try:
        return _load(read_path(folder, name="folder"), digest=digest)
    except _DamagedError as error:
        raise BundleError(f"{error}; {cure}") from None


def digest_bundle(folder: Path) -> str:
    """Return the digest of a bundle, computed from all of its bytes.

    Raises BundleError if the folder is not a bundle, or differs from its manifest.
    """
    return _sha256(_checked_files(folder)[1][MANIFEST])


def _load(folder: Path, *, digest: str | None) -> Bundle:
    manifest, raw = _checked_files(folder)
    found = _sha256(raw[MANIFEST])
    if digest is not None and digest != found:
        raise _DamagedError(
            f"bundle {folder} has digest {found[:12]}, but {digest[:12]} was registered: it "
            "was replaced"
        )
    try:
        return _read(folder, manifest, raw)
    except KycMlError:
        raise
    # its digests agree: whoever changed it computed them again
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        why = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise _DamagedError(f"bundle {folder} is malformed: {why}") from None


def _read(folder: Path, manifest: Mapping[str, Any], raw: Mapping[str, bytes]) -> Bundle:
    """Read the files of a bundle whose digests were checked."""
    text = {name: raw[name].decode() for name in manifest["files"]}
    plain = {name: load_json(each) for name, each in text.items() if name.endswith(".json")}
    features = plain[_FEATURES]
    specs, definitions = _declared(features["specs"], version=manifest["format_version"])
    if definitions != manifest["feature_definitions"]:
        raise _DamagedError(f"bundle {folder}: feature definitions do not match the manifest")
    model = Model(text[_MODEL])
    bundle = Bundle(
        model=model,
        calibrator=Calibrator.from_dict(plain[_CALIBRATION]),
        policy=parse_section(text[_TIERS], TierPolicy, subject=f"{folder / _TIERS}"),
        config=parse_section(text[_CONFIG], RunConfig, subject=f"{folder / _CONFIG}", stored=True),
        specs=_computable(specs, model.feature_names, folder=folder),
        vocabularies={name: tuple(known) for name, known in features["vocabularies"].items()},
        reference=PeerReference.from_dict(plain[_REFERENCE]),
        metrics={part: _numbers(found) for part, found in plain[_METRICS].items()},
        data=manifest["data"],
        digest=_sha256(raw[MANIFEST]),
        profile=Profile.from_dict(plain[_PROFILE]) if _PROFILE in text else None,
    )
    _require_codes(bundle)
    return bundle


def _require_codes(bundle: Bundle) -> None:
    """Raise unless every column of the model is declared, and every category has its words."""
    for spec in bundle.inputs:
        words = bundle.vocabularies[spec.name] if spec.kind == "category" else ()
        if len(set(words)) < len(words) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"the vocabulary of {spec.name} is not a list of different words")


def _contents(bundle: Bundle, version: int = FORMAT_VERSION) -> dict[str, str]:
    """Write every file of the bundle but the manifest, as text."""
    former = version <= _WITHOUT_CONTRAST
    specs = tuple(replace(spec, group=None) if former else spec for spec in bundle.specs)
    features = {
        "specs": to_plain(specs),
        "vocabularies": {name: list(known) for name, known in bundle.vocabularies.items()},
    }
    profile = {} if bundle.profile is None else {_PROFILE: dump_json(bundle.profile.to_dict())}
    return {
        **profile,
        _MODEL: bundle.model.text,
        _FEATURES: dump_json(features),
        _CALIBRATION: dump_json(bundle.calibrator.to_dict()),
        _REFERENCE: dump_json(bundle.reference.to_dict(former=former)),
        _METRICS: dump_json(
            {
                part: {name: _finite(value) for name, value in figures.items()}
                for part, figures in bundle.metrics.items()
            }
        ),
        _CONFIG: dump_section(_without_threads(bundle.config), former=version <= _FORMER_NAMES),
        _TIERS: dump_section(bundle.policy),
    }


def _without_threads(config: RunConfig) -> RunConfig:
    """Leave out how many threads trained the model: they change nothing of it."""
    usual = ModelConfig().n_jobs
    model = config.model.model_copy(update={"n_jobs": usual})
    return config.model_copy(update={"model": model})


def compare_manifests(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """List every file of two bundles that differs; of the manifest, the entries that do.

    `before`, `after`: manifests, read as JSON.
    """
    files = before["files"], after["files"]
    differing = [
        name
        for name in sorted(files[0].keys() | files[1].keys())
        if files[0].get(name) != files[1].get(name)
    ]
    entries = [
        name
        for name in sorted((before.keys() | after.keys()) - {"files", _SEAL})
        if before.get(name) != after.get(name)
    ]
    if entries:
        differing.append(f"{MANIFEST} ({', '.join(entries)})")
    return tuple(differing)


def _manifest(bundle: Bundle, files: Mapping[str, str], version: int) -> str:
    installed = needed_distributions()
    content = {
        "format_version": version,
        "name": bundle.config.name,
        "unit": bundle.config.unit,
        "code_version": installed[DISTRIBUTION],
        "python": python_version(),
        "libraries": {name: installed[name] for name in LIBRARIES},
        "distributions_digest": digest_distributions(),
        "seeds": {
            name: section["seed"]
            for name, section in bundle.config.model_dump().items()
            if isinstance(section, dict) and "seed" in section
        },
        "config_digest": section_digest(
            _without_threads(bundle.config), former=version <= _FORMER_NAMES
        ),
        "policy_digest": section_digest(bundle.policy),
        "feature_definitions": definitions_digest(bundle.specs),
        "data": dict(bundle.data),
        "files": {name: _sha256(text.encode()) for name, text in sorted(files.items())},
    }
    return dump_json({**content, _SEAL: _seal(content)})


def _checked_files(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest, and the bytes that were checked: each file is read only once."""
    if not (folder / MANIFEST).is_file():
        msg = f"{folder} is not a bundle: it has no {MANIFEST}; name the folder that holds one"
        raise BundleError(msg)
    try:
        # read once: what is checked is then what is used
        raw = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    except OSError as error:
        msg = f"bundle {folder} cannot be read: {error.strerror}; check the rights on its files"
        raise BundleError(msg) from None
    manifest = _checked_manifest(folder, raw[MANIFEST])
    # folders too: a bundle has none, so that one was added
    present = {path.name for path in folder.iterdir()}
    differences = _differences(manifest["files"], raw, present)
    if differences:
        raise _DamagedError(f"bundle {folder} differs from its manifest: {'; '.join(differences)}")
    return manifest, raw


def _checked_manifest(folder: Path, raw: bytes) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = load_json(raw)
        supported = manifest["format_version"] in _READABLE
        # the bytes too: equal content in another layout was edited
        sealed = manifest.get(_SEAL) == _seal(manifest) and dump_json(manifest).encode() == raw
        sealed &= isinstance(manifest["files"], dict) and isinstance(manifest["data"], dict)
    except (AttributeError, ValueError, KeyError, RecursionError, TypeError):
        raise _DamagedError(f"bundle {folder}: {MANIFEST} was changed or cut short") from None
    if not supported:
        raise BundleError(
            f"bundle {folder} has format {manifest['format_version']}, this kyc_ml reads formats "
            f"{' and '.join(map(str, _READABLE))}: use the kyc_ml version that wrote it"
        )
    if not sealed:
        raise _DamagedError(f"bundle {folder}: {MANIFEST} was changed")
    return manifest


def _declared(plain: list[Any], *, version: int) -> tuple[tuple[FeatureSpec, ...], str]:
    """Read feature declarations as a format wrote them, and the digest it took of them."""
    if version == 1:
        return from_format_1(plain), digest_of_format_1(plain)
    specs = from_plain(plain)
    return specs, definitions_digest(specs)


def _computable(
    specs: tuple[FeatureSpec, ...], own: Collection[str], *, folder: Path
) -> tuple[FeatureSpec, ...]:
    """Leave out intermediate features that no column of the model reads and nothing can compute."""
    # a training before December 2026 kept them where the source lacked what they are made of
    lost = {spec.name for spec in incomplete(specs)}
    needed = sorted(lost.intersection(own))
    if needed:
        raise BundleError(
            f"bundle {folder}: {len(needed)} column(s) of the model are made of features that the "
            f"bundle does not declare: {', '.join(needed)}; train the model again"
        )
    return tuple(spec for spec in specs if spec.name not in lost)


def _differences(
    hashes: Mapping[str, str], raw: Mapping[str, bytes], present: Collection[str]
) -> list[str]:
    """List every file that is missing, was added, or has other bytes than it should."""
    there = set(present) - {MANIFEST}
    differences = [f"{name} is missing" for name in sorted(set(hashes) - there)]
    differences += [f"{name} was added" for name in sorted(there - set(hashes))]
    differences += [
        f"{name} was changed"
        for name in sorted(there & set(hashes))
        if name not in raw or _sha256(raw[name]) != hashes[name]
    ]
    return differences


def _seal(manifest: Mapping[str, Any]) -> str:
    """Hash a manifest without its seal, so that a byte changed by accident shows."""
    content = {name: value for name, value in manifest.items() if name != _SEAL}
    return _sha256(dump_json(content).encode())


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _numbers(content: Mapping[str, float | None]) -> dict[str, float]:
    """Read what `_finite` wrote: null is an undefined number."""
    return {name: np.nan if value is None else value for name, value in content.items()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
