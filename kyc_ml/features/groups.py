"""Names of the groups of features that give one reason together, kept in ``groups.yaml``."""

from pathlib import Path
from typing import Final

from kyc_ml.config import read_packaged

GROUPS: Final[dict[str, dict[str, str]]] = read_packaged(Path(__file__).with_name("groups.yaml"))
"""Names by code and language."""


def name_group(code: str) -> tuple[str, str] | None:
    """Return the name of a group of features in English and Chinese; None if it has none."""
    found = GROUPS.get(code)
    return None if found is None else (found["en"], found["zh"])
