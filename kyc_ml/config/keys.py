"""The keys of a section, read from its declaration, for the reference and for `kyc-ml config`."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from types import NoneType
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from kyc_ml.config.section import Section

_WORDS: Final = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    date: "date",
    NoneType: "null",
}
_BOUNDS: Final = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a section, as a file spells it."""

    name: str
    kind: str
    """What it takes: "number", "list of text", "section, or null"."""
    bounds: str
    """Its range, such as "≥ 0, < 1"; empty where any value will do."""
    default: str
    """As a file would write it, or "required"."""
    meaning: str
    """The docstring under the field; for one that is a section and has none, the section's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionKeys:
    """A section and the places where it is allowed."""

    paths: tuple[str, ...]
    """Such as ``tuning.search``; empty text for the file itself. ``[]`` marks a list, ``.NAME`` a
    mapping with names of the user's own."""
    method: str
    """What its ``method`` must be if several sections are allowed at this place; else empty."""
    summary: str
    keys: tuple[Key, ...]


def list_keys(
    section: type[Section], *, apart: Collection[type[Section]] = ()
) -> list[SectionKeys]:
    """List a section and those inside it, each once, in the order of declaration.

    `apart`: collection of sections; those that are described elsewhere, such as a separate file
    that is included.
    """
    places: dict[type[Section], list[str]] = {}
    waiting = [("", section)]
    while waiting:
        path, here = waiting.pop(0)
        if here in places:
            places[here].append(path)
            continue
        places[here] = [path]
        inside = [
            (f"{path}.{place}".lstrip("."), kind)
            for name, field in here.model_fields.items()
            for place, kind in _sections_at(field.alias or name, field.annotation)
            if kind not in apart
        ]
        waiting = [*inside, *waiting]
    return [_tell_section(tuple(paths), here) for here, paths in places.items()]


def _tell_section(paths: tuple[str, ...], section: type[Section]) -> SectionKeys:
    meanings = _docstrings_of_fields(section)
    method = section.model_fields.get("method")
    fixed = get_args(method.annotation) if method is not None else ()
    return SectionKeys(
        paths=paths,
        method=str(fixed[0]) if len(fixed) == 1 else "",
        summary=_first_paragraph(section),
        keys=tuple(
            _describe_key(field.alias or name, field, meanings.get(name, ""))
            for name, field in section.model_fields.items()
        ),
    )


def _describe_key(name: str, field: FieldInfo, meaning: str) -> Key:
    sections = [kind for _, kind in _sections_at(name, field.annotation)]
    if not meaning and len(sections) == 1:
        meaning = _first_paragraph(sections[0])
    return Key(
        name=name,
        kind=_say_kind(field.annotation),
        bounds=", ".join(_say_bounds(field.metadata)),
        default=_say_default(field),
        meaning=_as_in_a_file(meaning),
    )


def _docstrings_of_fields(section: type[Section]) -> dict[str, str]:
    """Read the docstrings under the fields, those of a section that it extends included."""
    # only the source holds them; reading it here, and not at import, keeps commands fast
    meanings: dict[str, str] = {}
    # the base first: a section may describe an inherited key again
    for kind in reversed(section.__mro__):
        if not issubclass(kind, Section) or kind is Section:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
        assert isinstance(body, ast.ClassDef)  # noqa: S101  the source of a class is one
        # the last line has none after it
        for line, after in zip(body.body, body.body[1:], strict=False):
            match line, after:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    meanings[name] = _in_a_line(text)
    return meanings


def _first_paragraph(section: type[Section]) -> str:
    return _in_a_line((inspect.getdoc(section) or "").split("\n\n")[0])


def _as_in_a_file(meaning: str) -> str:
    """Spell Python's None, True and False as YAML does."""
    for python, yaml in {"None": "null", "True": "true", "False": "false"}.items():
        meaning = re.sub(rf"\b{python}\b", yaml, meaning)
    return meaning


def _in_a_line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _sections_at(path: str, annotation: Any) -> Iterator[tuple[str, type[Section]]]:  # noqa: ANN401
    """Return the sections that are allowed at a place, with the place of each."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield path, annotation
        return
    origin = get_origin(annotation)
    path = {tuple: f"{path}[]", dict: f"{path}.NAME"}.get(origin, path)
    for argument in get_args(annotation):
        yield from _sections_at(path, argument)


def _say_kind(annotation: Any) -> str:  # noqa: ANN401  an annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None:
        return _WORDS.get(annotation, "section")
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if origin is Annotated:
        return _say_kind(arguments[0])
    if origin is dict:
        return f"NAME: {_say_kind(arguments[1])}"
    inside = dict.fromkeys(_say_kind(each) for each in arguments if each is not Ellipsis)
    return f"list of {' and '.join(inside)}" if origin is tuple else ", or ".join(inside)


def _say_bounds(metadata: list[Any]) -> Iterator[str]:
    for rule in metadata:
        for name, sign in _BOUNDS.items():
            if (bound := getattr(rule, name, None)) is not None:
                yield f"{sign} {bound:g}" if isinstance(bound, float) else f"{sign} {bound}"
        if (fewest := getattr(rule, "min_length", None)) is not None:
            yield f"at least {fewest}"
        if (pattern := getattr(rule, "pattern", None)) is not None:
            yield f"`{pattern}`"


def _say_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Section):  # only what it sets itself: the rest is in its own table
        content = value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    else:
        content = TypeAdapter(type(value)).dump_python(value, mode="json")
    return f"`{json.dumps(content, ensure_ascii=False)}`"
