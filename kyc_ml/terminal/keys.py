"""Keys of a configuration file, drawn section after section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from kyc_ml.jobs.key_reference import say_places

if TYPE_CHECKING:
    from kyc_ml.config.keys import SectionKeys
    from kyc_ml.terminal.watching import Terminal


def show_keys(terminal: Terminal, tables: Sequence[SectionKeys]) -> None:
    """Draw a table a section: key, what it takes, range, default, meaning."""
    for found in tables:
        title = f"{say_places(found)}: {found.summary}"
        table = Table(title=title, title_justify="left")
        table.add_column("key", no_wrap=True)
        for column in ("takes", "range", "default", "meaning"):
            table.add_column(column, overflow="fold")
        for key in found.keys:
            plain = (text.replace("`", "") for text in (key.kind, key.bounds, key.default))
            table.add_row(key.name, *plain, key.meaning)
        terminal.draw(table)
