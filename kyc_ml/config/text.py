"""YAML text to plain content and back; the only importer of YAML."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import yaml

from kyc_ml.errors import ConfigError

_DEEPEST_INCLUDE: Final = 8
_DEEPEST: Final = 100
"""Levels of nesting; LibYAML composes them by recursion and would end the process."""
_MOST_NODES: Final = 1_000_000
"""Values with every alias written out: a few lines of aliases to aliases stand for billions."""


def read_content(
    text: str, *, subject: str, path: Path | None, packaged: bool = False
) -> dict[str, Any]:
    """Read keys and values; with a `path`, ``!include FILE`` beside that file is replaced.

    `packaged`: whether it is a file of this package, whose size and depth need no check.
    Raises ConfigError if the text is not YAML, has a key twice, is not a mapping of keys to values,
    or is nested or expanded beyond all measure.
    """
    try:
        if not packaged:
            _require_bounded(text)
        loader = _UniqueKeyLoader(text)  # raises for a character that YAML does not allow
        loader.file = path
        try:
            content = loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # of a date such as 2024-13-45
        raise ConfigError(f"{subject} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{subject} must hold keys and values, got {type(content).__name__}")
    return content


def read_packaged(path: Path) -> dict[str, Any]:
    """Read a YAML file of texts or tables that is part of the package."""
    return read_content(
        path.read_text(encoding="utf-8"), subject=path.name, path=path, packaged=True
    )


def _require_bounded(text: str) -> None:
    """Raise before text is composed that is nested too deeply, or too large with its aliases."""
    sizes: dict[str, int] = {}  # values below each anchor that is complete
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                msg = f"alias *{event.anchor} has no anchor before it that is complete"
                raise yaml.YAMLError(msg)
            total += sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, total - 1))
            elif event.anchor:
                sizes[event.anchor] = 1
        if len(open_nodes) > _DEEPEST or total > _MOST_NODES:
            msg = f"more than {_DEEPEST} levels of nesting or {_MOST_NODES:,} values"
            raise yaml.YAMLError(msg)


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
    # a key that is a list or a mapping cannot be counted, and is refused below
    counts = Counter(key for key in keys if not isinstance(key, list | dict | set))
    twice = sorted(str(key) for key, count in counts.items() if count > 1)
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
        included = path.read_text(encoding="utf-8")
        _require_bounded(included)
        inner = _UniqueKeyLoader(included)
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
