"""The published schema: what a transaction has, by the contract and the attributes of the store."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kyc_ml.config import read_packaged
from kyc_ml.contract import KNOWN_AT, Column

_FORMATS: Final = {"date": "date", "timestamp": "date-time"}


def make_openapi(columns: Sequence[Column], chinese: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema of the server; `chinese` describes attributes, by column."""
    schema: dict[str, Any] = read_packaged(Path(__file__).with_name("openapi.yaml"))
    schema["components"]["schemas"]["Transaction"] |= {
        "required": [each.name for each in columns if each.required and each.name != KNOWN_AT],
        "properties": {each.name: _property(each, chinese) for each in columns},
    }
    return schema


def _property(column: Column, chinese: Mapping[str, str]) -> dict[str, Any]:
    optional = not column.required or column.name == KNOWN_AT
    kind = {"double": "number", "boolean": "boolean"}.get(column.type, "string")
    stated = {
        "type": [kind, "null"] if optional else kind,
        "format": _FORMATS.get(column.type),
        "description": f"{column.description} ({column.unit})".removesuffix(" ()"),
        "x-description-zh": chinese.get(column.name),
        "minimum": column.minimum,
        "maximum": column.maximum,
        "pattern": column.pattern and f"^{column.pattern}$",
        "enum": [*column.allowed, *([None] if optional else [])] if column.allowed else None,
    }
    return {name: value for name, value in stated.items() if value is not None}
