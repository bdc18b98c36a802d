"""Where the configurations are that come with kyc_ml, from whatever folder it is called."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Final

CONFIGS: Final = Path("configs")
_ROOT: Final = Path(__file__).parents[2]
_INSTALLED: Final = "share/kyc_ml/configs"
"""Where `pyproject.toml` lets an installation put them, below the environment's own folder."""


def find_shipped(name: str = "") -> Path:
    """Find a file of ``configs``: of the working folder, of the clone, or as installed.

    `name`: such as 'validation.yaml'; '' is the folder itself. The first that exists; the one of
    the working folder where none does, so that the error names a file that the user can create.
    """
    here = CONFIGS / name
    return next((path for path in (here, _ROOT / here, _installed() / name) if path.exists()), here)


def _installed() -> Path:
    """Return the folder of the configurations of the installed distribution."""
    try:
        listed = files("kyc-ml") or []
    except PackageNotFoundError:
        return CONFIGS
    found = (each.locate() for each in listed if f"{each.parent}".endswith(_INSTALLED))
    return next((Path(str(path)).parent for path in found), CONFIGS)
