"""Pydantic's faults in words: where, what, and for a key the near miss."""

from __future__ import annotations

from typing import Any, get_args

from kyc_ml.config.section import Section
from kyc_ml.errors import hint


def explain_fault(fault: Any, section: type[Section]) -> str:  # noqa: ANN401  pydantic's dict
    """Say one pydantic fault in a line: where, what, and for a key the near miss."""
    path, holder = _place_of(section, fault["loc"])
    where = ".".join(str(part) for part in path)
    if fault["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in holder.model_fields.items()]
        return f"{where}: unknown key{hint(str(path[-1]), known)}; known: {', '.join(known)}"
    if fault["type"] == "missing":
        return f"{where}: required, but absent"
    if fault["type"] == "union_tag_not_found":
        return f"{where}: key {fault['ctx']['discriminator']} is required: other keys hang on it"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _place_of(
    section: type[Section], location: tuple[str | int, ...]
) -> tuple[list[str | int], type[Section]]:
    """Find the path of a fault as the file spells it, and the section that holds its key.

    Pydantic's location also names the kind of section where there are several to choose
    from, such as ``splits.customer_folds.folds``: no key of the file.
    """
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
    return path, holder


def _method_of(kind: type[Section]) -> Any:  # noqa: ANN401  an annotation
    return kind.model_fields["method"].annotation


def _sections_inside(annotation: Any) -> list[type[Section]]:  # noqa: ANN401
    """List the section classes in an annotation such as dict[str, TableMapping]."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _sections_inside(argument)]
