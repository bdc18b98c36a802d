"""YAML text to plain content and back; the only importer of YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from kyc_ml.errors import ConfigError

_DEEPEST_INCLUDE = 8


def read_content(text: str, *, subject: str, path: Path | None) -> dict[str, Any]:
    """Read keys and values; with a `path`, ``!include FILE`` beside that file is replaced.

    Raises
    ------
    ConfigError
        If the text is not YAML, has a key twice, or is not a mapping of keys to values.
    """
    try:
        loader = _UniqueKeyLoader(text)  # raises for a character that YAML does not allow
        loader.file = path
        try:
            content = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        msg = f"{subject} is not valid YAML: {' '.join(str(error).split())}"
        raise ConfigError(msg) from None
    if not isinstance(content, dict):
        msg = f"{subject} must hold keys and values, got {type(content).__name__}"
        raise ConfigError(msg)
    return content


def read_packaged(path: Path) -> dict[str, Any]:
    """Read a YAML file of texts or tables that is part of the package."""
    return read_content(path.read_text(encoding="utf-8"), subject=path.name, path=path)


def write_content(content: dict[str, Any]) -> str:
    """Write plain content as YAML that reads back to the same."""
    # PyYAML writes these line breaks bare among Unicode text, but reads them as a space
    odd = any(mark in json.dumps(content, ensure_ascii=False) for mark in "\x85\u2028\u2029")
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=not odd)


class _UniqueKeyLoader(yaml.CSafeLoader):
    """A safe loader that refuses a key written twice: YAML would keep the last one.

    LibYAML's parser, which PyYAML's wheels bring, takes a tenth of the time of the other.

    ``!include lists/fatf.yaml`` is replaced by the content of that file, relative to the file
    that names it, so that configurations can share feature sets and lists.
    """

    file: Path | None = None
    """The file being read; None if the text comes from no file."""
    depth: int = 0


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise yaml.constructor.ConstructorError(
            None, None, f"key {', '.join(twice)} is given twice", node.start_mark
        )
    return loader.construct_mapping(node, deep=True)


def _included(loader: _UniqueKeyLoader, node: yaml.ScalarNode) -> Any:  # noqa: ANN401  YAML
    name = str(loader.construct_scalar(node))
    if loader.file is None or Path(name).is_absolute():
        raise yaml.constructor.ConstructorError(
            None, None, f"!include {name}: only a path relative to a file can be included",
            node.start_mark,
        )  # fmt: skip
    path = loader.file.parent / name
    try:
        inner = _UniqueKeyLoader(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise yaml.constructor.ConstructorError(
            None, None, f"!include {name} cannot be read: {why}", node.start_mark
        ) from None
    inner.file = path  # an included file may include others; a circle would never end
    inner.depth = loader.depth + 1
    if inner.depth > _DEEPEST_INCLUDE:
        raise yaml.constructor.ConstructorError(
            None, None, f"!include {name}: files include each other in a circle", node.start_mark
        )
    try:
        return inner.get_single_data()
    finally:
        inner.dispose()


_UniqueKeyLoader.add_constructor("!include", _included)
_UniqueKeyLoader.add_constructor(yaml.resolver.Resolver.DEFAULT_MAPPING_TAG, _unique_mapping)
