"""The base of every section of a configuration, and the days in it."""

from collections.abc import Iterable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from kyc_ml.config.dates import parse_day


def _require_words(words: object) -> object:
    if isinstance(words, list | tuple) and None in words:
        raise ValueError("the bare word null is YAML's own: write 'NULL', 'null' or '~' in quotes")
    return words


Words: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_require_words)]
"""Words that mean missing."""

Day: TypeAlias = Annotated[date, BeforeValidator(parse_day)]
"""A day as people write it: pydantic alone takes 20250131 for seconds, and refuses 2025/1/31."""


def _require_text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


FilledText: TypeAlias = Annotated[str, AfterValidator(_require_text)]
"""Text that must be given: blanks alone are refused."""


class Section(BaseModel):
    """Base of every section: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Keys of earlier versions and their present names: a stored file may have the old ones, a
    user's file may not."""

    @classmethod
    def with_present_names(cls, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return stored content with every key, here and in sections inside, as it is now."""
        return cls._named(content, former=False)

    @classmethod
    def with_former_names(cls, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return content with the keys that versions before a renaming wrote."""
        return cls._named(content, former=True)

    @classmethod
    def _named(cls, content: Mapping[str, Any], *, former: bool) -> dict[str, Any]:
        names = {new: old for old, new in cls.renamed.items()} if former else cls.renamed
        renamed = {names.get(key, key): value for key, value in content.items()}
        for key, field in cls.model_fields.items():
            inside, value = field.annotation, renamed.get(key)
            if isinstance(inside, type) and issubclass(inside, Section) and isinstance(value, dict):
                renamed[key] = inside._named(value, former=former)
        return renamed


def refuse_faults(faults: Iterable[str]) -> None:
    """Raise one ValueError that lists all faults; a validator of a section calls it."""
    found = list(faults)
    if found:
        raise ValueError("; ".join(found))
