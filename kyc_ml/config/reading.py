"""Read and write sections as YAML; all faults are reported together."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from kyc_ml.config.arguments import FilePath, read_path, require_kind
from kyc_ml.config.faults import explain_faults, mistaken_file
from kyc_ml.config.section import Section
from kyc_ml.config.text import read_content, write_content
from kyc_ml.errors import ConfigError, Faults, hint_path

SectionT = TypeVar("SectionT", bound=Section)


def load_section(path: FilePath, section: type[SectionT], *, stored: bool = False) -> SectionT:
    """Read a YAML file as `section`.

    Parameters
    ----------
    stored : bool
        Whether kyc_ml wrote the file: keys may then have names of earlier versions.

    Raises
    ------
    ConfigError
        If the file is absent, is not YAML, or breaks the section's rules; all faults are
        listed, misspelt keys with the key that was probably meant.
    """
    path = read_path(path, name="path")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        near = hint_path(path.name, [item.name for item in path.parent.glob("*.y*ml")])
        msg = f"configuration file {path} cannot be read: {error.strerror}{near}"
        raise ConfigError(msg) from None
    except UnicodeDecodeError:
        msg = f"configuration file {path} is not UTF-8 text: save it as UTF-8"
        raise ConfigError(msg) from None
    content = read_content(text, subject=str(path), path=path)
    content = section.with_present_names(content) if stored else content
    return check_section(content, section, subject=str(path))


def parse_section(
    text: str, section: type[SectionT], *, subject: str, stored: bool = False
) -> SectionT:
    """Read YAML text as `section`; `subject` names it in errors. See `load_section`."""
    content = read_content(text, subject=subject, path=None)
    content = section.with_present_names(content) if stored else content
    return check_section(content, section, subject=subject)


def check_section(
    content: Mapping[str, Any],
    section: type[SectionT],
    *,
    subject: str,
    names: Mapping[str, str] = MappingProxyType({}),
) -> SectionT:
    """Check keys and values as `section`; `subject` names them in errors.

    Parameters
    ----------
    names : mapping of key to str, optional
        What the user calls a key, where that is another word: errors say it.

    Raises
    ------
    ConfigError
        With every fault listed.
    """
    try:
        return section.model_validate(content)
    except ValidationError as error:
        faults = Faults(subject, ConfigError)
        mistaken = mistaken_file(content, section)
        lines = explain_faults(error.errors(include_url=False), section, names=names)
        faults.extend(lines if mistaken is None else [mistaken])
        faults.raise_if_any()
        raise  # unreachable: pydantic never raises without a fault


def require_section(given: object, section: type[Section], *, name: str) -> None:
    """Refuse a path, text or dict where a caller should hand over a section already read.

    Raises ConfigError naming what came, and how to read it.
    """
    kind = section.__name__
    require_kind(
        given, section, name=name, cure=f"read a file with kyc_ml.load_section(path, kyc_ml.{kind})"
    )


def section_digest(section: Section, *, former: bool = False) -> str:
    """Return the SHA-256 of a section's canonical JSON: equal settings have equal digests."""
    text = json.dumps(_plain(section, former=former), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def dump_section(section: Section, *, former: bool = False) -> str:
    """Write a section as YAML that `parse_section` reads back to an equal one.

    `former`: write keys by the names of earlier versions, for a bundle of an older format.
    """
    return write_content(_plain(section, former=former))


def _plain(section: Section, *, former: bool) -> dict[str, Any]:
    content = section.model_dump(mode="json", by_alias=True)
    return section.with_former_names(content) if former else content
