"""Feature declarations as plain JSON data, and back: what a bundle keeps of them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, Final

from kyc_ml.errors import BundleError
from kyc_ml.features.how import RowColumn, Where
from kyc_ml.features.kinds import COLUMN_KINDS, KINDS
from kyc_ml.features.kinds.row_function import RowFunction
from kyc_ml.features.periods import WindowLength
from kyc_ml.features.spec import FeatureSpec

_RENAMED: Final = {
    "LatestValue": "AsOf",
    "RowFunction": "Cell",
    "RowFormula": "Mix",
    "WindowLength": "Period",
}
"""Classes that bundles store under an earlier name: a new name changes no bundle and no digest."""
_TYPES: Final[dict[str, Any]] = {
    _RENAMED.get(kind.__name__, kind.__name__): kind
    for kind in (FeatureSpec, RowColumn, Where, WindowLength, *KINDS, *COLUMN_KINDS)
}
"""Declarations by the name that bundles store."""
_TAGS: Final = {kind: tag for tag, kind in _TYPES.items()}
_TAG: Final = "is"
_STORED: Final = {"intermediate": "hidden", "observation_units": "units"}
"""The same for fields."""
_FIELDS: Final = {stored: name for name, stored in _STORED.items()}
_NIGHT: Final = RowColumn(name="is_night", how=RowFunction(operation="night"))


def to_plain(declared: object) -> Any:  # noqa: ANN401  JSON
    """Write a declaration as dicts, lists, texts and numbers.

    Fields that keep their default are left out: a field added later, with a default that
    means what its absence meant, changes neither the notation nor its digest.
    """
    if type(declared) in _TAGS:
        content = {_TAG: _TAGS[type(declared)]}
        for each in fields(declared):  # type: ignore[arg-type]  # all are dataclasses
            value = getattr(declared, each.name)
            # defaults are left out: a new field then changes no digest of earlier bundles
            if each.default is MISSING or value != each.default:
                content[_STORED.get(each.name, each.name)] = to_plain(value)
        return content
    if isinstance(declared, tuple):
        return [to_plain(each) for each in declared]
    return declared


def from_plain(content: Any) -> Any:  # noqa: ANN401  JSON
    """Read what `to_plain` wrote.

    Raises BundleError if it was written by a newer version that declares features in other ways.
    """
    if isinstance(content, Mapping):
        kind = _TYPES.get(content[_TAG])
        names = _names_of(kind)
        unknown = sorted(name for name in content if name not in names and name != _TAG)
        if kind is None or unknown:
            raise BundleError(
                f"a feature is declared with {content[_TAG]} {', '.join(unknown)}, which this "
                "kyc_ml does not know: use the version that wrote it, or a newer one"
            )
        read: dict[str, Any] = {
            names[name]: from_plain(value) for name, value in content.items() if name != _TAG
        }
        return kind(**read)
    if isinstance(content, list):
        return tuple(from_plain(each) for each in content)
    return content


@cache
def _names_of(kind: Any) -> dict[str, str]:  # noqa: ANN401  a declaration, or None
    """Return the fields of a declaration by the names that bundles store."""
    return {} if kind is None else {_STORED.get(e.name, e.name): e.name for e in fields(kind)}


def from_format_1(items: Sequence[Mapping[str, Any]]) -> tuple[FeatureSpec, ...]:
    """Read the declarations of a bundle of format 1, which had no tags and fewer fields."""
    return tuple(_feature_of_format_1(item) for item in items)


def digest_of_format_1(items: Sequence[Mapping[str, Any]]) -> str:
    """Return the digest of definitions as format 1 computed it."""
    plain = [[item["name"], item["kind_of_how"], item["how"]] for item in items]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _feature_of_format_1(item: Mapping[str, Any]) -> FeatureSpec:
    how: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in item["how"].items()
    }
    if how.get("period") is not None:
        how["period"] = WindowLength(**how["period"])
    if how.get("where") is not None:
        where = how["where"]
        how["where"] = Where(column=where["column"], values=tuple(where["values"]))
    if how.get("value") == _NIGHT.name:  # a column that format 1 took for granted
        how["value"] = _NIGHT
    rest: dict[str, Any] = {
        _FIELDS.get(name, name): value
        for name, value in item.items()
        if name not in {"how", "kind_of_how"}
    }
    rest["observation_units"] = tuple(rest["observation_units"])
    read: Any = _TYPES[item["kind_of_how"]](**how)
    return FeatureSpec(how=read, **rest)


def definitions_digest(specs: Iterable[FeatureSpec]) -> str:
    """SHA-256 of how the features are computed; wording does not count."""
    plain = [[spec.name, _without_words(to_plain(spec.how))] for spec in specs]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def compare_definitions(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """List the features that two sets do not share or define differently; a line per kind.

    `before`, `after`: mapping of feature to the digest of its definition.

    Examples
    --------
    >>> compare_definitions({"a": "1", "b": "1", "c": "1"}, {"b": "2", "c": "1", "d": "1"})
    ('added: d', 'removed: a', 'defined otherwise: b')
    """
    kinds = {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "defined otherwise": sorted(
            name for name in before.keys() & after.keys() if before[name] != after[name]
        ),
    }
    return tuple(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)


def _without_words(plain: Any) -> Any:  # noqa: ANN401  JSON
    """Leave out the names that a period has in human languages."""
    if isinstance(plain, Mapping):
        words = {"english", "chinese", "label"} if plain.get(_TAG) == "Period" else set()
        return {name: _without_words(value) for name, value in plain.items() if name not in words}
    if isinstance(plain, list):
        return [_without_words(each) for each in plain]
    return plain
