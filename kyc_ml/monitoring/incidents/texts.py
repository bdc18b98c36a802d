"""The texts of incidents in both languages."""

from pathlib import Path
from typing import Any, Final

from kyc_ml.config import read_packaged
from kyc_ml.validation import Text, texts_of

_CONTENT: Final[dict[str, Any]] = read_packaged(Path(__file__).with_name("texts.yaml"))
EFFECTS: Final = texts_of(_CONTENT["effects"])
WHAT: Final = texts_of(_CONTENT["what"])
ALL, NOTHING, REPORT = (Text(**_CONTENT[name]) for name in ("all", "nothing", "report"))


def name_model(model: str) -> Text:
    """Return the name of a model; an empty one means all."""
    return Text(model, model) if model else ALL
