"""The published schema: what a transaction has, by the contract and the attributes of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kyc_ml.config import read_packaged
from kyc_ml.contract import KNOWN_AT, Column

_TYPES: Final[Mapping[str, dict[str, str]]] = {
    "string": {"type": "string"},
    "double": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
}


def make_openapi(columns: Sequence[Column], chinese: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema of the server; `chinese` describes attributes, by column."""
    schema: dict[str, Any] = read_packaged(Path(__file__).with_name("openapi.yaml"))
    schema["components"]["schemas"]["Transaction"] |= {
        "required": [each.name for each in columns if each.required and each.name != KNOWN_AT],
        "properties": {each.name: _property(each, chinese) for each in columns},
    }
    return schema


def _property(column: Column, chinese: Mapping[str, str]) -> dict[str, Any]:
    described = f"{column.description} ({column.unit})" if column.unit else column.description
    limits = {
        "minimum": column.minimum,
        "maximum": column.maximum,
        "pattern": None if column.pattern is None else f"^{column.pattern}$",
        "enum": [*column.allowed, None] if column.allowed else None,
        "x-description-zh": chinese.get(column.name),
    }
    kind: dict[str, Any] = dict(_TYPES[column.type])
    if not column.required or column.name == KNOWN_AT:
        kind["type"] = [kind["type"], "null"]
    elif column.allowed:
        limits["enum"] = list(column.allowed)
    present = {name: value for name, value in limits.items() if value is not None}
    return {**kind, "description": described, **present}
