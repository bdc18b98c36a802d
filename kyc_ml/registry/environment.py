"""What a figure depends on besides data and configuration: code, Python, installed versions.

An installed package has no lock file. What it can know is what is installed: the
distributions that kyc-ml needs, and those that they need, each with its version.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Final, Self

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DISTRIBUTION: Final = "kyc-ml"
_NOT_INSTALLED: Final = "not installed"
_MARKERS: Final = ("os_name", "sys_platform", "platform_system", "platform_machine")
_PLATFORMS: Final = tuple(
    dict(zip(_MARKERS, each, strict=True))
    for each in (
        ("posix", "linux", "Linux", "x86_64"),
        ("posix", "linux", "Linux", "aarch64"),
        ("posix", "darwin", "Darwin", "arm64"),
        ("nt", "win32", "Windows", "AMD64"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Code, interpreter and libraries of a run."""

    code_version: str
    """Of kyc-ml."""
    code_digest: str
    """SHA-256 of the source of kyc_ml: in development it changes, and the version does not."""
    python: str
    """Version of the interpreter, such as 3.11.9."""
    platform: str
    """Operating system and processor; no model depends on them by intent."""
    distributions: Mapping[str, str]
    """Mapping of name to version; see `needed_distributions`."""

    @classmethod
    def current(cls) -> Self:
        """Describe this process."""
        return cls(
            code_version=version(DISTRIBUTION),
            code_digest=digest_code(),
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.machine()}",
            distributions=needed_distributions(),
        )

    def changes(self, later: Environment) -> tuple[str, ...]:
        """List what differs in a later environment, a line each, the most important first."""
        facts = {"kyc-ml": "code_version", "Python": "python", "platform": "platform"}
        found = [
            f"{name} {getattr(self, attribute)} -> {getattr(later, attribute)}"
            for name, attribute in facts.items()
            if getattr(self, attribute) != getattr(later, attribute)
        ]
        if self.code_digest != later.code_digest:
            found.append(f"source of kyc_ml {self.code_digest[:12]} -> {later.code_digest[:12]}")
        before, after = dict(self.distributions), dict(later.distributions)
        for name in sorted((before.keys() | after.keys()) - {DISTRIBUTION}):
            was, now = before.get(name, _NOT_INSTALLED), after.get(name, _NOT_INSTALLED)
            if was != now:
                found.append(f"{name} {was} -> {now}")
        return tuple(found)


@cache
def needed_distributions() -> dict[str, str]:
    """List kyc-ml and all it needs to run, on every platform: name to version, sorted.

    Left out is what only developing needs, and what only some operating systems or
    processors need: the list is the same wherever the same versions are installed.
    """
    found: dict[str, str] = {}
    waiting, seen = [(DISTRIBUTION, "")], set()
    while waiting:
        wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        name, extra = wanted
        try:
            here = distribution(name)
        except PackageNotFoundError:
            found[name] = _NOT_INSTALLED
            continue
        found[name] = here.version
        for text in here.requires or ():
            waiting += _needed(Requirement(text), extra)
    return dict(sorted(found.items()))


@cache
def digest_distributions() -> str:
    """SHA-256 of ``name==version`` lines of all `needed_distributions`."""
    lines = [f"{name}=={version}\n" for name, version in needed_distributions().items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _needed(requirement: Requirement, extra: str) -> list[tuple[str, str]]:
    """List a requirement's name for itself and each of its extras, if all platforms have it."""
    marker = requirement.marker
    if marker is not None and not all(
        marker.evaluate({**place, "extra": extra}) for place in _PLATFORMS
    ):
        return []
    name = canonicalize_name(requirement.name)
    return [(name, wanted) for wanted in ("", *sorted(requirement.extras))]


@cache
def digest_code() -> str:
    """SHA-256 of all that kyc_ml's folder holds, but what Python and numba compiled."""
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
