"""Pydantic's faults in words: where, what, and for a key the near miss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, get_args

from pydantic.fields import FieldInfo

from kyc_ml.config.section import Section
from kyc_ml.errors import hint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A kind of file: the keys that no other kind has, and the option that takes it."""

    shown: str
    keys: tuple[str, ...]
    option: str


_FILES: Final = {
    "SourceMapping": _Kind(shown="a source mapping", keys=("files", "tables"), option="--source"),
    "RunConfig": _Kind(shown="a run configuration", keys=("unit", "features"), option="--config"),
}

_NO_SECTION: Final = {"model_type", "model_attributes_type"}
"""Pydantic's names of the fault that something else than keys and values was given."""


_LIST: Final = "a list, such as [a, b]"
_RULES: Final = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), _LIST),
    "string_type": "text",
    "dict_type": "keys and values",
}
"""What a value must be, by pydantic's type of the fault."""
_BOUNDS: Final = {
    "greater_than": "be greater than {gt:g}",
    "greater_than_equal": "be at least {ge:g}",
    "less_than": "be less than {lt:g}",
    "less_than_equal": "be at most {le:g}",
    "literal_error": "be {expected}",
    "too_short": "have at least {min_length} item(s), got {actual_length}",
    "too_long": "have at most {max_length} item(s), got {actual_length}",
    "string_too_short": "be text of at least {min_length} character(s)",
}
"""The same for rules with a limit."""


def explain_faults(
    faults: Iterable[Any],
    section: type[Section],
    *,
    names: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Write each pydantic fault as a line; the keys of a place are listed once, at its first.

    `names` has what the user calls a key of `section`, where it is called otherwise.
    """
    lines = []
    listed: set[str] = set()
    for fault in _without_consequences(list(faults)):
        path, holder, inside = _place_of(section, fault["loc"])
        called = [names.get(str(part), part) for part in path[:1]]
        where = ".".join(str(part) for part in (*called, *path[1:]))
        if fault["type"] in _NO_SECTION and inside:
            shown = f"; see kyc-ml config {where}" if section.__name__ == "RunConfig" else ""
            lines.append(f"{where}: {_explain_place(fault['input'], inside)}{shown}")
            continue
        if fault["type"] != "extra_forbidden":
            lines.append(_explain(fault, where))
            continue
        if str(path[-1]) in holder.renamed:
            lines.append(f"{where}: this key is now called {holder.renamed[str(path[-1])]!r}")
            continue
        known = [field.alias or name for name, field in holder.model_fields.items()]
        place = ".".join(str(part) for part in path[:-1])
        keys = "" if place in listed else f"; known: {', '.join(known)}"
        listed.add(place)
        lines.append(f"{where}: unknown key{hint(str(path[-1]), known)}{keys}")
    return lines


def _without_consequences(faults: list[Any]) -> list[Any]:
    """Leave out that a list is too short if only its wrong items, reported already, made it so."""
    return [
        fault
        for fault in faults
        if fault["type"] != "too_short"
        or not any(
            len(other["loc"]) > len(fault["loc"])
            and other["loc"][: len(fault["loc"])] == fault["loc"]
            for other in faults
        )
    ]


def _explain(fault: Any, where: str) -> str:  # noqa: ANN401  pydantic's dict
    if fault["type"] == "missing":
        return f"{where}: required, but absent"
    if fault["type"] == "union_tag_not_found":
        return f"{where}: key {fault['ctx']['discriminator']} is required: other keys depend on it"
    message = _rule_of(fault)
    return f"{where}: {message}" if where else message


def _rule_of(fault: Any) -> str:  # noqa: ANN401  pydantic's dict
    """Name the rule that a value breaks and the kind of the value; never the value."""
    kind = fault["type"]
    if kind in _RULES:
        return f"must be {_RULES[kind]}, got {_kind_of(fault['input'])}"
    if kind in _BOUNDS:
        return f"must {_BOUNDS[kind].format(**fault['ctx'])}"
    if kind.startswith(("date_", "datetime_")):
        return (
            f"must be a date such as 2026-11-30, got {_kind_of(fault['input'])} that is not a date"
        )
    return str(fault["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")


def _kind_of(given: object) -> str:
    """Return the kind of a value in the words of a person who writes YAML."""
    if given is None:
        return "nothing"
    if isinstance(given, bool):
        return "true or false"
    for kinds, called in (
        ((str,), "text"),
        ((int, float), "a number"),
        ((list, tuple, set, frozenset), "a list"),
        ((Mapping,), "keys and values"),
    ):
        if isinstance(given, kinds):
            return called
    return type(given).__name__


def _explain_place(given: object, inside: list[type[Section]]) -> str:
    """Describe what a section holds if it got something other than keys and values."""
    came = type(given).__name__ if isinstance(given, (list, tuple)) else repr(given)
    if len(inside) > 1:
        methods = " or ".join(get_args(_method_of(kind))[0] for kind in inside)
        keys = f"method ({methods}), and those that depend on it"
    else:
        fields = inside[0].model_fields
        keys = ", ".join(_say_key(field.alias or name, field) for name, field in fields.items())
        if not any(field.is_required() for field in fields.values()):
            keys += "; {} takes the default of each"
    return f"must hold keys and values, got {came}; its keys: {keys}"


def _say_key(name: str, field: FieldInfo) -> str:
    """Name a key; of a method to choose, also what there is: its default may be to do nothing."""
    methods = get_args(field.annotation)
    if name != "method" or len(methods) < 2 or field.is_required():
        return name
    others = " or ".join(each for each in methods if each != field.default)
    return f"{name} ({field.default} by default, or {others})"


def mistaken_file(content: Mapping[str, Any], section: type[Section]) -> str | None:
    """Recognise a source mapping given as a run configuration, or the reverse.

    None where it is neither, or what it should be: its single faults say more then.
    """
    needed = _FILES.get(section.__name__)
    if needed is None or set(needed.keys) & set(content):
        return None
    for kind in _FILES.values():
        if set(kind.keys) <= set(content):
            return (
                f"is {kind.shown}: give it as {kind.option}; {needed.shown} is needed here, "
                f"with {' and '.join(needed.keys)}"
            )
    return None


def _place_of(
    section: type[Section], location: tuple[str | int, ...]
) -> tuple[list[str | int], type[Section], list[type[Section]]]:
    """Find the path of a fault as the file spells it, and the section that holds its key."""
    # also the sections that are allowed at that place; none if it takes a value.
    # Pydantic's location also names the kind of section where there are several to choose from,
    # such as ``splits.customer_folds.folds``: no key of the file.
    path: list[str | int] = []
    holder, choices = section, [section]
    for part in location:
        if len(choices) > 1:
            choices = [kind for kind in choices if part in get_args(_method_of(kind))]
            continue
        path.append(part)
        holder = choices[0] if choices else holder
        fields = {field.alias or name: field for name, field in holder.model_fields.items()}
        if str(part) in fields:
            choices = _sections_inside(fields[str(part)].annotation)
    return path, holder, choices


def _method_of(kind: type[Section]) -> Any:  # noqa: ANN401  an annotation
    return kind.model_fields["method"].annotation


def _sections_inside(annotation: Any) -> list[type[Section]]:  # noqa: ANN401
    """List the section classes in an annotation such as dict[str, TableMapping]."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _sections_inside(argument)]
