"""Keys of a configuration file, drawn section after section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kyc_ml.jobs.key_reference import say_places
from kyc_ml.terminal.sheets import Column, Sheet

if TYPE_CHECKING:
    from kyc_ml.config.keys import SectionKeys
    from kyc_ml.terminal.watching import Terminal


def show_keys(terminal: Terminal, tables: Sequence[SectionKeys]) -> None:
    """Draw a table a section: key, what it takes, range, default, meaning."""
    for found in tables:
        plain = [
            tuple(text.replace("`", "") for text in (key.kind, key.bounds, key.default))
            for key in found.keys
        ]
        terminal.draw(
            Sheet(
                title=f"{say_places(found)}: {found.summary}",
                columns=tuple(
                    Column(heading=name) for name in ("key", "takes", "range", "default", "meaning")
                ),
                rows=tuple(
                    (key.name, *texts, key.meaning)
                    for key, texts in zip(found.keys, plain, strict=True)
                ),
            )
        )
